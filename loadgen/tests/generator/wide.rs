//! Each protocol is driven against a server that really speaks it: HTTP in this process, Postfix,
//! Dovecot and the OpenTelemetry Collector where their images are. What arrived is compared with
//! what follows from seed and number, operation by operation. Times are only compared with others
//! of the same run, or with what the server itself held back.

mod servers;
mod web;

use libtest_mimic::Failed;
use loadgen::direct::{Pace, Parts, Request, Watch};
use loadgen::payload::Size;
use loadgen::template::{Feed, Filling, Order, Template};
use loadgen::wide::{
    Dial, Line, Mailbox, Mailing, Protocol, Security, Sink, Tls, Traces, Transport, Version, Web,
    Wide, WideError, Writer, drive,
};
use loadgen::{Advised, Arrival};
use servers::{Running, dialogue};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use support::images;
use support::module::{Test, Tests};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use verdict::history::load::LoadSummary;
use web::{Authority, Behaviour, Server};

const SEED: u64 = 20;

/// So many a second for so long: how many operations that makes is exact.
struct Load {
    rate: f64,
    seconds: f64,
    connections: usize,
    timeout: Duration,
}

const LOAD: Load =
    Load { rate: 100.0, seconds: 0.5, connections: 8, timeout: Duration::from_secs(60) };
const OPERATIONS: u64 = 50;

impl Load {
    fn drive(&self, protocol: Protocol) -> Result<LoadSummary, WideError> {
        self.drive_at(Pace::Open { arrival: Arrival::Constant, rate: self.rate }, protocol)
    }

