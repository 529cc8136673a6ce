//! Traffic that makes sense is read, and whatever does not is refused where it stands.

use super::stated::{Get, StatedTraffic, User};
use super::{Mistake, Traffic};
use damaged::{anything, damaged, deep};
use proptest::prelude::*;
use serde_json::{Value, json};

fn stated(traffic: Value) -> StatedTraffic {
    serde_json::from_value(traffic).expect("stated traffic")
}

/// A shop with all that can be stated.
fn shop() -> Value {
    json!({
        "rate": 5,
        "http": "shop:8080",
        "users": [{"name": "ann", "password": "a", "desk": 7}, {"name": "ben", "password": "b", "desk": 8}],
        "auth": {"bearer": "{session.token}"},
        "session": [{"name": "sign_in", "post": "auth:8080/login", "json": {"user": "{user.name}", "password": "{user.password}"}, "want": 201, "keep": {"token": "/token"}}],
        "journeys": {
            "buy": {
                "weight": 2,
                "think_s": [1, 2],
                "draw": {"size": ["s", "m"], "label": ["{drawn.size}-{hex8}"]},
                "steps": [
                    {"name": "find", "get": "/items?q={word}&size={drawn.size}", "keep": {"item": {"any": "/items/*/id"}}},
                    {"name": "order", "post": "orders:9000/orders", "json": {"item": "{kept.item}", "desk": "{user.desk}", "label": "{drawn.label}", "many": 1}, "want": 202, "keep": {"order": "/id"}, "leads_to": [{"sink": "row"}]},
                    {"name": "again", "get": "/orders/{kept.order}", "auth": "none", "headers": {"Accept": "text/{n}"}}
                ]
            },
            "pay": {"steps": [{"name": "pay", "post": "/pay", "form": {"for": "{recent.buy.token}"}}]}
        },
        "sinks": {"row": {"kind": "http", "get": "orders:9000/orders/{kept.order}", "want": 200}}
    })
}

/// What is wrong once something of the shop is stated otherwise.
fn mistake(pointer: &str, value: Value) -> Mistake {
    let mut shop = shop();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match shop.pointer_mut(parent).expect("a place") {
        Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
        Value::Array(items) => items[key.parse::<usize>().expect("an index")] = value,
        other => panic!("{other}"),
    }
    Traffic::read(&stated(shop)).expect_err(pointer)
}

#[test]
fn whole_traffic_is_read() {
    let traffic = Traffic::read(&stated(shop())).expect("a shop");
    assert_eq!(traffic.names(), ["buy", "pay"]);
    assert_eq!(traffic.weights(), [("buy".to_owned(), 2.0), ("pay".to_owned(), 1.0)]);
    assert_eq!(traffic.places(), ["shop:8080", "orders:9000", "auth:8080"]);
    assert!(traffic.script("buy").expect("buy").signs_in);
    let shown = format!("{traffic:?}");
    assert!(shown.contains("ann") && !shown.contains("password"), "{shown}");
    // What is stated short and whole is written as it can be read again.
    let all = stated(shop());
    let again = serde_json::to_value(&all).expect("JSON");
    assert_eq!(stated(again), all);
    assert_eq!(all.steps_to_sinks()["row"], ["buy/order"]);
}

