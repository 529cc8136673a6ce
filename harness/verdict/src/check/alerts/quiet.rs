//! No alert fires that has no reason to.

use crate::cause::Cause;
use crate::check::Checker;
use crate::check::evaluations::Evaluations;
use crate::check::firing::{Firing, FiringInterval};
use crate::check::timeline::{Drill, Interval, Timeline, merge, without};
use crate::check::wording::{count, labels, list, seconds};
use crate::history::History;
use crate::history::run::RunEvent;
use crate::observation::Fact;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The alert was neither firing nor pending-to-firing while the stack was healthy: in the steady
/// phases before and between the drills, and during drills whose blast radius does not name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertQuiet {
    /// Name of the alert, as its rule has it.
    pub alert: String,
    /// Ids of the drills that may raise it.
    pub allowed_in: Vec<String>,
    /// Whether it speaks about the host itself, which other programs load as well: what it says
    /// while the host is loaded is then left open, and listed.
    #[serde(default)]
    pub about_host: bool,
}

/// During a drill no alert fires beyond those that it is about and those of its blast radius.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NothingElseFires {
    /// Id of the drill in whose window nothing else may fire.
    pub drill: String,
    /// Names of the alerts that may fire: the drill's own, its blast radius's, and those of drills
    /// in the same wave.
    pub allowed: Vec<String>,
}

/// A time during which an alert must be quiet, and how it is called.
struct Judged {
    what: String,
    /// Whether something is broken then, though nothing that the alert is about.
    in_drill: bool,
    time: Interval,
}

impl AlertQuiet {
    fn excused(&self, drill: &Drill<'_>) -> bool {
        self.allowed_in.iter().any(|d| d == drill.id)
            || drill.radius.alerts.contains(&self.alert)
            || (self.about_host && drill.radius.host)
    }

    /// Healthy windows, and drills that have nothing to do with the alert, without those that do
    /// and their waves.
    fn judged(&self, timeline: &Timeline<'_>) -> Vec<Judged> {
        let excused: Vec<&Drill<'_>> = timeline.drills.iter().filter(|d| self.excused(d)).collect();
        let holes: Vec<Interval> = excused.iter().map(|d| d.raising()).collect();
        let healthy = timeline.healthy().into_iter().map(|w| {
            let next = timeline.drills.iter().find(|d| d.began.at.mono_us >= w.to.mono_us);
            let what = match next {
                Some(d) => format!("while nothing was wrong, before drill {}", d.id),
                None if timeline.drills.is_empty() => "while nothing was wrong".to_owned(),
                None => "while nothing was wrong, after the last drill".to_owned(),
            };
            Judged { what, in_drill: false, time: w.wall() }
        });
        let drills =
            timeline.drills.iter().filter(|d| !self.excused(d) && d.ended.is_some()).map(|d| {
                Judged {
                    what: format!("during drill {}, which has nothing to do with it", d.id),
                    in_drill: true,
                    time: d.wall(),
                }
            });
        let cut = |j: Judged| {
            without(vec![j.time], &holes)
                .into_iter()
                .map(move |time| Judged { what: j.what.clone(), in_drill: j.in_drill, time })
                .collect::<Vec<_>>()
        };
        healthy.chain(drills).flat_map(cut).collect()
    }
}

impl Checker for AlertQuiet {
    fn id(&self) -> String {
        format!("alert.{}.quiet", self.alert)
    }

    fn expected(&self) -> String {
        format!("alert {} does not fire while nothing is wrong with what it watches", self.alert)
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let firing = Firing::of(history);
        let judged = self.judged(&timeline);
        if let Some((s, held_up)) = self.kept_from_steady(&timeline, &firing) {
            let seen = format!(
                "fired while the steady state was waited for in vain and nothing was injected; labels {}",
                labels(&s.labels, &[])
            );
            return Verdict::fail(id, expected, Cause::FiredWhileHealthy, seen)
                .witnesses([s.seq, held_up])
                .hint("is its threshold the right way round and outside what is normal? nothing that is known to be wrong explains it");
        }
        if judged.iter().all(|j| j.in_drill) {
            return Verdict::unknown(
                id,
                expected,
                "there was no time in which the steady state was seen to hold",
            );
        }
        let open = match self.noise(&timeline, &firing, &judged) {
            Ok(open) => open,
            Err((seen, seq)) => {
                return Verdict::fail(id, expected, Cause::FiredWhileHealthy, seen)
                    .witnesses([seq])
                    .hint("is its threshold inside what is normal, or does it watch something that nobody declared to be broken? An alert that cries wolf is muted by people");
            }
        };
        if let Some(why) = self.unproven(&timeline, &firing, &judged) {
            return Verdict::unknown(id, expected, why);
        }
        let times = merge(judged.iter().map(|j| j.time).collect(), 0.0);
        let evaluations = times.iter().map(|t| firing.evaluations(&self.alert, *t)).sum();
        let lasted: f64 = times.iter().map(|t| t.to - t.from).sum();
        let left_open = if open.is_empty() {
            String::new()
        } else {
            format!("; left open: {}", list(&open, 3))
        };
        let reason = format!(
            "silent for {} in {}{left_open}",
            seconds(lasted),
            count(judged.len() as u64, "window", "windows")
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("evaluations while it had to be quiet", evaluations)
                .witnesses(firing.seqs.iter().copied()),
        )
    }
}

