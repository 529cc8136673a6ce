//! Traffic as data: what is stated ([`stated`]), read and made ready to be walked. What is wrong
//! with it is told with the keys that lead there ([`Mistake`]).

mod known;
mod script;
pub mod stated;
mod text;

use crate::advice::Advised;
use known::Known;
use script::Places;
pub(crate) use script::{Action, Body, Says, Script, header_value};
use stated::{Identity, SinkKind, StatedJourney, StatedSink, StatedTraffic, Step, User};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
pub(crate) use text::{Carried, Fills, Hole, Json, Text, encoded};

/// What is wrong with stated traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Keys and list indices from the top that lead to it.
    pub keys: Vec<String>,
    /// What was seen.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Mistake {
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Mistake {
        Mistake { keys: Vec::new(), what: what.into(), hint: hint.into() }
    }

    /// The same, below a key.
    pub(crate) fn below(mut self, key: &str) -> Mistake {
        self.keys.insert(0, key.to_owned());
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.keys.is_empty() {
            write!(f, "{}: ", self.keys.join("."))?;
        }
        f.write_str(&self.what)
    }
}

impl Advised for Mistake {
    fn hint(&self) -> Option<String> {
        Some(self.hint.clone())
    }
}

impl std::error::Error for Mistake {}

/// Where effects arrive.
pub(crate) struct Sink {
    pub name: String,
    pub kind: SinkOf,
}

/// The same, by kind. Places are numbers in [`Traffic::places`].
pub(crate) enum SinkOf {
    /// Mailboxes of the users.
    Imap { place: usize },
    /// An address that answers so once it arrived.
    Http { place: usize, path: Text, wanted: u16 },
}

impl Sink {
    fn read(name: &str, stated: &StatedSink, places: &mut Places) -> Result<Sink, Mistake> {
        let kind = match stated.kind {
            SinkKind::Imap => "imap",
            SinkKind::Http => "http",
        };
        let wanted: &[&str] = match stated.kind {
            SinkKind::Imap => &["at"],
            SinkKind::Http => &["get"],
        };
        let may = if stated.kind == SinkKind::Http { ["want"].as_slice() } else { &[] };
        for (key, is_there) in [
            ("at", stated.at.is_some()),
            ("get", stated.get.is_some()),
            ("want", stated.want.is_some()),
        ] {
            if is_there && !wanted.contains(&key) && !may.contains(&key) {
                let what = format!("a sink of kind {kind} has no `{key}`");
                let hint = format!("it wants {}", wanted.join(" and "));
                return Err(Mistake::new(what, hint).below(key));
            }
            if !is_there && wanted.contains(&key) {
                return Err(Mistake::new(
                    format!("a sink of kind {kind} wants `{key}`"),
                    format!("add `{key}:` here"),
                ));
            }
        }
        let at = stated.at.as_deref().unwrap_or_default();
        // Whatever stands behind the port is no part of an address without a path.
        let place = |places: &mut Places| match places.read(at) {
            Ok((place, _)) if !at.contains('/') => Ok(place),
            _ => Err(Mistake::new(
                format!("{at:?} is no service and its port"),
                "write service:port, as in mail:143",
            )
            .below("at")),
        };
        let kind = match stated.kind {
            SinkKind::Imap => SinkOf::Imap { place: place(places)? },
            SinkKind::Http => {
                let url = stated.get.as_deref().unwrap_or_default();
                let (place, path) = places.read(url).map_err(|m| m.below("get"))?;
                SinkOf::Http { place, path, wanted: stated.want.unwrap_or(200) }
            }
        };
        Ok(Sink { name: name.to_owned(), kind })
    }

    /// What is asked of it, if something is.
    fn url(&self) -> Option<&Text> {
        match &self.kind {
            SinkOf::Http { path, .. } => Some(path),
            SinkOf::Imap { .. } => None,
        }
    }

    /// Number of its place.
    pub(crate) fn place(&self) -> usize {
        match &self.kind {
            SinkOf::Imap { place } | SinkOf::Http { place, .. } => *place,
        }
    }
}

