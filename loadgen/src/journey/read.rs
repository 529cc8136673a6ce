//! A user opens the mailbox and reads one of the messages that it shows. An empty mailbox ends the
//! journey.

use super::{Journey, JourneyRun, Request, Step};
use crate::closed_loop::Think;
use futures::future::BoxFuture;
use serde_json::Value;
use std::time::Duration;

pub(super) struct Read;

const STEPS: [Step; 2] = [
    Step { name: "list_mailbox", wanted: 200, sends_mail: false },
    Step { name: "fetch", wanted: 200, sends_mail: false },
];

impl Journey for Read {
    fn name(&self) -> &'static str {
        "read"
    }

    fn steps(&self) -> &'static [Step] {
        &STEPS
    }

    /// What was fetched is read.
    fn think(&self) -> Think {
        Think { least: Duration::from_secs(2), most: Duration::from_secs(8) }
    }

    fn walk<'a>(&'a self, turn: &'a mut JourneyRun) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let Some(listed) =
                turn.perform(&STEPS[0], Request::get("/api/v1/mailbox/messages?limit=20")).await
            else {
                return;
            };
            let uids = uids(&listed);
            if let Some(uid) = turn.draw.of(&uids).copied() {
                turn.perform(&STEPS[1], Request::get(format!("/api/v1/mailbox/messages/{uid}")))
                    .await;
            }
        })
    }
}

/// The numbers of the messages in a list, which is an array or the one array in an object.
fn uids(listed: &[u8]) -> Vec<u64> {
    let messages = match serde_json::from_slice(listed) {
        Ok(Value::Array(messages)) => messages,
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .find_map(|(_, v)| if let Value::Array(messages) = v { Some(messages) } else { None })
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    messages.iter().filter_map(|m| m.get("uid")?.as_u64()).collect()
}

#[cfg(test)]
mod tests {
    use super::uids;

    #[test]
    fn messages_are_found_in_either_form_of_list() {
        assert_eq!(uids(br#"[{"uid":7,"subject":"a"},{"uid":9},{"subject":"no uid"}]"#), [7, 9]);
        assert_eq!(uids(br#"{"total":2,"messages":[{"uid":3}]}"#), [3]);
        for nothing in ["", "[]", "{}", "{\"messages\":[]}", "not json"] {
            assert!(uids(nothing.as_bytes()).is_empty(), "{nothing:?}");
        }
    }
}
