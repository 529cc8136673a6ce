//! The coordinator: has workers ready, lets them begin at one instant, lays together what they
//! measure.

use super::job::Load;
use super::link::{
    BEAT, Link, LinkError, NAME, Refusal, SILENCE, ToCoordinator, ToWorker, VERSION,
};
use super::merge::Merge;
use super::offset::Offset;
use super::token::{Side, Token};
use crate::advice::{Advice, Advised};
use crate::arrival::Share;
use crate::direct::{IntervalLog, Tally, now};
use crate::recorder::LiveStats;
use futures::future::try_join_all;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use verdict::history::load::{LoadSummary, Measured};

/// How long a worker may take to answer, before the load: it connects to the target meanwhile.
const ANSWER: Duration = Duration::from_secs(20);
/// How long it may take until it says what it is.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// Round trips by which a clock is measured.
const ROUND_TRIPS: usize = 32;
/// From the last word to the workers until the load begins; the slowest round trip twice comes on
/// top.
const LEAD: Duration = Duration::from_millis(250);

/// Where a worker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it is called in what is told of it.
    pub name: String,
    pub address: String,
}

/// What watches a load from outside.
pub struct Watching<'a> {
    /// Where the interval log of all workers together goes.
    pub log: Option<Box<dyn Write + Send>>,
    /// Ends the schedule when cancelled; operations in flight end all the same.
    pub stop: CancellationToken,
    /// Is shown what is measured, about once a second, and how long the load has lasted.
    pub live: &'a mut (dyn FnMut(LiveStats, Duration) + Send),
}

/// Why several workers can't drive a load.
#[derive(Debug, Error)]
pub enum FleetError {
    /// It does not answer.
    #[error("worker {worker} can't be reached: {why}")]
    Unreachable { worker: String, why: String },
    /// Something else answers.
    #[error("what answers at {worker} is no worker of ours: {seen}")]
    Foreign {
        worker: String,
        /// What was seen.
        seen: String,
    },
    /// It speaks another version.
    #[error("worker {worker} speaks version {seen} of the protocol, wanted {VERSION}")]
    Version { worker: String, seen: u32 },
    /// It knows another token.
    #[error("worker {worker} has another token")]
    Token { worker: String },
    /// It serves somebody else.
    #[error("worker {worker} is busy with another coordinator")]
    Busy { worker: String },
    /// It will not do what it is asked.
    #[error("worker {worker} refuses: {why}")]
    Refused {
        worker: String,
        /// Why, and what to do.
        why: Advice,
    },
    /// Nobody answers at the target.
    #[error("worker {worker}: {why}")]
    Target {
        worker: String,
        /// What was seen, and what to do.
        why: Advice,
    },
    /// It was lost before the load began.
    #[error("worker {worker} was lost before the load began: {why}")]
    Lost { worker: String, why: String },
    /// There are more workers than something can be shared out among.
    #[error("{0}")]
    Few(Advice),
    /// The interval log can't be written.
    #[error("the interval log can't be written: {0}")]
    Log(io::Error),
}

impl Advised for FleetError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            FleetError::Unreachable { .. } => {
                "start it there with `firedrill worker --listen ADDRESS:PORT --token-file FILE`"
                    .into()
            }
            FleetError::Foreign { .. } => "name the address that `firedrill worker` printed".into(),
            FleetError::Version { .. } => "run the same firedrill on all machines".into(),
            FleetError::Token { .. } => "start it with the same --token-file".into(),
            FleetError::Busy { .. } => {
                "wait until that load is over, or start a worker of your own".into()
            }
            FleetError::Refused { why, .. } | FleetError::Target { why, .. } => {
                return why.hint.clone();
            }
            FleetError::Lost { .. } => "look at what it printed, and start it again".into(),
            FleetError::Few(why) => return why.hint.clone(),
            FleetError::Log(_) => "name another file with --hdr-log".into(),
        })
    }
}

/// Our clock, ns.
fn clock() -> i64 {
    now().cast_signed()
}

/// A worker that is ready to be told.
struct Member {
    name: String,
    link: Link,
    offset: Offset,
}

/// What a worker did.
enum Told {
    Measured(Box<Tally>),
    Ended { summary: Box<LoadSummary>, late: Duration, drift: Option<Measured> },
    Lost(String),
}

