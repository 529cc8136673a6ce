//! A service that is left out is expected absent, by name; that something else answers for it is
//! told.

use super::golden::{Run, golden, map, target};
use verdict::check::Expectation;
use verdict::check::alerts::{AlertQuiet, NothingElseFires};
use verdict::check::dashboards::DatasourcesHealthy;
use verdict::check::health::{HealthEndpoints, ServicesReady};
use verdict::check::scraping::{ExpectedTarget, MetricsEndpoints, SeriesPresent, TargetsUp};
use verdict::history::stack::StackEvent;
use verdict::left_out::{Absent, AbsentService, without};
use verdict::observation::dashboards::Datasource;
use verdict::observation::health::HealthAnswer;
use verdict::observation::metrics::{Samples, Series, Target};
use verdict::{Cause, EventKind, Fact, Status, Verdict};

fn boards() -> Vec<AbsentService> {
    vec![AbsentService {
        service: "boards".into(),
        jobs: vec!["boards".into()],
        hosts: vec!["boards".into()],
    }]
}

fn absent(name: &str) -> Vec<Absent> {
    vec![Absent::new("boards", name)]
}

/// The golden run with these further targets.
fn with_targets(more: &[Target]) -> Run {
    golden().facts(|_, _, f| {
        if let Fact::Targets { targets } = f {
            targets.extend(more.iter().cloned());
        }
    })
}

fn down(job: &str) -> Target {
    Target { up: false, last_error: "no such host".into(), ..target(job) }
}

#[track_caller]
fn is(
    run: &Run,
    expectation: impl Into<Expectation>,
    status: Status,
    cause: Option<Cause>,
    says: &str,
) -> Verdict {
    let v = expectation.into().judge(&run.history());
    assert_eq!((v.status, v.cause), (status, cause), "{v:#?}");
    assert!(v.reason.contains(says), "{says:?} is not in {:?}", v.reason);
    assert!(v.status != Status::Fail || v.hint.is_some(), "a failure without a hint: {v:#?}");
    v
}

fn targets_up() -> TargetsUp {
    let targets = ["api", "worker", "mailer"]
        .map(|job| ExpectedTarget { job: job.into(), count: 1 })
        .to_vec();
    TargetsUp { targets, absent: absent("job boards"), left_out: boards() }
}

#[test]
fn the_target_of_a_service_that_is_left_out_may_be_down_or_missing_and_no_other_may() {
    for run in [golden(), with_targets(&[down("boards")])] {
        let v = is(
            &run,
            targets_up(),
            Status::Pass,
            None,
            "all 3 up and fresh; left out: job boards (of boards)",
        );
        assert_eq!(v.evidence[0].count, 3);
    }
    let other = golden().facts(|_, _, f| {
        if let Fact::Targets { targets } = f {
            (targets[1].up, targets[1].last_error) = (false, "refused".into());
            targets.push(down("boards"));
        }
    });
    is(
        &other,
        targets_up(),
        Status::Fail,
        Some(Cause::TargetNotScraped),
        "worker (http://worker:80/metrics) is down: refused",
    );
    // Where nothing is left out, it must be there.
    let whole = TargetsUp {
        targets: vec![ExpectedTarget { job: "boards".into(), count: 1 }],
        absent: vec![],
        left_out: vec![],
    };
    is(
        &with_targets(&[down("boards")]),
        whole.clone(),
        Status::Fail,
        Some(Cause::TargetNotScraped),
        "boards",
    );
    is(&with_targets(&[target("boards")]), whole, Status::Pass, None, "all 1");
}

#[test]
fn whoever_answers_for_a_service_that_is_left_out_is_convicted() {
    let says = "boards is left out, and something else answers for it: boards (http://boards:80/metrics) is up";
    let metrics = || MetricsEndpoints {
        services: vec![("api".into(), "api".into())],
        without: vec![],
        absent: absent("job boards"),
        left_out: boards(),
    };
    let usurped = with_targets(&[target("boards")]);
    is(&usurped, targets_up(), Status::Fail, Some(Cause::LeftOutAnswers), says);
    is(&usurped, metrics(), Status::Fail, Some(Cause::LeftOutAnswers), says);
    // Its job at another's address, and its address in another job.
    let elsewhere = Target { scrape_url: "http://api:80/metrics".into(), ..target("boards") };
    is(
        &with_targets(&[elsewhere]),
        targets_up(),
        Status::Fail,
        Some(Cause::LeftOutAnswers),
        "(http://api:80/metrics) is up",
    );
    let shared = Target { scrape_url: "http://boards:3000/metrics".into(), ..target("api") };
    is(
        &with_targets(&[shared]),
        targets_up(),
        Status::Fail,
        Some(Cause::LeftOutAnswers),
        "api (http://boards:3000/metrics) is up",
    );
    is(
        &with_targets(&[down("boards")]),
        metrics(),
        Status::Pass,
        None,
        "all 1 are scraped; left out: job boards (of boards)",
    );
}

#[test]
fn a_job_that_others_share_is_judged_without_what_is_left_out() {
    let shared =
        [AbsentService { service: "boards".into(), jobs: vec![], hosts: vec!["boards".into()] }];
    let gone = Target {
        scrape_url: "http://boards:80/metrics".into(),
        instance: "boards:80".into(),
        ..down("api")
    };
    let expected = |count| TargetsUp {
        targets: vec![ExpectedTarget { job: "api".into(), count }],
        absent: absent("job api"),
        left_out: shared.to_vec(),
    };
    is(&with_targets(std::slice::from_ref(&gone)), expected(1), Status::Pass, None, "all 1 up");
    is(
        &with_targets(&[gone]),
        expected(2),
        Status::Fail,
        Some(Cause::TargetNotInDiscovery),
        "job api has 1 target, 2 wanted",
    );
}

