//! Users, the knee and plans, against a server whose capacity is known: so many workers, each as
//! long at a request. What it really bears is measured in the same run, and everything is compared
//! with that.

use crate::email;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use loadgen::direct::{Direct, Pace, Parts, Request, Watch, drive, drive_users};
use loadgen::knee::{Search, judge};
use loadgen::plan::Plan;
use loadgen::{
    Arrival, Bounds, Limit, LiveStats, RunClock, Think, Users, Windows, Workload, run_with,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use support::module::{Test, Tests};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use verdict::gate::Answer;
use verdict::history::load::{
    Judged, LimitedBy, LoadEvent, LoadSummary, Operation, Pacing, PlanTold,
};

const WORKERS: usize = 4;
const SERVICE: Duration = Duration::from_millis(20);
const SLIP: Duration = Duration::from_millis(100);
/// Most attempts at what other programs of the machine can spoil.
const ATTEMPTS: u32 = 3;

pub fn tests() -> Tests {
    // Side by side they would measure each other.
    let by_day = support::awaited![
        users_get_as_much_done_as_there_are_workers,
        users_walk_journeys_that_follow_from_the_seed,
        a_closed_loop_leaves_out_who_would_have_come,
        the_knee_is_what_the_workers_bear,
        a_ramp_is_stopped_where_the_target_breaks,
    ];
    let soak = Test::nightly("a_target_that_gets_slower_is_found_by_a_soak", |name| {
        Test::awaited(name, a_target_that_gets_slower_is_found_by_a_soak)
    });
    Tests::one_by_one(by_day.into_iter().chain([soak]))
}

/// A pool of workers, all of whom can be kept from working.
#[derive(Clone)]
struct Server {
    workers: Arc<Semaphore>,
    halted: watch::Receiver<bool>,
    /// How much longer each request takes than the one before.
    slower: Duration,
    served: Arc<std::sync::atomic::AtomicU32>,
}

async fn answer(State(server): State<Server>) -> &'static str {
    let _worker = server.workers.acquire().await.expect("never closed");
    let _ = server.halted.clone().wait_for(|h| !h).await;
    let before = server.served.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    sleep(SERVICE + server.slower * before).await;
    "[]"
}

async fn serve(slower: Duration) -> (SocketAddr, watch::Sender<bool>) {
    let (halt, halted) = watch::channel(false);
    let server = Server {
        workers: Arc::new(Semaphore::new(WORKERS)),
        halted,
        slower,
        served: Arc::default(),
    };
    let router = Router::new()
        .route("/", get(answer))
        .route("/api/v1/emails", get(answer))
        .with_state(server);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, halt)
}

fn direct(address: SocketAddr, pace: Pace, seconds: f64) -> Direct {
    let parts = Parts {
        method: "GET".into(),
        host: address.to_string(),
        path: "/".into(),
        ..Parts::default()
    };
    Direct {
        address,
        request: Request::new(&parts).expect("request"),
        pace,
        duration: Some(Duration::from_secs_f64(seconds)),
        connections: 256,
        waiting: 100_000,
        timeout: Duration::from_secs(20),
        wanted: None,
        slip_limit: SLIP,
        windows: Windows::default(),
        seed: 1,
    }
}

/// An open loop on one URL.
async fn open(direct: Direct) -> LoadSummary {
    let driven = tokio::task::spawn_blocking(move || {
        drive(
            &direct,
            Watch {
                log: None,
                wall: &SystemTime::now,
                stop: &CancellationToken::new(),
                live: &mut |_, _| (),
            },
        )
    });
    driven.await.expect("driven").expect("reachable")
}

fn users(count: usize, think: Duration) -> Users {
    Users { count, think: Some(Think { least: think, most: think }) }
}

/// A closed loop on one URL.
async fn closed(address: SocketAddr, users: Users, seconds: f64) -> LoadSummary {
    let (shown, _) = watch::channel(None);
    drive_users(direct(address, Pace::FlatOut, seconds), &users, &CancellationToken::new(), shown)
        .await
        .expect("driven")
}

/// Users who walk journeys, until `stop` or for so long.
async fn walked(
    address: SocketAddr,
    users: Users,
    duration: Option<Duration>,
    stop: CancellationToken,
) -> (LoadSummary, Vec<Operation>) {
    let people = ["alice", "bob", "carol"].map(|u| format!("{u}@mail.test")).to_vec();
    let journeys = vec![("list".to_owned(), 1.0)];
    let workload = Workload {
        rate: 1.0,
        arrival: Arrival::Constant,
        traffic: email::traffic(&people, "p", None),
        journeys,
        places: email::places(address),
        seed: 20,
        stream: "users".into(),
    };
    let bounds = Bounds { duration, users: Some(users), ..Bounds::default() };
    let clock = RunClock { start: Instant::now(), wall_at_start_us: 0 };
    let (events, mut arriving) = mpsc::channel(256);
    let (live, _) = watch::channel(LiveStats::default());
    let load = tokio::spawn(run_with(workload, clock, bounds, stop, events, live));
    let mut operations = Vec::new();
    while let Some(event) = arriving.recv().await {
        if let LoadEvent::Operation(operation) = event {
            operations.push(operation);
        }
    }
    (load.await.expect("load"), operations)
}

