//! What the generator tells must be the truth, also about a server that stops, refuses, never
//! answers or is too slow. Times are only compared with others of the same run.

mod recorded;
mod stated;

use crate::email;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use loadgen::{Arrival, Bounds, LiveStats, RunClock, Workload, run_with};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::module::{Test, Tests};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use verdict::history::load::{LoadEvent, LoadSummary, Operation, Outcome};

const PASSWORD: &str = "correct-horse";

pub fn tests() -> Tests {
    let awaiting = support::awaited![
        a_halted_server_is_charged_with_all_who_came_meanwhile,
        a_server_slower_than_the_rate_makes_the_load_invalid,
        a_refused_port_makes_operations_fail,
        a_black_hole_leaves_outcomes_unknown,
        journeys_end_as_they_want_to,
        a_refusal_that_does_not_come_is_not_as_expected,
        a_seed_sends_the_same_again,
        a_load_can_be_watched_and_stopped,
        streams_run_side_by_side,
        nothing_is_sent_to_others,
        events_that_nobody_takes_make_the_load_invalid,
        recorded::the_six_journeys_send_what_they_always_sent,
        stated::users_sign_in_keep_and_see_what_arrives,
        stated::addresses_are_asked_for_without_a_journey,
    ];
    let behind = Test::new("a_generator_that_falls_behind_says_so", || {
        a_generator_that_falls_behind_says_so();
        Ok(())
    });
    Tests::side_by_side(awaiting.into_iter().chain([behind]))
}

fn workload(address: SocketAddr, rate: f64, journeys: &[(&str, f64)]) -> Workload {
    let users = ["alice", "bob", "carol"].map(|u| format!("{u}@mail.test")).to_vec();
    let journeys = journeys.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    Workload {
        rate,
        arrival: Arrival::Constant,
        traffic: email::traffic(&users, PASSWORD, None),
        journeys,
        places: email::places(address),
        seed: 20,
        stream: "background".into(),
    }
}

fn bounds(seconds: f64) -> Bounds {
    Bounds { duration: Some(Duration::from_secs_f64(seconds)), ..Bounds::default() }
}

fn clock() -> RunClock {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i64;
    RunClock { start: Instant::now(), wall_at_start_us: wall }
}

/// A load that runs beside the test.
struct Running {
    stop: CancellationToken,
    live: watch::Receiver<LiveStats>,
    clock: RunClock,
    load: tokio::task::JoinHandle<LoadSummary>,
    operations: tokio::task::JoinHandle<Vec<Operation>>,
}

fn start(workload: Workload, bounds: Bounds) -> Running {
    let (stop, clock) = (CancellationToken::new(), clock());
    let (events, mut arriving) = mpsc::channel(256);
    let (live_out, live) = watch::channel(LiveStats::default());
    let load = tokio::spawn(run_with(workload, clock, bounds, stop.clone(), events, live_out));
    let operations = tokio::spawn(async move {
        let mut operations = Vec::new();
        while let Some(event) = arriving.recv().await {
            if let LoadEvent::Operation(operation) = event {
                operations.push(operation);
            }
        }
        operations
    });
    Running { stop, live, clock, load, operations }
}

impl Running {
    async fn end(self) -> (LoadSummary, Vec<Operation>) {
        (self.load.await.expect("load"), self.operations.await.expect("operations"))
    }
}

async fn drive(workload: Workload, bounds: Bounds) -> (LoadSummary, Vec<Operation>) {
    start(workload, bounds).end().await
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// The value that the share `q` of all does not exceed.
fn quantile(values: &[f64], q: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1]
}

/// A server that answers at once, but not while it is halted.
struct Haltable {
    address: SocketAddr,
    gate: watch::Sender<bool>,
    /// When it last answered a request that had waited.
    last_of_backlog: Arc<Mutex<Option<Instant>>>,
}

