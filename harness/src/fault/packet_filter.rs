//! A client's packets to a server don't arrive: `refuse_connections` answers each with a reset, so
//! that open connections break and new ones are refused, as if nothing listened there;
//! `flaky_connections` does so to a share of them, drawn at random, so that some connections are
//! refused and some break; `partition` drops them, so that connections hang. The client's own ports
//! stay reachable (a worker that can't reach its queue still shows its metrics), and other clients
//! notice nothing.

use super::connection::Connection;
use super::{Ability, Fault, FaultError, Kind, Scene, Settings};
use crate::journal::Undo;
use futures::future::BoxFuture;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

/// See [`refuse_connections`].
pub const REFUSE_CONNECTIONS: Kind = Kind {
    name: "refuse_connections",
    what: "its connections to another service are refused (to)",
    aim: refuse_connections,
    undo: None,
};
/// See [`partition`].
pub const PARTITION: Kind = Kind {
    name: "partition",
    what: "its packets to another service vanish (to)",
    aim: partition,
    undo: None,
};
/// See [`flaky`].
pub const FLAKY_CONNECTIONS: Kind = Kind {
    name: "flaky_connections",
    what: "a share of its packets to another service is answered by a reset (to, per_cent)",
    aim: flaky,
    undo: None,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Refuse,
    /// This share of the packets, per cent.
    RefuseSome(u32),
    Drop,
}

/// Connections that are tried to see whether some are refused.
const TRIED: usize = 60;

struct PacketFilter {
    action: Action,
    connection: Connection,
    server: Option<IpAddr>,
    usual: Result<Duration, String>,
}

/// `refuse_connections`. Setting: `to`.
///
/// # Errors
/// Unknown or missing settings.
pub fn refuse_connections(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    aim(Action::Refuse, target, settings)
}

/// `partition`. Setting: `to`.
///
/// # Errors
/// Unknown or missing settings.
pub fn partition(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    aim(Action::Drop, target, settings)
}

/// `flaky_connections`. Settings: `to`, `per_cent` (1 to 90, default 5).
///
/// # Errors
/// Unknown, missing or senseless settings.
pub fn flaky(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    let kind = Action::RefuseSome(0).kind();
    let connection = Connection::parse(kind, target, settings, &["per_cent"])?;
    let action = Action::RefuseSome(super::number(kind, settings, "per_cent", 5, 1..=90)?);
    Ok(Box::new(PacketFilter {
        action,
        connection,
        server: None,
        usual: Err("it was not prepared".into()),
    }))
}

fn aim(action: Action, target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    let connection = Connection::parse(action.kind(), target, settings, &[])?;
    Ok(Box::new(PacketFilter {
        action,
        connection,
        server: None,
        usual: Err("it was not prepared".into()),
    }))
}

impl Action {
    fn kind(self) -> &'static str {
        match self {
            Action::Refuse => "refuse_connections",
            Action::RefuseSome(_) => "flaky_connections",
            Action::Drop => "partition",
        }
    }

    fn jump(self) -> Vec<String> {
        let words = |w: &str| w.split(' ').map(str::to_owned).collect::<Vec<_>>();
        match self {
            Action::Refuse => words("REJECT --reject-with tcp-reset"),
            Action::RefuseSome(per_cent) => words(&format!(
                "REJECT --reject-with tcp-reset -m statistic --mode random --probability 0.{per_cent:02}"
            )),
            Action::Drop => words("DROP"),
        }
    }
}

impl PacketFilter {
    /// How many of some connections are refused.
    async fn refused(&self, scene: &Scene<'_>) -> Result<usize, FaultError> {
        let mut refused = 0;
        for _ in 0..TRIED {
            refused +=
                usize::from(self.connection.attempt(scene, Duration::from_secs(1)).await?.is_err());
        }
        Ok(refused)
    }
}

impl Fault for PacketFilter {
    fn kind(&self) -> &'static str {
        self.action.kind()
    }

    fn target(&self) -> &str {
        &self.connection.from
    }

    fn mechanism(&self) -> String {
        format!("packet filter in the client's network namespace, {}", self.action.jump().join(" "))
    }

    fn needs(&self) -> Vec<Ability> {
        vec![Ability::EnterNamespaces, Ability::PacketFilter]
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let client = scene.alive(self.kind(), &self.connection.from).await?;
            let server = scene.address(&self.connection.to).await?;
            self.server = Some(server);
            self.usual = self.connection.usual(scene, 2).await?;
            Ok(vec![Undo::DeleteContainerRules {
                container: client.id,
                rules: vec![self.connection.rule("-D", server, scene.run, &self.action.jump())],
            }])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async {
            self.connection.filter(scene, self.kind(), self.server, &self.action.jump()).await
        })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            self.connection.worked(scene, self.kind(), &self.usual)?;
            let limit = Duration::from_millis(1500);
            if let Action::RefuseSome(_) = self.action {
                let refused = self.refused(scene).await?;
                let some = (1..TRIED).contains(&refused);
                return Ok(some.then(|| {
                    format!("{refused} of {TRIED} connections {} were refused", self.connection)
                }));
            }
            let Err(error) = self.connection.attempt(scene, limit).await? else { return Ok(None) };
            // It is ours only while the server itself would accept.
            if !self.connection.accepted_at_server(scene).await? {
                return Ok(None);
            }
            Ok(match (self.action, error.kind()) {
                (Action::Refuse | Action::RefuseSome(_), ErrorKind::ConnectionRefused) => {
                    Some(format!("a connection {} was refused", self.connection))
                }
                (Action::Drop, ErrorKind::TimedOut | ErrorKind::WouldBlock) => Some(format!(
                    "a connection {} got no answer for {:.1} s",
                    self.connection,
                    limit.as_secs_f64()
                )),
                _ => None,
            })
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            if let Action::RefuseSome(_) = self.action {
                let refused = self.refused(scene).await?;
                return Ok((refused == 0)
                    .then(|| format!("{TRIED} connections {} were accepted", self.connection)));
            }
            let answer = self.connection.attempt(scene, Duration::from_secs(2)).await?;
            Ok(answer.ok().map(|took| {
                format!(
                    "a connection {} was accepted after {:.0} ms",
                    self.connection,
                    took.as_secs_f64() * 1e3
                )
            }))
        })
    }
}
