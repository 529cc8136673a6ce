//! The load of one URL.

use super::course::{self, Course, Paced, Usual};
use super::{Arguments, Failure, Running, of_file, read, usage};
use crate::engine::{Engine, label};
use crate::exit::Exit;
use futures::{FutureExt, TryFutureExt};
use hyper::Uri;
use loadgen::direct::{Direct, DirectError, Feed, Pace, Parts, Request, Watch, drive_users};
use loadgen::{Arrival, Network, Windows, check_target};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;
use verdict::history::load::LoadSummary;

/// What only a URL can be driven with. Path, headers and body may hold placeholders: `{id}`, `{n}`, `{subject}`, `{token}` follow
/// from seed and number, `{feed.COLUMN}` from --feed.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "With --url")]
pub struct UrlOptions {
    /// Most connections at once; an arrival that finds all busy waits, and its latency counts that.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=20_000), requires = "url")]
    connections: u32,
    /// Write latency and service time of each second in the standard format of HdrHistogram.
    #[arg(long, value_name = "FILE", requires = "url", conflicts_with_all = ["find_knee", "users"])]
    hdr_log: Option<PathBuf>,
    /// Method.
    #[arg(long, default_value = "GET", requires = "url")]
    method: String,
    /// Header, as in "Accept: text/html"; may be given several times.
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    header: Vec<String>,
    /// Body.
    #[arg(long, requires = "url")]
    body: Option<String>,
    /// Data for {feed.COLUMN}: first line the columns, then rows, with commas between.
    #[arg(long, value_name = "FILE", requires = "url")]
    feed: Option<PathBuf>,
    /// The one status that is wanted [default: any from 200 to 399].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(200..600), requires = "url")]
    status: Option<u16>,
}

/// Most arrivals that may wait for a connection: what a target that stands still for 10 s at 20,000 a second collects, and more.
const WAITING: usize = 500_000;

/// Drives it.
pub(super) async fn drive(url: &str, arguments: &Arguments, running: &Running) -> Result<LoadSummary, Failure> {
    let options = &arguments.url_options;
    let (place, path) = parsed(url)?;
    let course = Course::of(arguments, Usual { rate: None, arrival: Arrival::Constant, duration: None })?;
    let feed = match &options.feed {
        Some(file) => Some(Feed::read(&read(file)?).map_err(of_file(file))?),
        None => None,
    };
    if options.method.is_empty() || options.method.contains(|c: char| !c.is_ascii_uppercase()) {
        return Err(usage(format!("method {:?} is none\nhint: as in --method POST", options.method)));
    }
    let parts = Parts {
        method: options.method.clone(),
        host: place.clone(),
        path,
        headers: options.header.clone(),
        body: options.body.clone(),
        feed,
        seed: running.seed,
    };
    let address = match check_target(&place, &[]).await {
        Err(foreign @ loadgen::TargetError::Foreign { .. }) => match ours().await {
            networks if networks.is_empty() => Err(foreign),
            networks => check_target(&place, &networks).await,
        },
        checked => checked,
    };
    let direct = Direct {
        address: address.map_err(usage)?,
        request: Request::new(&parts).map_err(usage)?,
        pace: Pace::FlatOut,
        duration: None,
        connections: options.connections as usize,
        waiting: WAITING,
        timeout: arguments.timeout,
        wanted: options.status,
        slip_limit: arguments.max_slip,
        windows: Windows::default(),
        seed: running.seed,
    };
    course.follow(arguments, running, async |paced| once(&direct, paced, options, running).await).await
}

