//! YAML as a tree that loses nothing: unknown keys, their order, the very text of each scalar, what
//! type that text has, and where all of it stands.
//!
//! Two kinds of readers share it. A server's configuration is changed and written back
//! ([`Document`]), so a bare `yes`, `010` or `1.10` is handed on as it stands ([`Node::text`]): it
//! means something else to the server than to us. A file that is acted on here (Compose,
//! provisioning) is asked what it means ([`Node::typed`]). Comments, anchors and merge keys go:
//! they are resolved on reading.

mod document;
mod error;
mod read;
mod tree;
mod words;
mod write;

pub use document::Document;
pub use error::{ConfigError, Place};
pub use read::{Unreadable, first_document, read};
pub use tree::{Key, Mark, Node, Scalar, Typed, Value};
