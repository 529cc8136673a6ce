//! Where the effects of steps arrive: one file below for each kind. An effect that is seen is handed
//! on as [`LoadEvent::Seen`](verdict::history::load::LoadEvent::Seen), and what was acknowledged is
//! awaited at the end of a load.

pub mod http;
pub mod imap;

use crate::traffic::{SinkOf, Traffic};
use hyper::HeaderMap;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use verdict::history::load::LoadEvent;

/// Effects of a stream that have not been seen yet.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    inner: Mutex<Effects>,
    progress: Notify,
}

#[derive(Debug, Default)]
struct Effects {
    /// Acknowledged and not seen: at which place it is awaited, if at a certain one.
    waiting: HashMap<String, Option<String>>,
    /// Seen before its acknowledgement came (if it ever does), and where.
    early: HashSet<(String, String)>,
}

impl Outstanding {
    fn inner(&self) -> MutexGuard<'_, Effects> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step was acknowledged; its effect must be seen at this place, or at any.
    fn acknowledged(&self, id: &str, place: Option<String>) {
        let mut inner = self.inner();
        let early = |(seen, at): &(String, String)| {
            seen == id && place.as_ref().is_none_or(|place| place == at)
        };
        let before = inner.early.len();
        inner.early.retain(|seen| !early(seen));
        if inner.early.len() == before {
            inner.waiting.insert(id.to_owned(), place);
        }
    }

    /// Its first copy was seen at a place.
    fn seen(&self, id: &str, at: &str) {
        let mut inner = self.inner();
        match inner.waiting.get(id) {
            Some(place) if place.as_ref().is_none_or(|place| place == at) => {
                inner.waiting.remove(id);
            }
            // Elsewhere than it should be, it is still missing where it should be.
            Some(_) => {}
            None => {
                inner.early.insert((id.to_owned(), at.to_owned()));
            }
        }
        drop(inner);
        self.progress.notify_one();
    }

    /// How many are still awaited.
    fn count(&self) -> usize {
        self.inner().waiting.len()
    }

    /// Waits until none is awaited any more, or none came for `still`, or `bound` is over. Returns
    /// how many are missing.
    async fn settle(&self, still: Duration, bound: Duration) -> usize {
        let _ = timeout(bound, async {
            while self.count() > 0 && timeout(still, self.progress.notified()).await.is_ok() {}
        })
        .await;
        self.count()
    }
}

/// What is asked for an effect, where something is.
#[derive(Debug, Clone)]
pub(crate) struct Asks {
    pub origin: SocketAddr,
    pub path: String,
    pub headers: HeaderMap,
}

/// Takes the effects of steps that were acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    outstanding: Arc<Outstanding>,
    asked: Option<mpsc::UnboundedSender<(String, Asks)>>,
}

impl Awaited {
    /// A step was acknowledged.
    pub(crate) fn acknowledged(&self, id: &str, place: Option<String>, asks: Option<Asks>) {
        match (&self.asked, asks) {
            (Some(asked), Some(asks)) => {
                self.outstanding.acknowledged(id, place);
                // Whoever asks lives as long as the load.
                let _ = asked.send((id.to_owned(), asks));
            }
            // It can't be looked for.
            (Some(_), None) => {}
            (None, _) => self.outstanding.acknowledged(id, place),
        }
    }
}

enum Watcher {
    Imap(imap::Watch),
    Http(http::Watch),
}

struct Watched {
    name: String,
    outstanding: Arc<Outstanding>,
    watcher: Watcher,
}

/// Watchers of the sinks that a load leads to. Dropped, they stop.
pub(crate) struct Sinks(Vec<Watched>);

