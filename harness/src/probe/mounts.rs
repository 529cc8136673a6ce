//! Files that are mounted into a server's container one by one: whether the container still sees
//! what lies on disk. One that is replaced there by another of its name, as most editors do it,
//! stays in the container as it was.

use super::ask::unreachable_fact;
use crate::engine::Engine;
use crate::process::clock::RunClock;
use crate::process::failure::UserError;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use verdict::observation::asked::Asked;
use verdict::observation::host::MountedFile;
use verdict::observation::{Fact, Observation};

/// Looks through the eyes of the container of an instance of a project, and at the disk.
pub async fn mounted(
    engine: &Engine,
    project: &str,
    service: &str,
    clock: RunClock,
) -> Observation {
    let asked = clock.now();
    let fact = files(engine, project, service).await.map_or_else(
        |e| unreachable_fact(Asked::MountedFiles, e),
        |files| Fact::MountedFiles { files },
    );
    Observation { source: service.to_owned(), via: None, asked, answered: clock.now(), fact }
}

async fn files(engine: &Engine, project: &str, service: &str) -> Result<Vec<MountedFile>, String> {
    let container =
        engine.container_of(project, service).await.map_err(|e| e.advice().to_string())?;
    let mut files = Vec::new();
    for (inside, outside) in container.binds {
        let seen = format!("/proc/{}/root{inside}", container.pid);
        let seen = std::fs::metadata(&seen).map_err(|e| format!("{seen}: {e}"))?;
        if seen.is_file() {
            files.push(MountedFile { inside, replaced: replaced(&seen, Path::new(&outside)) });
        }
    }
    Ok(files)
}

/// Whether the path names another file by now, or none.
fn replaced(seen: &std::fs::Metadata, outside: &Path) -> bool {
    std::fs::metadata(outside)
        .map_or(true, |now| (now.dev(), now.ino()) != (seen.dev(), seen.ino()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_that_is_written_in_place_stays_the_same_and_one_that_is_renamed_over_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (file, new) = (folder.path().join("a.yml"), folder.path().join("b.yml"));
        std::fs::write(&file, "1").unwrap();
        let seen = std::fs::metadata(&file).unwrap();
        std::fs::write(&file, "2").unwrap();
        assert!(!replaced(&seen, &file));
        std::fs::write(&new, "3").unwrap();
        std::fs::rename(&new, &file).unwrap();
        assert!(replaced(&seen, &file));
        std::fs::remove_file(&file).unwrap();
        assert!(replaced(&seen, &file));
    }
}
