//! Sees mail arrive: one watcher for each mailbox, which asks over IMAP for new messages and reads
//! the operation's id from their headers. The number of mails does not matter to it, only the
//! number of mailboxes.

use super::Outstanding;
use crate::client::imap::{ImapError, Inbox, Message};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use verdict::history::load::LoadEvent;

/// How often a mailbox is asked. An arrival is seen at most this much later (and the time of one
/// exchange).
const POLL: Duration = Duration::from_millis(500);
/// Pause before a mailbox that can't be read is tried again: the shortest, doubled up to the
/// longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Watchers of mailboxes. Dropping it stops them.
#[derive(Debug)]
pub struct Watch {
    stop: CancellationToken,
    watchers: JoinSet<Watched>,
    ready: Vec<watch::Receiver<bool>>,
}

/// What one watcher saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub mailbox: String,
    /// Messages with an operation id that it saw.
    pub seen: u64,
    /// Why the mailbox could not be read, if it never could.
    pub never_read: Option<String>,
}

impl Watch {
    /// Watches these mailboxes, told as users and their passwords. Every message that arrives from
    /// now on and has an operation id is handed on as [`LoadEvent::Seen`], with the number of its
    /// copies so far. If a mailbox can't be opened at first, all its messages are read once it can.
    pub fn start(
        server: SocketAddr,
        sink: &str,
        mailboxes: &[(String, String)],
        events: &mpsc::Sender<LoadEvent>,
    ) -> Watch {
        Watch::with(server, sink, mailboxes, events, None)
    }

    pub(super) fn with(
        server: SocketAddr,
        sink: &str,
        mailboxes: &[(String, String)],
        events: &mpsc::Sender<LoadEvent>,
        outstanding: Option<Arc<Outstanding>>,
    ) -> Watch {
        let stop = CancellationToken::new();
        let (mut watchers, mut ready) = (JoinSet::new(), Vec::new());
        for (mailbox, password) in mailboxes.iter().collect::<HashSet<_>>() {
            let (opened, is_ready) = watch::channel(false);
            ready.push(is_ready);
            let watcher = Watcher {
                server,
                sink: sink.to_owned(),
                mailbox: mailbox.clone(),
                password: password.clone(),
                events: events.clone(),
                outstanding: outstanding.clone(),
                opened,
                copies: HashMap::new(),
                place: None,
                attempts: 0,
                seen: 0,
            };
            watchers.spawn(watcher.watch(stop.clone()));
        }
        Watch { stop, watchers, ready }
    }

    /// Waits until every mailbox was opened once, so that no later arrival can be missed. Returns
    /// whether all were within this time.
    pub async fn ready(&mut self, within: Duration) -> bool {
        let all = async {
            for mailbox in &mut self.ready {
                if mailbox.wait_for(|opened| *opened).await.is_err() {
                    return false;
                }
            }
            true
        };
        timeout(within, all).await.unwrap_or(false)
    }

    /// Looks into every mailbox that can be read once more, then stops. Bounded by the patience of
    /// one exchange.
    pub async fn stop(mut self) -> Vec<Watched> {
        self.stop.cancel();
        let mut all = Vec::new();
        while let Some(watched) = self.watchers.join_next().await {
            match watched {
                Ok(watched) => all.push(watched),
                Err(e) => tracing::error!("a mailbox's watcher ended early: {e}"),
            }
        }
        all.sort_by(|a, b| a.mailbox.cmp(&b.mailbox));
        all
    }
}

struct Watcher {
    server: SocketAddr,
    sink: String,
    mailbox: String,
    password: String,
    events: mpsc::Sender<LoadEvent>,
    outstanding: Option<Arc<Outstanding>>,
    opened: watch::Sender<bool>,
    copies: HashMap<String, u32>,
    /// Validity of the mailbox's numbers, and the first one not seen yet.
    place: Option<(u32, u32)>,
    attempts: u64,
    seen: u64,
}

impl Watcher {
    async fn watch(mut self, stop: CancellationToken) -> Watched {
        let (mut pause, mut error) = (RETRY.0, String::from("it was never tried"));
        loop {
            let opened = tokio::select! {
                biased;
                opened = Inbox::open(self.server, &self.mailbox, &self.password) => opened,
                () = stop.cancelled() => break,
            };
            match opened {
                Ok(inbox) => {
                    pause = RETRY.0;
                    self.found(&inbox);
                    match self.poll(inbox, &stop).await {
                        Ok(()) => break,
                        Err(e) => error = e.to_string(),
                    }
                }
                Err(e) => error = e.to_string(),
            }
            self.attempts += 1;
            tracing::debug!("mailbox {} can't be read: {error}", self.mailbox);
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(pause) => pause = (pause * 2).min(RETRY.1),
            }
        }
        Watched {
            mailbox: self.mailbox,
            seen: self.seen,
            never_read: self.place.is_none().then_some(error),
        }
    }

    /// Takes up where it left off, in the same mailbox; a new one is read from its beginning.
    fn found(&mut self, inbox: &Inbox) {
        self.place = Some(match self.place {
            Some(place) if place.0 == inbox.validity => place,
            None if self.attempts == 0 => (inbox.validity, inbox.next_uid),
            _ => (inbox.validity, 1),
        });
        self.opened.send_replace(true);
    }

    /// Asks until told to stop, and then once more.
    async fn poll(&mut self, mut inbox: Inbox, stop: &CancellationToken) -> Result<(), ImapError> {
        loop {
            let last = stop.is_cancelled();
            let first = self.place.map_or(1, |p| p.1);
            for message in inbox.messages_from(first).await? {
                self.see(message).await;
            }
            if last {
                inbox.close().await;
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(POLL) => {}
            }
        }
    }

    async fn see(&mut self, message: Message) {
        if let Some(place) = &mut self.place {
            place.1 = place.1.max(message.uid.saturating_add(1));
        }
        let Some(operation) = message.operation else { return };
        self.seen += 1;
        let copies = self.copies.entry(operation.clone()).or_default();
        *copies += 1;
        let copies = *copies;
        if let (1, Some(outstanding)) = (copies, &self.outstanding) {
            outstanding.seen(&operation, &self.mailbox);
        }
        // A receiver that is gone is noticed where operations are handed on.
        let (sink, place) = (self.sink.clone(), self.mailbox.clone());
        let _ = self.events.send(LoadEvent::Seen { operation, sink, place, copies }).await;
    }
}
