//! Stated steps made ready to be walked, or what is wrong with them.

use super::known::{Known, named};
use super::stated::{Auth, Keep, StatedJourney, Step};
use super::text::{Hole, Json, Text};
use super::{Mistake, Sink};
use crate::closed_loop::Think;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a user of a closed loop thinks after a journey that says nothing of it.
const THINK: Think = Think { least: Duration::from_secs(1), most: Duration::from_secs(3) };

/// A journey that can be walked.
#[derive(Debug)]
pub(crate) struct Script {
    pub name: String,
    pub think: Think,
    pub draws: BTreeMap<String, Vec<Json>>,
    pub steps: Vec<Action>,
    /// Whether a walk needs a session.
    pub signs_in: bool,
}

/// A step that can be walked.
#[derive(Debug)]
pub(crate) struct Action {
    pub name: String,
    /// `journey/step`.
    pub part: String,
    pub method: Method,
    /// Number of its place in [`super::Traffic::places`].
    pub place: usize,
    /// Path and query.
    pub path: Text,
    pub body: Option<Body>,
    pub headers: Vec<(HeaderName, Text)>,
    pub auth: Says,
    pub wanted: u16,
    pub keep: Vec<(String, Pointer)>,
    /// Numbers of sinks, and at which place of them.
    pub leads_to: Vec<(usize, Option<Text>)>,
}

impl Script {
    /// Whether a step of it leads to the sink of this number.
    pub(crate) fn leads_to(&self, sink: usize) -> bool {
        self.steps.iter().any(|action| action.leads_to.iter().any(|(to, _)| *to == sink))
    }
}

impl Action {
    /// Whether it needs a session.
    fn signs_in(&self) -> bool {
        let mut found = self.auth.signs_in()
            || self.path.is_of_session()
            || self.headers.iter().any(|(_, text)| text.is_of_session());
        match &self.body {
            Some(Body::Json(json)) => {
                json.texts(&mut Vec::new(), &mut |_, text| found |= text.is_of_session());
            }
            Some(Body::Form(fields)) => {
                found |= fields.iter().any(|(_, text)| text.is_of_session());
            }
            None => {}
        }
        found
    }
}

/// What is sent along.
#[derive(Debug)]
pub(crate) enum Body {
    Json(Json),
    Form(Vec<(String, Text)>),
}

/// How a request says who asks.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    Nothing,
    Basic(Text, Text),
    Bearer(Text),
}

/// A JSON pointer, in which `*` stands for each element.
#[derive(Debug)]
pub(crate) struct Pointer {
    steps: Vec<String>,
    /// Whether any of the values found will do.
    pub any: bool,
}

impl Pointer {
    fn read(keep: &Keep) -> Result<Pointer, Mistake> {
        let (written, any) = match keep {
            Keep::First(written) => (written, false),
            Keep::Any { any } => (any, true),
        };
        let Some(rest) = written.strip_prefix('/') else {
            return Err(Mistake::new(
                format!("{written:?} leads nowhere in an answer"),
                "write a JSON pointer, as in /token, or {any: /messages/*/uid}",
            ));
        };
        let steps = rest.split('/').map(|s| s.replace("~1", "/").replace("~0", "~")).collect();
        Ok(Pointer { steps, any })
    }

    /// What it finds.
    pub(crate) fn find<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![root];
        for step in &self.steps {
            found = found
                .into_iter()
                .flat_map(|value| match (value, step.as_str()) {
                    (Value::Array(items), "*") => items.iter().collect(),
                    (Value::Object(fields), "*") => fields.values().collect(),
                    (Value::Array(items), at) => {
                        at.parse::<usize>().ok().and_then(|at| items.get(at)).into_iter().collect()
                    }
                    (Value::Object(fields), key) => fields.get(key).into_iter().collect::<Vec<_>>(),
                    _ => Vec::new(),
                })
                .collect();
        }
        found.into_iter().filter(|v| !v.is_null()).collect()
    }
}

/// Where stated addresses lead.
pub(super) struct Places {
    pub all: Vec<String>,
    /// The place of paths without one.
    pub base: Option<String>,
}

