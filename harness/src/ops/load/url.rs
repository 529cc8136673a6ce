//! The load of one URL.

use super::course::{self, Defaults, LoadProfile, Paced};
use super::place::{Named, Place, Secured, Spoken, decoded, named};
use super::{Arguments, Running, fleet, of_file, read, usage};
use crate::ops::settings::Common;
use crate::ops::workers::ours;
use crate::process::exit::Exit;
use crate::process::failure::{Advice, Failure, option};
use loadgen::direct::{Direct, DirectError, Pace, Parts, Request, Watch, drive_users};
use loadgen::fleet::Load;
use loadgen::payload::Size;
use loadgen::template::{Feed, Filling, Order, RequestError, Template};
use loadgen::wide::{
    Dial, Line, Mailbox, Mailing, Protocol, Security, Sink, Tls, Traces, Transport, Version, Web,
    Wide, WideError, Writer,
};
use loadgen::{Arrival, Windows, check_target};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;
use verdict::history::load::LoadSummary;

/// What only a URL can be driven with. Path, headers, body and addresses may hold placeholders:
/// `{id}`, `{n}`, `{subject}`, `{token}` and `{body}` follow from seed and number, `{feed.COLUMN}`
/// from --feed.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "With --url")]
pub struct UrlOptions {
    /// Most connections at once; an arrival that finds all busy waits, and its latency counts that.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=20_000), requires = "url")]
    connections: u32,
    /// Write latency and service time of each second in the standard format of HdrHistogram.
    #[arg(long, value_name = "FILE", requires = "url", conflicts_with_all = ["find_knee", "users"])]
    hdr_log: Option<PathBuf>,
    /// Authorities that are trusted, PEM: needed for TLS, which trusts nobody else.
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// HTTP/2: agreed on by TLS with https, taken for granted with http.
    #[arg(long, requires = "url")]
    http2: bool,
    /// Most operations at once over one connection of HTTP/2 or gRPC [default: 32].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), requires = "url")]
    streams: Option<u32>,
    /// HTTP: method [default: GET].
    #[arg(long, requires = "url")]
    method: Option<String>,
    /// HTTP, SMTP: header, as in "Accept: text/html"; may be given several times.
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    header: Vec<String>,
    /// HTTP, SMTP, log lines: body [default with SMTP and log lines: words that follow from seed
    /// and id].
    #[arg(long, requires = "url", conflicts_with = "body_file")]
    body: Option<String>,
    /// The same from a file.
    #[arg(long, value_name = "FILE", requires = "url")]
    body_file: Option<PathBuf>,
    /// Characters of such words, many short and a few long ones [default: 200..2000].
    #[arg(long, value_name = "LEAST..MOST", value_parser = option(str::parse::<Size>), requires = "url")]
    body_bytes: Option<Size>,
    /// Data for {feed.COLUMN}: first line the columns, then rows, with commas between.
    #[arg(long, value_name = "FILE", requires = "url")]
    feed: Option<PathBuf>,
    /// Order of its rows: sequential, shuffled (by seed, over and over) or random (each drawn)
    /// [default: random].
    #[arg(long, value_name = "ORDER", value_parser = option(str::parse::<Order>), requires = "feed")]
    feed_order: Option<Order>,
    /// HTTP: the one status that is wanted [default: any from 200 to 399].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(200..600), requires = "url")]
    status: Option<u16>,
    /// SMTP: sender [default: firedrill@localhost].
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    from: Option<String>,
    /// SMTP: recipient.
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    to: Option<String>,
    /// IMAP: what each operation searches for before it reads one message that was found [default:
    /// ALL].
    #[arg(long, value_name = "CRITERIA", requires = "url")]
    search: Option<String>,
}

/// Most arrivals that may wait for a connection: what a target that stands still for 10 s at 20,000
/// a second collects, and more.
const WAITING: usize = 500_000;
/// The same where each that waits is a task.
const WAITING_TASKS: usize = 50_000;
/// Most operations at once over a connection, unless told otherwise.
const STREAMS: u32 = 32;

/// What drives it.
#[derive(Clone)]
enum Driver {
    Direct(Direct),
    Wide(Wide),
}

/// Drives it.
pub(super) async fn drive(
    url: &str,
    arguments: &Arguments,
    common: &Common,
    running: &Running,
) -> Result<LoadSummary, Failure> {
    let options = &arguments.url_options;
    let named = named(url)?;
    options.check(&named)?;
    let course = LoadProfile::of(
        arguments,
        Defaults { rate: None, arrival: Arrival::Constant, duration: None },
    )?;
    let prepared = options.prepared(running.seed)?;
    if arguments.fleet.asked() {
        let load = of_workers(&named, &prepared, course, arguments, running)?;
        return fleet::drive(&load, log(options)?, arguments, common, running).await;
    }
    let driver = driver(named, &prepared, arguments, running).await?;
    if course.has_users() && matches!(driver, Driver::Wide(_)) {
        return Err(usage("--users drive HTTP/1.1 without TLS, and stacks")
            .hint("drive this URL at a --rate"));
    }
    course
        .follow(arguments, running, async |paced| {
            once(driver.clone(), paced, options, running).await
        })
        .await
}