impl Haltable {
    async fn start() -> Haltable {
        let (gate, halted) = watch::channel(false);
        let last_of_backlog = Arc::new(Mutex::new(None));
        let last = Arc::clone(&last_of_backlog);
        let answer = move || {
            let (mut halted, last) = (halted.clone(), Arc::clone(&last));
            async move {
                let waited = *halted.borrow();
                halted.wait_for(|h| !h).await.expect("gate");
                if waited {
                    *last.lock().expect("lock") = Some(Instant::now());
                }
                "[]"
            }
        };
        Haltable {
            address: serve(Router::new().route("/api/v1/emails", get(answer))).await,
            gate,
            last_of_backlog,
        }
    }
}

/// Drives a server that is halted for three seconds of five, and compares what is told with what
/// follows from the halt. The comparison is as exact as the backlog was quickly worked off; returns
/// that share of the halt.
async fn halt_and_compare() -> f64 {
    let (rate, seconds, halt) = (150.0, 5.0, 3.0);
    let server = Haltable::start().await;
    let running = start(workload(server.address, rate, &[("list", 1.0)]), bounds(seconds));
    let clock = running.clock;
    running.live.clone().wait_for(|l| l.total > rate as u64 / 2).await.expect("it begins");
    server.gate.send_replace(true);
    let from = clock.start.elapsed().as_secs_f64();
    sleep(Duration::from_secs_f64(halt)).await;
    let until = clock.start.elapsed().as_secs_f64();
    server.gate.send_replace(false);
    let resumed = Instant::now();
    let (summary, operations) = running.end().await;
    let work_off = server
        .last_of_backlog
        .lock()
        .expect("lock")
        .expect("some waited")
        .duration_since(resumed)
        .as_secs_f64();

    assert_eq!((operations.len() as u64, summary.missed_starts), (summary.operations, 0));
    assert_eq!(
        operations.len(),
        (rate * seconds) as usize,
        "every arrival was begun although the server had stopped"
    );
    assert!(operations.iter().all(|o| o.outcome == Outcome::Acknowledged && o.as_expected));
    // Whoever was due while it was halted had to wait for its end, whoever was not did not have to.
    let due = |o: &Operation| o.due.mono_us as f64 / 1e6;
    let computed =
        |o: &Operation| if (from..until).contains(&due(o)) { (until - due(o)) * 1e3 } else { 0.0 };
    for o in &operations {
        assert!(
            o.latency_ms() >= computed(o),
            "due {} ms before the end of the halt, but took {} ms",
            computed(o),
            o.latency_ms()
        );
    }
    // A backlog takes a moment to be worked off, and a busy machine a moment to begin.
    let p = summary.latency_ms;
    let tolerance = (work_off + 0.05 * halt) * 1e3 + summary.slip_p99_ms;
    let all: Vec<f64> = operations.iter().map(computed).collect();
    for (name, seen, q) in [
        ("P50", p.p50, 0.5),
        ("P90", p.p90, 0.9),
        ("P95", p.p95, 0.95),
        ("P99", p.p99, 0.99),
        ("max", p.max, 1.0),
    ] {
        let wanted = quantile(&all, q);
        println!("{name}: {seen:.0} ms, computed {wanted:.0} ms, tolerance {tolerance:.0} ms");
        let low = wanted * 0.999;
        assert!(
            (low..=wanted + tolerance).contains(&seen),
            "{name} is {seen} ms, computed from the halt {wanted} ms, tolerance {tolerance} ms"
        );
    }
    assert!(quantile(&all, 0.5) > 0.05 * halt * 1e3, "half of all waited noticeably");
    // And the summary agrees with the events.
    let told: Vec<f64> = operations.iter().map(Operation::latency_ms).collect();
    for (seen, q) in [(p.p50, 0.5), (p.p99, 0.99), (p.max, 1.0)] {
        assert!(
            (seen / quantile(&told, q) - 1.0).abs() < 0.005,
            "{seen} ms against {} ms",
            quantile(&told, q)
        );
    }
    tolerance / (halt * 1e3)
}

