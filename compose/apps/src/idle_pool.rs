//! A bounded pool of connections to mail servers, each logged in as someone.
//!
//! A place is taken before a connection is looked for, so that places in use say how busy the pool
//! is also while the server makes everybody wait. Connections that are dropped instead of given
//! back are closed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The pool.
#[derive(Debug)]
pub struct IdlePool<T> {
    size: usize,
    keep: Duration,
    places: Arc<Semaphore>,
    idle: Mutex<VecDeque<Idle<T>>>,
}

#[derive(Debug)]
struct Idle<T> {
    owner: String,
    since: Instant,
    connection: T,
}

/// A place in the pool; free again when dropped.
#[derive(Debug)]
pub struct Place<T> {
    owner: String,
    pool: Arc<IdlePool<T>>,
    _permit: OwnedSemaphorePermit,
}

impl<T: Send + 'static> IdlePool<T> {
    /// A pool of that many places, which closes connections that were idle for longer than `keep`.
    pub fn new(size: usize, keep: Duration) -> Arc<Self> {
        let pool = Arc::new(Self {
            size,
            keep,
            places: Arc::new(Semaphore::new(size)),
            idle: Mutex::new(VecDeque::with_capacity(size)),
        });
        let weak = Arc::downgrade(&pool);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(keep / 4).await;
                let Some(pool) = weak.upgrade() else { return };
                pool.close_old();
            }
        });
        pool
    }

    /// Places there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Places taken.
    pub fn in_use(&self) -> usize {
        self.size - self.places.available_permits()
    }

    /// A place, and the owner's connection if one is idle. None when no place became free within
    /// `limit`.
    pub async fn take(
        self: &Arc<Self>,
        owner: &str,
        limit: Duration,
    ) -> Option<(Place<T>, Option<T>)> {
        let permit =
            tokio::time::timeout(limit, self.places.clone().acquire_owned()).await.ok()?.ok()?;
        self.close_old();
        let mut idle = self.lock();
        // The youngest: it is the most likely to live.
        let found =
            idle.iter().rposition(|idle| idle.owner == owner).and_then(|index| idle.remove(index));
        if found.is_none() && idle.len() + self.in_use() > self.size {
            // Make room: places in use and idle connections together are never more than the pool's
            // size.
            idle.pop_front();
        }
        drop(idle);
        let place = Place { owner: owner.into(), pool: self.clone(), _permit: permit };
        Some((place, found.map(|idle| idle.connection)))
    }

    /// Closes all idle connections: the server is not what it was.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn close_old(&self) {
        self.lock().retain(|idle| idle.since.elapsed() < self.keep);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Idle<T>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Place<T> {
    /// Leaves the connection to the next who takes a place for the same owner.
    pub fn give_back(self, connection: T) {
        let idle = Idle { owner: self.owner.clone(), since: Instant::now(), connection };
        self.pool.lock().push_back(idle);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn connections_go_back_to_their_owner_only() {
        let pool = IdlePool::new(2, LONG);
        let (place, none) = pool.take("alice", SOON).await.unwrap();
        assert_eq!((none, pool.in_use()), (None, 1));
        place.give_back(1);
        assert_eq!(pool.in_use(), 0);
        let (_bob, none) = pool.take("bob", SOON).await.unwrap();
        assert_eq!(none, None);
        assert_eq!(pool.take("alice", SOON).await.unwrap().1, Some(1));
    }

    #[tokio::test]
    async fn a_full_pool_refuses_after_the_wait_and_closes_the_oldest_idle_for_another() {
        let pool = IdlePool::new(2, LONG);
        let (first, _) = pool.take("alice", SOON).await.unwrap();
        let (second, _) = pool.take("bob", SOON).await.unwrap();
        assert!(pool.take("carol", SOON).await.is_none());
        first.give_back(1);
        second.give_back(2);
        let (_carol, none) = pool.take("carol", SOON).await.unwrap();
        assert_eq!(none, None);
        assert_eq!(pool.lock().len(), 1, "alice's made room");
        assert_eq!(pool.take("bob", SOON).await.unwrap().1, Some(2));
    }

    #[tokio::test]
    async fn old_connections_are_closed() {
        let pool = IdlePool::new(1, SOON);
        pool.take("alice", SOON).await.unwrap().0.give_back(1);
        tokio::time::sleep(SOON * 2).await;
        assert_eq!(pool.take("alice", SOON).await.unwrap().1, None);
    }
}