/// The load that several workers share.
fn of_workers(
    named: &Named,
    prepared: &Prepared,
    course: LoadProfile,
    arguments: &Arguments,
    running: &Running,
) -> Result<Load, Failure> {
    let options = &arguments.url_options;
    let Named::Place(place @ Place { spoken: Spoken::Http, secured: Secured::No, .. }) = named
    else {
        return Err(usage("workers drive http:// only so far")
            .hint("leave out --workers, or name a URL with http://"));
    };
    if options.http2 {
        return Err(usage("workers drive HTTP/1.1 only so far").hint("leave out --http2"));
    }
    let parts = prepared.parts(options, place)?;
    // That it can be sent is found out here; where it may go the workers know.
    Request::new(&parts).map_err(options.of_request())?;
    let (pace, duration) = course.of_workers()?;
    Ok(Load {
        parts,
        pace,
        duration,
        connections: options.connections as usize,
        waiting: WAITING,
        timeout: arguments.timeout,
        wanted: options.status,
        slip_limit: arguments.max_slip,
        seed: running.seed,
    })
}

/// What drives the URL; its pace, duration and windows are set for each load.
async fn driver(
    named: Named,
    prepared: &Prepared,
    arguments: &Arguments,
    running: &Running,
) -> Result<Driver, Failure> {
    let options = &arguments.url_options;
    let wide = |protocol| {
        Driver::Wide(Wide {
            protocol,
            pace: Pace::FlatOut,
            duration: None,
            connections: options.connections as usize,
            waiting: WAITING_TASKS,
            timeout: arguments.timeout,
            slip_limit: arguments.max_slip,
            windows: Windows::default(),
            seed: running.seed,
        })
    };
    let place = match named {
        Named::Place(place) => place,
        Named::File(path) => {
            // Said now, and not of each line.
            let opened = std::fs::File::options().create(true).append(true).open(&path);
            opened.map_err(|e| {
                usage(format!("{path}: {e}"))
                    .hint("name a file that can be written after lines+file:")
            })?;
            return Ok(wide(Protocol::Lines(prepared.line(options, Sink::File(path.into()))?)));
        }
    };
    let address = address(&place.at()).await?;
    if place.spoken == Spoken::Http && place.secured == Secured::No && !options.http2 {
        return Ok(Driver::Direct(Direct {
            address,
            request: prepared.request(options, &place)?,
            pace: Pace::FlatOut,
            duration: None,
            connections: options.connections as usize,
            waiting: WAITING,
            timeout: arguments.timeout,
            wanted: options.status,
            slip_limit: arguments.max_slip,
            windows: Windows::default(),
            seed: running.seed,
        }));
    }
    Ok(wide(prepared.protocol(options, &place, address)?))
}

/// Drives it once.
async fn once(
    mut driver: Driver,
    paced: Paced,
    options: &UrlOptions,
    running: &Running,
) -> Result<LoadSummary, Failure> {
    let Paced { pace: asked, duration: lasting, windows: watched } = paced;
    let (asked, users) = match asked {
        course::Pace::Generated(pace) => (pace, None),
        course::Pace::Users(users) => (Pace::FlatOut, Some(users)),
    };
    match &mut driver {
        Driver::Direct(Direct { pace, duration, windows, .. })
        | Driver::Wide(Wide { pace, duration, windows, .. }) => {
            (*pace, *duration, *windows) = (asked, lasting, watched);
        }
    }
    let (log, stop) = (log(options)?, CancellationToken::new());
    let (live_out, mut live) = tokio::sync::watch::channel(None);
    let stopping = stop.clone();
    let make = move || async move {
        if let (Driver::Direct(direct), Some(users)) = (&driver, users) {
            return drive_users(direct.clone(), &users, &stopping, live_out)
                .await
                .map_err(|e| Failure::of_load(Exit::Unfit, e));
        }
        let mut show = |now, lasted| {
            live_out.send_replace(Some((now, lasted)));
        };
        let watch = Watch { log, wall: &SystemTime::now, stop: &stopping, live: &mut show };
        match &driver {
            Driver::Direct(direct) => loadgen::direct::drive(direct, watch).map_err(|e| {
                let exit = if matches!(e, DirectError::Log(_)) { Exit::Usage } else { Exit::Unfit };
                Failure::of_load(exit, e)
            }),
            Driver::Wide(wide) => loadgen::wide::drive(wide, watch).await.map_err(|e| {
                let exit = if matches!(e, WideError::Log(_)) { Exit::Usage } else { Exit::Unfit };
                Failure::of_load(exit, e)
            }),
        }
    };
    let mut driven = loadgen::on_own_thread("load", make).map_err(super::no_thread)?;
    let mut next = Duration::ZERO;
    let driven = loop {
        tokio::select! {
            done = &mut driven => break done,
            () = running.interrupt.wait(), if !stop.is_cancelled() => stop.cancel(),
            Ok(()) = live.changed() => {
                let seen = *live.borrow_and_update();
                if let Some((now, lasted)) = seen && lasted >= next {
                    running.tell(now, lasted, lasting);
                    next = lasted + Duration::from_millis(900);
                }
            }
        }
    };
    driven.map_err(|e| Failure::new(Exit::Defect, format!("the load ended early: {e}")))?
}

