//! The catalogue: what images exist, what each is built of, and the hash of all that.

use super::manifest::{self, Debootstrap, Kind, Manifest, Own, Upstream, line_of};
use super::reference::Reference;
use super::{Error, Origin};
use aws_lc_rs::digest::{Context, SHA256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// One image that we know how to build, or at least to pull.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Its name, which is its folder's.
    pub name: String,
    /// The version that packages give.
    pub version: String,
    /// How it is built.
    pub kind: Kind,
    /// Why this version, or what it is for.
    pub note: String,
    /// The public image that it stands for; without one, both sources build it.
    pub upstream: Option<Upstream>,
    /// Images that it is built of.
    pub needs: Vec<String>,
    /// How long a build takes on two idle cores from an empty cache, in seconds.
    pub seconds: u64,
    /// What a build takes on disk, caches included, in MiB.
    pub disk_mib: u64,
    /// What the build from packages lacks or does otherwise than upstream's image.
    pub deviation: Option<String>,
    pub debootstrap: Option<Debootstrap>,
    pub folder: PathBuf,
    pub(super) own: Option<Own>,
    /// SHA-256 over its files and its parents' hashes, hexadecimal.
    pub hash: String,
}

impl Image {
    /// What the engine knows the built image by.
    pub fn reference(&self) -> String {
        format!("firedrill/{}:{}", self.name, &self.hash[..12])
    }

    /// How the build from packages differs from upstream's image of that tag, for the list of
    /// deviations.
    fn differs(&self, tag: Option<&str>) -> Option<String> {
        if self.kind == Kind::Upstream {
            return None;
        }
        let version = tag
            .filter(|tag| tag.strip_prefix('v').unwrap_or(tag) != self.version)
            .map(|tag| format!("version {} where {tag} was asked for", self.version));
        let all: Vec<String> = version.into_iter().chain(self.deviation.clone()).collect();
        (!all.is_empty())
            .then(|| format!("{} from {}: {}", self.name, Origin::Packages, all.join("; ")))
    }

    /// The build argument through which a child's `Dockerfile` takes it.
    pub(super) fn argument(&self) -> String {
        self.name.to_uppercase().replace('-', "_")
    }
}

/// What a reference of a Compose file stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'a> {
    /// An image of the catalogue.
    Ours {
        image: &'a Image,
        /// What the source `upstream` pulls for it, with the tag that was asked for.
        pull: Option<String>,
        /// How the build from packages differs from what was asked for.
        deviation: Option<String>,
    },
    /// None of the catalogue's: it can only be pulled.
    Foreign,
}

/// The images under `compose/images`.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    images: BTreeMap<String, Image>,
}

