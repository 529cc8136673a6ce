//! The life of an alert: quiet, pending, firing, told, told again, over; and what comes in between:
//! flapping, restarts of either server, grouping, inhibition, silences, receivers that refuse, a
//! total outage, a dead metrics server. All on one mini stack, many rules side by side, judged by
//! checkers from the record wherever a checker knows the claim.
//!
//! `FIREDRILL_PROVISION=1` installs Docker where it is missing; without it the tests are ignored.
//! `FIREDRILL_BENCH_KEEP=FOLDER` keeps the record.

#![allow(clippy::unwrap_used)]

use super::bench::{Bench, judged};
use firedrill::receiver::Behaviour;
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use support::images;
use support::module::Tests;
use verdict::check::alerts::{
    AlertFires, AlertQuiet, AlertReaches, AlertResolves, NotifiedOnce, NotifiedRepeatedly,
    NotifiedUntilOver,
};
use verdict::check::causes::Causes;
use verdict::history::alert::Notification;
use verdict::history::fault::FaultEvent;
use verdict::{Cause, Expectation, Fact, History};

/// A signal that lasts about a quarter of a minute; in it Alertmanager is restarted.
const LIFE: &str = "signals_raised";
/// A signal that is over before its group's first turn.
const BRIEF: &str = "signal_for_a_moment";
/// Nothing is requested any more.
const OUTAGE: &str = "total_outage";
/// The metrics server is gone while an alert fires.
const DEAD: &str = "metrics_server_dead";

/// Whether what was recorded is as it should be.
type Check = fn(&History) -> Result<(), Failed>;

const CHECKS: [(&str, Check); 19] = [
    ("an alert without a cause is quiet over the whole run", |h| {
        passes(
            h,
            AlertQuiet { alert: "Calm".into(), allowed_in: vec![], about_host: false }.into(),
            &["silent for"],
        )
    }),
    ("an alert is pending for as long as `for` asks, then fires, arrives and resolves", whole_life),
    ("a notification is repeated while nothing changes", |h| {
        passes(h, repeated("Repeated", Some(LIFE), 5.5), &["notifications"])
    }),
    ("one that need not be repeated is notified once, over a restart of the alert manager", |h| {
        passes(h, once("Whole"), &["pager once each"])
    }),
    ("a restarted alert manager has its alerts back with the next resend", resent),
    ("a condition that flaps faster than `for` never fires", |h| {
        fails(h, fires("Flapping", LIFE), Cause::StillPending, &["times anew"])
    }),
    ("keep_firing_for makes one alert of one that flaps", |h| {
        passes(h, once("FlappingHeld"), &["pager once each"])
    }),
    ("keep_firing_for holds an alert after its condition is over", kept),
    ("alerts of one group arrive together", grouped),
    ("an inhibiting alert that comes later ends the repetition", |h| {
        fails(
            h,
            repeated("InhibitedLater", Some(LIFE), 5.5),
            Cause::NotRepeated,
            &["inhibited by InhibitsLater"],
        )
    }),
    ("a silence that comes later ends the repetition", |h| {
        fails(
            h,
            repeated("SilencedLater", Some(LIFE), 5.5),
            Cause::NotRepeated,
            &["silenced by silence"],
        )
    }),
    ("`continue` leads to a second receiver", |h| {
        passes(h, reaches("Continued", LIFE, &["pager", "chat"], &[]), &["chat", "pager"])
    }),
    ("templates of labels and of messages are rendered", |h| {
        passes(
            h,
            reaches("Rendered", LIFE, &["room"], &[("what", "whole"), ("value", "1")]),
            &["room"],
        )
    }),
    ("what is over within group_wait is never notified", brief),
    ("a receiver that answers 500 is asked again", |h| {
        asked_again(h, "Refused500", "failing", 500)
    }),
    ("a receiver that answers 429 is asked again", |h| {
        asked_again(h, "Refused429", "limited", 429)
    }),
    ("a total outage silences a share", |h| {
        fails(h, fires("ManyFail", OUTAGE), Cause::ExpressionFalse, &["was 0/0 in"])
    }),
    ("a dead metrics server makes the alert manager tell of an end that is none", all_clear),
    (
        "a dead man's switch arrives while all is well and falls silent with the metrics server",
        switch,
    ),
];

pub fn tests() -> Tests {
    firedrill::process::program::use_program(env!("CARGO_BIN_EXE_firedrill"));
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    );
    let recorded: Arc<OnceLock<Result<History, String>>> = Arc::default();
    let trial = |(name, check): (&str, Check)| {
        let (recorded, runtime) = (recorded.clone(), runtime.clone());
        images::needing(name, images::no_engine, move || {
            let history = recorded
                .get_or_init(|| runtime.block_on(record()))
                .as_ref()
                .map_err(Failed::from)?;
            check(history)
        })
    };
    Tests::one_by_one(CHECKS.map(trial))
}

