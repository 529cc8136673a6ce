//! Mail is seen arriving in the mailboxes of a real Dovecot, which the tests deliver to by LMTP.

use crate::email;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use libtest_mimic::Failed;
use loadgen::sink::imap::Watch;
use loadgen::{Arrival, Bounds, LiveStats, RunClock, Workload, run_with};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use support::images;
use support::module::Tests;
use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use verdict::history::load::{LoadEvent, Operation, Outcome};

/// The password in the image's own configuration.
const PASSWORD: &str = "pass";
/// Far longer than anything here takes: a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(30);

/// A running Dovecot.
struct Dovecot {
    imap: SocketAddr,
    lmtp: SocketAddr,
    container: ContainerAsync<GenericImage>,
}

impl Dovecot {
    async fn start() -> Result<Dovecot, Failed> {
        let (image, tag) =
            images::reference("dovecot").rsplit_once(':').ok_or("a reference without a tag")?;
        let (imap, lmtp) = (143.tcp(), 24.tcp());
        // On the loopback interface only, and not where the library would publish them.
        let ports = [imap, lmtp].map(|p| {
            (
                p.to_string(),
                Some(vec![bollard::models::PortBinding {
                    host_ip: Some("127.0.0.1".into()),
                    host_port: None,
                }]),
            )
        });
        let request = GenericImage::new(image, tag)
            .with_exposed_port(imap)
            .with_exposed_port(lmtp)
            .with_label("firedrill.run", format!("loadgen-test-{}", std::process::id()))
            .with_label("firedrill.stack", "loadgen-test")
            .with_host_config_modifier(move |host| {
                host.publish_all_ports = Some(false);
                host.port_bindings = Some(ports.iter().cloned().collect());
            });
        let container = request.start().await?;
        let at = async |port| {
            Ok::<_, Failed>(SocketAddr::from((
                [127, 0, 0, 1],
                container.get_host_port_ipv4(port).await?,
            )))
        };
        let dovecot = Dovecot { imap: at(imap).await?, lmtp: at(lmtp).await?, container };
        let deadline = Instant::now() + LONG;
        while let Err(e) = deliver(dovecot.lmtp, "ready@mail.test", None).await {
            if Instant::now() > deadline {
                return Err(format!("Dovecot does not take mail: {e}").into());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(dovecot)
    }
}

/// Delivers a mail by LMTP, with or without an operation id.
async fn deliver(lmtp: SocketAddr, to: &str, id: Option<&str>) -> std::io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(lmtp).await?);
    let header = id.map_or(String::new(), |id| format!("X-Operation-Id: {id}\r\n"));
    let mail = format!(
        "From: <sender@mail.test>\r\nTo: <{to}>\r\n{header}Subject: test\r\n\r\nbody\r\n.\r\n"
    );
    for (say, wanted) in [
        ("", "220"),
        ("LHLO test\r\n", "250"),
        ("MAIL FROM:<sender@mail.test>\r\n", "250"),
        (&format!("RCPT TO:<{to}>\r\n"), "250"),
        ("DATA\r\n", "354"),
        (&mail, "250"),
    ] {
        stream.write_all(say.as_bytes()).await?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            if !line.starts_with(wanted) {
                return Err(std::io::Error::other(format!("{line:?} after {say:?}")));
            }
            if line.as_bytes().get(3) == Some(&b' ') {
                break;
            }
        }
    }
    Ok(())
}

/// Mailboxes that no other test uses.
fn users(n: usize) -> Vec<String> {
    static TESTS: AtomicU64 = AtomicU64::new(0);
    let test = TESTS.fetch_add(1, Ordering::Relaxed);
    (0..n).map(|user| format!("user{user}-of-{test}@mail.test")).collect()
}

fn with_password(users: &[String], password: &str) -> Vec<(String, String)> {
    users.iter().map(|user| (user.clone(), password.to_owned())).collect()
}

fn mail(event: LoadEvent) -> Option<(String, String, u32)> {
    if let LoadEvent::Seen { operation, place: mailbox, copies, .. } = event {
        Some((operation, mailbox, copies))
    } else {
        None
    }
}

async fn next(events: &mut mpsc::Receiver<LoadEvent>) -> Result<(String, String, u32), Failed> {
    let event =
        timeout(LONG, events.recv()).await.map_err(|_| "no mail was seen")?.ok_or("no event")?;
    Ok(mail(event).ok_or("another event")?)
}

fn same<T: PartialEq + std::fmt::Debug>(seen: T, wanted: T) -> Result<(), Failed> {
    if seen == wanted { Ok(()) } else { Err(format!("seen {seen:?}, wanted {wanted:?}").into()) }
}

