//! Journeys: what one user does, drawn from a seed. One file below for each, and one line in
//! [`all`].

mod list;
mod read;
mod search;
mod send_mail;
mod unknown_recipient;
mod wrong_password;

use crate::client::http::{Answer, Call, Http};
use crate::clock::RunClock;
use crate::closed_loop::Think;
use crate::draw::Draw;
use crate::id::Ids;
use crate::mailbox::Outstanding;
use crate::recorder::{Ended, Recorder};
use bytes::Bytes;
use futures::future::BoxFuture;
use hyper::Method;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use verdict::history::load::{LoadEvent, Operation, Outcome};

/// All journeys. One line for each.
pub fn all() -> &'static [&'static dyn Journey] {
    &[
        &send_mail::SendMail,
        &list::List,
        &search::Search,
        &read::Read,
        &wrong_password::WrongPassword,
        &unknown_recipient::UnknownRecipient,
    ]
}

/// Names of all journeys.
pub fn names() -> Vec<&'static str> {
    all().iter().map(|j| j.name()).collect()
}

/// The journey of this name.
pub fn named(name: &str) -> Option<&'static dyn Journey> {
    all().iter().copied().find(|j| j.name() == name)
}

/// One user's path.
pub trait Journey: Send + Sync {
    /// Its name, as in `firedrill.yaml` and in [`Operation::journey`].
    fn name(&self) -> &'static str;

    /// Its steps, in order; each is one operation. A later step is left out if an earlier one did
    /// not end as wanted.
    fn steps(&self) -> &'static [Step];

    /// How long a user of a closed loop waits before the next journey, unless told otherwise.
    fn think(&self) -> Think {
        Think { least: Duration::from_secs(1), most: Duration::from_secs(3) }
    }

    /// Walks it once. What it draws comes from the turn alone.
    fn walk<'a>(&'a self, turn: &'a mut JourneyRun) -> BoxFuture<'a, ()>;
}

/// A step of a journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    /// The HTTP status with which it ends as wanted. From 400 on it is a refusal that the journey
    /// wants.
    pub wanted: u16,
    /// Whether a mail must arrive in a recipient's mailbox once it ended as wanted.
    pub sends_mail: bool,
}

/// How many arrivals a search looks back for a mail.
const RECENT: u64 = 64;

/// Which journey each arrival walks: a function of seed and number.
pub(crate) struct JourneyMix {
    pub seed: u64,
    pub journeys: Vec<&'static dyn Journey>,
    pub weights: Vec<f64>,
}

impl JourneyMix {
    /// The journey of an arrival, and what the rest of it is drawn from.
    fn of(&self, arrival: u64) -> (&'static dyn Journey, Draw) {
        let mut draw = Draw::new(self.seed, arrival);
        (self.journeys[draw.weighted(&self.weights)], draw)
    }

    /// Whether a journey that comes at all sends mail.
    pub(crate) fn sends_mail(&self) -> bool {
        let mut walked =
            self.journeys.iter().zip(&self.weights).filter(|(_, weight)| **weight > 0.0);
        walked.any(|(journey, _)| journey.steps().iter().any(|step| step.sends_mail))
    }
}

/// What all operations of one stream share.
pub(crate) struct Shared {
    pub http: Http,
    pub ids: Ids,
    pub casting: JourneyMix,
    pub users: Vec<String>,
    pub password: String,
    pub clock: RunClock,
    /// When the stream began: windows are counted from here.
    pub began: Instant,
    pub deadline: Duration,
    pub recorder: Mutex<Recorder>,
    pub events: mpsc::Sender<LoadEvent>,
    pub outstanding: Arc<Outstanding>,
    /// Cancelled once no step is to be begun any more.
    pub over: CancellationToken,
}

impl Shared {
    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a step asks for.
pub(crate) struct Request {
    pub method: Method,
    pub path: String,
    pub json: Option<serde_json::Value>,
    /// Another password than the users'.
    pub password: Option<String>,
}

impl Request {
    pub(crate) fn get(path: impl Into<String>) -> Request {
        Request { method: Method::GET, path: path.into(), json: None, password: None }
    }

