//! Judges mutants by the run's own expectations of their rules.

use super::hold::{Shown, shown};
use super::reproduce::{Reproduced, Truth, reproduce};
use super::{Counts, MutantRow, Mutation, OfOperator, OfRule, Outcome};
use crate::check::alerts::AlertResolves;
use crate::check::firing::{ALERT_NAME, ALERT_STATE, ALERTS_SAMPLES};
use crate::check::timeline::Timeline;
use crate::check::wording::{count, list, seconds};
use crate::observation::metrics::{Samples, Series};
use crate::observation::replay::{Grid, Held, Mutant, Operator, Replay, Variant};
use crate::{Event, EventKind, Expectation, Fact, History, Observation, Status, Verdict};
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// Judges all mutants that a history holds, by these of the run's expectations; `None` if it holds
/// none.
pub fn judge<'e>(
    history: &History,
    expectations: impl IntoIterator<Item = &'e Expectation>,
) -> Option<Mutation> {
    let replays: Vec<(&Event, &Observation, &Replay)> = history
        .observations()
        .filter_map(|(e, o)| match &o.fact {
            Fact::Replay(replay) => Some((e, o, replay)),
            _ => None,
        })
        .collect();
    if replays.is_empty() {
        return None;
    }
    let names: Vec<&str> = replays.iter().map(|(_, _, r)| r.alert.as_str()).collect();
    let expectations: Vec<&Expectation> = expectations.into_iter().collect();
    let slim = slim(history);
    let mut rules = Vec::new();
    let mut sum = Reproduced::default();
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    for (event, observation, replay) in replays {
        let twice = names.iter().filter(|n| **n == replay.alert).count() > 1;
        let reproduced = reproduced(history, replay, twice);
        if let Ok(r) = &reproduced {
            sum.evaluations += r.evaluations;
            sum.active += r.active;
            sum.undecidable += r.undecidable;
        }
        left_out.insert(&replay.group, replay.left_out.len());
        let stage = Stage { slim: &slim, event, observation, replay };
        rules.push(stage.rule(reproduced, &about(&expectations, &replay.alert)));
    }
    let outcomes = |keep: &dyn Fn(&MutantRow) -> bool| {
        Counts::of(rules.iter().flat_map(|r| &r.mutants).filter(|m| keep(m)).map(|m| m.outcome))
    };
    let (status, reason) = in_all(&rules, &sum);
    Some(Mutation {
        status,
        reason,
        evaluations: sum.evaluations,
        active: sum.active,
        undecidable: sum.undecidable,
        left_out: left_out.values().sum::<usize>() as u64,
        counts: outcomes(&|_| true),
        operators: Operator::ALL
            .into_iter()
            .map(|operator| OfOperator { operator, counts: outcomes(&|m| m.operator == operator) })
            .filter(|o| o.counts.mutants > 0)
            .collect(),
        rules,
    })
}

/// A rule as reproduced; else why nothing can be said of its mutants. `twice` says that another
/// rule has its name.
fn reproduced(history: &History, replay: &Replay, twice: bool) -> Result<Reproduced, String> {
    if replay.overridden {
        return Err(
            "its rule was changed for a drill, so that what was evaluated is not what is loaded"
                .to_owned(),
        );
    }
    if twice {
        return Err("two rules have this name, so their alerts can't be told apart".to_owned());
    }
    let reproduced = reproduce(replay)?;
    if !history.is_complete() {
        return Err("the run did not reach its end".to_owned());
    }
    Ok(reproduced)
}

/// Whether all rules were reproduced, and the reason.
fn in_all(rules: &[OfRule], sum: &Reproduced) -> (Status, String) {
    let deviating: Vec<&OfRule> = rules.iter().filter(|r| r.status == Status::Unknown).collect();
    let reproduced = rules.iter().filter(|r| r.status == Status::Pass).count() as u64;
    match deviating.first() {
        None if reproduced == 0 => (Status::Unknown, "no rule was reproduced".to_owned()),
        None => {
            let reason = format!(
                "{} of {} are reproduced as the server wrote them, {} of them pending or firing",
                count(sum.evaluations, "evaluation", "evaluations"),
                count(reproduced, "rule", "rules"),
                sum.active
            );
            (Status::Pass, reason)
        }
        Some(first) => {
            let reason = format!(
                "{} of {} are not reproduced; {}: {}",
                deviating.len(),
                count(rules.len() as u64, "rule", "rules"),
                first.rule,
                first.reason
            );
            (Status::Unknown, reason)
        }
    }
}

