//! Images: every component of a stack as an image in the engine, pulled from upstream or built from
//! package registries.
//!
//! The folder `compose/images` is the [`Catalogue`]: one folder for each image, with its
//! `image.toml`. A built image is tagged `firedrill/<name>:<content hash>` and reused until a file
//! of it, or of a parent, changes. [`Images::ensure`] makes what a run needs,
//! [`Images::ensure_each`] what it may also do without; [`Images::ensure_own`] wraps one of our own
//! binaries.

mod buildkit;
mod cache;
mod catalogue;
mod context;
mod debootstrap;
mod disk;
mod ensure;
mod error;
#[cfg(test)]
mod foreign;
mod manifest;
mod own;
mod reference;
mod schedule;
mod stale;
mod unavailable;
mod upstream;

pub use catalogue::{Catalogue, Found, Image};
pub use error::Error;
pub use manifest::{Debootstrap, Kind, Upstream};
pub use unavailable::{Unavailable, hints};

use crate::process::failure::Advice;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where images come from (`--images`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// Upstream where it can be pulled, else packages.
    #[default]
    Auto,
    /// The pinned public images only.
    Upstream,
    /// Built from package registries only; of what can't be built, an image of the catalogue is
    /// taken where the engine has it.
    Packages,
}

impl FromStr for Source {
    type Err = Advice;

    fn from_str(text: &str) -> Result<Self, Advice> {
        match text {
            "auto" => Ok(Source::Auto),
            "upstream" => Ok(Source::Upstream),
            "packages" => Ok(Source::Packages),
            other => Err(Advice::from(format!("image source `{other}` is unknown"))
                .hint("give auto, upstream or packages")),
        }
    }
}

/// Where one image did come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Pulled from its registry, now or earlier.
    Upstream,
    /// Built from package registries, now or earlier.
    Packages,
    /// One of our own binaries.
    Own,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Upstream => "upstream",
            Origin::Packages => "packages",
            Origin::Own => "own binary",
        })
    }
}

/// An image that containers can be made from.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageReady {
    /// What was asked for: a name of the catalogue, or a reference as Compose files have it.
    pub wanted: String,
    /// The name in the catalogue; the reference itself for an image that the catalogue does not
    /// have.
    pub name: String,
    /// What to give to the engine.
    pub reference: String,
    /// Where it came from.
    pub origin: Origin,
    /// Whether this call built it.
    pub built: bool,
    /// How long this call took for it, in seconds.
    pub seconds: f64,
    /// How it differs from what was asked for, for the run's list of deviations.
    pub deviation: Option<String>,
}

/// What happens while images are made ready.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// Upstream's image is being pulled.
    Pulling { reference: String },
    /// Some could not be pulled, for one reason; packages are taken instead.
    FellBack {
        /// Their references; at least one.
        references: Vec<String>,
        /// What the engine said.
        why: String,
    },
    /// A build has begun.
    Building {
        /// Name in the catalogue.
        name: String,
        /// Which of the builds this is, from 1.
        index: usize,
        /// How many builds there are.
        of: usize,
        /// How long it takes on two idle cores from an empty cache, in seconds.
        about_seconds: u64,
    },
    /// A build has failed, in a call that goes on without it.
    Failed {
        /// Name in the catalogue.
        name: String,
        why: String,
    },
    /// A build has ended well.
    Built {
        /// Name in the catalogue.
        name: String,
        /// How long it took.
        took: Duration,
    },
    /// Cache mounts of our builds were given back.
    Pruned {
        /// Bytes on disk.
        bytes: u64,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Pulling { reference } => write!(f, "pulling {reference}"),
            Progress::FellBack { references, why } => {
                write!(f, "can't be pulled ({why}), taking packages: {}", references.join(", "))
            }
            Progress::Building { name, index, of, about_seconds } => {
                write!(f, "building image {name} ({index} of {of}, about {about_seconds} s)")
            }
            Progress::Failed { name, why } => write!(f, "building image {name} failed: {why}"),
            Progress::Built { name, took } => {
                write!(f, "built image {name} in {:.0} s", took.as_secs_f64())
            }
            Progress::Pruned { bytes } => write!(
                f,
                "gave back {:.1} GiB of build caches",
                *bytes as f64 / f64::from(1u32 << 30)
            ),
        }
    }
}

/// Receives progress; called from several builds, one at a time.
pub type OnProgress<'a> = &'a (dyn Fn(&Progress) + Send + Sync);

/// Makes images ready in one engine.
#[derive(Debug, Clone)]
pub struct Images<'a> {
    docker: &'a bollard::Docker,
    catalogue: &'a Catalogue,
    logs: PathBuf,
    keep_cache: bool,
}

impl<'a> Images<'a> {
    /// `logs` is the folder for the output of builds (`<name>.log`), made when needed.
    pub fn new(
        docker: &'a bollard::Docker,
        catalogue: &'a Catalogue,
        logs: impl Into<PathBuf>,
    ) -> Self {
        Self { docker, catalogue, logs: logs.into(), keep_cache: false }
    }

    /// Keeps the module and compiler caches after a build (some 9 GiB), for who changes images
    /// often.
    #[must_use]
    pub fn keep_cache(mut self, keep: bool) -> Self {
        self.keep_cache = keep;
        self
    }
}
