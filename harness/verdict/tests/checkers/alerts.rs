//! Alerts: quiet, firing, arriving, resolving, and the stage at which they stopped.

use super::golden::{Run, comparison, golden, managed, map, notification, target};
use verdict::check::Checker;
use verdict::check::alerts::{AlertQuiet, AlertStages, StageBudget};
use verdict::check::causes::Causes;
use verdict::history::alert::{AlertEvent, Notification, Protocol};
use verdict::history::fault::{FaultEvent, ONLY_FAULT};
use verdict::history::run::RunEvent;
use verdict::observation::alerts::{ManagedAlert, ManagedRoute, Silence};
use verdict::observation::asked::Asked;
use verdict::observation::host::Pressure;
use verdict::observation::metrics::{Reload, RuleInputs, Samples, Series, Target};
use verdict::{Cause, EventKind, Fact, Status, Verdict};

const FIRES: &str = "alert.MailerDown.fires";
const REACHES: &str = "alert.MailerDown.reaches";
const RESOLVES: &str = "alert.MailerDown.resolves";
const QUIET: &str = "alert.MailerDown.quiet";
const STAGES: &str = "alert.MailerDown.stages";

/// The alert never fired, and the drill waited for it until 82 s.
fn silent() -> Run {
    golden()
        .never("MailerDown", "firing")
        .never("MailerDown", "pending")
        .untold("MailerDown")
        .facts(|_, _, f| {
            if let Fact::ManagedAlerts { alerts } = f {
                alerts.retain(|a| a.labels["alertname"] != "MailerDown");
            }
        })
}

fn inputs(run: Run, change: impl Fn(&mut RuleInputs)) -> Run {
    run.facts(|_, _, f| {
        if let Fact::RuleInputs(i) = f
            && i.alert == "MailerDown"
        {
            change(i);
        }
    })
}

/// Both verdicts, on firing and on arriving, name the same stage.
#[track_caller]
fn stopped(run: &Run, cause: Cause, stage: &str, says: &str) -> Verdict {
    let (fires, reaches) = (run.fails(FIRES, cause, says), run.fails(REACHES, cause, says));
    assert_eq!((fires.stage(), reaches.stage()), (Some(stage), Some(stage)));
    run.unknown(RESOLVES, "nothing to resolve");
    fires
}

#[test]
fn why_not_a_rejected_reload() {
    let run = silent().facts(|_, source, f| {
        if let (Fact::Reload(r), "metrics") = (f, source) {
            *r = Reload { successful: false, last_success_s: 0.0, seen: "bad rule".into() };
        }
    });
    stopped(
        &run,
        Cause::ReloadRejected,
        "reload rejected",
        "metrics refused its last configuration and runs on an older one: bad rule",
    );
}

#[test]
fn why_not_a_rule_that_is_not_loaded_or_fails() {
    let rules = |change: fn(&mut Vec<verdict::observation::metrics::Rule>)| {
        silent().facts(move |_, _, f| {
            if let Fact::Rules { groups } = f {
                change(&mut groups[0].rules);
            }
        })
    };
    stopped(
        &rules(|r| r.retain(|r| r.name != "MailerDown")),
        Cause::RuleNotLoaded,
        "rule not loaded",
        "metrics has 2 alerting rules in 1 groups, and none is called MailerDown",
    );
    let failing = rules(|r| {
        r[0].health = "err".into();
        r[0].last_error = "duplicate series".into();
    });
    stopped(&failing, Cause::RuleFailing, "rule group failing", "duplicate series");
    // It may begin to fail under the fault, and be asked at the end only.
    let later = silent().facts(|t, _, f| {
        if let (Fact::Rules { groups }, true) = (f, t > 150.0) {
            groups[0].rules[0].last_error = "many-to-many".into();
        }
    });
    stopped(&later, Cause::RuleFailing, "rule group failing", "many-to-many");
}

#[test]
fn why_not_a_series_that_does_not_exist() {
    let absent = |change: fn(&mut RuleInputs)| {
        inputs(silent(), move |i| {
            i.selectors[0].count = 0;
            change(i);
        })
    };
    let renamed = absent(|_| {});
    stopped(
        &renamed,
        Cause::SeriesAbsent,
        "series absent",
        "inactive throughout; `probe_success{job=\"mailer\"}` matched no series in the whole window",
    );
    // The rule asks for the absence itself: then that is no reason.
    let meant = absent(|i| i.expr = "absent(probe_success{job=\"mailer\"})".into());
    stopped(&meant, Cause::ExpressionFalse, "expression false", "inactive throughout");
    let targets = |run: Run, change: fn(&mut Vec<Target>)| {
        run.facts(move |_, _, f| {
            if let Fact::Targets { targets } = f {
                change(targets);
            }
        })
    };
    let unknown = targets(renamed.clone(), |t| t.retain(|t| t.job != "mailer"));
    stopped(
        &unknown,
        Cause::TargetNotInDiscovery,
        "target not in discovery",
        "no target of job mailer is known",
    );
    let down = targets(renamed, |t| {
        t[2] = Target { up: false, last_error: "connection refused".into(), ..target("mailer") }
    });
    stopped(&down, Cause::TargetNotScraped, "not scraped", "connection refused");
}

