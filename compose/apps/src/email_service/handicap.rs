//! What may go wrong with a release of the service without anything breaking: for those who want to
//! see whether it is noticed. Off unless asked for.

use std::time::{Duration, Instant};

use clap::Args;

/// A timer's step: what is shorter is waited for by yielding.
const TIMER: Duration = Duration::from_millis(2);

/// Settings of the handicap.
#[derive(Clone, Debug, Args)]
pub(super) struct Handicap {
    /// Milliseconds that each API request needs at least, as one does that waits for others
    #[arg(long, env = "NEEDED_MS", default_value_t = 0)]
    needed_ms: u64,
    /// Makes each API request take this many times as long as it needs
    #[arg(long, env = "SLOWED_BY", default_value = "1", value_parser = factor)]
    slowed_by: f64,
    /// Bytes that each API request leaves behind for ever
    #[arg(long, env = "LEAKED_BYTES", default_value_t = 0)]
    leaked_bytes: usize,
}

fn factor(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|f| (1.0..=100.0).contains(f))
        .ok_or_else(|| "from 1 to 100".to_owned())
}

impl Handicap {
    /// Ends a request that began its work at `began`.
    pub(super) async fn hinder(&self, began: Instant) {
        std::mem::forget(vec![1u8; self.leaked_bytes]);
        let slow =
            began.elapsed().max(Duration::from_millis(self.needed_ms)).mul_f64(self.slowed_by);
        if let Some(whole) = slow.saturating_sub(began.elapsed()).checked_sub(TIMER) {
            tokio::time::sleep(whole).await;
        }
        while began.elapsed() < slow {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_takes_as_many_times_as_long_as_it_is_told_to() {
        assert!(factor("NaN").is_err() && factor("0.9").is_err());
        for (needed_ms, slowed_by) in [(0, 1.0), (0, factor("1.5").unwrap_or_default()), (40, 1.1)]
        {
            let began = Instant::now();
            tokio::time::sleep(Duration::from_millis(20)).await;
            let needed = began.elapsed().max(Duration::from_millis(needed_ms));
            Handicap { needed_ms, slowed_by, leaked_bytes: 0 }.hinder(began).await;
            assert!(
                began.elapsed() >= needed.mul_f64(slowed_by),
                "{slowed_by}: {:?} of {needed:?}",
                began.elapsed()
            );
        }
    }
}
