//! What a path of the host is to a run: part of the stack's folder, the host's own, a socket or
//! device, or data of the owner.

use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

/// What is found at the source of a bind mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the stack's folder, of which a run has a copy: the real path, and whether it is there.
    Folder(PathBuf, bool),
    /// Outside of it, and nothing is there.
    Nothing(PathBuf),
    /// A part of the host that exporters look at.
    System(PathBuf),
    /// A socket, device or pipe: what is written to it acts on whoever holds its other end.
    Special(PathBuf, Special),
    /// All else outside of the stack's folder: the real path.
    Owners(PathBuf),
}

/// What can't be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// A socket through which containers are started: whoever speaks to it owns the host.
    Engine,
    Socket,
    /// A device or a pipe.
    Device,
}

/// Folders of the host with all that is below them: its kernel's, its programs', its engines'.
const SYSTEM: [&str; 18] = [
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/var/run",
    "/boot",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/log/journal",
];
/// Folders that are the host's as a whole, while what is below them may be anybody's.
const SYSTEM_WHOLE: [&str; 6] = ["/", "/etc", "/usr", "/var", "/var/lib", "/var/log"];
/// Files that describe the host.
const SYSTEM_FILES: [&str; 11] = [
    "/etc/localtime",
    "/etc/timezone",
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/group",
    "/etc/ssl/certs",
];
/// Data of the owner's below a folder of the system.
const NOT_SYSTEM: [&str; 2] = ["/var/lib/docker/volumes", "/var/lib/containers/storage/volumes"];
/// Where engines listen, beside what `DOCKER_HOST` names.
const ENGINES: [&str; 5] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
];

/// Looks at the source of a bind mount. `folder` is the stack's, real; `left_out` are names below
/// it of which there is no copy.
pub(super) fn look(path: &Path, folder: &Path, left_out: &[&str]) -> Place {
    let (real, there) = real(path);
    if engines().contains(&real) {
        return Place::Special(path.to_path_buf(), Special::Engine);
    }
    if let Ok(kind) = std::fs::metadata(&real).map(|found| found.file_type()) {
        let is_device = kind.is_block_device() || kind.is_char_device() || kind.is_fifo();
        if kind.is_socket() || is_device {
            return Place::Special(
                path.to_path_buf(),
                if is_device { Special::Device } else { Special::Socket },
            );
        }
    }
    let copied = |rest: &Path| {
        !rest.components().any(|part| left_out.iter().any(|name| part.as_os_str() == *name))
    };
    if real.strip_prefix(folder).is_ok_and(|rest| copied(rest) || !there) {
        return Place::Folder(real, there);
    }
    if !there {
        return Place::Nothing(real);
    }
    if is_system(&real) || SYSTEM_FILES.iter().any(|file| path == Path::new(file)) {
        Place::System(path.to_path_buf())
    } else {
        Place::Owners(real)
    }
}

fn is_system(real: &Path) -> bool {
    if NOT_SYSTEM.iter().any(|folder| real.starts_with(folder) && real != Path::new(folder)) {
        return false;
    }
    SYSTEM.iter().any(|folder| real.starts_with(folder))
        || SYSTEM_WHOLE.iter().chain(&SYSTEM_FILES).any(|whole| real == Path::new(whole))
}

/// Whether an engine's socket is at or below a path: the first that is.
pub(super) fn engine_below(path: &Path) -> Option<PathBuf> {
    let (real, _) = real(path);
    engines().into_iter().find(|socket| socket.starts_with(&real))
}

/// Real paths of the sockets at which engines may listen.
fn engines() -> Vec<PathBuf> {
    let told = std::env::var("DOCKER_HOST")
        .ok()
        .and_then(|at| at.strip_prefix("unix://").map(PathBuf::from));
    ENGINES.iter().map(PathBuf::from).chain(told).map(|socket| real(&socket).0).collect()
}

