//! Services that may be missing: what is planned and expected without them, what `--profile` and
//! `--dry-run` say, and what is refused. Nothing here needs Docker: that an image can't be had is
//! stated, as it is once images were tried.

#![allow(clippy::unwrap_used)]

use firedrill::ops::options::Options;
use firedrill::ops::settings::Common;
use firedrill::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use support::broken::Broken;
use verdict::Expectation;
use verdict::history::run::DeviationKind;

const COMPOSE: &str = "docker-compose.yml";
const OWN: &str = "firedrill.yaml";
const NO_IMAGE: &str = "image boards:1 can't be had: pulling it failed: no such host";

/// The mini stack, whose second exporter may be missing.
fn mini() -> Broken {
    let stack = Broken::copy_of("mini");
    stack.edit(
        OWN,
        "\nhealth:",
        "\noptional:\n  - {service: spare, why: it is a spare}\n\nhealth:",
    );
    stack
}

fn options(stack: &Broken, unavailable: &[&str]) -> Options {
    let common = Common::of_tests(stack.report());
    let unavailable = unavailable.iter().map(|s| ((*s).to_owned(), NO_IMAGE.to_owned())).collect();
    Options { unavailable, ..Options::for_tests(&stack.folder().to_string_lossy(), common) }
}

fn plan(stack: &Broken, unavailable: &[&str]) -> Plan {
    options(stack, unavailable).plan().unwrap_or_else(|f| panic!("{}", f.to_string()))
}

fn ids(plan: &Plan) -> BTreeSet<String> {
    plan.expectations.iter().map(|p| p.expectation.checker().id()).collect()
}

fn skipped(plan: &Plan) -> BTreeMap<String, String> {
    plan.left_out
        .iter()
        .flat_map(|l| l.verdicts.iter().map(|id| (id.clone(), l.reason.clone())))
        .collect()
}

fn least(plan: &Plan, id: &str) -> Option<u64> {
    plan.required.iter().find(|r| r.id == id).map(verdict::check::roll_call::Required::least)
}

#[test]
fn an_optional_service_that_is_there_changes_nothing() {
    let (with, without) = (mini(), Broken::copy_of("mini"));
    let (with, without) = (plan(&with, &[]), plan(&without, &[]));
    assert_eq!(ids(&with), ids(&without));
    assert_eq!((&with.required, &with.absent), (&without.required, &vec![]));
    assert!(skipped(&with).is_empty(), "{:?}", with.left_out);
}

#[test]
fn what_only_a_left_out_service_would_answer_is_skipped_and_the_rest_is_expected_without_it_by_name()
 {
    let stack = mini();
    let (whole, plan) = (plan(&stack, &[]), plan(&stack, &["spare"]));
    let gone: BTreeSet<String> = ids(&whole).difference(&ids(&plan)).cloned().collect();
    let wanted = [
        "alert.SpareDown.quiet",
        "alert.SpareDown.fires",
        "alert.SpareDown.reaches",
        "alert.SpareDown.resolves",
        "alert.SpareDown.stages",
        "drill.spare_paused.fault",
        "drill.spare_paused.quiet_elsewhere",
    ];
    assert_eq!(gone, wanted.map(str::to_owned).into());
    let skipped = skipped(&plan);
    assert_eq!(skipped.keys().cloned().collect::<BTreeSet<_>>(), gone);
    assert!(
        skipped
            .values()
            .all(|why| why.contains("service spare does not run") && why.contains(NO_IMAGE)),
        "{skipped:?}"
    );
    assert!(plan.drills.iter().all(|d| d.scenario.name != "spare_paused"));
    // The roll-call asks for no more, and for the rest by one less each.
    for id in &gone {
        assert_eq!(least(&plan, id), None, "{id}");
    }
    for id in
        ["health.services", "health.endpoints", "scraping.targets", "scraping.metrics_endpoints"]
    {
        assert_eq!((least(&whole, id), least(&plan, id)), (Some(4), Some(3)), "{id}");
    }
    assert_eq!(
        (least(&whole, "scraping.configuration"), least(&plan, "scraping.configuration")),
        (Some(2), Some(2))
    );
    assert_eq!(
        (least(&whole, "scraping.series"), least(&plan, "scraping.series")),
        (Some(6), Some(5))
    );
    for p in &plan.expectations {
        let absent = p.expectation.absent();
        match &p.expectation {
            Expectation::TargetsUp(c) => {
                assert_eq!((c.targets.len(), absent[0].name.as_str()), (3, "job spare"));
                assert_eq!(c.left_out[0].jobs, ["spare"]);
            }
            Expectation::HealthEndpoints(c) => {
                assert_eq!(
                    (c.endpoints.len(), absent[0].name.as_str()),
                    (3, "http://spare:9001/health")
                );
            }
            Expectation::ServicesReady(c) => {
                assert!(!c.services.contains(&"spare".to_owned()) && absent[0].name == "spare")
            }
            Expectation::SeriesPresent(_) => assert_eq!(absent[0].name, "up{job=\"spare\"}"),
            _ => {}
        }
    }
    assert_eq!(plan.absent.iter().map(|a| a.service.as_str()).collect::<Vec<_>>(), ["spare"]);
    // Said once, as a deviation.
    let told = options(&stack, &["spare"])
        .read()
        .unwrap_or_else(|f| panic!("{}", f.to_string()))
        .deviations;
    let told: Vec<_> = told.iter().filter(|d| d.kind == DeviationKind::Absent).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].what.as_str(), told[0].why.contains(NO_IMAGE)),
        ("service spare does not run", true)
    );
    assert!(told[0].why.contains("it is a spare"), "{told:?}");
}