/// Where the interval log goes, if one is wanted.
fn log(options: &UrlOptions) -> Result<Option<Box<dyn Write + Send>>, Failure> {
    let Some(file) = &options.hdr_log else { return Ok(None) };
    let opened = std::fs::File::create(file).map_err(|e| {
        usage(format!("the interval log can't be written to {}: {e}", file.display()))
            .hint("name another file with --hdr-log")
    })?;
    Ok(Some(Box::new(opened)))
}

impl UrlOptions {
    /// Whether each option that was given is one of the protocol's.
    fn check(&self, named: &Named) -> Result<(), Failure> {
        let (spoken, secured) = match named {
            Named::Place(place) => (place.spoken, place.secured),
            Named::File(_) => (Spoken::LinesTcp, Secured::No),
        };
        let (http, smtp, imap) =
            (spoken == Spoken::Http, spoken == Spoken::Smtp, spoken == Spoken::Imap);
        let lines = spoken == Spoken::LinesTcp;
        let body = self.body.is_some() || self.body_file.is_some();
        let given = [
            ("--http2", self.http2, http, "http:// and https://"),
            ("--method", self.method.is_some(), http, "http:// and https://"),
            ("--status", self.status.is_some(), http, "http:// and https://"),
            ("--header", !self.header.is_empty(), http || smtp, "http://, https:// and mail"),
            ("--body", body, http || smtp || lines, "http://, https://, mail and log lines"),
            ("--from", self.from.is_some(), smtp, "smtp:// and its like"),
            ("--to", self.to.is_some(), smtp, "smtp:// and its like"),
            ("--search", self.search.is_some(), imap, "imap:// and imaps://"),
            (
                "--streams",
                self.streams.is_some(),
                self.http2 || spoken == Spoken::OtlpGrpc,
                "--http2 and otlp+grpc://",
            ),
            (
                "--ca",
                self.ca.is_some(),
                secured != Secured::No,
                "TLS, as in https:// or smtp+starttls://",
            ),
        ];
        match given.iter().find(|(_, given, fits, _)| *given && !fits) {
            Some((option, _, _, fits)) => {
                Err(usage(format!("{option} does not go with this URL")).hint(format!("it is for {fits}")))
            }
            None if secured != Secured::No && self.ca.is_none() => Err(usage("--ca is missing: TLS is spoken only with whom an authority of yours vouches for").hint("--ca FILE with the authority's certificate, or the server's own if it signed itself (PEM)")),
            None if smtp && self.to.is_none() => Err(usage("--to is missing: who is to get the mail").hint("as in --to alice@mail.test, or --to {feed.user} with --feed")),
            None => Ok(()),
        }
    }

    /// Reads what is in files.
    fn prepared(&self, seed: u64) -> Result<Prepared, Failure> {
        let feed = match &self.feed {
            Some(file) => {
                let feed = Feed::read(&read(file)?).map_err(of_file(file))?;
                Some(feed.ordered(self.feed_order.unwrap_or_default(), seed))
            }
            None => None,
        };
        let body = match &self.body_file {
            Some(file) => Some(read(file)?),
            None => self.body.clone(),
        };
        Ok(Prepared { seed, feed, body, size: self.body_bytes.unwrap_or_default() })
    }

    /// An error of what is sent, which may be one of the feed.
    fn of_request(&self) -> impl Fn(RequestError) -> Failure {
        move |e| match (&e, &self.feed) {
            (RequestError::Column { .. }, Some(file)) => of_file(file)(e),
            _ => Failure::of_load(Exit::Usage, e),
        }
    }
}

/// Options, with the files that they name.
struct Prepared {
    seed: u64,
    feed: Option<Feed>,
    body: Option<String>,
    size: Size,
}

