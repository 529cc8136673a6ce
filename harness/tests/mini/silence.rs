//! "Why did it not page?": for each stage between a cause and a receiver, an alert that stops there
//! for a real reason, and the verdict that names the stage. All on one mini stack, whose exporter
//! is stopped twice.
//!
//! `FIREDRILL_PROVISION=1` installs Docker where it is missing; without it the tests are ignored.
//! `FIREDRILL_BENCH_KEEP=FOLDER` keeps the record.

#![allow(clippy::unwrap_used)]

use super::bench::{Bench, judged};
use libtest_mimic::Failed;
use std::sync::{Arc, OnceLock};
use support::images;
use support::module::Tests;
use verdict::check::alerts::{AlertFires, AlertReaches};
use verdict::check::causes::Causes;
use verdict::{Cause, Expectation, History};

/// The exporter's first stop.
const FIRST: &str = "exporter_stopped";
/// Its second, soon after the first, in which the metrics server is restarted.
const SECOND: &str = "exporter_stopped_again";
/// Seconds within which an alert has to fire and to arrive. Those that don't are given this long.
const WITHIN_S: f64 = 5.0;

/// A stage: the alert that stops there, in which drill, the cause, and what the verdict says.
type Stage = (&'static str, &'static str, Cause, &'static [&'static str]);

const STAGES: [Stage; 16] = [
    (
        "NotInDiscovery",
        FIRST,
        Cause::TargetNotInDiscovery,
        &["no target of job forgotten is known"],
    ),
    (
        "NotScraped",
        FIRST,
        Cause::TargetNotScraped,
        &["exporter:9010/metrics already failed before the fault", "refused"],
    ),
    (
        "SeriesRenamed",
        FIRST,
        Cause::SeriesAbsent,
        &["`exporter_up{job=\"exporter\"}` matched no series"],
    ),
    (
        "NeverTrue",
        FIRST,
        Cause::ExpressionFalse,
        &["highest value of `scripted_value{job=\"spare\"}` was 90 against threshold > 100"],
    ),
    ("GroupFailing", FIRST, Cause::RuleFailing, &["found duplicate series for the match group"]),
    ("NotLoaded", FIRST, Cause::RuleNotLoaded, &["none is called NotLoaded"]),
    (
        "StillPending",
        FIRST,
        Cause::StillPending,
        &["pending until 36", "of the 3600.0 s that `for` asks"],
    ),
    (
        "ResetByRestart",
        SECOND,
        Cause::ResetByRestart,
        &["reset by a restart", "of the 14.0 s that `for` asks when prometheus was restarted"],
    ),
    ("NotSent", FIRST, Cause::NotSentToManager, &["alertmanager was asked", "never had it"]),
    ("Inhibited", FIRST, Cause::Inhibited, &["inhibited by Told"]),
    ("Silenced", FIRST, Cause::Silenced, &["silence {alertname=\"Silenced\"} made by night shift"]),
    ("Muted", FIRST, Cause::Muted, &["muted by time interval always"]),
    (
        "OtherRoute",
        FIRST,
        Cause::RoutedElsewhere,
        &["it arrived at chat instead", "its routes lead to chat"],
    ),
    ("Waiting", FIRST, Cause::WaitingInGroup, &["a new group of receiver pager waits 3600.0 s"]),
    (
        "Deduplicated",
        SECOND,
        Cause::Deduplicated,
        &["alertmanager notified pager of it already", "only every 3600.0 s"],
    ),
    (
        "Refused",
        FIRST,
        Cause::ReceiverRefused,
        // Who knows a webhook's path may post, so no path is shown.
        &["webhook.test/[path] answered 404", "pager is declared there at another path"],
    ),
];

