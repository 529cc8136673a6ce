//! What each mount of a Compose file becomes in a run, decided before anything starts, without an
//! engine: nothing of the owner's is ever mounted writable.
//!
//! | what is named | what is mounted |
//! |---|---|
//! | a path in the stack's folder | the same in the run's copy of that folder |
//! | data elsewhere, read-only | the original, read-only; a copy if a service of the stack writes there, or if it holds monitoring configuration |
//! | data elsewhere, writable | a copy, if it is small; else the run is refused, unless the owner says that it may be empty |
//! | a path that is not there | an empty folder of the run's own |
//! | a part of the host that exporters look at, a socket, a device | the original, read-only (which hinders nobody to speak to a socket) |
//! | an external volume, or one whose driver leads elsewhere | a volume of the run's own, see [`Origin`] |

mod carried_out;
pub(crate) mod copy;
pub(crate) mod place;

use super::work_copy::LEFT_OUT;
use super::{Deviation, Stack, StackError};
use crate::declaration::OwnerData;
use crate::engine::volume::is_bind;
use crate::stack::compose::{Content, Project, Service, ServiceVolume, Volume, VolumeSource};
use config::yaml::ConfigError;
use place::{Place, Special};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Why a path of the owner's is copied even if nobody writes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// There is no need.
    None,
    /// It holds monitoring configuration, which a run writes anew.
    Configuration,
    /// It was copied already.
    Copied,
}

/// What is mounted where.
#[derive(Debug, Clone, PartialEq)]
pub struct Mounts {
    folder: PathBuf,
    /// By service, in the order of the file.
    services: BTreeMap<String, Vec<Granted>>,
    /// Named volumes that are mounted as volumes, and what they are made from.
    pub(super) volumes: BTreeMap<String, Origin>,
    /// Files of configs and secrets, by service: real paths.
    contents: BTreeMap<String, BTreeSet<PathBuf>>,
    /// Those outside of the stack's folder of which the run has a copy, since it writes them anew.
    outside: BTreeSet<PathBuf>,
    /// Where that differs from what is written.
    pub deviations: BTreeSet<Deviation>,
}

#[derive(Debug, Clone, PartialEq)]
struct Granted {
    target: String,
    read_only: bool,
    propagation: Option<String>,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// In the run's copy of the stack's folder; made if it is not there.
    Folder(PathBuf),
    /// A copy of its own.
    Copy(PathBuf),
    /// An empty folder, known by this path.
    Empty(PathBuf),
    /// The original, read-only; `alone` without what is mounted below it.
    Original {
        path: PathBuf,
        alone: bool,
        too_much: Option<String>,
    },
    Volume {
        name: String,
        no_copy: bool,
    },
    Anonymous,
    Tmpfs {
        size: Option<i64>,
        mode: Option<u32>,
    },
}

/// What a named volume is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is the run's own.
    Own,
    /// An external one: if nobody writes to it, itself; else one of the run's own with a copy of
    /// what is in it if that can be had and is small, or with nothing.
    External { name: String, written: bool, empty: bool },
    /// Its driver would reach beyond the stack: an empty one of the run's own.
    Elsewhere,
}

/// A mount of the file, with volumes that are bind mounts in fact already told apart.
struct Wanted<'a> {
    service: &'a str,
    volume: &'a ServiceVolume,
    read_only: bool,
    bind: Option<Bind<'a>>,
}

struct Bind<'a> {
    path: &'a Path,
    create: bool,
    propagation: Option<&'a str>,
    place: Place,
}

/// The path that a volume of the local driver is a bind mount of, and whether it says that it is
/// read-only.
fn bound(volume: &Volume) -> Option<(&Path, bool)> {
    let local = volume.driver.as_deref().is_none_or(|driver| driver == "local");
    let options = volume.driver_opts.get("o").map_or("", String::as_str);
    let binds =
        is_bind(options) || volume.driver_opts.get("type").is_some_and(|kind| kind == "none");
    let device =
        volume.driver_opts.get("device").filter(|_| local && binds && volume.external.is_none())?;
    Some((Path::new(device), options.split(',').any(|option| option.trim() == "ro")))
}

