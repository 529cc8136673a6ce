//! A drill that was late while the host was contended says nothing about the stack, so it is run
//! once more. When that is so, and what several attempts at a drill come to.

use crate::check::{Checker, Expectation};
use crate::history::run::RunEvent;
use crate::history::{Event, EventKind, History};
use crate::observation::Fact;
use crate::verdict::{Status, StoppedAt, Verdict};

/// Whether a verdict says nothing but that something was late while the host was contended.
fn excused(verdict: &Verdict) -> bool {
    verdict.status == Status::Unknown && verdict.stopped_at == Some(StoppedAt::LateWhileContended)
}

/// Why a drill is to be run once more, if it is: something of it was late while the host was
/// contended, all else of it holds, and it was run only once. Whatever is wrong with it otherwise,
/// a repetition could only hide. `expectations` are the plan's, each with the declared members of the
/// role that it rests on; the history is judged as it is given.
pub fn again<'e>(
    history: &History,
    expectations: impl IntoIterator<Item = (&'e Expectation, &'e [String])>,
    drill: &str,
) -> Option<String> {
    if attempts(history, drill) != 1 {
        return None;
    }
    let verdicts: Vec<Verdict> = expectations
        .into_iter()
        .filter(|(e, _)| e.drill() == Some(drill))
        .map(|(e, members)| e.judge_members(history, members))
        .filter(|v| v.status != Status::Pass)
        .collect();
    let late = verdicts.first().filter(|_| verdicts.iter().all(excused))?;
    Some(format!("{}: {}", late.id, late.reason))
}

/// How many times the history says that the drill of this id began.
pub fn attempts(history: &History, drill: &str) -> usize {
    history
        .run()
        .filter(|(_, r)| matches!(r, RunEvent::DrillBegan { drill: d, .. } if d == drill))
        .count()
}

/// The verdict on a drill that was run several times: the worst of all attempts, those apart that
/// were late while the host was contended, if any other is left. So a repetition answers lateness,
/// and nothing that went wrong is outdone by it.
pub(crate) fn judge(
    checker: &dyn Checker,
    history: &History,
    drill: &str,
    attempts: usize,
) -> Verdict {
    let mut verdicts: Vec<Verdict> =
        (0..attempts).map(|n| checker.check(&only(history, drill, n))).collect();
    let told: Vec<String> = verdicts
        .iter()
        .enumerate()
        .filter(|(_, v)| excused(v))
        .map(|(n, v)| format!("attempt {}: {}", n + 1, v.reason))
        .collect();
    if verdicts.iter().any(|v| !excused(v)) {
        verdicts.retain(|v| !excused(v));
    }
    // Of equals the last one counts.
    let worst = verdicts.into_iter().reduce(|a, b| if b.status >= a.status { b } else { a });
    let mut verdict = worst.unwrap_or_else(|| checker.check(history));
    if !told.is_empty() && !excused(&verdict) {
        verdict.reason = format!("{} (run {attempts} times; {})", verdict.reason, told.join("; "));
    }
    verdict
}

/// The history as if only the attempt with this number had been the drill; the others are drills of
/// another name. Operations and what was stored of them are left out: verdicts on drills don't rest
/// on them.
fn only(history: &History, drill: &str, number: usize) -> History {
    let began = |e: &Event| matches!(&e.kind, EventKind::Run(RunEvent::DrillBegan { drill: d, .. }) if d == drill);
    let mut begins: Vec<i64> =
        history.events.iter().filter(|e| began(e)).map(|e| e.at.mono_us).collect();
    begins.sort_unstable();
    // An event belongs to the last attempt that began before it.
    let attempt = |e: &Event| begins.iter().rposition(|b| *b <= e.at.mono_us).unwrap_or(0);
    let bulk = |e: &&Event| match &e.kind {
        EventKind::Observation(o) => matches!(o.fact, Fact::Documents { .. } | Fact::Spans { .. }),
        kind => kind.side_file().is_some(),
    };
    let mut events: Vec<Event> = history.events.iter().filter(|e| !bulk(e)).cloned().collect();
    for event in &mut events {
        let of = attempt(event);
        if of == number {
            continue;
        }
        let other = || format!("{drill} (attempt {})", of + 1);
        match &mut event.kind {
            EventKind::Run(
                RunEvent::DrillBegan { drill: d, .. } | RunEvent::DrillEnded { drill: d },
            ) if d == drill => *d = other(),
            EventKind::Fault(fault) if fault.drill() == drill => {
                *fault = fault.clone().in_drill(other());
            }
            _ => {}
        }
    }
    History::new(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_excuse_nobody() {
        let late = Verdict::late_while_contended("a", "b", "late", "contended");
        assert!(excused(&late));
        assert!(!excused(&Verdict::unknown("a", "b", late.reason.clone())));
        let said = Verdict::unknown("a", "b", "c").stopped_at(late.stage().unwrap());
        assert!(!excused(&said));
    }
}
