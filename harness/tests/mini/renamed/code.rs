//! No code of the harness may know a stack's names.

use firedrill::plan::subject::LoadedStack;
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;

/// Names of a stack that appear in strings of code that is no test, with the place. Names that are
/// also the kind of a server are those of programs and may be known.
pub fn names_known(read: &LoadedStack, sources: &[&Path]) -> Vec<String> {
    let declaration = &read.subject.declaration;
    let kinds: BTreeSet<&str> = declaration.roles.servers().map(|r| r.kind.as_str()).collect();
    // Receivers named as the protocol that they speak are words of the protocol.
    let protocols: BTreeSet<String> = declaration
        .receivers
        .iter()
        .filter_map(|r| serde_json::to_value(r.protocol).ok()?.as_str().map(str::to_owned))
        .collect();
    let alerts = declaration
        .alerts
        .iter()
        .map(|a| &a.name)
        .chain(declaration.dead_mans_switches.iter().map(|s| &s.name))
        .map(String::as_str);
    let jobs = declaration.targets.iter().flat_map(|t| [t.job.as_str(), t.service.as_str()]);
    let receivers = declaration.receivers.iter().map(|r| r.name.as_str());
    let drills = read.subject.scenarios.keys().map(String::as_str);
    let journeys = declaration.workload.iter().flat_map(|w| &w.journeys).flat_map(|(name, j)| {
        std::iter::once(name.as_str()).chain(j.steps.iter().map(|step| step.name.as_str()))
    });
    let compound = |n: &&str| !kinds.contains(n) && !protocols.iter().any(|p| p.starts_with(*n));
    // One plain word (`redis`, `spare`) says nothing; a compound one can only have come from the
    // stack.
    let names: BTreeSet<&str> = jobs
        .chain(receivers)
        .chain(drills)
        .chain(journeys)
        .filter(|n| n.contains(['-', '_']))
        .chain(alerts)
        .filter(compound)
        .collect();
    assert!(!names.is_empty(), "{} states no names", declaration.stack);
    let mut known = Vec::new();
    for source in sources {
        search(source, &names, &mut known);
    }
    known
}

fn search(folder: &Path, names: &BTreeSet<&str>, known: &mut Vec<String>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            search(&path, names, known);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            if is_test(&path, folder) {
                continue;
            }
            let code = text.lines().take_while(|l| !l.starts_with("#[cfg(test)]")).enumerate();
            for (at, line) in code.filter(|(_, l)| !l.trim_start().starts_with("//")) {
                known.extend(
                    names
                        .iter()
                        .filter(|n| line.contains(**n))
                        .map(|n| format!("{}:{}: {n}", path.display(), at + 1)),
                );
            }
        }
    }
}

/// Whether a file is a module that its parent declares under `#[cfg(test)]`.
fn is_test(path: &Path, folder: &Path) -> bool {
    let module = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let parents = [folder.with_extension("rs"), folder.join("lib.rs")];
    let declared = Regex::new(&format!(
        r"#\[cfg\(test\)\]\n(pub(\([a-z]+\))? )?mod {};",
        regex::escape(&module)
    ))
    .unwrap();
    parents.iter().filter_map(|p| std::fs::read_to_string(p).ok()).any(|p| declared.is_match(&p))
}