    fn drive_at(&self, pace: Pace, protocol: Protocol) -> Result<LoadSummary, WideError> {
        let wide = Wide {
            protocol,
            pace,
            duration: Some(Duration::from_secs_f64(self.seconds)),
            connections: self.connections,
            waiting: 10_000,
            timeout: self.timeout,
            slip_limit: Duration::from_secs(60),
            windows: loadgen::Windows::default(),
            seed: SEED,
        };
        let (stop, mut live) = (CancellationToken::new(), |_, _| {});
        let watch = Watch { log: None, wall: &SystemTime::now, stop: &stop, live: &mut live };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(drive(&wide, watch))
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) -> Result<(), Failed> {
    if seen == wanted {
        Ok(())
    } else {
        Err(format!("{what}: seen {seen:?}, wanted {wanted:?}").into())
    }
}

fn holds(what: impl std::fmt::Display, so: bool) -> Result<(), Failed> {
    if so { Ok(()) } else { Err(what.to_string().into()) }
}

fn filling() -> Filling {
    Filling::new(SEED, None, Size::default())
}

fn ids() -> BTreeSet<String> {
    (0..OPERATIONS).map(|n| filling().id(n)).collect()
}

/// All went well, and connections were used again.
fn went_well(s: &LoadSummary) -> Result<(), Failed> {
    same(
        "operations, errors",
        (s.operations, s.errors.clone(), s.missed_starts),
        (OPERATIONS, BTreeMap::new(), 0),
    )?;
    let connections = s.connections.ok_or("connections are not told")?;
    same(
        "each operation's connection",
        connections.opened + connections.reused >= OPERATIONS,
        true,
    )?;
    holds(
        format!("{connections:?}"),
        connections.reused > 0 && connections.most <= connections.limit,
    )?;
    holds(
        "service time beyond latency",
        s.service_ms.max <= s.latency_ms.max && s.latency_ms.p50 > 0.0,
    )
}

fn requests() -> Request {
    let parts = Parts {
        method: "POST".into(),
        host: "localhost".into(),
        path: "/{n}".into(),
        headers: vec!["X-Operation-Id: {id}".into()],
        body: Some(r#"{"text":"{body}"}"#.into()),
        seed: SEED,
        ..Parts::default()
    };
    Request::new(&parts).expect("requests")
}

fn trusting(authority: &Authority) -> Option<Tls> {
    Some(Tls::new("localhost", authority.pem().as_bytes()).expect("TLS"))
}

const TWO: Version = Version::Two { streams: 16 };

fn http(runtime: &Runtime) -> Result<(), Failed> {
    let authority = Authority::new();
    let cases: [(Option<&[&str]>, Version); 3] =
        [(Some(&["h2", "http/1.1"]), Version::One), (Some(&["h2", "http/1.1"]), TWO), (None, TWO)];
    for (speaks, version) in cases {
        let server = runtime
            .block_on(Server::start(speaks.map(|s| (authority.issue(), s)), Behaviour::default()));
        let dial = Dial { address: server.address, tls: speaks.and_then(|_| trusting(&authority)) };
        let summary = LOAD.drive(Protocol::Http(Web::new(dial, requests(), version, None)))?;
        went_well(&summary)?;
        let seen = server.seen.lock().expect("lock").clone();
        same("requests", seen.len() as u64, OPERATIONS)?;
        same("ids", seen.iter().map(|s| s.id.clone()).collect(), ids())?;
        let wanted =
            if version == Version::One { hyper::Version::HTTP_11 } else { hyper::Version::HTTP_2 };
        for s in seen {
            same("version and method", (s.version, s.method.as_str()), (wanted, "POST"))?;
            let n: u64 = s.path.trim_start_matches('/').parse()?;
            same("id of its number", &s.id, &filling().id(n))?;
            same(
                "body",
                s.body,
                format!(r#"{{"text":"{}"}}"#, filling().payload(n).body.replace('\n', " ")),
            )?;
        }
    }
    Ok(())
}

fn errors_are_told_by_kind(runtime: &Runtime) -> Result<(), Failed> {
    let server = runtime
        .block_on(Server::start(None, Behaviour { refuses_each: Some(5), ..Behaviour::default() }));
    let dial = Dial { address: server.address, tls: None };
    let summary = LOAD.drive(Protocol::Http(Web::new(dial, requests(), TWO, None)))?;
    same("errors", summary.errors, BTreeMap::from([("status 503".to_owned(), OPERATIONS / 5)]))?;
    same("error rate", summary.error_rate, 0.2)
}

/// While one request is held back, those behind it are charged with their wait where they need its
/// connection, and not where a connection takes many at once.
fn waiting_counts(runtime: &Runtime) -> Result<(), Failed> {
    let (authority, stall) = (Authority::new(), Duration::from_secs(2));
    let behaviour = Behaviour { stalls: Some(10), stall, ..Behaviour::default() };
    let server =
        runtime.block_on(Server::start(Some((authority.issue(), &["h2", "http/1.1"])), behaviour));
    let load = Load { rate: 40.0, seconds: 2.5, connections: 1, ..LOAD };
    let of = |version| {
        let dial = Dial { address: server.address, tls: trusting(&authority) };
        load.drive(Protocol::Http(Web::new(dial, requests(), version, None)))
    };
    let (one, many) = (of(Version::One)?, of(Version::Two { streams: 64 })?);
    // 80 of 100 arrivals fall into the stall, 25 ms apart: the tenth of all that waits longest
    // waits for 0.7 of it.
    holds(format!("{one:?}"), one.latency_ms.p90 >= 0.7 * stall.as_secs_f64() * 1e3)?;
    holds(format!("{one:?}"), one.latency_ms.p90 > 2.0 * one.service_ms.p90)?;
    holds(format!("{many:?}"), many.latency_ms.p90 < 0.5 * one.latency_ms.p90)?;
    let connections = |s: &LoadSummary| s.connections.map(|c| (c.opened, c.most, c.limit));
    same(
        "connections",
        (connections(&one), connections(&many)),
        (Some((1, Some(1), Some(1))), Some((1, Some(1), Some(1)))),
    )?;
    let waited = |s: &LoadSummary| s.connections.and_then(|c| c.waited).unwrap_or(0);
    holds(format!("{} and {} waited", waited(&one), waited(&many)), waited(&one) >= 50)
}

fn silence_is_given_up(runtime: &Runtime) -> Result<(), Failed> {
    let behaviour =
        Behaviour { stalls: Some(3), stall: Duration::from_secs(3600), ..Behaviour::default() };
    let server = runtime.block_on(Server::start(None, behaviour));
    let dial = Dial { address: server.address, tls: None };
    let load = Load { timeout: Duration::from_secs(2), ..LOAD };
    let summary = load.drive(Protocol::Http(Web::new(dial, requests(), TWO, None)))?;
    let silent = summary.errors.get("no answer in time").copied().unwrap_or(0);
    holds(
        format!("{summary:?}"),
        silent >= 1 && summary.operations == OPERATIONS && summary.latency_ms.max >= 2000.0,
    )
}

/// A server that closes a connection after each answer costs connections and no operation.
fn closed_connections_are_replaced(runtime: &Runtime) -> Result<(), Failed> {
    let authority = Authority::new();
    let server = runtime.block_on(Server::start(
        Some((authority.issue(), &["http/1.1"])),
        Behaviour { closes: true, ..Behaviour::default() },
    ));
    let dial = Dial { address: server.address, tls: trusting(&authority) };
    let summary = LOAD.drive(Protocol::Http(Web::new(dial, requests(), Version::One, None)))?;
    same("errors", (summary.operations, summary.errors), (OPERATIONS, BTreeMap::new()))?;
    let connections = summary.connections.ok_or("connections are not told")?;
    holds(format!("{connections:?}"), connections.opened >= OPERATIONS && connections.reused == 0)
}

/// Without a schedule each lane sends as soon as it was answered, and no more than that.
fn flat_out(runtime: &Runtime) -> Result<(), Failed> {
    let server = runtime.block_on(Server::start(None, Behaviour::default()));
    let dial = Dial { address: server.address, tls: None };
    let load = Load { connections: 2, ..LOAD };
    let web = Web::new(dial, requests(), Version::Two { streams: 2 }, None);
    let summary = load.drive_at(Pace::FlatOut, Protocol::Http(web))?;
    let mut seen: Vec<u64> = Vec::new();
    for s in server.seen.lock().expect("lock").iter() {
        seen.push(s.path.trim_start_matches('/').parse()?);
    }
    seen.sort_unstable();
    same("numbers", seen, (0..summary.operations).collect())?;
    let told = (
        summary.errors,
        summary.generator.map(|g| g.open_loop),
        summary.connections.map(|c| c.opened),
    );
    same("errors, open loop, connections", told, (BTreeMap::new(), Some(false), Some(2)))?;
    holds("next to nothing was sent", summary.operations > 4)
}

fn who_is_not_trusted_is_not_driven(runtime: &Runtime) -> Result<(), Failed> {
    let (authority, other) = (Authority::new(), Authority::new());
    let refused = |speaks: &[&str], trusted: &Authority, host: &str, version| {
        let server = runtime
            .block_on(Server::start(Some((authority.issue(), speaks)), Behaviour::default()));
        let tls = Tls::new(host, trusted.pem().as_bytes()).expect("TLS");
        let dial = Dial { address: server.address, tls: Some(tls) };
        let driven = LOAD.drive(Protocol::Http(Web::new(dial, requests(), version, None)));
        (
            driven.err().map(|e| e.to_string()).unwrap_or_default(),
            server.seen.lock().expect("lock").len(),
        )
    };
    let (error, seen) = refused(&["http/1.1"], &other, "localhost", Version::One);
    holds(&error, error.contains("invalid peer certificate") && seen == 0)?;
    let (error, seen) = refused(&["http/1.1"], &authority, "example.test", Version::One);
    holds(&error, error.contains("example.test") && seen == 0)?;
    let (error, seen) = refused(&[], &authority, "localhost", TWO);
    holds(&error, error.contains("does not speak HTTP/2") && seen == 0)?;
    // A server that shows what the user named is the one that is meant, whatever it is called: it
    // signed itself.
    let server = runtime
        .block_on(Server::start(Some((authority.itself(), &["http/1.1"])), Behaviour::default()));
    let dial = Dial { address: server.address, tls: trusting(&authority) };
    went_well(&LOAD.drive(Protocol::Http(Web::new(dial, requests(), Version::One, None)))?)
}

/// The lines that came over any connection.
async fn lines(listener: TcpListener, into: Arc<Mutex<Vec<String>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let into = Arc::clone(&into);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                into.lock().expect("lock").push(line);
            }
        });
    }
}