impl Catalogue {
    /// Reads every `image.toml` under `folder` and hashes what images are made of.
    ///
    /// # Errors
    /// A folder without an `image.toml`, a key that is missing, unknown or of the wrong type, a
    /// name that is not the folder's, a parent that does not exist, and images that need each
    /// other. Each names file and line.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let mut raw = BTreeMap::new();
        for path in list(folder)? {
            if path.is_dir() {
                let file = path.join("image.toml");
                let (text, manifest) = manifest::read(&file)?;
                check(&path, &file, &text, &manifest)?;
                raw.insert(manifest.name.get_ref().clone(), (path, text, manifest));
            }
        }
        let mut images = BTreeMap::new();
        for name in raw.keys() {
            resolve(name, &raw, &mut images, &mut Vec::new())?;
        }
        Ok(Self { images })
    }

    /// All images by name.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        self.images.values()
    }

    /// The image of that name.
    pub fn get(&self, name: &str) -> Option<&Image> {
        self.images.get(name)
    }

    /// What `wanted` stands for: a name of the catalogue, `firedrill/<name>` with or without a tag,
    /// or any tag of the repository that an image stands for (`prom/prometheus:v2.45.0`). Of several
    /// images of one repository it is the one with that tag, else the first by name.
    ///
    /// # Errors
    /// A `firedrill/…` that the catalogue does not have: such an image is never pulled.
    pub fn find(&self, wanted: &str) -> Result<Found<'_>, Error> {
        let bare =
            wanted.strip_prefix("firedrill/").map(|rest| rest.split(':').next().unwrap_or(rest));
        if let Some(image) = self.images.get(bare.unwrap_or(wanted)) {
            if matches!(image.kind, Kind::Own | Kind::Files) {
                return Err(self
                    .unknown(wanted, "it is a part that others are built with, no image to run"));
            }
            let pull = image.upstream.as_ref().map(|u| format!("{}:{}", u.image, u.tag));
            return Ok(Found::Ours { image, pull, deviation: image.differs(None) });
        }
        if bare.is_some() {
            return Err(
                self.unknown(wanted, "our own binaries are built by the harness; other names of firedrill/ are those of compose/images")
            );
        }
        let asked = Reference::parse(wanted);
        let tag = asked.tag.as_deref().unwrap_or("latest");
        let of_that_repository = self.images.values().filter_map(|image| {
            let upstream = image.upstream.as_ref()?;
            (Reference::parse(&upstream.image).repository == asked.repository)
                .then_some((image, upstream.tag != tag))
        });
        if let Some((image, _)) = of_that_repository.min_by_key(|(_, is_other_tag)| *is_other_tag) {
            let pull = Some(Reference::with_tag(wanted));
            return Ok(Found::Ours { image, pull, deviation: image.differs(Some(tag)) });
        }
        Ok(Found::Foreign)
    }

    pub(super) fn unknown(&self, wanted: &str, hint: &str) -> Error {
        let known = self
            .images
            .values()
            .filter(|i| !matches!(i.kind, Kind::Own | Kind::Files))
            .map(|i| i.name.as_str());
        Error::Unknown {
            wanted: wanted.into(),
            known: known.collect::<Vec<_>>().join(", "),
            hint: hint.into(),
        }
    }
}

/// Entries of a folder, sorted.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Unreadable { path: folder.into(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        found.push(entry.map_err(unreadable)?.path());
    }
    found.sort();
    Ok(found)
}