async fn a_halted_server_is_charged_with_all_who_came_meanwhile() {
    // On a machine that is busy otherwise the comparison is coarse, and made once more. That nobody
    // waited less than the halt demands is exact each time.
    for _ in 0..3 {
        if halt_and_compare().await < 0.2 {
            break;
        }
    }
}

async fn a_server_slower_than_the_rate_makes_the_load_invalid() {
    let one = Arc::new(Semaphore::new(1));
    let router = Router::new().route(
        "/api/v1/emails",
        get(move || {
            let one = Arc::clone(&one);
            async move {
                let _turn = one.acquire_owned().await.expect("open");
                sleep(Duration::from_millis(25)).await;
                "[]"
            }
        }),
    );
    let (summary, operations) = drive(
        workload(serve(router).await, 200.0, &[("list", 1.0)]),
        Bounds { in_flight: 20, ..bounds(2.0) },
    )
    .await;
    assert!(summary.missed_starts > 0);
    assert!(summary.achieved_rate < 0.9 * summary.offered_rate, "{summary:?}");
    assert!(
        summary.invalid.as_deref().is_some_and(|i| i.contains("arrivals were not begun")),
        "{summary:?}"
    );
    assert_eq!(
        summary.operations + summary.missed_starts,
        400,
        "every arrival was begun or missed"
    );
    assert_eq!(operations.len() as u64, summary.operations);
}

/// A generator that is itself held up begins operations late: their latency still counts from when
/// they were due.
fn a_generator_that_falls_behind_says_so() {
    let elsewhere = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("runtime");
    let address =
        elsewhere.block_on(serve(Router::new().route("/api/v1/emails", get(async || "[]"))));
    let held_up = 1.2;
    let here = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let (from, (summary, operations)) = here.block_on(async {
        let running = start(workload(address, 100.0, &[("list", 1.0)]), bounds(3.0));
        running.live.clone().wait_for(|l| l.total > 50).await.expect("it begins");
        let from = running.clock.start.elapsed().as_secs_f64();
        // The only thread of the generator: nothing of it goes on meanwhile.
        std::thread::sleep(Duration::from_secs_f64(held_up));
        (from, running.end().await)
    });
    assert_eq!(
        (operations.len(), summary.missed_starts),
        (300, 0),
        "late ones are begun all the same"
    );
    let meanwhile: Vec<&Operation> = operations
        .iter()
        .filter(|o| (from..from + held_up).contains(&(o.due.mono_us as f64 / 1e6)))
        .collect();
    assert!(meanwhile.len() as f64 > 0.9 * held_up * 100.0, "{}", meanwhile.len());
    for o in meanwhile {
        let left = from + held_up - o.due.mono_us as f64 / 1e6;
        assert!(
            o.latency_ms() / 1e3 >= left,
            "due {left} s before the generator could go on, but took {} ms",
            o.latency_ms()
        );
    }
    assert!(
        summary.latency_ms.max >= 0.9 * held_up * 1e3 && summary.slip_p99_ms >= 0.9 * held_up * 1e3,
        "{summary:?}"
    );
    assert!(
        summary.invalid.as_deref().is_some_and(|i| i.contains("fell behind its schedule")),
        "{summary:?}"
    );
}

async fn a_refused_port_makes_operations_fail() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let (summary, operations) = drive(
        workload(
            address,
            50.0,
            &[("send_mail", 1.0), ("list", 1.0), ("read", 1.0), ("wrong_password", 1.0)],
        ),
        bounds(1.0),
    )
    .await;
    assert_eq!(operations.len(), 50);
    for o in &operations {
        assert_eq!((o.outcome, o.status, o.as_expected), (Outcome::Failed, None, false), "{o:?}");
        assert!(o.error.as_deref().is_some_and(|e| e.contains("refused")), "{o:?}");
    }
    assert_eq!(summary.operations, 50);
    assert_eq!(summary.errors, BTreeMap::from([("no connection".to_owned(), 50)]));
    // Each journey and each of its operations tells why it failed.
    assert!(
        summary.parts.contains_key("list") && summary.parts.contains_key("list/list"),
        "{:?}",
        summary.parts
    );
    for (name, part) in &summary.parts {
        assert_eq!(
            part.kinds,
            BTreeMap::from([("no connection".to_owned(), part.count)]),
            "{name}"
        );
    }
}

