//! Mounts that were decided, carried out: copies made, mounts for the engine, and where a file has
//! to be written to be seen.

use super::{Granted, Mounts, Origin, What, place};
use crate::engine::spec::MountSpec;
use crate::stack::resolve::volume_name;
use crate::stack::work_copy::WorkCopy;
use crate::stack::{Deviation, StackError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

impl Mounts {
    /// External volumes, as they are told before an engine was asked about them.
    pub(in crate::stack) fn told_externals(&self) -> impl Iterator<Item = Deviation> {
        self.volumes.values().filter_map(|origin| {
            let Origin::External { name, written, empty } = origin else { return None };
            let what = match (empty, written) {
                (true, _) => format!("an empty volume of the run's own takes the place of external volume {name}"),
                (_, false) => format!("external volume {name} is mounted read-only as it is, or an empty one if it is not there"),
                (_, true) => format!(
                    "a volume of the run's own takes the place of external volume {name}, with a copy of what is in it if that is small, else empty"
                ),
            };
            Some(Deviation { what, why: "it is the owner's own, and is never written".into() })
        })
    }

    /// Puts what is mounted into the run's folder: copies, and folders that are to be made. What is
    /// there stays.
    ///
    /// # Errors
    /// [`StackError::Files`] when something can't be read or written.
    pub fn bring(&self, work: &WorkCopy) -> Result<(), StackError> {
        let all: BTreeMap<&Path, &What> = self
            .services
            .values()
            .flatten()
            .filter_map(|granted| match &granted.what {
                What::Folder(path) | What::Copy(path) | What::Empty(path) => {
                    Some((path.as_path(), &granted.what))
                }
                _ => None,
            })
            .collect();
        for path in &self.outside {
            work.bring(path)?;
        }
        // Folders before what is in them, since paths sort so.
        for (path, what) in all {
            let to = source(work, &self.folder, what);
            let done = match what {
                What::Copy(_) => {
                    work.bring(path)?;
                    Ok(())
                }
                _ if to.exists() => Ok(()),
                What::Empty(_) if path.is_file() => {
                    std::fs::create_dir_all(to.parent().unwrap_or(&to))
                        .and_then(|()| std::fs::File::create(&to))
                        .map(drop)
                }
                _ => std::fs::create_dir_all(&to),
            };
            done.map_err(StackError::files(format!("making {}", to.display())))?;
        }
        Ok(())
    }

    /// The mounts of a service. `as_they_are` are the external volumes that are mounted themselves,
    /// by their names in the file.
    pub(in crate::stack) fn specs(
        &self,
        service: &str,
        work: &WorkCopy,
        project: &str,
        as_they_are: &BTreeMap<String, String>,
    ) -> Vec<MountSpec> {
        let spec = |granted: &Granted| {
            let (target, read_only) = (granted.target.clone(), granted.read_only);
            match &granted.what {
                What::Volume { name, no_copy } => {
                    let external = as_they_are.get(name);
                    let source = external.cloned().unwrap_or_else(|| volume_name(project, name));
                    // The engine fills an empty volume with what the image has there, also one that
                    // is mounted read-only.
                    let (read_only, no_copy) =
                        (read_only || external.is_some(), *no_copy || external.is_some());
                    MountSpec::Volume { source: Some(source), target, read_only, no_copy }
                }
                What::Anonymous => {
                    MountSpec::Volume { source: None, target, read_only, no_copy: false }
                }
                What::Tmpfs { size, mode } => MountSpec::Tmpfs { target, size: *size, mode: *mode },
                what => MountSpec::Bind {
                    source: source(work, &self.folder, what),
                    target,
                    read_only,
                    propagation: granted.propagation.clone(),
                    alone: matches!(what, What::Original { alone: true, .. }),
                },
            }
        };
        self.services.get(service).into_iter().flatten().map(spec).collect()
    }

    /// Where a text that takes the place of a file has to be written so that a service sees it: in
    /// each copy that it mounts.
    pub fn places(&self, work: &WorkCopy, service: &str, file: &Path) -> BTreeSet<PathBuf> {
        let (real, _) = place::real(file);
        let granted = self.services.get(service).into_iter().flatten();
        let content = self
            .contents
            .get(service)
            .filter(|files| files.contains(&real))
            .and_then(|_| work.place(&real));
        granted
            .filter_map(|granted| match &granted.what {
                what @ (What::Folder(path) | What::Copy(path)) => {
                    Some(source(work, &self.folder, what).join(real.strip_prefix(path).ok()?))
                        .map(|path| path.components().collect())
                }
                _ => None,
            })
            .chain(content)
            .collect()
    }

    /// Whether what the owner lets be empty is mounted by a service.
    pub fn empties(&self, listed: &str, folder: &Path) -> bool {
        let (real, _) = place::real(&crate::stack::compose::absolute(listed, folder));
        let is_volume = |(key, origin): (&String, &Origin)| matches!(origin, Origin::External { name, .. } if name == listed || key == listed);
        self.volumes.iter().any(is_volume)
            || self.services.values().flatten().any(|g| g.what == What::Empty(real.clone()))
    }

    /// Whether a file comes to a service as a config or secret, which is put into the container
    /// once, before it starts.
    pub fn is_content(&self, service: &str, file: &Path) -> bool {
        self.contents.get(service).is_some_and(|files| files.contains(&place::real(file).0))
    }

    /// Whether a service mounts the run's copy of a file, so that it sees what is written there
    /// while it runs.
    pub fn is_mounted(&self, service: &str, file: &Path) -> bool {
        let (real, _) = place::real(file);
        let is_inside = real.starts_with(&self.folder);
        self.services.get(service).into_iter().flatten().any(|granted| match &granted.what {
            What::Folder(path) => is_inside && real.starts_with(path),
            What::Copy(path) => !is_inside && real.starts_with(path),
            _ => false,
        })
    }

    /// Why what is written in the place of a file does not reach a service through its mounts; none
    /// if it does.
    pub fn out_of_reach(&self, service: &str, file: &Path) -> Option<String> {
        let (real, _) = place::real(file);
        let holds = |path: &Path| real.starts_with(path);
        let granted = || self.services.get(service).into_iter().flatten();
        if self.is_content(service, file)
            || granted().any(|granted| matches!(&granted.what, What::Folder(path) | What::Copy(path) if holds(path)))
        {
            return None;
        }
        let too_much = granted().find_map(|granted| match &granted.what {
            What::Original { path, too_much: Some(why), .. } if holds(path) => Some((path, why)),
            _ => None,
        });
        Some(match too_much {
            Some((path, why)) => format!(
                "it is mounted with all of {} ({why}), which is too much to copy",
                path.display()
            ),
            None => format!(
                "no mount of service {service} shows it, so another file is what the service reads"
            ),
        })
    }
}

fn source(work: &WorkCopy, folder: &Path, what: &What) -> PathBuf {
    match what {
        What::Folder(path) => work
            .folder
            .join(path.strip_prefix(folder).unwrap_or(Path::new("")))
            .components()
            .collect(),
        What::Copy(path) => work.outside(path),
        What::Empty(path) => work.empty(path),
        What::Original { path, .. } => path.clone(),
        What::Volume { .. } | What::Anonymous | What::Tmpfs { .. } => PathBuf::new(),
    }
}
