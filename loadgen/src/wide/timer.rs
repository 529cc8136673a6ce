//! Wakes at an instant, to the microsecond: the runtime's own timer is a millisecond coarse, and
//! every latency would show it.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// Keeps the descriptor open as long as it is registered, and never gives it away.
#[derive(Debug)]
struct Descriptor(TimerFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A timer.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<Descriptor>);

impl Timer {
    /// One that is not set. Must be made within a runtime.
    pub fn new() -> io::Result<Timer> {
        // Deprecated for descriptors that may be closed while they are registered, which this one
        // can't be; what replaces it is unsafe.
        #[allow(deprecated)]
        let registered = AsyncFd::new;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        Ok(Timer(registered(Descriptor(timer))?))
    }

    /// Sleeps until an instant. Others get their turn in any case.
    pub async fn sleep_until(&self, instant: Instant) -> io::Result<()> {
        let left = instant.saturating_duration_since(Instant::now());
        if left.is_zero() {
            tokio::task::yield_now().await;
            return Ok(());
        }
        let left = TimeSpec::from_duration(left.max(Duration::from_nanos(1)));
        self.0.get_ref().0.set(Expiration::OneShot(left), TimerSetTimeFlags::empty())?;
        loop {
            let mut ready = self.0.readable().await?;
            // An expiry that belongs to an earlier setting was taken back by this one: then there
            // is nothing to read.
            let read = ready.try_io(|fd| {
                let mut count = [0; 8];
                nix::unistd::read(fd.get_ref().0.as_fd(), &mut count).map_err(io::Error::from)
            });
            if let Ok(read) = read {
                return read.map(|_| ());
            }
        }
    }
}
