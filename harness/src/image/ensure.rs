//! Making what a run needs ready: pulled where that is allowed and works, else built, parents first.

use super::buildkit::Build;
use super::catalogue::{Catalogue, Found, Image};
use super::context::Context;
use super::reference::Reference;
use super::schedule::{AT_ONCE, Schedule, missing};
use super::stale::remove_stale;
use super::{Error, ImageReady, Images, Kind, OnProgress, Origin, Progress, Source, debootstrap, disk, upstream};
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

impl Images<'_> {
    /// Makes every wanted image ready, in the order asked for. `wanted` are names of the catalogue or references as Compose
    /// files have them; a reference that stands for no image of the catalogue is pulled, whatever the source.
    ///
    /// # Errors
    /// An image that can't be had from the source; a build that fails, with the end of its output; no room on disk; a tool
    /// of the host that is missing; an engine that does not answer.
    pub async fn ensure(&self, wanted: &[&str], source: Source, progress: OnProgress<'_>) -> Result<Vec<ImageReady>, Error> {
        let mut wishes = Vec::new();
        for text in wanted {
            wishes.push(match self.catalogue.find(text)? {
                Found::Ours { image, pull, deviation } => Wish { wanted: (*text).into(), image: Some(image), pull, deviation },
                Found::Foreign => Wish { wanted: (*text).into(), image: None, pull: Some(Reference::with_tag(text)), deviation: None },
            });
        }

        let began = Instant::now();
        let pulled = self.pull(&wishes, source, progress).await?;
        let mut to_build: Vec<&str> =
            wishes.iter().filter(|w| !pulled.contains_key(&w.wanted)).filter_map(|w| w.image).map(|i| i.name.as_str()).collect();
        to_build.sort_unstable();
        to_build.dedup();
        let built = self.build(&to_build, progress).await?;

        let mut ready = Vec::new();
        for wish in wishes {
            ready.push(match (pulled.get(&wish.wanted), wish.image) {
                (Some((reference, took)), image) => ImageReady {
                    name: image.map_or_else(|| wish.wanted.clone(), |i| i.name.clone()),
                    wanted: wish.wanted,
                    reference: reference.clone(),
                    origin: Origin::Upstream,
                    built: false,
                    seconds: took.as_secs_f64(),
                    deviation: None,
                },
                (None, Some(image)) => ImageReady {
                    wanted: wish.wanted,
                    name: image.name.clone(),
                    reference: image.reference(),
                    origin: Origin::Packages,
                    built: built.contains_key(&image.name),
                    seconds: built.get(&image.name).map_or(0.0, Duration::as_secs_f64),
                    deviation: wish.deviation,
                },
                (None, None) => {
                    return Err(Error::Pull {
                        reference: wish.wanted,
                        why: "it was neither pulled nor built".into(),
                        hint: "report this".into(),
                    });
                }
            });
        }
        tracing::debug!(seconds = began.elapsed().as_secs_f64(), images = ready.len(), "images ready");
        Ok(ready)
    }

    /// The wanted images by name, each with its reference if [`Images::ensure`] would find it there; nothing is pulled or built.
    ///
    /// # Errors
    /// A name that is none; an engine that does not answer.
    pub async fn present(&self, wanted: &[&str], source: Source) -> Result<Vec<(String, Option<String>)>, Error> {
        let mut seen = Vec::new();
        for text in wanted {
            let (name, ours, pull) = match self.catalogue.find(text)? {
                Found::Ours { image, pull, .. } => (image.name.clone(), Some(image.reference()), pull),
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

    /// Pulls what the source allows. What is missing in the answer is to be built.
    async fn pull(
        &self,
        wishes: &[Wish<'_>],
        source: Source,
        progress: OnProgress<'_>,
    ) -> Result<BTreeMap<String, (String, Duration)>, Error> {
        let unreachable: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
        let attempts =
            wishes.iter().filter(|w| source != Source::Packages || w.image.is_none()).filter_map(|w| Some((w, w.pull.as_ref()?)));
        let results: Vec<_> = futures::stream::iter(attempts.map(|(wish, reference)| {
            let unreachable = &unreachable;
            async move {
                let began = Instant::now();
                if upstream::present(self.docker, reference).await.map_err(Error::engine(format!("looking for image {reference}")))? {
                    return Ok::<_, Error>((wish, Ok((reference.clone(), began.elapsed()))));
                }
                let registry = Reference::parse(reference).registry().to_owned();
                let known = unreachable.lock().ok().and_then(|u| u.get(&registry).cloned());
                let outcome = match known {
                    // Each attempt may take long where packets are dropped: one is enough.
                    Some(why) if source == Source::Auto && wish.image.is_some() => Err(why),
                    _ => {
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
                Ok((wish, outcome.map(|()| (reference.clone(), began.elapsed())).map_err(|why| (reference.clone(), why))))
            }
        }))
        .buffer_unordered(PULLS)
        .collect()
        .await;

        let mut pulled = BTreeMap::new();
        let mut fell_back: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for result in results {
            match result? {
                (wish, Ok(found)) => drop(pulled.insert(wish.wanted.clone(), found)),
                (wish, Err((reference, why))) if source == Source::Auto && wish.image.is_some() => {
                    fell_back.entry(why).or_default().push(reference);
                }
                (wish, Err((reference, why))) => {
                    let hint = match wish.image {
                        Some(_) => "take `--images packages`, which builds it, or check the network",
                        None => {
                            "the catalogue has nothing for it: check the name and the network, or map it to an image of ours in firedrill.yaml"
                        }
                    };
                    return Err(Error::Pull { reference, why, hint: hint.into() });
                }
            }
        }
        for (why, references) in fell_back {
            progress(&Progress::FellBack { references, why });
        }
        Ok(pulled)
    }

    /// Builds the named images and the parents that they lack; returns what was built now and how long each took.
    pub(super) async fn build(&self, names: &[&str], progress: OnProgress<'_>) -> Result<BTreeMap<String, Duration>, Error> {
        if self.missing(names).await?.is_empty() {
            return Ok(BTreeMap::new());
        }
        // Another process may be building the same: one builds, the other then finds the images there.
        let _lock = lock().await?;
        let open = self.missing(names).await?;
        disk::check(self.docker, &open).await?;

        let of = open.len();
        let mut schedule = Schedule::new(&open);
        let mut running = FuturesUnordered::new();
        let mut built = BTreeMap::new();
        let mut heavy = false;
        let mut index = 0;
        loop {
            while running.len() < AT_ONCE {
                let Some(image) = schedule.next() else { break };
                index += 1;
                heavy |= Schedule::is_heavy(image);
                progress(&Progress::Building { name: image.name.clone(), index, of, about_seconds: image.seconds });
                running.push(async move {
                    let began = Instant::now();
                    self.build_one(image).await.map(|()| (image, began.elapsed()))
                });
            }
            let Some(result) = running.next().await else { break };
            let (image, took) = result?;
            schedule.done(&image.name);
            remove_stale(self.docker, LABEL, &image.name, &image.reference()).await;
            progress(&Progress::Built { name: image.name.clone(), took });
            built.insert(image.name.clone(), took);
        }
        if heavy && !self.keep_cache {
            let bytes = self.prune_cache().await?;
            progress(&Progress::Pruned { bytes });
        }
        Ok(built)
    }

    async fn missing(&self, names: &[&str]) -> Result<Vec<&Image>, Error> {
        let mut exists = BTreeSet::new();
        for image in self.catalogue.images().filter(|i| i.kind != Kind::Files && i.kind != Kind::Own) {
            let reference = image.reference();
            if upstream::present(self.docker, &reference).await.map_err(Error::engine(format!("looking for image {reference}")))? {
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
            Kind::Debootstrap => debootstrap::build(self.docker, self.catalogue, image, &self.logs).await,
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
            Kind::Own | Kind::Files => Ok(()),
        }
    }
}

/// The parents of an image as build arguments.
pub(super) fn arguments(catalogue: &Catalogue, image: &Image) -> HashMap<String, String> {
    image.needs.iter().filter_map(|n| catalogue.get(n)).map(|p| (p.argument(), p.reference())).collect()
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

/// Held while images are built, by one process of this user at a time; freed by the kernel when the process ends.
async fn lock() -> Result<nix::fcntl::Flock<std::fs::File>, Error> {
    let path = std::env::temp_dir().join(format!("firedrill-images-{}.lock", nix::unistd::getuid()));
    let taken = tokio::task::spawn_blocking({
        let path = path.clone();
        move || {
            let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).map_err(|(_, errno)| std::io::Error::from(errno))
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
        assert!(is_unreachable("Get \"https://registry.example/v2/\": dial tcp: lookup registry.example: no such host"));
        assert!(!is_unreachable("pull access denied for x, repository does not exist"));
        assert!(!is_unreachable("manifest for redis:0 not found"));
    }
}
