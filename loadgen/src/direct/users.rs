//! The load of one URL by users who wait for the answer and think: a closed loop, each user with a
//! connection of its own.

use super::answer::{Answer, Progress};
use super::{Direct, DirectError, reach};
use crate::client::not_opened;
use crate::closed_loop::{Pulse, Think, UserPool, UserTask, Users, live, state};
use crate::recorder::{Ended, LiveStats, Recorder};
use futures::FutureExt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout_at};
use tokio_util::sync::CancellationToken;
use verdict::history::load::{Connections, LoadSummary};

/// How often [`LiveStats`] is shown.
const SHOW: Duration = Duration::from_millis(500);
/// Thinking time unless told otherwise: one page, and on to the next.
const THINK: Think = Think { least: Duration::from_secs(1), most: Duration::from_secs(3) };

/// What all users share.
struct Url {
    direct: Direct,
    think: Think,
    began: Instant,
    recorder: Mutex<Recorder>,
    /// Numbers of operations, for what is drawn from them.
    number: AtomicU64,
    opened: AtomicU64,
    over: CancellationToken,
}

impl Url {
    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has users drive one URL to the end of the load; its pace, number of connections and queue say
/// nothing here. Shows what is measured, and how long the load has lasted, twice a second.
///
/// # Errors
/// The target can't be reached at the beginning, or the users can't be started.
pub async fn drive_users(
    direct: Direct,
    users: &Users,
    stop: &CancellationToken,
    shown: watch::Sender<Option<(LiveStats, Duration)>>,
) -> Result<LoadSummary, DirectError> {
    crate::open_loop::raise_file_limit();
    let asked = direct.clone();
    tokio::task::spawn_blocking(move || reach(&asked)).await.map_err(io::Error::other)??;
    let crowd = UserPool::gather(users.count)
        .await
        .map_err(|e| DirectError::System(io::Error::other(e)))?;
    let (halt, duration) = (stop.child_token(), direct.duration);
    let recorder = Recorder::with_slip_limit(direct.slip_limit.as_secs_f64() * 1e3)
        .watched(&direct.windows, duration);
    let url = Arc::new(Url {
        think: users.think.unwrap_or(THINK),
        began: Instant::now(),
        recorder: Mutex::new(recorder),
        number: AtomicU64::new(0),
        opened: AtomicU64::new(0),
        over: CancellationToken::new(),
        direct,
    });
    let ended = CancellationToken::new();
    let ticks = async {
        let mut tick = interval(SHOW);
        while ended.run_until_cancelled(tick.tick()).await.is_some() {
            let at = url.began.elapsed();
            let mut recorder = url.recorder();
            if recorder.tick(at).is_some() {
                halt.cancel();
            }
            shown.send_replace(Some((recorder.live(at), at)));
        }
    };
    let theirs = Arc::clone(&url);
    let life: UserTask = Arc::new(move |user| one(Arc::clone(&theirs), user).boxed());
    let lives = async {
        let lived = live(crowd, life, duration, &url.over, &halt, url.began).await;
        ended.cancel();
        lived
    };
    let (driven, ()) = tokio::join!(lives, ticks);
    let driven = driven.map_err(|e| DirectError::System(io::Error::other(e)))?;
    let mut summary = url.recorder().summary(driven);
    let opened = url.opened.load(Ordering::Relaxed);
    state(&mut summary, Some(users));
    summary.connections = Some(Connections {
        opened,
        reused: summary.operations.saturating_sub(opened),
        ..Connections::default()
    });
    Ok(summary)
}

/// One user, until the load is over.
async fn one(url: Arc<Url>, user: u64) {
    let mut pulse = Pulse::new(url.direct.seed, user, url.think);
    let (mut line, mut answer, mut buffer) = (None, Answer::new(), vec![0; 16 * 1024]);
    while pulse.wait(&url.over).await {
        let (due, started) = (pulse.due, Instant::now());
        {
            let mut recorder = url.recorder();
            recorder.arrived();
            recorder.began(started.saturating_duration_since(due));
        }
        let request = match url.direct.request.constant() {
            Some(request) => request.to_vec(),
            None => url.direct.request.write(url.number.fetch_add(1, Ordering::Relaxed)),
        };
        let answered = timeout_at(
            started + url.direct.timeout,
            ask(&url, &mut line, &request, &mut answer, &mut buffer),
        )
        .await;
        let wrong = match answered {
            Ok(Ok(status))
                if url.direct.wanted.map_or((200..400).contains(&status), |w| w == status) =>
            {
                None
            }
            Ok(Ok(status)) => Some(format!("status {status}")),
            Ok(Err(kind)) => {
                line = None;
                Some(kind)
            }
            Err(_) => {
                line = None;
                Some("no answer in time".to_owned())
            }
        };
        let now = Instant::now();
        let ended = Ended {
            at: now.saturating_duration_since(url.began),
            latency: now.saturating_duration_since(due),
            service: now.saturating_duration_since(started),
            as_expected: wrong.is_none(),
        };
        let mut recorder = url.recorder();
        recorder.ended(ended);
        if let Some(kind) = wrong {
            recorder.kind(&kind);
        }
        drop(recorder);
        pulse.think(url.think);
    }
}

/// Sends a request over the user's connection, which is opened where there is none, and reads the
/// answer's status, or says what kind of thing went wrong. The connection is kept if both sides
/// want that.
async fn ask(
    url: &Url,
    line: &mut Option<TcpStream>,
    request: &[u8],
    answer: &mut Answer,
    buffer: &mut [u8],
) -> Result<u16, String> {
    if line.as_ref().is_some_and(is_closed) {
        *line = None;
    }
    let mut stream = match line.take() {
        Some(stream) => stream,
        None => {
            url.opened.fetch_add(1, Ordering::Relaxed);
            let stream =
                TcpStream::connect(url.direct.address).await.map_err(|e| no_connection(url, &e))?;
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            stream
        }
    };
    let closed = |_| "connection closed".to_owned();
    stream.write_all(request).await.map_err(closed)?;
    answer.reset();
    loop {
        let read = stream.read(buffer).await.map_err(closed)?;
        if read == 0 {
            return if answer.ends_with_connection() {
                Ok(answer.status)
            } else {
                Err("connection closed".to_owned())
            };
        }
        match answer.feed(&buffer[..read]) {
            Progress::Malformed(why) => return Err(format!("malformed answer: {why}")),
            Progress::Whole { used } => {
                if used == read && answer.keep {
                    *line = Some(stream);
                }
                return Ok(answer.status);
            }
            Progress::More => {}
        }
    }
}

/// Whether the server closed a connection, or said what nobody asked for, while the user thought.
fn is_closed(stream: &TcpStream) -> bool {
    !matches!(stream.try_read(&mut [0; 1]), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
}

fn no_connection(url: &Url, error: &io::Error) -> String {
    let (kind, starved) = not_opened(error);
    if starved {
        url.recorder().starved(&error.to_string());
    }
    kind.to_owned()
}
