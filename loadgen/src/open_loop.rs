//! The scheduler: begins each arrival at its due instant and never waits for earlier ones.

use crate::advice::Advised;
use crate::client::http::Http;
use crate::clock::RunClock;
use crate::closed_loop::{self, UserPool, Users};
use crate::id::Ids;
use crate::journey::{JourneyMix, JourneyRun, Sessions, Shared};
use crate::recorder::{LiveStats, Recorder};
use crate::sink::Sinks;
use crate::target::{Network, check_target};
use crate::traffic::Traffic;
use crate::windows::Windows;
use crate::workload::Workload;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use verdict::history::load::{Connections, LoadEvent, LoadSummary};

/// How often [`LiveStats`] is brought up to date.
const LIVE_EVERY: Duration = Duration::from_millis(250);
/// How late an arrival may be, when the load is stopped, without counting as missed: timers are as
/// coarse as that.
const TIMER_SLACK: Duration = Duration::from_millis(50);
/// How long sinks may take to be opened before the load begins all the same.
const SINKS_OPEN: Duration = Duration::from_secs(5);

/// What bounds a load.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// How long arrivals go on; without it until the load is stopped.
    pub duration: Option<Duration>,
    /// Most journeys in flight at once. An arrival beyond it is not begun and counts as missed. The
    /// default, 2048, is reached at 200 arrivals a second of which none is answered within the
    /// deadline.
    pub in_flight: usize,
    /// How long an operation may take from its start until its outcome is unknown; 10 s by default.
    pub deadline: Duration,
    /// 99th percentile of slip beyond which the load can't be relied on;
    /// [`crate::recorder::SLIP_P99_MS`] by default.
    pub slip_limit: Duration,
    /// Users who walk the journeys one after the other, instead of arrivals: a closed loop. Rate
    /// and shape of the workload say nothing then.
    pub users: Option<Users>,
    /// How the load's course is watched, and what stops it.
    pub windows: Windows,
    /// Networks of ours, besides the loopback interface.
    pub networks: Vec<Network>,
    /// After the last operation: how long to wait for effects that were acknowledged while none
    /// arrives; 10 s by default.
    pub sinks_still: Duration,
    /// After the last operation: how long to wait for such effects at all; 60 s by default.
    pub sinks_bound: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            duration: None,
            in_flight: 2048,
            deadline: Duration::from_secs(10),
            slip_limit: Duration::from_secs_f64(crate::recorder::SLIP_P99_MS / 1e3),
            users: None,
            windows: Windows::default(),
            networks: Vec::new(),
            sinks_still: Duration::from_secs(10),
            sinks_bound: Duration::from_secs(60),
        }
    }
}

/// Drives a workload until it is stopped; see [`run_with`].
pub async fn run(
    workload: Workload,
    clock: RunClock,
    stop: CancellationToken,
    events: mpsc::Sender<LoadEvent>,
    live: watch::Sender<LiveStats>,
) -> LoadSummary {
    run_with(workload, clock, Bounds::default(), stop, events, live).await
}

/// Drives a workload for this long, or until it is stopped; see [`run_with`].
pub async fn run_for(
    workload: Workload,
    clock: RunClock,
    duration: Duration,
    stop: CancellationToken,
    events: mpsc::Sender<LoadEvent>,
    live: watch::Sender<LiveStats>,
) -> LoadSummary {
    run_with(
        workload,
        clock,
        Bounds { duration: Some(duration), ..Bounds::default() },
        stop,
        events,
        live,
    )
    .await
}