fn within(what: &str, ratio: f64, range: std::ops::Range<f64>) {
    println!("{what}: {ratio:.3}");
    assert!(range.contains(&ratio), "{what} is {ratio:.3}, wanted {range:?}");
}

async fn users_get_as_much_done_as_there_are_workers() {
    let (address, _halt) = serve(Duration::ZERO).await;
    let none = Duration::ZERO;
    let few = closed(address, users(WORKERS / 2, none), 2.0).await;
    let many = closed(address, users(WORKERS * 4, none), 2.0).await;
    for told in [&few, &many] {
        assert_eq!(
            (told.error_rate, told.pacing, told.invalid.as_deref()),
            (0.0, Pacing::Closed, None),
            "{told:?}"
        );
    }
    // Half as many users as workers leave half of these idle; four times as many wait for one.
    within("throughput of many against few", many.achieved_rate / few.achieved_rate, 1.5..2.5);
    within("latency of many against few", many.latency_ms.p50 / few.latency_ms.p50, 2.8..5.2);
    // Little's law: users are either answered or think.
    let think = Duration::from_millis(100);
    let thinking = closed(address, users(WORKERS, think), 3.0).await;
    let at_once = thinking.achieved_rate * (thinking.latency_ms.p50 / 1e3 + think.as_secs_f64());
    within("users by Little's law", at_once / WORKERS as f64, 0.75..1.25);
    let told = thinking.users.expect("stated");
    assert_eq!((told.count, told.think_ms), (WORKERS as u64, Some([100.0, 100.0])));
    let c = thinking.connections.expect("stated");
    assert_eq!(c.opened, WORKERS as u64, "each keeps a connection");
}

async fn users_walk_journeys_that_follow_from_the_seed() {
    let (address, _halt) = serve(Duration::ZERO).await;
    let two = Some(Duration::from_secs(2));
    let (told, operations) =
        walked(address, users(6, Duration::ZERO), two, CancellationToken::new()).await;
    assert_eq!(
        (told.operations as usize, told.error_rate, told.invalid.as_deref()),
        (operations.len(), 0.0, None),
        "{told:?}"
    );
    assert_eq!((told.pacing, told.missed_starts), (Pacing::Closed, 0));
    let journeys = |operations: &[Operation]| -> BTreeMap<String, String> {
        operations.iter().map(|o| (o.id.clone(), format!("{} {}", o.user, o.journey))).collect()
    };
    let once = journeys(&operations);
    assert_eq!(once.len(), operations.len(), "no id comes twice");
    let people: BTreeMap<&str, usize> = operations.iter().fold(BTreeMap::new(), |mut n, o| {
        *n.entry(o.user.as_str()).or_default() += 1;
        n
    });
    assert_eq!(people.len(), 3, "{people:?}");
    // Another run is shorter or longer, but what it does is the same. This one ends when it is told
    // to.
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        stopper.cancel();
    });
    let (told, operations) = walked(address, users(6, Duration::ZERO), None, stop).await;
    assert_eq!(told.invalid, None);
    let again = journeys(&operations);
    let both = again.iter().filter(|(id, what)| once.get(*id) == Some(what)).count();
    assert!(
        both * 10 >= again.len() * 6 && both >= 10,
        "{both} of {} operations are the same",
        again.len()
    );
    assert!(again.iter().all(|(id, what)| once.get(id).is_none_or(|w| w == what)));
}

async fn a_closed_loop_leaves_out_who_would_have_come() {
    let (address, halt) = serve(Duration::ZERO).await;
    let halting = |halt: watch::Sender<bool>| async move {
        sleep(Duration::from_secs(1)).await;
        halt.send_replace(true);
        sleep(Duration::from_secs(1)).await;
        halt.send_replace(false);
        halt
    };
    let (closed, halt) =
        tokio::join!(closed(address, users(WORKERS, Duration::from_millis(5)), 3.0), halting(halt));
    let constant = Pace::Open { arrival: Arrival::Constant, rate: 100.0 };
    let (open, _) = tokio::join!(open(direct(address, constant, 3.0)), halting(halt));
    // A third of all came while it was halted, and only one a user was sent.
    assert!(
        closed.latency_ms.max > 900.0 && open.latency_ms.max > 900.0,
        "{:?} {:?}",
        closed.latency_ms,
        open.latency_ms
    );
    within(
        "P90 of the closed loop against the open one",
        closed.latency_ms.p90 / open.latency_ms.p90,
        0.0..0.3,
    );
}