    pub(crate) fn post(path: impl Into<String>, json: serde_json::Value) -> Request {
        Request { method: Method::POST, path: path.into(), json: Some(json), password: None }
    }
}

/// One arrival: a user who walks a journey.
pub struct JourneyRun {
    shared: Arc<Shared>,
    journey: &'static dyn Journey,
    /// Its number in the stream.
    arrival: u64,
    /// Number of the next step.
    step: u64,
    /// When the next step is due: the arrival's instant, then the end of the step before.
    due: Instant,
    user: String,
    /// Service times of its steps so far.
    service: Duration,
    /// Whether all of them ended as wanted.
    as_expected: bool,
    /// The kind of error that came last.
    ended_by: Option<String>,
    pub(crate) draw: Draw,
}

impl JourneyRun {
    pub(crate) fn new(shared: Arc<Shared>, arrival: u64, due: Instant) -> JourneyRun {
        let (journey, mut draw) = shared.casting.of(arrival);
        let user = draw.of(&shared.users).cloned().unwrap_or_default();
        JourneyRun {
            shared,
            journey,
            arrival,
            step: 0,
            due,
            user,
            service: Duration::ZERO,
            as_expected: true,
            ended_by: None,
            draw,
        }
    }

    /// The same, but who walks is this user (counted on beyond the last one), and not one drawn.
    pub(crate) fn of_user(self, user: u64) -> JourneyRun {
        let users = &self.shared.users;
        let user =
            users.get((user % users.len().max(1) as u64) as usize).cloned().unwrap_or_default();
        JourneyRun { user, ..self }
    }

    /// How long its user waits after it, unless told otherwise.
    pub(crate) fn think(&self) -> Think {
        self.journey.think()
    }

    /// Walks the journey that this arrival was cast for.
    pub(crate) async fn walk(&mut self) {
        let due = self.due;
        self.journey.walk(self).await;
        // The end of the last step: so far nothing else is due.
        let ended = Ended {
            at: self.due.saturating_duration_since(self.shared.began),
            latency: self.due.saturating_duration_since(due),
            service: self.service,
            as_expected: self.as_expected,
        };
        let mut recorder = self.shared.recorder();
        recorder.part(self.journey.name(), &ended);
        if let Some(kind) = &self.ended_by {
            recorder.part_kind(self.journey.name(), kind);
        }
    }

    /// Somebody else than the user, if there is anybody else.
    pub(crate) fn recipient(&mut self) -> String {
        let others: Vec<&String> = self.shared.users.iter().filter(|u| **u != self.user).collect();
        self.draw.of(&others).map_or_else(|| self.user.clone(), |u| (*u).clone())
    }

    /// An address of the user's domain that nobody has.
    pub(crate) fn nobody(&mut self) -> String {
        let domain = self.user.split_once('@').map_or("", |(_, domain)| domain);
        format!("nobody-{:016x}@{domain}", self.draw.bits())
    }

    /// A password that is not the users'.
    pub(crate) fn wrong_password(&mut self) -> String {
        format!("{}-not-{:08x}", self.shared.password, self.draw.bits() as u32)
    }

    /// The id of the next step's operation.
    pub(crate) fn id(&self) -> String {
        self.shared.ids.of(self.arrival, self.step)
    }

    /// What the next step's operation carries.
    pub(crate) fn payload(&self) -> crate::payload::Payload {
        crate::payload::payload(self.shared.casting.seed, &self.id())
    }