fn log_lines(runtime: &Runtime) -> Result<(), Failed> {
    let size: Size = "30..60".parse()?;
    let sized = Filling::new(SEED, None, size);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let (address, over_tcp) = (listener.local_addr()?, Arc::<Mutex<Vec<String>>>::default());
    runtime.spawn(lines(listener, Arc::clone(&over_tcp)));
    let line = |sink| Protocol::Lines(Line { sink, text: None, filling: sized.clone() });
    went_well(&LOAD.drive(line(Sink::Tcp(Dial { address, tls: None })))?)?;

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("lines.log");
    went_well(&LOAD.drive(line(Sink::File(file.clone())))?)?;
    let in_file: Vec<String> = std::fs::read_to_string(&file)?.lines().map(str::to_owned).collect();
    // The last connections are closed and read after the load is over.
    let deadline = SystemTime::now() + Duration::from_secs(30);
    while (over_tcp.lock().expect("lock").len() as u64) < OPERATIONS && SystemTime::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    for lines in [over_tcp.lock().expect("lock").clone(), in_file] {
        let mut seen = BTreeSet::new();
        for line in &lines {
            let line: serde_json::Value = serde_json::from_str(line)?;
            let n = line["n"].as_u64().ok_or("no number")?;
            same(
                "message",
                line["message"].as_str(),
                Some(sized.payload(n).body.replace('\n', " ").as_str()),
            )?;
            holds("no time", line["@timestamp"].as_str().is_some_and(|t| t.ends_with('Z')))?;
            seen.insert(line["operation_id"].as_str().ok_or("no id")?.to_owned());
        }
        same("lines and ids", (lines.len() as u64, seen), (OPERATIONS, ids()))?;
    }
    Ok(())
}