/// Every copy of every mail that arrives is seen once, in its mailbox; what was there before and
/// what has no id is not.
async fn copies_are_counted(dovecot: &Dovecot) -> Result<(), Failed> {
    let users = users(2);
    deliver(dovecot.lmtp, &users[0], Some("of-an-earlier-run")).await?;
    let (sender, mut events) = mpsc::channel(64);
    let mut watch = Watch::start(dovecot.imap, "mail", &with_password(&users, PASSWORD), &sender);
    same(watch.ready(LONG).await, true)?;
    let mut seen = BTreeSet::new();
    for (user, id) in [(0, Some("a")), (0, None), (1, Some("b"))] {
        deliver(dovecot.lmtp, &users[user], id).await?;
    }
    seen.extend([next(&mut events).await?, next(&mut events).await?]);
    deliver(dovecot.lmtp, &users[0], Some("a")).await?;
    seen.insert(next(&mut events).await?);
    // Delivered just before the end: the last look finds it.
    deliver(dovecot.lmtp, &users[1], Some("c")).await?;
    let report = watch.stop().await;
    drop(sender);
    while let Some(event) = events.recv().await {
        seen.extend(mail(event));
    }
    let wanted = [("a", 0, 1), ("a", 0, 2), ("b", 1, 1), ("c", 1, 1)]
        .map(|(id, user, copies): (&str, usize, u32)| (id.to_owned(), users[user].clone(), copies));
    same(seen, BTreeSet::from(wanted))?;
    same(
        report.iter().map(|w| (w.seen, w.never_read.clone())).collect(),
        vec![(2, None), (2, None)],
    )
}

/// A way to Dovecot that can be cut.
struct Way {
    address: SocketAddr,
    to: SocketAddr,
    connections: Option<tokio::task::JoinHandle<()>>,
}

impl Way {
    async fn open(address: SocketAddr, to: SocketAddr) -> std::io::Result<Way> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let connections = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut there = TcpStream::connect(to).await?;
                    tokio::io::copy_bidirectional(&mut from, &mut there).await
                });
            }
        });
        Ok(Way { address, to, connections: Some(connections) })
    }

    /// Ends all connections and refuses new ones.
    async fn cut(&mut self) {
        if let Some(connections) = self.connections.take() {
            connections.abort();
            let _ = connections.await;
        }
    }
}

/// What arrives while the server can't be reached is seen once it can, and nothing is seen twice.
async fn an_outage_hides_nothing(dovecot: &Dovecot) -> Result<(), Failed> {
    let users = users(1);
    let mut way = Way::open(SocketAddr::from(([127, 0, 0, 1], 0)), dovecot.imap).await?;
    let (sender, mut events) = mpsc::channel(64);
    let mut watch = Watch::start(way.address, "mail", &with_password(&users, PASSWORD), &sender);
    same(watch.ready(LONG).await, true)?;
    deliver(dovecot.lmtp, &users[0], Some("before")).await?;
    same(next(&mut events).await?.0, "before".to_owned())?;
    way.cut().await;
    deliver(dovecot.lmtp, &users[0], Some("meanwhile")).await?;
    let mut way = Way::open(way.address, way.to).await?;
    same(next(&mut events).await?.0, "meanwhile".to_owned())?;
    deliver(dovecot.lmtp, &users[0], Some("after")).await?;
    same(next(&mut events).await?.0, "after".to_owned())?;
    let report = watch.stop().await;
    way.cut().await;
    drop(sender);
    same((report[0].seen, events.recv().await), (3, None))
}

/// A mailbox that refuses is reported with the reason.
async fn a_wrong_password_is_reported(dovecot: &Dovecot) -> Result<(), Failed> {
    let (sender, _events) = mpsc::channel(64);
    let mut watch = Watch::start(dovecot.imap, "mail", &with_password(&users(1), "wrong"), &sender);
    same(watch.ready(Duration::from_secs(3)).await, false)?;
    let report = watch.stop().await;
    let reason = report[0].never_read.clone().unwrap_or_default();
    if reason.to_lowercase().contains("auth") {
        Ok(())
    } else {
        Err(format!("the reason given is {reason:?}").into())
    }
}

