//! Traffic as its owner states it: users, how they sign in, journeys with their steps, and the
//! places that a step's effect must reach.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The traffic of a stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct StatedTraffic {
    /// Arrivals a second.
    pub rate: f64,
    /// `service:port` of what paths without one are asked of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// `service:port` of IMAP, as runs were recorded before there were sinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imap: Option<String>,
    /// Users: their names, or mappings with a `name` and whatever else templates need of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// The password of all users who state none of their own (test data).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// How requests say who asks, unless a step says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Steps by which a user signs in: before the first journey, and again after a request was
    /// refused with 401.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub session: Vec<Step>,
    /// How an operation's id travels.
    #[serde(default, skip_serializing_if = "Identity::is_default")]
    pub identity: Identity,
    /// Journeys by name. A number is the weight of a journey that has a file of its own,
    /// `journeys/NAME.yaml` beside this one.
    #[serde(default)]
    pub journeys: BTreeMap<String, StatedJourney>,
    /// Addresses that are asked for one after the other, each as likely as the next, where nobody
    /// wrote journeys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub get: Vec<Get>,
    /// Where the effects of steps arrive, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, StatedSink>,
}

/// A user: what templates may say of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(transparent)]
pub struct User(pub BTreeMap<String, String>);

impl User {
    /// A user of whom only the name is known.
    pub fn named(name: impl Into<String>) -> User {
        User(BTreeMap::from([("name".to_owned(), name.into())]))
    }

    /// What is stated of one.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.get("name").unwrap_or_default()
    }
}

/// How a request says who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Not at all.
    None,
    /// User and password of Basic authentication.
    Basic([String; 2]),
    /// A token.
    Bearer(String),
}

/// How an operation's id travels, besides the header `X-Operation-Id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Whether requests carry a W3C `traceparent` whose trace is the operation's id. Services then
    /// take up the client's decision that the trace is kept.
    pub traceparent: bool,
    /// Name of the id in W3C `baggage`.
    pub baggage: String,
}

impl Identity {
    fn is_default(&self) -> bool {
        *self == Identity::default()
    }
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { traceparent: false, baggage: "operation.id".to_owned() }
    }
}

/// A journey: what a user does, step by step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatedJourney {
    /// How often it is drawn, compared with the others.
    pub weight: f64,
    /// Shortest and longest time, seconds, for which a user of a closed loop thinks after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think_s: Option<[f64; 2]>,
    /// Values of which one is drawn for each walk, as likely as the next, by the name under which
    /// templates have it. What can't be filled in leaves its turn to the one after it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub draw: BTreeMap<String, Vec<Value>>,
    /// Its steps, in order; none if they are in a file of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// The same, as a mapping.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename = "StatedJourney")]
struct Whole {
    #[serde(default = "one")]
    weight: f64,
    #[serde(default)]
    think_s: Option<[f64; 2]>,
    #[serde(default)]
    draw: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    steps: Vec<Step>,
}

fn one() -> f64 {
    1.0
}

/// A step of a journey: one request. Exactly one of the methods is stated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What is asked with GET: a path, or `service:port/path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// What is asked with POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// What is asked with PUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<String>,
    /// What is asked with PATCH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// What is asked with DELETE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    /// Body, sent as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Body, sent as a form.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub form: BTreeMap<String, String>,
    /// Further headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The status with which it ends as wanted. From 400 on it is a refusal that the journey wants.
    #[serde(default = "ok")]
    pub want: u16,
    /// Values of the JSON answer that later steps need, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keep: BTreeMap<String, Keep>,
    /// How it says who asks, if not as the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Where its effect must arrive once it ended as wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leads_to: Vec<LeadsTo>,
}

fn ok() -> u16 {
    200
}

impl Step {
    /// What is asked, by the key of its method.
    pub fn stated(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let methods = [
            ("get", &self.get),
            ("post", &self.post),
            ("put", &self.put),
            ("patch", &self.patch),
            ("delete", &self.delete),
        ];
        methods.into_iter().filter_map(|(key, url)| Some((key, url.as_deref()?)))
    }
}

