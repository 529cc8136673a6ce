//! Targets, series, rules, dashboards.

use super::golden::{Run, golden, panel, target};
use verdict::observation::asked::Asked;
use verdict::observation::dashboards::{Dashboard, Panel};
use verdict::observation::metrics::Target;
use verdict::{Cause, EventKind, Fact, Observation};

fn is_fact(k: &EventKind, f: impl Fn(&Fact) -> bool) -> bool {
    matches!(k, EventKind::Observation(Observation { fact, .. }) if f(fact))
}

fn targets(change: impl Fn(&mut Vec<Target>)) -> Run {
    golden().facts(|_, _, f| {
        if let Fact::Targets { targets } = f {
            change(targets);
        }
    })
}

#[test]
fn a_target_that_is_down_missing_or_stale_is_named() {
    let id = "scraping.targets";
    let down = targets(|t| {
        t[1].up = false;
        t[1].last_error = "connection refused".into();
    });
    down.fails(
        id,
        Cause::TargetNotScraped,
        "worker (http://worker:80/metrics) is down: connection refused",
    );
    targets(|t| t.retain(|t| t.job != "mailer")).fails(
        id,
        Cause::TargetNotInDiscovery,
        "job mailer has 0 targets, 1 wanted",
    );
    targets(|t| t[0].age_s = Some(3.5)).fails(id, Cause::TargetStale, "last scraped 3.5 s ago");
    targets(|t| t[0].age_s = None).fails(id, Cause::TargetNotScraped, "never scraped");
    targets(|t| t.push(Target { up: false, ..target("another") })).passes(id, "all 3");
}

#[test]
fn what_is_seen_in_a_drill_says_nothing_about_the_healthy_stack() {
    let mut run = golden();
    run.saw(
        70.0,
        "metrics",
        Fact::Targets { targets: vec![Target { up: false, ..target("mailer") }] },
    );
    run.passes("scraping.targets", "all 3");
}

#[test]
fn a_server_that_stays_silent_is_a_failure_and_one_that_comes_back_is_not() {
    let unreachable =
        || Fact::Unreachable { question: Asked::Targets, error: "connection refused".into() };
    let mut run = golden();
    run.saw(30.0, "metrics", unreachable());
    for id in [
        "scraping.targets",
        "scraping.series",
        "scraping.metrics_endpoints",
        "scraping.configuration",
    ] {
        run.fails(
            id,
            Cause::ServiceUnhealthy,
            "metrics did not answer (targets): connection refused",
        );
    }
    run.saw(
        31.0,
        "metrics",
        Fact::Targets { targets: ["api", "worker", "mailer"].map(target).to_vec() },
    );
    run.passes("scraping.targets", "all 3");
    let mut never = golden().without(|_, k| is_fact(k, |f| matches!(f, Fact::Targets { .. })));
    never.unknown("scraping.targets", "never asked for");
    never.saw(22.5, "metrics", unreachable());
    never.fails("scraping.targets", Cause::ServiceUnhealthy, "did not answer");
}

#[test]
fn an_absent_series_is_named() {
    let with = |count: u64| {
        golden().facts(move |_, _, f| {
            if let Fact::SeriesCount { counts } = f {
                counts[1].count = count;
            }
        })
    };
    with(0).fails("scraping.series", Cause::SeriesAbsent, "no series matches `requests_total`");
    with(1).passes("scraping.series", "4 series for 2 selectors");
    let unasked = golden().facts(|_, _, f| {
        if let Fact::SeriesCount { counts } = f {
            counts.truncate(1);
        }
    });
    unasked.unknown("scraping.series", "never counted: requests_total");
    golden()
        .without(|_, k| is_fact(k, |f| matches!(f, Fact::SeriesCount { .. })))
        .unknown("scraping.series", "never asked for");
}