#[test]
fn why_not_an_expression_that_is_never_true() {
    let with = |op: &'static str, threshold: f64, low: f64, high: f64| {
        inputs(silent(), move |i| i.comparisons = vec![comparison("x", op, threshold, low, high)])
    };
    let never =
        |run: &Run, says: &str| stopped(run, Cause::ExpressionFalse, "expression false", says);
    let v = never(
        &with("==", 0.0, 1.0, 1.0),
        "inactive throughout; `x` was 1 throughout against threshold == 0",
    );
    assert!(v.hint.is_some_and(|h| h.contains("does the rule watch what was broken")));
    never(&with(">", 2.0, 0.1, 1.75), "highest value of `x` was 1.75 against threshold > 2");
    never(&with("<", 0.5, 0.75, 1.0), "lowest value of `x` was 0.75 against threshold < 0.5");
    never(&with("==", 7.0, 0.5, 1.0), "values of `x` were 0.5 to 1 against threshold == 7");
    never(&with(">", 1.0, 0.0, 2.0), "never all together");
    let empty = inputs(silent(), |i| {
        (i.comparisons[0].lowest, i.comparisons[0].highest, i.comparisons[0].samples) =
            (None, None, 0)
    });
    never(&empty, "returned no value in the whole window");
    let nothing_done = inputs(silent(), |i| {
        i.comparisons = vec![comparison("errors / all", ">", 0.05, 0.01, 0.01)];
        (i.comparisons[0].samples, i.comparisons[0].not_numbers) = (3, 9);
    });
    never(
        &nothing_done,
        "`errors / all` was 0/0 in 9 of 12 samples, which is neither above nor below 0.05",
    );
    let unasked = silent().without(
        |_, k| matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::RuleInputs(_))),
    );
    never(&unasked, "was not recorded");
}

#[test]
fn why_not_buckets_that_end_at_the_threshold() {
    let quantile = |threshold: f64, highest: f64, bounds: &'static [f64]| {
        inputs(silent(), move |i| {
            i.comparisons = vec![comparison(
                "histogram_quantile(0.99, rate(x_bucket[15s]))",
                ">",
                threshold,
                0.1,
                highest,
            )];
            i.bucket_bounds = bounds.to_vec();
        })
    };
    let short = quantile(2.0, 2.0, &[0.5, 1.0, 2.0]);
    stopped(
        &short,
        Cause::BucketsBelowThreshold,
        "expression false",
        "the highest finite bucket ends at 2: the quantile can't exceed it",
    );
    stopped(
        &quantile(2.0, 1.5, &[0.5, 2.5, f64::INFINITY]),
        Cause::ExpressionFalse,
        "expression false",
        "was 1.5 against threshold > 2",
    );
    // Milliseconds against buckets in seconds: the bounds say nothing.
    stopped(
        &quantile(2000.0, 1200.0, &[0.5, 1.0, 2.0]),
        Cause::ExpressionFalse,
        "expression false",
        "was 1200 against",
    );
}

#[test]
fn why_not_pending_until_for_is_over() {
    let run = golden().never("MailerDown", "firing").untold("MailerDown");
    stopped(
        &run,
        Cause::StillPending,
        "pending until 5.5 s after the injection",
        "pending from 2.5 s after the injection, for 3.0 s of the 3.0 s that `for` asks",
    );
}

#[test]
fn why_not_a_restart_that_resets_for() {
    let pending_on = |to: i32| {
        let run = golden().never("MailerDown", "firing").untold("MailerDown");
        let clock = run.clock;
        run.facts(move |_, _, f| {
            if let Fact::Samples(s) = f {
                for s in s
                    .series
                    .iter_mut()
                    .filter(|s| s.labels.get("alertname").is_some_and(|n| n == "MailerDown"))
                {
                    s.points = (63..=to).map(|t| (clock.wall(f64::from(t)), Some(1.0))).collect();
                }
            }
        })
    };
    let restarted = |t: f64, mut run: Run, source: &str| {
        let at_s = run.clock.wall(t);
        run.saw(t + 0.5, source, Fact::ProcessStarted { at_s });
        run
    };
    let run = restarted(65.0, pending_on(67), "metrics");
    let says = "pending for 2.0 s of the 3.0 s that `for` asks when metrics was restarted, 4.5 s after the injection";
    stopped(&run, Cause::ResetByRestart, "reset by a restart", says);
    // One before it was pending, one of another server, and one without which it would not have
    // fired either, explain nothing.
    for (t, source) in [(61.0, "metrics"), (65.0, "manager")] {
        restarted(t, pending_on(67), source).fails(FIRES, Cause::StillPending, "pending");
    }
    let long = restarted(65.0, pending_on(67), "metrics").facts(|_, _, f| {
        if let Fact::Rules { groups } = f {
            groups.iter_mut().flat_map(|g| &mut g.rules).for_each(|r| r.for_s = 3600.0);
        }
    });
    long.fails(FIRES, Cause::StillPending, "of the 3600.0 s that `for` asks");
}

