//! Every name that a stack's files state, and a fresh one for each, drawn by seed.

use firedrill::plan::subject::LoadedStack;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a name names; a token that is several of these has one fresh name for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Stack.
    Stack,
    /// Service, job, source of logs, receiver: words that also stand in addresses.
    Service,
    /// Alert.
    Alert,
    /// Drill.
    Drill,
    /// Metric of the stack's own making, or recording rule.
    Metric,
    /// Journey, or a step of one: plain words, which are names only where a journey is spoken of.
    Journey,
}

/// Old name to kind and fresh name, and what index names begin with.
#[derive(Debug, Clone)]
pub struct Names {
    /// The mapping.
    pub fresh: BTreeMap<String, (Kind, String)>,
    /// Beginning of index names, old and fresh, and the sources that may follow it.
    pub indices: Option<(String, String, Vec<String>)>,
    /// Steps of journeys, as `journey/step`.
    pub steps: BTreeSet<String>,
}

impl Names {
    /// Names of a stack, mapped by a seed.
    pub fn of(read: &LoadedStack, seed: u64) -> Names {
        let declaration = &read.subject.declaration;
        let mut found: Vec<(String, Kind)> = vec![(declaration.stack.clone(), Kind::Stack)];
        let mut add = |names: Vec<String>, kind| found.extend(names.into_iter().map(|n| (n, kind)));
        add(read.stack.topology.names().cloned().collect(), Kind::Service);
        add(declaration.targets.iter().map(|t| t.job.clone()).collect(), Kind::Service);
        add(declaration.receivers.iter().map(|r| r.name.clone()).collect(), Kind::Service);
        add(
            configured(
                read,
                read.subject.declaration.roles.alerting.iter().next(),
                r"(?m)^\s*- name: ([\w-]+)\s*$",
            ),
            Kind::Service,
        );
        add(declaration.alerts.iter().map(|a| a.name.clone()).collect(), Kind::Alert);
        add(declaration.dead_mans_switches.iter().map(|s| s.name.clone()).collect(), Kind::Alert);
        add(read.subject.scenarios.keys().cloned().collect(), Kind::Drill);
        add(own_metrics(read), Kind::Metric);
        let mut steps = BTreeSet::new();
        for (name, journey) in declaration.workload.iter().flat_map(|w| &w.journeys) {
            add(vec![name.clone()], Kind::Journey);
            for step in &journey.steps {
                add(vec![step.name.clone()], Kind::Journey);
                steps.insert(format!("{name}/{}", step.name));
            }
        }
        let mut rng = StdRng::seed_from_u64(seed);
        let mut taken: BTreeSet<String> = found.iter().map(|(n, _)| n.clone()).collect();
        let mut fresh = BTreeMap::new();
        for (name, kind) in found {
            if fresh.contains_key(&name) {
                continue;
            }
            let mut drawn = draw(&mut rng, &name, kind);
            while !taken.insert(drawn.clone()) {
                drawn = draw(&mut rng, &name, kind);
            }
            fresh.insert(name, (kind, drawn));
        }
        let indices = declaration.logs.as_ref().and_then(|logs| {
            let sources: Vec<String> = logs.sources.iter().map(|s| s.source.clone()).collect();
            let first = logs.sources.first()?;
            let root = first.index_prefix.strip_suffix(&format!("{}-", first.source))?.to_owned();
            Some((root, format!("{}-", word(&mut rng)), sources))
        });
        Names { fresh, indices, steps }
    }

    /// The fresh name of something; what is no name of the stack stays.
    pub fn map<'a>(&'a self, name: &'a str) -> &'a str {
        self.fresh.get(name).map_or(name, |(_, fresh)| fresh)
    }

    /// A verdict's id after renaming.
    pub fn id(&self, id: &str) -> String {
        let part = |part: &str| match self.fresh.get(part) {
            Some((kind, fresh)) if *kind != Kind::Journey => fresh.clone(),
            _ => part.to_owned(),
        };
        id.split('.').map(part).collect::<Vec<_>>().join(".")
    }
}

/// What a pattern's group finds in the configuration file of a role, and in the files below its
/// folder.
fn configured(
    read: &LoadedStack,
    role: Option<&firedrill::declaration::Role>,
    pattern: &str,
) -> Vec<String> {
    let Some(config) = role.and_then(|r| r.config.as_ref()) else { return Vec::new() };
    let pattern = Regex::new(pattern).unwrap();
    let mut texts = Vec::new();
    gather(read.stack.folder.join(config).parent().unwrap(), &mut texts);
    texts
        .iter()
        .flat_map(|t| pattern.captures_iter(t).map(|c| c[1].to_owned()).collect::<Vec<_>>())
        .collect()
}

fn gather(folder: &Path, texts: &mut Vec<String>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            gather(&path, texts)
        } else {
            texts.extend(std::fs::read_to_string(&path))
        }
    }
}

/// Recording rules, and those metrics of the declared series that the Compose file itself makes.
fn own_metrics(read: &LoadedStack) -> Vec<String> {
    let mut metrics = configured(
        read,
        read.subject.declaration.roles.metrics.iter().next(),
        r"(?m)^\s*- record: ([\w:]+)\s*$",
    );
    let made =
        std::fs::read_to_string(read.stack.folder.join(&read.subject.declaration.compose)).unwrap();
    let word = Regex::new(r"[a-z_:][\w:]*").unwrap();
    let made: BTreeSet<&str> = word.find_iter(&made).map(|m| m.as_str()).collect();
    let declared = read
        .subject
        .declaration
        .series
        .iter()
        .filter_map(|s| word.find(s))
        .map(|m| m.as_str().to_owned());
    metrics.extend(declared.filter(|m| made.contains(m.as_str())));
    metrics
}

fn word(rng: &mut StdRng) -> String {
    const CONSONANTS: &[u8] = b"bdfgklmnprstvz";
    const VOWELS: &[u8] = b"aeiou";
    (0..3)
        .flat_map(|_| {
            [
                CONSONANTS[rng.random_range(0..CONSONANTS.len())],
                VOWELS[rng.random_range(0..VOWELS.len())],
            ]
        })
        .map(char::from)
        .collect()
}

/// A fresh name of the same form.
fn draw(rng: &mut StdRng, old: &str, kind: Kind) -> String {
    let capital = |w: String| w[..1].to_uppercase() + &w[1..];
    match kind {
        Kind::Stack => word(rng),
        Kind::Service => format!("{}-{}", word(rng), word(rng)),
        Kind::Alert => capital(word(rng)) + &capital(word(rng)),
        Kind::Drill | Kind::Journey => format!("{}_{}", word(rng), word(rng)),
        // As many levels as before.
        Kind::Metric => old
            .split(':')
            .map(|_| format!("{}_{}", word(rng), word(rng)))
            .collect::<Vec<_>>()
            .join(":"),
    }
}