impl Places {
    /// Reads `service:port/path`, or a path.
    pub(super) fn read(&mut self, written: &str) -> Result<(usize, Text), Mistake> {
        let wrong = |hint: &str| {
            Err(Mistake::new(format!("{written:?} is no address to ask"), hint.to_owned()))
        };
        let rest = written.strip_prefix("http://").unwrap_or(written);
        if rest.starts_with("https://") {
            return wrong("journeys speak plain HTTP; write service:port/path");
        }
        let (place, path) = match rest.find('/') {
            Some(0) => match &self.base {
                Some(base) => (base.clone(), rest),
                None => {
                    return wrong(
                        "write service:port/path, or state `workload.http` for paths without one",
                    );
                }
            },
            Some(at) => (rest[..at].to_owned(), &rest[at..]),
            None => (rest.to_owned(), "/"),
        };
        let port = place.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) || place.contains('{') {
            return wrong("write service:port/path, as in web:8080/health");
        }
        let path = Text::read(path)?;
        if format!("http://x{}", path.sample()).parse::<hyper::Uri>().is_err() {
            return wrong("write what a path can't hold in percents, a blank as %20");
        }
        let at = self.all.iter().position(|p| *p == place).unwrap_or_else(|| {
            self.all.push(place);
            self.all.len() - 1
        });
        Ok((at, path))
    }
}

impl Says {
    pub(super) fn read(stated: &Auth, known: &Known<'_>) -> Result<Says, Mistake> {
        let text = |keys: &[&str], text: &str| {
            let below = |m: Mistake| keys.iter().rev().fold(m, |m, key| m.below(key));
            let text = Text::read(text).map_err(below)?;
            known.check(&text).map_err(below).map(|()| text)
        };
        Ok(match stated {
            Auth::None => Says::Nothing,
            Auth::Basic([user, password]) => {
                Says::Basic(text(&["basic", "0"], user)?, text(&["basic", "1"], password)?)
            }
            Auth::Bearer(token) => Says::Bearer(text(&["bearer"], token)?),
        })
    }

    fn signs_in(&self) -> bool {
        match self {
            Says::Nothing => false,
            Says::Basic(user, password) => user.is_of_session() || password.is_of_session(),
            Says::Bearer(token) => token.is_of_session(),
        }
    }
}

/// Reads a step. `known` is what earlier steps left.
pub(super) fn action(
    journey: &str,
    step: &Step,
    known: Known<'_>,
    places: &mut Places,
    sinks: &[Sink],
) -> Result<Action, Mistake> {
    if step.name.is_empty() || step.name.contains('/') {
        return Err(Mistake::new(
            format!("{:?} is no name of a step", step.name),
            "name it in one word, without a slash",
        )
        .below("name"));
    }
    let (key, url) = asked(step)?;
    let (place, path) = places.read(url).map_err(|m| m.below(key))?;
    known.check(&path).map_err(|m| m.below(key))?;
    let body = body(step, &known)?;
    let headers = headers(step, &known)?;
    if !(100..600).contains(&step.want) {
        let what = format!("want: seen {}, wanted an HTTP status", step.want);
        return Err(Mistake::new(what, "as in 200").below("want"));
    }
    let auth = step.auth.as_ref().or(known.auth);
    let auth = auth.map_or(Ok(Says::Nothing), |a| Says::read(a, &known));
    let auth = auth.map_err(|m| m.below("auth"))?;
    let mut keep = Vec::new();
    for (name, stated) in &step.keep {
        let pointer = Pointer::read(stated).map_err(|m| m.below(name).below("keep"))?;
        keep.push((name.clone(), pointer));
    }
    let mut kept = known.kept.clone();
    kept.extend(step.keep.keys().cloned());
    let leads_to = leads_to(step, &Known { kept: &kept, ..known }, sinks)?;
    Ok(Action {
        name: step.name.clone(),
        part: format!("{journey}/{}", step.name),
        method: method(key),
        place,
        path,
        body,
        headers,
        auth,
        wanted: step.want,
        keep,
        leads_to,
    })
}

/// What is asked: the key, which names the method, and the address.
fn asked(step: &Step) -> Result<(&'static str, &str), Mistake> {
    let stated: Vec<_> = step.stated().collect();
    let &[asked] = stated.as_slice() else {
        let seen = stated.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(" and ");
        let seen = if seen.is_empty() { "no method" } else { &seen };
        return Err(Mistake::new(
            format!("step {} asks with {seen}", step.name),
            "state one of get, post, put, patch and delete",
        ));
    };
    Ok(asked)
}