#[test]
fn late_is_a_failure_unless_the_host_was_contended() {
    let late = golden().alert_later("MailerDown", 6.0);
    let v = late.fails(FIRES, Cause::TooLate, "firing 12.5 s after the injection, 9.0 s allowed");
    assert_eq!(v.stage(), Some("fired too late"));
    let contended = |mut run: Run| {
        run.saw(
            66.0,
            "host",
            Fact::Pressure(Pressure {
                cpu_some_avg10: 88.0,
                memory_some_avg10: 0.0,
                io_some_avg10: 0.0,
                ..Pressure::default()
            }),
        );
        run
    };
    contended(late).unknown(FIRES, "late while the host was contended: firing 12.5 s");
    contended(silent()).fails(FIRES, Cause::ExpressionFalse, "never all together");
    let told_late = golden().notifications(|t, n| {
        if t == 68.0 {
            n.received_wall_us += 6_000_000;
        }
    });
    let v = told_late.fails(
        REACHES,
        Cause::TooLate,
        "arrived after hook 13.5 s, chat 13.5 s; 12.0 s allowed",
    );
    assert_eq!(v.stage(), Some("notified too late"));
    contended(told_late).unknown(REACHES, "late while the host was contended");
}

#[test]
fn an_alert_that_fired_already_proves_nothing() {
    let run = golden().facts(|_, _, f| {
        if let Fact::Samples(s) = f {
            for s in s.series.iter_mut().filter(|s| {
                s.labels.get("alertname").is_some_and(|n| n == "MailerDown")
                    && s.labels["alertstate"] == "firing"
            }) {
                let first = s.points[0].0;
                s.points = (-17..=15).map(|i| (first + f64::from(i), Some(1.0))).collect();
            }
        }
    });
    run.unknown(FIRES, "already firing when the fault was injected");
    run.unknown(REACHES, "already firing");
    run.fails(QUIET, Cause::FiredWhileHealthy, "fired 50.0 s into the run");
}

#[test]
fn a_drill_that_gave_it_too_little_time_is_unknown() {
    let run = silent()
        .without(|t, k| matches!(k, EventKind::Fault(FaultEvent::Healed { .. })) && t < 90.0);
    let mut early = run;
    early.fault(
        65.0,
        FaultEvent::Healed { drill: "mailer_stopped".into(), fault: ONLY_FAULT.into() },
    );
    early.unknown(FIRES, "drill mailer_stopped gave it only 4.5 s of the 9.0 s");
}

#[test]
fn without_a_record_of_alerts_nothing_is_known() {
    let is_samples = |k: &EventKind| matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::Samples(_)));
    let none = golden().without(|_, k| is_samples(k));
    let ids = [FIRES, REACHES, RESOLVES, QUIET, "drill.mailer_stopped.quiet_elsewhere"];
    for id in ids {
        none.unknown(id, "the ALERTS series was never recorded");
    }
    let window = |from: f64, to: f64| {
        golden().facts(move |_, _, f| {
            if let Fact::Samples(s) = f {
                let zero = s.start_s.min(golden().clock.wall(15.0)) - 15.0;
                s.start_s = s.start_s.max(zero + from);
                s.end_s = s.end_s.min(zero + to);
                let (start, end) = (s.start_s, s.end_s);
                s.series.iter_mut().for_each(|x| x.points.retain(|p| (start..=end).contains(&p.0)));
            }
        })
    };
    window(0.0, 64.0).unknown(FIRES, "does not cover");
    window(65.0, 200.0).unknown(FIRES, "does not cover");
    window(0.0, 70.0).passes(FIRES, "firing");
    window(0.0, 81.0).unknown(RESOLVES, "ends 1.0 s after healing, while it was firing");
    window(0.0, 120.0).unknown(QUIET, "does not cover");
    window(0.0, 70.0).unknown("drill.mailer_stopped.quiet_elsewhere", "does not cover");
}

#[test]
fn raw_samples_count_by_the_rules_interval() {
    let raw = golden().facts(|_, _, f| {
        if let Fact::Samples(s) = f {
            s.step_s = 0.0;
        }
    });
    raw.passes(FIRES, "firing 6.5 s");
    assert!(raw.passes(QUIET, "silent").evidence[0].count > 100);
    let no_rules = |k: &EventKind| matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::Rules { .. }));
    let empty = raw
        .never("MailerDown", "firing")
        .never("MailerDown", "pending")
        .never("SlowAnswers", "firing")
        .never("SlowAnswers", "pending")
        .without(|_, k| no_rules(k));
    empty.unknown(FIRES, "raw samples that hold no point");
    empty.unknown(QUIET, "raw samples that hold no point");
}

#[test]
fn silence_between_samples_that_are_too_far_apart_proves_nothing() {
    let coarse = golden().facts(|_, _, f| {
        if let Fact::Samples(s) = f {
            s.step_s = 5.0;
        }
    });
    coarse.unknown("alert.Idle.quiet", "a short alert could be missed");
}

