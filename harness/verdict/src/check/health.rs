//! Services are ready and their health endpoints answer.

use super::Checker;
use super::timeline::Timeline;
use super::wording::{count, list, seconds};
use crate::cause::Cause;
use crate::history::stack::StackEvent;
use crate::left_out::{self, Absent};
use crate::observation::Fact;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// Every service of the stack became ready, and still ran at the end without restarts of its own
/// since then: one that is restarted while it starts waits for what it needs, and is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServicesReady {
    /// Names of the services that must be ready, as the Compose file has them.
    pub services: Vec<String>,
    /// Services that are left out; that one of them is ready would be another's doing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Absent>,
}

/// Each documented health endpoint answers as declared, in the healthy stack (the last answer
/// before the first drill).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthEndpoints {
    /// Endpoints, written as the probe names them.
    pub endpoints: Vec<String>,
    /// Endpoints of services that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Absent>,
}

/// The readiness condition of a service that does its work and ends.
const COMPLETED: &str = "completed";

/// What the history says of one service.
enum Life {
    Ready { after_s: f64, restarts: u32, seq: u64 },
    Broken { what: String, seq: u64 },
    Unsaid(String),
    LeftOut(String),
}

fn life(history: &History, service: &str) -> Life {
    let mut ready: Option<(i64, f64, u64, bool, u32)> = None;
    let mut not_ready: Option<(i64, String, u64)> = None;
    let mut end: Option<(i64, bool, u32, bool, u64)> = None;
    for (e, s) in history.stack() {
        let at = e.at.mono_us;
        match s {
            StackEvent::Ready { service: s, after_s, condition, restarts }
                if s == service && ready.as_ref().is_none_or(|r| r.0 <= at) =>
            {
                ready = Some((at, *after_s, e.seq, condition == COMPLETED, *restarts));
            }
            StackEvent::NotReady { service: s, seen, log_tail }
                if s == service && not_ready.as_ref().is_none_or(|n| n.0 <= at) =>
            {
                let tail = log_tail
                    .iter()
                    .rev()
                    .take(3)
                    .rev()
                    .map(|l| format!("\n      {l}"))
                    .collect::<String>();
                not_ready =
                    Some((at, format!("{service} did not become ready: {seen}{tail}"), e.seq));
            }
            StackEvent::State { service: s, running, restarts, oom_killed }
                if s == service && end.as_ref().is_none_or(|x| x.0 <= at) =>
            {
                end = Some((at, *running, *restarts, *oom_killed, e.seq));
            }
            StackEvent::LeftOut { service: s, why } if s == service => {
                return Life::LeftOut(format!("{service} was left out: {why}"));
            }
            _ => {}
        }
    }
    if let Some((at, what, seq)) = not_ready
        && ready.as_ref().is_none_or(|r| r.0 < at)
    {
        return Life::Broken { what, seq };
    }
    let Some((_, after_s, seq, once, while_starting)) = ready else {
        return Life::Unsaid(format!("nothing says that {service} became ready"));
    };
    let Some((_, running, restarts, oom_killed, end_seq)) = end else {
        return Life::Unsaid(format!("the state of {service} at the end was not recorded"));
    };
    let broken = |what: String| Life::Broken { what, seq: end_seq };
    if oom_killed {
        return broken(format!("{service} was killed for memory"));
    }
    let since = restarts.saturating_sub(while_starting);
    if since > 0 {
        return broken(format!(
            "{service} was restarted {} by itself",
            count(u64::from(since), "time", "times")
        ));
    }
    if !running && !once {
        return broken(format!("{service} became ready, and did not run any more at the end"));
    }
    Life::Ready { after_s, restarts: while_starting, seq }
}

impl Checker for ServicesReady {
    fn id(&self) -> String {
        "health.services".into()
    }

