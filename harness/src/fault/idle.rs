//! A fault that does nothing.

use super::{Ability, Fault, FaultError, Kind, Scene, Settings, only};
use crate::journal::Undo;
use futures::future::BoxFuture;

/// See [`aim`].
pub const IDLE: Kind = Kind { name: "idle", what: "nothing happens to it", aim, undo: None };

struct Idle(String);

/// `idle`. It has no settings.
///
/// # Errors
/// Any setting.
pub fn aim(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    only("idle", settings, &[]).map(|()| Box::new(Idle(target.to_owned())) as Box<dyn Fault>)
}

impl Fault for Idle {
    fn kind(&self) -> &'static str {
        "idle"
    }

    fn target(&self) -> &str {
        &self.0
    }

    fn mechanism(&self) -> String {
        "none".into()
    }

    fn needs(&self) -> Vec<Ability> {
        Vec::new()
    }

    fn prepare<'a>(&'a mut self, _: &'a Scene<'a>) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn inject<'a>(&'a mut self, _: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async { Ok(()) })
    }

    fn bites<'a>(&'a self, _: &'a Scene<'a>) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async { Ok(Some("nothing happens".into())) })
    }

    fn left<'a>(&'a self, _: &'a Scene<'a>) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async { Ok(Some("nothing happens".into())) })
    }
}
