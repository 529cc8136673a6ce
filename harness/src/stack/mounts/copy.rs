//! How large a folder of the owner's is, and a copy of it that goes with the run.

use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

/// Most bytes of the owner's data that a run copies for one mount: configuration, certificates,
/// dashboards and seeds are smaller, stores of a server that was ever used are larger, and a copy
/// of this size takes less than a second.
pub(crate) const MOST_BYTES: u64 = 64 << 20;
/// Most files and folders, for the same reason.
pub(crate) const MOST_FILES: u64 = 10_000;
/// How many are looked at to tell how much it is.
const LOOKED_AT: u64 = 100_000;

/// How much is in a folder, or in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub bytes: u64,
    /// Files and folders.
    pub files: u64,
    /// Whether there is more, which was not looked at.
    pub more: bool,
}

impl Size {
    /// Whether a run may copy it.
    pub fn is_small(self) -> bool {
        !self.more && self.bytes <= MOST_BYTES && self.files <= MOST_FILES
    }

    /// In words.
    pub fn told(self) -> String {
        let unit = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
            .into_iter()
            .find(|(one, _)| self.bytes >= *one);
        let bytes = unit.map_or_else(
            || format!("{} bytes", self.bytes),
            |(one, name)| format!("{:.1} {name}", self.bytes as f64 / one as f64),
        );
        format!(
            "{}{bytes} in {} files and folders",
            if self.more { "more than " } else { "" },
            self.files
        )
    }
}

/// Measures a file or folder; links are not followed. `except` is passed over.
pub(crate) fn measure(path: &Path, except: &Path) -> io::Result<Size> {
    let mut size = Size::default();
    add(path, except, &mut size)?;
    Ok(size)
}

fn add(path: &Path, except: &Path, size: &mut Size) -> io::Result<()> {
    if path == except || size.more {
        return Ok(());
    }
    let found = std::fs::symlink_metadata(path)?;
    size.files += 1;
    if size.files >= LOOKED_AT {
        size.more = true;
    } else if found.is_file() {
        size.bytes += found.len();
    } else if found.is_dir() {
        for entry in std::fs::read_dir(path)? {
            vanished(add(&entry?.path(), except, size))?;
        }
    }
    Ok(())
}

/// Copies a file or folder with permissions, owners and links. Sockets, devices and pipes are left
/// out, and what is there already stays. `except` is passed over.
pub(crate) fn copy(from: &Path, to: &Path, except: &Path) -> io::Result<()> {
    if from == except {
        return Ok(());
    }
    let found = std::fs::symlink_metadata(from)?;
    let is_new = std::fs::symlink_metadata(to).is_err();
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if found.is_symlink() {
        if is_new {
            std::os::unix::fs::symlink(std::fs::read_link(from)?, to)?;
        }
    } else if found.is_dir() {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            vanished(copy(&entry.path(), &to.join(entry.file_name()), except))?;
        }
    } else if found.is_file() {
        if is_new {
            std::fs::copy(from, to)?;
        }
    } else {
        return Ok(());
    }
    if is_new {
        // Servers write as users of their own. Who is not root could not give files away, and runs
        // no stack either.
        let given = lchown(to, Some(found.uid()), Some(found.gid()));
        if given.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::PermissionDenied) {
            given?;
        }
        if found.is_dir() {
            std::fs::set_permissions(to, found.permissions())?;
        }
    }
    Ok(())
}

/// Somebody may be writing there: what is gone by now is nothing that is missing.
fn vanished(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_copy_holds_all_but_sockets_and_what_is_excepted() {
        let home = tempfile::tempdir().expect("folder");
        let (from, to) = (home.path().join("from"), home.path().join("runs/to"));
        std::fs::create_dir_all(from.join("sub/runs")).expect("folder");
        std::fs::write(from.join("sub/a"), "text").expect("file");
        std::fs::write(from.join("sub/runs/x"), "of another run").expect("file");
        std::fs::set_permissions(from.join("sub"), std::fs::Permissions::from_mode(0o750))
            .expect("mode");
        std::os::unix::fs::symlink("/nowhere", from.join("link")).expect("link");
        let _socket = std::os::unix::net::UnixListener::bind(from.join("s")).expect("socket");
        let size = measure(&from, &from.join("sub/runs")).expect("measures");
        assert_eq!((size.bytes, size.files, size.is_small()), (4, 5, true));
        copy(&from, &to, &from.join("sub/runs")).expect("copies");
        assert_eq!(std::fs::read_to_string(to.join("sub/a")).expect("file"), "text");
        assert_eq!(
            std::fs::metadata(to.join("sub")).expect("folder").permissions().mode() & 0o777,
            0o750
        );
        assert_eq!(std::fs::read_link(to.join("link")).expect("link"), Path::new("/nowhere"));
        assert!(!to.join("s").exists() && !to.join("sub/runs").exists());
        std::fs::write(to.join("sub/a"), "of the run").expect("file");
        copy(&from, &to, Path::new("/x")).expect("copies again");
        assert_eq!(std::fs::read_to_string(to.join("sub/a")).expect("file"), "of the run");
    }

    #[test]
    fn what_is_too_much_is_not_small() {
        let home = tempfile::tempdir().expect("folder");
        let file = std::fs::File::create(home.path().join("a")).expect("file");
        file.set_len(MOST_BYTES).expect("size");
        let measured = || measure(home.path(), Path::new("/x")).expect("measures");
        assert!(measured().is_small());
        file.set_len(MOST_BYTES + 1).expect("size");
        assert!(!measured().is_small());
        assert_eq!(measured().told(), "64.0 MiB in 2 files and folders");
        assert!(!Size { files: MOST_FILES + 1, ..Size::default() }.is_small());
        assert!(!Size { more: true, ..Size::default() }.is_small());
    }
}
