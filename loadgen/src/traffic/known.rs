//! What texts may speak of where they stand.

use super::Mistake;
use super::stated::{Auth, StatedTraffic, User};
use super::text::{Hole, Text};
use std::collections::BTreeSet;

/// What texts may speak of.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub traffic: &'k StatedTraffic,
    /// How requests say who asks, unless a step says otherwise.
    pub auth: Option<&'k Auth>,
    /// Names of all journeys.
    pub journeys: &'k BTreeSet<String>,
    /// What steps of the session keep.
    pub session: &'k BTreeSet<String>,
    /// What earlier steps keep.
    pub kept: &'k BTreeSet<String>,
    /// What is drawn.
    pub drawn: &'k BTreeSet<String>,
}

/// Names, for messages.
pub(super) fn named(names: &BTreeSet<String>) -> String {
    match names.len() {
        0 => "nothing".to_owned(),
        _ => names.iter().cloned().collect::<Vec<_>>().join(", "),
    }
}

impl Known<'_> {
    /// Whether all that a text speaks of is known.
    pub(super) fn check(&self, text: &Text) -> Result<(), Mistake> {
        text.holes().try_for_each(|hole| self.hole(hole))
    }

    fn hole(&self, hole: &Hole) -> Result<(), Mistake> {
        let among = |what: &str, name: &String, names: &BTreeSet<String>, hint: &str| {
            if names.contains(name) {
                return Ok(());
            }
            Err(Mistake::new(
                format!("{{{what}.{name}}}: {hint}"),
                format!("known here: {}", named(names)),
            ))
        };
        match hole {
            Hole::Kept(name) => {
                among("kept", name, self.kept, &format!("no earlier step keeps {name}"))
            }
            Hole::Session(name) => {
                among("session", name, self.session, &format!("no step of `session` keeps {name}"))
            }
            Hole::Drawn(name) => {
                among("drawn", name, self.drawn, &format!("`draw` of the journey has no {name}"))
            }
            Hole::Recent(name, _) => {
                among("recent", name, self.journeys, &format!("there is no journey {name}"))
            }
            Hole::User(key) | Hole::Other(key) => {
                let shared = key == "password" && self.traffic.password.is_some();
                if self.traffic.users.is_empty() {
                    return Err(Mistake::new(
                        format!("{{user.{key}}}: there is no user"),
                        "name at least one under `workload.users`",
                    ));
                }
                let without = |u: &&User| !shared && u.get(key).is_none();
                match self.traffic.users.iter().find(without) {
                    None => Ok(()),
                    Some(user) => Err(Mistake::new(
                        format!("{{user.{key}}}: user {} has no {key}", user.name()),
                        format!("state `{key}` of each user under `workload.users`"),
                    )),
                }
            }
            Hole::Id
            | Hole::Number
            | Hole::Subject
            | Hole::Token
            | Hole::Body
            | Hole::Word
            | Hole::Hex(_) => Ok(()),
        }
    }
}