#[test]
fn samples_are_kept_as_long_as_declared() {
    let id = "scraping.retention";
    let kept = |seconds: Option<f64>, seen: &str| {
        let seen = seen.to_owned();
        golden().facts(move |_, _, f| {
            if let Fact::Retention { seconds: s, seen: t } = f {
                (*s, *t) = (seconds, seen.clone());
            }
        })
    };
    golden().passes(id, "1 server keeps samples as long as declared");
    kept(Some(1800.0), "30m").fails(
        id,
        Cause::RetentionTooShort,
        "metrics keeps samples for 30m, 30d declared",
    );
    kept(Some(7_776_000.0), "90d").passes(id, "as long as declared");
    kept(None, "8GB").unknown(id, "nobody says for how long");
    golden()
        .without(|_, k| is_fact(k, |f| matches!(f, Fact::Retention { .. })))
        .unknown(id, "nobody says for how long samples are kept: metrics");
}

#[test]
fn each_service_of_the_topology_is_instrumented_or_named() {
    let id = "scraping.instrumentation";
    golden().passes(id, "3 services have metrics of their own; not yet instrumented, by declaration: pages (next quarter); without metrics by declaration: traces (has none)");
    // Nobody named mailer, and nobody scrapes it.
    targets(|t| t.retain(|t| t.job != "mailer")).fails(
        id,
        Cause::NoMetricsEndpoint,
        "mailer (nobody scrapes it)",
    );
    let without_page = |job: &'static str| Target {
        up: false,
        last_error: "server returned HTTP status 404 Not Found".into(),
        ..target(job)
    };
    targets(|t| t[1] = without_page("worker")).fails(
        id,
        Cause::NoMetricsEndpoint,
        "worker (http://worker:80/metrics: server returned HTTP status 404 Not Found)",
    );
    // What is declared to come answers without metrics; that it answers at all is wanted.
    targets(move |t| t.push(without_page("pages"))).passes(id, "not yet instrumented");
    let refused = Target { up: false, last_error: "connection refused".into(), ..target("pages") };
    targets(move |t| t.push(refused.clone())).fails(id, Cause::TargetNotScraped, "refused");
    targets(|t| t.push(target("pages")))
        .passes(id, "instrumented by now, remove `not_instrumented`: pages");
    // The worker's job asks the service api, whose metrics are counted twice then.
    targets(|t| t[1].scrape_url = t[0].scrape_url.clone()).fails(
        id,
        Cause::TargetOfAnother,
        "worker (job worker scrapes http://api:80/metrics, which is api's)",
    );
    // An exporter of its own is no other service's.
    targets(|t| t[1].scrape_url = "http://exporter:9/metrics".into()).passes(id, "3 services");
}

#[test]
fn a_service_without_metrics_is_named() {
    let id = "scraping.metrics_endpoints";
    targets(|t| t.retain(|t| t.job != "worker")).fails(
        id,
        Cause::NoMetricsEndpoint,
        "worker (no target of job worker)",
    );
    let answer = |error: &'static str| {
        targets(move |t| {
            t[1].up = false;
            t[1].last_error = error.into();
        })
    };
    answer("server returned HTTP status 404 Not Found").fails(id, Cause::NoMetricsEndpoint, "404");
    answer("context deadline exceeded").fails(id, Cause::TargetNotScraped, "worker");
    golden()
        .without(|_, k| is_fact(k, |f| matches!(f, Fact::Targets { .. })))
        .unknown(id, "never asked");
}

#[test]
fn a_rejected_reload_is_convicted_by_name() {
    let id = "scraping.configuration";
    let rejected = golden().facts(|_, source, f| {
        if let (Fact::Reload(r), "metrics") = (f, source) {
            (r.successful, r.seen) = (false, "rules.yml: parse error".into());
        }
    });
    rejected.fails(
        id,
        Cause::ReloadRejected,
        "metrics refused its last configuration and runs on an older one: rules.yml: parse error",
    );
    golden()
        .without(|_, k| is_fact(k, |f| matches!(f, Fact::Reload(_))))
        .unknown(id, "the reload status of metrics");
}

#[test]
fn rules_that_are_missing_or_fail_are_named() {
    let id = "scraping.configuration";
    let rules = |change: fn(&mut Vec<verdict::observation::metrics::Rule>)| {
        golden().facts(move |_, _, f| {
            if let Fact::Rules { groups } = f {
                change(&mut groups[0].rules);
            }
        })
    };
    rules(|r| r.retain(|r| r.name != "SlowAnswers")).fails(
        id,
        Cause::RuleNotLoaded,
        "SlowAnswers not loaded, of 2 rules",
    );
    let failing = rules(|r| {
        r[2].health = "err".into();
        r[2].last_error = "many-to-many matching".into();
    });
    failing.fails(id, Cause::RuleFailing, "Idle of group all: many-to-many");
    rules(|r| r[0].health = "unknown".into()).unknown(id, "an evaluation of MailerDown");
    golden()
        .without(|_, k| is_fact(k, |f| matches!(f, Fact::Rules { .. })))
        .unknown(id, "the rules");
}

