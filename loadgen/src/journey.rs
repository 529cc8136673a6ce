//! Journeys as they are walked: what one user does, drawn from a seed. What they are is data
//! ([`crate::traffic`]).

mod session;
mod walk;

use crate::client::http::{Answer, Call, Http};
use crate::clock::RunClock;
use crate::closed_loop::Think;
use crate::draw::Draw;
use crate::id::Ids;
use crate::recorder::{Ended, Recorder};
use crate::sink::Awaited;
use crate::traffic::{Action, Script, Traffic};
pub(crate) use session::Sessions;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use verdict::history::load::{LoadEvent, Operation, Outcome};
use walk::Walk;

/// Which journey each arrival walks: a function of seed and number.
pub(crate) struct JourneyMix {
    pub seed: u64,
    pub journeys: Vec<Arc<Script>>,
    pub weights: Vec<f64>,
}

impl JourneyMix {
    /// The journey of an arrival, and what the rest of it is drawn from.
    fn of(&self, arrival: u64) -> (&Arc<Script>, Draw) {
        let mut draw = Draw::new(self.seed, arrival);
        (&self.journeys[draw.weighted(&self.weights)], draw)
    }
}

/// What all operations of one stream share.
pub(crate) struct Shared {
    pub http: Http,
    pub ids: Ids,
    pub casting: JourneyMix,
    pub traffic: Arc<Traffic>,
    /// Addresses of the traffic's places, in their order.
    pub places: Vec<SocketAddr>,
    pub sessions: Sessions,
    pub clock: RunClock,
    /// When the stream began: windows are counted from here.
    pub began: Instant,
    pub deadline: Duration,
    pub recorder: Mutex<Recorder>,
    pub events: mpsc::Sender<LoadEvent>,
    /// Effects that must arrive, by number of the sink; none of a sink that is not watched.
    pub awaited: Vec<Option<Awaited>>,
    /// Cancelled once no step is to be begun any more.
    pub over: CancellationToken,
}

impl Shared {
    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One arrival: a user who walks a journey.
pub struct JourneyRun {
    shared: Arc<Shared>,
    script: Arc<Script>,
    /// When the next step is due: the arrival's instant, then the end of the step before.
    due: Instant,
    /// Service times of its steps so far.
    service: Duration,
    /// Whether all of them ended as wanted.
    as_expected: bool,
    /// The kind of error that came last.
    ended_by: Option<String>,
    walk: Walk,
}

/// What came of a request.
struct Performed {
    /// None came by the deadline.
    answer: Option<Answer>,
    as_expected: bool,
    acknowledged: bool,
}

impl JourneyRun {
    pub(crate) fn new(shared: Arc<Shared>, arrival: u64, due: Instant) -> JourneyRun {
        let (script, mut draw) = shared.casting.of(arrival);
        let script = Arc::clone(script);
        let user = draw.below(shared.traffic.users.len());
        let walk = Walk::new(Arc::clone(&shared), Arc::clone(&script), arrival, user, draw);
        JourneyRun {
            shared,
            script,
            due,
            service: Duration::ZERO,
            as_expected: true,
            ended_by: None,
            walk,
        }
    }

    /// The same, but who walks is this user (counted on beyond the last one), and not one drawn.
    pub(crate) fn of_user(mut self, user: u64) -> JourneyRun {
        self.walk.user = (user % self.shared.traffic.users.len().max(1) as u64) as usize;
        self
    }

    /// How long its user waits after it, unless told otherwise.
    pub(crate) fn think(&self) -> Think {
        self.script.think
    }

    /// Walks the journey that this arrival was cast for.
    pub(crate) async fn walk(&mut self) {
        let due = self.due;
        let script = Arc::clone(&self.script);
        if !script.signs_in || self.signed_in().await {
            self.steps(&script).await;
        }
        // The end of the last step: so far nothing else is due.
        let ended = Ended {
            at: self.due.saturating_duration_since(self.shared.began),
            latency: self.due.saturating_duration_since(due),
            service: self.service,
            as_expected: self.as_expected,
        };
        let mut recorder = self.shared.recorder();
        recorder.part(&script.name, &ended);
        if let Some(kind) = &self.ended_by {
            recorder.part_kind(&script.name, kind);
        }
    }

    /// Its steps, until one does not end as wanted or the load is over. A step that needs what was
    /// not kept is left out.
    async fn steps(&mut self, script: &Script) {
        let mut number = 0;
        for action in &script.steps {
            self.walk.begin(self.shared.ids.of(self.walk.arrival, number));
            let Some(call) = self.walk.call(action) else { continue };
            number += 1;
            let ended = self.perform(&script.name, action, call).await;
            match &ended.answer {
                Some(Answer::Whole { body, .. }) if ended.as_expected => {
                    self.walk.keep(action, body);
                }
                // Whoever was signed out meanwhile signs in again with the next journey.
                Some(Answer::Whole { status: 401, .. }) if script.signs_in => {
                    self.shared.sessions.end(self.walk.user, &self.walk.session).await;
                }
                _ => {}
            }
            if ended.acknowledged {
                self.effects(action);
            }
            if !ended.as_expected || self.shared.over.is_cancelled() {
                return;
            }
        }
    }

