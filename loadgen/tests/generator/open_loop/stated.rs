//! Stated traffic against a shop: users sign in, what was kept is asked for, and an effect is seen
//! where it had to arrive.

use super::{clock, serve};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use loadgen::traffic::stated::StatedTraffic;
use loadgen::{Arrival, Bounds, LiveStats, Traffic, Workload, run_with};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use verdict::history::load::{LoadEvent, LoadSummary, Operation, client_span};

/// A shop in memory.
#[derive(Clone, Default)]
struct Shop {
    state: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    /// Who has which token; a token is good for so many requests.
    tokens: BTreeMap<String, usize>,
    sign_ins: usize,
    /// Orders, with the time from which on they are shown.
    orders: BTreeMap<usize, Instant>,
    /// What came with each request: path, and headers that say whose it is.
    seen: Vec<(String, HeaderMap)>,
}

const GOOD_FOR: usize = 10;
/// The fifth order is never shown.
const LOST: usize = 5;

impl Shop {
    fn enters(&self, path: &str, headers: &HeaderMap) -> bool {
        let mut inside = self.state.lock().expect("lock");
        inside.seen.push((path.to_owned(), headers.clone()));
        let token = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let token = token.strip_prefix("Bearer ").unwrap_or_default().to_owned();
        match inside.tokens.get_mut(&token) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    fn router(&self) -> Router {
        Router::new()
            .route(
                "/login",
                post(async |State(shop): State<Shop>, body: axum::Json<Value>| {
                    if body["password"] != "p" {
                        return StatusCode::FORBIDDEN.into_response();
                    }
                    let mut inside = shop.state.lock().expect("lock");
                    inside.sign_ins += 1;
                    let token = format!(
                        "{}-{}",
                        body["user"].as_str().unwrap_or_default(),
                        inside.sign_ins
                    );
                    inside.tokens.insert(token.clone(), GOOD_FOR);
                    (StatusCode::CREATED, axum::Json(json!({ "token": token }))).into_response()
                }),
            )
            .route(
                "/orders",
                post(
                    async |State(shop): State<Shop>,
                           headers: HeaderMap,
                           body: axum::Json<Value>| {
                        if !shop.enters("order", &headers) {
                            return StatusCode::UNAUTHORIZED.into_response();
                        }
                        assert!(body["desk"] == "7" && body["size"].is_u64(), "{body:?}");
                        let mut inside = shop.state.lock().expect("lock");
                        let id = inside.orders.len() + 1;
                        inside.orders.insert(id, Instant::now() + Duration::from_millis(700));
                        (StatusCode::ACCEPTED, axum::Json(json!({"order": {"id": id}})))
                            .into_response()
                    },
                ),
            )
            .route(
                "/orders/{id}",
                get(async |State(shop): State<Shop>, headers: HeaderMap, Path(id): Path<usize>| {
                    let mut inside = shop.state.lock().expect("lock");
                    inside.seen.push(("look".to_owned(), headers));
                    let there = inside.orders.get(&id).is_some_and(|from| *from <= Instant::now());
                    if there && id != LOST { StatusCode::OK } else { StatusCode::NOT_FOUND }
                }),
            )
            .route(
                "/health",
                get(async |State(shop): State<Shop>, headers: HeaderMap| {
                    shop.enters("health", &headers);
                }),
            )
            .with_state(self.clone())
    }
}

async fn drive(
    stated: Value,
    shop: SocketAddr,
    rate: f64,
    seconds: f64,
) -> (LoadSummary, Vec<Operation>, BTreeMap<String, String>) {
    let stated: StatedTraffic = serde_json::from_value(stated).expect("traffic");
    let traffic = Arc::new(Traffic::read(&stated).expect("traffic"));
    let places = traffic.places().iter().map(|p| (p.clone(), shop.to_string())).collect();
    let workload = Workload {
        rate,
        arrival: Arrival::Constant,
        journeys: traffic.weights(),
        traffic,
        places,
        seed: 11,
        stream: "background".into(),
    };
    let bounds = Bounds {
        duration: Some(Duration::from_secs_f64(seconds)),
        sinks_still: Duration::from_secs(2),
        ..Bounds::default()
    };
    let (events, mut arriving) = mpsc::channel(256);
    let live = watch::channel(LiveStats::default()).0;
    let load =
        tokio::spawn(run_with(workload, clock(), bounds, CancellationToken::new(), events, live));
    let (mut operations, mut effects) = (Vec::new(), BTreeMap::new());
    while let Some(event) = arriving.recv().await {
        match event {
            LoadEvent::Operation(operation) => operations.push(operation),
            LoadEvent::Seen { operation, sink, place, copies } => {
                assert_eq!((sink.as_str(), copies), ("row", 1));
                assert!(effects.insert(operation, place).is_none());
            }
            other => panic!("{other:?}"),
        }
    }
    (load.await.expect("load"), operations, effects)
}

pub(super) async fn users_sign_in_keep_and_see_what_arrives() {
    let shop = Shop::default();
    let traffic = json!({
        "rate": 1,
        "users": [{"name": "ann", "password": "p", "desk": 7}, {"name": "ben", "password": "p", "desk": 7}],
        "auth": {"bearer": "{session.token}"},
        "session": [{"name": "sign_in", "post": "auth:1/login", "json": {"user": "{user.name}", "password": "{user.password}"}, "want": 201, "keep": {"token": "/token"}}],
        "identity": {"traceparent": true},
        "journeys": {"order": {
            "draw": {"size": [1, 2]},
            "steps": [
                {"name": "order", "post": "shop:1/orders", "json": {"desk": "{user.desk}", "size": "{drawn.size}"}, "want": 202, "keep": {"id": "/order/id", "none": "/nothing"}, "leads_to": [{"sink": "row"}]},
                {"name": "never", "get": "shop:1/orders/{kept.none}"}
            ]
        }},
        "sinks": {"row": {"kind": "http", "get": "shop:1/orders/{kept.id}"}}
    });
    let (summary, operations, effects) =
        drive(traffic, serve(shop.router()).await, 30.0, 2.0).await;
    let of = |step: &str| operations.iter().filter(|o| o.is_step(step)).collect::<Vec<_>>();
    let (orders, sign_ins) = (of("order/order"), of("session/sign_in"));
    assert_eq!((orders.len(), of("order/never").len()), (60, 0), "what kept nothing is left out");
    // A token that is used up is refused, and who held it signs in again with the next journey.
    let refused: Vec<_> = orders.iter().filter(|o| o.status == Some(401)).collect();
    assert!(refused.iter().all(|o| !o.as_expected));
    let inside = shop.state.lock().expect("lock");
    assert_eq!((sign_ins.len(), inside.sign_ins), (inside.sign_ins, inside.sign_ins));
    assert!((4..=8).contains(&inside.sign_ins) && sign_ins.iter().all(|o| o.as_expected));
    assert!(summary.parts.contains_key("session/sign_in"), "{:?}", summary.parts);
    let ids: BTreeSet<&str> = operations.iter().map(|o| o.id.as_str()).collect();
    assert_eq!(ids.len(), operations.len());
    // All that was accepted arrived but one, which nobody can find.
    let accepted = orders.len() - refused.len();
    assert_eq!((inside.orders.len(), effects.len()), (accepted, accepted - 1));
    assert!(effects.values().all(|place| place != &format!("/orders/{LOST}")));
    assert!(summary.invalid.is_none(), "{summary:?}");
    for (path, headers) in &inside.seen {
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        if path == "look" {
            assert!(header("authorization").is_some_and(|a| a.starts_with("Bearer ")));
            assert_eq!(
                (header("x-operation-id"), header("baggage"), header("traceparent")),
                (None, None, None)
            );
            continue;
        }
        let id = header("x-operation-id").expect("an id");
        assert!(ids.contains(id));
        assert_eq!(header("baggage"), Some(format!("operation.id={id}").as_str()));
        let wanted = format!("00-{id}-{}-01", client_span(id));
        assert_eq!(header("traceparent"), Some(wanted.as_str()));
    }
}

pub(super) async fn addresses_are_asked_for_without_a_journey() {
    let shop = Shop::default();
    let traffic = json!({"rate": 1, "get": ["shop:1/health", {"name": "gone", "url": "shop:1/orders/9", "want": 404}, "shop:1/orders/8"]});
    let (summary, operations, _) = drive(traffic, serve(shop.router()).await, 100.0, 1.0).await;
    assert_eq!(operations.len(), 100);
    for (journey, status, as_wanted) in
        [("shop_health", 200, true), ("gone", 404, true), ("shop_orders_8", 404, false)]
    {
        let step = format!("{journey}/get");
        let these: Vec<_> = operations.iter().filter(|o| o.is_step(&step)).collect();
        assert!(these.len() > 15, "{step}: {}", these.len());
        assert!(these.iter().all(|o| o.status == Some(status) && o.as_expected == as_wanted));
        assert!(these.iter().all(|o| o.user.is_empty()));
        assert_eq!(summary.parts[&step].count, these.len() as u64);
    }
    let inside = shop.state.lock().expect("lock");
    // Nothing asks for the trace to be kept unless that is stated.
    assert!(
        inside
            .seen
            .iter()
            .all(|(_, h)| !h.contains_key("traceparent") && !h.contains_key("authorization"))
    );
}
