//! The files below a path.

use super::Found;
use config::yaml::ConfigError;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders below a path that are looked into.
const DEEPEST: usize = 10;
/// Files that are looked at.
const MOST: usize = 50_000;
/// Folders that hold what others wrote.
const FOREIGN: [&str; 5] = ["node_modules", "target", "vendor", "venv", "__pycache__"];

/// Files, Compose files apart.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) compose: Vec<PathBuf>,
    /// Each with whether somebody named it.
    pub(super) others: Vec<(PathBuf, bool)>,
    /// Folders that were looked into, without links.
    seen: BTreeSet<PathBuf>,
}

/// Collects what is under a path that was named.
pub(super) fn collect(path: &Path, files: &mut Files, found: &mut Found) {
    if path.is_dir() {
        folder(path, 0, files);
    } else if path.is_file() {
        if is_compose(path) {
            files.compose.push(path.to_owned());
        } else {
            files.others.push((path.to_owned(), true));
        }
    } else {
        found.errors.push(ConfigError::of(
            path,
            "no such file or folder",
            "check the path; it is relative to the folder in which this runs",
        ));
    }
}

/// YAML files of a folder.
pub(super) fn yaml_below(path: &Path, files: &mut Files) {
    folder(path, DEEPEST - 2, files);
}

fn folder(path: &Path, depth: usize, files: &mut Files) {
    let real = super::real(path);
    if depth > DEEPEST || files.others.len() > MOST || !files.seen.insert(real.clone()) {
        return;
    }
    let mut entries: Vec<_> = std::fs::read_dir(path).into_iter().flatten().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let compose = main_compose(path);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // A link to a folder around it leads out of what was asked for.
        let around = path.is_symlink() && real.starts_with(super::real(&path));
        if path.is_dir() {
            if around {
                continue;
            }
            if !name.starts_with('.') && !FOREIGN.contains(&name.as_str()) {
                folder(&path, depth + 1, files);
            }
        } else if Some(&path) == compose.as_ref()
            || (compose.is_none() && is_compose(&path) && !name.contains("override"))
        {
            files.compose.push(path);
        } else if !is_compose(&path)
            && [".yml", ".yaml", ".rules"].iter().any(|end| name.ends_with(end))
        {
            files.others.push((path, false));
        }
    }
}

/// The Compose file of a folder, by the names that Compose looks for.
fn main_compose(folder: &Path) -> Option<PathBuf> {
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"]
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// Whether a file's name is that of a Compose file, or of one that is laid over it.
fn is_compose(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let named = name.starts_with("docker-compose") || name.starts_with("compose.");
    named && (name.ends_with(".yml") || name.ends_with(".yaml"))
}