async fn a_black_hole_leaves_outcomes_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let hole = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let deadline = Duration::from_millis(700);
    let (_, operations) = drive(
        workload(address, 50.0, &[("send_mail", 1.0), ("wrong_password", 1.0)]),
        Bounds { deadline, ..bounds(1.0) },
    )
    .await;
    hole.abort();
    assert_eq!(operations.len(), 50);
    for o in &operations {
        assert_eq!((o.outcome, o.status, o.as_expected), (Outcome::Unknown, None, false), "{o:?}");
        assert!(o.ended.since(o.started) >= deadline.as_secs_f64(), "{o:?}");
        assert!(o.error.as_deref().is_some_and(|e| e.contains("no answer within 0.7 s")), "{o:?}");
    }
}

/// A mail service in memory: what came in, and whether it checks passwords and recipients.
#[derive(Clone, Default)]
struct Mail {
    lax: bool,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Mail {
    fn note(&self, headers: &HeaderMap, what: String) -> bool {
        let id =
            headers.get("x-operation-id").and_then(|v| v.to_str().ok()).expect("an id").to_owned();
        self.seen.lock().expect("lock").push((id, what));
        // Basic authentication of alice, bob or carol with the password.
        let known = [
            "YWxpY2VAbWFpbC50ZXN0OmNvcnJlY3QtaG9yc2U=",
            "Ym9iQG1haWwudGVzdDpjb3JyZWN0LWhvcnNl",
            "Y2Fyb2xAbWFpbC50ZXN0OmNvcnJlY3QtaG9yc2U=",
        ];
        self.lax
            || headers
                .get("authorization")
                .is_some_and(|v| known.iter().any(|k| *v == format!("Basic {k}")))
    }

    fn router(&self) -> Router {
        Router::new()
            .route(
                "/api/v1/emails",
                post(async |State(mail): State<Mail>, headers: HeaderMap, body: String| {
                    let to = ["alice@", "bob@", "carol@"]
                        .iter()
                        .any(|u| body.contains(&format!("\"to\":[\"{u}mail.test\"]")));
                    if !mail.note(&headers, body) {
                        return StatusCode::UNAUTHORIZED;
                    }
                    if to || mail.lax {
                        StatusCode::ACCEPTED
                    } else {
                        StatusCode::UNPROCESSABLE_ENTITY
                    }
                })
                .get(async |State(mail): State<Mail>, headers: HeaderMap| {
                    if mail.note(&headers, "list".into()) {
                        StatusCode::OK
                    } else {
                        StatusCode::UNAUTHORIZED
                    }
                }),
            )
            .route(
                "/api/v1/emails/search",
                get(
                    async |State(mail): State<Mail>,
                           headers: HeaderMap,
                           Query(q): Query<HashMap<String, String>>| {
                        mail.note(&headers, format!("search {}", q["q"]));
                    },
                ),
            )
            .route(
                "/api/v1/mailbox/messages",
                get(async |State(mail): State<Mail>, headers: HeaderMap| {
                    mail.note(&headers, "mailbox".into());
                    r#"[{"uid":4,"subject":"a"},{"uid":9,"subject":"b"}]"#
                }),
            )
            .route(
                "/api/v1/mailbox/messages/{uid}",
                get(
                    async |State(mail): State<Mail>,
                           headers: HeaderMap,
                           path: axum::extract::Path<u32>| {
                        mail.note(&headers, format!("message {}", path.0));
                        if [4, 9].contains(&path.0) {
                            StatusCode::OK
                        } else {
                            StatusCode::NOT_FOUND
                        }
                    },
                ),
            )
            .with_state(self.clone())
    }
}

const ALL: [(&str, f64); 6] = [
    ("send_mail", 3.0),
    ("list", 1.0),
    ("search", 2.0),
    ("read", 2.0),
    ("wrong_password", 1.0),
    ("unknown_recipient", 1.0),
];

async fn journeys_end_as_they_want_to() {
    let mail = Mail::default();
    let (summary, operations) =
        drive(workload(serve(mail.router()).await, 150.0, &ALL), bounds(2.0)).await;
    let mut by_step = BTreeMap::<String, BTreeSet<_>>::new();
    for o in &operations {
        assert!(o.as_expected && o.error.is_none(), "{o:?}");
        let outcome = if o.outcome == Outcome::Acknowledged { "acknowledged" } else { "failed" };
        by_step.entry(format!("{}/{}", o.journey, o.step)).or_default().insert((
            o.status,
            o.refusal_expected,
            outcome,
        ));
        assert!(
            o.due <= o.started
                && o.started <= o.ended
                && o.due.wall_us - o.due.mono_us == o.ended.wall_us - o.ended.mono_us
        );
    }
    let wanted = [
        ("list/list", (Some(200), false, "acknowledged")),
        ("read/fetch", (Some(200), false, "acknowledged")),
        ("read/list_mailbox", (Some(200), false, "acknowledged")),
        ("search/search", (Some(200), false, "acknowledged")),
        ("send_mail/send", (Some(202), false, "acknowledged")),
        ("unknown_recipient/unknown_recipient", (Some(422), true, "failed")),
        ("wrong_password/wrong_password", (Some(401), true, "failed")),
    ];
    assert_eq!(
        by_step,
        wanted
            .into_iter()
            .map(|(step, ended)| (step.to_owned(), BTreeSet::from([ended])))
            .collect()
    );
    // The server saw every operation once, by its id.
    let told: BTreeSet<&str> = operations.iter().map(|o| o.id.as_str()).collect();
    let seen = mail.seen.lock().expect("lock");
    assert_eq!(told, seen.iter().map(|(id, _)| id.as_str()).collect());
    assert_eq!((told.len(), seen.len() as u64), (operations.len(), summary.operations));
    // What was searched for was sent, or is a word of many mails.
    let sent: Vec<&str> =
        seen.iter().map(|(_, what)| what.as_str()).filter(|w| w.starts_with('{')).collect();
    let words = seen.iter().filter_map(|(_, what)| what.strip_prefix("search "));
    let (common, single): (Vec<&str>, Vec<&str>) =
        words.partition(|w| loadgen::payload::WORDS.contains(w));
    assert!(!common.is_empty() && !single.is_empty());
    let first = common.iter().filter(|w| **w == loadgen::payload::WORDS[0]).count();
    assert!(first * 5 > common.len(), "two in five are for the first word: {common:?}");
    assert!(single.iter().all(|w| sent.iter().any(|s| s.contains(w))), "{single:?}");
}

async fn a_refusal_that_does_not_come_is_not_as_expected() {
    let mail = Mail { lax: true, ..Mail::default() };
    let (_, operations) = drive(
        workload(
            serve(mail.router()).await,
            100.0,
            &[("wrong_password", 1.0), ("unknown_recipient", 1.0)],
        ),
        bounds(0.5),
    )
    .await;
    assert_eq!(operations.len(), 50);
    for o in &operations {
        assert!(
            o.refusal_expected && !o.as_expected && o.outcome == Outcome::Acknowledged,
            "{o:?}"
        );
        assert!(o.error.as_deref().is_some_and(|e| e.contains("wanted 4")), "{o:?}");
    }
}

async fn a_seed_sends_the_same_again() {
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let mail = Mail::default();
        let (_, operations) = drive(
            Workload { seed, ..workload(serve(mail.router()).await, 200.0, &ALL) },
            bounds(0.5),
        )
        .await;
        let seen: HashMap<String, String> =
            mail.seen.lock().expect("lock").iter().cloned().collect();
        let told =
            operations.into_iter().map(|o| (o.id.clone(), (o.step, o.user, seen[&o.id].clone())));
        runs.push(told.collect::<BTreeMap<String, (String, String, String)>>());
    }
    let [once, again, other] = runs.try_into().expect("three");
    let both = once.keys().filter(|id| again.contains_key(*id)).count();
    assert!(
        both >= 100,
        "every arrival, and later steps as far as the end of the load let them begin"
    );
    for (id, what) in once.iter().chain(&again) {
        match (once.get(id), again.get(id)) {
            (Some(first), Some(second)) => assert_eq!(first, second),
            _ => assert_eq!(what.0, "fetch", "only a second step may be cut off by the end"),
        }
    }
    assert!(other.keys().all(|id| !once.contains_key(id)));
}