/// A path without links, and whether it is there; of one that is not, as far as it is.
pub(crate) fn real(path: &Path) -> (PathBuf, bool) {
    let mut missing = Vec::new();
    let mut known = path;
    loop {
        match known.canonicalize() {
            Ok(real) => {
                return (
                    missing.iter().rev().fold(real, |path, part| path.join(part)),
                    missing.is_empty(),
                );
            }
            // What may not be looked at counts as there: nobody can say that it is not.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return (
                    missing.iter().rev().fold(known.to_path_buf(), |path, part| path.join(part)),
                    true,
                );
            }
            Err(_) => {}
        }
        match (known.parent(), known.components().next_back()) {
            (Some(parent), Some(Component::Normal(part))) => {
                missing.push(part.to_owned());
                known = parent;
            }
            _ => return (path.to_path_buf(), false),
        }
    }
}

/// Whether another file system is mounted below a folder: engines before 25 leave it writable in a
/// read-only mount.
pub(super) fn has_mounts_below(folder: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(|line| line.split(' ').nth(4)).any(|at| {
        let at = PathBuf::from(at.replace("\\040", " "));
        at != folder && at.starts_with(folder)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(path: &str) -> Place {
        look(Path::new(path), Path::new("/no/such/stack"), &[])
    }

    #[test]
    fn what_exporters_look_at_is_the_hosts_and_all_else_the_owners() {
        for path in ["/", "/proc", "/sys/fs", "/run", "/etc", "/var/log", "/bin"] {
            assert!(matches!(looked(path), Place::System(_)), "{path}: {:?}", looked(path));
        }
        let home = tempfile::tempdir().expect("folder");
        let own = home.path().canonicalize().expect("real");
        assert_eq!(looked(&own.to_string_lossy()), Place::Owners(own.clone()));
        assert_eq!(looked(&own.join("a/b").to_string_lossy()), Place::Nothing(own.join("a/b")));
        assert!(
            is_system(Path::new("/var/lib/docker"))
                && !is_system(Path::new("/var/lib/docker/volumes/live/_data"))
        );
        assert!(
            !is_system(Path::new("/var/lib/grafana"))
                && !is_system(Path::new("/etc/prometheus"))
                && !is_system(Path::new("/runner"))
        );
    }

    #[test]
    fn links_are_followed_and_sockets_are_seen() {
        let home = tempfile::tempdir().expect("folder");
        let home = home.path().canonicalize().expect("real");
        let folder = home.join("stack");
        std::fs::create_dir_all(folder.join("conf")).expect("folder");
        std::fs::create_dir_all(folder.join("report")).expect("folder");
        std::fs::create_dir(home.join("live")).expect("folder");
        std::os::unix::fs::symlink(home.join("live"), folder.join("data")).expect("link");
        std::os::unix::fs::symlink(folder.join("conf"), home.join("in")).expect("link");
        let _socket = std::os::unix::net::UnixListener::bind(folder.join("s")).expect("socket");
        let look = |path: PathBuf| look(&path, &folder, &["report"]);
        assert_eq!(look(folder.join("conf")), Place::Folder(folder.join("conf"), true));
        assert_eq!(look(folder.join("new/one")), Place::Folder(folder.join("new/one"), false));
        assert_eq!(look(folder.join("data")), Place::Owners(home.join("live")));
        assert_eq!(look(folder.join("data/new")), Place::Nothing(home.join("live/new")));
        assert_eq!(look(home.join("in")), Place::Folder(folder.join("conf"), true));
        assert_eq!(look(folder.join("report")), Place::Owners(folder.join("report")));
        assert_eq!(look(folder.join("s")), Place::Special(folder.join("s"), Special::Socket));
        assert!(matches!(look("/dev/null".into()), Place::Special(_, Special::Device)));
        for path in ["/var/run/docker.sock", "/run/docker.sock"] {
            assert!(matches!(look(path.into()), Place::Special(_, Special::Engine)));
        }
        assert!(
            engine_below(Path::new("/run")).is_some()
                && engine_below(Path::new("/var/run")).is_some()
        );
        assert!(engine_below(Path::new("/")).is_some() && engine_below(&home).is_none());
    }
}
