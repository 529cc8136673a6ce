//! What is wrong, and what to do about it: two things, until somebody prints them.

use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// An error that a user may have to deal with. Its `Display` says what is wrong, and no more.
pub trait Advised: Display {
    /// What to do about it, if something is known: one line.
    fn hint(&self) -> Option<String>;

    /// Both.
    fn advice(&self) -> Advice {
        Advice { what: self.to_string(), hint: self.hint() }
    }
}

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct Advice {
    /// What is wrong.
    pub what: String,
    /// What to do about it, if something is known.
    pub hint: Option<String>,
}

impl Advice {
    /// What is wrong, with what to do about it.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Advice {
        Advice { what: what.into(), hint: Some(hint.into()) }
    }

    /// Both, a line each: for a result that keeps an error as text.
    pub fn text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}\nhint: {hint}", self.what),
            None => self.what.clone(),
        }
    }
}

impl From<String> for Advice {
    fn from(what: String) -> Advice {
        Advice { what, hint: None }
    }
}

impl Advised for Advice {
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Traffic;
    use crate::traffic::stated::StatedTraffic;
    use crate::{Arrival, TargetError, WorkloadError};
    use std::io::Error;

    /// An error's words, and that no hint is in them.
    fn apart(error: &dyn Advised) -> String {
        let advice = error.advice();
        assert!(!advice.what.contains("hint:"), "{}", advice.what);
        assert!(advice.hint.as_ref().is_none_or(|h| !h.contains('\n')), "{:?}", advice.hint);
        advice.text()
    }

    #[test]
    fn what_to_do_stays_apart_until_both_are_wanted_as_text() {
        let shape = "rampp".parse::<Arrival>().expect_err("no shape");
        assert!(apart(&shape).starts_with("arrival shape \"rampp\" is unknown\nhint: constant,"));
        let unknown = WorkloadError::Journey("fly".into(), vec!["list".into()]);
        assert!(apart(&unknown).contains("there are list\nhint: name journeys as in"));
        let no_rate = Traffic::read(&StatedTraffic::default()).expect_err("no rate");
        assert!(apart(&no_rate).contains("\nhint: correct the number"));
        let place = TargetError::Unreadable("x".into());
        assert!(apart(&place).ends_with("hint: write it as \"127.0.0.1:5000\""));
        let log = crate::direct::DirectError::Log(Error::other("no room"));
        assert!(apart(&log).ends_with("no room\nhint: name another file with --hdr-log"));
        let refused = crate::direct::DirectError::System(Error::other("no"));
        assert_eq!(apart(&refused), "the load can't be driven: no");
    }
}