/// Files below a folder with their paths relative to it, sorted by path. `host-ca` belongs to one
/// machine and is left out.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for path in list(&next)? {
            let relative =
                path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            if relative == "host-ca" {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                found.push((relative, path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What serde can't see: the name, and the parts that a kind wants.
fn check(folder: &Path, file: &Path, text: &str, manifest: &Manifest) -> Result<(), Error> {
    let wrong = |offset: usize, what: String, hint: &str| Error::Content {
        path: file.into(),
        line: line_of(text, offset),
        what,
        hint: hint.into(),
    };
    let wanted = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name = manifest.name.get_ref();
    if *name != wanted {
        return Err(wrong(
            manifest.name.span().start,
            format!("name is `{name}`, wanted `{wanted}` as its folder"),
            "rename the folder or the image",
        ));
    }
    let kind = manifest.kind.span().start;
    match manifest.kind.get_ref() {
        Kind::Dockerfile | Kind::Own if !folder.join("Dockerfile").is_file() => Err(wrong(
            kind,
            "its folder has no Dockerfile".into(),
            "add one; it takes its parents as build arguments",
        )),
        Kind::Debootstrap if manifest.debootstrap.is_none() => Err(wrong(
            kind,
            "kind is debootstrap without a section [debootstrap]".into(),
            "add it, with suite, variant and packages",
        )),
        Kind::Own if manifest.own.is_none() => Err(wrong(
            kind,
            "kind is own without a section [own]".into(),
            "add it, with the version of the base's libc",
        )),
        Kind::Upstream if folder.join("Dockerfile").is_file() => Err(wrong(
            kind,
            "kind is upstream, and its folder has a Dockerfile: it is never built".into(),
            "remove it, or change the kind",
        )),
        Kind::Upstream => only_pulled(manifest)
            .map_or(Ok(()), |(offset, what, hint)| Err(wrong(offset, what.into(), hint))),
        other => match &manifest.upstream {
            Some(upstream) if upstream.get_ref().only.is_some() => Err(wrong(
                upstream.span().start,
                format!(
                    "[upstream] says `only`, but kind is {}: it is built too",
                    format!("{other:?}").to_lowercase()
                ),
                "make its kind `upstream`, without [packages], or drop `only`",
            )),
            _ => Ok(()),
        },
    }
}

/// What is wrong with an image that can only be pulled: where, what, and what to do.
fn only_pulled(manifest: &Manifest) -> Option<(usize, &'static str, &'static str)> {
    let Some(upstream) = &manifest.upstream else {
        return Some((
            manifest.kind.span().start,
            "kind is upstream without a section [upstream]",
            "add it, with image, tag and only",
        ));
    };
    if upstream.get_ref().only.is_none() {
        return Some((
            upstream.span().start,
            "[upstream] does not say why the image can only be pulled",
            "add `only`, with the reason",
        ));
    }
    let packages = manifest.packages.as_ref()?;
    Some((
        packages.span().start,
        "kind is upstream with a section [packages]: it is never built",
        "remove [packages], or change the kind",
    ))
}

/// Hashes one image after its parents; `path` holds the images that are being resolved.
fn resolve(
    name: &str,
    raw: &BTreeMap<String, (PathBuf, String, Manifest)>,
    done: &mut BTreeMap<String, Image>,
    path: &mut Vec<String>,
) -> Result<(), Error> {
    if done.contains_key(name) {
        return Ok(());
    }
    let Some((folder, text, manifest)) = raw.get(name) else { return Ok(()) };
    path.push(name.to_owned());
    for need in manifest.needs() {
        check_need(folder, text, need, raw, path)?;
        resolve(need.get_ref(), raw, done, path)?;
    }
    path.pop();

    let mut needs: Vec<String> = manifest.needs().iter().map(|n| n.get_ref().clone()).collect();
    needs.sort();
    let packages = manifest.packages.as_ref().map(|p| p.get_ref());
    let mut digest = Context::new(&SHA256);
    for (relative, file) in files(folder)? {
        let bytes = std::fs::read(&file)
            .map_err(|source| Error::Unreadable { path: file.clone(), source })?;
        digest.update(format!("file\0{relative}\0{}\0", bytes.len()).as_bytes());
        digest.update(&bytes);
    }
    for parent in &needs {
        digest.update(format!("parent\0{parent}\0{}", done[parent].hash).as_bytes());
    }
    let image = Image {
        name: name.to_owned(),
        version: manifest.version.clone(),
        kind: *manifest.kind.get_ref(),
        note: manifest.note.clone(),
        upstream: manifest.upstream.as_ref().map(|u| u.get_ref().clone()),
        needs,
        seconds: packages.map_or(0, |p| p.seconds),
        disk_mib: packages.map_or(0, |p| p.disk_mib),
        deviation: packages.and_then(|p| p.deviation.clone()),
        debootstrap: manifest.debootstrap.clone(),
        folder: folder.clone(),
        own: manifest.own.clone(),
        hash: hex(digest.finish().as_ref()),
    };
    done.insert(name.to_owned(), image);
    Ok(())
}

/// Whether what an image needs is there, is built, and does not need that image in turn; `path`
/// holds the images that are being resolved.
fn check_need(
    folder: &Path,
    text: &str,
    need: &Spanned<String>,
    raw: &BTreeMap<String, (PathBuf, String, Manifest)>,
    path: &[String],
) -> Result<(), Error> {
    let parent = need.get_ref();
    let wrong = |what: String, hint: &str| Error::Content {
        path: folder.join("image.toml"),
        line: line_of(text, need.span().start),
        what,
        hint: hint.into(),
    };
    match raw.get(parent) {
        None => {
            return Err(wrong(
                format!("needs `{parent}`, which the catalogue does not have"),
                "correct the name, or add its folder",
            ));
        }
        Some((_, _, it)) if *it.kind.get_ref() == Kind::Upstream => {
            return Err(wrong(
                format!("needs `{parent}`, which can only be pulled"),
                "build it of images that are built",
            ));
        }
        Some(_) => {}
    }
    let Some(start) = path.iter().position(|p| p == parent) else { return Ok(()) };
    let chain: Vec<&str> = path[start..].iter().chain([parent]).map(String::as_str).collect();
    let what = format!("images need each other: {}", chain.join(" -> "));
    Err(wrong(what, "remove one of these needs"))
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
pub(super) mod tests;
