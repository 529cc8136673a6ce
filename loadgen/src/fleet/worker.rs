//! A worker: drives its part of a load for whoever proves to know the token, one coordinator at a
//! time.

use super::job::Job;
use super::link::{Link, LinkError, NAME, Refusal, SILENCE, ToCoordinator, ToWorker, VERSION};
use super::token::{Side, Token};
use crate::advice::{Advice, Advised};
use crate::arrival::Share;
use crate::direct::{self, Direct, Part, Tally, Watch, now};
use crate::target::{Network, check_target};
use futures::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long somebody who connects may take to prove who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// How long a coordinator may think before it lets a load begin: it waits for its other workers.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many may introduce themselves at once.
const STRANGERS: usize = 16;

/// Networks that may be driven besides the loopback interface, as they are at that moment.
pub type Allowed = Arc<dyn Fn() -> BoxFuture<'static, Vec<Network>> + Send + Sync>;
/// Told what happens, in words.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// What a worker is started with.
#[derive(Clone)]
pub struct Rules {
    /// The secret that a coordinator has to know.
    pub token: Token,
    /// What it may drive.
    pub allowed: Allowed,
    /// Who is told what happens.
    pub say: Say,
}

/// Serves coordinators, one after the other, until `stop`.
pub fn serve(
    listener: TcpListener,
    rules: Rules,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    // Its clock counts from here: no coordinator may take it for its own.
    let zero = now();
    let (strangers, served) = (Arc::new(Semaphore::new(STRANGERS)), Arc::new(Semaphore::new(1)));
    async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => {
                    let visit = Visit { rules: rules.clone(), zero, from, stop: stop.clone() };
                    // Who comes while too many introduce themselves is not heard.
                    if let Ok(place) = strangers.clone().try_acquire_owned() {
                        tokio::spawn(visit.received(stream, place, served.clone()));
                    }
                }
                Err(error) => {
                    (rules.say)(&format!("a connection can't be accepted: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Somebody who connected.
struct Visit {
    rules: Rules,
    /// Where the worker's clock begins, ns.
    zero: u64,
    from: SocketAddr,
    stop: CancellationToken,
}

/// What is to be driven.
struct Prepared {
    direct: Direct,
    share: Share,
}

impl Visit {
    fn clock(&self) -> i64 {
        now().saturating_sub(self.zero).cast_signed()
    }

    async fn received(
        self,
        stream: TcpStream,
        place: OwnedSemaphorePermit,
        served: Arc<Semaphore>,
    ) {
        let from = self.from;
        let introduced = tokio::time::timeout(INTRODUCTION, self.introduced(stream, served)).await;
        drop(place);
        let (mut link, _turn) = match introduced {
            Ok(Ok(introduced)) => introduced,
            Ok(Err(why)) => return (self.rules.say)(&format!("{from} is not served: {why}")),
            Err(_) => {
                return (self.rules.say)(&format!(
                    "{from} is not served: it did not say who it is"
                ));
            }
        };
        (self.rules.say)(&format!("coordinator {from} is served"));
        let left = match self.converse(&mut link).await {
            Ok(()) => "this worker is being ended".into(),
            Err(why) => why.to_string(),
        };
        (self.rules.say)(&format!("coordinator {from} is gone: {left}"));
    }

    /// Hears who it is, and lets it take its turn. An error is why it is not served.
    async fn introduced(
        &self,
        stream: TcpStream,
        served: Arc<Semaphore>,
    ) -> Result<(Link, OwnedSemaphorePermit), String> {
        let mut link = Link::new(stream).map_err(|e| e.to_string())?;
        let own = Token::draw().map_err(|e| e.to_string())?;
        let hello = ToCoordinator::Hello { name: NAME.into(), version: VERSION, word: own.clone() };
        link.say(&hello).await.map_err(|e| e.to_string())?;
        let ToWorker::Hello { version, word, proof } =
            link.hear(INTRODUCTION).await.map_err(|e| e.to_string())?
        else {
            return Err("it did not say who it is".into());
        };
        let admitted = match version {
            VERSION if self.rules.token.holds(&proof, Side::Coordinator, &own, &word) => served
                .try_acquire_owned()
                .map_err(|_| (Refusal::Busy, "another is being served".to_owned())),
            VERSION => Err((Refusal::Token, "its token is another".to_owned())),
            other => Err((
                Refusal::Version(VERSION),
                format!("it speaks version {other} of the protocol, wanted {VERSION}"),
            )),
        };
        let turn = match admitted {
            Ok(turn) => turn,
            Err((refusal, why)) => {
                let _ = link.say(&ToCoordinator::Refused { refusal }).await;
                return Err(why);
            }
        };
        let proof = self.rules.token.proof(Side::Worker, &own, &word);
        link.say(&ToCoordinator::Welcome { proof }).await.map_err(|e| e.to_string())?;
        link.trust();
        Ok((link, turn))
    }

    /// Does what the coordinator says until this worker is ended; an error is why the coordinator
    /// is gone.
    async fn converse(&self, link: &mut Link) -> Result<(), LinkError> {
        let mut prepared = None;
        loop {
            let said = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                said = link.hear(PATIENCE) => said?,
            };
            let refuse = |why: &str| ToCoordinator::Refused {
                refusal: Refusal::Request(why.to_owned().into()),
            };
            let answer = match said {
                ToWorker::Ping => ToCoordinator::Pong { clock: self.clock() },
                ToWorker::Stop => continue,
                ToWorker::Hello { .. } => refuse("it has said who it is"),
                ToWorker::Prepare { job } => match self.prepare(&job).await {
                    Ok(ready) => {
                        prepared = Some(ready);
                        ToCoordinator::Ready
                    }
                    Err(refusal) => ToCoordinator::Refused { refusal },
                },
                ToWorker::Go { at } => match prepared.take() {
                    Some(ready) => {
                        (self.rules.say)(&format!(
                            "driving {} for coordinator {}",
                            ready.direct.address, self.from
                        ));
                        self.drive(link, ready, at).await?
                    }
                    None => refuse("there is nothing to be done"),
                },
            };
            link.say(&answer).await?;
        }
    }

    /// Whether that can be done, and may be.
    async fn prepare(&self, job: &Job) -> Result<Prepared, Refusal> {
        let place = &job.parts.host;
        // Networks are asked for only if the target is not on this machine.
        let address = match check_target(place, &[]).await {
            Err(crate::TargetError::Foreign { .. }) => {
                check_target(place, &(self.rules.allowed)().await).await
            }
            checked => checked,
        };
        let address = address.map_err(|e| match e {
            crate::TargetError::Foreign { .. } => {
                let hint = e.hint().unwrap_or_default();
                let or = format!("{hint}; or start the worker with --allow NETWORK");
                Refusal::Target(Advice::new(e.to_string(), or))
            }
            other => Refusal::Target(other.advice()),
        })?;
        let direct = job.direct(address).map_err(|e| Refusal::Request(e.advice()))?;
        let tried =
            tokio::task::spawn_blocking(move || direct::reach(&direct).map(|()| direct)).await;
        match tried.map_err(|e| Refusal::Request(e.to_string().into()))? {
            Ok(direct) => Ok(Prepared { direct, share: job.share }),
            Err(e) => Err(Refusal::Unreachable(e.advice())),
        }
    }

    /// Drives its part and tells what it measures. A coordinator that is gone ends it at once.
    async fn drive(
        &self,
        link: &mut Link,
        ready: Prepared,
        at: i64,
    ) -> Result<ToCoordinator, LinkError> {
        let (tallies, mut measured) = mpsc::unbounded_channel();
        let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
        let begin = self.zero.saturating_add_signed(at);
        let part = Part {
            share: ready.share,
            begin: Some(begin),
            tallies: Some(tallies),
            abandon: abandon.clone(),
        };
        let stopping = stop.clone();
        let driven = crate::on_own_thread("load", move || async move {
            let watch =
                Watch { log: None, wall: &SystemTime::now, stop: &stopping, live: &mut |_, _| () };
            direct::drive_part(&ready.direct, watch, &part)
        });
        let Ok(driven) = driven else {
            return Ok(ToCoordinator::Failed { why: "the load has no thread".into() });
        };
        let told = self.tell(link, &mut measured, &stop).await;
        if told.is_err() {
            // Nobody hears of it any more.
            abandon.cancel();
        }
        let driven = driven.await;
        told?;
        Ok(match driven {
            Ok(Ok((summary, late))) => ToCoordinator::Ended {
                summary: Box::new(summary),
                late_ns: u64::try_from(late.as_nanos()).unwrap_or(u64::MAX),
            },
            Ok(Err(error)) => ToCoordinator::Failed { why: error.to_string() },
            Err(_) => ToCoordinator::Failed { why: "the load ended early".into() },
        })
    }

    /// Tells what is measured until there is no more of it.
    async fn tell(
        &self,
        link: &mut Link,
        measured: &mut UnboundedReceiver<Tally>,
        stop: &CancellationToken,
    ) -> Result<(), LinkError> {
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                tally = measured.recv() => match tally {
                    Some(tally) => link.say(&ToCoordinator::Measured { tally: Box::new(tally) }).await?,
                    None => return Ok(()),
                },
                said = link.hear_until(heard + SILENCE, SILENCE) => {
                    heard = Instant::now();
                    match said? {
                        ToWorker::Ping => link.say(&ToCoordinator::Pong { clock: self.clock() }).await?,
                        ToWorker::Stop => stop.cancel(),
                        _ => return Err(LinkError::Foreign("something else than a ping or a stop while a load is driven".into())),
                    }
                }
                () = self.stop.cancelled() => return Err(LinkError::Closed),
            }
        }
    }
}