/// What is expected of an alert, as far as its samples answer it: whom it reaches is no matter of
/// the rule's.
fn about(expectations: &[&Expectation], alert: &str) -> Vec<Expectation> {
    let of = |e: &&&Expectation| match e {
        Expectation::AlertQuiet(c) => c.alert == alert,
        Expectation::AlertFires(c) => c.alert == alert,
        Expectation::AlertResolves(c) => c.alert == alert,
        _ => false,
    };
    let alone = |e: &Expectation| match e {
        Expectation::AlertResolves(c) => {
            AlertResolves { receivers: Vec::new(), ..c.clone() }.into()
        }
        other => other.clone(),
    };
    expectations.iter().filter(of).map(|e| alone(e)).collect()
}

/// What the checkers of alerts look at, but for what the server and the alert manager made of the
/// rule as it is.
fn slim(history: &History) -> Vec<Event> {
    let managed = |o: &Observation| matches!(o.fact, Fact::ManagedAlerts { .. });
    let made_of_it = |kind: &EventKind| {
        matches!(kind, EventKind::Alert(_))
            || matches!(kind, EventKind::Observation(o) if managed(o))
    };
    history
        .events
        .iter()
        .filter(|e| e.kind.side_file().is_none() && !made_of_it(&e.kind))
        .cloned()
        .collect()
}

/// A rule, and the history without its alert.
struct Stage<'a> {
    slim: &'a [Event],
    event: &'a Event,
    observation: &'a Observation,
    replay: &'a Replay,
}

/// Whether each label set fires at each evaluation: at least, and at most.
type Bounds = [BTreeMap<Labels, Vec<Shown>>; 2];

