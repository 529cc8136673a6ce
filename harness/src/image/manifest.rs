//! The schema of `image.toml`.

use super::Error;
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

/// How an image is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// By its `Dockerfile`; parents reach it as build arguments (`base-trixie` as `BASE_TRIXIE`).
    Dockerfile,
    /// A root made of Debian packages on the host, imported.
    Debootstrap,
    /// What our own binaries are put into; never built by itself.
    Own,
    /// Not an image: files that others take.
    Files,
    /// Never built: it can only be pulled.
    Upstream,
}

/// The public image that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Repository, as in Compose files (`prom/prometheus`).
    pub image: String,
    /// Tag that the source `upstream` pulls.
    pub tag: String,
    /// For [`Kind::Upstream`]: why it can only be pulled.
    pub only: Option<String>,
}

/// A root made of Debian packages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debootstrap {
    /// Debian suite (`trixie`).
    pub suite: String,
    /// Variant of mmdebstrap (`minbase`).
    pub variant: String,
    /// Packages besides the variant's.
    pub packages: Vec<String>,
    /// Globs of files that are not unpacked.
    #[serde(default)]
    pub path_exclude: Vec<String>,
    /// Shell lines run on the host when the root is complete, `$1` is the root.
    #[serde(default)]
    pub hooks: Vec<String>,
}

impl Manifest {
    /// The parents of its build.
    pub fn needs(&self) -> &[Spanned<String>] {
        self.packages.as_ref().map_or(&[], |p| &p.get_ref().needs)
    }
}

/// `image.toml` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub name: Spanned<String>,
    pub version: String,
    pub kind: Spanned<Kind>,
    pub note: String,
    pub upstream: Option<Spanned<Upstream>>,
    pub packages: Option<Spanned<Packages>>,
    pub debootstrap: Option<Debootstrap>,
    pub own: Option<Own>,
}

/// What the build needs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Packages {
    #[serde(default)]
    pub needs: Vec<Spanned<String>>,
    #[serde(default)]
    pub seconds: u64,
    #[serde(default)]
    pub disk_mib: u64,
    pub deviation: Option<String>,
}

/// Facts about the frame of our own binaries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Own {
    /// Version of the base's C library.
    pub libc: String,
}

/// Reads one `image.toml`.
pub(super) fn read(path: &Path) -> Result<(String, Manifest), Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Unreadable { path: path.into(), source })?;
    let manifest = toml::from_str(&text).map_err(|e| Error::Content {
        path: path.into(),
        line: e.span().map_or(1, |span| line_of(&text, span.start)),
        what: e.message().to_owned(),
        hint: "an image.toml has name, version, kind (dockerfile, debootstrap, own, files, upstream), note, and [upstream], [packages], \
               [debootstrap] or [own] as its kind wants"
            .into(),
    })?;
    Ok((text, manifest))
}

/// The line, from 1, of a byte offset.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}