async fn a_load_can_be_watched_and_stopped() {
    let broken = Arc::new(Mutex::new(false));
    let state = Arc::clone(&broken);
    let router = Router::new().route(
        "/api/v1/emails",
        get(move || {
            let broken = *state.lock().expect("lock");
            async move { if broken { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK } }
        }),
    );
    let unbounded = Bounds { duration: None, ..Bounds::default() };
    let running = start(workload(serve(router).await, 100.0, &[("list", 1.0)]), unbounded);
    let mut live = running.live.clone();
    let healthy = *live.wait_for(|l| l.total >= 150).await.expect("it goes on");
    assert_eq!(healthy.error_rate, 0.0);
    assert!(healthy.operations > 0 && healthy.p99_ms > 0.0);
    assert!((0.2..2.0).contains(&(healthy.rate / 100.0)), "{healthy:?}");
    *broken.lock().expect("lock") = true;
    let sick = *live.wait_for(|l| l.error_rate > 0.2).await.expect("it is noticed");
    *broken.lock().expect("lock") = false;
    live.wait_for(|l| l.error_rate < sick.error_rate / 4.0 && l.operations > 0)
        .await
        .expect("the window forgets");
    running.stop.cancel();
    let (summary, operations) = running.end().await;
    assert_eq!(operations.len() as u64, summary.operations);
    assert!((summary.achieved_rate / summary.offered_rate - 1.0).abs() < 0.01, "{summary:?}");
    assert!(
        operations
            .iter()
            .any(|o| o.status == Some(503) && o.outcome == Outcome::Failed && !o.as_expected)
    );
}

