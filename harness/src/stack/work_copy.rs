//! The run's own copy of a stack's folder. Scaled and sabotaged configuration is written there; the
//! owner's files are never touched, and bind mounts of the stack resolve there.

use super::mounts::place::real;
use super::mounts::{Mounts, Need};
use super::{Stack, StackError};
use crate::declaration::OwnerData;
use crate::journal::{Journal, Undo};
use crate::stack::compose::Project;
use config::yaml::ConfigError;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A copy of a stack's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkCopy {
    /// Run that it belongs to.
    pub run: String,
    /// Folder of the original.
    pub original: PathBuf,
    /// Folder of the copy.
    pub folder: PathBuf,
}

/// Folder that holds all state of a run.
pub(super) fn run_folder(journal: &Journal, run: &str) -> PathBuf {
    journal.home().join("runs").join(run)
}

/// Names that are never copied: what tools keep beside a stack, and no configuration of it.
pub(super) const LEFT_OUT: [&str; 4] = [".git", "node_modules", "target", "report"];

/// File in the run's folder that lists what was copied from outside of the stack's folder: a copy's
/// own parents are there, too.
const COPIED: &str = "outside.list";

impl WorkCopy {
    /// Copies the stack's folder, with permissions and symbolic links. That the run is to be
    /// removed is written down first.
    ///
    /// # Errors
    /// [`StackError::Files`] when something can't be read or written.
    pub fn make(journal: &Journal, stack: &Stack, run: &str) -> Result<WorkCopy, StackError> {
        announce(journal, run, stack.name())?;
        let folder = run_folder(journal, run).join("stack");
        copy(&stack.folder, &folder)?;
        Ok(WorkCopy { run: run.to_owned(), original: stack.folder.clone(), folder })
    }

    /// Path in the copy of a path relative to the stack's folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    /// Where the copy of a path outside of the stack's folder is, if the run has one.
    pub(super) fn outside(&self, real: &Path) -> PathBuf {
        self.beside("outside", real)
    }

    /// Real paths outside of the stack's folder of which the run has a copy.
    pub(super) fn copied(&self) -> BTreeSet<PathBuf> {
        let listed = std::fs::read_to_string(self.run_folder().join(COPIED)).unwrap_or_default();
        listed.lines().map(PathBuf::from).collect()
    }

    /// Copies something outside of the stack's folder, once.
    pub(super) fn bring(&self, real: &Path) -> Result<(), StackError> {
        let to = self.outside(real);
        if self.copied().contains(real) {
            return Ok(());
        }
        let listed = || {
            let mut list = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.run_folder().join(COPIED))?;
            writeln!(list, "{}", real.display())
        };
        let done = super::mounts::copy::copy(real, &to, &self.runs()).and_then(|()| listed());
        done.map_err(StackError::files(format!("copying {} to {}", real.display(), to.display())))
    }

    /// Where the empty folder is that takes the place of a path.
    pub(super) fn empty(&self, real: &Path) -> PathBuf {
        self.beside("empty", real)
    }

    fn beside(&self, name: &str, real: &Path) -> PathBuf {
        self.run_folder().join(name).join(real.strip_prefix("/").unwrap_or(real))
    }

    /// File beside it with the certificate of the run's authority, if it has one.
    pub fn authority(&self) -> PathBuf {
        self.run_folder().join("authority.pem")
    }

    fn run_folder(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// The folder that holds the state of all runs.
    pub(super) fn runs(&self) -> PathBuf {
        let folder = self.run_folder();
        folder.parent().unwrap_or(folder).to_path_buf()
    }

    /// Where the run's copy of a file is: an absolute path, or one relative to the stack's folder.
    /// None if it has no copy, so that nothing is ever written to an original.
    pub fn place(&self, file: impl AsRef<Path>) -> Option<PathBuf> {
        let (original, _) = real(&self.original.join(file));
        let place = match original.strip_prefix(&self.original) {
            Ok(rest) => self.folder.join(rest),
            Err(_) => self
                .copied()
                .iter()
                .any(|copied| original.starts_with(copied))
                .then(|| self.outside(&original))?,
        };
        // A link in the copy may lead out of it again.
        let (end, _) = real(&place);
        let (own, _) = real(self.run_folder());
        end.starts_with(own).then_some(place)
    }

    /// What a project mounts, with the copies that are there already.
    ///
    /// # Errors
    /// As [`Mounts::plan`].
    pub fn mounts(&self, project: &Project, owners: &OwnerData) -> Result<Mounts, ConfigError> {
        let copied = self.copied();
        let need = |real: &Path| if copied.contains(real) { Need::Copied } else { Need::None };
        Mounts::plan(project, &self.original, owners, &need)
    }

    /// Writes a file in place, so that a container into which that very file is mounted sees the
    /// change: the inode stays.
    ///
    /// # Errors
    /// [`StackError::Files`] when it can't be written, or the run has no copy of it.
    pub fn write(
        &self,
        file: impl AsRef<Path>,
        content: impl AsRef<[u8]>,
    ) -> Result<(), StackError> {
        let file = file.as_ref();
        let outside = || {
            std::io::Error::other(
                "it lies outside of the stack's folder, and the run has no copy of it",
            )
        };
        let path = self
            .place(file)
            .ok_or_else(outside)
            .map_err(StackError::files(format!("writing {}", file.display())))?;
        write_in_place(&path, content.as_ref())
    }

    /// Reads a file of the copy.
    ///
    /// # Errors
    /// [`StackError::Files`] when it can't be read.
    pub fn read(&self, relative: &str) -> Result<String, StackError> {
        let path = self.path(relative);
        std::fs::read_to_string(&path)
            .map_err(StackError::files(format!("reading {}", path.display())))
    }
}

