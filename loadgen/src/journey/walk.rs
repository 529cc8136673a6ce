//! One walk of a journey: what fills the holes of its requests.

use super::Shared;
use super::session::Session;
use crate::client::http::Call;
use crate::draw::Draw;
use crate::payload::{Payload, WORDS, payload, token};
use crate::sink::Asks;
use crate::traffic::{
    Action, Body, Carried, Fills, Hole, Json, Says, Script, SinkOf, encoded, header_value,
};
use base64::Engine;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// How many arrivals a walk looks back for a recent one.
const RECENT: u64 = 64;

/// What one walk has drawn and kept so far.
pub(super) struct Walk {
    shared: Arc<Shared>,
    script: Arc<Script>,
    /// Its number in the stream.
    pub arrival: u64,
    /// Number of the user who walks.
    pub user: usize,
    /// Somebody else, once one was drawn.
    other: Option<usize>,
    kept: HashMap<String, Value>,
    pub session: Session,
    drawn: HashMap<String, Value>,
    /// The newest arrival that is looked for, once it was drawn.
    newest: Option<u64>,
    pub draw: Draw,
    /// Id of the operation that is being made.
    id: String,
    payload: Option<Payload>,
}

impl Walk {
    pub(super) fn new(
        shared: Arc<Shared>,
        script: Arc<Script>,
        arrival: u64,
        user: usize,
        draw: Draw,
    ) -> Walk {
        Walk {
            shared,
            script,
            arrival,
            user,
            other: None,
            kept: HashMap::new(),
            session: Session::default(),
            drawn: HashMap::new(),
            newest: None,
            draw,
            id: String::new(),
            payload: None,
        }
    }

    /// Begins the operation with this id.
    pub(super) fn begin(&mut self, id: String) {
        (self.id, self.payload) = (id, None);
    }

    /// The operation's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Name of the user who walks; empty if there are no users.
    pub(super) fn user_name(&self) -> &str {
        self.shared.traffic.users.get(self.user).map_or("", |user| user.name())
    }

