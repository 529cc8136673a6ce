//! A file system is full. A small one is made for it, since the host's own is never filled: an
//! image file, mounted at a place inside the target's mount namespace only (the service that
//! watches file systems sees it there), and filled.

use super::{Ability, Fault, FaultError, Kind, Remains, Scene, Settings};
use crate::engine::namespace;
use crate::journal::Undo;
use futures::future::BoxFuture;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::sys::statvfs::statvfs;
use serde::Deserialize;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use verdict::history::fault::BlastRadius;

/// See [`aim`].
pub const FILL_DISK: Kind = Kind {
    name: KIND,
    what: "a small file system is mounted in it and filled (mount_point, size_mib, per_cent)",
    aim,
    undo: Some(undo),
};

const KIND: &str = "fill_disk";
/// Kind of the file system.
const FILE_SYSTEM: &str = "ext4";

struct FillDisk {
    target: String,
    mount_point: String,
    size_mib: u32,
    per_cent: u32,
    /// Process in whose mount namespace it happens, once prepared.
    pid: i32,
    image: PathBuf,
}

/// Settings: `mount_point`, an existing folder inside the container; `size_mib` (8 to 1024, default
/// 32); `per_cent` (50 to 99, default 95) to which it is filled.
///
/// # Errors
/// Unknown, missing or senseless settings.
pub fn aim(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only(KIND, settings, &["mount_point", "size_mib", "per_cent"])?;
    let mount_point = settings.get("mount_point").map(|m| m.trim_end_matches('/')).unwrap_or("");
    let ways_up =
        Path::new(mount_point).components().any(|c| matches!(c, std::path::Component::ParentDir));
    if !mount_point.starts_with('/') || ways_up || mount_point.contains(char::is_whitespace) {
        return Err(FaultError::Settings {
            what: format!("fault {KIND}: `mount_point` is {mount_point:?}"),
            hint: "name an existing folder inside the container by its whole path, for example `mount_point: /mnt`".into(),
        });
    }
    Ok(Box::new(FillDisk {
        target: target.into(),
        mount_point: mount_point.into(),
        size_mib: super::number(KIND, settings, "size_mib", 32, 8..=1024)?,
        per_cent: super::number(KIND, settings, "per_cent", 95, 50..=99)?,
        pid: 0,
        image: PathBuf::new(),
    }))
}

impl FillDisk {
    fn fails(&self, scene: &Scene<'_>, error: impl std::fmt::Display) -> FaultError {
        scene.failed(KIND, &self.target, error)
    }

    /// The mount point as the host sees it.
    fn seen_from_host(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.pid, self.mount_point))
    }
}

impl Fault for FillDisk {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn mechanism(&self) -> String {
        format!("{FILE_SYSTEM} on a loop device, mounted in the target's mount namespace")
    }

    fn needs(&self) -> Vec<Ability> {
        vec![Ability::EnterNamespaces, Ability::LoopDevices]
    }

    fn blast_radius(&self) -> BlastRadius {
        // The container's own files are where they were.
        BlastRadius::default()
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let container = scene.container(&self.target).await?;
            self.pid = container.pid;
            if !self.seen_from_host().is_dir() {
                return Err(FaultError::Settings {
                    what: format!(
                        "fault {KIND}: {} has no folder {}",
                        self.target, self.mount_point
                    ),
                    hint: "name a folder that exists inside the container".into(),
                });
            }
            if mounted(self.pid, &self.mount_point).map_err(|e| self.fails(scene, e))?.is_some() {
                return Err(self.fails(
                    scene,
                    format!("something is mounted at {} already", self.mount_point),
                ));
            }
            let part = tempfile::Builder::new()
                .prefix("firedrill-disk-")
                .tempfile()
                .and_then(|f| f.keep().map_err(|e| e.error));
            self.image = part.map_err(|e| self.fails(scene, e))?.1;
            let state = serde_json::json!({ "mount_point": self.mount_point, "image": self.image });
            Ok(vec![Undo::Fault { container: container.id, kind: KIND.into(), state }])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async {
            let (image, mount_point, pid, size) = (
                self.image.clone(),
                self.mount_point.clone(),
                self.pid,
                u64::from(self.size_mib) << 20,
            );
            let inside = self.seen_from_host();
            let per_cent = self.per_cent;
            let work = move || {
                File::options().write(true).open(&image)?.set_len(size)?;
                host(
                    &format!("mkfs.{FILE_SYSTEM}"),
                    &["-q", "-F", "-m", "0", "-O", "^has_journal", &image.to_string_lossy()],
                )?;
                let device = host("losetup", &["--find", "--show", &image.to_string_lossy()])?;
                let mounted = mount_inside(pid, device.trim(), &mount_point);
                // It goes by itself when nothing uses it any more.
                host("losetup", &["--detach", device.trim()])?;
                mounted?;
                fill(&inside, per_cent)
            };
            let done = tokio::task::spawn_blocking(work).await.map_err(|e| self.fails(scene, e))?;
            done.map_err(|e| self.fails(scene, e))
        })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            if mounted(self.pid, &self.mount_point).map_err(|e| self.fails(scene, e))?.is_none() {
                return Ok(None);
            }
            let used = used_share(&self.seen_from_host()).map_err(|e| self.fails(scene, e))?;
            Ok((used * 100.0 >= f64::from(self.per_cent)).then(|| {
                format!(
                    "{} of {} is a file system of {} MiB, {:.1} % used",
                    self.mount_point,
                    self.target,
                    self.size_mib,
                    used * 100.0
                )
            }))
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let there = mounted(self.pid, &self.mount_point).map_err(|e| self.fails(scene, e))?;
            Ok((there.is_none() && !self.image.exists())
                .then(|| format!("nothing is mounted at {} of {}", self.mount_point, self.target)))
        })
    }
}