#[test]
fn an_exporter_that_answers_for_what_is_left_out_is_still_expected() {
    let stack = mini();
    stack.edit(OWN, "{job: spare, service: spare}", "{job: spare, service: spare, from: exporter}");
    let plan = plan(&stack, &["spare"]);
    let targets = plan.expectations.iter().find_map(|p| match &p.expectation {
        Expectation::TargetsUp(c) => Some(c.clone()),
        _ => None,
    });
    let targets = targets.unwrap();
    assert_eq!((targets.targets.len(), targets.absent.len()), (4, 0));
    assert!(targets.left_out[0].jobs.is_empty(), "{targets:?}");
    assert_eq!(least(&plan, "scraping.targets"), Some(4));
}

#[test]
fn what_the_owner_says_is_skipped_with_a_service_is_and_must_be_asked_for_by_somebody() {
    let stack = mini();
    let stated = |ids: &str| format!("why: it is a spare, verdicts: [{ids}]}}");
    stack.edit(OWN, "why: it is a spare}", &stated("alert.ScriptedValueHigh.quiet"));
    assert!(ids(&plan(&stack, &[])).contains("alert.ScriptedValueHigh.quiet"));
    let without = plan(&stack, &["spare"]);
    assert!(skipped(&without).contains_key("alert.ScriptedValueHigh.quiet"));
    assert_eq!(least(&without, "alert.ScriptedValueHigh.quiet"), None);
    stack.edit(OWN, "alert.ScriptedValueHigh.quiet", "alert.ScriptedValueHigh.quite");
    let refused = options(&stack, &[]).plan().expect_err("nobody asks for it").to_string();
    assert!(
        refused.contains("alert.ScriptedValueHigh.quite") && refused.contains("did you mean"),
        "{refused}"
    );
}

#[test]
fn dashboards_that_nobody_serves_are_skipped_by_their_ids() {
    let stack = mini();
    stack.edit(
        OWN,
        "roles:\n",
        "roles:\n  dashboards: {kind: grafana, service: spare, port: 9001}\n",
    );
    stack.edit(
        OWN,
        "\nhealth:",
        "\ndashboards: [{uid: a, panels: 1}]\ndatasources: [A, B]\n\nhealth:",
    );
    let (whole, without) = (ids(&plan(&stack, &[])), plan(&stack, &["spare"]));
    for id in ["dashboards.panels", "dashboards.datasources"] {
        assert!(whole.contains(id) && !ids(&without).contains(id), "{id}");
        assert!(skipped(&without)[id].contains(NO_IMAGE), "{:?}", without.left_out);
    }
}

#[test]
fn a_data_source_of_what_is_left_out_is_expected_not_to_answer() {
    let stack = mini();
    stack.edit(
        OWN,
        "roles:\n",
        "roles:\n  dashboards: {kind: grafana, service: exporter, port: 9000}\n",
    );
    stack.edit(
        OWN,
        "\nhealth:",
        "\ndashboards: [{uid: a, panels: 1}]\ndatasources: [A, B]\n\nhealth:",
    );
    stack.edit(OWN, "why: it is a spare}", "why: it is a spare, datasources: [B]}");
    let plan = plan(&stack, &["spare"]);
    let sources = plan.expectations.iter().find_map(|p| match &p.expectation {
        Expectation::DatasourcesHealthy(c) => Some((c.names.clone(), c.left_out.clone())),
        _ => None,
    });
    assert_eq!(
        sources.unwrap(),
        (vec!["A".to_owned()], vec![verdict::left_out::Absent::new("spare", "B")])
    );
    stack.edit(OWN, "datasources: [B]}", "datasources: [C]}");
    let refused =
        options(&stack, &[]).plan().expect_err("there is no such data source").to_string();
    assert!(refused.contains("datasources: C is not declared"), "{refused}");
}

