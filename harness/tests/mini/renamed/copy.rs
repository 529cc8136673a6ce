//! A renamed copy of a stack: its folder with the scenarios, features and baseline that apply to
//! it.

use super::names::{Kind, Names};
use super::rewrite::{Manner, Rewriter};
use firedrill::plan::subject::LoadedStack;
use firedrill::process::home::Home;
use std::path::Path;

/// Folders whose files are configuration in a program's own language, where the stack's names are
/// hosts of addresses.
const FOREIGN: [&str; 8] = [
    "otel-collector",
    "postfix",
    "dovecot",
    "blackbox-exporter",
    "postgres-exporter",
    "elasticsearch",
    "logstash",
    "redis",
];

/// Writes the copy into a folder.
pub fn make(read: &LoadedStack, home: &Home, names: &Names, to: &Path) -> std::io::Result<()> {
    let rewriter = Rewriter::new(names);
    let stack = &read.stack.folder;
    tree(
        stack,
        to,
        &|path| {
            let top = path
                .strip_prefix(stack)
                .ok()
                .and_then(|p| p.components().next())
                .map(|c| c.as_os_str().to_string_lossy().into_owned())
                .unwrap_or_default();
            match top.as_str() {
                "journeys" => Manner::Journeys,
                top if FOREIGN.contains(&top) => Manner::Hosts,
                _ => Manner::Words,
            }
        },
        names,
        &rewriter,
    )?;
    let name = &read.subject.declaration.stack;
    // A stack's own come first; ours are for those that have none.
    let scenarios = home.scenarios().join(name);
    if !stack.join("scenarios").exists() && scenarios.is_dir() {
        tree(&scenarios, &to.join("scenarios"), &|_| Manner::Words, names, &rewriter)?;
    }
    if !stack.join("features").exists() {
        tree(&read.features, &to.join("features"), &|_| Manner::Words, names, &rewriter)?;
    }
    let baseline = home.scenarios().join("baselines").join(format!("{name}.yaml"));
    if !stack.join("baseline.yaml").exists() && baseline.is_file() {
        std::fs::write(
            to.join("baseline.yaml"),
            rewriter.text(Manner::Words, &std::fs::read_to_string(baseline)?),
        )?;
    }
    Ok(())
}

fn tree(
    from: &Path,
    to: &Path,
    manner: &dyn Fn(&Path) -> Manner,
    names: &Names,
    rewriter: &Rewriter<'_>,
) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            tree(&path, &to.join(file), manner, names, rewriter)?;
            continue;
        }
        if file == "README.md" {
            continue;
        }
        // A scenario's file is called as the drill, a journey's as the journey.
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let target = match names.fresh.get(&stem) {
            Some((Kind::Drill, fresh)) => to.join(file.replacen(&stem, fresh, 1)),
            Some((Kind::Journey, fresh)) if manner(&path) == Manner::Journeys => {
                to.join(file.replacen(&stem, fresh, 1))
            }
            _ => to.join(&file),
        };
        std::fs::write(&target, rewriter.text(manner(&path), &std::fs::read_to_string(&path)?))?;
        std::fs::set_permissions(&target, path.metadata()?.permissions())?;
    }
    Ok(())
}