fn passes(history: &History, expectation: Expectation, says: &[&str]) -> Result<(), Failed> {
    judged(history, &expectation, None, says).map(drop)
}

fn fails(
    history: &History,
    expectation: Expectation,
    cause: Cause,
    says: &[&str],
) -> Result<(), Failed> {
    judged(history, &expectation, Some(cause), says).map(drop)
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|s| (*s).to_owned()).collect()
}

fn fires(alert: &str, drill: &str) -> Expectation {
    AlertFires {
        alert: alert.into(),
        drill: drill.into(),
        causes: Causes::default(),
        within_s: 8.0,
        fault: drill.into(),
    }
    .into()
}

fn reaches(alert: &str, drill: &str, receivers: &[&str], labels: &[(&str, &str)]) -> Expectation {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    AlertReaches {
        alert: alert.into(),
        drill: drill.into(),
        causes: Causes::default(),
        receivers: strings(receivers),
        labels,
        within_s: 14.0,
    }
    .into()
}

fn once(alert: &str) -> Expectation {
    NotifiedOnce {
        alert: alert.into(),
        drill: LIFE.into(),
        causes: Causes::default(),
        receivers: strings(&["pager"]),
    }
    .into()
}

fn repeated(alert: &str, drill: Option<&str>, every_s: f64) -> Expectation {
    NotifiedRepeatedly {
        alert: alert.into(),
        drill: drill.map(str::to_owned),
        causes: Causes::default(),
        receivers: strings(&["pager"]),
        every_s,
    }
    .into()
}

fn unless(holds: bool, what: String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed::from(what)) }
}

/// Times of the samples of an alert in one state, seconds since the epoch.
fn samples(history: &History, alert: &str, state: &str) -> Vec<f64> {
    let of = |s: &&verdict::observation::metrics::Series| {
        s.labels["alertname"] == alert && s.labels["alertstate"] == state
    };
    let series = history.observations().flat_map(|(_, o)| match &o.fact {
        Fact::Samples(s) if s.name == "alerts" => s.series.iter().filter(of).collect(),
        _ => Vec::new(),
    });
    series.flat_map(|s| s.points.iter().map(|p| p.0)).collect()
}

fn notifications<'h>(
    history: &'h History,
    alert: &'h str,
) -> impl Iterator<Item = &'h Notification> {
    history.notifications().map(|(_, n)| n).filter(move |n| {
        n.alerts.iter().any(|a| a.labels.get("alertname").is_some_and(|l| l == alert))
    })
}

fn healed(history: &History, drill: &str) -> f64 {
    let of = |f: &FaultEvent| matches!(f, FaultEvent::Healed { drill: d, .. } if d == drill);
    history.faults().find(|(_, f)| of(f)).map_or(0.0, |(e, _)| e.at.wall_s())
}

fn whole_life(history: &History) -> Result<(), Failed> {
    passes(history, fires("Whole", LIFE), &["firing"])?;
    passes(history, reaches("Whole", LIFE, &["pager"], &[]), &["arrived after pager"])?;
    let resolves = AlertResolves {
        alert: "Whole".into(),
        drill: LIFE.into(),
        causes: Causes::default(),
        receivers: strings(&["pager"]),
        within_s: 15.0,
    };
    passes(history, resolves.into(), &["notified after pager"])?;
    let (pending, firing) =
        (samples(history, "Whole", "pending"), samples(history, "Whole", "firing"));
    let waited = firing.first().unwrap_or(&0.0) - pending.first().unwrap_or(&0.0);
    unless((1.0..6.0).contains(&waited), format!("pending for {waited} s, `for` asks for 2 s"))
}

fn resent(history: &History) -> Result<(), Failed> {
    let starts: Vec<f64> = history
        .observations()
        .filter_map(|(_, o)| match o.fact {
            Fact::ProcessStarted { at_s } if o.source == "alertmanager" => Some(at_s),
            _ => None,
        })
        .collect();
    let restarted = starts.iter().copied().fold(0.0, f64::max);
    unless(
        starts.iter().any(|s| restarted - s > 5.0),
        format!("the alert manager was seen to start at {starts:?} only"),
    )?;
    let held = history.observations().find(|(_, o)| match &o.fact {
        Fact::ManagedAlerts { alerts } => {
            o.asked.wall_s() > restarted && alerts.iter().any(|a| a.labels["alertname"] == "Whole")
        }
        _ => false,
    });
    let after = held.map_or(f64::INFINITY, |(_, o)| o.asked.wall_s() - restarted);
    unless(
        after < 8.0,
        format!("the alert was back {after} s after the restart, it is sent every second or two"),
    )
}