/// A server that nobody started.
fn nobody_is_there(_: &Runtime) -> Result<(), Failed> {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let dial = || Dial { address: nowhere, tls: None };
    let protocols = [
        Protocol::Http(Web::new(dial(), requests(), TWO, None)),
        Protocol::Otlp(Traces::new(dial(), Transport::Grpc { streams: 1 }, "localhost", filling())),
        Protocol::Lines(Line { sink: Sink::Tcp(dial()), text: None, filling: filling() }),
        Protocol::Lines(Line {
            sink: Sink::File("/nowhere/at/all.log".into()),
            text: None,
            filling: filling(),
        }),
    ];
    for protocol in protocols {
        let error = LOAD.drive(protocol).err().map(|e| e.advice().text()).unwrap_or_default();
        holds(&error, error.contains("can't be driven") && error.contains("\nhint: start"))?;
    }
    Ok(())
}

/// Takes mail for alice and carol, and for nobody else.
const POSTFIX: &str = "mydestination = mail.test\nlocal_recipient_maps = inline:{ {alice@mail.test=x}, {carol@mail.test=x} }\n\
    local_transport = discard:\nsmtpd_tls_security_level = may\nsmtpd_tls_cert_file = /etc/postfix/cert.pem\n\
    smtpd_tls_key_file = /etc/postfix/key.pem\nsmtpd_tls_loglevel = 1\nsmtpd_recipient_restrictions = reject_unauth_destination\n";

fn mail(runtime: &Runtime) -> Result<(), Failed> {
    let authority = Authority::new();
    let (certificate, key) = authority.issue();
    let files = [("main.cf", POSTFIX), ("cert.pem", &certificate), ("key.pem", &key)];
    let files =
        files.map(|(name, text)| (format!("/etc/postfix-conf/{name}"), text.to_owned())).to_vec();
    runtime
        .block_on(Running::start("postfix", &[25], files))?
        .with(runtime, |postfix| mail_to(runtime, postfix, &authority))
}