/// Traffic that can be driven.
pub struct Traffic {
    pub(crate) users: Vec<User>,
    pub(crate) identity: Identity,
    pub(crate) session: Vec<Action>,
    scripts: BTreeMap<String, Arc<Script>>,
    pub(crate) sinks: Vec<Sink>,
    /// `service:port` of all that is asked.
    pub(crate) places: Vec<String>,
    weights: Vec<(String, f64)>,
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traffic")
            .field("users", &self.users.iter().map(User::name).collect::<Vec<_>>())
            .field("journeys", &self.weights)
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

impl StatedTraffic {
    /// All journeys, also those that are only addresses to ask for.
    ///
    /// # Errors
    /// Two of the addresses make the same name.
    pub fn all_journeys(&self) -> Result<BTreeMap<String, StatedJourney>, Mistake> {
        let mut all = self.journeys.clone();
        for (at, get) in self.get.iter().enumerate() {
            let (name, url) = (get.journey(), Some(get.url.clone()));
            let step = Step { name: "get".into(), get: url, want: get.want, ..Step::default() };
            let journey = StatedJourney {
                weight: 1.0,
                think_s: None,
                draw: BTreeMap::new(),
                steps: vec![step],
            };
            if all.insert(name.clone(), journey).is_some() {
                let what = format!("two journeys are called {name}");
                let hint = "give it a name of its own: {name: .., url: ..}";
                return Err(Mistake::new(what, hint).below(&at.to_string()).below("get"));
            }
        }
        Ok(all)
    }

    /// Names of all journeys.
    pub fn journey_names(&self) -> BTreeSet<String> {
        self.journeys.keys().cloned().chain(self.get.iter().map(stated::Get::journey)).collect()
    }

    /// All journeys with their weights, by name.
    pub fn weights(&self) -> Vec<(String, f64)> {
        let weighed = self.journeys.iter().map(|(name, journey)| (name.clone(), journey.weight));
        let mut all: BTreeMap<String, f64> = weighed.collect();
        all.extend(self.get.iter().map(|get| (get.journey(), 1.0)));
        all.into_iter().collect()
    }

    /// Each `service:port` that the traffic speaks of, with the keys that lead there.
    pub fn places(&self) -> Vec<(Vec<String>, String)> {
        let sinks = self.sinks.iter().filter_map(|(name, sink)| {
            let (key, written) = match (&sink.at, &sink.get) {
                (Some(at), _) => ("at", at),
                (None, Some(url)) => ("get", url),
                (None, None) => return None,
            };
            Some((["sinks", name, key].map(str::to_owned).to_vec(), place_of(written)?))
        });
        let mut all = self.asked();
        all.extend(sinks);
        all
    }

    /// Each `service:port` that journeys ask, once.
    pub fn places_asked(&self) -> BTreeSet<String> {
        self.asked().into_iter().map(|(_, place)| place).collect()
    }

    fn asked(&self) -> Vec<(Vec<String>, String)> {
        let mut all = Vec::new();
        let mut add = |keys: Vec<String>, written: &str| {
            all.extend(place_of(written).map(|place| (keys, place)));
        };
        if let Some(http) = &self.http {
            add(vec!["http".into()], http);
        }
        for (at, get) in self.get.iter().enumerate() {
            add(vec!["get".into(), at.to_string()], &get.url);
        }
        let session = std::iter::once((vec!["session".to_owned()], &self.session));
        let journeys = self.journeys.iter().map(|(name, journey)| {
            (["journeys", name, "steps"].map(str::to_owned).to_vec(), &journey.steps)
        });
        for (keys, steps) in session.chain(journeys) {
            for (at, step) in steps.iter().enumerate() {
                for (key, url) in step.stated() {
                    let own = [at.to_string(), key.to_owned()];
                    add(keys.iter().cloned().chain(own).collect(), url);
                }
            }
        }
        all
    }

