//! Which build comes next: parents first, then whatever the longest wait hangs on.

use super::Kind;
use super::catalogue::{Catalogue, Image};
use std::collections::{BTreeMap, BTreeSet};

/// Builds at a time; one of them may be a [heavy](Schedule::is_heavy) one.
pub(super) const AT_ONCE: usize = 2;

/// The builds of one call.
pub(super) struct Schedule<'a> {
    open: BTreeMap<&'a str, &'a Image>,
    running: BTreeSet<&'a str>,
    priority: BTreeMap<&'a str, u64>,
}

impl<'a> Schedule<'a> {
    /// `missing` are the images to be built; parents that are not among them exist.
    pub fn new(missing: &[&'a Image]) -> Self {
        let open: BTreeMap<&str, &Image> = missing.iter().map(|i| (i.name.as_str(), *i)).collect();
        let mut priority = BTreeMap::new();
        for name in open.keys() {
            wait(name, &open, &mut priority);
        }
        Self { open, running: BTreeSet::new(), priority }
    }

    /// The next build, if one may begin now.
    pub fn next(&mut self) -> Option<&'a Image> {
        if self.running.len() >= AT_ONCE {
            return None;
        }
        let heavy_runs =
            self.running.iter().any(|n| self.open.get(n).is_some_and(|i| Self::is_heavy(i)));
        let next = self
            .open
            .values()
            .filter(|i| !self.running.contains(i.name.as_str()))
            .filter(|i| !(heavy_runs && Self::is_heavy(i)))
            .filter(|i| i.needs.iter().all(|n| !self.open.contains_key(n.as_str())))
            .max_by_key(|i| {
                (
                    self.priority.get(i.name.as_str()).copied().unwrap_or(0),
                    std::cmp::Reverse(i.name.as_str()),
                )
            })
            .copied()?;
        self.running.insert(&next.name);
        Some(next)
    }

    /// A build has ended well.
    pub fn done(&mut self, name: &str) {
        self.running.remove(name);
        self.open.remove(name);
    }

    /// A build has failed: it and what hangs on it will not be; returns their names.
    pub fn failed(&mut self, name: &str) -> Vec<&'a str> {
        let mut lost: Vec<&str> = self.open.keys().copied().filter(|open| *open == name).collect();
        let mut at = 0;
        while let Some(parent) = lost.get(at).copied() {
            let children = self
                .open
                .values()
                .filter(|i| i.needs.iter().any(|n| n == parent))
                .map(|i| i.name.as_str());
            let children: Vec<&str> = children.filter(|child| !lost.contains(child)).collect();
            lost.extend(children);
            at += 1;
        }
        for name in &lost {
            self.done(name);
        }
        lost
    }

    /// Go's compiler uses all cores and much memory: one at a time.
    pub fn is_heavy(image: &Image) -> bool {
        image.needs.iter().any(|n| n == "gobuild")
    }
}

/// Seconds from the begin of a build until all that hangs on it is built.
fn wait<'a>(
    name: &'a str,
    open: &BTreeMap<&'a str, &'a Image>,
    known: &mut BTreeMap<&'a str, u64>,
) -> u64 {
    if let Some(known) = known.get(name) {
        return *known;
    }
    let after = open
        .values()
        .filter(|i| i.needs.iter().any(|n| n == name))
        .map(|i| wait(&i.name, open, known))
        .max()
        .unwrap_or(0);
    let all = open.get(name).map_or(0, |i| i.seconds) + after;
    known.insert(name, all);
    all
}

/// Adds `name` and those of its parents that are to be built, given which images exist. Of an image
/// that exists, the parents are not needed.
pub(super) fn missing<'a>(
    catalogue: &'a Catalogue,
    name: &str,
    exists: &BTreeSet<String>,
    into: &mut BTreeMap<&'a str, &'a Image>,
) {
    let Some(image) = catalogue.get(name) else { return };
    if exists.contains(name) || image.kind == Kind::Files || into.contains_key(name) {
        return;
    }
    into.insert(&image.name, image);
    for parent in &image.needs {
        missing(catalogue, parent, exists, into);
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::tests::image;
    use super::*;

    #[test]
    fn parents_come_first_and_the_longest_way_before_shorter_ones() {
        let timed = |name: &str, needs: &[&str], seconds| Image { seconds, ..image(name, needs) };
        let all = [
            timed("base", &[], 10),
            timed("other", &[], 20),
            timed("gobuild", &["base"], 10),
            timed("long", &["base", "gobuild"], 100),
            timed("short", &["base", "gobuild"], 30),
            timed("small", &["base"], 5),
        ];
        let refs: Vec<&Image> = all.iter().collect();
        let mut schedule = Schedule::new(&refs);
        let name = |s: &mut Schedule<'_>| s.next().map(|i| i.name.clone());
        assert_eq!(name(&mut schedule).as_deref(), Some("base"));
        assert_eq!(name(&mut schedule).as_deref(), Some("other"));
        assert_eq!(name(&mut schedule), None, "two at a time");
        schedule.done("base");
        assert_eq!(name(&mut schedule).as_deref(), Some("gobuild"));
        schedule.done("other");
        schedule.done("gobuild");
        assert_eq!(name(&mut schedule).as_deref(), Some("long"));
        assert_eq!(
            name(&mut schedule).as_deref(),
            Some("small"),
            "one heavy build at a time, a light one beside it"
        );
        schedule.done("small");
        assert_eq!(name(&mut schedule), None);
        schedule.done("long");
        assert_eq!(name(&mut schedule).as_deref(), Some("short"));
        schedule.done("short");
        assert_eq!(name(&mut schedule), None);
    }

    #[test]
    fn a_failed_build_takes_along_what_hangs_on_it_and_nothing_else() {
        let all = [
            image("base", &[]),
            image("child", &["base"]),
            image("grandchild", &["child"]),
            image("other", &[]),
        ];
        let refs: Vec<&Image> = all.iter().collect();
        let mut schedule = Schedule::new(&refs);
        assert_eq!(schedule.next().map(|i| i.name.as_str()), Some("base"));
        assert_eq!(schedule.failed("base"), ["base", "child", "grandchild"]);
        assert_eq!(schedule.next().map(|i| i.name.as_str()), Some("other"));
        schedule.done("other");
        assert_eq!(schedule.next().map(|i| i.name.as_str()), None);
    }
}