fn mail_to(runtime: &Runtime, postfix: &Running, authority: &Authority) -> Result<(), Failed> {
    let address = runtime.block_on(postfix.at(25))?;
    runtime.block_on(dialogue(
        address,
        &[(String::new(), "220"), ("EHLO localhost\r\n".into(), "250")],
    ))?;

    // In clear; a mail of three is for somebody unknown.
    let feed = Feed::read("user\nalice\ncarol\nnobody\n")?.ordered(Order::Sequential, SEED);
    let drawn = Filling::new(SEED, Some(feed), Size::default());
    let writer = |to: &str, filling| {
        Writer::new("load@mail.test", to, &["X-Number: {n}".to_owned()], None, filling)
    };
    let dial = Dial { address, tls: None };
    let mailing = Mailing::new(
        dial.clone(),
        Security::AsDialled,
        None,
        writer("{feed.user}@mail.test", drawn)?,
    );
    let summary = LOAD.drive(Protocol::Smtp(mailing))?;
    let unknown = OPERATIONS / 3;
    same("errors", summary.errors.clone(), BTreeMap::from([("status 550".to_owned(), unknown)]))?;
    let part =
        |name: &str| summary.parts.get(name).map(|p| (p.count, p.errors)).unwrap_or_default();
    let parts = (part("smtp/mail"), part("smtp/rcpt"), part("smtp/data"));
    same("steps", parts, ((OPERATIONS, 0), (OPERATIONS, unknown), (OPERATIONS - unknown, 0)))?;
    same("errors of a step", summary.parts["smtp/rcpt"].kinds.clone(), summary.errors.clone())?;
    let connections = summary.connections.ok_or("connections are not told")?;
    holds(
        format!("{connections:?}: a refusal keeps its connection"),
        connections.reused > OPERATIONS / 2,
    )?;

    // By STARTTLS, each to alice; the ids are the same ones.
    let tls = trusting(authority).ok_or("no TLS")?;
    let mailing = Mailing::new(
        dial.clone(),
        Security::StartTls(tls),
        None,
        writer("alice@mail.test", filling())?,
    );
    went_well(&LOAD.drive(Protocol::Smtp(mailing))?)?;
    let untrusted = trusting(&Authority::new()).ok_or("no TLS")?;
    let mailing = Mailing::new(
        dial,
        Security::StartTls(untrusted),
        None,
        writer("alice@mail.test", filling())?,
    );
    let error =
        LOAD.drive(Protocol::Smtp(mailing)).err().map(|e| e.to_string()).unwrap_or_default();
    holds(&error, error.contains("invalid peer certificate"))?;

    let taken = |log: &str, n: u64| {
        log.matches(&format!("message-id=<{}@firedrill.test>", filling().id(n))).count()
    };
    let wanted = |n: u64| if n % 3 == 2 { 1 } else { 2 };
    let log = runtime
        .block_on(postfix.log_with(|log| (0..OPERATIONS).all(|n| taken(log, n) == wanted(n))))?;
    let strange: Vec<_> = (0..OPERATIONS)
        .filter(|n| taken(&log, *n) != wanted(*n))
        .map(|n| (n, taken(&log, n)))
        .collect();
    same("mails that were not taken as often as sent", strange, vec![])?;
    holds("no connection was secured", log.contains("TLS connection established"))
}

fn mailbox(runtime: &Runtime) -> Result<(), Failed> {
    runtime
        .block_on(Running::start("dovecot", &[143, 24], vec![]))?
        .with(runtime, |dovecot| mailbox_of(runtime, dovecot))
}

