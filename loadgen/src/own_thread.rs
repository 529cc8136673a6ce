//! A thread of its own for a generator, which the scheduler prefers where we may ask for that. A
//! generator that waits for others (for the harness itself, which reads long answers meanwhile, or
//! for the programs that it drives) falls behind its schedule, and what it measures can't be relied
//! on. Beside other compilers on two processors a shared thread slipped by 1.1 s at the 99th
//! percentile.

use std::future::Future;
use std::io;
use tokio::sync::oneshot;

/// Preference among threads, from -20 (most) to 19; the usual is 0.
const NICE: i32 = -10;

/// Runs a future to its end on a thread of its own, with a runtime of its own, and hands on what
/// comes of it; nothing does if it panics.
///
/// # Errors
/// The thread or its runtime can't be had.
pub fn on_own_thread<F>(
    name: &str,
    make: impl FnOnce() -> F + Send + 'static,
) -> io::Result<oneshot::Receiver<F::Output>>
where
    F: Future,
    F::Output: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (told, outcome) = oneshot::channel();
    std::thread::Builder::new().name(name.chars().take(15).collect()).spawn(move || {
        // Of this thread alone: on Linux a priority is a thread's. Only root may raise it, and
        // without it loads are driven as well.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!("the load's thread is not preferred: {error}");
        }
        // Nobody may be waiting any more.
        let _ = told.send(runtime.block_on(make()));
    })?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_of_it_is_handed_on_and_a_panic_is_noticed() {
        let told =
            on_own_thread("a-load", || async { std::thread::current().name().map(str::to_owned) })
                .unwrap();
        assert_eq!(told.await.unwrap().as_deref(), Some("a-load"));
        let told = on_own_thread("a-load", || async {
            if std::env::args().count() < 1000 {
                panic!("on purpose")
            }
        })
        .unwrap();
        assert!(told.await.is_err());
    }
}