#[test]
fn a_server_that_evaluates_nothing_is_no_silence() {
    const ELSEWHERE: &str = "drill.store_slow.quiet_elsewhere";
    const IDLE: &str = "alert.Idle.quiet";
    // From 30 to 40 nothing was evaluated: the counter stands still, then goes on.
    let frozen =
        |from: u64, to: u64| move |e: u64| if e < from { e } else { e.max(to) - (to - from) };
    let counted = |count: &dyn Fn(u64) -> (u64, u64)| {
        golden().facts(|_, _, f| {
            if let Fact::Evaluations { groups } = f {
                groups.iter_mut().for_each(|g| (g.evaluated, g.failed) = count(g.evaluated));
            }
        })
    };
    let run = counted(&|e| (frozen(30, 40)(e), 0));
    run.unknown(
        IDLE,
        "rule group all was evaluated 2 times without error in 6.0 s, where 6 were due",
    );
    run.unknown(QUIET, "a server that evaluates nothing is silent as well");
    run.passes(ELSEWHERE, "nothing else fired");
    run.passes(FIRES, "firing");
    counted(&|e| (frozen(110, 118)(e), 0))
        .unknown(ELSEWHERE, "a server that evaluates nothing is silent as well");
    // All evaluations failed meanwhile; the server began anew, at once or after ten seconds; one in
    // ten was missed.
    counted(&|e| (e, e.clamp(30, 40) - 30)).unknown(IDLE, "without error");
    counted(&|e| (if e > 50 { e - 50 } else { e }, 0)).passes(IDLE, "silent");
    counted(&|e| (if e > 50 { e.saturating_sub(60) } else { e }, 0)).unknown(IDLE, "was evaluated");
    counted(&|e| (e - e / 10, 0)).passes(IDLE, "silent");
    // Nobody counted: at all, for ten seconds, or at the end.
    let deaf = |from: f64, to: f64| {
        golden().without(move |t, k| {
            (from..to).contains(&t) && matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::Evaluations { .. }))
        })
    };
    deaf(0.0, 200.0).unknown(IDLE, "how often rule group all was evaluated is not recorded");
    deaf(30.0, 40.0).passes(IDLE, "silent");
    deaf(165.0, 200.0).unknown(IDLE, "is not recorded");
    // The drill is about the server itself.
    let mut on_server = deaf(101.0, 122.0);
    for (_, k) in &mut on_server.events {
        if let EventKind::Fault(FaultEvent::Injected { drill, target, .. }) = k
            && drill == "store_slow"
        {
            *target = "metrics".into();
        }
    }
    on_server.passes(ELSEWHERE, "nothing else fired");
    on_server.passes(IDLE, "silent");
}

// From the alert manager to the receiver.

fn untold() -> Run {
    golden().untold("MailerDown")
}

fn held(run: Run, change: impl Fn(&mut ManagedAlert)) -> Run {
    run.facts(|_, _, f| {
        if let Fact::ManagedAlerts { alerts } = f {
            alerts.iter_mut().for_each(&change);
        }
    })
}

#[track_caller]
fn undelivered(run: &Run, cause: Cause, stage: &str, says: &str) {
    run.passes(FIRES, "firing");
    let v = run.fails(REACHES, cause, says);
    assert_eq!(v.stage(), Some(stage));
    assert!(
        v.reason.starts_with("fired 6.5 s after the injection and did not arrive at"),
        "{}",
        v.reason
    );
}

#[test]
fn why_not_an_alert_that_was_not_sent() {
    let run = untold().facts(|_, _, f| {
        if let Fact::ManagedAlerts { alerts } = f {
            alerts.clear();
        }
    });
    undelivered(&run, Cause::NotSentToManager, "not sent to the alert manager", "never had it");
    let gone = untold().facts(|t, _, f| {
        if matches!(f, Fact::ManagedAlerts { .. }) && t < 90.0 {
            *f = Fact::Unreachable { question: Asked::ManagedAlerts, error: "refused".into() };
        }
    });
    undelivered(
        &gone,
        Cause::ServiceUnhealthy,
        "alert manager does not answer",
        "manager did not answer while the alert was firing: refused",
    );
}

#[test]
fn why_not_an_alert_that_is_inhibited_silenced_or_muted() {
    let inhibited = held(untold(), |a| {
        (a.state, a.inhibited_by) = ("suppressed".into(), vec!["HouseDown".into()])
    });
    undelivered(
        &inhibited,
        Cause::Inhibited,
        "inhibited by HouseDown",
        "manager holds it as suppressed, inhibited by HouseDown",
    );
    let mut silenced =
        held(untold(), |a| (a.state, a.silenced_by) = ("suppressed".into(), vec!["s1".into()]));
    undelivered(&silenced, Cause::Silenced, "silenced by silence s1", "silence s1");
    let silence = Silence {
        id: "s1".into(),
        matchers: vec!["alertname=~\".+\"".into()],
        created_by: "bob".into(),
        state: "active".into(),
    };
    silenced.saw(70.0, "manager", Fact::Silences { silences: vec![silence] });
    undelivered(
        &silenced,
        Cause::Silenced,
        "silenced by silence {alertname=~\".+\"} made by bob",
        "made by bob",
    );
    let muted =
        held(untold(), |a| (a.state, a.muted_by) = ("suppressed".into(), vec!["nights".into()]));
    undelivered(&muted, Cause::Muted, "muted by nights", "time interval nights");
}

