//! Sessions: each user signs in before the first journey that needs it, and again after a request
//! was refused with 401.

use super::JourneyRun;
use crate::client::http::Answer;
use crate::draw::{Draw, digest};
use crate::id::Ids;
use crate::traffic::SESSION;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// What signing in kept, by name.
pub(crate) type Session = Arc<HashMap<String, Value>>;

/// How often one user may sign in: numbers of ids are shared out among the users.
const TIMES: u64 = 1 << 32;

/// The sessions of all users. Where there are no users it is one.
pub(crate) struct Sessions {
    ids: Ids,
    seed: u64,
    of_users: Vec<Mutex<OfUser>>,
}

#[derive(Default)]
struct OfUser {
    session: Option<Session>,
    /// How often the user began to sign in.
    times: u64,
}

impl Sessions {
    /// Nobody has signed in.
    pub(crate) fn new(seed: u64, stream: &str, users: usize) -> Sessions {
        let of_users = (0..users.max(1)).map(|_| Mutex::default()).collect();
        Sessions { ids: Ids::new(seed, &format!("{stream}/{SESSION}")), seed, of_users }
    }

    /// A session was refused: the user has to sign in again, unless that has happened already.
    pub(crate) async fn end(&self, user: usize, refused: &Session) {
        if let Some(of_user) = self.of_users.get(user) {
            let mut of_user = of_user.lock().await;
            if of_user.session.as_ref().is_some_and(|now| Arc::ptr_eq(now, refused)) {
                of_user.session = None;
            }
        }
    }
}

impl JourneyRun {
    /// Sees to it that the user has signed in. False if the server did not let the user in. The
    /// journey is due when that is over: signing in has a latency of its own.
    pub(super) async fn signed_in(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let Some(slot) = shared.sessions.of_users.get(self.walk.user) else { return false };
        let mut of_user = match slot.try_lock() {
            Ok(of_user) => of_user,
            Err(_) => {
                let of_user = slot.lock().await;
                self.due = Instant::now();
                of_user
            }
        };
        if let Some(session) = &of_user.session {
            self.walk.session = Arc::clone(session);
            return true;
        }
        let number = self.walk.user as u64 * TIMES + of_user.times;
        of_user.times += 1;
        // When users sign in depends on the answers, so what is drawn for it is drawn apart.
        let apart = Draw::new(shared.sessions.seed ^ digest(SESSION), number);
        let drawn = std::mem::replace(&mut self.walk.draw, apart);
        self.walk.session = Session::default();
        let signed_in = self.sign_in(number).await;
        self.walk.draw = drawn;
        if signed_in {
            of_user.session = Some(Arc::clone(&self.walk.session));
        }
        signed_in
    }

    /// Signs in by the steps of the session, under this number. False if one did not end as wanted.
    async fn sign_in(&mut self, number: u64) -> bool {
        let shared = Arc::clone(&self.shared);
        for (step, action) in shared.traffic.session.iter().enumerate() {
            self.walk.begin(shared.sessions.ids.of(number, step as u64));
            let Some(call) = self.walk.call(action) else { return false };
            let ended = self.perform(SESSION, action, call).await;
            let Some(Answer::Whole { body, .. }) = ended.answer.filter(|_| ended.as_expected)
            else {
                return false;
            };
            let mut kept = (*self.walk.session).clone();
            kept.extend(self.walk.found(action, &body));
            self.walk.session = Arc::new(kept);
            if shared.over.is_cancelled() {
                return false;
            }
        }
        true
    }
}