fn mailbox_of(runtime: &Runtime, dovecot: &Running) -> Result<(), Failed> {
    let (imap, lmtp) = (runtime.block_on(dovecot.at(143))?, runtime.block_on(dovecot.at(24))?);
    let user = "alice@mail.test";
    for n in 0..4 {
        let exchanges = [
            (String::new(), "220"),
            ("LHLO test\r\n".into(), "250"),
            ("MAIL FROM:<load@mail.test>\r\n".into(), "250"),
            (format!("RCPT TO:<{user}>\r\n"), "250"),
            ("DATA\r\n".into(), "354"),
            (format!("Subject: number {n}\r\n\r\nbody\r\n.\r\n"), "250"),
        ];
        runtime.block_on(dialogue(lmtp, &exchanges))?;
    }
    let load = |password: &str, name: &str, search: &str| {
        let search = Template::parse(search, &filling()).map_err(|e| e.to_string())?;
        let dial = Dial { address: imap, tls: None };
        let (user, password, name) = (user.to_owned(), password.to_owned(), name.to_owned());
        Ok::<_, Failed>(LOAD.drive(Protocol::Imap(Mailbox {
            dial,
            user,
            password,
            name,
            search,
            filling: filling(),
        })))
    };
    let counts = |s: &LoadSummary| {
        ["imap/select", "imap/search", "imap/fetch"]
            .map(|step| s.parts.get(step).map_or(0, |p| p.count))
    };
    let summary = load("pass", "INBOX", "ALL")??;
    went_well(&summary)?;
    same("steps", counts(&summary), [OPERATIONS; 3])?;
    let nothing = load("pass", "INBOX", "SUBJECT {token}")??;
    went_well(&nothing)?;
    same("steps where nothing is found", counts(&nothing), [OPERATIONS, OPERATIONS, 0])?;
    let wrong = load("pass", "Elsewhere", "ALL")??;
    same("errors", wrong.errors, BTreeMap::from([("SELECT: NO".to_owned(), OPERATIONS)]))?;
    let error = load("wrong", "INBOX", "ALL")?.err().map(|e| e.to_string()).unwrap_or_default();
    holds(&error, error.contains("login of alice@mail.test") && !error.contains("wrong"))
}

const COLLECTOR: &str = r"
receivers: {otlp: {protocols: {grpc: {endpoint: 0.0.0.0:4317}, http: {endpoint: 0.0.0.0:4318}}}}
exporters: {debug: {verbosity: detailed}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
";

fn traces(runtime: &Runtime) -> Result<(), Failed> {
    let files = vec![("/etc/otelcol-contrib/config.yaml".to_owned(), COLLECTOR.to_owned())];
    let collector = runtime.block_on(Running::start("otel-collector", &[4317, 4318], files))?;
    collector.with(runtime, |collector| traces_to(runtime, collector))
}

fn traces_to(runtime: &Runtime, collector: &Running) -> Result<(), Failed> {
    runtime.block_on(collector.log_with(|log| log.contains("Everything is ready")))?;
    let at = |port| runtime.block_on(collector.at(port));
    let drive_to = |address: SocketAddr, transport| {
        let host = address.to_string();
        LOAD.drive(Protocol::Otlp(Traces::new(
            Dial { address, tls: None },
            transport,
            &host,
            filling(),
        )))
    };
    went_well(&drive_to(at(4317)?, Transport::Grpc { streams: 8 })?)?;
    went_well(&drive_to(at(4318)?, Transport::Http { path: "/v1/traces".into() })?)?;
    let elsewhere = drive_to(at(4318)?, Transport::Http { path: "/nowhere".into() })?;
    same("errors", elsewhere.errors, BTreeMap::from([("status 404".to_owned(), OPERATIONS)]))?;
    // Each trace came twice, once each way, with three spans.
    let spans = |log: &str, id: &str| {
        log.lines().filter(|l| l.contains("Trace ID") && l.contains(id)).count()
    };
    let log =
        runtime.block_on(collector.log_with(|log| ids().iter().all(|id| spans(log, id) >= 6)))?;
    let strange: Vec<_> = ids()
        .into_iter()
        .map(|id| (spans(&log, &id), id))
        .filter(|(spans, _)| *spans != 6)
        .collect();
    same("traces with other than six spans", strange, vec![])
}

pub fn tests() -> Tests {
    let runtime: &'static Runtime =
        Box::leak(Box::new(Runtime::new().unwrap_or_else(|e| panic!("no runtime: {e}"))));
    macro_rules! trial {
        ($test:ident) => {
            Test::new(stringify!($test), || $test(runtime))
        };
        ($test:ident, $image:literal) => {
            images::trial(stringify!($test), &[$image], || $test(runtime))
        };
    }
    Tests::one_by_one([
        trial!(http),
        trial!(errors_are_told_by_kind),
        trial!(waiting_counts),
        trial!(silence_is_given_up),
        trial!(closed_connections_are_replaced),
        trial!(flat_out),
        trial!(who_is_not_trusted_is_not_driven),
        trial!(log_lines),
        trial!(nobody_is_there),
        trial!(mail, "postfix"),
        trial!(mailbox, "dovecot"),
        trial!(traces, "otel-collector"),
    ])
}
