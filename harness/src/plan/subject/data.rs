//! Where a stack's monitoring configuration comes from, through which mounts, and whether what a
//! run writes in its place gets there.

use super::Error;
use super::source::{Mount, Source, Text};
use crate::declaration::{Role, kinds};
use crate::stack::mounts::place;
use crate::stack::topology::{self, Shown};
use crate::stack::{Mounts, Need, Stack, absolute};
use crate::yaml;
use config::monitoring::{RenderedFile, ServerKind};
use config::yaml::Place;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The servers of the declaration that have a monitoring configuration, as the parser wants them.
pub(crate) fn sources(stack: &Stack) -> Result<Vec<Source>, Error> {
    let (folder, roles) = (stack.folder.as_path(), &stack.declaration.roles);
    let mut sources = Vec::new();
    let stated = roles.stated().into_iter();
    for (key, role) in stated.flat_map(|(key, all)| all.into_iter().map(move |role| (key, role))) {
        let Some(kind) = kinds::kind(&role.kind).and_then(|kind| kind.configuration) else {
            continue;
        };
        let Some(service) = stack.topology.services.get(&role.service) else { continue };
        let mut source = Source::new(kind, &role.service, PathBuf::new());
        source.config = None;
        source.command = service.command.clone().unwrap_or_default();
        source.environment = service.environment.clone();
        for (inside, shown) in service.shown.iter().cloned() {
            match shown {
                Shown::Path(host) => source.mounts.push(Mount { inside, host }),
                Shown::Text(stated) => source.texts.push(text(inside, stated)),
            }
        }
        let known = kind == ServerKind::Elasticsearch || configured(folder, role, &mut source);
        if let Some(other) = another(&source).filter(|_| known && service.entrypoint.is_none()) {
            let named = role.config.as_deref().unwrap_or_default();
            let what =
                format!("roles.{key}.config: seen {named}, but {} reads {other}", role.service);
            let hint = "name the file that the server reads, or leave `config` out where the Compose file tells it";
            return Err(yaml::error_at(
                &folder.join("firedrill.yaml"),
                &["roles", key, "config"],
                what,
                hint,
            )
            .into());
        }
        if !known {
            if kind == ServerKind::Shipper {
                continue;
            }
            let hint = "name its configuration file with `config:`, relative to firedrill.yaml";
            let what = format!("roles.{key}: `config` is missing");
            return Err(yaml::error_at(
                &folder.join("firedrill.yaml"),
                &["roles", key],
                what,
                hint,
            )
            .into());
        }
        sources.push(source);
    }
    Ok(sources)
}

/// Fills in which file is the server's configuration and where it is inside; false if that is not
/// known.
fn configured(folder: &Path, role: &Role, source: &mut Source) -> bool {
    let expected = source.expected();
    let Some(config) = &role.config else {
        // What is mounted where the server looks is what it reads.
        source.config = source.at(&expected);
        source.inside = expected;
        return source.has_configuration();
    };
    let config = absolute(config, folder);
    // Where the file itself or its folder is mounted tells its path inside: where the server looks
    // for it, if it is there too.
    let (real, _) = place::real(&config);
    let inside: Vec<PathBuf> = source
        .mounts
        .iter()
        .filter_map(|mount| {
            let below = config.strip_prefix(&mount.host).ok().map(Path::to_owned);
            let below = below.or_else(|| {
                real.strip_prefix(place::real(&mount.host).0).ok().map(Path::to_owned)
            })?;
            Some(if below.as_os_str().is_empty() {
                mount.inside.clone()
            } else {
                mount.inside.join(below)
            })
        })
        .collect();
    if let Some(at) = inside.iter().find(|path| **path == expected).or(inside.last()) {
        source.inside.clone_from(at);
    }
    source.config = Some(config);
    true
}

/// What a server finds where it looks for its configuration, if that is mounted there and is not
/// the file that is named.
fn another(source: &Source) -> Option<String> {
    let told = [ServerKind::Prometheus, ServerKind::Alertmanager, ServerKind::Collector]
        .contains(&source.kind);
    let (config, expected) = (source.config.as_ref().filter(|_| told)?, source.expected());
    let text =
        source.texts.iter().find(|text| text.inside == expected).map(|text| text.name.clone());
    let found = text.or_else(|| {
        let file =
            source.at(&expected).filter(|file| place::real(file).0 != place::real(config).0)?;
        Some(file.display().to_string())
    })?;
    Some(format!("{found} (at {})", expected.display()))
}

fn text(inside: PathBuf, stated: topology::Text) -> Text {
    let topology::Text { name, text, file, line, follows } = stated;
    // A text of several lines is marked where its first line stands, as one of a single line is.
    Text { inside, name, text, file, before: line.saturating_sub(1), spread: follows }
}

/// What the stack's containers mount; what holds its monitoring configuration is the run's own
/// wherever it can be.
pub(super) fn mounts(stack: &Stack, files: &[RenderedFile]) -> Result<Mounts, Error> {
    let configuration: BTreeSet<PathBuf> = files
        .iter()
        .filter(|file| file.within.is_none())
        .map(|file| place::real(&file.original).0)
        .collect();
    let need = |real: &Path| {
        if configuration.iter().any(|file| file.starts_with(real)) {
            Need::Configuration
        } else {
            Need::None
        }
    };
    let owners = &stack.declaration.owner_data;
    let mounts = stack.mounts(&need)?;
    if let Some(at) = owners.empty.iter().position(|path| !mounts.empties(path, &stack.folder)) {
        let what = format!(
            "owner_data.empty: no service mounts {} from outside of the stack's folder",
            owners.empty[at]
        );
        let hint = "write the source of a mount as the Compose file has it (a path, or an external volume's name), or remove the line";
        return Err(yaml::error_at(
            &stack.declaration_file,
            &["owner_data", "empty", &at.to_string()],
            what,
            hint,
        )
        .into());
    }
    Ok(mounts)
}

/// Files that the servers would read as they are written, whatever a run writes in their place, and
/// why.
pub(super) fn unscalable(mounts: &Mounts, files: &[RenderedFile]) -> Vec<(Place, String)> {
    let why = |file: &RenderedFile| {
        let why =
            mounts.out_of_reach(&file.service, &file.original).filter(|_| file.within.is_none())?;
        Some((Place::of(&file.original), why))
    };
    files.iter().filter_map(why).collect()
}
