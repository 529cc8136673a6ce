//! A user looks at the newest mails.

use super::{Journey, JourneyRun, Request, Step};
use futures::future::BoxFuture;

pub(super) struct List;

const STEPS: [Step; 1] = [Step { name: "list", wanted: 200, sends_mail: false }];

impl Journey for List {
    fn name(&self) -> &'static str {
        "list"
    }

    fn steps(&self) -> &'static [Step] {
        &STEPS
    }

    fn walk<'a>(&'a self, turn: &'a mut JourneyRun) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let limit = turn.draw.of(&[10, 20, 50]).copied().unwrap_or(20);
            turn.perform(&STEPS[0], Request::get(format!("/api/v1/emails?limit={limit}"))).await;
        })
    }
}
