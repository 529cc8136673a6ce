//! The closed loop: a number of users, each of whom waits for the answer, thinks, and goes on.
//!
//! It answers how much so many users get done. It does not answer how long users wait: who waits
//! sends nothing meanwhile, so a server that stops is charged with one slow answer a user, and not
//! with all who would have come (coordinated omission). The open loop ([`crate::run`]) answers
//! that. Slip is told here too: how much later a user went on than it had thought to.

mod goose_users;

use crate::advice::{Advice, Advised};
use crate::arrival::{ShapeError, duration};
use crate::draw::{Draw, digest};
use crate::journey::{JourneyRun, Shared};
use futures::FutureExt;
pub use goose_users::keep_interrupts;
pub(crate) use goose_users::{UserPool, UserTask};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use verdict::history::load::{self, LoadSummary, Pacing};

/// Most users at once.
pub const MOST_USERS: usize = 10_000;
/// Turns that one user may take: numbers of arrivals are shared out among the users.
const TURNS: u64 = 1 << 32;

/// The users of a closed loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Users {
    /// How many at once, from 1 to [`MOST_USERS`].
    pub count: usize,
    /// How long they think between an answer and their next journey; without it as long as each
    /// journey says.
    pub think: Option<Think>,
}

/// How long a user thinks: evenly distributed between two times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Think {
    pub least: Duration,
    pub most: Duration,
}

impl FromStr for Think {
    type Err = Advice;

    /// Reads `1s..3s`, or `2s` for always the same.
    fn from_str(text: &str) -> Result<Think, Advice> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let read = |text: &str| duration(text.trim()).map_err(|e: ShapeError| e.advice());
        let think = Think { least: read(least)?, most: read(most)? };
        if think.least <= think.most {
            Ok(think)
        } else {
            Err(Advice::new(format!("{text:?} ends before it begins"), "as in 1s..3s"))
        }
    }
}

impl Think {
    /// One time.
    pub(crate) fn draw(&self, draw: &mut Draw) -> Duration {
        self.least + (self.most - self.least).mul_f64(draw.unit())
    }
}

/// A user's own clock: when the next turn is due, and what thinking times are drawn from.
pub(crate) struct Pulse {
    draw: Draw,
    /// When the next turn is due.
    pub due: Instant,
}

impl Pulse {
    /// That of a user who comes now, and begins after a part of a thinking time: users don't come
    /// in step.
    pub fn new(seed: u64, user: u64, think: Think) -> Pulse {
        let mut draw = Draw::new(seed ^ digest("think"), user);
        let first = think.draw(&mut draw).mul_f64(draw.unit());
        Pulse { draw, due: Instant::now() + first }
    }

    /// Waits until the next turn is due. False if the load is over.
    pub async fn wait(&self, over: &CancellationToken) -> bool {
        if self.due <= Instant::now() {
            // Those who don't think must let others have their turn.
            tokio::task::consume_budget().await;
            return !over.is_cancelled();
        }
        over.run_until_cancelled(sleep_until(self.due)).await.is_some()
    }

    /// The turn is over: now the user thinks.
    pub fn think(&mut self, think: Think) {
        self.due = Instant::now() + think.draw(&mut self.draw);
    }
}

/// Has users walk journeys until the load is over and the last of them ended. Returns how long
/// journeys were begun.
pub(crate) async fn walk(
    crowd: UserPool,
    users: &Users,
    duration: Option<Duration>,
    shared: &Arc<Shared>,
    halt: &CancellationToken,
) -> Result<Duration, String> {
    let (theirs, think) = (Arc::clone(shared), users.think);
    let life: UserTask = Arc::new(move |user| one(Arc::clone(&theirs), user, think).boxed());
    live(crowd, life, duration, &shared.over, halt, shared.began).await
}

/// Has users live until the load is over, of which `over` tells them, and the last of them ended.
/// Returns how long turns were begun.
pub(crate) async fn live(
    crowd: UserPool,
    life: UserTask,
    duration: Option<Duration>,
    over: &CancellationToken,
    halt: &CancellationToken,
    began: Instant,
) -> Result<Duration, String> {
    // Whatever ends this future ends the users.
    let _guard = over.clone().drop_guard();
    let ends = async {
        let driven = ends(duration, halt, began).await;
        over.cancel();
        driven
    };
    let lived = async {
        let lived = crowd.live(life).await;
        // Nobody is left: the load is over.
        halt.cancel();
        lived
    };
    let (driven, lived) = tokio::join!(ends, lived);
    lived.map(|()| driven)
}

/// Waits until no turn is to be begun any more. Returns how long that took from the beginning.
async fn ends(duration: Option<Duration>, halt: &CancellationToken, began: Instant) -> Duration {
    let end = async {
        match duration {
            Some(duration) => sleep(duration.saturating_sub(began.elapsed())).await,
            None => std::future::pending().await,
        }
    };
    halt.run_until_cancelled(end).await;
    duration.map_or(began.elapsed(), |d| d.min(began.elapsed()))
}

/// One user, until the load is over.
async fn one(shared: Arc<Shared>, user: u64, think: Option<Think>) {
    let seed = shared.casting.seed;
    let turn = |number, due| {
        JourneyRun::new(Arc::clone(&shared), user * TURNS + number, due).of_user(user)
    };
    let mut pulse =
        Pulse::new(seed, user, think.unwrap_or_else(|| turn(0, Instant::now()).think()));
    for number in 0..TURNS {
        if !pulse.wait(&shared.over).await {
            return;
        }
        shared.recorder().arrived();
        let mut turn = turn(number, pulse.due);
        turn.walk().await;
        pulse.think(think.unwrap_or_else(|| turn.think()));
    }
}

/// States that a load was one of users.
pub(crate) fn state(summary: &mut LoadSummary, users: Option<&Users>) {
    if let Some(users) = users {
        summary.pacing = Pacing::Closed;
        let think_ms = users.think.map(|t| [t.least, t.most].map(|d| d.as_secs_f64() * 1e3));
        summary.users = Some(load::Users { count: users.count as u64, think_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thinking_times_are_read() {
        let s = Duration::from_secs;
        assert_eq!("1s..3s".parse(), Ok(Think { least: s(1), most: s(3) }));
        assert_eq!("2s".parse(), Ok(Think { least: s(2), most: s(2) }));
        assert_eq!("0s".parse(), Ok(Think { least: s(0), most: s(0) }));
        for text in ["", "1..3", "3s..1s", "1s..", "1s..3", "fast"] {
            assert!(text.parse::<Think>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_thinking_time_is_within_its_bounds_and_follows_from_the_seed(seed: u64, user in 0u64..1000, a in 0u64..5000, b in 0u64..5000) {
            let think = Think { least: Duration::from_millis(a.min(b)), most: Duration::from_millis(a.max(b)) };
            let (mut once, mut again) = (Draw::new(seed, user), Draw::new(seed, user));
            for _ in 0..20 {
                let drawn = think.draw(&mut once);
                prop_assert!((think.least..=think.most).contains(&drawn));
                prop_assert_eq!(drawn, think.draw(&mut again));
            }
        }
    }
}