/// The whole journey: what is acknowledged is delivered with a delay, and the load waits until it
/// was seen. A mail that was acknowledged and lost is missing, and one that was delivered twice is
/// counted twice.
async fn send_mail_arrives(dovecot: &Dovecot) -> Result<(), Failed> {
    let lmtp = dovecot.lmtp;
    let (number, delay) = (AtomicU64::new(0), Duration::from_millis(1500));
    let number: &'static AtomicU64 = Box::leak(Box::new(number));
    let send = move |headers: HeaderMap, body: String| async move {
        let id = headers
            .get("x-operation-id")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let to = body
            .split('"')
            .find(|part| part.ends_with("@mail.test"))
            .unwrap_or_default()
            .to_owned();
        // The fifth is lost, the seventh is delivered twice.
        let copies = match number.fetch_add(1, Ordering::Relaxed) {
            5 => 0,
            7 => 2,
            _ => 1,
        };
        tokio::spawn(async move {
            sleep(delay).await;
            for _ in 0..copies {
                deliver(lmtp, &to, Some(&id))
                    .await
                    .unwrap_or_else(|e| panic!("delivery to {to}: {e}"));
            }
        });
        StatusCode::ACCEPTED
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let http = listener.local_addr()?.to_string();
    let server = tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/api/v1/emails", post(send))).await
    });

    let users = users(4);
    let workload = Workload {
        rate: 30.0,
        arrival: Arrival::Constant,
        traffic: email::traffic(&users, PASSWORD, Some(&dovecot.imap.to_string())),
        journeys: vec![("send_mail".into(), 1.0)],
        places: email::places(http),
        seed: 3,
        stream: "background".into(),
    };
    let bounds = Bounds {
        duration: Some(Duration::from_secs(2)),
        sinks_still: Duration::from_secs(4),
        ..Bounds::default()
    };
    let clock = RunClock { start: Instant::now(), wall_at_start_us: 0 };
    let (sender, mut events) = mpsc::channel(64);
    let load = tokio::spawn(run_with(
        workload,
        clock,
        bounds,
        CancellationToken::new(),
        sender,
        watch::channel(LiveStats::default()).0,
    ));
    let (mut operations, mut seen) =
        (Vec::<Operation>::new(), BTreeMap::<String, (String, u32)>::new());
    while let Some(event) = events.recv().await {
        match event {
            LoadEvent::Operation(operation) => operations.push(operation),
            LoadEvent::Seen { operation, place: mailbox, copies, .. } => {
                let entry = seen.entry(operation).or_insert((mailbox, 0));
                entry.1 = entry.1.max(copies);
            }
            _ => return Err("an event that is not the generator's".into()),
        }
    }
    let summary = load.await?;
    server.abort();
    same((summary.operations, summary.invalid), (60, None))?;
    same(
        operations.iter().filter(|o| o.outcome == Outcome::Acknowledged && o.as_expected).count(),
        60,
    )?;
    let missing = operations.iter().filter(|o| !seen.contains_key(&o.id)).count();
    let twice = seen.values().filter(|(_, copies)| *copies == 2).count();
    same((missing, twice, seen.len()), (1, 1, 59))?;
    let strange: Vec<_> = seen.values().filter(|(mailbox, _)| !users.contains(mailbox)).collect();
    same(strange, vec![])
}

/// The one Dovecot of all tests: started by the first that needs it, and by none when they are only
/// listed.
static DOVECOT: Mutex<Option<Result<Arc<Dovecot>, String>>> = Mutex::new(None);

fn dovecot(runtime: &Runtime) -> Result<Arc<Dovecot>, String> {
    let mut one = DOVECOT.lock().unwrap_or_else(PoisonError::into_inner);
    let start = || {
        runtime
            .block_on(Dovecot::start())
            .map(Arc::new)
            .map_err(|e| e.message().unwrap_or("Dovecot does not start").to_owned())
    };
    one.get_or_insert_with(start).clone()
}

pub fn tests() -> Tests {
    let runtime: &'static Runtime =
        Box::leak(Box::new(Runtime::new().unwrap_or_else(|e| panic!("no runtime: {e}"))));
    macro_rules! trial {
        ($test:ident) => {
            images::trial(stringify!($test), &["dovecot"], || {
                let dovecot = dovecot(runtime)?;
                runtime.block_on($test(&dovecot))
            })
        };
    }
    Tests::one_by_one([
        trial!(copies_are_counted),
        trial!(an_outage_hides_nothing),
        trial!(a_wrong_password_is_reported),
        trial!(send_mail_arrives),
    ])
    // Leaving the process drops nothing, so the container is removed here.
    .at_last(|| {
        let one = DOVECOT.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(dovecot) = one.and_then(Result::ok).and_then(Arc::into_inner) else {
            return Ok(());
        };
        let removed = runtime.block_on(dovecot.container.rm());
        removed.map_err(|e| format!("the container can't be removed: {e}"))
    })
}
