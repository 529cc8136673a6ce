//! Begins operations at their due instants, whatever became of those before, and records what
//! became of each.

use super::pool::Pool;
use super::timer::Timer;
use super::{Client, Failed, Operation, Wide};
use crate::arrival::Offsets;
use crate::clock::RunClock;
use crate::direct::Pace;
use crate::direct::interval_log::IntervalLog;
use crate::direct::meter::{self, Meter};
use crate::recorder::{Ended, LiveStats, Recorder, Times};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use verdict::history::load::LoadSummary;

/// How often it is looked whether the load is over or stopped.
const TICK: Duration = Duration::from_millis(100);
/// How often [`LiveStats`] is shown.
const SHOW: Duration = Duration::from_millis(500);
/// Length of an interval of the log.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long servers may take to be taken leave of.
const FAREWELL: Duration = Duration::from_secs(1);

/// What operations share.
struct Shared<C: Client> {
    client: Rc<C>,
    pool: Rc<Pool<C>>,
    clock: RunClock,
    began: Instant,
    timeout: Duration,
    outlives_silence: bool,
    recorder: RefCell<Recorder>,
    interval: RefCell<Option<Times>>,
    reused: Cell<u64>,
    under_way: Cell<usize>,
}

/// A load that is under way.
pub(super) struct Engine<'a, C: Client> {
    wide: &'a Wide,
    shared: Rc<Shared<C>>,
    timer: Timer,
    offsets: Option<Offsets>,
    /// When the next arrival is due, if one is.
    due: Option<Instant>,
    /// Number of the next arrival.
    number: Rc<Cell<u64>>,
    end: Option<Instant>,
    log: Option<IntervalLog>,
    meter: Meter,
}

impl<'a, C: Client> Engine<'a, C> {
    pub fn new(
        wide: &'a Wide,
        client: C,
        clock: RunClock,
        log: Option<IntervalLog>,
    ) -> io::Result<Engine<'a, C>> {
        let (client, began) = (Rc::new(client), Instant::now());
        let mut offsets = match &wide.pace {
            Pace::Open { arrival, rate } => Some(arrival.offsets(*rate, wide.seed)),
            Pace::FlatOut => None,
        };
        let first = offsets.as_mut().and_then(Iterator::next);
        let shared = Rc::new(Shared {
            pool: Pool::new(Rc::clone(&client), wide.connections, wide.timeout),
            outlives_silence: client.outlives_silence(),
            client,
            clock,
            began,
            timeout: wide.timeout,
            recorder: RefCell::new(
                Recorder::with_slip_limit(wide.slip_limit.as_secs_f64() * 1e3)
                    .watched(&wide.windows, wide.duration),
            ),
            interval: RefCell::new(log.is_some().then(Times::new)),
            reused: Cell::new(0),
            under_way: Cell::new(0),
        });
        Ok(Engine {
            wide,
            shared,
            timer: Timer::new()?,
            offsets,
            due: first.and_then(|offset| began.checked_add(offset)),
            number: Rc::default(),
            end: wide.duration.and_then(|d| began.checked_add(d)),
            log,
            meter: Meter::begin(meter::now()),
        })
    }

    /// Drives it to its end.
    pub async fn run(
        mut self,
        stop: &CancellationToken,
        live: &mut dyn FnMut(LiveStats, Duration),
    ) -> io::Result<(LoadSummary, Option<IntervalLog>)> {
        let began = self.shared.began;
        let (mut tick, mut show, mut interval) = (began + TICK, began + SHOW, began + INTERVAL);
        let over = CancellationToken::new();
        if self.offsets.is_none() {
            self.begin_flat_out(&over);
        }
        let mut ended = None;
        loop {
            let now = self.begin_due();
            if now >= tick {
                let halted = self.shared.recorder.borrow_mut().tick(now - began).is_some();
                if halted || stop.is_cancelled() {
                    self.end = Some(self.end.map_or(now, |end| end.min(now)));
                }
                for lane in self.shared.pool.idle(false) {
                    let client = Rc::clone(&self.shared.client);
                    tokio::task::spawn_local(async move {
                        drop(timeout(FAREWELL, client.close(lane)).await)
                    });
                }
                tick = now + TICK;
                if now >= show {
                    live(self.shared.recorder.borrow().live(now - began), now - began);
                    show = now + SHOW;
                }
                if now >= interval {
                    self.close_interval(interval - INTERVAL, now);
                    interval = now + INTERVAL;
                }
            }
            let is_over = self.end.is_some_and(|end| now >= end)
                || (self.offsets.is_some() && self.due.is_none());
            if ended.is_none() && is_over {
                ended = Some(self.end.map_or(now, |end| end.min(now)));
                self.due = None;
                over.cancel();
                self.meter.schedule_ended(meter::now());
            }
            if ended.is_some() && self.shared.under_way.get() == 0 {
                self.close_interval(interval - INTERVAL, now);
                break;
            }
            let end = self.end.filter(|_| ended.is_none());
            let wake = [self.due, end].into_iter().flatten().fold(tick, Instant::min);
            self.timer.sleep_until(wake).await?;
        }
        let farewells =
            self.shared.pool.idle(true).into_iter().map(|lane| self.shared.client.close(lane));
        let _ = timeout(FAREWELL, futures::future::join_all(farewells)).await;
        Ok((self.summary(ended.unwrap_or_else(Instant::now) - began), self.log))
    }

    /// Begins all arrivals that are due. Returns the time.
    fn begin_due(&mut self) -> Instant {
        loop {
            let now = Instant::now();
            let Some(due) =
                self.due.filter(|due| *due <= now && self.end.is_none_or(|end| *due < end))
            else {
                return now;
            };
            let number = self.number.get();
            self.number.set(number + 1);
            self.due = self
                .offsets
                .as_mut()
                .and_then(Iterator::next)
                .and_then(|offset| self.shared.began.checked_add(offset));
            if self.shared.pool.waiting() >= self.wide.waiting {
                self.shared.recorder.borrow_mut().missed(1);
                continue;
            }
            self.shared.recorder.borrow_mut().arrived();
            let shared = Rc::clone(&self.shared);
            // Under way from here; how late it is told when it really begins.
            shared.under_way.set(shared.under_way.get() + 1);
            tokio::task::spawn_local(async move { shared.carry_out(number, due).await });
        }
    }

    /// Has each lane send as soon as it was answered, until told to stop.
    fn begin_flat_out(&self, over: &CancellationToken) {
        for _ in 0..self.wide.connections * self.shared.client.lanes() {
            let (shared, number, over) =
                (Rc::clone(&self.shared), Rc::clone(&self.number), over.clone());
            tokio::task::spawn_local(async move {
                while !over.is_cancelled() {
                    let n = number.get();
                    number.set(n + 1);
                    shared.recorder.borrow_mut().arrived();
                    shared.under_way.set(shared.under_way.get() + 1);
                    shared.carry_out(n, Instant::now()).await;
                    // One that is refused at once must not keep the others from their turn.
                    tokio::task::yield_now().await;
                }
            });
        }
    }

    fn close_interval(&mut self, from: Instant, now: Instant) {
        self.meter.interval(meter::now());
        let times = self.shared.interval.borrow_mut().as_mut().map(std::mem::take);
        if let (Some(log), Some(times)) = (&self.log, times) {
            log.write(from - self.shared.began, now - from, times);
        }
    }

    fn summary(&self, driven: Duration) -> LoadSummary {
        let recorder = self.shared.recorder.borrow();
        let mut summary = recorder.summary(driven);
        self.meter.state(&mut summary, &recorder, self.offsets.is_some());
        let connections = self.shared.pool.connections();
        summary.connections = Some(verdict::history::load::Connections {
            reused: self.shared.reused.get(),
            ..connections
        });
        summary
    }
}