fn panels(change: impl Fn(&mut Panel)) -> Run {
    golden().facts(|_, _, f| {
        if let Fact::Panel(p) = f {
            change(p);
        }
    })
}

#[test]
fn a_panel_without_data_is_named_unless_it_may_be_empty() {
    let id = "dashboards.panels";
    let dead = panels(|p| {
        if p.panel == "Requests" {
            p.values = 0;
        }
    });
    dead.fails(
        id,
        Cause::PanelWithoutData,
        "Overview / Requests: `rate(requests_total[15s])` returns no data",
    );
    panels(|p| p.error = (p.panel == "Errors").then(|| "parse error".into())).fails(
        id,
        Cause::PanelQueryFails,
        "Errors: `errors_total` fails: parse error",
    );
}

#[test]
fn a_dashboard_that_is_missing_or_was_not_looked_at_does_not_pass() {
    let id = "dashboards.panels";
    let boards = |dashboards: Vec<Dashboard>| {
        golden().facts(move |_, _, f| {
            if matches!(f, Fact::Dashboards { .. }) {
                *f = Fact::Dashboards { dashboards: dashboards.clone() }
            }
        })
    };
    boards(vec![]).fails(id, Cause::DashboardMissing, "dashboard overview does not exist");
    boards(vec![Dashboard { uid: "overview".into(), title: "Overview".into(), panels: 1 }]).fails(
        id,
        Cause::DashboardMissing,
        "has 1 panel, 2 wanted",
    );
    golden()
        .without(|_, k| is_fact(k, |f| matches!(f, Fact::Panel(_))))
        .unknown(id, "never queried while the stack was healthy: 2 of 2 panels");
    golden()
        .without(|_, k| is_fact(k, |f| matches!(f, Fact::Panel(_) | Fact::Dashboards { .. })))
        .unknown(id, "never asked");
    let mut again = golden();
    again.saw(30.0, "boards", Fact::Panel(Panel { values: 0, ..panel("Up", "up") }));
    again.fails(id, Cause::PanelWithoutData, "Up");
}

#[test]
fn a_panel_that_is_not_asked_is_told_and_proves_nothing() {
    let id = "dashboards.panels";
    let skip = |title: &'static str| {
        panels(move |p| {
            if p.panel == title || title.is_empty() {
                (p.values, p.skipped) =
                    (0, Some("queries of a data source of type jaeger are not asked".into()));
            }
        })
    };
    skip("Requests").passes(
        id,
        "1 query with data; empty, as they may be: Errors; not asked: Overview / Requests (queries of a data source of type jaeger",
    );
    // A dashboard of which nothing was asked is not known to show anything.
    skip("").unknown(id, "any panel of dashboard Overview; not asked: ");
    // What fails beside it fails.
    let mut beside = skip("Requests");
    beside.saw(30.0, "boards", Fact::Panel(Panel { values: 0, ..panel("Up", "up") }));
    beside.fails(id, Cause::PanelWithoutData, "Up");
}

#[test]
fn a_data_source_that_does_not_answer_or_exist_fails() {
    let id = "dashboards.datasources";
    let broken = golden().facts(|_, _, f| {
        if let Fact::Datasource(d) = f {
            (d.ok, d.seen) = (false, "no such host".into());
        }
    });
    broken.fails(id, Cause::DatasourceUnhealthy, "metrics: no such host");
    let other = golden().facts(|_, _, f| {
        if let Fact::Datasource(d) = f {
            d.name = "other".into();
        }
    });
    other.fails(id, Cause::DatasourceUnhealthy, "metrics does not exist; there are other");
    golden()
        .without(|_, k| is_fact(k, |f| matches!(f, Fact::Datasource(_))))
        .unknown(id, "never asked");
}
