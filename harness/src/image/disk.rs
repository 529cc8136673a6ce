//! Room for what is to be built.

use super::Error;
use super::catalogue::Image;
use bollard::Docker;
use std::path::{Path, PathBuf};

/// What must stay free besides.
const RESERVE_MIB: u64 = 1024;
/// Fetched modules and compiler caches that Go images share are in each one's figure; together they
/// take less.
const SHARED: f64 = 0.7;

/// Refuses to begin builds that would fill the disk. An engine whose folder is not on this machine
/// is not checked.
pub(super) async fn check(docker: &Docker, builds: &[&Image]) -> Result<(), Error> {
    if builds.is_empty() {
        return Ok(());
    }
    let info =
        docker.info().await.map_err(Error::engine("asking the engine where it keeps images"))?;
    let Some(folder) = info.docker_root_dir.map(PathBuf::from).filter(|f| f.is_dir()) else {
        return Ok(());
    };
    let Some(seen_mib) = free_mib(&folder) else { return Ok(()) };
    room(builds, seen_mib, &folder)
}

fn room(builds: &[&Image], seen_mib: u64, folder: &Path) -> Result<(), Error> {
    let sum: u64 = builds.iter().map(|i| i.disk_mib).sum();
    let wanted_mib = (sum as f64 * SHARED) as u64 + RESERVE_MIB;
    if seen_mib >= wanted_mib {
        return Ok(());
    }
    Err(Error::Disk {
        images: builds.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", "),
        wanted_gib: wanted_mib as f64 / 1024.0,
        seen_gib: seen_mib as f64 / 1024.0,
        folder: folder.into(),
    })
}

/// Space that is free for this user, in MiB.
fn free_mib(folder: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(stat.blocks_available() * stat.fragment_size() / (1 << 20))
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::tests::image;
    use super::*;

    #[test]
    fn too_little_room_says_wanted_seen_and_where() {
        let mut big = image("jaeger", &[]);
        big.disk_mib = 4096;
        let error =
            room(&[&big], 2000, Path::new("/var/lib/docker")).expect_err("refused").to_string();
        assert!(
            error.contains("jaeger needs 3.8 GiB at /var/lib/docker, seen 2.0 GiB free"),
            "{error}"
        );
        assert!(room(&[&big], 3892, Path::new("/")).is_ok());
    }

    #[test]
    fn free_space_of_a_real_folder_is_known() {
        assert!(free_mib(Path::new("/")).is_some());
        assert!(free_mib(Path::new("/does/not/exist")).is_none());
    }
}