#[test]
fn mistakes_are_told_where_they_stand() {
    let steps = "/journeys/buy/steps";
    let cases = [
        (format!("{steps}/1/json/item"), json!("{kept.itm}"), "no earlier step keeps itm", "item"),
        (
            format!("{steps}/0/get"),
            json!("/items?q={kept.item}"),
            "no earlier step keeps item",
            "get",
        ),
        (format!("{steps}/0/get"), json!("/items?q={wrd}"), "{wrd} is nothing that", "get"),
        (format!("{steps}/0/get"), json!("/items?q={a-b}"), "begins no hole", "get"),
        (format!("{steps}/0/get"), json!("shop/items"), "is no address", "get"),
        (format!("{steps}/0/get"), json!("https://shop:1/"), "is no address", "get"),
        (format!("{steps}/0/get"), json!("/a b"), "", "get"),
        (format!("{steps}/0/name"), json!("order"), "two steps order", "name"),
        (format!("{steps}/0/name"), json!("a/b"), "no name of a step", "name"),
        (format!("{steps}/0/post"), json!("/x"), "asks with get and post", "0"),
        (format!("{steps}/0/keep/item"), json!("items"), "leads nowhere", "item"),
        (format!("{steps}/0/want"), json!(20), "wanted an HTTP status", "want"),
        (
            format!("{steps}/0/auth"),
            json!({"basic": ["{user.name}", "{user.pin}"]}),
            "user ann has no pin",
            "1",
        ),
        (format!("{steps}/0/headers"), json!({"a b": "c"}), "no name of a header", "a b"),
        (format!("{steps}/0/leads_to"), json!([{"sink": "mail"}]), "no sink mail", "sink"),
        (
            format!("{steps}/0/leads_to"),
            json!([{"sink": "row"}]),
            "no earlier step keeps order",
            "sink",
        ),
        (
            format!("{steps}/1/leads_to"),
            json!([{"sink": "row", "where": "{kept.order}"}]),
            "sink row is an address, and has no places",
            "where",
        ),
        (
            "/journeys/buy/draw/size".into(),
            json!(["{drawn.label}"]),
            "draws in a circle: label, size, label",
            "label",
        ),
        ("/journeys/buy/draw/size".into(), json!([]), "no value to draw", "size"),
        ("/journeys/buy/think_s".into(), json!([3, 1]), "two numbers of seconds", "think_s"),
        ("/journeys/buy/weight".into(), json!(-1), "wanted a number from 0", "weight"),
        ("/journeys/buy".into(), json!(3), "has no steps", "buy"),
        (
            "/journeys/pay/steps/0/form/for".into(),
            json!("{recent.by.token}"),
            "no journey by",
            "for",
        ),
        ("/auth".into(), json!({"bearer": "{session.tken}"}), "keeps tken", "bearer"),
        ("/session/0/json/user".into(), json!("{session.token}"), "keeps token", "user"),
        ("/rate".into(), json!(0), "rate: seen 0", "rate"),
        ("/http".into(), json!("shop"), "workload.http", "http"),
        ("/users/0".into(), json!({"password": "p"}), "no name of a user", "0"),
        (
            "/sinks/mail".into(),
            json!({"kind": "imap", "at": "post:143"}),
            "no step leads to sink mail",
            "mail",
        ),
        ("/sinks/row/at".into(), json!("orders:9000"), "has no `at`", "at"),
        ("/sinks/row".into(), json!({"kind": "imap"}), "wants `at`", "row"),
        (
            "/sinks/row".into(),
            json!({"kind": "imap", "at": "post"}),
            "no service and its port",
            "at",
        ),
        (
            "/get".into(),
            json!(["shop:8080/pay", "shop:8080/pay?a"]),
            "two journeys are called shop_pay",
            "1",
        ),
        ("/identity".into(), json!({"baggage": "a b"}), "no name for baggage", "baggage"),
    ];
    for (pointer, value, what, key) in cases {
        let mistake = mistake(&pointer, value.clone());
        assert!(mistake.what.contains(what), "{pointer} {value}: {mistake}");
        assert_eq!(
            mistake.keys.last().map(String::as_str),
            Some(key),
            "{pointer} {value}: {mistake}"
        );
        assert!(!mistake.hint.is_empty(), "{mistake}");
    }
}