/// Drives a load on these workers, all at once.
///
/// # Errors
/// One of the workers can't begin: then none does. Those that are lost later are told in the
/// summary, which is invalid then.
pub async fn drive(
    load: &Load,
    workers: &[Place],
    token: &Token,
    watching: Watching<'_>,
) -> Result<LoadSummary, FleetError> {
    let shares = shares(load, workers)?;
    let mut members = try_join_all(workers.iter().map(|place| Member::join(place, token))).await?;
    try_join_all(members.iter_mut().zip(shares).map(|(member, share)| member.prepare(load, share)))
        .await?;
    // Counted while it is driven, for a long schedule takes a while, on a thread that nobody waits
    // for when the load is stopped.
    let (counted, scheduled) = oneshot::channel();
    let whole = load.clone();
    std::thread::spawn(move || counted.send(whole.arrivals()));

    let slowest = members.iter().map(|m| m.offset.measured().uncertainty_us).fold(0.0, f64::max);
    let begin = clock()
        + i64::try_from((LEAD + Duration::from_secs_f64(slowest * 4e-6)).as_nanos())
            .unwrap_or(i64::MAX);
    let mut log = watching.log.map(|file| IntervalLog::begin(file, SystemTime::now()));
    let mut merge = Merge::of(members.iter().map(|m| (m.name.clone(), m.offset)), load.slip_limit);
    let (told_out, mut told) = mpsc::channel(64);
    for (index, member) in members.into_iter().enumerate() {
        tokio::spawn(member.follow(index, begin, watching.stop.clone(), told_out.clone()));
    }
    drop(told_out);
    let since = || Duration::from_nanos(u64::try_from(clock() - begin).unwrap_or(0));
    let mut ended = Duration::ZERO;
    while !merge.over() {
        let Some((worker, what)) = told.recv().await else { break };
        match what {
            Told::Measured(tally) => {
                ended = ended.max(tally.from + tally.length);
                merge.told(worker, *tally);
            }
            Told::Ended { summary, late, drift } => merge.ended(worker, summary, late, drift),
            Told::Lost(why) => merge.lost(worker, since(), why),
        }
        for whole in merge.closed() {
            (watching.live)(merge.live(&whole), whole.to);
            if let Some(log) = &mut log {
                log.write(whole.from, whole.to - whole.from, whole.times);
            }
        }
    }
    log.map_or(Ok(()), IntervalLog::end).map_err(FleetError::Log)?;
    let stopped = watching.stop.is_cancelled();
    let driven = load.duration.filter(|_| !stopped).unwrap_or(ended);
    // After a load that was stopped nobody waits for what it would have had.
    let scheduled = if stopped { None } else { scheduled.await.ok().flatten() };
    Ok(merge.summary(driven, scheduled, stopped))
}

/// The workers' shares.
fn shares(load: &Load, workers: &[Place]) -> Result<Vec<Share>, FleetError> {
    let among = u32::try_from(workers.len()).unwrap_or(u32::MAX);
    if workers.is_empty() {
        return Err(FleetError::Few(Advice::new(
            "there is no worker",
            "as in --workers 10.0.0.5:7117,10.0.0.6:7117",
        )));
    }
    if let Some(twice) = workers
        .iter()
        .enumerate()
        .find(|(at, w)| workers[..*at].iter().any(|o| o.address == w.address))
    {
        return Err(FleetError::Few(Advice::new(
            format!("worker {} is named twice", twice.1.name),
            "name each worker once",
        )));
    }
    if load.connections < workers.len() {
        return Err(FleetError::Few(Advice::new(
            format!("{} connections can't be shared out among {among} workers", load.connections),
            "--connections is for all of them together",
        )));
    }
    Ok((0..among).filter_map(|index| Share::new(index, among)).collect())
}

impl Member {
    /// Connects, proves who it is, and measures the worker's clock.
    async fn join(place: &Place, token: &Token) -> Result<Member, FleetError> {
        let worker = place.name.clone();
        let unreachable = |why: String| FleetError::Unreachable { worker: worker.clone(), why };
        let foreign = |seen: String| FleetError::Foreign { worker: worker.clone(), seen };
        let connected = timeout(INTRODUCTION, TcpStream::connect(&place.address)).await;
        let stream = connected
            .map_err(|_| unreachable("no answer within 5 s".into()))?
            .map_err(|e| unreachable(e.to_string()))?;
        let mut link = Link::new(stream).map_err(|e| unreachable(e.to_string()))?;
        let theirs = match link.hear(INTRODUCTION).await {
            Ok(ToCoordinator::Hello { name, version: VERSION, word }) if name == NAME => word,
            Ok(ToCoordinator::Hello { name, version, .. }) if name == NAME => {
                return Err(FleetError::Version { worker, seen: version });
            }
            Ok(_) => return Err(foreign("it does not say who it is".into())),
            Err(e) => return Err(foreign(e.to_string())),
        };
        let own = Token::draw().map_err(|e| unreachable(e.to_string()))?;
        let proof = token.proof(Side::Coordinator, &theirs, &own);
        let lost = |e: LinkError| FleetError::Lost { worker: worker.clone(), why: e.to_string() };
        link.say(&ToWorker::Hello { version: VERSION, word: own.clone(), proof })
            .await
            .map_err(lost)?;
        match link.hear(ANSWER).await.map_err(lost)? {
            ToCoordinator::Welcome { proof }
                if token.holds(&proof, Side::Worker, &theirs, &own) => {}
            ToCoordinator::Welcome { .. } => return Err(FleetError::Token { worker }),
            ToCoordinator::Refused { refusal } => return Err(refused(worker, refusal)),
            _ => return Err(foreign("it does not say whether it serves us".into())),
        }
        link.trust();
        let offset = measure(&mut link).await.map_err(lost)?;
        Ok(Member { name: worker, link, offset })
    }