/// When an operation was sent, if it was, and how it ended: with one of few kinds of error, if so.
type Sent = (Option<Instant>, Result<(), String>);

impl<C: Client> Shared<C> {
    /// Carries out the operation of an arrival, and records it.
    async fn carry_out(self: &Rc<Self>, number: u64, due: Instant) {
        self.recorder.borrow_mut().began(Instant::now().saturating_duration_since(due));
        let mut operation = Operation::new(number, self.clock, self.began, due);
        let (sent, result) = self.attempt(&mut operation, due).await;
        operation.step_ended(false);
        let now = Instant::now();
        let ended = Ended {
            at: now - self.began,
            latency: now.saturating_duration_since(due),
            service: sent.map_or(Duration::ZERO, |sent| now - sent),
            as_expected: result.is_ok(),
        };
        let mut recorder = self.recorder.borrow_mut();
        for (step, ended) in &operation.steps {
            recorder.part(step, ended);
            if let (false, Err(kind)) = (ended.as_expected, &result) {
                recorder.part_kind(step, kind);
            }
        }
        if let Err(kind) = &result {
            recorder.kind(kind);
        }
        recorder.ended(ended);
        if let Some(interval) = self.interval.borrow_mut().as_mut() {
            interval.record(&ended);
        }
        self.under_way.set(self.under_way.get() - 1);
    }

    async fn attempt(self: &Rc<Self>, operation: &mut Operation, due: Instant) -> Sent {
        let deadline = due + self.timeout;
        loop {
            let mut taken = match timeout_at(deadline, self.pool.take()).await {
                Ok(Ok(taken)) => taken,
                Ok(Err(unopened)) => {
                    if unopened.starved {
                        self.recorder.borrow_mut().starved(&unopened.why);
                    }
                    tracing::debug!("no connection: {}", unopened.why);
                    return (None, Err(unopened.kind));
                }
                Err(_) => return (None, Err("no connection in time".to_owned())),
            };
            let (sent, reused) = (Instant::now(), taken.begin());
            let result =
                timeout_at(deadline, self.client.operate(&mut taken.lane, operation)).await;
            let usable = match &result {
                Ok(Ok(()) | Err(Failed::Refused(_))) => true,
                Ok(Err(Failed::Broken(_) | Failed::Unsent)) => false,
                Err(_) => self.outlives_silence,
            };
            if usable {
                self.pool.give_back(taken);
            } else {
                self.pool.discard(taken);
            }
            let result = match result {
                Ok(Ok(())) => Ok(()),
                Ok(Err(Failed::Refused(kind) | Failed::Broken(kind))) => Err(kind),
                // Another one will do; one that was never used tells that something is wrong.
                Ok(Err(Failed::Unsent)) if reused => continue,
                Ok(Err(Failed::Unsent)) => return (None, Err("connection closed".to_owned())),
                Err(_) => Err("no answer in time".to_owned()),
            };
            self.reused.set(self.reused.get() + u64::from(reused));
            return (Some(sent), result);
        }
    }
}