    /// Sinks, each with the steps (`journey/step`) that lead to it.
    pub fn steps_to_sinks(&self) -> BTreeMap<String, Vec<String>> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (journey, stated) in &self.journeys {
            for step in &stated.steps {
                for sink in &step.leads_to {
                    all.entry(sink.sink.clone())
                        .or_default()
                        .push(format!("{journey}/{}", step.name));
                }
            }
        }
        all
    }
}

/// The service of a `service:port`.
pub fn service_of(place: &str) -> &str {
    place.split(':').next().unwrap_or_default()
}

/// The `service:port` of an address; none of a path alone.
fn place_of(written: &str) -> Option<String> {
    let rest = written.strip_prefix("http://").unwrap_or(written);
    rest.split('/').next().filter(|place| !place.is_empty()).map(str::to_owned)
}

impl Traffic {
    /// Makes stated traffic ready to be driven.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(stated: &StatedTraffic) -> Result<Traffic, Mistake> {
        rate_and_names(stated)?;
        let all = stated.all_journeys()?;
        let mut places = Places { all: Vec::new(), base: None };
        base(stated, &mut places)?;
        let mut sinks = Vec::new();
        for (name, sink) in &stated.sinks {
            let sink =
                Sink::read(name, sink, &mut places).map_err(|m| m.below(name).below("sinks"))?;
            sinks.push(sink);
        }
        let (journeys, none) = (all.keys().cloned().collect::<BTreeSet<_>>(), BTreeSet::new());
        let session: BTreeSet<String> =
            stated.session.iter().flat_map(|s| s.keep.keys().cloned()).collect();
        let known = Known {
            traffic: stated,
            auth: stated.auth.as_ref(),
            journeys: &journeys,
            session: &session,
            kept: &none,
            drawn: &none,
        };
        if let Some(auth) = &stated.auth {
            // Stated once for all, it is wrong once.
            Says::read(auth, &known).map_err(|m| m.below("auth"))?;
        }
        // Who signs in has no session to speak of.
        let signing_in = Known { auth: None, ..known };
        let session_steps =
            script::steps(SESSION, &stated.session, signing_in, true, &mut places, &sinks)
                .map_err(|m| m.below("session"))?;
        let traffic = Traffic {
            users: users(stated),
            identity: stated.identity.clone(),
            session: session_steps,
            scripts: scripts(&all, known, &mut places, &sinks)?,
            weights: weights(&all)?,
            sinks,
            places: places.all,
        };
        traffic.sinks_are_served(stated)?;
        Ok(traffic)
    }

    fn sinks_are_served(&self, stated: &StatedTraffic) -> Result<(), Mistake> {
        for (at, sink) in self.sinks.iter().enumerate() {
            let below = |m: Mistake| m.below(&sink.name).below("sinks");
            if !self.scripts.values().any(|script| script.leads_to(at)) {
                return Err(below(Mistake::new(
                    format!("no step leads to sink {}", sink.name),
                    "name it under `leads_to` of the steps whose effects arrive there, or remove it",
                )));
            }
            if let SinkOf::Imap { .. } = sink.kind
                && let Some(user) = self.users.iter().find(|u| u.get("password").is_none())
            {
                return Err(below(Mistake::new(
                    format!(
                        "the mailbox of {} can't be read: the user has no password",
                        user.name()
                    ),
                    "state `password` of each user, or one of all as `workload.password`",
                )));
            }
        }
        if self.sinks.iter().any(|s| matches!(s.kind, SinkOf::Imap { .. }))
            && stated.users.is_empty()
        {
            return Err(Mistake::new(
                "there are no users whose mailboxes could be read",
                "name them under `workload.users`",
            )
            .below("sinks"));
        }
        Ok(())
    }

    /// Journeys with their weights, by name.
    pub fn weights(&self) -> Vec<(String, f64)> {
        self.weights.clone()
    }

    /// Names of all journeys.
    pub fn names(&self) -> Vec<&str> {
        self.scripts.keys().map(String::as_str).collect()
    }

    /// `service:port` of all that journeys, the session and sinks ask.
    pub fn places(&self) -> &[String] {
        &self.places
    }

    pub(crate) fn script(&self, name: &str) -> Option<&Arc<Script>> {
        self.scripts.get(name)
    }
}

