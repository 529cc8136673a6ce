//! The load of one URL.

use super::{Arguments, Common, Failure, Rate, Running, fleet, of_file, pace, read, usage};
use crate::engine::{Engine, label};
use crate::exit::Exit;
use hyper::Uri;
use loadgen::direct::{Direct, DirectError, Feed, Pace, Parts, Request, Watch};
use loadgen::fleet::Load;
use loadgen::{Arrival, Network, check_target};
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
    #[arg(long, value_name = "FILE", requires = "url")]
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
pub(super) async fn drive(url: &str, arguments: &Arguments, common: &Common, running: &Running) -> Result<LoadSummary, Failure> {
    let options = &arguments.url_options;
    let (place, path) = parsed(url)?;
    let pace = match arguments.rate {
        Some(Rate::Max) if arguments.arrival.is_none() => Pace::FlatOut,
        _ => {
            let (arrival, rate) = pace(arguments, (None, Arrival::Constant))?;
            Pace::Open { arrival, rate }
        }
    };
    if arguments.duration.is_none() && !matches!(pace, Pace::Open { arrival: Arrival::Replay(_), .. }) {
        return Err(usage("--duration is missing\nhint: as in --duration 10s"));
    }
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
    if arguments.fleet.asked() {
        // That it can be sent is found out here; where it may go the workers know.
        Request::new(&parts).map_err(usage)?;
        let load = Load {
            parts,
            pace,
            duration: arguments.duration,
            connections: options.connections as usize,
            waiting: WAITING,
            timeout: arguments.timeout,
            wanted: options.status,
            slip_limit: arguments.max_slip,
            seed: running.seed,
        };
        return fleet::drive(&load, log(options)?, arguments, common, running).await;
    }
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
        pace,
        duration: arguments.duration,
        connections: options.connections as usize,
        waiting: WAITING,
        timeout: arguments.timeout,
        wanted: options.status,
        slip_limit: arguments.max_slip,
        seed: running.seed,
    };
    let (log, stop) = (log(options)?, CancellationToken::new());
    let (live_out, mut live) = tokio::sync::watch::channel(None);
    let (duration, stopping) = (direct.duration, stop.clone());
    let mut driven = tokio::task::spawn_blocking(move || {
        let mut show = |now, lasted| {
            live_out.send_replace(Some((now, lasted)));
        };
        loadgen::direct::drive(&direct, Watch { log, wall: &SystemTime::now, stop: &stopping, live: &mut show })
    });
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

/// Where the interval log goes, if one is wanted.
fn log(options: &UrlOptions) -> Result<Option<Box<dyn Write + Send>>, Failure> {
    let Some(file) = &options.hdr_log else { return Ok(None) };
    let opened = std::fs::File::create(file).map_err(|e| {
        usage(format!("the interval log can't be written to {}: {e}\nhint: name another file with --hdr-log", file.display()))
    })?;
    Ok(Some(Box::new(opened)))
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
pub(in crate::cli) async fn ours() -> Vec<Network> {
    let Ok(engine) = Engine::connect().await else { return Vec::new() };
    let subnets = engine.subnets_with(label::RUN, None).await.unwrap_or_default();
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