/// Drives a workload: begins its arrivals at their due instants, hands on every operation as it
/// ends (and every effect as it is seen, if a journey leads to a sink), and keeps `live` up to
/// date.
///
/// Once the duration is over or `stop` is cancelled no arrival is begun; operations in flight end
/// within their deadline, and effects that were acknowledged are awaited within [`Bounds::sinks_still`] and
/// [`Bounds::sinks_bound`]. `Began` and `Ended` are the caller's events to record. A load that can't
/// be driven (see [`Workload::check`] and [`check_target`]) sends nothing, and its summary says so,
/// as does the summary of one that did not keep its schedule.
pub async fn run_with(
    workload: Workload,
    clock: RunClock,
    bounds: Bounds,
    stop: CancellationToken,
    events: mpsc::Sender<LoadEvent>,
    live: watch::Sender<LiveStats>,
) -> LoadSummary {
    let undriven = |invalid| LoadSummary {
        offered_rate: workload.rate,
        invalid: Some(invalid),
        ..LoadSummary::default()
    };
    let places = match addresses(&workload, &bounds).await {
        Ok(addresses) => addresses,
        Err(invalid) => return undriven(invalid),
    };
    raise_file_limit();
    // Whatever ends this future ends what it started.
    let ours = CancellationToken::new();
    let _guard = ours.clone().drop_guard();
    let mix = mix(&workload);
    let traffic = Arc::clone(&workload.traffic);
    let leads_to = led_to(&traffic, &mix);
    let (sinks, awaited) = Sinks::watch(&traffic, &leads_to, &places, &events, SINKS_OPEN).await;
    let crowd = match &bounds.users {
        Some(users) => match UserPool::gather(users.count).await {
            Ok(crowd) => Some((users, crowd)),
            Err(invalid) => return undriven(invalid),
        },
        None => None,
    };
    let shared = Arc::new(Shared {
        http: Http::new(),
        ids: Ids::new(workload.seed, &workload.stream),
        casting: mix,
        sessions: Sessions::new(workload.seed, &workload.stream, traffic.users.len()),
        traffic,
        places,
        clock,
        began: Instant::now(),
        deadline: bounds.deadline,
        recorder: Mutex::new(
            Recorder::with_slip_limit(bounds.slip_limit.as_secs_f64() * 1e3)
                .watched(&bounds.windows, bounds.duration),
        ),
        events,
        awaited,
        over: stop.child_token(),
    });
    // A window may stop it as well as the caller.
    let halt = stop.child_token();
    let ticker = tokio::spawn(show(Arc::clone(&shared), live, ours.clone(), halt.clone()));
    let mut reasons = Vec::new();
    let driven = drive(&workload, &bounds, crowd, &shared, &halt, &mut reasons).await;
    reasons.extend(sinks.settle(bounds.sinks_still, bounds.sinks_bound).await);
    ours.cancel();
    if let Err(e) = ticker.await {
        tracing::error!("the load's live figures ended early: {e}");
    }
    summarised(&shared, driven, reasons, &bounds)
}

/// The workload's journeys, each with its weight.
fn mix(workload: &Workload) -> JourneyMix {
    let known = workload
        .journeys
        .iter()
        .filter_map(|(name, weight)| Some((Arc::clone(workload.traffic.script(name)?), *weight)));
    let (journeys, weights) = known.unzip();
    JourneyMix { seed: workload.seed, journeys, weights }
}

/// Of each sink of the traffic, whether a journey that comes at all leads there.
fn led_to(traffic: &Traffic, mix: &JourneyMix) -> Vec<bool> {
    let walked = |sink: usize| {
        let weighed = mix.journeys.iter().zip(&mix.weights);
        weighed.into_iter().any(|(script, weight)| *weight > 0.0 && script.leads_to(sink))
    };
    (0..traffic.sinks.len()).map(walked).collect()
}

/// Drives the load by its schedule or by its users, and waits until all operations have ended. Says
/// for how long it was driven; what speaks against it is added to `reasons`.
async fn drive(
    workload: &Workload,
    bounds: &Bounds,
    crowd: Option<(&Users, UserPool)>,
    shared: &Arc<Shared>,
    halt: &CancellationToken,
    reasons: &mut Vec<String>,
) -> Duration {
    let tasks = TaskTracker::new();
    let driven = match crowd {
        None => {
            schedule(workload, bounds, shared, &tasks, halt).await;
            bounds.duration.map_or(shared.began.elapsed(), |d| d.min(shared.began.elapsed()))
        }
        Some((users, crowd)) => {
            match closed_loop::walk(crowd, users, bounds.duration, shared, halt).await {
                Ok(driven) => driven,
                Err(e) => {
                    reasons.push(e);
                    shared.began.elapsed()
                }
            }
        }
    };
    shared.over.cancel();
    tasks.close();
    let drained = timeout(bounds.deadline + Duration::from_secs(2), tasks.wait()).await.is_ok();
    if !drained {
        reasons
            .push(format!("{} operations did not end: their events were not taken", tasks.len()));
    }
    driven
}

