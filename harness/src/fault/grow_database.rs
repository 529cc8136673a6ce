//! A PostgreSQL database becomes large without a byte written: a table of ours is made whose files
//! are extended by holes. The server counts them as the size of the table and of the database;
//! dropping the table gives everything back.

use super::postgres::{self, Server, value};
use super::{Ability, Fault, FaultError, Kind, Scene, Settings};
use crate::journal::Undo;
use futures::future::BoxFuture;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

/// See [`aim`].
pub const GROW_DATABASE: Kind = Kind {
    name: KIND,
    what: "its database grows, by holes in files (gib, port)",
    aim,
    undo: Some(postgres::undo),
};

const KIND: &str = "grow_database";
/// Size at which PostgreSQL goes on with a table in another file.
const SEGMENT: u64 = 1 << 30;
const SIZE: &str = "SELECT pg_database_size(current_database())";

struct GrowDatabase {
    server: Server,
    gib: u64,
    before: i64,
}

/// Settings: `gib` (1 to 64, default 6), `port` (default 5432).
///
/// # Errors
/// Unknown or senseless settings.
pub fn aim(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only(KIND, settings, &["gib", "port"])?;
    let server =
        Server { kind: KIND, target: target.into(), port: super::port(KIND, settings, 5432)? };
    Ok(Box::new(GrowDatabase {
        server,
        gib: super::number(KIND, settings, "gib", 6, 1..=64)?.into(),
        before: 0,
    }))
}

/// The table's name in a run.
fn table(run: &str) -> String {
    let letters: String =
        run.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("firedrill_{letters}")
}

/// Extends a table's first file and makes those that follow it, as the first's owner.
fn extend(first: &Path, segments: u64) -> io::Result<()> {
    let owner = std::fs::metadata(first)?;
    for number in 0..segments {
        let path = match number {
            0 => first.to_owned(),
            number => PathBuf::from(format!("{}.{number}", first.display())),
        };
        let file = OpenOptions::new().write(true).create(number > 0).truncate(false).open(&path)?;
        if number > 0 {
            file.set_permissions(owner.permissions())?;
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.set_len(SEGMENT)?;
    }
    Ok(())
}

impl Fault for GrowDatabase {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn target(&self) -> &str {
        &self.server.target
    }

    fn mechanism(&self) -> String {
        "a table whose files are extended by holes, through the server's file system".into()
    }

    fn needs(&self) -> Vec<Ability> {
        vec![Ability::EnterNamespaces]
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let client = self.server.connect(scene).await?;
            self.before = self.server.number(scene, &client, SIZE).await?;
            let container = scene.container(&self.server.target).await?;
            let statement = format!("DROP TABLE IF EXISTS {}", table(scene.run));
            Ok(vec![Undo::Fault {
                container: container.id,
                kind: self.server.kind.into(),
                state: postgres::state(self.server.port, &statement),
            }])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async {
            let client = self.server.connect(scene).await?;
            let failed = |what: String| scene.failed(KIND, &self.server.target, what);
            let table = table(scene.run);
            value(&client, &format!("CREATE TABLE {table} (nothing int)")).await.map_err(failed)?;
            let folder = self.server.text(scene, &client, "SHOW data_directory").await?;
            let file = self
                .server
                .text(scene, &client, &format!("SELECT pg_relation_filepath('{table}')"))
                .await?;
            let container = scene.container(&self.server.target).await?;
            let first = format!("/proc/{}/root{folder}/{file}", container.pid);
            extend(Path::new(&first), self.gib)
                .map_err(|e| failed(format!("{file} in {folder}: {e}")))
        })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let client = self.server.connect(scene).await?;
            let now = self.server.number(scene, &client, SIZE).await?;
            let grown = now - self.before >= (self.gib * SEGMENT) as i64;
            Ok(grown.then(|| {
                format!(
                    "{} says that its database has {now} bytes, {} before",
                    self.server.target, self.before
                )
            }))
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let client = self.server.connect(scene).await?;
            let now = self.server.number(scene, &client, SIZE).await?;
            // Others write meanwhile.
            let shrunk = now - self.before < (SEGMENT / 2) as i64;
            Ok(shrunk
                .then(|| format!("{} says that its database has {now} bytes", self.server.target)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_extended_by_holes_and_takes_no_space() {
        let folder = tempfile::tempdir().expect("folder");
        let first = folder.path().join("16384");
        std::fs::write(&first, "").expect("file");
        extend(&first, 3).expect("extends");
        let sizes: Vec<(u64, u64)> = ["16384", "16384.1", "16384.2"]
            .iter()
            .map(|name| std::fs::metadata(folder.path().join(name)).expect("segment"))
            .map(|m| (m.len(), m.blocks()))
            .collect();
        assert_eq!(sizes, [(SEGMENT, 0); 3]);
        assert!(
            extend(&folder.path().join("absent"), 1).is_err(),
            "a table that is not there is not made"
        );
    }

    #[test]
    fn a_table_is_named_after_its_run() {
        assert_eq!(table("1121-101850-9616"), "firedrill_1121_101850_9616");
    }
}
