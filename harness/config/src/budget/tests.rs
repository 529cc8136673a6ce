//! Budgets of the fixture, stage by stage.

use super::rule::rounded_up;
use super::*;
use crate::timescale::{Scale, table_a::table_a};

fn at_20() -> MonitoringConfig {
    Scale::new(20.0).unwrap().apply(&table_a()).unwrap().config
}

fn of(config: &MonitoringConfig, alert: &str, assumptions: &BudgetAssumptions) -> Vec<Budget> {
    budgets(config, alert, &BTreeMap::new(), assumptions).unwrap()
}

fn ms(stages: &[StageTime]) -> Vec<(Stage, u128)> {
    stages.iter().map(|time| (time.stage, time.takes.as_millis())).collect()
}

#[test]
fn a_target_that_goes_down() {
    let assumptions = BudgetAssumptions {
        scrape_takes: Duration::from_millis(50),
        ..BudgetAssumptions::default()
    };
    let found = of(&at_20(), "EmailServiceDown", &assumptions);
    assert_eq!(
        found.iter().map(|b| b.receiver.as_str()).collect::<Vec<_>>(),
        ["critical-ops", "nobody"]
    );
    let budget = &found[0];
    assert_eq!(
        ms(&budget.stages),
        [
            (Stage::Scrape, 800),
            (Stage::Evaluation, 750),
            (Stage::Hold, 6000),
            (Stage::GroupWait, 1500),
            (Stage::Delivery, 500)
        ]
    );
    assert_eq!((budget.fire.as_millis(), budget.notify.as_millis()), (7550, 9550));
    assert_eq!(budget.from_samples().as_millis(), 8750);
    // Seen on a real stack: notified 8.1 s after the target went.
    assert!(budget.notify > Duration::from_millis(8100));
    assert_eq!(
        ms(&budget.resolve_stages),
        [
            (Stage::Scrape, 800),
            (Stage::Evaluation, 750),
            (Stage::GroupInterval, 15_000),
            (Stage::Delivery, 500)
        ]
    );
    assert!(
        budget.stages[0].basis.contains("job `email-service` every 750ms"),
        "{}",
        budget.stages[0].basis
    );
    assert!(budget.sends_resolved && budget.route == "route.routes[0]");
}

#[test]
fn a_rate_over_a_window() {
    let step = BudgetAssumptions {
        fill: Fill::Step { reached: 0.5, threshold: 0.05 },
        ..BudgetAssumptions::default()
    };
    let found = of(&at_20(), "HighErrorRate", &step);
    assert_eq!(ms(&found[0].stages)[0], (Stage::WindowFill, 1500));
    assert_eq!(ms(&found[0].resolve_stages)[0], (Stage::WindowDrain, 13_500));
    // Seen on a real stack: notified 12.6 s after half of the requests began to fail.
    assert!(
        found[0].notify > Duration::from_millis(12_600)
            && found[0].notify < Duration::from_millis(14_100)
    );
    let whole = of(&at_20(), "HighErrorRate", &BudgetAssumptions::default());
    assert_eq!(ms(&whole[0].stages)[0], (Stage::WindowFill, 15_000));
    let never = BudgetAssumptions {
        fill: Fill::Step { reached: 0.01, threshold: 0.05 },
        ..BudgetAssumptions::default()
    };
    assert_eq!(of(&at_20(), "HighErrorRate", &never)[0].notify, whole[0].notify);
}

#[test]
fn a_recorded_series_adds_its_evaluation() {
    let found = of(&at_20(), "HighRequestLatency", &BudgetAssumptions::default());
    let kinds: Vec<_> = found[0].stages.iter().map(|time| time.stage).collect();
    assert_eq!(
        kinds,
        [
            Stage::WindowFill,
            Stage::Scrape,
            Stage::Recording,
            Stage::Evaluation,
            Stage::Hold,
            Stage::GroupWait,
            Stage::Delivery
        ]
    );
    assert_eq!(found[0].receiver, "ops");
}

