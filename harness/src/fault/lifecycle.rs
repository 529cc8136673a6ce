//! What can be done to a container as a whole: `stop` (asked to end, then killed, as by an
//! operator), `kill` (SIGKILL, as by a crash; it stays dead, whatever the restart policy), `pause`
//! (frozen: the kernel still accepts connections, nobody answers) and `restart` (over when it works
//! again).

use super::{Ability, Fault, FaultError, Kind, Scene, Settings};
use crate::journal::Undo;
use crate::process::failure::UserError;
use futures::future::BoxFuture;
use std::time::Duration;

/// See [`stop`].
pub const STOP: Kind = Kind {
    name: "stop",
    what: "the container is stopped, as by an operator",
    aim: stop,
    undo: None,
};
/// See [`kill`].
pub const KILL: Kind =
    Kind { name: "kill", what: "its processes are killed, as by a crash", aim: kill, undo: None };
/// See [`pause`].
pub const PAUSE: Kind =
    Kind { name: "pause", what: "its processes are frozen", aim: pause, undo: None };
/// See [`restart`].
pub const RESTART: Kind =
    Kind { name: "restart", what: "it is restarted", aim: restart, undo: None };

/// Time that processes have to end by themselves.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Stop,
    Kill,
    Pause,
    Restart,
}

struct Lifecycle {
    action: Action,
    target: String,
    /// Container and its main process, once prepared.
    container: (String, i32),
}

/// `stop`. These faults have no settings.
///
/// # Errors
/// Any setting.
pub fn stop(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    aim(Action::Stop, target, settings)
}

/// `kill`.
///
/// # Errors
/// Any setting.
pub fn kill(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    aim(Action::Kill, target, settings)
}

/// `pause`.
///
/// # Errors
/// Any setting.
pub fn pause(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    aim(Action::Pause, target, settings)
}

/// `restart`.
///
/// # Errors
/// Any setting.
pub fn restart(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    aim(Action::Restart, target, settings)
}

fn aim(action: Action, target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    let fault = Lifecycle { action, target: target.into(), container: Default::default() };
    super::only(fault.kind(), settings, &[])?;
    Ok(Box::new(fault))
}

impl Fault for Lifecycle {
    fn kind(&self) -> &'static str {
        match self.action {
            Action::Stop => "stop",
            Action::Kill => "kill",
            Action::Pause => "pause",
            Action::Restart => "restart",
        }
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn mechanism(&self) -> String {
        "container engine".into()
    }

    fn needs(&self) -> Vec<Ability> {
        Vec::new()
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let container = scene.alive(self.kind(), &self.target).await?;
            self.container = (container.id.clone(), container.pid);
            Ok(vec![match self.action {
                Action::Pause => Undo::Unpause { container: container.id },
                _ => Undo::StartContainer { container: container.id },
            }])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async {
            let id = &self.container.0;
            let done = match self.action {
                Action::Stop => scene.engine.stop(id, Some(GRACE)).await,
                Action::Kill => scene.engine.kill(id, "SIGKILL").await,
                Action::Pause => scene.engine.pause(id).await,
                Action::Restart => scene.engine.restart(id, GRACE).await,
            };
            done.map_err(|e| scene.failed(self.kind(), &self.target, e.advice()))
        })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let (id, before) = &self.container;
            let state = scene
                .engine
                .inspect(id)
                .await
                .map_err(|e| scene.failed(self.kind(), &self.target, e.advice()))?;
            Ok(match self.action {
                Action::Stop | Action::Kill => (!state.running).then(|| {
                    format!(
                        "the container of {} has ended, exit code {}",
                        self.target, state.exit_code
                    )
                }),
                Action::Pause => {
                    state.paused.then(|| format!("the container of {} is paused", self.target))
                }
                Action::Restart => (state.running && state.pid != *before).then(|| {
                    format!("{} runs as process {} instead of {before}", self.target, state.pid)
                }),
            })
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            if self.action != Action::Pause {
                return scene.works(self.kind(), &self.target).await;
            }
            // The engine calls a paused container unhealthy until its next health check, which may
            // be far.
            let state = scene.container(&self.target).await?;
            Ok((state.running && !state.paused)
                .then(|| format!("the container of {} is no longer paused", self.target)))
        })
    }
}