fn refused(path: &str, alerts: bool) -> Notification {
    let n = notification("chat", "MailerDown", false);
    Notification {
        receiver: None,
        path: path.into(),
        answered: 404,
        error: Some("no such path".into()),
        alerts: if alerts { n.alerts } else { vec![] },
        ..n
    }
}

#[test]
fn why_not_a_receiver_that_refuses() {
    for readable in [true, false] {
        let mut run = golden().without(|_, k| matches!(k, EventKind::Alert(AlertEvent::Notification(n)) if n.receiver.as_deref() == Some("chat") && n.alerts[0].labels["alertname"] == "MailerDown"));
        run.notified(68.0, refused("/services/wrong", readable));
        let says = "chat.test/services/wrong answered 404 (no such path); chat is declared at chat.test/services/ops";
        undelivered(&run, Cause::ReceiverRefused, "receiver refused (404)", says);
    }
    // Of paths that are hidden only the answer tells that they differ.
    let mut run = golden().without(|_, k| {
        matches!(k, EventKind::Alert(AlertEvent::Notification(n)) if n.receiver.as_deref() == Some("chat") && n.alerts[0].labels["alertname"] == "MailerDown")
    });
    run = run.without(|_, k| {
        matches!(k, EventKind::Alert(AlertEvent::Declared { receiver, .. }) if receiver == "chat")
    });
    run.push(
        15.2,
        EventKind::Alert(AlertEvent::Declared {
            receiver: "chat".into(),
            protocol: Protocol::Slack,
            host: "chat.test".into(),
            path: "/[path]".into(),
        }),
    );
    run.notified(68.0, refused("/[path]", true));
    let says =
        "chat.test/[path] answered 404 (no such path); chat is declared there at another path";
    undelivered(&run, Cause::ReceiverRefused, "receiver refused (404)", says);
    // Another host's refusal does not explain it.
    let mut run =
        golden().without(|_, k| matches!(k, EventKind::Alert(AlertEvent::Notification(n)) if n.receiver.as_deref() == Some("chat")));
    run.notified(68.0, Notification { host: "elsewhere.test".into(), ..refused("/x", true) });
    undelivered(
        &run,
        Cause::NotNotified,
        "not notified",
        "nothing was received, accepted or refused",
    );
}

#[test]
fn why_not_another_route() {
    let mut elsewhere = untold();
    elsewhere.notified(68.0, notification("night-desk", "MailerDown", false));
    undelivered(
        &elsewhere,
        Cause::RoutedElsewhere,
        "another route",
        "it arrived at night-desk instead; its routes lead to ops",
    );
    // The manager uses the stand-in's name, but not for this alert.
    let named = untold().facts(|t, _, f| {
        if let Fact::ManagedAlerts { alerts } = f {
            alerts
                .iter_mut()
                .for_each(|a| a.receivers = vec![if t > 95.0 { "hook" } else { "nobody" }.into()]);
        }
    });
    undelivered(&named, Cause::RoutedElsewhere, "another route", "its routes lead to nobody");
}

#[test]
fn why_not_waiting_or_nothing_known() {
    let waiting = held(untold(), |a| a.state = "unprocessed".into());
    undelivered(
        &waiting,
        Cause::WaitingInGroup,
        "waiting in the group",
        "has not processed its group yet",
    );
    let fresh = untold().alert_later("MailerDown", 22.5);
    let v = fresh.fails(
        REACHES,
        Cause::WaitingInGroup,
        "it fired 0.5 s before the drill ended, and the quickest notification of this run took 1.0 s",
    );
    assert_eq!(v.stage(), Some("waiting in the group"));
    undelivered(
        &untold(),
        Cause::NotNotified,
        "not notified",
        "manager holds it as active, its routes lead to ops",
    );
    let manager = untold().facts(|_, source, f| {
        if let (Fact::Reload(r), "manager") = (f, source) {
            *r = Reload { successful: false, last_success_s: 0.0, seen: "bad route".into() };
        }
    });
    undelivered(
        &manager,
        Cause::ReloadRejected,
        "reload rejected",
        "manager refused its last configuration and routes by an older one: bad route",
    );
}

fn routed(run: Run, wait: f64, interval: f64) -> Run {
    let route = ManagedRoute {
        receiver: "ops".into(),
        group_wait_s: wait,
        group_interval_s: interval,
        repeat_interval_s: 3600.0,
    };
    held(run, move |a| a.routes = vec![route.clone()])
}

#[test]
fn why_not_waiting_for_the_timer_of_its_group() {
    let wait = routed(untold(), 3600.0, 300.0);
    undelivered(
        &wait,
        Cause::WaitingInGroup,
        "waiting in the group",
        "a new group of receiver ops waits 3600.0 s (`group_wait`)",
    );
    // A timer that ran out explains nothing.
    undelivered(
        &routed(untold(), 5.0, 5.0),
        Cause::NotNotified,
        "not notified",
        "nothing was received",
    );
    let told_before = |interval: f64| {
        let mut run = routed(untold(), 1.0, interval);
        run.notified(50.0, notification("hook", "MailerDown", false));
        run
    };
    undelivered(
        &told_before(300.0),
        Cause::WaitingInGroup,
        "waiting in the group",
        "has its next turn after at most 300.0 s",
    );
}