impl Sinks {
    /// Watches these sinks, told by number. Addresses are those of the traffic's places. Returns who
    /// takes what is to be awaited, for each sink of the traffic.
    pub(crate) async fn watch(
        traffic: &Traffic,
        wanted: &[bool],
        places: &[SocketAddr],
        events: &mpsc::Sender<LoadEvent>,
        within: Duration,
    ) -> (Sinks, Vec<Option<Awaited>>) {
        let (mut watched, mut awaited) = (Vec::new(), Vec::new());
        for (sink, wanted) in traffic.sinks.iter().zip(wanted) {
            if !wanted {
                awaited.push(None);
                continue;
            }
            let outstanding = Arc::new(Outstanding::default());
            let (name, at) = (sink.name.clone(), places[sink.place()]);
            let (watcher, asked) = match &sink.kind {
                SinkOf::Imap { .. } => {
                    let mailboxes: Vec<(String, String)> = (traffic.users.iter())
                        .map(|user| {
                            let password = user.get("password").unwrap_or_default();
                            (user.name().to_owned(), password.to_owned())
                        })
                        .collect();
                    let outstanding = Some(Arc::clone(&outstanding));
                    let mut watch = imap::Watch::with(at, &name, &mailboxes, events, outstanding);
                    watch.ready(within).await;
                    (Watcher::Imap(watch), None)
                }
                SinkOf::Http { wanted, .. } => {
                    let (asked, asks) = mpsc::unbounded_channel();
                    let outstanding = Arc::clone(&outstanding);
                    let watch = http::Watch::start(&name, *wanted, asks, events, outstanding);
                    (Watcher::Http(watch), Some(asked))
                }
            };
            awaited.push(Some(Awaited { outstanding: Arc::clone(&outstanding), asked }));
            watched.push(Watched { name, outstanding, watcher });
        }
        (Sinks(watched), awaited)
    }

    /// Waits for what is still missing: until none came for `still`, or `bound` is over; then looks
    /// once more and stops. Returns why effects are missing of a sink that could never be read.
    pub(crate) async fn settle(self, still: Duration, bound: Duration) -> Vec<String> {
        let all = self.0.iter().map(|watched| watched.outstanding.settle(still, bound));
        let missing = futures::future::join_all(all).await;
        let mut reasons = Vec::new();
        for (watched, missing) in self.0.into_iter().zip(missing) {
            let unread = match watched.watcher {
                Watcher::Imap(watch) => watch.stop().await.into_iter().find_map(|w| {
                    Some(format!("mailbox {} could never be read: {}", w.mailbox, w.never_read?))
                }),
                Watcher::Http(watch) => watch
                    .stop()
                    .await
                    .map(|error| format!("sink {} could never be asked: {error}", watched.name)),
            };
            reasons.extend(unread.filter(|_| missing > 0));
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tokio::time::sleep;

    #[tokio::test]
    async fn what_is_awaited_settles_or_is_given_up() {
        let outstanding = Arc::new(Outstanding::default());
        assert_eq!(outstanding.settle(Duration::from_secs(5), Duration::from_secs(60)).await, 0);
        outstanding.seen("early", "a");
        for id in ["early", "a", "b", "lost"] {
            outstanding.acknowledged(id, None);
        }
        assert_eq!(outstanding.count(), 3);
        let (still, gap) = (Duration::from_millis(1500), Duration::from_millis(300));
        let later = Arc::clone(&outstanding);
        let began = Instant::now();
        tokio::spawn(async move {
            for id in ["a", "b"] {
                sleep(gap).await;
                later.seen(id, "a");
            }
        });
        assert_eq!(outstanding.settle(still, still * 20).await, 1);
        assert!(
            began.elapsed() >= 2 * gap + still,
            "it was given up {:?} after the last one came",
            began.elapsed() - 2 * gap
        );
    }

    #[tokio::test]
    async fn settling_is_bounded() {
        let outstanding = Arc::new(Outstanding::default());
        outstanding.acknowledged("lost", None);
        let others = Arc::clone(&outstanding);
        let progress = tokio::spawn(async move {
            for n in 0.. {
                // Others keep coming, sooner than anybody would give up.
                sleep(Duration::from_millis(20)).await;
                others.seen(&n.to_string(), "a");
            }
        });
        let (still, bound) = (Duration::from_secs(3600), Duration::from_millis(500));
        assert_eq!(outstanding.settle(still, bound).await, 1);
        progress.abort();
    }

    #[test]
    fn what_arrives_elsewhere_is_still_missing() {
        let outstanding = Outstanding::default();
        outstanding.seen("early", "bob");
        outstanding.acknowledged("early", Some("alice".into()));
        outstanding.acknowledged("late", Some("alice".into()));
        outstanding.seen("late", "bob");
        assert_eq!(outstanding.count(), 2);
        outstanding.seen("early", "alice");
        outstanding.seen("late", "alice");
        assert_eq!(outstanding.count(), 0);
    }
}
