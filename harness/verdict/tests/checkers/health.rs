//! Services, endpoints, faults, load.

use super::golden::golden;
use verdict::history::fault::{FaultEvent, ONLY_FAULT};
use verdict::history::load::LoadEvent;
use verdict::history::run::RunEvent;
use verdict::history::stack::StackEvent;
use verdict::{Cause, EventKind, Fact};

#[test]
fn a_service_that_is_not_ready_is_named_with_its_log() {
    let mut run = golden().without(
        |_, k| matches!(k, EventKind::Stack(StackEvent::Ready { service, .. }) if service == "api"),
    );
    run.push(
        14.0,
        EventKind::Stack(StackEvent::NotReady {
            service: "api".into(),
            seen: "unhealthy".into(),
            log_tail: vec!["no database".into()],
        }),
    );
    let v = run.fails(
        "health.services",
        Cause::ServiceUnhealthy,
        "api did not become ready: unhealthy",
    );
    assert!(v.reason.contains("no database"));
}

#[test]
fn a_service_that_died_restarted_or_was_killed_for_memory_fails() {
    let end = |running, restarts, oom_killed| {
        let mut run = golden().without(|_, k| matches!(k, EventKind::Stack(StackEvent::State { service, .. }) if service == "worker"));
        run.push(
            190.0,
            EventKind::Stack(StackEvent::State {
                service: "worker".into(),
                running,
                restarts,
                oom_killed,
            }),
        );
        run
    };
    end(true, 0, false).passes("health.services", "all 5 ready");
    end(false, 0, false).fails("health.services", Cause::ServiceUnhealthy, "did not run any more");
    end(true, 2, false).fails("health.services", Cause::ServiceUnhealthy, "restarted 2 times");
    end(true, 0, true).fails("health.services", Cause::ServiceUnhealthy, "killed for memory");
}

#[test]
fn a_restart_counts_from_readiness_on() {
    let restarted = |while_starting, at_the_end| {
        let mut run = golden().without(
            |_, k| matches!(k, EventKind::Stack(StackEvent::Ready { service, .. } | StackEvent::State { service, .. }) if service == "worker"),
        );
        run.push(
            10.0,
            EventKind::Stack(StackEvent::Ready {
                service: "worker".into(),
                after_s: 2.0,
                condition: "healthcheck".into(),
                restarts: while_starting,
            }),
        );
        run.push(
            190.0,
            EventKind::Stack(StackEvent::State {
                service: "worker".into(),
                running: true,
                restarts: at_the_end,
                oom_killed: false,
            }),
        );
        run
    };
    restarted(2, 2).passes("health.services", "restarted while starting: worker 2 times");
    restarted(2, 3).fails("health.services", Cause::ServiceUnhealthy, "restarted 1 time by itself");
    // A container that was made anew counts from 0 again.
    restarted(2, 0).passes("health.services", "all 5 ready");
}

#[test]
fn a_service_that_does_its_work_and_ends_is_ready() {
    let mut run = golden().without(
        |_, k| matches!(k, EventKind::Stack(StackEvent::Ready { service, .. } | StackEvent::State { service, .. }) if service == "worker"),
    );
    run.push(
        10.0,
        EventKind::Stack(StackEvent::Ready {
            service: "worker".into(),
            after_s: 2.0,
            condition: "completed".into(),
            restarts: 0,
        }),
    );
    run.push(
        190.0,
        EventKind::Stack(StackEvent::State {
            service: "worker".into(),
            running: false,
            restarts: 0,
            oom_killed: false,
        }),
    );
    run.passes("health.services", "all 5 ready");
}

#[test]
fn a_service_of_which_nothing_is_known_is_unknown() {
    golden()
        .without(|_, k| matches!(k, EventKind::Stack(StackEvent::State { service, .. }) if service == "api"))
        .unknown("health.services", "state of api at the end");
    golden()
        .without(|_, k| matches!(k, EventKind::Stack(StackEvent::Ready { service, .. }) if service == "api"))
        .unknown("health.services", "nothing says that api became ready");
}

#[test]
fn the_last_answer_before_the_first_drill_counts() {
    let health = |ok: bool, endpoint: &str| {
        Fact::Health(verdict::observation::health::HealthAnswer {
            service: "api".into(),
            endpoint: endpoint.into(),
            ok,
            seen: "503 degraded".into(),
        })
    };
    let mut run = golden();
    run.saw(20.5, "api", health(false, "http://api:80/health")).saw(
        70.0,
        "api",
        health(false, "tcp://mailer:25"),
    );
    run.passes("health.endpoints", "all 2");
    run.saw(30.0, "api", health(false, "http://api:80/health"));
    run.fails("health.endpoints", Cause::ServiceUnhealthy, "http://api:80/health: 503 degraded");
    golden()
        .without(|_, k| matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::Health(_))))
        .unknown("health.endpoints", "never asked");
}