pub fn tests() -> Tests {
    firedrill::process::program::use_program(env!("CARGO_BIN_EXE_firedrill"));
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    );
    let recorded: Arc<OnceLock<Result<History, String>>> = Arc::default();
    let history = move |recorded: &OnceLock<Result<History, String>>,
                        runtime: &tokio::runtime::Runtime| {
        recorded.get_or_init(|| runtime.block_on(record())).clone().map_err(Failed::from)
    };
    let mut tests = Vec::new();
    for drill in [FIRST, SECOND] {
        let (recorded, runtime) = (recorded.clone(), runtime.clone());
        tests.push(images::needing(
            &format!("an alert that nothing stops arrives in {drill}"),
            images::no_engine,
            move || {
                judged(
                    &history(&recorded, &runtime)?,
                    &reaches("Told", drill, 20.0),
                    None,
                    &["arrived after pager"],
                )
                .map(drop)
            },
        ));
    }
    for (alert, drill, cause, says) in STAGES {
        let (recorded, runtime) = (recorded.clone(), runtime.clone());
        tests.push(images::needing(
            &format!("an alert that does not arrive: {}", cause.name()),
            images::no_engine,
            move || {
                let history = history(&recorded, &runtime)?;
                let reached =
                    judged(&history, &reaches(alert, drill, WITHIN_S), Some(cause), says)?;
                let fires: Expectation = AlertFires {
                    alert: alert.into(),
                    drill: drill.into(),
                    causes: Causes::default(),
                    within_s: WITHIN_S,
                    fault: "stop".into(),
                }
                .into();
                // What never fired is told of both alike; what fired passes the one and fails the
                // other.
                match fires.judge(&history) {
                    fired
                        if fired.cause == reached.cause
                            || fired.status == verdict::Status::Pass =>
                    {
                        Ok(())
                    }
                    fired => {
                        Err(Failed::from(format!("on firing another story is told: {fired:#?}")))
                    }
                }
            },
        ));
    }
    Tests::one_by_one(tests)
}

fn reaches(alert: &str, drill: &str, within_s: f64) -> Expectation {
    let receivers = vec!["pager".to_owned()];
    AlertReaches {
        alert: alert.into(),
        drill: drill.into(),
        causes: Causes::default(),
        receivers,
        labels: Default::default(),
        within_s,
    }
    .into()
}

async fn record() -> Result<History, String> {
    let bench = Bench::up("silence", &[]).await?;
    let (starts_at, ends_at) =
        (jiff::Timestamp::now(), jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1));
    let matcher = serde_json::json!({"name": "alertname", "value": "Silenced", "isRegex": false, "isEqual": true});
    let silence = serde_json::json!({"matchers": [matcher], "createdBy": "night shift", "comment": "until it is quiet", "startsAt": starts_at.to_string(), "endsAt": ends_at.to_string()});
    bench.post("/api/v2/silences", silence).await?;
    bench.script("spare", 9001, "# TYPE scripted_value gauge\nscripted_value 40\n").await?;
    bench.healthy().await?;
    bench.watching(drive(&bench)).await?;
    let alerts: Vec<&str> = STAGES.iter().map(|(alert, ..)| *alert).collect();
    bench.finish(&alerts).await
}

async fn drive(bench: &Bench) -> Result<(), String> {
    let stop = async {
        bench.script("spare", 9001, "# TYPE scripted_value gauge\nscripted_value 90\n").await?;
        bench.stop("exporter").await
    };
    let at = bench.inject(FIRST, "exporter", stop).await?;
    bench.until_told("pager", "Told", false, at, 20.0).await?;
    bench.until_told("pager", "Deduplicated", false, at, 5.0).await?;
    let spent = bench.now().since(at);
    bench.hold((WITHIN_S + 1.5 - spent).max(1.0)).await;
    let healed = bench.heal(FIRST, bench.start("exporter")).await?;
    // The alerts must be over for the metrics server, and back before the group's next turn after
    // 20 s.
    bench.until_state("Deduplicated", None, 8.0).await?;
    bench.until_told("pager", "Told", true, healed, 6.0).await?;
    bench.end(FIRST);
    let at = bench.inject(SECOND, "exporter", bench.stop("exporter")).await?;
    bench.until_state("Deduplicated", Some("firing"), 10.0).await?;
    // It is restarted when most of the 14 s of `for` are over.
    bench.hold(10.0).await;
    bench.restart("prometheus").await?;
    let spent = bench.now().since(at);
    bench.hold((23.0 - spent).max(1.0)).await;
    bench.heal(SECOND, bench.start("exporter")).await?;
    bench.end(SECOND);
    Ok(())
}
