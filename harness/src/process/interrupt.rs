//! Ctrl-C and its kin: the first asks to stop, heal and clean up; a second one ends the program at
//! once and leaves that to the reaper.

use crate::process::exit::Exit;
use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Whether the user has asked to stop. Clones speak of the same request.
#[derive(Debug, Clone)]
pub struct Interrupt {
    asked: CancellationToken,
    reaper: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on; they no longer end the program by
    /// themselves.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> std::io::Result<Interrupt> {
        let interrupt = Interrupt { asked: CancellationToken::new(), reaper: Arc::default() };
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let mut arriving = signal(kind)?;
            let heard = interrupt.clone();
            tokio::spawn(async move {
                while arriving.recv().await.is_some() {
                    heard.again();
                }
            });
        }
        Ok(interrupt)
    }

    fn again(&self) {
        let first = !self.asked.is_cancelled();
        self.asked.cancel();
        // A terminal that is gone (SIGHUP) is no reason to fail.
        let say = |what: &str| drop(writeln!(std::io::stderr(), "{what}"));
        if first {
            say("interrupted: healing what was injected, removing what was started");
        } else if self.reaper.load(Ordering::SeqCst) {
            say("interrupted again: ended at once; the reaper removes what was started");
            std::process::exit(Exit::Interrupted as i32);
        } else {
            say("interrupted again: still cleaning up");
        }
    }

    /// Tells whether a reaper cleans up after this program, however it ends.
    pub fn reaper_watches(&self, watches: bool) {
        self.reaper.store(watches, Ordering::SeqCst);
    }

    /// Whether the user has asked to stop.
    pub fn asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Waits until the user asks to stop.
    pub async fn wait(&self) {
        self.asked.cancelled().await;
    }

    /// Does some work, unless the user asks to stop before it is done: then it is dropped, and
    /// there is no result.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.asked.cancelled() => None,
            done = work => Some(done),
        }
    }
}