/// Refuses a rate that can't be driven, and names that can't be sent.
fn rate_and_names(stated: &StatedTraffic) -> Result<(), Mistake> {
    if !(stated.rate > 0.0 && stated.rate <= crate::arrival::FASTEST) {
        let what = format!(
            "rate: seen {}, wanted a number of arrivals a second from above 0 to {}",
            stated.rate,
            crate::arrival::FASTEST
        );
        return Err(Mistake::new(what, "correct the number").below("rate"));
    }
    for (at, user) in stated.users.iter().enumerate() {
        let name = user.name();
        // A name that ends a line or a header would be two.
        if name.is_empty() || name.contains(['\r', '\n']) {
            let what = format!("{name:?} is no name of a user");
            let hint = "write it as in alice@mail.test, or {name: alice, password: ..}";
            return Err(Mistake::new(what, hint).below(&at.to_string()).below("users"));
        }
    }
    let baggage = &stated.identity.baggage;
    if baggage.is_empty()
        || !baggage.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    {
        let what = format!("{baggage:?} is no name for baggage");
        let hint = "letters, digits, dots, dashes and underscores, as in operation.id";
        return Err(Mistake::new(what, hint).below("baggage").below("identity"));
    }
    Ok(())
}

/// Takes the place of paths without one, where it is stated.
fn base(stated: &StatedTraffic, places: &mut Places) -> Result<(), Mistake> {
    let Some(http) = &stated.http else { return Ok(()) };
    match places.read(http) {
        Ok(_) if !http.contains('/') => {
            places.base = Some(http.clone());
            Ok(())
        }
        _ => {
            let what = format!("workload.http: seen `{http}`");
            Err(Mistake::new(what, "write service:port").below("http"))
        }
    }
}

fn scripts(
    all: &BTreeMap<String, StatedJourney>,
    known: Known<'_>,
    places: &mut Places,
    sinks: &[Sink],
) -> Result<BTreeMap<String, Arc<Script>>, Mistake> {
    let stated = known.traffic;
    let mut scripts = BTreeMap::new();
    for (name, journey) in all {
        let below = |m: Mistake| match stated.get.iter().position(|g| g.journey() == *name) {
            // It stands there, and not under journeys.
            Some(at) if !stated.journeys.contains_key(name) => {
                Mistake { keys: vec!["get".into(), at.to_string()], ..m }
            }
            _ => m.below(name).below("journeys"),
        };
        let taken = name == SESSION && !known.session.is_empty();
        if name.is_empty() || name.contains('/') || taken {
            let what = format!("{name:?} is no name of a journey");
            return Err(below(Mistake::new(what, "name it in one word, without a slash")));
        }
        let script = script::script(name, journey, known, places, sinks).map_err(below)?;
        scripts.insert(name.clone(), Arc::new(script));
    }
    Ok(scripts)
}

fn weights(all: &BTreeMap<String, StatedJourney>) -> Result<Vec<(String, f64)>, Mistake> {
    let weights: Vec<(String, f64)> =
        all.iter().map(|(name, journey)| (name.clone(), journey.weight)).collect();
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    if sum > 0.0 && sum.is_finite() {
        return Ok(weights);
    }
    Err(if weights.is_empty() {
        Mistake::new(
            "workload: there is no journey",
            "state `journeys`, or addresses to ask for under `get`",
        )
    } else {
        let names = all.keys().cloned().collect::<Vec<_>>().join(", ");
        Mistake::new(
            "workload.journeys: no journey has a weight above 0",
            format!("the journeys are {names}"),
        )
        .below("journeys")
    })
}

/// Name under which signing in is told.
pub(crate) const SESSION: &str = "session";

/// The users, each with a password of their own.
fn users(stated: &StatedTraffic) -> Vec<User> {
    let mut users = stated.users.clone();
    if let Some(password) = &stated.password {
        for user in &mut users {
            user.0.entry("password".into()).or_insert_with(|| password.clone());
        }
    }
    users
}

#[cfg(test)]
mod tests;
