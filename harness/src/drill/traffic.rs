//! The traffic of a run: the background load, and what a drill adds to it.

use super::{Error, Session};
use crate::process::failure::Advice;
use crate::stack::Running;
use loadgen::Workload;
use loadgen::traffic::stated::StatedTraffic;
use loadgen::traffic::{Mistake, Traffic};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use verdict::EventKind;
use verdict::history::load::{LoadEvent, LoadSummary};

/// A declared workload, ready to be driven, and where each `service:port` of it is reached.
///
/// # Errors
/// It makes no sense, or a port that it needs is not published.
pub fn traffic(
    declared: &StatedTraffic,
    at: impl Fn(&str) -> Result<String, Error>,
) -> Result<(Arc<Traffic>, BTreeMap<String, String>), Error> {
    let traffic = Traffic::read(declared).map_err(|mistake| {
        let Mistake { what, hint, .. } = mistake;
        Error::Configuration(Advice::from(format!("workload: {what}")).hint(hint))
    })?;
    let places = traffic
        .places()
        .iter()
        .map(|place| Ok((place.clone(), at(place)?)))
        .collect::<Result<_, Error>>()?;
    Ok((Arc::new(traffic), places))
}

/// `127.0.0.1:port` at which a `service:port` of a stack is published.
///
/// # Errors
/// It is not written so, or the port is not published.
pub fn published(running: &Running, place: &str) -> Result<String, Error> {
    let parsed = place.rsplit_once(':').and_then(|(s, p)| Some((s, p.parse::<u16>().ok()?)));
    let (service, port) = parsed.ok_or_else(|| {
        let what = format!("{place:?} is not a service and its port");
        Error::Configuration(Advice::from(what).hint("write it as \"service:5000\""))
    })?;
    let address = running.address(service, port).ok_or_else(|| {
        let what = format!("port {port} of {service} is not published");
        Error::Configuration(Advice::from(what).hint(format!("add `ports: [\"127.0.0.1:{port}:{port}\"]` to {service} in the Compose file; the host's port is chosen free")))
    })?;
    Ok(address.to_string())
}

/// A running load.
pub struct Stream {
    name: String,
    /// Stops it also when nobody asks it to any more.
    stop: DropGuard,
    generator: oneshot::Receiver<LoadSummary>,
    writer: JoinHandle<()>,
    recorder: crate::record::Recorder,
    /// What it measures now.
    pub live: watch::Receiver<loadgen::LiveStats>,
}

impl Stream {
    /// Starts a load of these journeys; it goes on for so long, or until it is stopped.
    ///
    /// # Errors
    /// The declaration has no workload, its service has no published port, or a journey does not
    /// exist.
    pub fn start(
        session: &Session,
        name: &str,
        rate: f64,
        journeys: &[(String, f64)],
        duration: Option<Duration>,
    ) -> Result<Stream, Error> {
        let declared = session.declaration.workload.as_ref().ok_or_else(|| {
            Error::Configuration(
                Advice::from("the declaration has no `workload`")
                    .hint("state in firedrill.yaml which traffic the stack serves"),
            )
        })?;
        let (traffic, places) = traffic(declared, |place| session.published(place))?;
        // Each stream draws from a seed of its own, so that one more stream does not change the
        // others.
        let seed =
            name.bytes().fold(session.seed, |s, b| s.wrapping_mul(0x0100_0000_01b3) ^ u64::from(b));
        let workload = Workload {
            rate,
            arrival: loadgen::Arrival::Poisson,
            traffic,
            journeys: journeys.to_vec(),
            places,
            seed,
            stream: name.to_owned(),
        };
        let clock = loadgen::RunClock {
            start: session.clock().start(),
            wall_at_start_us: session.clock().now().wall_us - session.clock().now().mono_us,
        };
        let (events, mut arriving) = mpsc::channel(4096);
        let (stop, recorder) = (CancellationToken::new(), session.recorder.clone());
        recorder.write(EventKind::Load(LoadEvent::Began { rate, stream: name.to_owned() }))?;
        let (live_out, live) = watch::channel(loadgen::LiveStats::default());
        let bounds = loadgen::Bounds { duration, ..loadgen::Bounds::default() };
        let running = stop.clone();
        let generator = loadgen::on_own_thread(name, move || {
            loadgen::run_with(workload, clock, bounds, running, events, live_out)
        })
        .map_err(|e| {
            let what = format!("load {name} has no thread: {e}");
            Error::Configuration(
                Advice::from(what).hint("raise the limit of processes (ulimit -u)"),
            )
        })?;
        let sink = recorder.clone();
        let writer = tokio::spawn(async move {
            while let Some(event) = arriving.recv().await {
                if let Err(e) = sink.write(EventKind::Load(event)) {
                    tracing::error!("the load's events can't be recorded: {e}");
                    return;
                }
            }
        });
        Ok(Stream {
            name: name.to_owned(),
            stop: stop.drop_guard(),
            generator,
            writer,
            recorder,
            live,
        })
    }

    /// Stops it, waits for what is in flight (bounded by the operations' own deadlines), and
    /// records its summary.
    pub async fn stop(self) {
        drop(self.stop);
        let summary = self.generator.await.unwrap_or_else(|e| LoadSummary {
            invalid: Some(format!("the load generator ended early: {e}")),
            ..LoadSummary::default()
        });
        let _ = self.writer.await;
        if let Err(e) = self.recorder.write(EventKind::Load(LoadEvent::Ended {
            stream: self.name,
            summary: Box::new(summary),
        })) {
            tracing::error!("the load's summary can't be recorded: {e}");
        }
    }
}
