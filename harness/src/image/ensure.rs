//! Making what a run needs ready: pulled where that is allowed and works, else built, parents
//! first.

use super::buildkit::Build;
use super::catalogue::{Catalogue, Found, Image};
use super::context::Context;
use super::reference::Reference;
use super::schedule::{AT_ONCE, Schedule, missing};
use super::stale::remove_stale;
use super::unavailable::{BuildFailed, Unavailable, pulls};
use super::{
    Error, ImageReady, Images, Kind, OnProgress, Origin, Progress, Source, debootstrap, disk,
    upstream,
};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Label of a built image; its value is the name in the catalogue.
pub(super) const LABEL: &str = "firedrill.image";
/// Pulls at a time.
const PULLS: usize = 4;

/// One thing that was asked for, resolved.
struct Wish<'a> {
    wanted: String,
    image: Option<&'a Image>,
    pull: Option<String>,
    deviation: Option<String>,
}

impl<'a> Wish<'a> {
    /// The image that can be built for it.
    fn buildable(&self) -> Option<&'a Image> {
        self.image.filter(|image| image.kind != Kind::Upstream)
    }

    fn unavailable(&self, why_not: Option<&str>) -> Unavailable {
        Unavailable::not_pulled(
            &self.wanted,
            self.image,
            self.pull.as_deref().unwrap_or(&self.wanted),
            why_not,
        )
    }
}

/// What pulling brought: by what was asked for, its reference and how long it took, or why not.
type Pulled = BTreeMap<String, Result<(String, Duration), String>>;

/// What building brought, by name in the catalogue.
#[derive(Default)]
struct Builds {
    built: BTreeMap<String, Duration>,
    failed: BTreeMap<String, BuildFailed>,
}

/// What pulling and building brought.
struct Brought {
    source: Source,
    pulled: Pulled,
    builds: Builds,
}

impl Brought {
    /// Whether a wish was not fulfilled by pulling.
    fn lacks(&self, wish: &Wish<'_>) -> bool {
        !matches!(self.pulled.get(&wish.wanted), Some(Ok(_)))
    }

    /// The image that may be built for a wish.
    fn to_build<'a>(&self, wish: &Wish<'a>) -> Option<&'a Image> {
        wish.buildable().filter(|_| self.source != Source::Upstream || wish.pull.is_none())
    }

    fn lost(&self, wish: &Wish<'_>) -> Unavailable {
        let pulled = self.pulled.get(&wish.wanted);
        wish.unavailable(pulled.and_then(|p| p.as_ref().err()).map(String::as_str))
    }

    fn outcome(&self, wish: Wish<'_>) -> Result<ImageReady, Unavailable> {
        if let Some(Ok((reference, took))) = self.pulled.get(&wish.wanted) {
            return Ok(ImageReady {
                name: wish.image.map_or_else(|| wish.wanted.clone(), |i| i.name.clone()),
                wanted: wish.wanted,
                reference: reference.clone(),
                origin: Origin::Upstream,
                built: false,
                seconds: took.as_secs_f64(),
                deviation: None,
            });
        }
        let Some(image) = self.to_build(&wish) else { return Err(self.lost(&wish)) };
        if let Some(error) = self.builds.failed.get(&image.name) {
            return Err(Unavailable::not_built(&wish.wanted, image, error));
        }
        let took = self.builds.built.get(&image.name);
        Ok(ImageReady {
            wanted: wish.wanted,
            name: image.name.clone(),
            reference: image.reference(),
            origin: Origin::Packages,
            built: took.is_some(),
            seconds: took.map_or(0.0, Duration::as_secs_f64),
            deviation: wish.deviation,
        })
    }
}

