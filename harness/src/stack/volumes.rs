//! Named volumes: each the run's own. What is in an external one is copied, never written.

use super::mounts::{Mounts, Origin, copy};
use super::resolve::volume_name;
use super::{Deviation, StackError};
use crate::engine::Engine;
use crate::engine::label::Owner;
use crate::stack::compose::Project;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What becomes of the external volumes, once the engine was asked.
#[derive(Debug, Default)]
pub(super) struct Externals {
    /// Those that are mounted themselves, read-only: name in the file to the engine's.
    pub as_they_are: BTreeMap<String, String>,
    /// Folders whose content is copied into the run's own volume, by name in the file.
    copied: BTreeMap<String, PathBuf>,
}

/// Asks the engine what there is, and decides; nothing is made yet.
pub(super) async fn externals(
    engine: &Engine,
    mounts: &Mounts,
    deviations: &mut BTreeSet<Deviation>,
) -> Result<Externals, StackError> {
    let mut externals = Externals::default();
    for (key, origin) in &mounts.volumes {
        let Origin::External { name, written, empty } = origin else { continue };
        let mut note = |what: String, why: String| deviations.insert(Deviation { what, why });
        let instead = |with: &str| {
            format!("a volume of the run's own, {with}, takes the place of external volume {name}")
        };
        let owners = "it is the owner's own, and is never written";
        if *empty {
            note(
                instead("empty"),
                "the owner says so: `owner_data.empty` in firedrill.yaml".into(),
            );
            continue;
        }
        let Some(found) = engine.volume(name).await? else {
            note(instead("empty"), "the engine has no such volume".into());
            continue;
        };
        if !written {
            note(format!("external volume {name} is mounted read-only, as it is"), owners.into());
            externals.as_they_are.insert(key.clone(), name.clone());
            continue;
        }
        match found.map_or(Err("its driver does not tell where it is".to_owned()), |folder| {
            copied(&folder)
        }) {
            Ok(folder) => {
                note(instead("with a copy of what is in it"), owners.into());
                externals.copied.insert(key.clone(), folder);
            }
            Err(why) => {
                note(instead("empty"), format!("{owners}, and it can't be copied: {why}"));
            }
        }
    }
    Ok(externals)
}

fn copied(folder: &Path) -> Result<PathBuf, String> {
    match copy::measure(folder, Path::new("")) {
        Ok(size) if size.is_small() => Ok(folder.to_path_buf()),
        Ok(size) => Err(format!("it holds {}, too much", size.told())),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    }
}

/// The external volumes that a stack which is up mounts themselves: those for which it has none of
/// its own.
pub(super) async fn as_they_are(
    engine: &Engine,
    project: &str,
    mounts: &Mounts,
) -> Result<BTreeMap<String, String>, StackError> {
    let mut found = BTreeMap::new();
    for (key, origin) in &mounts.volumes {
        if let Origin::External { name, written: false, .. } = origin
            && engine.volume(&volume_name(project, key)).await?.is_none()
        {
            found.insert(key.clone(), name.clone());
        }
    }
    Ok(found)
}

/// Makes the run's volumes.
pub(super) async fn make(
    engine: &Engine,
    owner: &Owner,
    project: &Project,
    mounts: &Mounts,
    externals: &Externals,
) -> Result<(), StackError> {
    for (name, volume) in &project.volumes {
        // One that nobody mounts as a volume is a bind mount, or is not used.
        let Some(origin) =
            mounts.volumes.get(name).filter(|_| !externals.as_they_are.contains_key(name))
        else {
            continue;
        };
        let mut labels = volume.labels.clone();
        labels.extend(owner.labels());
        labels.insert("com.docker.compose.volume".into(), name.clone());
        let full = volume_name(&owner.project, name);
        let nothing = BTreeMap::new();
        let (driver, options) = if *origin == Origin::Own {
            (volume.driver.as_deref(), &volume.driver_opts)
        } else {
            (None, &nothing)
        };
        engine.create_volume(&full, driver, options, &labels).await?;
        if let Some(from) = externals.copied.get(name)
            && let Some(Some(to)) = engine.volume(&full).await?
        {
            fill(from, &to).map_err(StackError::files(format!(
                "copying {} to {}",
                from.display(),
                to.display()
            )))?;
        }
    }
    Ok(())
}

/// Copies what is in a volume, with the permissions and owner of the volume itself, into one that
/// was just made.
fn fill(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, lchown};
    copy::copy(from, to, Path::new(""))?;
    let found = std::fs::metadata(from)?;
    lchown(to, Some(found.uid()), Some(found.gid()))?;
    std::fs::set_permissions(to, found.permissions())
}