impl AlertQuiet {
    /// The alert's firing when the wait for the first steady state was given up, nothing having
    /// been injected yet; and the event that says so.
    fn kept_from_steady(
        &self,
        timeline: &Timeline<'_>,
        firing: &Firing,
    ) -> Option<(FiringInterval, u64)> {
        let resolution = firing.resolution(&self.alert).unwrap_or(0.0);
        let given_up = timeline.history.run().find(|(e, r)| {
            let first = timeline.first_began().is_none_or(|began| e.at.mono_us <= began.mono_us);
            first && matches!(r, RunEvent::Steady { held: false, .. })
        });
        let (event, at) = given_up.map(|(e, _)| (e.seq, e.at.wall_s()))?;
        if self.about_host && timeline.host_loaded(at) {
            return None;
        }
        let firing = firing.firing(&self.alert).into_iter();
        firing.into_iter().find(|s| s.from <= at && s.to + resolution >= at).map(|s| (s, event))
    }

    /// When it fired while the host was loaded, which is left open; else its noise, in words, and
    /// the event that shows it.
    fn noise(
        &self,
        timeline: &Timeline<'_>,
        firing: &Firing,
        judged: &[Judged],
    ) -> Result<Vec<String>, (String, u64)> {
        let resolution = firing.resolution(&self.alert).unwrap_or(0.0);
        let mut open = Vec::new();
        for j in judged {
            for s in firing.firing(&self.alert) {
                // What lingers from an earlier drill is no noise of this one; had it begun in a
                // healthy window, it is found there.
                if j.in_drill && s.from < j.time.from {
                    continue;
                }
                let Some(noise) = overlap(&s, j.time, resolution)
                    .or_else(|| self.pending_into(firing, &s, j.time, resolution))
                else {
                    continue;
                };
                let at = seconds(timeline.since_start(noise.from));
                if self.about_host && timeline.host_loaded(noise.from) {
                    open.push(format!("it fired {at} into the run while the host was loaded"));
                    continue;
                }
                let how =
                    if s.from > j.time.to { "became pending, and then fired," } else { "fired" };
                let seen = format!(
                    "{how} {at} into the run, for {}, {}; labels {}",
                    seconds(noise.to - noise.from),
                    j.what,
                    labels(&s.labels, &[])
                );
                return Err((seen, s.seq));
            }
        }
        Ok(open)
    }

    /// Why its silence proves nothing, if so.
    fn unproven(
        &self,
        timeline: &Timeline<'_>,
        firing: &Firing,
        judged: &[Judged],
    ) -> Option<String> {
        let unrecorded = judged
            .iter()
            .find_map(|j| firing.gap(&self.alert, j.time))
            .or_else(|| firing.too_coarse(&self.alert));
        if unrecorded.is_some() {
            return unrecorded;
        }
        let evaluations = Evaluations::of(timeline.history);
        let gap =
            judged.iter().find_map(|j| evaluations.gap(&self.alert, j.time, &timeline.drills));
        gap.or_else(|| {
            (!loaded(timeline.history, &self.alert)).then(|| {
                "its rule was never seen loaded and evaluated without error, so that its silence proves nothing".to_owned()
            })
        })
    }

