//! Connections: taken, given back, opened where they are wanted and allowed.

use super::{Client, Unopened};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use verdict::history::load::Connections;

/// How long a lane that nobody uses is kept: servers close idle connections, and finding out costs
/// an operation.
const IDLE: Duration = Duration::from_secs(20);

/// A lane, with what its connection has been through.
pub(super) struct Taken<L> {
    pub lane: L,
    connection: Rc<Connection>,
    /// Since when nobody uses it.
    since: Instant,
}

impl<L> Taken<L> {
    /// An operation begins. Whether the connection was used before.
    pub fn begin(&self) -> bool {
        let uses = self.connection.uses.get();
        self.connection.uses.set(uses + 1);
        uses > 0
    }
}

#[derive(Debug)]
struct Connection {
    uses: Cell<u64>,
    broken: Cell<bool>,
    open: Rc<Cell<usize>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

type Waiting<L> = oneshot::Sender<Result<Taken<L>, Unopened>>;

struct State<L> {
    /// The one used last is used first, so that the others can be closed.
    idle: VecDeque<Taken<L>>,
    waiting: VecDeque<Waiting<L>>,
    opening: usize,
    opened: u64,
    most: usize,
    waited: u64,
}

/// The connections of one load.
pub(super) struct Pool<C: Client> {
    client: Rc<C>,
    limit: usize,
    patience: Duration,
    open: Rc<Cell<usize>>,
    state: RefCell<State<C::Lane>>,
}

impl<C: Client> Pool<C> {
    /// None yet; at most `limit` at once, each opened within `patience`.
    pub fn new(client: Rc<C>, limit: usize, patience: Duration) -> Rc<Pool<C>> {
        let state = State {
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            opening: 0,
            opened: 0,
            most: 0,
            waited: 0,
        };
        Rc::new(Pool { client, limit, patience, open: Rc::default(), state: RefCell::new(state) })
    }

    /// Arrivals that wait for a lane.
    pub fn waiting(&self) -> usize {
        self.state.borrow().waiting.len()
    }

    /// A lane, as soon as there is one.
    pub async fn take(self: &Rc<Self>) -> Result<Taken<C::Lane>, Unopened> {
        let lane = {
            let mut state = self.state.borrow_mut();
            loop {
                match state.idle.pop_back() {
                    Some(taken)
                        if taken.connection.broken.get() || !self.client.is_usable(&taken.lane) => {
                    }
                    other => break other,
                }
            }
        };
        if let Some(taken) = lane {
            return Ok(taken);
        }
        let (sender, lane) = oneshot::channel();
        self.state.borrow_mut().waiting.push_back(sender);
        self.open_wanted();
        {
            let mut state = self.state.borrow_mut();
            // One for whose sake a connection is being opened waits for that, and for nobody else.
            state.waited += u64::from(state.opening * self.client.lanes() < state.waiting.len());
        }
        match lane.await {
            Ok(lane) => lane,
            Err(_) => Err(Unopened::new("connection not opened", "the load ended")),
        }
    }

    /// Gives a lane back.
    pub fn give_back(self: &Rc<Self>, taken: Taken<C::Lane>) {
        self.hand_on(taken);
        self.open_wanted();
    }

    /// Gives a lane up, and with it its connection.
    pub fn discard(self: &Rc<Self>, taken: Taken<C::Lane>) {
        taken.connection.broken.set(true);
        drop(taken);
        // Its other lanes are of no use either.
        self.state.borrow_mut().idle.retain(|t| !t.connection.broken.get());
        self.open_wanted();
    }

    fn hand_on(&self, mut taken: Taken<C::Lane>) {
        if taken.connection.broken.get() {
            return;
        }
        let mut state = self.state.borrow_mut();
        while let Some(first) = state.waiting.pop_front() {
            match first.send(Ok(taken)) {
                Ok(()) => return,
                // It has been given up meanwhile.
                Err(Ok(back)) => taken = back,
                Err(Err(_)) => return,
            }
        }
        taken.since = Instant::now();
        state.idle.push_back(taken);
    }

    /// Opens connections as long as they are wanted and allowed.
    fn open_wanted(self: &Rc<Self>) {
        loop {
            {
                let mut state = self.state.borrow_mut();
                while state.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                    state.waiting.pop_front();
                }
                let wanted = state.opening * self.client.lanes() < state.waiting.len();
                if !wanted || self.open.get() + state.opening >= self.limit {
                    return;
                }
                state.opening += 1;
            }
            let pool = Rc::clone(self);
            tokio::task::spawn_local(async move { pool.open_one().await });
        }
    }

    async fn open_one(self: &Rc<Self>) {
        let opened = timeout(self.patience, self.client.connect()).await;
        self.state.borrow_mut().opening -= 1;
        match opened
            .unwrap_or_else(|_| Err(Unopened::new("connection not opened", "no answer in time")))
        {
            Ok(lanes) => {
                self.open.set(self.open.get() + 1);
                {
                    let mut state = self.state.borrow_mut();
                    state.opened += 1;
                    state.most = state.most.max(self.open.get());
                }
                let connection = Rc::new(Connection {
                    uses: Cell::new(0),
                    broken: Cell::new(false),
                    open: Rc::clone(&self.open),
                });
                for lane in lanes {
                    self.hand_on(Taken {
                        lane,
                        connection: Rc::clone(&connection),
                        since: Instant::now(),
                    });
                }
            }
            Err(error) => {
                // The first that waits for one is charged with it.
                let first = self.state.borrow_mut().waiting.pop_front();
                first.map(|first| first.send(Err(error)));
            }
        }
        self.open_wanted();
    }

    /// Lanes that nobody used for a while, or all of them.
    pub fn idle(&self, all: bool) -> Vec<C::Lane> {
        let mut state = self.state.borrow_mut();
        let old = state.idle.iter().take_while(|t| all || t.since.elapsed() > IDLE).count();
        state.idle.drain(..old).filter(|t| !t.connection.broken.get()).map(|t| t.lane).collect()
    }

    /// How connections were used; `reused` is the caller's to count.
    pub fn connections(&self) -> Connections {
        let state = self.state.borrow();
        Connections {
            opened: state.opened,
            reused: 0,
            limit: Some(self.limit as u64),
            most: Some(state.most as u64),
            waited: Some(state.waited),
        }
    }
}
