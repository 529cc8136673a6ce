//! A user searches for a word: one that is in many mails, or one that is in a single mail sent
//! lately.

use super::{Journey, JourneyRun, Request, Step};
use futures::future::BoxFuture;

pub(super) struct Search;

const STEPS: [Step; 1] = [Step { name: "search", wanted: 200, sends_mail: false }];

impl Journey for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn steps(&self) -> &'static [Step] {
        &STEPS
    }

    fn walk<'a>(&'a self, turn: &'a mut JourneyRun) -> BoxFuture<'a, ()> {
        Box::pin(async {
            // Letters only: nothing to escape.
            let word = turn.search_word();
            turn.perform(&STEPS[0], Request::get(format!("/api/v1/emails/search?q={word}"))).await;
        })
    }
}
