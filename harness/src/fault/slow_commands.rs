//! Commands of Redis that take long: a client runs scripts that compute, one after the other. Redis does one thing at a time, so
//! other clients wait meanwhile, each a little.

use super::sessions::{self, Helper, Protocol, Sessions, Task};
use super::{Ability, Fault, FaultError, Scene, Settings, resp};
use crate::journal::Undo;
use futures::future::BoxFuture;
use std::time::{Duration, Instant};
use verdict::history::fault::BlastRadius;

const KIND: &str = "slow_commands";

struct SlowCommands {
    target: String,
    port: u16,
    takes: Duration,
    pause: Duration,
    before: Spent,
    helper: Helper,
}

/// What the server counts of the command that we use.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    calls: u64,
    microseconds: u64,
}

/// Settings: `take_ms` of processor time for each (10 to 2000, default 150), `pause_ms` between two (10 to 60000, default 450),
/// `port` (default 6379).
///
/// # Errors
/// Unknown or senseless settings.
pub fn aim(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only(KIND, settings, &["take_ms", "pause_ms", "port"])?;
    let milliseconds = |key, default, range| super::number(KIND, settings, key, default, range).map(|ms| Duration::from_millis(ms.into()));
    Ok(Box::new(SlowCommands {
        target: target.into(),
        port: super::port(KIND, settings, Protocol::Redis.port())?,
        takes: milliseconds("take_ms", 150, 10..=2000)?,
        pause: milliseconds("pause_ms", 450, 10..=60_000)?,
        before: Spent::default(),
        helper: Helper::default(),
    }))
}

impl SlowCommands {
    async fn spent(&self, scene: &Scene<'_>) -> Result<Spent, FaultError> {
        let statistics = |r: &mut resp::Resp| Ok(r.command(&[b"INFO", b"commandstats"])?.concat());
        let text = resp::ask(scene, KIND, &self.target, self.port, statistics).await?;
        let line = text.lines().find_map(|line| line.strip_prefix("cmdstat_eval:")).unwrap_or_default();
        let number = |key: &str| line.split(',').find_map(|f| f.strip_prefix(key)?.strip_prefix('=')?.trim().parse().ok()).unwrap_or(0);
        Ok(Spent { calls: number("calls"), microseconds: number("usec") })
    }
}

impl Fault for SlowCommands {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn mechanism(&self) -> String {
        "scripts that compute (EVAL), sent by a helper process from within the server's network namespace".into()
    }

    fn needs(&self) -> Vec<Ability> {
        vec![Ability::EnterNamespaces]
    }

    fn blast_radius(&self) -> BlastRadius {
        BlastRadius { services: vec![self.target.clone()], ..BlastRadius::default() }
    }

    fn prepare<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            self.before = self.spent(scene).await?;
            let script = format!("local began = os.clock() while os.clock() - began < {} do end", self.takes.as_secs_f64());
            let sessions = Sessions {
                pid: scene.container(&self.target).await?.pid,
                protocol: Protocol::Redis,
                port: self.port,
                name: sessions::name(KIND, scene.run),
                task: Task::Say(vec!["EVAL".into(), script, "0".into()], Some(self.pause)),
            };
            let (helper, undo) = Helper::start(scene, KIND, &self.target, sessions).await?;
            self.helper = helper;
            Ok(vec![undo])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async { self.helper.begin(scene, KIND, &self.target) })
    }

    fn bites<'a>(&'a self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            self.helper.lives(scene, KIND, &self.target)?;
            let now = self.spent(scene).await?;
            // A server whose statistics were reset meanwhile counts from 0.
            let calls = now.calls.saturating_sub(self.before.calls);
            let each_ms = now.microseconds.saturating_sub(self.before.microseconds) as f64 / 1e3 / calls.max(1) as f64;
            let slow = each_ms >= self.takes.as_secs_f64() * 900.0;
            Ok((calls >= 2 && slow).then(|| format!("{} took {each_ms:.0} ms for each of {calls} commands", self.target)))
        })
    }

    fn left<'a>(&'a self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let name = sessions::name(KIND, scene.run);
            let look = move |r: &mut resp::Resp| {
                let began = Instant::now();
                r.command(&[b"PING"])?;
                Ok((r.clients_named(&name)?, began.elapsed()))
            };
            let (ours, took) = resp::ask(scene, KIND, &self.target, self.port, look).await?;
            let quick = took < self.takes;
            Ok((ours == 0 && quick).then(|| format!("our client is gone; a command took {:.1} ms", took.as_secs_f64() * 1e3)))
        })
    }
}