#[test]
fn why_not_what_was_told_already() {
    let told = |resolved: bool| {
        let mut run = routed(untold(), 1.0, 5.0);
        run.notified(50.0, notification("hook", "MailerDown", false))
            .notified(52.0, notification("hook", "MailerDown", resolved));
        run
    };
    let says = "manager notified hook of it already, 15.0 s before it fired this time";
    undelivered(&told(false), Cause::Deduplicated, "deduplicated", says);
    undelivered(&told(true), Cause::NotNotified, "not notified", "nothing was received");
}

#[test]
fn why_not_labels_that_lead_elsewhere() {
    let mut run = untold();
    let mut other = notification("chat", "MailerDown", false);
    other.alerts.iter_mut().for_each(|a| drop(a.labels.insert("severity".into(), "urgent".into())));
    run.notified(68.0, other);
    run.saw(21.46, "manager", Fact::ManagerReceivers { names: vec!["hook".into(), "chat".into()] });
    let says = "its routes lead to ops; chat got it with other labels: severity is \"urgent\", \"critical\" wanted";
    undelivered(&run, Cause::RoutedElsewhere, "another route", says);
}

#[test]
fn a_notification_with_other_labels_is_not_the_declared_one() {
    let run = golden().notifications(|_, n| {
        n.alerts.iter_mut().for_each(|a| {
            a.labels = map(&[("alertname", &a.labels["alertname"]), ("severity", "warning")])
        })
    });
    let v = run.fails(
        REACHES,
        Cause::LabelsDiffer,
        "hook got a notification of MailerDown with other labels: severity is \"warning\", \"critical\" wanted",
    );
    assert_eq!(v.stage(), Some("labels differ"));
    // What a protocol does not show can't differ; the generic webhook shows all.
    let bare = |receiver: &'static str| {
        golden().notifications(move |_, n| {
            if n.receiver.as_deref() == Some(receiver) {
                n.alerts.iter_mut().for_each(|a| drop(a.labels.remove("severity")));
            }
        })
    };
    bare("chat").passes(REACHES, "arrived");
    bare("hook").fails(REACHES, Cause::LabelsDiffer, "severity is missing");
}

#[test]
fn a_refused_or_early_notification_is_none() {
    let early = golden().notifications(|t, n| {
        if t == 68.0 {
            n.received_wall_us -= 5_000_000;
        }
    });
    early.fails(REACHES, Cause::NotNotified, "did not arrive at hook, chat");
    let refused = golden().notifications(|t, n| {
        if t == 68.0 {
            n.answered = 500;
        }
    });
    refused.fails(REACHES, Cause::ReceiverRefused, "answered 500");
}

// Resolution.

#[test]
fn an_alert_that_does_not_resolve_or_too_late() {
    let longer = |by: i32| {
        golden().facts(move |_, _, f| {
            if let Fact::Samples(s) = f {
                for s in s.series.iter_mut().filter(|s| {
                    s.labels.get("alertname").is_some_and(|n| n == "MailerDown")
                        && s.labels["alertstate"] == "firing"
                }) {
                    let last = s.points[s.points.len() - 1].0;
                    s.points.extend((1..=by).map(|i| (last + f64::from(i), Some(1.0))));
                }
            }
        })
    };
    longer(5).passes(RESOLVES, "last seen firing 7.0 s after healing");
    longer(7).passes(RESOLVES, "last seen firing 9.0 s after healing");
    let v = longer(8).fails(
        RESOLVES,
        Cause::TooLate,
        "last seen firing 10.0 s after healing, 8.0 s allowed",
    );
    assert_eq!(v.stage(), Some("resolved too late"));
    longer(104).fails(RESOLVES, Cause::NotResolved, "still firing 106.0 s after healing");
}

#[test]
fn a_receiver_that_is_not_told_that_it_is_over() {
    let end = |receiver: &'static str, t: f64, n: &Notification| {
        t == 84.0 && n.receiver.as_deref() == Some(receiver)
    };
    let untold = golden().without(
        |t, k| matches!(k, EventKind::Alert(AlertEvent::Notification(n)) if end("chat", t, n)),
    );
    let v = untold.fails(
        RESOLVES,
        Cause::NotResolved,
        "last seen firing 2.0 s after healing, and chat was never notified",
    );
    assert_eq!(v.stage(), Some("resolution not notified"));
    let late = golden().notifications(|t, n| {
        if end("chat", t, n) {
            n.received_wall_us += 5_000_000;
        }
    });
    late.fails(RESOLVES, Cause::TooLate, "chat was notified 9.0 s after healing, 8.0 s allowed");
    let never =
        golden().without(|_, k| matches!(k, EventKind::Alert(AlertEvent::Notification(n)) if n.receiver.as_deref() == Some("chat")));
    never.unknown(RESOLVES, "chat was never notified that it fires");
    golden()
        .without(|_, k| matches!(k, EventKind::Fault(FaultEvent::Healed { .. })))
        .unknown(RESOLVES, "never healed");
}

// Quiet.