    /// The request of a step; none if it needs what was not kept.
    pub(super) fn call(&mut self, action: &Action) -> Option<Call> {
        let path = action.path.fill_address(self)?;
        let mut headers = HeaderMap::with_capacity(6);
        if let Some(authorization) = self.authorization(&action.auth)? {
            headers.insert(AUTHORIZATION, authorization);
        }
        for (name, text) in &action.headers {
            headers.insert(name, header_value(&text.fill(self)?)?);
        }
        self.identify(&mut headers);
        let body = match &action.body {
            None => Bytes::new(),
            Some(Body::Json(json)) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Bytes::from(json.fill(self)?.to_string())
            }
            Some(Body::Form(fields)) => {
                let form = "application/x-www-form-urlencoded";
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
                let mut written = Vec::with_capacity(fields.len());
                for (name, text) in fields {
                    written.push(format!("{}={}", encoded(name), encoded(&text.fill(self)?)));
                }
                Bytes::from(written.join("&"))
            }
        };
        let method = action.method.clone();
        Some(Call { method, origin: self.shared.places[action.place], path, headers, body })
    }

    /// How the operation's id travels.
    fn identify(&self, headers: &mut HeaderMap) {
        let identity = &self.shared.traffic.identity;
        let mut insert = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        insert(crate::id::HEADER_NAME, self.id.clone());
        insert("baggage", format!("{}={}", identity.baggage, self.id));
        if identity.traceparent {
            let span = verdict::history::load::client_span(&self.id);
            insert("traceparent", format!("00-{}-{span}-01", self.id));
        }
    }

    /// The value of the header that says who asks, if one does. None if it can't be written.
    fn authorization(&mut self, says: &Says) -> Option<Option<HeaderValue>> {
        let value = match says {
            Says::Nothing => return Some(None),
            Says::Basic(user, password) => {
                let both = format!("{}:{}", user.fill(self)?, password.fill(self)?);
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both))
            }
            Says::Bearer(token) => format!("Bearer {}", token.fill(self)?),
        };
        header_value(&value).map(Some)
    }

    /// What an answer holds that a step keeps.
    pub(super) fn found(&mut self, action: &Action, body: &[u8]) -> Vec<(String, Value)> {
        if action.keep.is_empty() {
            return Vec::new();
        }
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut kept = Vec::new();
        for (name, pointer) in &action.keep {
            let found = pointer.find(&answer);
            let one = if pointer.any { self.draw.of(&found) } else { found.first() };
            kept.extend(one.map(|value| (name.clone(), (*value).clone())));
        }
        kept
    }

    /// Keeps it.
    pub(super) fn keep(&mut self, action: &Action, body: &[u8]) {
        let found = self.found(action, body);
        self.kept.extend(found);
    }

    /// What a sink has to be asked about the effect of a step, if it is one that is asked.
    pub(super) fn asks(&mut self, action: &Action, sink: usize) -> Option<Asks> {
        let shared = Arc::clone(&self.shared);
        let SinkOf::Http { place, path, .. } = &shared.traffic.sinks[sink].kind else {
            return None;
        };
        let path = path.fill_address(self)?;
        let mut headers = HeaderMap::new();
        // As the same user, but without the operation's id: what looks for it is no part of it.
        if let Some(authorization) = self.authorization(&action.auth)? {
            headers.insert(AUTHORIZATION, authorization);
        }
        Some(Asks { origin: shared.places[*place], path, headers })
    }

    fn payload(&mut self) -> &Payload {
        let seed = self.shared.casting.seed;
        self.payload.get_or_insert_with(|| payload(seed, &self.id))
    }

    /// Somebody else than the user, if there is anybody else.
    fn other(&mut self) -> usize {
        if let Some(other) = self.other {
            return other;
        }
        let name = self.user_name().to_owned();
        let users = &self.shared.traffic.users;
        let others: Vec<usize> = (0..users.len()).filter(|at| users[*at].name() != name).collect();
        let other = self.draw.of(&others).copied().unwrap_or(self.user);
        self.other = Some(other);
        other
    }

    /// The newest arrival that is looked for: not always the last one.
    fn newest(&mut self) -> u64 {
        let (draw, arrival) = (&mut self.draw, self.arrival);
        *self.newest.get_or_insert_with(|| {
            arrival.saturating_sub(1 + draw.below(RECENT as usize / 2) as u64)
        })
    }

    /// What the first step of a recent walk of this journey carried.
    fn recent(&mut self, journey: &str, carried: Carried) -> Option<Value> {
        let newest = self.newest();
        let (casting, oldest) = (&self.shared.casting, self.arrival.saturating_sub(RECENT));
        let arrival =
            (oldest..newest).rev().find(|arrival| casting.of(*arrival).0.name == journey)?;
        let id = self.shared.ids.of(arrival, 0);
        Some(Value::String(match carried {
            Carried::Token => token(casting.seed, &id),
            Carried::Subject => payload(casting.seed, &id).subject,
            Carried::Id => id,
        }))
    }

    /// One of the values that are stated for this name.
    fn drawn(&mut self, name: &str) -> Option<Value> {
        if let Some(value) = self.drawn.get(name) {
            return Some(value.clone());
        }
        let script = Arc::clone(&self.script);
        let values = script.draws.get(name)?;
        // How far back is drawn whichever value is, so that this does not move what comes after.
        if values.iter().any(Json::looks_back) {
            self.newest();
        }
        let at = self.draw.below(values.len());
        let (before, from) = values.split_at(at);
        let value = from.iter().chain(before).find_map(|value| value.fill(self))?;
        self.drawn.insert(name.to_owned(), value.clone());
        Some(value)
    }

    fn of_user(&self, user: usize, key: &str) -> Option<Value> {
        self.shared.traffic.users.get(user)?.get(key).map(Value::from)
    }
}

impl Fills for Walk {
    fn fill(&mut self, hole: &Hole) -> Option<Value> {
        Some(match hole {
            Hole::Id => Value::from(self.id.as_str()),
            Hole::Number => Value::from(self.arrival),
            Hole::Subject => Value::from(self.payload().subject.as_str()),
            Hole::Token => Value::from(self.payload().token.as_str()),
            Hole::Body => Value::from(self.payload().body.as_str()),
            // People look for the same few words: of the common ones the first is sought two times
            // in five, so that a cache of searches has something to answer.
            Hole::Word => {
                Value::from(WORDS[(self.draw.unit().powi(5) * WORDS.len() as f64) as usize])
            }
            Hole::Hex(8) => Value::from(format!("{:08x}", self.draw.bits() as u32)),
            Hole::Hex(_) => Value::from(format!("{:016x}", self.draw.bits())),
            Hole::User(key) => self.of_user(self.user, key)?,
            Hole::Other(key) => {
                let other = self.other();
                self.of_user(other, key)?
            }
            Hole::Kept(name) => self.kept.get(name)?.clone(),
            Hole::Session(name) => self.session.get(name)?.clone(),
            Hole::Drawn(name) => self.drawn(name)?,
            Hole::Recent(journey, carried) => self.recent(journey, *carried)?,
        })
    }
}
