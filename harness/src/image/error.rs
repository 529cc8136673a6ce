//! What can go wrong with images, in the user's words.

use super::unavailable::{Unavailable, hints, told};
use crate::process::exit::Exit;
use crate::process::failure::UserError;
use std::path::PathBuf;

/// An image can't be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the catalogue can't be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An `image.toml` is not what is wanted.
    #[error("{path}:{line}: {what}")]
    Content {
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Subject, seen, wanted.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The catalogue has no such image, and it is not one that could be pulled.
    #[error("image {wanted} is not in the catalogue, seen {known}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// The names that exist.
        known: String,
        /// What to do.
        hint: String,
    },
    /// Some can't be had here, neither pulled nor built; at least one.
    #[error("{}", told(.0))]
    Unavailable(Vec<Unavailable>),
    /// Not enough room for what is to be built.
    #[error("building {images} needs {wanted_gib:.1} GiB at {folder}, seen {seen_gib:.1} GiB free")]
    Disk {
        /// What is to be built.
        images: String,
        /// Wanted, in GiB.
        wanted_gib: f64,
        /// Free, in GiB.
        seen_gib: f64,
        /// The engine's folder.
        folder: PathBuf,
    },
    /// The host lacks a program.
    #[error("image {image} needs the program {tool} on this machine, seen none")]
    Tool {
        /// Name in the catalogue.
        image: String,
        /// Name of the program.
        tool: String,
        /// What to do.
        hint: String,
    },
    /// A build failed.
    #[error("building image {name} failed: {why}\n{tail}")]
    Build {
        /// Name in the catalogue.
        name: String,
        /// What the engine or the program said.
        why: String,
        /// The last lines of its output, indented.
        tail: String,
        /// The whole output.
        log: PathBuf,
    },
    /// One of our own binaries can't be put into an image.
    #[error("binary {path} can't be put into an image: {why}")]
    Own {
        path: PathBuf,
        why: String,
        /// What to do.
        hint: String,
    },
    /// The output of a build can't be written, or its context can't be made.
    #[error("{what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The engine answered a question with an error.
    #[error("{what} failed: {source}")]
    Engine {
        /// What was tried.
        what: String,
        /// What the engine said.
        source: bollard::errors::Error,
    },
}

impl UserError for Error {
    fn exit(&self) -> Exit {
        Exit::Unfit
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Error::Unreadable { .. } => "the catalogue of images is the folder compose/images; run from the repository".into(),
            Error::Content { hint, .. } | Error::Unknown { hint, .. } | Error::Tool { hint, .. } | Error::Own { hint, .. } => hint.clone(),
            Error::Unavailable(all) => return hints(all),
            Error::Disk { .. } => "free some with `docker system prune`, or move the engine's folder (`data-root`) to a larger disk".into(),
            Error::Build { log, .. } => format!("the whole output is in {}", log.display()),
            Error::File { .. } => "check the folder's permissions and free space".into(),
            Error::Engine { .. } => "is the engine running? `firedrill doctor` tells".into(),
        };
        vec![hint]
    }
}

impl Error {
    /// For `map_err` of a call to the engine.
    pub(super) fn engine(what: impl Into<String>) -> impl FnOnce(bollard::errors::Error) -> Error {
        let what = what.into();
        move |source| Error::Engine { what, source }
    }
}
