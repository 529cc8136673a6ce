//! A user mistypes the password and must be refused.

use super::{Journey, JourneyRun, Request, Step};
use futures::future::BoxFuture;

pub(super) struct WrongPassword;

const STEPS: [Step; 1] = [Step { name: "wrong_password", wanted: 401, sends_mail: false }];

impl Journey for WrongPassword {
    fn name(&self) -> &'static str {
        "wrong_password"
    }

    fn steps(&self) -> &'static [Step] {
        &STEPS
    }

    fn walk<'a>(&'a self, turn: &'a mut JourneyRun) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let password = Some(turn.wrong_password());
            turn.perform(
                &STEPS[0],
                Request { password, ..Request::get("/api/v1/emails?limit=10") },
            )
            .await;
        })
    }
}