/// Paths of the host, and texts, that a service sees, by the path inside: bind mounts, volumes that
/// are such in fact, configs, secrets.
pub(crate) fn shown<'a>(
    project: &'a Project,
    service: &'a Service,
) -> impl Iterator<Item = (&'a str, Shown<'a>)> {
    let volumes = service.volumes.iter().filter_map(|volume| match &volume.source {
        VolumeSource::Bind { path, .. } => Some((volume.target.as_str(), Shown::Path(path))),
        VolumeSource::Named { name, .. } => {
            Some((volume.target.as_str(), Shown::Path(bound(project.volumes.get(name)?)?.0)))
        }
        _ => None,
    });
    let configs =
        service.configs.iter().map(|mount| (mount, "configs", project.configs.get(&mount.source)));
    let secrets =
        service.secrets.iter().map(|mount| (mount, "secrets", project.secrets.get(&mount.source)));
    volumes.chain(configs.chain(secrets).filter_map(|(mount, group, content)| {
        let shown = match content? {
            Content::File(path) => Shown::Path(path),
            text @ Content::Text { .. } => Shown::Text(format!("{group}.{}", mount.source), text),
        };
        Some((mount.target.as_str(), shown))
    }))
}

/// What a service sees at a path.
pub(crate) enum Shown<'a> {
    /// A file or folder.
    Path(&'a Path),
    /// A text of the Compose file, and its name there.
    Text(String, &'a Content),
}

impl Stack {
    /// Decides what its services mount; see [`Mounts::plan`].
    ///
    /// # Errors
    /// As [`Mounts::plan`].
    pub fn mounts(&self, need: &dyn Fn(&Path) -> Need) -> Result<Mounts, StackError> {
        Ok(Mounts::plan(&self.project, &self.folder, &self.declaration.owner_data, need)?)
    }
}

impl Mounts {
    /// Decides. `folder` is the stack's, real; `need` says of a real path whether it must be
    /// copied.
    ///
    /// # Errors
    /// A mount without a source that may not be made, and, all at once, data of the owner's that
    /// would be written and is too much to copy.
    pub fn plan(
        project: &Project,
        folder: &Path,
        owners: &OwnerData,
        need: &dyn Fn(&Path) -> Need,
    ) -> Result<Mounts, ConfigError> {
        let wanted = wanted(project, folder);
        let mut mounts = Mounts {
            folder: folder.to_owned(),
            services: BTreeMap::new(),
            volumes: BTreeMap::new(),
            contents: BTreeMap::new(),
            outside: BTreeSet::new(),
            deviations: BTreeSet::new(),
        };
        for (name, service) in &project.services {
            for path in contents(project, service) {
                let (real, _) = place::real(path);
                if !real.starts_with(folder) && need(&real) != Need::None {
                    mounts.outside.insert(real.clone());
                }
                mounts.contents.entry(name.clone()).or_default().insert(real);
            }
        }
        let written: BTreeSet<&Path> = wanted
            .iter()
            .filter(|mount| !mount.read_only)
            .filter_map(|mount| match &mount.bind.as_ref()?.place {
                Place::Owners(real) => Some(real.as_path()),
                _ => None,
            })
            .collect();
        let empty: BTreeSet<PathBuf> = owners
            .empty
            .iter()
            .map(|path| place::real(&crate::stack::compose::absolute(path, folder)).0)
            .collect();
        let mut refused = Vec::new();
        for mount in &wanted {
            let granted = match &mount.bind {
                Some(bind) => match mounts.bind(mount, bind, &written, &empty, need)? {
                    Ok(granted) => granted,
                    Err(why) => {
                        refused.push((mount, bind.path, why));
                        continue;
                    }
                },
                None => mounts.volume(project, mount, owners),
            };
            mounts.services.entry(mount.service.to_owned()).or_default().push(granted);
        }
        if refused.is_empty() { Ok(mounts) } else { Err(too_much(&refused)) }
    }

    fn note(&mut self, mount: &Wanted<'_>, what: String, why: &str) {
        self.deviations
            .insert(Deviation { what: format!("{}: {what}", mount.service), why: why.to_owned() });
    }

    fn bind(
        &mut self,
        mount: &Wanted<'_>,
        bind: &Bind<'_>,
        written: &BTreeSet<&Path>,
        empty: &BTreeSet<PathBuf>,
        need: &dyn Fn(&Path) -> Need,
    ) -> Result<Result<Granted, String>, ConfigError> {
        let (shown, target) = (bind.path.display(), mount.volume.target.as_str());
        let mut granted = Granted {
            target: target.trim_end_matches('/').to_owned(),
            read_only: mount.read_only,
            propagation: bind.propagation.map(str::to_owned),
            what: What::Anonymous,
        };
        let original =
            |path: &Path| What::Original { path: path.to_owned(), alone: false, too_much: None };
        granted.what = match &bind.place {
            Place::Folder(real, there) => {
                if !there && !bind.create {
                    return Err(missing(mount, bind.path));
                }
                What::Folder(real.clone())
            }
            Place::Nothing(real) => {
                if !bind.create {
                    return Err(missing(mount, bind.path));
                }
                self.note(
                    mount,
                    format!("{shown} is not there: an empty folder of the run's own is mounted at {target}"),
                    "a run makes nothing in the owner's folders",
                );
                What::Empty(real.clone())
            }
            Place::Special(path, kind) => {
                self.special(mount, path, *kind);
                granted.read_only = true;
                original(path)
            }
            Place::System(path) => {
                self.system(mount, path);
                granted.read_only = true;
                original(path)
            }
            Place::Owners(real) if empty.contains(real) => {
                self.note(
                    mount,
                    format!(
                        "an empty {} takes the place of {shown} at {target}",
                        if real.is_file() { "file" } else { "folder" }
                    ),
                    "the owner says so: `owner_data.empty` in firedrill.yaml",
                );
                What::Empty(real.clone())
            }
            Place::Owners(real) => match self.owners(mount, bind, real, written, need(real)) {
                Ok(what) => what,
                Err(why) => return Ok(Err(why)),
            },
        };
        self.propagate(mount, bind, &mut granted);
        Ok(Ok(granted))
    }

    /// Whether what is mounted below it later shows on the other side.
    fn propagate(&mut self, mount: &Wanted<'_>, bind: &Bind<'_>, granted: &mut Granted) {
        let shown = bind.path.display();
        if let What::Original { .. } = granted.what {
            granted.read_only = true;
            if let Some(shared) =
                granted.propagation.as_deref().filter(|mode| mode.ends_with("shared"))
            {
                self.note(
                    mount,
                    format!("{shown} is mounted with propagation rslave instead of {shared}"),
                    "what a container mounts must not appear on the host",
                );
                granted.propagation = Some("rslave".into());
            }
        } else if granted.propagation.take().is_some_and(|mode| !mode.ends_with("private")) {
            self.note(
                mount,
                format!("{shown} is mounted without propagation"),
                "nothing is mounted below the run's own copy",
            );
        }
    }

    fn special(&mut self, mount: &Wanted<'_>, path: &Path, kind: Special) {
        let target = &mount.volume.target;
        let (what, why) = match kind {
            Special::Engine => (
                "the engine's socket is mounted".to_owned(),
                "whoever reads it can leave the stack: containment holds only as far as this service is trusted",
            ),
            Special::Socket => (
                format!("the host's socket {} is mounted at {target}", path.display()),
                "a socket can't be copied: what the service says there reaches a process outside of the stack",
            ),
            Special::Device => (
                format!("the host's device {} is mounted at {target}", path.display()),
                "a device can't be copied: what the service writes there reaches the host",
            ),
        };
        self.note(mount, what, why);
    }

    fn system(&mut self, mount: &Wanted<'_>, path: &Path) {
        let (shown, target) = (path.display(), &mount.volume.target);
        if !mount.read_only {
            self.note(
                mount,
                format!("the host's {shown} is mounted read-only at {target}"),
                "a run never writes to the host's own folders",
            );
        }
        if let Some(socket) = place::engine_below(path) {
            self.note(
                mount,
                format!("the host's {shown} is mounted at {target}, and with it the engine's socket {}", socket.display()),
                "whoever reads it can leave the stack: containment holds only as far as this service is trusted",
            );
        }
    }

    /// Data of the owner's: the original, a copy, or why there can be neither.
    fn owners(
        &mut self,
        mount: &Wanted<'_>,
        bind: &Bind<'_>,
        real: &Path,
        written: &BTreeSet<&Path>,
        need: Need,
    ) -> Result<What, String> {
        let (shown, target) = (bind.path.display(), &mount.volume.target);
        let is_written =
            written.iter().any(|path| path.starts_with(real) || real.starts_with(path));
        let mounts_below = place::has_mounts_below(real);
        let original =
            |too_much| What::Original { path: real.to_owned(), alone: mounts_below, too_much };
        if let Some(socket) = place::engine_below(real) {
            self.note(
                mount,
                format!("{shown} is mounted at {target}, and with it the engine's socket {}", socket.display()),
                "whoever reads it can leave the stack: containment holds only as far as this service is trusted",
            );
        }
        if need != Need::Copied {
            let mut why = String::new();
            if mount.read_only && !is_written && need == Need::None {
                if mounts_below {
                    self.alone(mount, bind);
                }
                return Ok(original(None));
            }
            match copy::measure(real, &runs()) {
                Ok(seen) if seen.is_small() => {}
                Ok(seen) => why = seen.told(),
                Err(error) => why = format!("can't be read: {error}"),
            }
            if !why.is_empty() {
                if !mount.read_only {
                    return Err(why);
                }
                if is_written {
                    let what =
                        format!("{shown} is mounted as it is at {target}: {why}, too much to copy");
                    self.note(
                        mount,
                        what,
                        "what other services of the stack write there goes into copies, and is not seen through this mount",
                    );
                }
                if mounts_below {
                    self.alone(mount, bind);
                }
                return Ok(original(Some(why)));
            }
        }
        let why = if mount.read_only && !is_written {
            "it holds monitoring configuration, which a run writes anew"
        } else {
            "what a run writes must not reach the owner's data, and goes with the run"
        };
        self.note(mount, format!("a copy of {shown} is mounted at {target}"), why);
        Ok(What::Copy(real.to_owned()))
    }

    fn alone(&mut self, mount: &Wanted<'_>, bind: &Bind<'_>) {
        let what = format!(
            "{} is mounted at {} without the file systems below it",
            bind.path.display(),
            mount.volume.target
        );
        self.note(mount, what, "engines before version 25 would leave them writable");
    }

    fn volume(&mut self, project: &Project, mount: &Wanted<'_>, owners: &OwnerData) -> Granted {
        let what = match &mount.volume.source {
            VolumeSource::Named { name, no_copy } => {
                let origin = project
                    .volumes
                    .get(name)
                    .map_or(Origin::Own, |volume| origin(volume, name, owners));
                let known = self.volumes.entry(name.clone()).or_insert(origin);
                if let Origin::External { written, .. } = known {
                    *written |= !mount.read_only;
                }
                if *known == Origin::Elsewhere {
                    let what = format!(
                        "an empty volume of the run's own takes the place of volume {name}"
                    );
                    self.note(
                        mount,
                        what,
                        "its driver or its options lead to data outside of the stack",
                    );
                }
                What::Volume { name: name.clone(), no_copy: *no_copy }
            }
            VolumeSource::Tmpfs { size, mode } => What::Tmpfs { size: *size, mode: *mode },
            VolumeSource::Anonymous | VolumeSource::Bind { .. } => What::Anonymous,
        };
        Granted {
            target: mount.volume.target.trim_end_matches('/').to_owned(),
            read_only: mount.read_only,
            propagation: None,
            what,
        }
    }
}

/// Where the run's state is, which is no data of the owner's.
fn runs() -> PathBuf {
    crate::journal::Journal::of_user().home().join("runs")
}

/// Files of the configs and secrets that a service uses.
fn contents<'a>(project: &'a Project, service: &'a Service) -> impl Iterator<Item = &'a Path> {
    let configs = service.configs.iter().filter_map(|mount| project.configs.get(&mount.source));
    let secrets = service.secrets.iter().filter_map(|mount| project.secrets.get(&mount.source));
    configs.chain(secrets).filter_map(|content| match content {
        Content::File(path) => Some(path.as_path()),
        Content::Text { .. } => None,
    })
}

fn wanted<'a>(project: &'a Project, folder: &Path) -> Vec<Wanted<'a>> {
    let mut wanted: Vec<Wanted<'a>> = Vec::new();
    for (name, service) in &project.services {
        for volume in &service.volumes {
            let named = match &volume.source {
                VolumeSource::Named { name, .. } => project.volumes.get(name).and_then(bound),
                _ => None,
            };
            let bind = match (&volume.source, named) {
                (VolumeSource::Bind { path, create, propagation }, _) => {
                    Some((path.as_path(), *create, propagation.as_deref()))
                }
                (_, Some((path, _))) => Some((path, false, None)),
                _ => None,
            };
            let bind = bind.map(|(path, create, propagation)| Bind {
                path,
                create,
                propagation,
                place: place::look(path, folder, &LEFT_OUT),
            });
            let read_only = volume.read_only || named.is_some_and(|(_, read_only)| read_only);
            // The later of two mounts at one place wins, as in Compose.
            let at = |volume: &ServiceVolume| volume.target.trim_end_matches('/').to_owned();
            wanted.retain(|known| known.service != name || at(known.volume) != at(volume));
            wanted.push(Wanted { service: name, volume, read_only, bind });
        }
    }
    wanted
}