impl Prepared {
    fn filling(&self) -> Filling {
        Filling::new(self.seed, self.feed.clone(), self.size)
    }

    /// Requests over HTTP.
    fn request(&self, options: &UrlOptions, place: &Place) -> Result<Request, Failure> {
        Request::new(&self.parts(options, place)?).map_err(options.of_request())
    }

    /// What they consist of.
    fn parts(&self, options: &UrlOptions, place: &Place) -> Result<Parts, Failure> {
        let method = options.method.clone().unwrap_or_else(|| "GET".to_owned());
        if method.is_empty() || method.contains(|c: char| !c.is_ascii_uppercase()) {
            return Err(usage(format!("method {method:?} is none")).hint("as in --method POST"));
        }
        Ok(Parts {
            method,
            host: place.at(),
            path: place.path.clone(),
            headers: options.header.clone(),
            body: self.body.clone(),
            feed: self.feed.clone(),
            seed: self.seed,
            size: self.size,
        })
    }

    /// Log lines.
    fn line(&self, options: &UrlOptions, sink: Sink) -> Result<Line, Failure> {
        let filling = self.filling();
        let line = self.body.as_deref().map(|body| body.strip_suffix('\n').unwrap_or(body));
        if line.is_some_and(|line| line.contains('\n')) {
            return Err(usage("--body has several lines, and each operation is one")
                .hint("state one line, as in --body '{{\"id\":\"{id}\"}'"));
        }
        let text = line
            .map(|line| Template::parse(line, &filling))
            .transpose()
            .map_err(options.of_request())?;
        Ok(Line { sink, text, filling })
    }

    /// What is spoken to a place, other than plain HTTP/1.1.
    fn protocol(
        &self,
        options: &UrlOptions,
        place: &Place,
        address: SocketAddr,
    ) -> Result<Protocol, Failure> {
        let tls = match &options.ca {
            Some(file) => Some(
                Tls::new(&place.host, read(file)?.as_bytes())
                    .map_err(|e| usage(Advice::of_load(&e).within(file.display())))?,
            ),
            None => None,
        };
        let (start_tls, tls) =
            if place.secured == Secured::StartTls { (tls, None) } else { (None, tls) };
        let dial = Dial { address, tls };
        let streams = options.streams.unwrap_or(STREAMS) as usize;
        Ok(match place.spoken {
            Spoken::Http => {
                let version = if options.http2 { Version::Two { streams } } else { Version::One };
                Protocol::Http(Web::new(
                    dial,
                    self.request(options, place)?,
                    version,
                    options.status,
                ))
            }
            Spoken::Smtp => {
                let (from, to) = (
                    options.from.as_deref().unwrap_or("firedrill@localhost"),
                    options.to.as_deref().unwrap_or_default(),
                );
                let writer =
                    Writer::new(from, to, &options.header, self.body.as_deref(), self.filling())
                        .map_err(options.of_request())?;
                writer.addresses(0).map_err(|e| Failure::of_load(Exit::Usage, e))?;
                let security = start_tls.map_or(Security::AsDialled, Security::StartTls);
                Protocol::Smtp(Mailing::new(dial, security, place.login.clone(), writer))
            }
            Spoken::Imap => {
                let (user, password) = place.login.clone().unwrap_or_default();
                let name = decoded(place.path.trim_start_matches('/'))
                    .ok_or_else(|| usage("the mailbox has a % that is no escape"))?;
                let filling = self.filling();
                let search = Template::parse(options.search.as_deref().unwrap_or("ALL"), &filling)
                    .map_err(options.of_request())?;
                let name = if name.is_empty() { "INBOX".to_owned() } else { name };
                Protocol::Imap(Mailbox { dial, user, password, name, search, filling })
            }
            Spoken::OtlpGrpc => Protocol::Otlp(Traces::new(
                dial,
                Transport::Grpc { streams },
                &place.at(),
                self.filling(),
            )),
            Spoken::OtlpHttp => {
                let path =
                    if place.path == "/" { "/v1/traces".to_owned() } else { place.path.clone() };
                Protocol::Otlp(Traces::new(
                    dial,
                    Transport::Http { path },
                    &place.at(),
                    self.filling(),
                ))
            }
            Spoken::LinesTcp => Protocol::Lines(self.line(options, Sink::Tcp(dial))?),
        })
    }
}

/// The address of a place that may be driven.
async fn address(place: &str) -> Result<SocketAddr, Failure> {
    let checked = match check_target(place, &[]).await {
        Err(foreign @ loadgen::TargetError::Foreign { .. }) => match ours().await {
            networks if networks.is_empty() => Err(foreign),
            networks => check_target(place, &networks).await,
        },
        checked => checked,
    };
    checked.map_err(|e| Failure::of_load(Exit::Usage, e))
}