/// Drives it once.
async fn once(direct: &Direct, paced: Paced, options: &UrlOptions, running: &Running) -> Result<LoadSummary, Failure> {
    let Paced { pace, duration, windows } = paced;
    let (pace, users) = match pace {
        course::Pace::Open { arrival, rate } => (Pace::Open { arrival, rate }, None),
        course::Pace::FlatOut => (Pace::FlatOut, None),
        course::Pace::Users(users) => (Pace::FlatOut, Some(users)),
    };
    let direct = Direct { pace, duration, windows, ..direct.clone() };
    let log = options.hdr_log.as_ref().map(|file| {
        let opened = std::fs::File::create(file).map_err(|e| {
            usage(format!("the interval log can't be written to {}: {e}\nhint: name another file with --hdr-log", file.display()))
        })?;
        Ok::<Box<dyn Write + Send>, Failure>(Box::new(opened))
    });
    let (log, stop) = (log.transpose()?, CancellationToken::new());
    let (live_out, mut live) = tokio::sync::watch::channel(None);
    let stopping = stop.clone();
    let no_thread = |e| Failure::new(Exit::Unfit, format!("the load has no thread: {e}\nhint: raise the limit of processes (ulimit -u)"));
    let mut driven = match users {
        Some(users) => {
            let users = loadgen::on_own_thread("load", move || async move { drive_users(direct, &users, &stopping, live_out).await });
            users.map_err(no_thread)?.map_err(|e| e.to_string()).boxed()
        }
        None => {
            let drive = move || {
                let mut show = |now, lasted| {
                    live_out.send_replace(Some((now, lasted)));
                };
                loadgen::direct::drive(&direct, Watch { log, wall: &SystemTime::now, stop: &stopping, live: &mut show })
            };
            tokio::task::spawn_blocking(drive).map_err(|e| e.to_string()).boxed()
        }
    };
    let mut next = Duration::ZERO;
    let driven = loop {
        tokio::select! {
            done = &mut driven => break done,
            () = running.interrupt.wait(), if !stop.is_cancelled() => stop.cancel(),
            Ok(()) = live.changed() => {
                let seen = *live.borrow_and_update();
                if let Some((now, lasted)) = seen && lasted >= next {
                    running.tell(now, lasted, duration);
                    next = lasted + Duration::from_millis(900);
                }
            }
        }
    };
    driven.map_err(|e| Failure::new(Exit::Defect, format!("the load ended early: {e}")))?.map_err(|e| {
        let exit = match e {
            DirectError::Unreachable { .. } => Exit::Unfit,
            DirectError::Log(_) => Exit::Usage,
            DirectError::System(_) => Exit::Unfit,
        };
        Failure::new(exit, e)
    })
}

/// `host:port` and path of a URL.
fn parsed(url: &str) -> Result<(String, String), Failure> {
    let wrong = |why: &str| usage(format!("URL {url:?} {why}\nhint: as in --url http://127.0.0.1:8080/path"));
    // Placeholders have braces, which a URL can't hold.
    let (before, path) = match url.find("://").and_then(|at| url[at + 3..].find(['/', '?']).map(|end| at + 3 + end)) {
        Some(at) => url.split_at(at),
        None => (url, "/"),
    };
    let uri: Uri = before.parse().map_err(|e| wrong(&format!("can't be read: {e}")))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some(_) => return Err(wrong("is not http, which is all that can be driven so far")),
        None => return Err(wrong("has no scheme")),
    }
    let authority = uri.authority().filter(|a| !a.host().is_empty() && !a.as_str().contains('@')).ok_or_else(|| wrong("names no host"))?;
    if path.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Err(wrong("has a path with spaces, or a fragment"));
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)), path))
}

/// Networks of stacks of ours that are up; none if no engine answers.
async fn ours() -> Vec<Network> {
    let Ok(engine) = Engine::connect().await else { return Vec::new() };
    let subnets = engine.subnets_with(label::RUN).await.unwrap_or_default();
    subnets.iter().filter_map(|s| s.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::parsed;

    #[test]
    fn urls_are_taken_apart_or_refused() {
        let good = |url: &str| parsed(url).expect("readable");
        assert_eq!(good("http://127.0.0.1:8080/a?b={n}"), ("127.0.0.1:8080".into(), "/a?b={n}".into()));
        assert_eq!(good("http://localhost"), ("localhost:80".into(), "/".into()));
        assert_eq!(good("http://[::1]:90?q=1"), ("[::1]:90".into(), "/?q=1".into()));
        for url in
            ["", "127.0.0.1:80", "https://127.0.0.1/", "ftp://127.0.0.1/", "http:///a", "http://u:p@127.0.0.1/", "http://127.0.0.1/a b"]
        {
            assert!(parsed(url).is_err(), "{url:?}");
        }
    }
}