fn firing(run: Run, alert: &str, from: i32, to: i32, state: &str) -> Run {
    let clock = run.clock;
    let labels = map(&[
        ("__name__", "ALERTS"),
        ("alertname", alert),
        ("alertstate", state),
        ("severity", "critical"),
    ]);
    let series = Series {
        labels,
        points: (from..=to).map(|t| (clock.wall(f64::from(t)), Some(1.0))).collect(),
    };
    let samples = Samples {
        name: "alerts".into(),
        expr: "ALERTS".into(),
        start_s: clock.wall(f64::from(from)),
        end_s: clock.wall(f64::from(to)),
        step_s: 1.0,
        series: vec![series],
    };
    let mut run = run;
    run.saw(186.0, "metrics", Fact::Samples(samples));
    run
}

#[test]
fn an_alert_that_fires_while_nothing_is_wrong() {
    let v = firing(golden(), "MailerDown", 30, 33, "firing").fails(
        QUIET,
        Cause::FiredWhileHealthy,
        "fired 30.0 s into the run, for 3.0 s, while nothing was wrong, before drill mailer_stopped",
    );
    assert!(!v.witnesses.is_empty());
    firing(golden(), "MailerDown", 97, 98, "firing").fails(
        QUIET,
        Cause::FiredWhileHealthy,
        "before drill store_slow",
    );
    firing(golden(), "MailerDown", 140, 140, "firing").fails(
        QUIET,
        Cause::FiredWhileHealthy,
        "after the last drill",
    );
    firing(golden(), "MailerDown", 105, 106, "firing").fails(
        QUIET,
        Cause::FiredWhileHealthy,
        "during drill store_slow, which has nothing to do with it",
    );
    // What lingers from its own drill is no noise of the next, and is none before the steady state
    // holds again.
    firing(golden(), "MailerDown", 85, 94, "firing").passes(QUIET, "silent");
    golden()
        .without(|_, k| matches!(k, EventKind::Run(RunEvent::Steady { .. })))
        .unknown(QUIET, "no time in which the steady state was seen to hold");
    // Before the steady state, and in its own drill, it may.
    firing(golden(), "MailerDown", 16, 19, "firing").passes(QUIET, "silent");
    firing(golden(), "MailerDown", 85, 86, "firing").passes(QUIET, "silent");
    firing(golden(), "MailerDown", 30, 33, "pending").passes(QUIET, "silent");
}

#[test]
fn pending_while_healthy_that_leads_to_firing_is_noise() {
    let run = golden().never("MailerDown", "pending");
    firing(run, "MailerDown", 50, 66, "pending").fails(
        QUIET,
        Cause::FiredWhileHealthy,
        "became pending, and then fired, 50.0 s into the run",
    );
}

#[test]
fn the_silence_of_a_rule_that_is_not_evaluated_proves_nothing() {
    let rules = |change: fn(&mut Vec<verdict::observation::metrics::Rule>)| {
        golden().facts(move |_, _, f| {
            if let Fact::Rules { groups } = f {
                change(&mut groups[0].rules);
            }
        })
    };
    rules(|r| r.retain(|r| r.name != "Idle")).unknown("alert.Idle.quiet", "never seen loaded");
    rules(|r| r[2].health = "err".into()).unknown("alert.Idle.quiet", "never seen loaded");
    golden()
        .without(|_, k| {
            matches!(k, EventKind::Run(RunEvent::Steady { .. } | RunEvent::DrillEnded { .. }))
        })
        .unknown(QUIET, "no time in which the steady state was seen to hold");
}

#[test]
fn an_alert_about_the_host_is_left_open_while_others_load_the_host() {
    let mut run = firing(golden(), "Idle", 30, 33, "firing");
    run.fails("alert.Idle.quiet", Cause::FiredWhileHealthy, "fired 30.0 s into the run");
    run.saw(
        29.0,
        "host",
        Fact::Pressure(Pressure {
            cpu_some_avg10: 30.0,
            memory_some_avg10: 0.0,
            io_some_avg10: 0.0,
            ..Pressure::default()
        }),
    );
    run.passes(
        "alert.Idle.quiet",
        "left open: it fired 30.0 s into the run while the host was loaded",
    );
    let strict = AlertQuiet { alert: "Idle".into(), allowed_in: vec![], about_host: false };
    assert_eq!(strict.check(&run.history()).status, Status::Fail);
}

#[test]
fn nothing_else_fires_in_a_drill() {
    let id = "drill.mailer_stopped.quiet_elsewhere";
    let run = firing(golden(), "Surprise", 70, 72, "firing");
    run.fails(id, Cause::FiredUnexpectedly, "Surprise fired 9.5 s after the injection, for 2.0 s");
    run.passes("drill.store_slow.quiet_elsewhere", "nothing else");
    firing(golden(), "Surprise", 70, 72, "pending").passes(id, "nothing else");
    firing(golden(), "Surprise", 55, 72, "firing")
        .unknown(id, "the drill began while something was wrong: Surprise fired already");
    let mut declared = firing(golden(), "Surprise", 70, 72, "firing");
    for (_, k) in &mut declared.events {
        if let EventKind::Fault(FaultEvent::Injected { blast_radius, .. }) = k {
            blast_radius.alerts.push("Surprise".into());
        }
    }
    declared.passes(id, "nothing else");
    golden()
        .without(|_, k| matches!(k, EventKind::Run(RunEvent::DrillEnded { .. })))
        .unknown(id, "never ended");
}