#[test]
fn a_fault_that_did_not_bite_or_leave_makes_its_drill_unknown() {
    let id = "drill.mailer_stopped.fault";
    let mut run =
        golden().without(|t, k| t < 90.0 && matches!(k, EventKind::Fault(FaultEvent::Bit { .. })));
    run.unknown(id, "never seen to bite");
    run.fault(
        61.0,
        FaultEvent::DidNotBite {
            drill: "mailer_stopped".into(),
            fault: ONLY_FAULT.into(),
            seen: "still answering".into(),
        },
    );
    run.unknown(id, "still answering");
    for alert in ["fires", "reaches", "resolves"] {
        run.unknown(&format!("alert.MailerDown.{alert}"), "still answering");
    }
    run.unknown("drill.mailer_stopped.quiet_elsewhere", "still answering");
    let mut run =
        golden().without(|t, k| t < 90.0 && matches!(k, EventKind::Fault(FaultEvent::Left { .. })));
    run.unknown(id, "never seen to have left");
    run.fault(
        81.0,
        FaultEvent::DidNotLeave {
            drill: "mailer_stopped".into(),
            fault: ONLY_FAULT.into(),
            seen: "still gone".into(),
        },
    );
    run.unknown(id, "still gone");
    run.unknown("alert.MailerDown.resolves", "still gone");
    golden()
        .without(|_, k| matches!(k, EventKind::Run(RunEvent::DrillBegan { drill, .. }) if drill == "mailer_stopped"))
        .unknown(id, "never began");
}

#[test]
fn a_load_that_fell_behind_is_unknown_and_so_are_the_drills_that_depend_on_it() {
    let with = |missed: u64, slip: f64, invalid: Option<&str>| {
        let mut run = golden();
        for (_, k) in &mut run.events {
            if let EventKind::Load(LoadEvent::Ended { summary, .. }) = k {
                (summary.missed_starts, summary.slip_p99_ms, summary.invalid) =
                    (missed, slip, invalid.map(Into::into));
            }
        }
        run
    };
    let id = "load.background.schedule";
    with(3, 90.0, None).passes(id, "3 starts missed");
    with(30, 90.0, None).unknown(id, "30 starts were missed");
    with(0, 250.0, None).unknown(id, "slipped by 250 ms");
    let run = with(0, 0.0, Some("too many in flight"));
    run.unknown(id, "too many in flight");
    run.unknown("alert.SlowAnswers.fires", "too many in flight");
    run.passes("alert.MailerDown.fires", "firing");
    golden()
        .without(|_, k| matches!(k, EventKind::Load(LoadEvent::Ended { .. })))
        .unknown(id, "never ended");
}

#[test]
fn a_fault_that_could_not_be_injected_or_did_not_last_proves_nothing() {
    let not_there = golden().without(
        |t, k| matches!(k, EventKind::Fault(f) if f.drill() == "mailer_stopped" && t < 90.0),
    );
    let mut unprepared = not_there.clone();
    let (drill, why) = ("mailer_stopped".to_owned(), "its container does not run".to_owned());
    let not_injected = || FaultEvent::NotInjected {
        drill: drill.clone(),
        fault: ONLY_FAULT.into(),
        why: why.clone(),
    };
    unprepared.fault(60.2, not_injected());
    // Injected, so that it may have done something, and yet it failed.
    let mut failed = golden();
    failed.fault(60.7, not_injected());
    for run in [unprepared, failed] {
        run.unknown(
            "drill.mailer_stopped.fault",
            "could not be injected: its container does not run",
        );
        run.unknown("alert.MailerDown.fires", "could not be injected: its container does not run");
        run.passes("alert.SlowAnswers.fires", "firing");
    }
    let mut ended = golden();
    ended.fault(
        79.0,
        FaultEvent::DidNotBite {
            drill: drill.clone(),
            fault: ONLY_FAULT.into(),
            seen: "it bit, and before it was healed it did no more".into(),
        },
    );
    for id in [
        "drill.mailer_stopped.fault",
        "alert.MailerDown.fires",
        "alert.MailerDown.reaches",
        "alert.MailerDown.resolves",
    ] {
        ended.unknown(id, "before it was healed it did no more");
    }
}

#[test]
fn a_repetition_forgives_no_attempt_that_was_wrong() {
    let mut run = golden();
    run.run(57.0, RunEvent::DrillBegan { drill: "mailer_stopped".into(), wave: 0 });
    run.run(59.0, RunEvent::DrillEnded { drill: "mailer_stopped".into() });
    run.unknown("drill.mailer_stopped.fault", "never injected");
    run.unknown("alert.MailerDown.fires", "was never injected");
}