fn method(key: &str) -> Method {
    match key {
        "post" => Method::POST,
        "put" => Method::PUT,
        "patch" => Method::PATCH,
        "delete" => Method::DELETE,
        _ => Method::GET,
    }
}

fn body(step: &Step, known: &Known<'_>) -> Result<Option<Body>, Mistake> {
    match (&step.json, step.form.is_empty()) {
        (Some(json), true) => {
            let json = Json::read(json).map_err(|m| m.below("json"))?;
            known_json(known, &json).map_err(|m| m.below("json"))?;
            Ok(Some(Body::Json(json)))
        }
        (None, true) => Ok(None),
        (None, false) => Ok(Some(Body::Form(texts(&step.form, "form", known)?))),
        (Some(_), false) => {
            let what = format!("step {} has two bodies", step.name);
            Err(Mistake::new(what, "state `json` or `form`").below("form"))
        }
    }
}

fn headers(step: &Step, known: &Known<'_>) -> Result<Vec<(HeaderName, Text)>, Mistake> {
    texts(&step.headers, "headers", known)?
        .into_iter()
        .map(|(name, text)| {
            let wrong = |_| {
                Mistake::new(format!("{name:?} is no name of a header"), "as in Accept")
                    .below(&name)
                    .below("headers")
            };
            Ok((HeaderName::try_from(&name).map_err(wrong)?, text))
        })
        .collect()
}

/// The sinks that a step leads to. `known` is what it leaves.
fn leads_to(
    step: &Step,
    known: &Known<'_>,
    sinks: &[Sink],
) -> Result<Vec<(usize, Option<Text>)>, Mistake> {
    let mut leads_to = Vec::new();
    for (at, stated) in step.leads_to.iter().enumerate() {
        let below = |m: Mistake| m.below(&at.to_string()).below("leads_to");
        let Some(number) = sinks.iter().position(|s| s.name == stated.sink) else {
            let all: BTreeSet<String> = sinks.iter().map(|s| s.name.clone()).collect();
            return Err(below(
                Mistake::new(
                    format!("there is no sink {}", stated.sink),
                    format!("state it under `workload.sinks`; there: {}", named(&all)),
                )
                .below("sink"),
            ));
        };
        if let Some(url) = sinks[number].url() {
            known.check(url).map_err(|m| below(m.below("sink")))?;
            if stated.place.is_some() {
                // Its effects are seen at that address, and at no other place.
                let what = format!("sink {} is an address, and has no places", stated.sink);
                let hint = "remove `where`, and let the address under `workload.sinks` say what is looked for";
                return Err(below(Mistake::new(what, hint).below("where")));
            }
        }
        let place = stated.place.as_ref().map(|text| {
            let text = Text::read(text)?;
            known.check(&text).map(|()| text)
        });
        leads_to.push((number, place.transpose().map_err(|m| below(m.below("where")))?));
    }
    Ok(leads_to)
}

fn texts(
    stated: &BTreeMap<String, String>,
    key: &str,
    known: &Known<'_>,
) -> Result<Vec<(String, Text)>, Mistake> {
    let one = |(name, text): (&String, &String)| {
        let text = Text::read(text)?;
        known.check(&text).map(|()| (name.clone(), text))
    };
    stated.iter().map(|s| one(s).map_err(|m| m.below(s.0).below(key))).collect()
}

fn known_json(known: &Known<'_>, json: &Json) -> Result<(), Mistake> {
    let mut checked = Ok(());
    json.texts(&mut Vec::new(), &mut |keys, text| {
        if checked.is_ok() {
            checked = known
                .check(text)
                .map_err(|m| keys.iter().rev().fold(m, |mistake, key| mistake.below(key)));
        }
    });
    checked
}

/// Reads the steps of one journey, or of the session (whose steps keep for the session).
pub(super) fn steps(
    journey: &str,
    steps: &[Step],
    known: Known<'_>,
    of_session: bool,
    places: &mut Places,
    sinks: &[Sink],
) -> Result<Vec<Action>, Mistake> {
    if steps.len() as u64 > crate::id::STEPS {
        return Err(Mistake::new(
            format!("journey {journey} has {} steps", steps.len()),
            format!("at most {}; make two journeys of it", crate::id::STEPS),
        ));
    }
    let (mut kept, mut actions, none) = (BTreeSet::new(), Vec::<Action>::new(), BTreeSet::new());
    for (at, step) in steps.iter().enumerate() {
        let below = |m: Mistake| m.below(&at.to_string());
        let known = match of_session {
            true => Known { session: &kept, kept: &none, ..known },
            false => Known { kept: &kept, ..known },
        };
        let action = action(journey, step, known, places, sinks).map_err(below)?;
        if actions.iter().any(|a| a.name == action.name) {
            return Err(below(
                Mistake::new(
                    format!("journey {journey} has two steps {}", action.name),
                    "give each step a name of its own",
                )
                .below("name"),
            ));
        }
        kept.extend(step.keep.keys().cloned());
        actions.push(action);
    }
    Ok(actions)
}

