//! Images that can't be had on this machine: told for each, so that a caller can do without some.

use super::reference::Reference;
use super::{Error, Image, Kind, Source};
use std::collections::BTreeSet;
use std::fmt;

/// An image that can't be had here: neither pulled nor built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// What was asked for, as it was asked for.
    pub wanted: String,
    /// What would have to be in the engine.
    pub reference: String,
    /// Why not, in one line that continues "can't be had: ".
    pub why: String,
    /// What to do, in one line.
    pub hint: String,
}

impl Unavailable {
    /// One that was not pulled; `why_not` is what the engine said, or none if nothing was tried.
    pub(super) fn not_pulled(
        wanted: &str,
        image: Option<&Image>,
        reference: &str,
        why_not: Option<&str>,
    ) -> Self {
        let (why, hint) = match (image.map(|i| (i, only_upstream(i))), why_not) {
            (Some((_, Some(only))), Some(why)) => (
                format!("it can only be pulled, not built ({only}), and pulling it failed: {why}"),
                format!("reach the registry {}, or bring the image with `docker load`", Reference::parse(reference).registry()),
            ),
            (Some((_, Some(only))), None) => (
                format!("it can only be pulled, not built ({only}), and `--images packages` pulls nothing"),
                format!("take `--images auto`, or bring it with `docker pull {reference}` or `docker load`"),
            ),
            (Some((_, None)), why) => (
                format!("pulling it failed: {}", why.unwrap_or("it was not tried")),
                "take `--images packages`, which builds it, or check the network".into(),
            ),
            (None, why) => (
                format!("pulling it failed, and the catalogue can't build it: {}", why.unwrap_or("it was not tried")),
                "check its name and the network, bring it with `docker load`, or map it to an image of ours in firedrill.yaml".into(),
            ),
        };
        Self { wanted: wanted.into(), reference: reference.into(), why, hint }
    }

    /// One whose build failed, or that of a parent.
    pub(super) fn not_built(wanted: &str, image: &Image, failed: &BuildFailed) -> Self {
        Self {
            wanted: wanted.into(),
            reference: image.reference(),
            why: failed.why.clone(),
            hint: failed.hint.clone(),
        }
    }
}

/// Why a build failed, in one line, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BuildFailed {
    pub why: String,
    pub hint: String,
}

impl Error {
    /// The failed build of one image, if that is what it is about: others may still be had then.
    pub(super) fn build_failed(&self) -> Option<BuildFailed> {
        match self {
            Error::Build { name, why, log, .. } => Some(BuildFailed {
                why: format!("building image {name} failed: {why}"),
                hint: format!("the whole output is in {}", log.display()),
            }),
            Error::Tool { image, tool, hint } => Some(BuildFailed {
                why: format!("image {image} needs the program {tool} on this machine, seen none"),
                hint: hint.clone(),
            }),
            _ => None,
        }
    }
}

/// Why an image of the catalogue can only be pulled, if so.
fn only_upstream(image: &Image) -> Option<&str> {
    (image.kind == Kind::Upstream).then(|| image.upstream.as_ref()?.only.as_deref()).flatten()
}

/// Whether a source pulls what stands for this image; what is none of the catalogue's is always
/// pulled.
pub(super) fn pulls(source: Source, image: Option<&Image>) -> bool {
    source != Source::Packages || image.is_none()
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image {}", self.wanted)?;
        if self.reference != self.wanted {
            write!(f, " ({})", self.reference)?;
        }
        write!(f, " can't be had: {}", self.why)
    }
}

/// All of them, a line each.
pub(super) fn told(all: &[Unavailable]) -> String {
    let lines: Vec<String> = all.iter().map(Unavailable::to_string).collect();
    lines.join("\n")
}

/// What to do about them, each hint once.
pub fn hints(all: &[Unavailable]) -> Vec<String> {
    let hints: BTreeSet<&String> = all.iter().map(|image| &image.hint).collect();
    hints.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::tests::image;
    use super::super::manifest::Upstream;
    use super::*;

    fn only() -> Image {
        let upstream = Upstream {
            image: "x/y".into(),
            tag: "1".into(),
            only: Some("it is under the AGPL".into()),
        };
        Image { kind: Kind::Upstream, upstream: Some(upstream), ..image("y", &[]) }
    }

    #[test]
    fn what_can_only_be_pulled_says_why_it_is_not_built_and_what_to_do() {
        let refused =
            Unavailable::not_pulled("y", Some(&only()), "x/y:1", Some("dial tcp: no such host"));
        assert_eq!(
            refused.to_string(),
            "image y (x/y:1) can't be had: it can only be pulled, not built (it is under the AGPL), and pulling it failed: dial tcp: no such host"
        );
        assert_eq!(
            refused.hint,
            "reach the registry docker.io, or bring the image with `docker load`"
        );
        let not_tried = Unavailable::not_pulled("x/y:1", Some(&only()), "x/y:1", None);
        assert!(
            not_tried.to_string().starts_with("image x/y:1 can't be had: it can only be pulled"),
            "{not_tried}"
        );
        assert!(
            not_tried.why.ends_with("`--images packages` pulls nothing")
                && not_tried.hint.contains("--images auto"),
            "{not_tried:?}"
        );
    }

    #[test]
    fn what_could_be_built_and_what_is_a_strangers_have_other_hints() {
        let ours = Unavailable::not_pulled("a", Some(&image("a", &[])), "x/a:1", Some("denied"));
        assert!(
            ours.hint.contains("--images packages") && !ours.why.contains("only be pulled"),
            "{ours:?}"
        );
        let foreign = Unavailable::not_pulled("z/z", None, "z/z:latest", Some("denied"));
        assert!(
            foreign.why.contains("the catalogue can't build it: denied")
                && foreign.hint.contains("firedrill.yaml"),
            "{foreign:?}"
        );
    }

    #[test]
    fn a_failed_build_is_about_its_image_and_an_engine_that_is_gone_is_not() {
        let failed = Error::Build {
            name: "base".into(),
            why: "exit code 1".into(),
            tail: "  …".into(),
            log: "/logs/base.log".into(),
        };
        let told = Unavailable::not_built(
            "a",
            &image("a", &["base"]),
            &failed.build_failed().expect("about one image"),
        );
        assert_eq!(told.why, "building image base failed: exit code 1");
        assert_eq!(told.hint, "the whole output is in /logs/base.log");
        let unreadable =
            Error::Unreadable { path: "/x".into(), source: std::io::Error::other("gone") };
        assert_eq!(unreadable.build_failed(), None);
    }

    #[test]
    fn all_are_told_at_once_and_each_hint_once() {
        let one = Unavailable::not_pulled("z/z:1", None, "z/z:1", Some("denied"));
        let two = Unavailable::not_pulled("z/w:1", None, "z/w:1", Some("denied"));
        let all = [one, two];
        let text = told(&all);
        assert!(text.contains("image z/z:1") && text.contains("image z/w:1"), "{text}");
        assert_eq!(hints(&all).len(), 1, "{:?}", hints(&all));
    }
}