    /// A pending time that began in a healthy window and led to this firing.
    fn pending_into(
        &self,
        firing: &Firing,
        s: &FiringInterval,
        window: Interval,
        resolution: f64,
    ) -> Option<Interval> {
        if s.from <= window.to {
            return None;
        }
        let before = firing.pending(&self.alert).into_iter().find(|p| {
            p.labels == s.labels && p.to < s.from && s.from - p.to <= resolution * 1.5 + 1e-3
        })?;
        (before.from - resolution >= window.from && before.from + resolution < window.to)
            .then_some(Interval { from: before.from, to: s.to })
    }
}

/// The part of a firing time that lies in a window: its first sample may be one resolution late, so
/// that one is not counted.
fn overlap(s: &FiringInterval, window: Interval, resolution: f64) -> Option<Interval> {
    let (from, to) = (s.from.max(window.from + resolution), s.to.min(window.to));
    (from <= to).then_some(Interval { from, to })
}

/// Whether the rule was seen loaded, and evaluated without error.
fn loaded(history: &History, alert: &str) -> bool {
    history.observations().any(|(_, o)| match &o.fact {
        Fact::Rules { groups } => groups
            .iter()
            .flat_map(|g| &g.rules)
            .any(|r| r.alerting && r.name == alert && r.health == "ok" && r.last_error.is_empty()),
        _ => false,
    })
}

impl Checker for NothingElseFires {
    fn id(&self) -> String {
        format!("drill.{}.quiet_elsewhere", self.drill)
    }

    fn expected(&self) -> String {
        let allowed: BTreeSet<&String> = self.allowed.iter().collect();
        let beyond = if allowed.is_empty() {
            String::new()
        } else {
            format!(" beyond {}", list(&allowed, 8))
        };
        format!("during drill {} no alert fires{beyond}", self.drill)
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        if let Some((why, seqs)) = timeline.vacuous(&self.drill) {
            return Verdict::unknown(id, expected, why).witnesses(seqs);
        }
        let Some(drill) = timeline.drill(&self.drill) else {
            return Verdict::unknown(id, expected, format!("drill {} never began", self.drill));
        };
        let Some(ended) = drill.ended else {
            return Verdict::unknown(id, expected, format!("drill {} never ended", self.drill))
                .witnesses([drill.began.seq]);
        };
        let window = drill.wall();
        // Those of its wave, and those whose faults were there before the first wave.
        let early = |d: &Drill<'_>| {
            d.raising().from < d.wall().from
                && d.raising().from <= window.to
                && d.wall().to >= window.from
        };
        let of_wave =
            |d: &Drill<'_>| d.wave == drill.wave && d.began.at.mono_us <= ended.at.mono_us;
        let beside = timeline.drills.iter().filter(|d| of_wave(d) || early(d));
        let mut allowed: BTreeSet<&str> =
            beside.flat_map(|d| &d.radius.alerts).map(String::as_str).collect();
        allowed.extend(self.allowed.iter().map(String::as_str));
        let firing = Firing::of(history);
        let mut lingering = Vec::new();
        for name in firing.names().into_iter().filter(|n| !allowed.contains(n)) {
            let resolution = firing.resolution(name).unwrap_or(0.0);
            for s in firing.firing(name) {
                let Some(part) = overlap(&s, window, resolution) else { continue };
                if s.from < window.from {
                    lingering.push(format!("{name} fired already when it began"));
                    continue;
                }
                let since = drill.injected().map_or(window.from, |m| m.at.wall_s());
                let seen = format!(
                    "{name} fired {} after the injection, for {}; labels {}",
                    seconds(part.from - since),
                    seconds(part.to - part.from),
                    labels(&s.labels, &[])
                );
                return Verdict::fail(id, expected, Cause::FiredUnexpectedly, seen)
                    .witnesses([drill.began.seq, s.seq])
                    .hint(format!("if {name} must be expected, name it in the drill; else an inhibition is missing, or the fault disturbs more than it says"));
            }
        }
        if !lingering.is_empty() {
            return Verdict::unknown(
                id,
                expected,
                format!("the drill began while something was wrong: {}", list(&lingering, 5)),
            );
        }
        if let Some(why) = firing
            .gap("", window)
            .or_else(|| Evaluations::of(history).gap("", window, &timeline.drills))
        {
            return Verdict::unknown(id, expected, why);
        }
        let evaluations = firing.evaluations("", window);
        let reason = format!("nothing else fired in {}", seconds(window.to - window.from));
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("evaluations during the drill", evaluations)
                .witnesses([drill.began.seq, ended.seq]),
        )
    }
}