impl Stage<'_> {
    fn rule(&self, reproduced: Result<Reproduced, String>, expectations: &[Expectation]) -> OfRule {
        let replay = self.replay;
        let original = self.bounds(&replay.held, &replay.rule);
        let as_it_is = self.histories(&original);
        let holds = |e: &&Expectation| {
            reproduced.is_ok() && verdicts(e, &as_it_is).iter().all(|v| v.status == Status::Pass)
        };
        let usable: Vec<&Expectation> = expectations.iter().filter(holds).collect();
        let ids = |some: &mut dyn Iterator<Item = &Expectation>| {
            some.map(|e| e.checker().id()).collect::<Vec<_>>()
        };
        let not_as_wanted = |e: &Expectation| {
            let worst = verdicts(e, &as_it_is).into_iter().max_by_key(|v| v.status);
            format!("{} ({})", e.checker().id(), worst.map(|v| v.reason).unwrap_or_default())
        };
        let not_usable: Vec<String> =
            expectations.iter().filter(|e| !usable.contains(e)).map(not_as_wanted).collect();
        let why_not = match &reproduced {
            Err(why) => Some(why.clone()),
            Ok(_) if expectations.is_empty() => {
                Some("nothing is expected of this rule in this run".to_owned())
            }
            Ok(_) if usable.is_empty() => {
                Some(format!("the rule itself is not seen as wanted: {}", list(&not_usable, 3)))
            }
            Ok(_) => None,
        };
        let mutants: Vec<MutantRow> = replay
            .mutants
            .iter()
            .map(|mutant| {
                let (outcome, killed_by, reason) = match &why_not {
                    _ if mutant.refused.is_some() => {
                        (Outcome::Refused, Vec::new(), mutant.refused.clone().unwrap_or_default())
                    }
                    Some(why) => (Outcome::NotJudged, Vec::new(), why.clone()),
                    None if mutant.unanswered.is_some() => (
                        Outcome::Undecidable,
                        Vec::new(),
                        mutant.unanswered.clone().unwrap_or_default(),
                    ),
                    None => self.mutant(mutant, &original, &usable),
                };
                let diff = diff(&replay.rule, &mutant.variant);
                MutantRow {
                    operator: mutant.operator,
                    change: mutant.change.clone(),
                    outcome,
                    killed_by,
                    reason,
                    diff,
                }
            })
            .collect();
        let reason = match &reproduced {
            Err(why) => why.clone(),
            Ok(r) => format!(
                "{} reproduced, {} of them pending or firing, {} while a sample was being scraped",
                count(r.evaluations, "evaluation", "evaluations"),
                r.active,
                r.undecidable
            ),
        };
        OfRule {
            rule: replay.alert.clone(),
            status: match reproduced {
                Ok(_) => Status::Pass,
                Err(_) if replay.overridden => Status::Skipped,
                Err(_) => Status::Unknown,
            },
            reason,
            judged_by: ids(&mut usable.iter().copied()),
            counts: Counts::of(mutants.iter().map(|m| m.outcome)),
            mutants,
        }
    }

    fn mutant(
        &self,
        mutant: &Mutant,
        original: &Bounds,
        expectations: &[&Expectation],
    ) -> (Outcome, Vec<String>, String) {
        let held = mutant.held.as_ref().unwrap_or(&self.replay.held);
        let bounds = self.bounds(held, &mutant.variant);
        if bounds == *original {
            return (Outcome::Survived, Vec::new(), self.alike(mutant));
        }
        let (mut killed_by, mut seen, mut open) = (Vec::new(), Vec::new(), None);
        let histories = self.histories(&bounds);
        for expectation in expectations {
            let [least, most] = verdicts(expectation, &histories);
            match (least.status, most.status) {
                (Status::Fail, Status::Fail) => {
                    killed_by.push(expectation.checker().id());
                    seen.push(least.reason);
                }
                (Status::Pass, Status::Pass) => {}
                (Status::Unknown, Status::Unknown) => {
                    match self.unreachable_source(expectation, mutant, &bounds, original) {
                        Some(Ok(why)) => {
                            killed_by.push(expectation.checker().id());
                            seen.push(why);
                        }
                        Some(Err(why)) => open = Some(why),
                        None => open = open.or(Some(least.reason)),
                    }
                }
                (Status::Unknown, _) => open = open.or(Some(least.reason)),
                (_, Status::Unknown) => open = open.or(Some(most.reason)),
                _ => {
                    let why = format!(
                        "{} depends on evaluations that ran while a sample was being scraped",
                        expectation.checker().id()
                    );
                    open = open.or(Some(why));
                }
            }
        }
        match (seen.into_iter().next(), open) {
            (Some(seen), _) => (Outcome::Killed, killed_by, seen),
            (None, Some(why)) => (Outcome::Undecidable, Vec::new(), why),
            (None, None) => {
                (Outcome::Survived, Vec::new(), self.unlike(&bounds, original, expectations))
            }
        }
    }

    /// The histories of a rule that fires at least, and at most, so; one where both are the same.
    fn histories(&self, bounds: &Bounds) -> Vec<History> {
        let different = if bounds[0] == bounds[1] { &bounds[..1] } else { &bounds[..] };
        different.iter().map(|lines| self.history(lines)).collect()
    }

    fn bounds(&self, held: &[Held], rule: &Variant) -> Bounds {
        [false, true].map(|possibly| {
            let lines = held.iter().filter_map(|of| {
                let held = Truth::of(of, &self.replay.grid).bound(possibly);
                let line = shown(&self.replay.grid, &held, &self.replay.left_out, rule);
                line.iter().any(|s| *s != Shown::Nothing).then(|| (of.labels.clone(), line))
            });
            lines.collect()
        })
    }

    /// The history in which the server wrote this of the alert.
    fn history(&self, lines: &BTreeMap<Labels, Vec<Shown>>) -> History {
        let grid = &self.replay.grid;
        let mut series = Vec::new();
        for (labels, line) in lines {
            for (state, shown) in [("pending", Shown::Pending), ("firing", Shown::Firing)] {
                let own = [(ALERT_NAME, self.replay.alert.as_str()), (ALERT_STATE, state)]
                    .map(|(k, v)| (k.to_owned(), v.to_owned()));
                let labels =
                    labels.iter().map(|(k, v)| (k.clone(), v.clone())).chain(own).collect();
                let at = (0..grid.count).zip(line).filter(|(_, s)| **s == shown);
                let points: Vec<(f64, Option<f64>)> =
                    at.map(|(i, _)| (seconds_of(grid, i), Some(1.0))).collect();
                if !points.is_empty() {
                    series.push(Series { labels, points });
                }
            }
        }
        let samples = Samples {
            name: ALERTS_SAMPLES.to_owned(),
            expr: self.replay.rule.expr.clone(),
            start_s: seconds_of(grid, 0),
            // What an evaluation found holds until the next.
            end_s: seconds_of(grid, grid.count),
            step_s: grid.interval_ms as f64 / 1000.0,
            series,
        };
        let fact = Observation { fact: Fact::Samples(samples), ..self.observation.clone() };
        let mut events = self.slim.to_vec();
        events.push(Event { kind: EventKind::Observation(fact), ..self.event.clone() });
        History::new(events)
    }

    /// Why a mutant that fires exactly as the rule does survives.
    fn alike(&self, mutant: &Mutant) -> String {
        let fired = self.replay.held.iter().any(|h| !h.all.is_empty());
        let evaluations = count(u64::from(self.replay.grid.count), "evaluation", "evaluations");
        if mutant.held.is_none() {
            let why = if fired {
                "its expression held for too long, or too briefly, to tell"
            } else {
                "its expression never held"
            };
            return format!(
                "it is pending and fires exactly as the rule does at all {evaluations}: {why}"
            );
        }
        if fired {
            format!(
                "it is pending and fires exactly as the rule does at all {evaluations}: no sample of this run lies between the two"
            )
        } else {
            format!(
                "neither it nor the rule ever holds in {evaluations}: no drill of this run makes the rule fire"
            )
        }
    }

    /// What to make of a mutant that did not fire in a drill that was healed before its time was
    /// over, because the rule had fired: why it is told from the rule, or why it can't be. `None`
    /// if it fired, or that is not what is expected.
    fn unreachable_source(
        &self,
        expectation: &Expectation,
        mutant: &Mutant,
        bounds: &Bounds,
        original: &Bounds,
    ) -> Option<Result<String, String>> {
        let Expectation::AlertFires(fires) = expectation else { return None };
        let history = History { events: self.slim.to_vec() };
        let timeline = Timeline::of(&history);
        let struck = timeline.seen_by(&fires.drill, &fires.causes)?;
        let (injected, healed) = (struck.injected.at.wall_s(), struck.healed?.at.wall_s());
        let (ended, after) = (struck.drill.wall().to, |at: f64| seconds(at - injected));
        let rule = self
            .onset(expectation, original)
            .map(|(s, _)| format!("; the rule fired {} after the injection", seconds(s)));
        let rule = rule.unwrap_or_default();
        let grid = &self.replay.grid;
        let within = |from: f64, to: f64| {
            (0..grid.count)
                .filter(move |i| (from..=to).contains(&seconds_of(grid, *i)))
                .map(|i| i as usize)
        };
        let shown = |which: usize, index: usize| {
            bounds[which].values().map(|line| line[index]).max().unwrap_or_default()
        };
        if within(injected, ended).any(|i| shown(1, i) == Shown::Firing) {
            return None;
        }
        let last = within(injected, healed).next_back()?;
        let allowed = format!(
            "healed {} after the injection, of {} that it may take",
            after(healed),
            seconds(fires.within_s)
        );
        if shown(0, last) == Shown::Pending {
            let line = bounds[0].values().find(|line| line[last] == Shown::Pending)?;
            let since =
                line[..=last].iter().rposition(|s| *s != Shown::Pending).map_or(0, |i| i + 1);
            let fired = seconds_of(grid, since as u32) + mutant.variant.for_ms as f64 / 1000.0;
            let late = fired - injected > fires.within_s + grid.interval_ms as f64 / 1000.0;
            let what = format!(
                "had the fault stayed, it would have fired {} after the injection, {} allowed",
                after(fired),
                seconds(fires.within_s)
            );
            return Some(if late {
                Ok(format!("{what}{rule}"))
            } else {
                Err(format!("it was pending when the fault was {allowed}: {what}"))
            });
        }
        let held = within(injected, ended).any(|i| shown(1, i) != Shown::Nothing);
        if held || mutant.level {
            return Some(Err(format!("it might still have come to fire: the fault was {allowed}")));
        }
        Some(Ok(format!(
            "its expression never held while the fault was there, {}{rule}",
            seconds(healed - injected)
        )))
    }

    /// Seconds from the injection until it fires for certain, and those allowed.
    fn onset(&self, expectation: &Expectation, bounds: &Bounds) -> Option<(f64, f64)> {
        let Expectation::AlertFires(fires) = expectation else { return None };
        let history = History { events: self.slim.to_vec() };
        let timeline = Timeline::of(&history);
        let struck = timeline.seen_by(&fires.drill, &fires.causes)?;
        let since = struck.first.at.wall_s();
        let times = bounds[0]
            .values()
            .flat_map(|line| (0..).zip(line))
            .filter(|(_, s)| **s == Shown::Firing);
        let after = times
            .map(|(i, _)| seconds_of(&self.replay.grid, i))
            .filter(|at| *at >= since)
            .map(|at| struck.after(at));
        Some((after.reduce(f64::min)?, fires.within_s))
    }

    /// Why a mutant that fires otherwise than the rule survives.
    fn unlike(&self, mutant: &Bounds, original: &Bounds, expectations: &[&Expectation]) -> String {
        let fired = |bounds: &Bounds, index: usize| {
            bounds[0].values().any(|line| line[index] == Shown::Firing)
        };
        let differs = (0..self.replay.grid.count as usize)
            .filter(|i| fired(mutant, *i) != fired(original, *i))
            .count() as u64;
        let evaluations = count(u64::from(self.replay.grid.count), "evaluation", "evaluations");
        let drilled = expectations.iter().any(|e| matches!(e, Expectation::AlertFires(_)));
        if differs == 0 {
            return format!(
                "it fires at the same of {evaluations} as the rule, with other labels or another time of being pending"
            );
        }
        if !drilled {
            return format!(
                "it fires at {differs} other of {evaluations}, none of which anything is expected of: no drill of this run is about it"
            );
        }
        let first = |bounds| expectations.iter().find_map(|e| self.onset(e, bounds));
        match (first(mutant), first(original)) {
            (Some((m, within)), Some((o, _))) if m != o => {
                format!(
                    "it fires {} after the injection, the rule after {}: both within the {} allowed",
                    seconds(m),
                    seconds(o),
                    seconds(within)
                )
            }
            _ => format!("it fires at {differs} other of {evaluations}, all at times when it may"),
        }
    }
}

/// The verdicts on a rule that fires at least, and at most, so.
fn verdicts(expectation: &Expectation, histories: &[History]) -> [Verdict; 2] {
    let all: Vec<Verdict> = histories.iter().map(|h| expectation.judge(h)).collect();
    [0, 1].map(|i| all[i.min(all.len() - 1)].clone())
}

fn seconds_of(grid: &Grid, index: u32) -> f64 {
    grid.at_ms(index) as f64 / 1000.0
}

/// The lines of a rule that a mutant changes.
fn diff(rule: &Variant, mutant: &Variant) -> Vec<String> {
    let duration =
        |ms: i64| if ms % 1000 == 0 { format!("{}s", ms / 1000) } else { format!("{ms}ms") };
    let lines = |v: &Variant| {
        [
            format!("expr: {}", v.expr),
            format!("for: {}", duration(v.for_ms)),
            format!("keep_firing_for: {}", duration(v.keep_firing_ms)),
        ]
    };
    let pairs = lines(rule).into_iter().zip(lines(mutant)).filter(|(a, b)| a != b);
    pairs.flat_map(|(a, b)| [format!("- {a}"), format!("+ {b}")]).collect::<Vec<_>>()
}