    /// Has it ready for its share.
    async fn prepare(&mut self, load: &Load, share: Share) -> Result<(), FleetError> {
        let worker = || self.name.clone();
        let lost = |e: LinkError| FleetError::Lost { worker: worker(), why: e.to_string() };
        self.link.say(&ToWorker::Prepare { job: Box::new(load.job(share)) }).await.map_err(lost)?;
        match self.link.hear(ANSWER).await.map_err(lost)? {
            ToCoordinator::Ready => Ok(()),
            ToCoordinator::Refused { refusal } => Err(refused(worker(), refusal)),
            _ => Err(FleetError::Foreign {
                worker: worker(),
                seen: "it does not say whether it is ready".into(),
            }),
        }
    }

    /// Lets it begin at that instant of our clock, and hands on what it tells.
    async fn follow(
        mut self,
        index: usize,
        begin: i64,
        stop: CancellationToken,
        told: mpsc::Sender<(usize, Told)>,
    ) {
        let last = match self.heard_out(index, begin, &stop, &told).await {
            Ok(last) => last,
            Err(e) => Told::Lost(e.to_string()),
        };
        // Nobody listens any more once the coordinator has given up.
        let _ = told.send((index, last)).await;
    }

    async fn heard_out(
        &mut self,
        index: usize,
        begin: i64,
        stop: &CancellationToken,
        told: &mpsc::Sender<(usize, Told)>,
    ) -> Result<Told, LinkError> {
        self.link.say(&ToWorker::Go { at: begin + self.offset.middle() }).await?;
        let lead = Duration::from_nanos(u64::try_from(begin - clock()).unwrap_or(0));
        // Only what it measures shows that it drives on: an answer to a ping does not.
        let mut due = Instant::now() + lead + SILENCE;
        let mut beat = tokio::time::interval(BEAT);
        let mut stopped = false;
        loop {
            tokio::select! {
                _ = beat.tick() => self.link.say(&ToWorker::Ping).await?,
                () = stop.cancelled(), if !stopped => {
                    stopped = true;
                    self.link.say(&ToWorker::Stop).await?;
                }
                said = self.link.hear_until(due, SILENCE) => match said? {
                    ToCoordinator::Pong { .. } => {}
                    ToCoordinator::Measured { tally } => {
                        due = Instant::now() + SILENCE;
                        let _ = told.send((index, Told::Measured(tally))).await;
                    }
                    ToCoordinator::Ended { summary, late_ns } => {
                        let drift = self.drift().await;
                        return Ok(Told::Ended { summary, late: Duration::from_nanos(late_ns), drift });
                    }
                    ToCoordinator::Failed { why } => return Ok(Told::Lost(why)),
                    _ => return Err(LinkError::Foreign("something else than what is measured".into())),
                }
            }
        }
    }

    /// How much its clock has moved against ours, if it still answers.
    async fn drift(&mut self) -> Option<Measured> {
        measure(&mut self.link).await.ok().map(|now| self.offset.until(now))
    }
}

/// What the worker's clock shows more than ours: the best of several round trips.
async fn measure(link: &mut Link) -> Result<Offset, LinkError> {
    let mut best: Option<Offset> = None;
    for _ in 0..ROUND_TRIPS {
        let asked = clock();
        link.say(&ToWorker::Ping).await?;
        let ToCoordinator::Pong { clock: theirs } = link.hear(ANSWER).await? else {
            return Err(LinkError::Foreign("something else than what its clock shows".into()));
        };
        let one = Offset::of(asked, theirs, clock());
        best = Some(best.map_or(one, |b| b.and(one)));
    }
    best.ok_or(LinkError::Closed)
}

fn refused(worker: String, refusal: Refusal) -> FleetError {
    match refusal {
        Refusal::Version(seen) => FleetError::Version { worker, seen },
        Refusal::Token => FleetError::Token { worker },
        Refusal::Busy => FleetError::Busy { worker },
        Refusal::Unreachable(why) => FleetError::Target { worker, why },
        Refusal::Target(why) | Refusal::Request(why) => FleetError::Refused { worker, why },
    }
}
