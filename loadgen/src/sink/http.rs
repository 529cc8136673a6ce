//! Effects that an address shows: it is asked until it answers as wanted.

use super::{Asks, Outstanding};
use crate::client::http::{Answer, Call, Http};
use bytes::Bytes;
use futures::StreamExt;
use hyper::Method;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use verdict::history::load::LoadEvent;

/// Pause between two rounds of questions: an effect is seen at most this much later.
const POLL: Duration = Duration::from_millis(500);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions at once.
const AT_ONCE: usize = 8;

/// Asks for effects. Dropping it stops it.
pub(super) struct Watch {
    stop: CancellationToken,
    asking: JoinHandle<Option<String>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Watch {
    /// Asks for each effect that comes in until it is there.
    pub(super) fn start(
        sink: &str,
        wanted: u16,
        asks: mpsc::UnboundedReceiver<(String, Asks)>,
        events: &mpsc::Sender<LoadEvent>,
        outstanding: Arc<Outstanding>,
    ) -> Watch {
        let stop = CancellationToken::new();
        let watcher = Watcher {
            sink: sink.to_owned(),
            wanted,
            http: Http::new(),
            events: events.clone(),
            outstanding,
            answered: false,
            error: None,
        };
        let asking = tokio::spawn(watcher.ask(asks, stop.clone()));
        Watch { stop, asking }
    }

    /// Asks once more, then stops. Returns why nothing was ever answered, if so.
    pub(super) async fn stop(mut self) -> Option<String> {
        self.stop.cancel();
        match (&mut self.asking).await {
            Ok(never) => never,
            Err(e) => Some(e.to_string()),
        }
    }
}

struct Watcher {
    sink: String,
    wanted: u16,
    http: Http,
    events: mpsc::Sender<LoadEvent>,
    outstanding: Arc<Outstanding>,
    /// Whether any question was answered, with whatever status.
    answered: bool,
    error: Option<String>,
}

impl Watcher {
    async fn ask(
        mut self,
        mut asks: mpsc::UnboundedReceiver<(String, Asks)>,
        stop: CancellationToken,
    ) -> Option<String> {
        let mut open: Vec<(String, Asks)> = Vec::new();
        loop {
            let last = stop.is_cancelled();
            while let Ok(one) = asks.try_recv() {
                open.push(one);
            }
            open = self.round(open).await;
            if last {
                return self.error.filter(|_| !self.answered);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(POLL) => {}
            }
        }
    }

    /// Asks for each once. Returns those that are not there.
    async fn round(&mut self, open: Vec<(String, Asks)>) -> Vec<(String, Asks)> {
        let questions = open.into_iter().map(|(id, asks)| {
            let http = self.http.clone();
            async move {
                let Asks { origin, path, headers } = asks.clone();
                let call = Call { method: Method::GET, origin, path, headers, body: Bytes::new() };
                (id, asks, timeout(PATIENCE, http.call(call)).await)
            }
        });
        let mut answers = futures::stream::iter(questions).buffer_unordered(AT_ONCE);
        let mut left = Vec::new();
        while let Some((id, asks, answer)) = answers.next().await {
            match answer {
                Ok(Answer::Whole { status, .. }) => {
                    self.answered = true;
                    if status != self.wanted {
                        left.push((id, asks));
                        continue;
                    }
                    self.outstanding.seen(&id, &asks.path);
                    let seen = LoadEvent::Seen {
                        operation: id,
                        sink: self.sink.clone(),
                        place: asks.path,
                        copies: 1,
                    };
                    // A receiver that is gone is noticed where operations are handed on.
                    let _ = self.events.send(seen).await;
                    continue;
                }
                Ok(
                    Answer::NotSent(error) | Answer::Starved(error) | Answer::Lost { error, .. },
                ) => {
                    self.error = Some(error);
                }
                Err(_) => {
                    self.error = Some(format!("no answer within {} s", PATIENCE.as_secs()));
                }
            }
            left.push((id, asks));
        }
        left
    }
}