    fn expected(&self) -> String {
        format!(
            "{} ready, and still running at the end without restarts of their own",
            count(self.services.len() as u64, "service is", "services are")
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let (mut slowest, mut seqs, mut broken, mut unsaid) =
            (("", 0.0f64), Vec::new(), Vec::new(), Vec::new());
        let mut restarted: Vec<String> = Vec::new();
        for service in &self.services {
            match life(history, service) {
                Life::Ready { after_s, restarts, seq } => {
                    if restarts > 0 {
                        let times = count(u64::from(restarts), "time", "times");
                        restarted.push(format!("{service} {times}"));
                    }
                    if after_s >= slowest.1 {
                        slowest = (service, after_s);
                    }
                    seqs.push(seq);
                }
                Life::Broken { what, seq } => broken.push((what, seq)),
                Life::Unsaid(why) | Life::LeftOut(why) => unsaid.push(why),
            }
        }
        // Neither ready nor silent about it: a service that is left out must be said to be.
        for absent in &self.left_out {
            match life(history, &absent.service) {
                Life::LeftOut(_) => {}
                Life::Ready { seq, .. } | Life::Broken { seq, .. } => {
                    return Verdict::fail(
                        id,
                        expected,
                        Cause::LeftOutAnswers,
                        format!("{} is left out, and runs", absent.service),
                    )
                    .witnesses([seq])
                    .hint("does another service carry its name?");
                }
                Life::Unsaid(_) => {
                    unsaid.push(format!("nothing says that {} was left out", absent.service))
                }
            }
        }
        if !broken.is_empty() {
            return Verdict::fail(id, expected, Cause::ServiceUnhealthy, list(broken.iter().map(|(w, _)| w), 5))
                .witnesses(broken.iter().map(|(_, s)| *s))
                .hint("look at its log (the last lines are in the history); a service that it depends on may be the cause");
        }
        if !unsaid.is_empty() || seqs.is_empty() {
            return Verdict::unknown(
                id,
                expected,
                if unsaid.is_empty() { "no service is expected".into() } else { list(&unsaid, 5) },
            );
        }
        let restarted = match restarted.as_slice() {
            [] => String::new(),
            some => format!("; restarted while starting: {}", list(some, 5)),
        };
        let reason = format!(
            "all {} ready, the last, {}, after {}{restarted}{}",
            seqs.len(),
            slowest.0,
            seconds(slowest.1),
            left_out::told(&self.left_out)
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("services that were ready and stayed", seqs.len() as u64)
                .witnesses(seqs),
        )
    }
}

impl Checker for HealthEndpoints {
    fn id(&self) -> String {
        "health.endpoints".into()
    }

    fn expected(&self) -> String {
        format!(
            "{} as declared while the stack is healthy",
            count(
                self.endpoints.len() as u64,
                "health endpoint answers",
                "health endpoints answer"
            )
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let facts = timeline.healthy_facts();
        let answers = |name: &str| {
            facts.iter().rev().find_map(|(e, o)| match &o.fact {
                Fact::Health(h) if h.endpoint == name => Some((e.seq, h.ok)),
                _ => None,
            })
        };
        if let Some((absent, (seq, _))) = self
            .left_out
            .iter()
            .filter_map(|a| Some((a, answers(&a.name)?)))
            .find(|(_, (_, ok))| *ok)
        {
            let seen = format!(
                "{} is left out, and something else answers for it at {}",
                absent.service, absent.name
            );
            return Verdict::fail(id, expected, Cause::LeftOutAnswers, seen)
                .witnesses([seq])
                .hint("does another service carry its name?");
        }
        let (mut ok, mut broken, mut unasked) = (Vec::new(), Vec::new(), Vec::new());
        for endpoint in &self.endpoints {
            let last = facts.iter().rev().find_map(|(e, o)| match &o.fact {
                Fact::Health(h) if h.endpoint == *endpoint => Some((e.seq, h.ok, h.seen.as_str())),
                _ => None,
            });
            match last {
                Some((seq, true, _)) => ok.push(seq),
                Some((seq, false, seen)) => broken.push((format!("{endpoint}: {seen}"), seq)),
                None => unasked.push(endpoint.as_str()),
            }
        }
        if !broken.is_empty() {
            return Verdict::fail(
                id,
                expected,
                Cause::ServiceUnhealthy,
                list(broken.iter().map(|(w, _)| w), 5),
            )
            .witnesses(broken.iter().map(|(_, s)| *s))
            .hint(
                "ask the endpoint by hand; its answer usually names the dependency that it misses",
            );
        }
        if !unasked.is_empty() || ok.is_empty() {
            let why = if unasked.is_empty() {
                "no endpoint is declared".into()
            } else {
                format!("never asked while the stack was healthy: {}", list(&unasked, 5))
            };
            return Verdict::unknown(id, expected, why);
        }
        let reason =
            format!("all {} answered as declared{}", ok.len(), left_out::told(&self.left_out));
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("endpoints that answered", ok.len() as u64)
                .witnesses(ok),
        )
    }
}