impl Images<'_> {
    /// Makes every wanted image ready, in the order asked for. `wanted` are names of the catalogue
    /// or references as Compose files have them; a reference that stands for no image of the
    /// catalogue is pulled, whatever the source.
    ///
    /// # Errors
    /// Images that can't be had from the source, all of them; a build that fails, with the end of
    /// its output; no room on disk; a tool of the host that is missing; an engine that does not
    /// answer.
    pub async fn ensure(
        &self,
        wanted: &[&str],
        source: Source,
        progress: OnProgress<'_>,
    ) -> Result<Vec<ImageReady>, Error> {
        let (mut ready, mut unavailable) = (Vec::new(), Vec::new());
        for outcome in self.obtain(wanted, source, progress, true).await? {
            match outcome {
                Ok(image) => ready.push(image),
                Err(image) => unavailable.push(image),
            }
        }
        if unavailable.is_empty() { Ok(ready) } else { Err(Error::Unavailable(unavailable)) }
    }

    /// Like [`Images::ensure`], but goes on without what can't be had: the outcome of each wanted
    /// image, in the order asked for. A build that fails, or the failed build of a parent, is the
    /// outcome of that image only.
    ///
    /// # Errors
    /// What concerns no single image: a name of `firedrill/` that the catalogue does not have, no
    /// room on disk, an engine that does not answer.
    pub async fn ensure_each(
        &self,
        wanted: &[&str],
        source: Source,
        progress: OnProgress<'_>,
    ) -> Result<Vec<Result<ImageReady, Unavailable>>, Error> {
        self.obtain(wanted, source, progress, false).await
    }

    /// With `all_or_none` nothing is built once it is known that something can't be had, and the
    /// first build that fails ends it.
    async fn obtain(
        &self,
        wanted: &[&str],
        source: Source,
        progress: OnProgress<'_>,
        all_or_none: bool,
    ) -> Result<Vec<Result<ImageReady, Unavailable>>, Error> {
        let wishes = self.wishes(wanted)?;
        let began = Instant::now();
        let brought = Brought {
            source,
            pulled: self.pull(&wishes, source, progress).await?,
            builds: Builds::default(),
        };
        if all_or_none {
            let lost: Vec<Unavailable> = wishes
                .iter()
                .filter(|w| brought.lacks(w) && brought.to_build(w).is_none())
                .map(|w| brought.lost(w))
                .collect();
            if !lost.is_empty() {
                return Err(Error::Unavailable(lost));
            }
        }
        let mut to_build: Vec<&str> = wishes
            .iter()
            .filter(|w| brought.lacks(w))
            .filter_map(|w| Some(brought.to_build(w)?.name.as_str()))
            .collect();
        to_build.sort_unstable();
        to_build.dedup();
        let builds = self.build_each(&to_build, progress, all_or_none).await?;
        let brought = Brought { builds, ..brought };
        let outcomes: Vec<_> = wishes.into_iter().map(|wish| brought.outcome(wish)).collect();
        tracing::debug!(
            seconds = began.elapsed().as_secs_f64(),
            images = outcomes.len(),
            "images ready"
        );
        Ok(outcomes)
    }

    fn wishes(&self, wanted: &[&str]) -> Result<Vec<Wish<'_>>, Error> {
        let mut wishes = Vec::new();
        for text in wanted {
            wishes.push(match self.catalogue.find(text)? {
                Found::Ours { image, pull, deviation } => {
                    Wish { wanted: (*text).into(), image: Some(image), pull, deviation }
                }
                Found::Foreign => Wish {
                    wanted: (*text).into(),
                    image: None,
                    pull: Some(Reference::with_tag(text)),
                    deviation: None,
                },
            });
        }
        Ok(wishes)
    }

    /// The wanted images by name, each with its reference if [`Images::ensure`] would find it
    /// there; nothing is pulled or built.
    ///
    /// # Errors
    /// A name that is none; an engine that does not answer.
    pub async fn present(
        &self,
        wanted: &[&str],
        source: Source,
    ) -> Result<Vec<(String, Option<String>)>, Error> {
        let mut seen = Vec::new();
        for text in wanted {
            let (name, ours, pull) = match self.catalogue.find(text)? {
                Found::Ours { image, pull, .. } => (
                    image.name.clone(),
                    (image.kind != Kind::Upstream).then(|| image.reference()),
                    pull,
                ),
                Found::Foreign => ((*text).to_owned(), None, Some(Reference::with_tag(text))),
            };
            let pull = pull.filter(|_| source != Source::Packages || ours.is_none());
            let ours = ours.filter(|_| source != Source::Upstream || pull.is_none());
            let mut found = None;
            for reference in pull.into_iter().chain(ours) {
                let there = upstream::present(self.docker, &reference).await;
                if there.map_err(Error::engine(format!("looking for image {reference}")))? {
                    found = Some(reference);
                    break;
                }
            }
            seen.push((name, found));
        }
        Ok(seen)
    }

    /// Pulls what the source allows. What is missing in the answer was not tried.
    async fn pull(
        &self,
        wishes: &[Wish<'_>],
        source: Source,
        progress: OnProgress<'_>,
    ) -> Result<Pulled, Error> {
        let unreachable: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
        // What could be built is not even looked for where packages are asked for; what can't be is
        // taken if it is there.
        let looked_for =
            wishes.iter().filter(|w| pulls(source, w.image) || w.buildable().is_none());
        let results: Vec<_> = futures::stream::iter(
            looked_for.filter_map(|w| Some((w, w.pull.as_ref()?))).map(|(wish, reference)| {
                let unreachable = &unreachable;
                async move {
                    let began = Instant::now();
                    if upstream::present(self.docker, reference)
                        .await
                        .map_err(Error::engine(format!("looking for image {reference}")))?
                    {
                        return Ok::<_, Error>(Some((
                            wish,
                            Ok((reference.clone(), began.elapsed())),
                        )));
                    }
                    if !pulls(source, wish.image) {
                        return Ok(None);
                    }
                    let registry = Reference::parse(reference).registry().to_owned();
                    let known = unreachable.lock().ok().and_then(|u| u.get(&registry).cloned());
                    let outcome = match known {
                        // Each attempt may take long where packets are dropped: one is enough.
                        Some(why) => Err(why),
                        None => {
                            progress(&Progress::Pulling { reference: reference.clone() });
                            upstream::pull(self.docker, reference).await
                        }
                    };
                    if let Err(why) = &outcome
                        && is_unreachable(why)
                        && let Ok(mut unreachable) = unreachable.lock()
                    {
                        unreachable.insert(registry, why.clone());
                    }
                    Ok(Some((wish, outcome.map(|()| (reference.clone(), began.elapsed())))))
                }
            }),
        )
        .buffer_unordered(PULLS)
        .collect()
        .await;

        let mut pulled = BTreeMap::new();
        let mut fell_back: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for result in results {
            let Some((wish, outcome)) = result? else { continue };
            if let (Err(why), Some(reference)) = (&outcome, &wish.pull)
                && source == Source::Auto
                && wish.buildable().is_some()
            {
                fell_back.entry(why.clone()).or_default().push(reference.clone());
            }
            pulled.insert(wish.wanted.clone(), outcome);
        }
        for (why, references) in fell_back {
            progress(&Progress::FellBack { references, why });
        }
        Ok(pulled)
    }

    /// Builds the named images and the parents that they lack.
    pub(super) async fn build(
        &self,
        names: &[&str],
        progress: OnProgress<'_>,
    ) -> Result<(), Error> {
        self.build_each(names, progress, true).await.map(drop)
    }

    /// Builds the named images and the parents that they lack; with `all_or_none` the first that
    /// fails ends it.
    async fn build_each(
        &self,
        names: &[&str],
        progress: OnProgress<'_>,
        all_or_none: bool,
    ) -> Result<Builds, Error> {
        let mut builds = Builds::default();
        if self.missing(names).await?.is_empty() {
            return Ok(builds);
        }
        // Another process may be building the same: one builds, the other then finds the images
        // there.
        let _lock = lock().await?;
        let open = self.missing(names).await?;
        disk::check(self.docker, &open).await?;

        let of = open.len();
        let mut schedule = Schedule::new(&open);
        let mut running = FuturesUnordered::new();
        let mut heavy = false;
        let mut index = 0;
        loop {
            while running.len() < AT_ONCE {
                let Some(image) = schedule.next() else { break };
                index += 1;
                heavy |= Schedule::is_heavy(image);
                progress(&Progress::Building {
                    name: image.name.clone(),
                    index,
                    of,
                    about_seconds: image.seconds,
                });
                running.push(async move {
                    let began = Instant::now();
                    (image, self.build_one(image).await.map(|()| began.elapsed()))
                });
            }
            let Some((image, outcome)) = running.next().await else { break };
            match outcome {
                Ok(took) => {
                    schedule.done(&image.name);
                    remove_stale(self.docker, LABEL, &image.name, &image.reference()).await;
                    progress(&Progress::Built { name: image.name.clone(), took });
                    builds.built.insert(image.name.clone(), took);
                }
                Err(error) => {
                    let Some(failed) = error.build_failed().filter(|_| !all_or_none) else {
                        return Err(error);
                    };
                    progress(&Progress::Failed {
                        name: image.name.clone(),
                        why: failed.why.clone(),
                    });
                    builds.failed.extend(
                        schedule
                            .failed(&image.name)
                            .into_iter()
                            .map(|lost| (lost.to_owned(), failed.clone())),
                    );
                }
            }
        }
        if heavy && !self.keep_cache {
            let bytes = self.prune_cache().await?;
            progress(&Progress::Pruned { bytes });
        }
        Ok(builds)
    }

    async fn missing(&self, names: &[&str]) -> Result<Vec<&Image>, Error> {
        let mut exists = BTreeSet::new();
        for image in self
            .catalogue
            .images()
            .filter(|i| matches!(i.kind, Kind::Dockerfile | Kind::Debootstrap))
        {
            let reference = image.reference();
            if upstream::present(self.docker, &reference)
                .await
                .map_err(Error::engine(format!("looking for image {reference}")))?
            {
                exists.insert(image.name.clone());
            }
        }
        let mut open = BTreeMap::new();
        for name in names {
            missing(self.catalogue, name, &exists, &mut open);
        }
        Ok(open.into_values().collect())
    }

    async fn build_one(&self, image: &Image) -> Result<(), Error> {
        match image.kind {
            Kind::Debootstrap => {
                debootstrap::build(self.docker, self.catalogue, image, &self.logs).await
            }
            Kind::Dockerfile => {
                let reference = image.reference();
                let build = Build {
                    name: &image.name,
                    reference: &reference,
                    context: Context::of(&image.folder)?.finish()?,
                    arguments: arguments(self.catalogue, image),
                    labels: HashMap::from([(LABEL.to_owned(), image.name.clone())]),
                    logs: &self.logs,
                };
                build.run(self.docker).await
            }
            Kind::Own | Kind::Files | Kind::Upstream => Ok(()),
        }
    }
}

