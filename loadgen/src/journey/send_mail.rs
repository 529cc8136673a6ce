//! A user sends a mail to another one. That it arrives is seen by the watcher of the recipient's
//! mailbox ([`crate::mailbox`]), which looks for the operation's id in the headers of new mail.

use super::{Journey, JourneyRun, Request, Step};
use crate::closed_loop::Think;
use futures::future::BoxFuture;
use serde_json::json;
use std::time::Duration;

pub(super) struct SendMail;

const STEPS: [Step; 1] = [Step { name: "send", wanted: 202, sends_mail: true }];

impl Journey for SendMail {
    fn name(&self) -> &'static str {
        "send_mail"
    }

    fn steps(&self) -> &'static [Step] {
        &STEPS
    }

    /// The next one has to be written.
    fn think(&self) -> Think {
        Think { least: Duration::from_secs(5), most: Duration::from_secs(15) }
    }

    fn walk<'a>(&'a self, turn: &'a mut JourneyRun) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let (to, mail) = (turn.recipient(), turn.payload());
            let request = Request::post(
                "/api/v1/emails",
                json!({ "to": [to], "subject": mail.subject, "body": mail.body }),
            );
            turn.perform(&STEPS[0], request).await;
        })
    }
}