/// Share of a file system that is used, of what users can use, 0 to 1.
fn used_share(path: &Path) -> io::Result<f64> {
    let s = statvfs(path).map_err(io::Error::from)?;
    let (used, available) = ((s.blocks() - s.blocks_free()) as f64, s.blocks_available() as f64);
    Ok(used / (used + available).max(1.0))
}

/// Writes a file until the share is used, or nothing more fits.
fn fill(folder: &Path, per_cent: u32) -> io::Result<()> {
    let mut file = File::create(folder.join("filling"))?;
    let piece = vec![0x5a; 256 << 10];
    while used_share(folder)? * 100.0 < f64::from(per_cent) {
        match file.write_all(&piece).and_then(|()| file.sync_data()) {
            Err(e) if e.kind() == io::ErrorKind::StorageFull => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}

/// A program of the host, and what it prints.
fn host(program: &str, arguments: &[&str]) -> io::Result<String> {
    let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
    let said = namespace::command(program, &arguments)
        .map_err(|e| io::Error::other(format!("{program}: {e}")))?;
    if said.ok {
        Ok(said.stdout)
    } else {
        Err(io::Error::other(format!("{program}: {}", said.stderr.trim())))
    }
}

/// What is mounted at a place in the mount namespace of a process, if anything: the device.
fn mounted(pid: i32, mount_point: &str) -> io::Result<Option<String>> {
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    Ok(mounts.lines().find_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        (head.split(' ').nth(4) == Some(mount_point))
            .then(|| tail.split(' ').nth(1).map(str::to_owned))
            .flatten()
    }))
}

/// Runs a closure in the mount namespace of a process, on a thread of its own.
fn in_mount_namespace(
    pid: i32,
    work: impl FnOnce() -> nix::Result<()> + Send + 'static,
) -> io::Result<()> {
    let namespace = File::open(format!("/proc/{pid}/ns/mnt"))?;
    let thread = std::thread::Builder::new().name("mount namespace".into()).spawn(move || {
        // A thread shares its root and working folder with the others, which the kernel does not
        // take along.
        unshare(CloneFlags::CLONE_FS)?;
        setns(namespace, CloneFlags::CLONE_NEWNS)?;
        work()
    })?;
    thread
        .join()
        .map_err(|_| io::Error::other("the thread in the mount namespace died"))?
        .map_err(io::Error::from)
}

/// Mounts a device of the host in the mount namespace of a process.
fn mount_inside(pid: i32, device: &str, mount_point: &str) -> io::Result<()> {
    let device = Path::new(device);
    let (folder, name) = match (device.parent(), device.file_name()) {
        (Some(folder), Some(name)) => (folder.to_path_buf(), PathBuf::from(name)),
        _ => return Err(io::Error::other(format!("{} is no device", device.display()))),
    };
    // The device is not to be seen from in there, but a folder that was opened before still leads
    // to it.
    let folder = nix::fcntl::open(&folder, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mount_point = mount_point.to_owned();
    in_mount_namespace(pid, move || {
        nix::unistd::fchdir(&folder)?;
        let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
        mount(Some(&name), mount_point.as_str(), Some(FILE_SYSTEM), flags, None::<&str>)
    })
}

/// Takes the file system away: the state is `mount_point`, inside the container, and `image`, the
/// file on the host that it is on.
fn undo(remains: Option<Remains>, state: Value) -> BoxFuture<'static, Result<(), String>> {
    #[derive(Deserialize)]
    struct Mounted {
        mount_point: String,
        image: PathBuf,
    }
    Box::pin(async move {
        let Mounted { mount_point, image } =
            serde_json::from_value(state).map_err(|e| e.to_string())?;
        let pid = remains.and_then(|r| r.pid);
        tokio::task::spawn_blocking(move || unmount(pid, &mount_point, &image))
            .await
            .map_err(|e| e.to_string())?
    })
}

/// Takes the file system away, if it is there: `pid` is the container's process, if it runs.
///
/// # Errors
/// Why that failed, in words.
fn unmount(pid: Option<i32>, mount_point: &str, image: &Path) -> Result<(), String> {
    let words = |e: io::Error| format!("{mount_point}: {e}");
    if let Some(pid) = pid {
        let device = mounted(pid, mount_point).map_err(words)?;
        if device.is_some_and(|d| d.starts_with("/dev/loop") || d.starts_with("loop")) {
            let place = mount_point.to_owned();
            in_mount_namespace(pid, move || umount2(place.as_str(), MntFlags::MNT_DETACH))
                .map_err(words)?;
        }
    }
    // A harness that was killed in between may have left it attached.
    let attached = host(
        "losetup",
        &["--noheadings", "--output", "NAME", "--associated", &image.to_string_lossy()],
    )
    .unwrap_or_default();
    for device in attached.split_whitespace() {
        host("losetup", &["--detach", device]).map_err(words)?;
    }
    match std::fs::remove_file(image) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(format!("{}: {e}", image.display())),
        _ => Ok(()),
    }
}