#[test]
fn addresses_to_ask_for_are_journeys() {
    let traffic = json!({"rate": 2, "get": ["web:80/", "api:8000/v1/health?full=1", {"name": "old", "url": "web:80/old", "want": 301}]});
    let traffic = stated(traffic);
    let weights = [("api_v1_health", 1.0), ("old", 1.0), ("web", 1.0)];
    assert_eq!(traffic.weights(), weights.map(|(name, weight)| (name.to_owned(), weight)));
    assert_eq!(
        traffic.get[2],
        Get { name: Some("old".into()), url: "web:80/old".into(), want: 301 }
    );
    let read = Traffic::read(&traffic).expect("addresses");
    assert_eq!(read.weights(), traffic.weights());
    assert_eq!(read.script("old").expect("old").steps[0].wanted, 301);
    assert_eq!(traffic.places_asked().into_iter().collect::<Vec<_>>(), ["api:8000", "web:80"]);
    for (wrong, what) in [(json!([]), "there is no journey"), (json!(["web/"]), "no address")] {
        let refused =
            Traffic::read(&stated(json!({"rate": 2, "get": wrong}))).expect_err("refused");
        assert!(refused.what.contains(what), "{refused}");
    }
}

#[test]
fn traffic_is_read_as_it_was_recorded_before() {
    let old = json!({"rate": 20.0, "http": "web:5000", "imap": "post:143", "users": ["a@x.test"], "password": "p", "journeys": {"list": 5.0}});
    let read = stated(old);
    assert_eq!(read.users, [User::named("a@x.test")]);
    assert_eq!((read.journeys["list"].weight, read.journeys["list"].steps.len()), (5.0, 0));
    assert_eq!(read.imap.as_deref(), Some("post:143"));
}

fn is_read_or_refused(text: &str) {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let Ok(traffic) = serde_saphyr::from_str_with_options::<StatedTraffic>(text, options) else {
        return;
    };
    match Traffic::read(&traffic) {
        Ok(read) => assert!(!read.names().is_empty()),
        Err(mistake) => {
            assert!(!mistake.what.is_empty() && !mistake.hint.is_empty(), "{mistake:?}")
        }
    }
    // What is asked for it does not depend on whether it makes sense.
    let _ = (traffic.places(), traffic.steps_to_sinks(), traffic.journey_names());
}

const WHOLE: &str = r#"rate: 5
http: shop:8080
users: [{name: ann, password: a}, ben]
password: p
auth: {basic: ["{user.name}", "{user.password}"]}
session: [{name: sign_in, post: "auth:8080/login", json: {user: "{user.name}"}, keep: {token: /token}}]
identity: {traceparent: true, baggage: operation.id}
journeys:
  buy:
    weight: 2
    think_s: [1, 2]
    draw: {size: [1, m], label: ["{drawn.size}-{hex8}"]}
    steps:
      - {name: find, get: "/items?q={word}", keep: {item: {any: /items/*/id}}}
      - {name: order, post: "orders:9000/orders", json: {item: "{kept.item}"}, want: 202, keep: {order: /id}, leads_to: [{sink: row}, {sink: mail, where: "{other.name}"}]}
      - {name: pay, put: /pay, form: {for: "{recent.buy.token}"}, headers: {Accept: "*/*"}, auth: none}
get: ["web:80/", {name: old, url: web:80/old, want: 301}]
sinks: {row: {kind: http, get: "orders:9000/orders/{kept.order}", want: 200}, mail: {kind: imap, at: "post:143"}}
"#;

proptest! {
    #![proptest_config(damaged::cases(200))]

    #[test]
    fn damaged_traffic(text in damaged(&[WHOLE])) {
        is_read_or_refused(&text);
    }

    #[test]
    fn anything_in_place_of_traffic(text in anything()) {
        is_read_or_refused(&text);
    }

    #[test]
    fn no_text_of_a_template_panics(text in "\\PC{0,40}") {
        let _ = super::Text::read(&text);
        let _ = super::Text::read(&format!("/x{{{text}}}{{kept.{text}}}"));
    }
}

#[test]
fn what_nests_deeply_is_read_or_refused() {
    for text in deep() {
        is_read_or_refused(&text);
    }
}