    /// A word to search for: half of the time one that many mails contain, else that of a single
    /// mail sent lately. People look for the same few words: of the common ones the first is sought
    /// two times in five, so that a cache of searches has something to answer.
    pub(crate) fn search_word(&mut self) -> String {
        let casting = &self.shared.casting;
        let (oldest, newest) = (
            self.arrival.saturating_sub(RECENT),
            self.arrival.saturating_sub(1 + self.draw.below(RECENT as usize / 2) as u64),
        );
        let sends_first =
            |arrival: u64| casting.of(arrival).0.steps().first().is_some_and(|s| s.sends_mail);
        let mail = (self.draw.unit() < 0.5)
            .then(|| (oldest..newest).rev().find(|a| sends_first(*a)))
            .flatten();
        match mail {
            Some(arrival) => crate::payload::token(casting.seed, &self.shared.ids.of(arrival, 0)),
            None => crate::payload::WORDS
                [(self.draw.unit().powi(5) * crate::payload::WORDS.len() as f64) as usize]
                .to_owned(),
        }
    }

    /// Performs the next step and hands its outcome on. Returns the answer's body if it ended as
    /// wanted and the load goes on.
    pub(crate) async fn perform(&mut self, step: &Step, request: Request) -> Option<Bytes> {
        let (shared, id) = (Arc::clone(&self.shared), self.id());
        self.step += 1;
        let started = Instant::now();
        shared.recorder().began(started.saturating_duration_since(self.due));
        let call = Call {
            method: request.method,
            path: request.path,
            credentials: (
                self.user.clone(),
                request.password.unwrap_or_else(|| shared.password.clone()),
            ),
            operation: id.clone(),
            json: request.json,
        };
        let answer = timeout(shared.deadline, shared.http.call(call)).await;
        let ended = Instant::now();
        let seen = match &answer {
            Ok(answer) => seen(answer, step.wanted),
            Err(_) => Seen {
                outcome: Outcome::Unknown,
                status: None,
                error: Some(format!("no answer within {} s", shared.deadline.as_secs_f64())),
            },
        };
        let as_expected = seen.outcome != Outcome::Unknown && seen.status == Some(step.wanted);
        {
            let mut recorder = shared.recorder();
            let whole = Ended {
                at: ended.saturating_duration_since(shared.began),
                latency: ended.saturating_duration_since(self.due),
                service: ended.saturating_duration_since(started),
                as_expected,
            };
            recorder.ended(whole);
            let part = format!("{}/{}", self.journey.name(), step.name);
            recorder.part(&part, &whole);
            if !as_expected {
                let kind = kind(answer.as_ref().ok());
                recorder.kind(&kind);
                recorder.part_kind(&part, &kind);
                self.ended_by = Some(kind);
            }
            if let Ok(Answer::Starved(error)) = &answer {
                recorder.starved(error);
            }
            self.service += whole.service;
            self.as_expected &= as_expected;
        }
        if seen.outcome == Outcome::Acknowledged && step.sends_mail {
            shared.outstanding.acknowledged(&id);
        }
        let operation = Operation {
            id,
            journey: self.journey.name().to_owned(),
            step: step.name.to_owned(),
            user: self.user.clone(),
            due: shared.clock.at(self.due),
            started: shared.clock.at(started),
            ended: shared.clock.at(ended),
            outcome: seen.outcome,
            refusal_expected: step.wanted >= 400,
            as_expected,
            status: seen.status,
            error: seen.error,
        };
        if shared.events.send(LoadEvent::Operation(operation)).await.is_err() {
            shared.recorder().lost_event();
        }
        self.due = ended;
        match answer {
            Ok(Answer::Whole { body, .. }) if as_expected && !shared.over.is_cancelled() => {
                Some(body)
            }
            _ => None,
        }
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
    use std::collections::HashSet;

    #[test]
    fn journeys_and_steps_have_names_of_their_own() {
        assert_eq!(all().len(), names().iter().collect::<HashSet<_>>().len());
        for journey in all() {
            let steps: HashSet<&str> = journey.steps().iter().map(|s| s.name).collect();
            assert!(
                !steps.is_empty() && steps.len() == journey.steps().len(),
                "{}",
                journey.name()
            );
            assert!(steps.len() as u64 <= crate::id::STEPS, "{}", journey.name());
            assert!(named(journey.name()).is_some());
        }
        assert!(named("fly").is_none());
    }

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