fn origin(volume: &Volume, name: &str, owners: &OwnerData) -> Origin {
    if let Some(external) = &volume.external {
        let empty = owners.empty.iter().any(|listed| listed == name || listed == external);
        return Origin::External { name: external.clone(), written: false, empty };
    }
    let local = volume.driver.as_deref().is_none_or(|driver| driver == "local");
    let memory = volume.driver_opts.get("type").is_some_and(|kind| kind == "tmpfs");
    if local && (memory || !volume.driver_opts.contains_key("device")) {
        Origin::Own
    } else {
        Origin::Elsewhere
    }
}

fn missing(mount: &Wanted<'_>, path: &Path) -> ConfigError {
    ConfigError::at(
        &mount.volume.mark,
        format!("services.{}.volumes: there is no {} to mount", mount.service, path.display()),
        "make it, or correct the path; it is relative to the Compose file",
    )
}

/// One error for all data that can neither be copied nor be written.
fn too_much(refused: &[(&Wanted<'_>, &Path, String)]) -> ConfigError {
    let lines: Vec<String> = refused
        .iter()
        .map(|(mount, path, why)| {
            let (mark, target) = (&mount.volume.mark, &mount.volume.target);
            format!(
                "\n  {}:{}: {} at {target} of {}: {why}",
                mark.file.display(),
                mark.line,
                path.display(),
                mount.service
            )
        })
        .collect();
    let (most, files) = (copy::MOST_BYTES >> 20, copy::MOST_FILES);
    ConfigError::at(
        &refused[0].0.volume.mark,
        format!(
            "the owner's data would be written, and is too much to copy (at most {most} MiB and {files} files and folders); nothing was started:{}",
            lines.concat()
        ),
        "mount it read-only (`:ro`), put a small one into the stack's folder, or let an empty one take its place: `owner_data: {empty: [PATH, …]}` in firedrill.yaml",
    )
}

#[cfg(test)]
#[path = "mounts/tests.rs"]
mod tests;
