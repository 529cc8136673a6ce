//! A user writes to an address that nobody has and must be refused.

use super::{Journey, JourneyRun, Request, Step};
use futures::future::BoxFuture;
use serde_json::json;

pub(super) struct UnknownRecipient;

const STEPS: [Step; 1] = [Step { name: "unknown_recipient", wanted: 422, sends_mail: false }];

impl Journey for UnknownRecipient {
    fn name(&self) -> &'static str {
        "unknown_recipient"
    }

    fn steps(&self) -> &'static [Step] {
        &STEPS
    }

    fn walk<'a>(&'a self, turn: &'a mut JourneyRun) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let (to, mail) = (turn.nobody(), turn.payload());
            let request = Request::post(
                "/api/v1/emails",
                json!({ "to": [to], "subject": mail.subject, "body": mail.body }),
            );
            turn.perform(&STEPS[0], request).await;
        })
    }
}
