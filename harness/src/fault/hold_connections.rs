//! A server's connections are taken: authenticated sessions that do nothing are held until the
//! server counts so many clients.

use super::postgres::Server;
use super::sessions::{self, CLIENT_BACKENDS, Helper, Protocol, Sessions, Task};
use super::{Ability, Fault, FaultError, Kind, Scene, Settings, resp};
use crate::journal::Undo;
use futures::future::BoxFuture;

/// See [`aim`].
pub const HOLD_CONNECTIONS: Kind = Kind {
    name: KIND,
    what: "its connections are taken by idle sessions (protocol, count or per_cent, port)",
    aim,
    undo: None,
};

const KIND: &str = "hold_connections";

/// How many clients the server shall have.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Count(u32),
    PerCent(u32),
}

struct HoldConnections {
    target: String,
    protocol: Protocol,
    port: u16,
    wanted: Wanted,
    up_to: u32,
    helper: Helper,
}

/// What the server counts: clients, how many it allows, and how many of the clients have our name.
struct Counted {
    clients: u32,
    allowed: u32,
    ours: u32,
}

/// Settings: `protocol` (postgresql, redis), `count` of clients or `per_cent` of those that the
/// server allows (1 to 95), `port`.
///
/// # Errors
/// Unknown, missing or senseless settings.
pub fn aim(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only(KIND, settings, &["protocol", "count", "per_cent", "port"])?;
    let protocol: Protocol =
        settings.get("protocol").map(String::as_str).unwrap_or_default().parse().map_err(
            |what| FaultError::Settings {
                what: format!("fault {KIND}: `protocol` is {what}"),
                hint: "write `protocol: postgresql` or `protocol: redis`".into(),
            },
        )?;
    let wanted = match (settings.contains_key("count"), settings.contains_key("per_cent")) {
        (true, false) => Wanted::Count(super::number(KIND, settings, "count", 1, 1..=15_000)?),
        (false, true) => Wanted::PerCent(super::number(KIND, settings, "per_cent", 1, 1..=95)?),
        _ => {
            return Err(FaultError::Settings {
                what: format!("fault {KIND} wants one of `count` and `per_cent`"),
                hint: "write `count: \"1100\"` clients, or `per_cent: \"85\"` of those that the server allows".into(),
            });
        }
    };
    let port = super::port(KIND, settings, protocol.port())?;
    Ok(Box::new(HoldConnections {
        target: target.into(),
        protocol,
        port,
        wanted,
        up_to: 0,
        helper: Helper::default(),
    }))
}

impl HoldConnections {
    async fn count(&self, scene: &Scene<'_>) -> Result<Counted, FaultError> {
        let name = sessions::name(KIND, scene.run);
        match self.protocol {
            Protocol::Postgresql => {
                let server = Server { kind: KIND, target: self.target.clone(), port: self.port };
                let client = server.connect(scene).await?;
                let named = format!(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"
                );
                Ok(Counted {
                    clients: server.number(scene, &client, CLIENT_BACKENDS).await? as u32,
                    allowed: server.number(scene, &client, "SHOW max_connections").await? as u32,
                    ours: server.number(scene, &client, &named).await? as u32,
                })
            }
            Protocol::Redis => {
                let ask = move |r: &mut resp::Resp| {
                    Ok(Counted {
                        clients: r.info("connected_clients")? as u32,
                        allowed: r.setting("maxclients")? as u32,
                        ours: r.clients_named(&name)? as u32,
                    })
                };
                resp::ask(scene, KIND, &self.target, self.port, ask).await
            }
        }
    }
}

impl Fault for HoldConnections {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn mechanism(&self) -> String {
        "sessions of a helper process, from within the server's network namespace".into()
    }

    fn needs(&self) -> Vec<Ability> {
        vec![Ability::EnterNamespaces]
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let now = self.count(scene).await?;
            self.up_to = match self.wanted {
                Wanted::Count(count) => count,
                Wanted::PerCent(per_cent) => (now.allowed * per_cent).div_ceil(100),
            };
            if self.up_to >= now.allowed {
                return Err(FaultError::Settings {
                    what: format!("fault {KIND}: {} clients of {} are wanted, which allows {}", self.up_to, self.target, now.allowed),
                    hint: "ask for fewer, or allow more (`max_connections` of PostgreSQL, `maxclients` of Redis)".into(),
                });
            }
            if self.up_to <= now.clients {
                let seen = format!(
                    "it has {} clients already, {} are wanted: nothing would change",
                    now.clients, self.up_to
                );
                return Err(scene.failed(KIND, &self.target, seen));
            }
            let sessions = Sessions {
                pid: scene.alive(KIND, &self.target).await?.pid,
                protocol: self.protocol,
                port: self.port,
                name: sessions::name(KIND, scene.run),
                task: Task::UpTo(self.up_to),
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
            let Counted { clients, allowed, ours } = self.count(scene).await?;
            // Others come and go meanwhile.
            let enough = clients * 100 >= self.up_to * 98 && ours > 0;
            Ok(enough.then(|| {
                format!(
                    "{} has {clients} clients of at most {allowed}; {ours} of them do nothing",
                    self.target
                )
            }))
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let Counted { clients, allowed, ours } = self.count(scene).await?;
            Ok((ours == 0 && clients < self.up_to).then(|| {
                format!("{} has {clients} clients of at most {allowed}, none of ours", self.target)
            }))
        })
    }
}