async fn the_knee_is_what_the_workers_bear() {
    let (address, _halt) = serve(Duration::ZERO).await;
    let objective = [Limit::objective("p99<=250ms").expect("objective")];
    for attempt in 1.. {
        let capacity = closed(address, users(WORKERS * 4, Duration::ZERO), 2.0).await.achieved_rate;
        let mut search = Search::new(capacity / 3.0, 0.2);
        while let Some(rate) = search.next() {
            let summary =
                open(direct(address, Pace::Open { arrival: Arrival::Constant, rate }, 2.0)).await;
            let step = judge(rate, &summary, &objective, SLIP);
            println!("{step:?}");
            search.measured(step);
        }
        let knee = search.answer(&objective);
        if let Some(rate) = knee.rate {
            assert!(knee.steps.iter().any(|s| s.rate == rate
                && s.judged == Judged::Within
                && s.latency_ms.p99 <= 250.0));
            assert!(
                knee.broken_at.is_some_and(|b| b <= rate * 1.2 + 1e-9)
                    && knee.why.contains("a second"),
                "{knee:?}"
            );
        }
        // In two seconds a tenth too much makes a queue of a tenth of a second, and others who take
        // the processors a longer one.
        let ratio = knee.rate.unwrap_or_default() / capacity;
        if (knee.limited_by != LimitedBy::Target || !(0.6..1.4).contains(&ratio))
            && attempt < ATTEMPTS
        {
            println!(
                "attempt {attempt} is spoilt by others: {ratio:.3} of {capacity:.1} a second, {}",
                knee.why
            );
            continue;
        }
        assert_eq!(knee.limited_by, LimitedBy::Target, "{knee:?}");
        within("knee against what users got done", ratio, 0.6..1.4);
        return;
    }
}

async fn a_ramp_is_stopped_where_the_target_breaks() {
    let (address, _halt) = serve(Duration::ZERO).await;
    let capacity = closed(address, users(WORKERS * 4, Duration::ZERO), 1.0).await.achieved_rate;
    let (plan, duration) = (Plan::Breakpoint { to: Some(capacity * 3.0) }, Duration::from_secs(15));
    let (rate, objective) = (capacity / 4.0, [Limit::objective("p99<=200ms").expect("objective")]);
    let pace = Pace::Open { arrival: plan.arrival(rate, duration, Arrival::Constant), rate };
    let windows = Windows { width: None, stop_when: objective.iter().map(Limit::broken).collect() };
    let told =
        open(Direct { windows, duration: Some(duration), ..direct(address, pace, 0.0) }).await;
    let by = told.stopped_by.as_ref().expect("stopped");
    assert_eq!(by.condition, "p99 > 200ms");
    assert!(
        by.at_s < 15.0
            && told.windows.iter().any(|w| w.to_s == by.at_s && w.latency_ms.p99 > 200.0),
        "{told:?}"
    );
    assert!(
        told.windows.iter().all(|w| w.from_s < by.at_s + 5.0),
        "it was really stopped: {told:?}"
    );
    let PlanTold::Breakpoint { held_rate, broke_rate, .. } =
        plan.told(rate, duration, &told, &objective, 1)
    else {
        panic!("another plan")
    };
    within(
        "rate that broke it against what users got done",
        broke_rate.expect("broke") / capacity,
        0.7..2.2,
    );
    assert!(held_rate < broke_rate, "{held_rate:?} {broke_rate:?}");
}

async fn a_target_that_gets_slower_is_found_by_a_soak() {
    let (rate, duration) = (40.0, Duration::from_secs(16));
    for (slower, wanted) in [(Duration::from_micros(50), true), (Duration::ZERO, false)] {
        let (address, _halt) = serve(slower).await;
        let pace = Pace::Open { arrival: Arrival::Constant, rate };
        let told = open(direct(address, pace, duration.as_secs_f64())).await;
        let PlanTold::Soak { drift } =
            Plan::Soak { worse: None }.told(rate, duration, &told, &[], 1)
        else {
            panic!("another plan")
        };
        println!("{drift:?}");
        assert_eq!(matches!(drift[0].answer, Answer::Worse(_)), wanted, "{drift:?}");
        assert!(matches!(drift[2].answer, Answer::Holds(_)), "no errors: {drift:?}");
    }
}