#[test]
fn an_alert_nobody_was_called_for_has_no_receiver() {
    let bare = verdict::check::alerts::AlertReaches {
        alert: "MailerDown".into(),
        drill: "mailer_stopped".into(),
        causes: Causes::default(),
        receivers: vec![],
        labels: map(&[]),
        within_s: 9.0,
    };
    let v = bare.check(&golden().history());
    assert_eq!((v.status, v.reason.as_str()), (Status::Unknown, "no receiver is declared for it"));
}

#[test]
fn an_alert_of_the_manager_is_the_one_with_its_name() {
    // Another alert in the manager does not stand for this one.
    let other = untold().facts(|_, _, f| {
        if let Fact::ManagedAlerts { alerts } = f {
            *alerts = vec![managed("Other")];
        }
    });
    undelivered(&other, Cause::NotSentToManager, "not sent to the alert manager", "never had it");
}

/// The samples of the expression, true from `from` on.
fn condition(run: Run, from: f64) -> Run {
    let mut run = run;
    let clock = run.clock;
    let points = (0..20).map(|at| (clock.wall(from + f64::from(at)), Some(0.0))).collect();
    let series = vec![Series { labels: map(&[("job", "mailer")]), points }];
    let (start_s, end_s) = (clock.wall(60.0), clock.wall(90.0));
    let name = format!("{}MailerDown", verdict::check::alerts::CONDITION_SAMPLES);
    run.saw(
        186.3,
        "metrics",
        Fact::Samples(Samples {
            name,
            expr: "probe_success == 0".into(),
            start_s,
            end_s,
            step_s: 1.0,
            series,
        }),
    );
    run
}

#[test]
fn each_stage_is_measured_against_what_it_may_take() {
    condition(golden(), 62.0)
        .passes(STAGES, "condition 1.5 s of 2.0 s, evaluation 1.0 s of 1.0 s, hold");
    // Whichever stage is late is the one that is named.
    let late = |run: Run, stage: &str| {
        let v = run.fails(STAGES, Cause::TooLate, stage);
        assert_eq!(v.stage(), Some(format!("{stage} too slow").as_str()))
    };
    let pending_longer = |from: i32, to: i32, fires: i32| {
        golden().facts(move |_, _, fact| {
            let Fact::Samples(samples) = fact else { return };
            for series in samples.series.iter_mut().filter(|series| {
                series.labels.get("alertname").is_some_and(|name| name == "MailerDown")
            }) {
                let base = samples.start_s - 15.0;
                let range = if series.labels["alertstate"] == "pending" {
                    from..to
                } else {
                    fires..fires + 14
                };
                series.points = range.map(|at| (base + f64::from(at), Some(1.0))).collect();
            }
        })
    };
    late(pending_longer(63, 71, 71).notifications(|_, n| n.received_wall_us += 3_000_000), "hold");
    late(golden().notifications(|_, n| n.received_wall_us += 3_000_000), "notify");
    late(condition(pending_longer(66, 67, 67), 65.0), "condition");
    late(condition(pending_longer(66, 67, 67), 61.0), "evaluation");
    silent().unknown(STAGES, "it was not seen to fire");
    golden().untold("MailerDown").unknown(STAGES, "was not notified");
}

#[test]
fn the_host_s_allowance_is_one_for_all_stages() {
    let stages = AlertStages {
        alert: "MailerDown".into(),
        drill: "mailer_stopped".into(),
        causes: Causes::default(),
        receivers: vec!["hook".into(), "chat".into()],
        labels: map(&[]),
        allowed: StageBudget {
            condition_s: 0.4,
            evaluation_s: 1.0,
            hold_s: 4.0,
            notify_s: 2.0,
            noise_s: 3.0,
        },
    };
    // Two of them, each beyond what it may take by less than the allowance.
    let both = |more_us: i64| {
        stages.check(
            &condition(golden(), 62.0)
                .notifications(move |_, n| n.received_wall_us += more_us)
                .history(),
        )
    };
    let within = both(2_500_000);
    assert_eq!(within.status, Status::Pass, "{}", within.reason);
    assert!(
        within.reason.contains("2.6 s beyond in all, 3.0 s allowed for what else runs on the host"),
        "{}",
        within.reason
    );
    let beyond = both(3_500_000);
    assert_eq!(
        (beyond.status, beyond.cause),
        (Status::Fail, Some(Cause::TooLate)),
        "{}",
        beyond.reason
    );
    assert!(beyond.reason.contains("3.6 s beyond in all"), "{}", beyond.reason);
    assert_eq!(beyond.stage(), Some("notify too slow"), "the one that is most beyond");
}

#[test]
fn a_stage_that_is_late_on_a_contended_host_is_not_held_against_it() {
    let mut run = golden().notifications(|_, n| n.received_wall_us += 3_000_000);
    run.saw(
        66.0,
        "host",
        Fact::Pressure(Pressure {
            cpu_some_avg10: 80.0,
            memory_some_avg10: 0.0,
            io_some_avg10: 0.0,
            ..Pressure::default()
        }),
    );
    run.unknown(STAGES, "late while the host was contended");
}