    /// The effects of a step that was acknowledged are awaited from now on.
    fn effects(&mut self, action: &Action) {
        for (number, place) in &action.leads_to {
            let Some(awaited) = &self.shared.awaited[*number] else { continue };
            // What can't be named can't be awaited: it needs what the answer did not hold.
            let place = match place {
                Some(text) => match text.fill(&mut self.walk) {
                    Some(place) => Some(place),
                    None => continue,
                },
                None => None,
            };
            let asks = self.walk.asks(action, *number);
            awaited.acknowledged(self.walk.id(), place, asks);
        }
    }

    /// Performs a request and hands its outcome on.
    async fn perform(&mut self, journey: &str, action: &Action, call: Call) -> Performed {
        let shared = Arc::clone(&self.shared);
        let started = Instant::now();
        shared.recorder().began(started.saturating_duration_since(self.due));
        let answer = timeout(shared.deadline, shared.http.call(call)).await.ok();
        let ended = Instant::now();
        let seen = match &answer {
            Some(answer) => seen(answer, action.wanted),
            None => Seen {
                outcome: Outcome::Unknown,
                status: None,
                error: Some(format!("no answer within {} s", shared.deadline.as_secs_f64())),
            },
        };
        let as_expected = seen.outcome != Outcome::Unknown && seen.status == Some(action.wanted);
        {
            let mut recorder = shared.recorder();
            let whole = Ended {
                at: ended.saturating_duration_since(shared.began),
                latency: ended.saturating_duration_since(self.due),
                service: ended.saturating_duration_since(started),
                as_expected,
            };
            recorder.ended(whole);
            recorder.part(&action.part, &whole);
            if !as_expected {
                let kind = kind(answer.as_ref());
                recorder.kind(&kind);
                recorder.part_kind(&action.part, &kind);
                self.ended_by = Some(kind);
            }
            if let Some(Answer::Starved(error)) = &answer {
                recorder.starved(error);
            }
            self.service += whole.service;
            self.as_expected &= as_expected;
        }
        let acknowledged = seen.outcome == Outcome::Acknowledged;
        let operation = Operation {
            id: self.walk.id().to_owned(),
            journey: journey.to_owned(),
            step: action.name.clone(),
            user: self.walk.user_name().to_owned(),
            due: shared.clock.at(self.due),
            started: shared.clock.at(started),
            ended: shared.clock.at(ended),
            outcome: seen.outcome,
            refusal_expected: action.wanted >= 400,
            as_expected,
            status: seen.status,
            error: seen.error,
        };
        if shared.events.send(LoadEvent::Operation(operation)).await.is_err() {
            shared.recorder().lost_event();
        }
        self.due = ended;
        Performed { answer, as_expected, acknowledged }
    }
}

/// What an answer means for its operation.
struct Seen {
    outcome: Outcome,
    status: Option<u16>,
    error: Option<String>,
}

fn seen(answer: &Answer, wanted: u16) -> Seen {
    match answer {
        Answer::Whole { status, body } => {
            let outcome =
                if (200..300).contains(status) { Outcome::Acknowledged } else { Outcome::Failed };
            let error = (*status != wanted)
                .then(|| format!("status {status}, wanted {wanted}{}", excerpt(body)));
            Seen { outcome, status: Some(*status), error }
        }
        Answer::NotSent(e) => {
            Seen { outcome: Outcome::Failed, status: None, error: Some(e.clone()) }
        }
        Answer::Starved(e) => Seen {
            outcome: Outcome::Failed,
            status: None,
            error: Some(format!("not sent, this machine had no room for it: {e}")),
        },
        Answer::Lost { status, error } => {
            Seen { outcome: Outcome::Unknown, status: *status, error: Some(error.clone()) }
        }
    }
}

/// What kind of error an answer is that was not wanted; none at all came by the deadline.
fn kind(answer: Option<&Answer>) -> String {
    match answer {
        Some(Answer::Whole { status, .. }) => format!("status {status}"),
        Some(Answer::NotSent(_)) => "no connection".to_owned(),
        Some(Answer::Starved(_)) => "this machine had no room".to_owned(),
        Some(Answer::Lost { .. }) => "answer broke off".to_owned(),
        None => "no answer in time".to_owned(),
    }
}

/// The beginning of a body, in one line.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { text } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn outcomes_are_what_they_are_defined_to_be() {
        let whole =
            |status| Answer::Whole { status, body: Bytes::from_static(b"{\"error\":\n \"busy\"}") };
        let lost = Answer::Lost { status: Some(202), error: "the answer broke off".into() };
        let cases = [
            (whole(202), 202, Outcome::Acknowledged, None),
            (whole(200), 202, Outcome::Acknowledged, Some("status 200, wanted 202")),
            (whole(503), 202, Outcome::Failed, Some("{\"error\": \"busy\"}")),
            (whole(302), 200, Outcome::Failed, Some("status 302")),
            (whole(401), 401, Outcome::Failed, None),
            (whole(200), 401, Outcome::Acknowledged, Some("wanted 401")),
            (Answer::NotSent("refused".into()), 200, Outcome::Failed, Some("refused")),
            (Answer::Starved("too many open files".into()), 200, Outcome::Failed, Some("too many")),
            (lost, 202, Outcome::Unknown, Some("broke off")),
        ];
        for (answer, wanted, outcome, error) in cases {
            let seen = seen(&answer, wanted);
            assert_eq!(seen.outcome, outcome, "{answer:?}");
            match error {
                Some(part) => assert!(
                    seen.error.as_deref().is_some_and(|e| e.contains(part)),
                    "{:?}",
                    seen.error
                ),
                None => assert_eq!(seen.error, None),
            }
        }
    }
}
