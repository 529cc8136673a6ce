//! What a build is given: the image's folder, and the certificate authorities that this machine
//! trusts besides the usual.

use super::Error;
use super::catalogue::files;
use std::fs::File;
use std::io::Seek as _;
use std::path::{Path, PathBuf};

/// Where distributions keep authorities that the administrator added.
const ANCHORS: [&str; 3] = [
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
    "/etc/ca-certificates/trust-source/anchors",
];

/// A build context as a tar archive, in a file without a name: our own binaries are dozens of MiB
/// each.
pub(super) struct Context {
    tar: tar::Builder<File>,
}

impl Context {
    /// The files of an image's folder, and `host-ca/` with this machine's own authorities (empty
    /// where there are none), which is no part of the image's hash.
    pub fn of(folder: &Path) -> Result<Self, Error> {
        let file = tempfile::tempfile().map_err(packing(Path::new("build context")))?;
        let mut context = Self { tar: tar::Builder::new(file) };
        for (relative, path) in files(folder)? {
            context.add(&relative, &path, is_executable(&path))?;
        }
        context.add_folder("host-ca")?;
        for (index, path) in authorities(&ANCHORS.map(Path::new)).into_iter().enumerate() {
            let stem =
                path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            context.add(&format!("host-ca/{index}-{stem}.crt"), &path, false)?;
        }
        Ok(context)
    }

    /// Adds a file's content under another path.
    pub fn add(&mut self, path: &str, content: &Path, executable: bool) -> Result<(), Error> {
        let file = File::open(content).map_err(|source| Error::File {
            what: "reading",
            path: content.into(),
            source,
        })?;
        let mut header = tar::Header::new_gnu();
        header.set_size(file.metadata().map_err(packing(content))?.len());
        header.set_mode(if executable { 0o755 } else { 0o644 });
        self.tar.append_data(&mut header, path, file).map_err(packing(content))
    }

    /// Adds an empty folder.
    pub fn add_folder(&mut self, path: &str) -> Result<(), Error> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o755);
        self.tar.append_data(&mut header, path, std::io::empty()).map_err(packing(Path::new(path)))
    }

    /// The archive, to be read from its beginning.
    pub fn finish(self) -> Result<File, Error> {
        let rewound = self.tar.into_inner().and_then(|mut file| file.rewind().map(|()| file));
        rewound.map_err(packing(Path::new("build context")))
    }
}

fn packing(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    |source| Error::File { what: "packing", path: path.into(), source }
}

/// Certificates below the given folders, sorted; folders that are absent or unreadable have none.
fn authorities(folders: &[&Path]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| files(folder).ok())
        .flatten()
        .map(|(_, path)| path)
        .filter(|path| path.extension().is_some_and(|e| e == "crt" || e == "pem"))
        .collect();
    found.sort();
    found
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|m| m.permissions().mode() & 0o100 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_has_the_files_and_always_the_folder_of_authorities() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::create_dir_all(folder.path().join("sub")).expect("sub");
        std::fs::write(folder.path().join("sub/a"), b"1").expect("a");
        std::fs::create_dir_all(folder.path().join("host-ca")).expect("host-ca");
        std::fs::write(folder.path().join("host-ca/left-over.crt"), b"x").expect("left over");
        let file = Context::of(folder.path()).and_then(Context::finish).expect("context");
        let mut archive = tar::Archive::new(file);
        let names: Vec<String> = archive
            .entries()
            .expect("entries")
            .map(|e| e.expect("entry").path().expect("path").display().to_string())
            .collect();
        assert!(names.contains(&"sub/a".to_owned()), "{names:?}");
        assert!(names.iter().any(|n| n.trim_end_matches('/') == "host-ca"), "{names:?}");
        assert!(!names.contains(&"host-ca/left-over.crt".to_owned()), "{names:?}");
    }

    #[test]
    fn only_certificates_are_handed_on() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("a.crt"), b"1").expect("a");
        std::fs::write(folder.path().join("readme"), b"1").expect("readme");
        let found = authorities(&[folder.path(), Path::new("/does/not/exist")]);
        assert_eq!(found, vec![folder.path().join("a.crt")]);
    }
}
