//! What the six journeys of the e-mail stack sent while they were Rust, recorded then for two
//! seeds: instants, ids, users, requests and bodies. They are data now and must send the same.
//!
//! `FIREDRILL_RECORD=1` writes the record anew: only with a reason why old seeds may mean something
//! else.

use super::{Mail, bounds, drive, serve, workload};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use loadgen::draw::digest;
use loadgen::{Arrival, Workload};
use std::collections::BTreeMap;
use std::path::Path;

const SEEDS: [u64; 2] = [20, 7_000_000_001];
const RATE: f64 = 100.0;
/// Arrivals after that may lose a second step to the end of the load.
const COMPARED_US: i64 = 1_500_000;

/// As the declaration weighs them.
const WEIGHTS: [(&str, f64); 6] = [
    ("list", 5.0),
    ("read", 4.0),
    ("search", 4.0),
    ("send_mail", 5.0),
    ("unknown_recipient", 1.0),
    ("wrong_password", 1.0),
];

/// Answers as each step wants it, and notes the request.
fn router(mail: &Mail) -> Router {
    Router::new()
        .fallback(
            async |State(mail): State<Mail>,
                   method: Method,
                   uri: Uri,
                   headers: HeaderMap,
                   body: Bytes| {
                let text = String::from_utf8_lossy(&body);
                let header = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("-");
                let told = format!(
                    "{method} {uri} {} {:016x}",
                    header("authorization").trim_start_matches("Basic "),
                    digest(&text)
                );
                let known = mail.note(&headers, told);
                let (status, answer) = match uri.path() {
                    _ if !known => (StatusCode::UNAUTHORIZED, String::new()),
                    "/api/v1/mailbox/messages" => {
                        let uids: Vec<_> =
                            (40..52).map(|uid| serde_json::json!({ "uid": uid })).collect();
                        (StatusCode::OK, serde_json::Value::from(uids).to_string())
                    }
                    _ if text.contains("nobody-") => {
                        (StatusCode::UNPROCESSABLE_ENTITY, String::new())
                    }
                    _ if method == Method::POST => (StatusCode::ACCEPTED, String::new()),
                    _ => (StatusCode::OK, String::new()),
                };
                (status, answer)
            },
        )
        .with_state(mail.clone())
}

/// What a seed sends, a line an operation, by id: `due_us id journey/step user request`.
async fn sent(seed: u64) -> BTreeMap<String, (i64, String)> {
    let mail = Mail::default();
    let load = Workload {
        seed,
        arrival: Arrival::Poisson,
        ..workload(serve(router(&mail)).await, RATE, &WEIGHTS)
    };
    let (summary, operations) = drive(load, bounds(2.5)).await;
    assert_eq!((summary.missed_starts, summary.error_rate), (0, 0.0), "{summary:?}");
    let seen: BTreeMap<String, String> = mail.seen.lock().expect("lock").iter().cloned().collect();
    let first = operations.iter().map(|o| o.due.mono_us).min().expect("operations");
    operations
        .iter()
        .map(|o| {
            let line = format!("{}/{} {} {}", o.journey, o.step, o.user, seen[&o.id]);
            (o.id.clone(), (o.due.mono_us - first, line))
        })
        .collect()
}

pub(super) async fn the_six_journeys_send_what_they_always_sent() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generator/open_loop/recorded.txt");
    if std::env::var_os("FIREDRILL_RECORD").is_some() {
        let mut text = String::new();
        for seed in SEEDS {
            let mut lines: Vec<_> = sent(seed).await.into_iter().collect();
            lines.sort_by_key(|(id, (due, _))| (*due, id.clone()));
            for (id, (due, line)) in lines.iter().filter(|(_, (due, _))| *due < COMPARED_US) {
                // A second step is due when the first was answered, which is no matter of the seed.
                let due = if line.starts_with("read/fetch") { 0 } else { *due };
                text.push_str(&format!("{seed} {due} {id} {line}\n"));
            }
        }
        std::fs::write(&file, text).expect("written");
    }
    let recorded = std::fs::read_to_string(&file).expect("the record");
    for seed in SEEDS {
        let now = sent(seed).await;
        let mut compared = 0;
        for line in recorded.lines().filter(|l| l.starts_with(&format!("{seed} "))) {
            let mut words = line.splitn(4, ' ').skip(1);
            let (due, id, told) = (words.next(), words.next(), words.next());
            let due: i64 = due.and_then(|d| d.parse().ok()).expect("an instant");
            let (id, told) = (id.expect("an id"), told.expect("a request"));
            let (now_due, now_told) = now.get(id).unwrap_or_else(|| panic!("not sent: {line}"));
            assert_eq!(now_told, told, "{id}");
            assert!(due == 0 || now_due.abs_diff(due) <= 2, "{id}: due {now_due}, was {due}");
            compared += 1;
        }
        let early = now.values().filter(|(due, line)| {
            // As many, and no others.
            *due < COMPARED_US && !line.starts_with("read/fetch")
        });
        let recorded_first = recorded
            .lines()
            .filter(|l| l.starts_with(&format!("{seed} ")) && !l.contains(" read/fetch "));
        assert_eq!(early.count(), recorded_first.count());
        assert!(compared > 100, "{compared} operations are too few to say anything");
    }
}