fn kept(history: &History) -> Result<(), Failed> {
    let last = samples(history, "Kept", "firing").into_iter().fold(0.0, f64::max);
    let without = samples(history, "Whole", "firing").into_iter().fold(0.0, f64::max);
    let (kept, plain) = (last - healed(history, LIFE), without - healed(history, LIFE));
    unless(
        kept - plain >= 3.5,
        format!(
            "it fired for {kept} s after its condition was over, and without keep_firing_for: 5s for {plain} s"
        ),
    )
}

fn grouped(history: &History) -> Result<(), Failed> {
    let together = notifications(history, "GroupedHere")
        .all(|n| n.alerts.iter().any(|a| a.labels["alertname"] == "GroupedThere"));
    unless(
        together && notifications(history, "GroupedHere").count() > 0,
        "they came one by one".into(),
    )?;
    let apart = NotifiedOnce {
        alert: "GroupedThere".into(),
        drill: LIFE.into(),
        causes: Causes::default(),
        receivers: strings(&["pager"]),
    };
    passes(history, apart.into(), &["pager once each"])
}

fn brief(history: &History) -> Result<(), Failed> {
    passes(history, fires("Brief", BRIEF), &["firing"])?;
    let told = notifications(history, "Brief").count();
    unless(told == 0, format!("it was notified {told} times"))?;
    let reaches = AlertReaches {
        alert: "Brief".into(),
        drill: BRIEF.into(),
        causes: Causes::default(),
        receivers: strings(&["pager"]),
        labels: BTreeMap::new(),
        within_s: 2.0,
    };
    fails(history, reaches.into(), Cause::WaitingInGroup, &["waits 10.0 s (`group_wait`)"])
}

fn asked_again(history: &History, alert: &str, receiver: &str, status: u16) -> Result<(), Failed> {
    let answers: Vec<u16> = notifications(history, alert)
        .filter(|n| n.alerts.iter().any(|a| !a.resolved))
        .map(|n| n.answered)
        .collect();
    unless(
        answers.first() == Some(&status),
        format!("answers were {answers:?}, first {status} wanted"),
    )?;
    passes(history, reaches(alert, LIFE, &[receiver], &[]), &["arrived after"])
}

fn all_clear(history: &History) -> Result<(), Failed> {
    let until_over = NotifiedUntilOver {
        alert: "ClearedFalsely".into(),
        drill: DEAD.into(),
        causes: Causes::default(),
        receivers: strings(&["pager"]),
    };
    fails(
        history,
        until_over.into(),
        Cause::FalseAllClear,
        &["prometheus is silent", "notified that it is over"],
    )?;
    // With the metrics server alive, nobody is told so.
    let healthy = NotifiedUntilOver {
        alert: "Whole".into(),
        drill: LIFE.into(),
        causes: Causes::default(),
        receivers: strings(&["pager"]),
    };
    passes(history, healthy.into(), &["heard nothing of an end"])
}

fn switch(history: &History) -> Result<(), Failed> {
    passes(history, repeated("Watchdog", Some(LIFE), 6.0), &["notifications"])?;
    fails(history, repeated("Watchdog", None, 6.0), Cause::NotRepeated, &["sent nothing for"])
}

/// What the exporter says: signals, and a total of requests.
#[derive(Default)]
struct Said {
    raised: BTreeMap<&'static str, u8>,
    requests: u64,
}

struct Signals<'a> {
    bench: &'a Bench,
    // Held until the exporter has taken it over, so that nothing old comes after something new.
    said: tokio::sync::Mutex<Said>,
}

