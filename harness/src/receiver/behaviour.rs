//! Misbehaviour that a drill asks of a stand-in: an error in place of its answer, or a late answer.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How a stand-in is to misbehave. With neither `answer` nor `delay_ms` it behaves again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Stand-in, by name.
    pub receiver: String,
    /// Status that it answers with what it would accept: an HTTP status from 400 to 599, for SMTP a
    /// reply code of the same range (429 and 500 become 451).
    #[serde(default)]
    pub answer: Option<u16>,
    /// Milliseconds by which its answers are late.
    #[serde(default)]
    pub delay_ms: u64,
    /// For how many notifications; for all if not given.
    #[serde(default)]
    pub times: Option<u32>,
}

/// Behaviours in force.
#[derive(Debug, Default)]
pub(crate) struct Behaviours {
    by_receiver: Mutex<HashMap<String, Behaviour>>,
}

impl Behaviours {
    /// Puts a behaviour in force in place of the one before.
    pub(crate) fn put(&self, behaviour: Behaviour) {
        let mut all = self.by_receiver.lock().unwrap_or_else(PoisonError::into_inner);
        if behaviour.answer.is_none() && behaviour.delay_ms == 0 {
            all.remove(&behaviour.receiver);
        } else {
            all.insert(behaviour.receiver.clone(), behaviour);
        }
    }

    /// What to do with a notification that `receiver` would accept: the status in place of the
    /// usual one, and the delay.
    pub(crate) fn next(&self, receiver: Option<&str>) -> (Option<u16>, Duration) {
        let mut all = self.by_receiver.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(behaviour) = receiver.and_then(|r| all.get_mut(r)) else {
            return (None, Duration::ZERO);
        };
        let does = (behaviour.answer, Duration::from_millis(behaviour.delay_ms));
        if let Some(times) = &mut behaviour.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                let done = behaviour.receiver.clone();
                all.remove(&done);
            }
        }
        does
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_as_often_as_asked_and_until_taken_back() {
        let all = Behaviours::default();
        let of = |answer, times| Behaviour { receiver: "a".into(), answer, delay_ms: 0, times };
        assert_eq!(all.next(Some("a")).0, None);
        all.put(of(Some(500), Some(2)));
        let seen: Vec<_> = (0..3).map(|_| all.next(Some("a")).0).collect();
        assert_eq!(seen, [Some(500), Some(500), None]);
        all.put(of(Some(429), None));
        assert_eq!(
            (all.next(Some("a")).0, all.next(Some("b")).0, all.next(None).0),
            (Some(429), None, None)
        );
        all.put(of(None, None));
        assert_eq!(all.next(Some("a")).0, None);
    }
}