/// The parents of an image as build arguments.
pub(super) fn arguments(catalogue: &Catalogue, image: &Image) -> HashMap<String, String> {
    image
        .needs
        .iter()
        .filter_map(|n| catalogue.get(n))
        .map(|p| (p.argument(), p.reference()))
        .collect()
}

/// Whether an error of a pull is about reaching the registry at all, as opposed to that image.
fn is_unreachable(why: &str) -> bool {
    [
        "dial tcp",
        "no such host",
        "i/o timeout",
        "connection refused",
        "no progress",
        "TLS handshake",
        "x509",
        "server misbehaving",
        "Client.Timeout",
    ]
    .iter()
    .any(|sign| why.contains(sign))
}

/// Held while images are built, by one process of this user at a time; freed by the kernel when the
/// process ends.
async fn lock() -> Result<nix::fcntl::Flock<std::fs::File>, Error> {
    let path =
        std::env::temp_dir().join(format!("firedrill-images-{}.lock", nix::unistd::getuid()));
    let taken = tokio::task::spawn_blocking({
        let path = path.clone();
        move || {
            let file =
                std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive)
                .map_err(|(_, errno)| std::io::Error::from(errno))
        }
    });
    let taken = taken.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    taken.map_err(|source| Error::File { what: "locking", path, source })
}

#[cfg(test)]
mod tests {
    use super::is_unreachable;

    #[test]
    fn an_image_that_is_denied_does_not_close_its_registry() {
        assert!(is_unreachable(
            "Get \"https://registry.example/v2/\": dial tcp: lookup registry.example: no such host"
        ));
        assert!(!is_unreachable("pull access denied for x, repository does not exist"));
        assert!(!is_unreachable("manifest for redis:0 not found"));
    }
}