#[test]
fn a_service_that_is_left_out_must_be_said_to_be_and_must_not_run() {
    let services = || ServicesReady {
        services: vec!["api".into(), "worker".into()],
        left_out: absent("boards"),
    };
    is(&golden(), services(), Status::Unknown, None, "nothing says that boards was left out");
    let mut run = golden();
    run.push(
        10.0,
        EventKind::Stack(StackEvent::LeftOut { service: "boards".into(), why: "no image".into() }),
    );
    is(&run, services(), Status::Pass, None, "; left out: boards");
    let mut ready = golden();
    ready.push(
        10.0,
        EventKind::Stack(StackEvent::Ready {
            service: "boards".into(),
            after_s: 1.0,
            condition: "running".into(),
            restarts: 0,
        }),
    );
    ready.push(
        190.0,
        EventKind::Stack(StackEvent::State {
            service: "boards".into(),
            running: true,
            restarts: 0,
            oom_killed: false,
        }),
    );
    is(
        &ready,
        services(),
        Status::Fail,
        Some(Cause::LeftOutAnswers),
        "boards is left out, and runs",
    );
}

#[test]
fn an_endpoint_or_a_data_source_of_what_is_left_out_must_not_answer() {
    let (endpoint, api) = ("http://boards:3000/health", "http://api:80/health");
    let endpoints = || HealthEndpoints { endpoints: vec![api.into()], left_out: absent(endpoint) };
    is(
        &golden(),
        endpoints(),
        Status::Pass,
        None,
        "all 1 answered as declared; left out: http://boards:3000/health (of boards)",
    );
    let mut run = golden();
    let answer = |ok| HealthAnswer {
        service: "boards".into(),
        endpoint: endpoint.into(),
        ok,
        seen: String::new(),
    };
    run.saw(21.0, "boards", Fact::Health(answer(false)));
    is(&run, endpoints(), Status::Pass, None, "all 1");
    run.saw(21.5, "boards", Fact::Health(answer(true)));
    is(
        &run,
        endpoints(),
        Status::Fail,
        Some(Cause::LeftOutAnswers),
        "something else answers for it at http://boards:3000/health",
    );

    let sources =
        || DatasourcesHealthy { names: vec!["metrics".into()], left_out: absent("Boards") };
    let with = |ok| {
        let mut run = golden();
        let (name, uid, kind) = ("Boards".into(), "b".into(), "boards".into());
        run.saw(
            21.0,
            "dashboards",
            Fact::Datasource(Datasource { name, uid, kind, ok, seen: "no such host".into() }),
        );
        run
    };
    is(&with(false), sources(), Status::Pass, None, "all 1 answer; left out: Boards (of boards)");
    is(
        &with(true),
        sources(),
        Status::Fail,
        Some(Cause::LeftOutAnswers),
        "something else answers for data source Boards",
    );
}

#[test]
fn a_selector_of_what_is_left_out_is_named_and_not_demanded() {
    let series = SeriesPresent {
        selectors: vec!["up".into()],
        absent: absent("boards_total{job=\"boards\"}"),
    };
    let v = is(
        &golden(),
        series,
        Status::Pass,
        None,
        "; left out: boards_total{job=\"boards\"} (of boards)",
    );
    assert_eq!(v.evidence[0].count, 1);
    let demanded = SeriesPresent {
        selectors: vec!["up".into(), "boards_total{job=\"boards\"}".into()],
        absent: vec![],
    };
    is(&golden(), demanded, Status::Unknown, None, "never counted");
}

/// The golden run in which an alert with this job fires all the time.
fn firing(alert: &str, job: &str) -> Run {
    let mut run = golden();
    let clock = run.clock;
    let labels = map(&[
        ("__name__", "ALERTS"),
        ("alertname", alert),
        ("alertstate", "firing"),
        ("job", job),
    ]);
    let series = vec![Series {
        labels,
        points: (18..=186).map(|t| (clock.wall(f64::from(t)), Some(1.0))).collect(),
    }];
    let (start_s, end_s) = (clock.wall(18.0), clock.wall(186.0));
    run.saw(
        186.0,
        "metrics",
        Fact::Samples(Samples {
            name: "alerts".into(),
            expr: "ALERTS".into(),
            start_s,
            end_s,
            step_s: 1.0,
            series,
        }),
    );
    run
}

#[test]
fn an_alert_that_is_active_because_of_what_is_left_out_says_nothing_and_any_other_does() {
    let quiet = || {
        Expectation::from(AlertQuiet {
            alert: "Idle".into(),
            allowed_in: vec![],
            about_host: false,
        })
    };
    let elsewhere = || {
        Expectation::from(NothingElseFires {
            drill: "mailer_stopped".into(),
            allowed: vec!["MailerDown".into()],
        })
    };
    for (expectation, bad) in [(quiet(), Status::Fail), (elsewhere(), Status::Unknown)] {
        let about = firing("Idle", "boards").history();
        assert_eq!(expectation.judge(&about).status, bad);
        assert_eq!(expectation.judge(&without(&about, &boards())).status, Status::Pass);
        let other = firing("Idle", "worker").history();
        assert_eq!(expectation.judge(&without(&other, &boards())).status, bad);
    }
    // What is judged otherwise stays: targets, and whatever names nobody that is left out.
    let history = golden().history();
    assert_eq!(*without(&history, &boards()), history);
}