async fn streams_run_side_by_side() {
    let mail = Mail::default();
    let address = serve(mail.router()).await;
    let background = start(workload(address, 20.0, &[("list", 1.0)]), bounds(1.5));
    let burst = start(
        Workload { stream: "burst".into(), ..workload(address, 100.0, &[("send_mail", 1.0)]) },
        bounds(1.0),
    );
    let (many, few) = (burst.end().await, background.end().await);
    assert_eq!((many.1.len(), few.1.len()), (100, 30));
    let ids: BTreeSet<String> = many.1.iter().chain(&few.1).map(|o| o.id.clone()).collect();
    assert_eq!(ids.len(), 130, "no id is used twice");
}

async fn nothing_is_sent_to_others() {
    for (http, wanted) in
        [("192.0.2.1:80", "neither on the loopback interface"), ("example", "not `host:port`")]
    {
        let mut workload =
            workload("127.0.0.1:1".parse().expect("address"), 10.0, &[("list", 1.0)]);
        workload.places = email::places(http);
        let (summary, operations) = drive(workload, bounds(1.0)).await;
        assert!(operations.is_empty());
        assert!(summary.invalid.as_deref().is_some_and(|i| i.contains(wanted)), "{summary:?}");
    }
}

async fn events_that_nobody_takes_make_the_load_invalid() {
    let mail = Mail::default();
    let (events, receiver) = mpsc::channel(1);
    drop(receiver);
    let load = workload(serve(mail.router()).await, 50.0, &[("list", 1.0)]);
    let summary = run_with(
        load,
        clock(),
        bounds(0.5),
        CancellationToken::new(),
        events,
        watch::channel(LiveStats::default()).0,
    )
    .await;
    assert!(
        summary.invalid.as_deref().is_some_and(|i| i.contains("could not be recorded")),
        "{summary:?}"
    );
}