/// Writes a file that may be mounted.
pub(crate) fn write_in_place(path: &Path, content: &[u8]) -> Result<(), StackError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(StackError::files(format!("making {}", parent.display())))?;
    }
    let write = || {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(StackError::files(format!("writing {}", path.display())))
}

/// Writes down that the run is to be removed, once.
pub(super) fn announce(journal: &Journal, run: &str, stack: &str) -> Result<(), StackError> {
    let known = journal.open_entries()?;
    let undo = Undo::RemoveRun { run: run.to_owned() };
    if !known.iter().any(|entry| entry.undo.as_ref() == Some(&undo)) {
        journal.open(run, stack, &format!("stack {stack} of run {run}"), undo)?;
    }
    Ok(())
}

/// Copies a stack's folder over another, with permissions and symbolic links.
///
/// # Errors
/// [`StackError::Files`] when something can't be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<(), StackError> {
    let fail = |path: &Path| StackError::files(format!("copying {}", path.display()));
    std::fs::create_dir_all(to).map_err(fail(to))?;
    for entry in std::fs::read_dir(from).map_err(fail(from))? {
        let entry = entry.map_err(fail(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let kind = entry.file_type().map_err(fail(&source))?;
        if kind.is_symlink() {
            let leads = std::fs::read_link(&source).map_err(fail(&source))?;
            // A link that leads out of the folder by a relative path would lead elsewhere from the
            // copy.
            let leads = if leads.is_absolute()
                || source.canonicalize().is_ok_and(|end| end.starts_with(from))
            {
                leads
            } else {
                from.join(leads)
            };
            std::os::unix::fs::symlink(leads, &target).map_err(fail(&source))?;
        } else if kind.is_dir() {
            copy(&source, &target)?;
            let permissions = entry.metadata().map_err(fail(&source))?.permissions();
            std::fs::set_permissions(&target, permissions).map_err(fail(&target))?;
        } else if kind.is_file() {
            std::fs::copy(&source, &target).map_err(fail(&source))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_copy_keeps_permissions_and_links_and_is_written_in_place() {
        let home = tempfile::tempdir().expect("folder");
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        std::fs::create_dir_all(from.join("sub/.git")).expect("folder");
        std::fs::write(from.join("sub/a"), "a").expect("file");
        std::fs::set_permissions(from.join("sub/a"), std::fs::Permissions::from_mode(0o755))
            .expect("mode");
        std::os::unix::fs::symlink("a", from.join("sub/link")).expect("link");
        copy(&from, &to).expect("copies");
        let work = WorkCopy {
            run: "r".into(),
            original: from.canonicalize().expect("real"),
            folder: to.clone(),
        };
        assert_eq!(work.read("sub/link").expect("reads"), "a");
        assert!(!to.join("sub/.git").exists());
        let before = std::fs::metadata(to.join("sub/a")).expect("file");
        assert_eq!(before.permissions().mode() & 0o777, 0o755);
        work.write("sub/a", "longer").expect("writes");
        assert_eq!(std::fs::metadata(to.join("sub/a")).expect("file").ino(), before.ino());
        assert_eq!(std::fs::read_to_string(from.join("sub/a")).expect("original"), "a");
        assert_eq!(work.place(from.join("sub/a")), Some(to.join("sub/a")));
        assert_eq!(work.place("/proc/self"), None);
    }

    #[test]
    fn nothing_is_written_through_a_link_that_leads_out() {
        let home = tempfile::tempdir().expect("folder");
        let home = home.path().canonicalize().expect("real");
        let (from, to, live) = (home.join("from"), home.join("runs/r/stack"), home.join("live"));
        std::fs::create_dir_all(from.join("conf")).expect("folder");
        std::fs::create_dir(&live).expect("folder");
        std::fs::write(live.join("rules.yml"), "the owner's").expect("file");
        std::os::unix::fs::symlink("../../live/rules.yml", from.join("conf/rules.yml"))
            .expect("link");
        std::os::unix::fs::symlink(&live, from.join("data")).expect("link");
        copy(&from, &to).expect("copies");
        let work = WorkCopy { run: "r".into(), original: from, folder: to };
        for file in ["conf/rules.yml", "data/rules.yml", "data/new.yml"] {
            let error = work.write(file, "the run's").expect_err("an original").to_string();
            assert!(error.contains("outside of the stack's folder"), "{error}");
        }
        assert_eq!(std::fs::read_to_string(live.join("rules.yml")).expect("file"), "the owner's");
        // With a copy of its own it can be written.
        work.bring(&live).expect("copies");
        work.write("conf/rules.yml", "the run's").expect("writes");
        assert_eq!(
            std::fs::read_to_string(work.outside(&live.join("rules.yml"))).expect("file"),
            "the run's"
        );
        assert_eq!(std::fs::read_to_string(live.join("rules.yml")).expect("file"), "the owner's");
    }
}