#[test]
fn the_e_mail_stack_without_its_dashboards_server_expects_it_absent_and_judges_the_files() {
    let stack = Broken::copy_of("email");
    let told = |unavailable: &[&str]| {
        let read =
            options(&stack, unavailable).read().unwrap_or_else(|f| panic!("{}", f.to_string()));
        read.deviations
            .iter()
            .filter(|d| {
                d.what.starts_with("dashboards are judged from their files: Grafana does not run")
            })
            .count()
    };
    assert_eq!((told(&[]), told(&["grafana"])), (0, 1));
    let (whole, plan) = (plan(&stack, &[]), plan(&stack, &["grafana"]));
    assert_eq!(ids(&whole), ids(&plan));
    assert!(skipped(&plan).is_empty(), "{:?}", plan.left_out);
    assert!(
        ["dashboards.panels", "dashboards.datasources"]
            .iter()
            .all(|id| least(&plan, id) == least(&whole, id))
    );
    for (id, whole_least) in [
        ("health.services", 25),
        ("health.endpoints", 23),
        ("scraping.targets", 19),
        ("scraping.metrics_endpoints", 19),
    ] {
        assert_eq!(
            (least(&whole, id), least(&plan, id)),
            (Some(whole_least), Some(whole_least - 1)),
            "{id}"
        );
    }
    assert_eq!(
        plan.absent
            .iter()
            .filter(|a| a.service == "grafana")
            .flat_map(|a| a.jobs.clone())
            .collect::<Vec<_>>(),
        ["grafana"]
    );
}

#[test]
fn lines_that_nobody_stores_are_skipped_and_have_no_ledger() {
    let stack = Broken::copy_of("email");
    let (whole, without) = (plan(&stack, &[]), plan(&stack, &["elasticsearch"]));
    let of_logs = |plan: &Plan| {
        ids(plan).into_iter().filter(|id| id.starts_with("logs.")).collect::<BTreeSet<_>>()
    };
    assert!(of_logs(&whole).len() >= 8 && of_logs(&without).is_empty());
    let skipped = skipped(&without);
    assert!(
        of_logs(&whole).iter().all(|id| skipped[id].contains("service elasticsearch does not run")),
        "{skipped:?}"
    );
    assert!(without.required.iter().all(|r| !r.id.starts_with("logs.")), "{:?}", without.required);
    let observed = |unavailable: &[&str]| {
        options(&stack, unavailable)
            .read()
            .unwrap_or_else(|f| panic!("{}", f.to_string()))
            .subject
            .observed()
    };
    let (whole, without) = (observed(&[]), observed(&["elasticsearch"]));
    assert!(whole.logs.is_some() && without.logs.is_none() && without.traces.is_some());
}

#[test]
fn a_dry_run_tries_no_image_and_says_what_may_be_left_out() {
    let stack = mini();
    let ended = stack.run(&["verify", "STACK", "--dry-run"]);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
    assert!(
        ended
            .stdout
            .contains("optional  spare: left out if its image can't be had: it is a spare\n"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("expect  alert.SpareDown.fires"), "{}", ended.stdout);
}

#[test]
fn a_profile_is_asked_for_by_name() {
    let stack = Broken::copy_of("mini");
    stack.edit(
        COMPOSE,
        "\nvolumes:",
        "\n  extra:\n    image: firedrill/apps\n    profiles: [more]\n\nvolumes:",
    );
    stack.edit(
        OWN,
        "\nhealth:",
        "\noptional:\n  - {service: extra, profile: more, why: it is more}\n\nhealth:",
    );
    let said = |arguments: &[&str]| {
        let ended = stack.run(arguments);
        assert_eq!(ended.exit, 0, "{}", ended.stderr);
        ended.stdout
    };
    let off = said(&["verify", "STACK", "--dry-run"]);
    assert!(
        off.contains("optional  extra: left out, as --profile more is not asked for: it is more\n"),
        "{off}"
    );
    let on = said(&["verify", "STACK", "--dry-run", "--profile", "more"]);
    assert!(
        on.contains("optional  extra: asked for by profile more, so its image must be had\n"),
        "{on}"
    );
    assert!(
        on.contains("health.services: 5 services are ready")
            && off.contains("health.services: 4 services are ready"),
        "{on}"
    );
    said(&["lint", "STACK", "--files-only", "--profile", "more"]);
    for command in ["verify", "alerts", "selftest", "up", "lint"] {
        stack
            .run(&[command, "STACK", "--profile", "mor"])
            .is_one_message(64, &["profile mor", "did you mean more?"]);
    }
    assert!(stack.state().is_empty(), "something was begun: {:?}", stack.state());
}

#[test]
fn a_drill_that_can_not_be_run_is_refused_with_the_reason() {
    let stack = mini();
    let options = options(&stack, &["spare"]);
    let plan = options.plan().unwrap_or_else(|f| panic!("{}", f.to_string()));
    assert!(
        plan.left_out.iter().any(|l| l.verdicts.contains(&"drill.spare_paused.fault".to_owned())
            && l.reason.contains(NO_IMAGE))
    );
    let alerts =
        firedrill::ops::alerts::plan(&options).unwrap_or_else(|f| panic!("{}", f.to_string()));
    // Of all alerts that are declared each must be proved, but for the one about what does not run.
    assert!(alerts.required.iter().any(|r| r.id == "alert.ExporterDown.fires"));
    assert!(alerts.required.iter().all(|r| !r.id.contains("SpareDown")), "{:?}", alerts.required);
}
