//! Redis is filled with keys that may be evicted (they have an expiry), up to a share of its memory
//! limit or until it evicts. Keys without an expiry, such as queues, stay under the policy
//! `volatile-lru`.

use super::resp::{self, Resp};
use super::{Ability, Fault, FaultError, Kind, Remains, Scene, Settings};
use crate::engine::namespace;
use crate::journal::Undo;
use crate::process::failure::UserError;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use std::io;
use std::time::Duration;

/// See [`aim`].
pub const REDIS_FILL: Kind = Kind {
    name: KIND,
    what: "it is filled to a share of its memory, or until it evicts (per_cent, port)",
    aim,
    undo: Some(undo),
};

const KIND: &str = "redis_fill";
/// Size of a value, bytes.
const VALUE: usize = 100 * 1024;
/// Bound on what is written, so that a server without a memory limit is not filled for ever.
const WRITE_MAX: usize = 1 << 30;

/// How long a server may take when the fault is undone: it was full a moment ago.
const UNDO_CONNECTS: Duration = Duration::from_secs(5);
const UNDO_ANSWERS: Duration = Duration::from_secs(10);

struct RedisFill {
    target: String,
    port: u16,
    /// Share of the memory limit that is filled; `None` fills until keys are evicted.
    per_cent: Option<u64>,
    evicted_before: u64,
    used_before: u64,
}

/// Settings: `per_cent` of the memory limit (1 to 95; without it, until keys are evicted), `port`
/// (default 6379).
///
/// # Errors
/// Unknown or senseless settings.
pub fn aim(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only(KIND, settings, &["per_cent", "port"])?;
    let port = super::port(KIND, settings, 6379)?;
    let per_cent = match settings.contains_key("per_cent") {
        true => Some(u64::from(super::number(KIND, settings, "per_cent", 90, 1..=95)?)),
        false => None,
    };
    Ok(Box::new(RedisFill {
        target: target.into(),
        port,
        per_cent,
        evicted_before: 0,
        used_before: 0,
    }))
}

fn prefix(run: &str) -> String {
    format!("firedrill:{run}:")
}

impl RedisFill {
    async fn speak<T: Send + 'static>(
        &self,
        scene: &Scene<'_>,
        work: impl FnOnce(&mut Resp) -> io::Result<T> + Send + 'static,
    ) -> Result<T, FaultError> {
        resp::ask(scene, KIND, &self.target, self.port, work).await
    }
}

impl Fault for RedisFill {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn mechanism(&self) -> String {
        "keys with an expiry, written from within the server's network namespace".into()
    }

    fn needs(&self) -> Vec<Ability> {
        vec![Ability::EnterNamespaces]
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let container = scene.alive(KIND, &self.target).await?;
            let (evicted, used, limit, policy) = self
                .speak(scene, |r| {
                    Ok((
                        r.info("evicted_keys")?,
                        r.info("used_memory")?,
                        r.info("maxmemory")?,
                        r.field("maxmemory_policy")?,
                    ))
                })
                .await?;
            (self.evicted_before, self.used_before) = (evicted, used);
            if limit == 0 || limit as usize > WRITE_MAX / 2 {
                let what = format!("fault {KIND}: maxmemory of {} is {limit} bytes", self.target);
                return Err(FaultError::Settings {
                    what,
                    hint: format!(
                        "set a maxmemory below {} bytes: the host's memory is never filled",
                        WRITE_MAX / 2
                    ),
                });
            }
            if let Some(per_cent) = self.per_cent.filter(|p| used * 100 >= limit * p) {
                let seen = format!(
                    "it uses {used} of {limit} bytes already, {per_cent} % or more: nothing would change"
                );
                return Err(scene.failed(KIND, &self.target, seen));
            }
            if self.per_cent.is_none() && policy == "noeviction" {
                return Err(FaultError::Settings {
                    what: format!("fault {KIND}: maxmemory-policy of {} is noeviction, so it never evicts", self.target),
                    hint: "it refuses writes instead; set a policy that evicts, such as volatile-lru, or fill a share with per_cent".into(),
                });
            }
            let state = serde_json::json!({ "port": self.port, "prefix": prefix(scene.run) });
            Ok(vec![Undo::Fault { container: container.id, kind: KIND.into(), state }])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async {
            let (prefix, before, per_cent) =
                (prefix(scene.run), self.evicted_before, self.per_cent);
            self.speak(scene, move |r| {
                let value = vec![b'x'; VALUE];
                for n in 0..WRITE_MAX / VALUE {
                    r.command(&[
                        b"SET",
                        format!("{prefix}{n}").as_bytes(),
                        &value,
                        b"EX",
                        b"3600",
                    ])?;
                    let enough = match per_cent {
                        Some(per_cent) => {
                            r.info("used_memory")? * 100 >= r.info("maxmemory")? * per_cent
                        }
                        // A few dozen evictions, so that one that the server did anyway is not
                        // taken for ours.
                        None => n % 16 == 0 && r.info("evicted_keys")? > before + 50,
                    };
                    if enough {
                        return Ok(());
                    }
                }
                Err(io::Error::other(format!(
                    "{WRITE_MAX} bytes were written, and it is neither full nor evicts"
                )))
            })
            .await
        })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let (evicted, used, limit) = self
                .speak(scene, |r| {
                    Ok((r.info("evicted_keys")?, r.info("used_memory")?, r.info("maxmemory")?))
                })
                .await?;
            let evicted = evicted.saturating_sub(self.evicted_before);
            Ok(match self.per_cent {
                // What others use comes and goes a little.
                Some(per_cent) => (used * 100 >= limit * per_cent.saturating_sub(2)).then(|| {
                    format!(
                        "{} uses {used} of {limit} bytes, and evicted {evicted} keys",
                        self.target
                    )
                }),
                None => (evicted > 0).then(|| format!("{} evicted {evicted} keys", self.target)),
            })
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let prefix = prefix(scene.run);
            let (keys, used, limit) = self
                .speak(scene, move |r| {
                    Ok((r.keys(&prefix)?.len(), r.info("used_memory")?, r.info("maxmemory")?))
                })
                .await?;
            let little = used <= (self.used_before + limit / 20).max(limit * 8 / 10);
            Ok((keys == 0 && little)
                .then(|| format!("no key of ours is left; {used} of {limit} bytes are used")))
        })
    }
}

/// Deletes the keys that it wrote: the state is `port` and `prefix`.
fn undo(remains: Option<Remains>, state: Value) -> BoxFuture<'static, Result<(), String>> {
    #[derive(Deserialize)]
    struct Keys {
        port: u16,
        prefix: String,
    }
    Box::pin(async move {
        let Keys { port, prefix } = serde_json::from_value(state).map_err(|e| e.to_string())?;
        match remains {
            Some(Remains { pid: Some(pid), .. }) => {
                let delete = move || {
                    Resp::connect_within(port, UNDO_CONNECTS, UNDO_ANSWERS)?.delete_keys(&prefix)
                };
                let deleted =
                    namespace::within(pid, delete).await.map_err(|e| e.advice().to_string())?;
                deleted.map_err(|e| format!("redis on port {port}: {e}"))
            }
            // Whether it wrote them to disk before it stopped can't be seen from here.
            Some(Remains { name, .. }) => {
                Err(format!("container {name} does not run, so its keys can't be deleted"))
            }
            None => Ok(()),
        }
    })
}
