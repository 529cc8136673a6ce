//! Each packet from a client to a server is late. Other clients of the server, its exporter for
//! one, notice nothing.

use super::connection::Connection;
use super::{Ability, Fault, FaultError, Kind, Scene, Settings};
use crate::journal::Undo;
use futures::future::BoxFuture;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// See [`aim`].
pub const PACKET_DELAY: Kind = Kind {
    name: KIND,
    what: "its packets to another service are late (to, delay_ms)",
    aim,
    undo: None,
};

const KIND: &str = "packet_delay";
/// Numbers of packet queues; each network namespace has its own.
const QUEUES: std::ops::Range<u16> = 7301..8301;
/// How many were taken: faults in one namespace, to several instances of a service, have a queue
/// each.
static TAKEN: AtomicU16 = AtomicU16::new(0);

/// How many connections are tried to see it.
const TRIES: u32 = 3;

/// See the module.
pub struct PacketDelay {
    connection: Connection,
    delay: Duration,
    server: Option<IpAddr>,
    queue: u16,
    usual: Result<Duration, String>,
}

/// Settings: `to`, and `delay_ms` (1 to 60000).
///
/// # Errors
/// Unknown, missing or senseless settings.
pub fn aim(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    let connection = Connection::parse(KIND, target, settings, &["delay_ms"])?;
    let text = settings.get("delay_ms").map(String::as_str).unwrap_or("");
    let delay = text.parse::<u64>().ok().filter(|ms| (1..=60_000).contains(ms));
    let delay = delay.ok_or_else(|| FaultError::Settings {
        what: format!("fault {KIND}: `delay_ms` is {text:?}"),
        hint: "write whole milliseconds from 1 to 60000".into(),
    })?;
    Ok(Box::new(PacketDelay {
        connection,
        delay: Duration::from_millis(delay),
        server: None,
        queue: QUEUES.start,
        usual: Err("it was not prepared".into()),
    }))
}

fn jump(queue: u16) -> [String; 4] {
    // With --queue-bypass packets pass undelayed once the helper is gone, however it went.
    ["NFQUEUE".into(), "--queue-num".into(), queue.to_string(), "--queue-bypass".into()]
}

impl Fault for PacketDelay {
    fn kind(&self) -> &'static str {
        KIND
    }
    fn target(&self) -> &str {
        &self.connection.from
    }
    fn mechanism(&self) -> String {
        "packet queue in user space (NFQUEUE) in the client's network namespace".into()
    }
    fn needs(&self) -> Vec<Ability> {
        vec![Ability::EnterNamespaces, Ability::PacketFilter, Ability::PacketQueue]
    }
    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let client = scene.alive(KIND, &self.connection.from).await?;
            let server = scene.address(&self.connection.to).await?;
            self.server = Some(server);
            let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
            self.queue = QUEUES.start + taken % (QUEUES.end - QUEUES.start);
            self.usual = self.connection.usual(scene, TRIES).await?;
            let arguments = [
                "hold-packets".to_owned(),
                "--pid".into(),
                client.pid.to_string(),
                "--queue".into(),
                self.queue.to_string(),
                "--delay-ms".into(),
                self.delay.as_millis().to_string(),
            ];
            // The helper does nothing until a rule hands it packets.
            let helper = super::helper::start(&arguments)
                .await
                .map_err(|e| scene.failed(KIND, &self.connection.from, e))?;
            let rule = self.connection.rule("-D", server, scene.run, &jump(self.queue));
            Ok(vec![Undo::DeleteContainerRules { container: client.id, rules: vec![rule] }, helper])
        })
    }
    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        let jump = jump(self.queue);
        Box::pin(async move { self.connection.filter(scene, KIND, self.server, &jump).await })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let usual = *self.connection.worked(scene, KIND, &self.usual)?;
            // A connection is established once its first packet has been let through: one delay.
            let took = self.fastest(scene, self.delay * 3 + Duration::from_secs(1)).await?;
            Ok(took.filter(|t| *t >= usual + self.delay.mul_f64(0.9)).map(|t| {
                let ms = |d: Duration| d.as_secs_f64() * 1e3;
                format!(
                    "a connection {} took {:.0} ms, before: {:.1} ms",
                    self.connection,
                    ms(t),
                    ms(usual)
                )
            }))
        })
    }
    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let took = self.fastest(scene, Duration::from_secs(2)).await?;
            let usual = self.usual.as_ref().copied().unwrap_or_default();
            Ok(took.filter(|t| *t < usual + self.delay.mul_f64(0.9)).map(|t| {
                format!("a connection {} took {:.1} ms", self.connection, t.as_secs_f64() * 1e3)
            }))
        })
    }
}

impl PacketDelay {
    /// The fastest of a few connections: a busy host delays one, this fault each.
    async fn fastest(
        &self,
        scene: &Scene<'_>,
        limit: Duration,
    ) -> Result<Option<Duration>, FaultError> {
        let mut fastest: Option<Duration> = None;
        let tries = if self.delay > Duration::from_secs(1) { 1 } else { TRIES };
        for _ in 0..tries {
            let took = self.connection.attempt(scene, limit).await?.ok();
            fastest = fastest.into_iter().chain(took).min();
        }
        Ok(fastest)
    }
}