/// Which value of an answer is kept: a JSON pointer, in which `*` stands for each element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Keep {
    /// The first that the pointer finds.
    First(String),
    /// Any of those that it finds, drawn.
    Any {
        /// The pointer.
        any: String,
    },
}

/// An effect of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeadsTo {
    /// Where it arrives: one of `sinks`.
    pub sink: String,
    /// At which place of it (whose mailbox); by default at any.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// Where effects arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatedSink {
    /// What kind of place it is.
    pub kind: SinkKind,
    /// `service:port`, of IMAP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What is asked with GET until it answers as wanted, of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// The status that says that it arrived, of HTTP; 200 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub want: Option<u16>,
}

/// A kind of place at which effects arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// Mailboxes of users, who have a name and a password.
    Imap,
    /// An address that answers as wanted once it arrived.
    Http,
}

/// An address to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Get {
    /// Name of the journey; by default made from the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `service:port/path`.
    pub url: String,
    /// The status with which it ends as wanted.
    pub want: u16,
}

impl Get {
    /// Name of its journey.
    pub fn journey(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let (place, path) = self.url.split_once('/').unwrap_or((&self.url, ""));
            let service = super::service_of(place);
            let path = path.split('?').next().unwrap_or_default();
            let word = |c: char| !c.is_ascii_alphanumeric();
            let words = service.split(word).chain(path.split(word)).filter(|w| !w.is_empty());
            words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
        })
    }
}

/// The same, as a mapping.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename = "Get")]
struct WholeGet {
    #[serde(default)]
    name: Option<String>,
    url: String,
    #[serde(default = "ok")]
    want: u16,
}

impl<'de> Deserialize<'de> for StatedJourney {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = StatedJourney;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a weight, or a mapping with steps")
            }
            fn visit_f64<E: serde::de::Error>(self, weight: f64) -> Result<StatedJourney, E> {
                Ok(StatedJourney {
                    weight,
                    think_s: None,
                    draw: BTreeMap::new(),
                    steps: Vec::new(),
                })
            }
            fn visit_u64<E: serde::de::Error>(self, weight: u64) -> Result<StatedJourney, E> {
                self.visit_f64(weight as f64)
            }
            fn visit_i64<E: serde::de::Error>(self, weight: i64) -> Result<StatedJourney, E> {
                self.visit_f64(weight as f64)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StatedJourney, A::Error> {
                let whole = Whole::deserialize(MapAccessDeserializer::new(map))?;
                let Whole { weight, think_s, draw, steps } = whole;
                Ok(StatedJourney { weight, think_s, draw, steps })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Get {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Get;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a mapping with `url`")
            }
            fn visit_str<E>(self, url: &str) -> Result<Get, E> {
                Ok(Get { name: None, url: url.to_owned(), want: ok() })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Get, A::Error> {
                let WholeGet { name, url, want } =
                    WholeGet::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Get { name, url, want })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = User;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or a mapping of words and numbers")
            }
            fn visit_str<E>(self, name: &str) -> Result<User, E> {
                Ok(User::named(name))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<User, A::Error> {
                let stated =
                    BTreeMap::<String, Value>::deserialize(MapAccessDeserializer::new(map))?;
                let text = |(key, value): (String, Value)| match value {
                    Value::String(text) => Ok((key, text)),
                    Value::Number(number) => Ok((key, number.to_string())),
                    Value::Bool(yes) => Ok((key, yes.to_string())),
                    _ => Err(serde::de::Error::custom(format!(
                        "`{key}` of a user is neither a word nor a number"
                    ))),
                };
                stated.into_iter().map(text).collect::<Result<_, _>>().map(User)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

macro_rules! short_or_whole {
    ($type:ty, $name:literal, $short:literal, $whole:ty) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let whole = <$whole>::json_schema(generator);
                json_schema!({"anyOf": [{"type": $short}, whole]})
            }
        }
    };
}

short_or_whole!(StatedJourney, "StatedJourney", "number", Whole);
short_or_whole!(Get, "Get", "string", WholeGet);
short_or_whole!(User, "User", "string", BTreeMap<String, String>);
