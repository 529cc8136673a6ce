//! Commands of Redis that take long: a client runs scripts that compute, one after the other. Redis
//! does one thing at a time, so other clients wait meanwhile, each a little.

use super::sessions::{self, Helper, Protocol, Sessions, Task};
use super::{Ability, Fault, FaultError, Kind, Scene, Settings, resp};
use crate::journal::Undo;
use futures::future::BoxFuture;
use std::time::{Duration, Instant};

/// See [`aim`].
pub const SLOW_COMMANDS: Kind = Kind {
    name: KIND,
    what: "it is given commands that take long (take_ms, pause_ms, port)",
    aim,
    undo: None,
};

const KIND: &str = "slow_commands";

struct SlowCommands {
    target: String,
    port: u16,
    takes: Duration,
    pause: Duration,
    /// Number of the newest slow command before ours.
    newest: i64,
    helper: Helper,
}

/// Settings: `take_ms` of processor time for each (20 to 2000, default 150), `pause_ms` between two
/// (10 to 60000, default 450), `port` (default 6379).
///
/// # Errors
/// Unknown or senseless settings.
pub fn aim(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only(KIND, settings, &["take_ms", "pause_ms", "port"])?;
    let milliseconds = |key, default, range| {
        super::number(KIND, settings, key, default, range)
            .map(|ms| Duration::from_millis(ms.into()))
    };
    Ok(Box::new(SlowCommands {
        target: target.into(),
        port: super::port(KIND, settings, Protocol::Redis.port())?,
        takes: milliseconds("take_ms", 150, 20..=2000)?,
        pause: milliseconds("pause_ms", 450, 10..=60_000)?,
        newest: -1,
        helper: Helper::default(),
    }))
}

impl SlowCommands {
    /// The server's list of slow commands, the newest first.
    async fn slow_ones(&self, scene: &Scene<'_>) -> Result<Vec<String>, FaultError> {
        let list = |r: &mut resp::Resp| r.command(&[b"SLOWLOG", b"GET", b"128"]);
        resp::ask(scene, KIND, &self.target, self.port, list).await
    }
}

/// Durations in an answer of `SLOWLOG GET` that are of this client and later than the command of
/// this number, milliseconds. Each entry is a number, a time, a duration in microseconds, the words
/// of the command (of ours three), the client's address and its name.
fn durations(fields: &[String], client: &str, later_than: i64) -> Vec<f64> {
    let ours = fields.windows(8).filter(|entry| {
        entry[7] == client && entry[0].parse::<i64>().is_ok_and(|number| number > later_than)
    });
    ours.filter_map(|entry| entry[2].parse::<f64>().ok())
        .map(|microseconds| microseconds / 1e3)
        .collect()
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

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            self.newest = self
                .slow_ones(scene)
                .await?
                .first()
                .and_then(|number| number.parse().ok())
                .unwrap_or(-1);
            let script = format!(
                "local began = os.clock() while os.clock() - began < {} do end",
                self.takes.as_secs_f64()
            );
            let sessions = Sessions {
                pid: scene.alive(KIND, &self.target).await?.pid,
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

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            self.helper.lives(scene, KIND, &self.target)?;
            let took = durations(
                &self.slow_ones(scene).await?,
                &sessions::name(KIND, scene.run),
                self.newest,
            );
            let slow =
                took.len() >= 2 && took.iter().all(|ms| *ms >= self.takes.as_secs_f64() * 900.0);
            let mean = took.iter().sum::<f64>() / took.len().max(1) as f64;
            Ok(slow.then(|| {
                format!("each of {} commands took {} {mean:.0} ms", took.len(), self.target)
            }))
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let name = sessions::name(KIND, scene.run);
            let look = move |r: &mut resp::Resp| {
                let began = Instant::now();
                r.command(&[b"PING"])?;
                Ok((r.clients_named(&name)?, began.elapsed()))
            };
            let (ours, took) = resp::ask(scene, KIND, &self.target, self.port, look).await?;
            let quick = took < self.takes;
            Ok((ours == 0 && quick).then(|| {
                format!("our client is gone; a command took {:.1} ms", took.as_secs_f64() * 1e3)
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_our_own_commands() {
        let answer = "7 1795 151200 EVAL script 0 127.0.0.1:4 ours 6 1794 99000 GET key 10.0.0.3:5 theirs 5 1794 150100 EVAL script 0 127.0.0.1:4 ours";
        let fields: Vec<String> = answer.split(' ').map(str::to_owned).collect();
        assert_eq!(durations(&fields, "ours", -1), [151.2, 150.1]);
        assert_eq!(durations(&fields, "ours", 5), [151.2], "the other was there before");
        assert_eq!(durations(&fields[5..], "ours", -1), [150.1], "an answer that is cut off");
        assert_eq!(durations(&fields, "nobody", -1), [0.0; 0]);
    }
}