/// What was measured, with all reasons why it proves nothing.
fn summarised(
    shared: &Shared,
    driven: Duration,
    mut reasons: Vec<String>,
    bounds: &Bounds,
) -> LoadSummary {
    let mut summary = shared.recorder().summary(driven);
    reasons.splice(0..0, summary.invalid.take());
    summary.invalid = (!reasons.is_empty()).then(|| reasons.join("; "));
    closed_loop::state(&mut summary, bounds.users.as_ref());
    let opened = shared.http.opened();
    summary.connections = Some(Connections {
        opened,
        reused: summary.operations.saturating_sub(opened),
        ..Connections::default()
    });
    summary
}

/// Where the traffic's places are, if it may go there.
async fn addresses(workload: &Workload, bounds: &Bounds) -> Result<Vec<SocketAddr>, String> {
    workload.check().map_err(|e| e.advice().text())?;
    let mut addresses = Vec::new();
    for place in &workload.traffic.places {
        let reached = workload.places.get(place).unwrap_or(place);
        let address = check_target(reached, &bounds.networks).await;
        addresses.push(address.map_err(|e| e.advice().text())?);
    }
    Ok(addresses)
}

/// Begins arrivals until the load is over.
async fn schedule(
    workload: &Workload,
    bounds: &Bounds,
    shared: &Arc<Shared>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(bounds.in_flight.min(Semaphore::MAX_PERMITS)));
    let end = bounds.duration.and_then(|d| shared.began.checked_add(d));
    let mut offsets = workload.arrival.offsets(workload.rate, workload.seed);
    let mut due_at = || offsets.next().and_then(|offset| shared.began.checked_add(offset));
    for arrival in 0u64.. {
        // An arrival beyond all times never comes, but the load goes on.
        let due = due_at();
        let wake = [due, end].into_iter().flatten().min();
        if !reached(wake, stop).await {
            let now = Instant::now();
            let mut late = u64::from(due.is_some_and(|d| d + TIMER_SLACK < now));
            while late > 0 && due_at().is_some_and(|d| d + TIMER_SLACK < now) {
                late += 1;
            }
            shared.recorder().missed(late);
            return;
        }
        let Some(due) = due.filter(|d| end.is_none_or(|end| *d < end)) else { return };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            shared.recorder().missed(1);
            continue;
        };
        shared.recorder().arrived();
        let mut turn = JourneyRun::new(Arc::clone(shared), arrival, due);
        tasks.spawn(async move {
            turn.walk().await;
            drop(permit);
        });
    }
}

/// Waits for an instant (for ever without one). False if the load was stopped before.
async fn reached(instant: Option<Instant>, stop: &CancellationToken) -> bool {
    let arrive = async {
        match instant {
            // Behind schedule there is nothing to sleep for, but operations in flight must get
            // their turn.
            Some(instant) if instant <= Instant::now() => tokio::task::consume_budget().await,
            Some(instant) => sleep_until(instant).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = arrive => true,
    }
}

/// Shows what is measured, until told to stop, and halts the load once a window shows that it must.
async fn show(
    shared: Arc<Shared>,
    live: watch::Sender<LiveStats>,
    stop: CancellationToken,
    halt: CancellationToken,
) {
    let mut tick = interval(LIVE_EVERY);
    loop {
        let last = tokio::select! {
            () = stop.cancelled() => true,
            _ = tick.tick() => false,
        };
        let at = shared.began.elapsed();
        let now = {
            let mut recorder = shared.recorder();
            if recorder.tick(at).is_some() {
                halt.cancel();
            }
            recorder.live(at)
        };
        live.send_replace(now);
        if last {
            return;
        }
    }
}

/// Lets this process have as many open files as it may: each operation in flight needs one, and a
/// server that stops answering has a thousand of them soon.
pub(crate) fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(e) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("the limit of open files stays at {soft}: {e}");
    }
}