/// Reads a journey.
pub(super) fn script(
    name: &str,
    stated: &StatedJourney,
    known: Known<'_>,
    places: &mut Places,
    sinks: &[Sink],
) -> Result<Script, Mistake> {
    if stated.steps.is_empty() {
        return Err(Mistake::new(
            format!("journey {name} has no steps"),
            format!("write its `steps` here, or into journeys/{name}.yaml beside this file"),
        ));
    }
    if !stated.weight.is_finite() || stated.weight < 0.0 {
        let what = format!("weight: seen {}, wanted a number from 0", stated.weight);
        return Err(Mistake::new(what, "correct the number").below("weight"));
    }
    let think = match stated.think_s {
        None => THINK,
        Some([least, most]) if 0.0 <= least && least <= most && most <= 86_400.0 => {
            Think { least: Duration::from_secs_f64(least), most: Duration::from_secs_f64(most) }
        }
        Some(seen) => {
            let what = format!("think_s: seen {seen:?}, wanted two numbers of seconds");
            return Err(Mistake::new(what, "the shorter time first, as in [1, 3]").below("think_s"));
        }
    };
    let drawn: BTreeSet<String> = stated.draw.keys().cloned().collect();
    let known = Known { drawn: &drawn, ..known };
    let draws = draws(name, stated, known)?;
    let steps =
        steps(name, &stated.steps, known, false, places, sinks).map_err(|m| m.below("steps"))?;
    let signs_in = steps.iter().any(Action::signs_in);
    Ok(Script { name: name.to_owned(), think, draws, steps, signs_in })
}

/// Reads what is drawn for a walk.
fn draws(
    journey: &str,
    stated: &StatedJourney,
    known: Known<'_>,
) -> Result<BTreeMap<String, Vec<Json>>, Mistake> {
    let mut draws: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for (name, values) in &stated.draw {
        let below = |m: Mistake| m.below(name).below("draw");
        if values.is_empty() {
            let what = format!("draw: {name} has no value to draw");
            return Err(below(Mistake::new(what, "list at least one")));
        }
        let mut read = Vec::new();
        for (at, value) in values.iter().enumerate() {
            let below = |m: Mistake| below(m.below(&at.to_string()));
            let json = Json::read(value).map_err(below)?;
            known_json(&known, &json).map_err(below)?;
            read.push(json);
        }
        draws.insert(name.clone(), read);
    }
    // What is drawn may name what else is drawn, but not in a circle.
    let names = |values: &[Json]| {
        let mut found = BTreeSet::new();
        for value in values {
            value.texts(&mut Vec::new(), &mut |_, text| {
                found.extend(text.holes().filter_map(|hole| match hole {
                    Hole::Drawn(name) => Some(name.clone()),
                    _ => None,
                }));
            });
        }
        found
    };
    for first in draws.keys() {
        let (mut path, mut reached) = (vec![first.clone()], BTreeSet::new());
        let mut open: Vec<(String, usize)> = vec![(first.clone(), 1)];
        while let Some((name, depth)) = open.pop() {
            path.truncate(depth.saturating_sub(1));
            path.push(name.clone());
            for next in draws.get(&name).map(|v| names(v)).unwrap_or_default() {
                if next == *first {
                    path.push(next);
                    return Err(Mistake::new(
                        format!("journey {journey} draws in a circle: {}", path.join(", ")),
                        "let one of them name none of the others",
                    )
                    .below(first)
                    .below("draw"));
                }
                if reached.insert(next.clone()) {
                    open.push((next, depth + 1));
                }
            }
        }
    }
    Ok(draws)
}

/// A value of a header, in one line.
pub(crate) fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(text.replace(['\n', '\r'], " ")).ok()
}