impl Signals<'_> {
    async fn say(&self, signals: &[(&'static str, u8)], requests: u64) -> Result<(), String> {
        let mut said = self.said.lock().await;
        said.raised.extend(signals.iter().copied());
        said.requests += requests;
        let lines: String = said
            .raised
            .iter()
            .map(|(of, value)| format!("signal{{of=\"{of}\"}} {value}\n"))
            .collect();
        let (all, failed) = (said.requests, said.requests / 100);
        let requests = format!(
            "requests_total{{status=\"all\"}} {all}\nrequests_total{{status=\"500\"}} {failed}\n"
        );
        self.bench
            .script(
                "exporter",
                9000,
                &format!("# TYPE signal gauge\n{lines}# TYPE requests_total counter\n{requests}"),
            )
            .await
    }

    async fn set(&self, signals: &[(&'static str, u8)]) -> Result<(), String> {
        self.say(signals, 0).await
    }

    /// One in a hundred requests fails, as long as there are any.
    async fn serve(&self) -> String {
        loop {
            if let Err(e) = self.say(&[], 100).await {
                return e;
            }
            self.bench.hold(0.4).await;
        }
    }
}

async fn record() -> Result<History, String> {
    let bench = Bench::up(
        "lifecycle",
        &[(
            "docker-compose.yml",
            "      - --web.enable-lifecycle\n",
            "      - --web.enable-lifecycle\n      - --rules.alert.resend-delay=1s\n",
        )],
    )
    .await?;
    let signals = Signals { bench: &bench, said: Default::default() };
    let all = ["brief", "calm", "cleared", "flapping", "later", "repeated", "whole"];
    signals.set(&all.map(|of| (of, 0))).await?;
    bench.healthy().await?;
    bench.watching(drive(&bench, &signals)).await?;
    bench.finish(&["Flapping", "ManyFail"]).await
}

async fn drive(bench: &Bench, signals: &Signals<'_>) -> Result<(), String> {
    // Requests come all the time, until there are none.
    tokio::select! {
        error = signals.serve() => return Err(error),
        done = lives(bench, signals) => done?,
    }
    bench.inject(OUTAGE, "exporter", async { Ok(()) }).await?;
    // The window of the rate has to pass before a share of nothing is seen, and stays so.
    bench.hold(12.0).await;
    bench.heal(OUTAGE, async { Ok(()) }).await?;
    bench.end(OUTAGE);
    let dead = async {
        signals.set(&[("cleared", 1)]).await?;
        let at = bench.now();
        bench.until_told("pager", "ClearedFalsely", false, at, 15.0).await?;
        bench.stop("prometheus").await
    };
    let at = bench.inject(DEAD, "prometheus", dead).await?;
    bench.until_told("pager", "ClearedFalsely", true, at, 30.0).await?;
    // Longer than a dead man's switch is ever silent while all is well.
    bench.hold(8.0).await;
    bench.heal(DEAD, bench.start("prometheus")).await?;
    bench.until_state("ClearedFalsely", Some("firing"), 20.0).await?;
    bench.end(DEAD);
    Ok(())
}

async fn lives(bench: &Bench, signals: &Signals<'_>) -> Result<(), String> {
    let refuse = |receiver: &str, status, times| Behaviour {
        receiver: receiver.into(),
        answer: Some(status),
        delay_ms: 0,
        times: Some(times),
    };
    for behaviour in [refuse("failing", 500, 2), refuse("limited", 429, 1)] {
        bench.stand_ins().behave(&behaviour).await.map_err(|e| e.to_string())?;
    }
    bench.hold(3.0).await;
    let at = bench
        .inject(LIFE, "exporter", signals.set(&[("whole", 1), ("repeated", 1), ("flapping", 1)]))
        .await?;
    let flapping = async {
        for value in [0, 1].into_iter().cycle() {
            bench.hold(2.5).await;
            signals.set(&[("flapping", value)]).await?;
        }
        Ok::<_, String>(())
    };
    let living = async {
        for alert in ["Whole", "SilencedLater", "InhibitedLater"] {
            bench.until_told("pager", alert, false, at, 20.0).await?;
        }
        signals.set(&[("later", 1)]).await?;
        let now = jiff::Timestamp::now();
        let matcher = serde_json::json!({"name": "alertname", "value": "SilencedLater", "isRegex": false, "isEqual": true});
        let (from, to) = (now.to_string(), (now + jiff::SignedDuration::from_mins(5)).to_string());
        let silence = serde_json::json!({"matchers": [matcher], "createdBy": "test", "comment": "later", "startsAt": from, "endsAt": to});
        bench.post("/api/v2/silences", silence).await?;
        bench.hold(4.0).await;
        bench.restart("alertmanager").await?;
        bench.hold(9.0).await;
        Ok::<_, String>(())
    };
    tokio::select! {
        failed = flapping => failed?,
        done = living => done?,
    }
    let over = [("whole", 0), ("repeated", 0), ("flapping", 0), ("later", 0)];
    let healed = bench.heal(LIFE, signals.set(&over)).await?;
    bench.until_told("pager", "Whole", true, healed, 20.0).await?;
    bench.until_state("Kept", None, 20.0).await?;
    bench.end(LIFE);
    let at = bench.inject(BRIEF, "exporter", signals.set(&[("brief", 1)])).await?;
    bench.until_state("Brief", Some("firing"), 8.0).await?;
    bench.hold((3.5 - bench.now().since(at)).max(0.5)).await;
    bench.heal(BRIEF, signals.set(&[("brief", 0)])).await?;
    bench.until_state("Brief", None, 8.0).await?;
    bench.end(BRIEF);
    // Its group would have had its first turn by then.
    bench.hold(6.0).await;
    Ok(())
}