#[test]
fn each_circumstance_is_a_stage_of_its_own() {
    let assumptions = BudgetAssumptions {
        target_hangs: true,
        joins_group: true,
        host_noise: Duration::from_secs(2),
        peer_position: 2,
        ..BudgetAssumptions::default()
    };
    let found = of(&at_20(), "PostfixDown", &assumptions);
    assert_eq!(
        ms(&found[1].stages),
        [
            (Stage::Scrape, 1250),
            (Stage::Evaluation, 750),
            (Stage::Hold, 3000),
            (Stage::GroupInterval, 15_000),
            (Stage::PeerTurn, 1500),
            (Stage::Delivery, 500),
            (Stage::HostNoise, 2000),
        ]
    );
    assert_eq!(found[1].receiver, "mail-team");
    assert_eq!(found[1].fire.as_millis(), 7000);
}

#[test]
fn holds_are_rounded_up_to_evaluations() {
    let second = Duration::from_secs(1);
    assert_eq!(rounded_up(Duration::from_millis(2500), second), Duration::from_secs(3));
    assert_eq!(rounded_up(Duration::from_secs(3), second), Duration::from_secs(3));
    assert_eq!(rounded_up(Duration::ZERO, second), Duration::ZERO);
}

#[test]
fn every_alert_of_the_fixture_has_a_budget() {
    let config = at_20();
    for (_, _, rule) in config.rules().filter(|(_, _, rule)| rule.is_alert()) {
        let found = of(&config, &rule.name, &BudgetAssumptions::default());
        let slow = slowest(&found).unwrap();
        assert!(
            slow.notify >= rule.hold() && slow.notify < Duration::from_secs(60),
            "{}: {slow}",
            rule.name
        );
        assert_eq!(slow.notify, sum(&slow.stages));
    }
}

#[test]
fn impossible_expectations_are_refused() {
    let budget = of(&at_20(), "EmailServiceDown", &BudgetAssumptions::default()).remove(0);
    assert!(budget.check_feasible(Duration::from_secs(10)).is_ok());
    let refused = budget.check_feasible(Duration::from_secs(5)).unwrap_err();
    let refusal = refused.to_string();
    for part in ["EmailServiceDown", "within 5 s", "8.75 s", "evaluation 0.75 s + hold 6 s"] {
        assert!(refusal.contains(part), "{refusal} lacks {part}");
    }
    assert!(refused.hint().contains("no less than 8.75 s"), "{}", refused.hint());
    let unknown =
        budgets(&at_20(), "EmailServerDown", &BTreeMap::new(), &BudgetAssumptions::default())
            .unwrap_err()
            .to_string();
    assert!(unknown.contains("EmailServiceDown"), "{unknown}");
}

#[test]
fn a_budget_is_written_in_seconds() {
    let budget = of(&at_20(), "EmailServiceDown", &BudgetAssumptions::default()).remove(0);
    let json = serde_json::to_value(&budget).unwrap();
    assert_eq!(json["notify_s"], 9.5);
    assert_eq!(json["stages"][2]["stage"], "hold");
    assert_eq!(json["stages"][2]["takes_s"], 6.0);
}

#[test]
fn stages_are_summed_by_what_can_be_measured() {
    let noise =
        BudgetAssumptions { host_noise: Duration::from_secs(6), ..BudgetAssumptions::default() };
    let budget = of(&at_20(), "HighRequestLatency", &noise).remove(0);
    let allowed = by_stage(&budget.stage_seconds());
    assert_eq!(
        (allowed.condition_s, allowed.evaluation_s, allowed.hold_s, allowed.noise_s),
        (18.75, 0.75, 6.0, 6.0)
    );
    let all = allowed.condition_s
        + allowed.evaluation_s
        + allowed.hold_s
        + allowed.notify_s
        + allowed.noise_s;
    assert!((all - budget.notify.as_secs_f64()).abs() < 1e-9, "{all} of {budget}");
    assert_eq!(by_stage(&[]).condition_s, 0.0);
}
