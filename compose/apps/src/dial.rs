//! TCP connections to other services: names are looked up without piling up threads, and a dead
//! peer is noticed.
//!
//! `getaddrinfo` can't be cancelled, and a resolver whose upstream is cut off takes many seconds to
//! say so. Lookups of one name are therefore shared, a fresh one is started every half second while
//! others hang (so that a name which is back is found at once), and their number is bounded.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

/// An answer is used for this long: services that were restarted may have another address.
const FRESH: Duration = Duration::from_secs(1);
/// While a lookup hangs, another is started this often.
const AGAIN: Duration = Duration::from_millis(500);
/// Lookups of one name under way at once.
const AT_ONCE: usize = 8;
/// Unacknowledged data or probes for this long end a connection.
pub const PEER_TIMEOUT: Duration = Duration::from_secs(5);

type Answer = Option<(Instant, Result<IpAddr, String>)>;

struct Name {
    answer: watch::Sender<Answer>,
    started: Mutex<Option<Instant>>,
    lookups: Arc<Semaphore>,
}

static NAMES: LazyLock<Mutex<HashMap<String, Arc<Name>>>> = LazyLock::new(Mutex::default);

/// Looks a name up, IPv4 preferred; literal addresses need no lookup. Waits at most `limit`.
pub async fn lookup(host: &str, limit: Duration) -> io::Result<IpAddr> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(address);
    }
    let name = {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Name {
                answer: watch::Sender::new(None),
                started: Mutex::new(None),
                lookups: Arc::new(Semaphore::new(AT_ONCE)),
            })
        };
        names.entry(host.to_owned()).or_insert_with(new).clone()
    };
    let mut answers = name.answer.subscribe();
    if let Some((at, Ok(address))) = &*answers.borrow_and_update()
        && at.elapsed() < FRESH
    {
        return Ok(*address);
    }
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        name.start_lookup(host);
        match tokio::time::timeout(AGAIN, answers.changed()).await {
            Ok(_) => {
                if let Some((_, answer)) = &*answers.borrow() {
                    return answer.clone().map_err(|reason| {
                        io::Error::new(io::ErrorKind::NotFound, format!("{host}: {reason}"))
                    });
                }
            }
            Err(_) if tokio::time::Instant::now() >= deadline => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("{host}: name lookup timed out"),
                ));
            }
            Err(_) => {}
        }
    }
}

impl Name {
    fn start_lookup(self: &Arc<Self>, host: &str) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if started.is_some_and(|at| at.elapsed() < AGAIN)
            && self.lookups.available_permits() < AT_ONCE
        {
            return;
        }
        let Ok(permit) = self.lookups.clone().try_acquire_owned() else {
            return;
        };
        *started = Some(Instant::now());
        let (name, host) = (self.clone(), host.to_owned());
        tokio::spawn(async move {
            let result = match tokio::net::lookup_host((host.as_str(), 0)).await {
                Ok(addresses) => {
                    let mut addresses: Vec<IpAddr> =
                        addresses.map(|address| address.ip()).collect();
                    addresses.sort_by_key(IpAddr::is_ipv6);
                    addresses.first().copied().ok_or_else(|| "no address".to_owned())
                }
                Err(error) => Err(error.to_string()),
            };
            drop(permit);
            name.answer.send_replace(Some((Instant::now(), result)));
        });
    }
}

/// Connects within `limit`, lookup included, and arms the socket so that a silent peer is noticed.
pub async fn dial(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let start = Instant::now();
    let address = SocketAddr::new(lookup(host, limit).await?, port);
    let rest = limit.saturating_sub(start.elapsed());
    let stream = tokio::time::timeout(rest, TcpStream::connect(address))
        .await
        .map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, format!("{host}:{port}: connecting timed out"))
        })?
        .map_err(|error| io::Error::new(error.kind(), format!("{host}:{port}: {error}")))?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive())?;
    socket.set_tcp_user_timeout(Some(PEER_TIMEOUT))?;
    Ok(stream)
}

/// Probes of an idle connection.
pub fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(3))
        .with_interval(Duration::from_secs(1))
        .with_retries(3)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_addresses_are_found() {
        assert_eq!(lookup("127.0.0.1", Duration::ZERO).await.unwrap().to_string(), "127.0.0.1");
        assert_eq!(lookup("[::1]", Duration::ZERO).await.unwrap().to_string(), "::1");
        let found =
            futures::future::join_all((0..50).map(|_| lookup("localhost", Duration::from_secs(5))))
                .await;
        assert!(found.into_iter().all(|address| address.unwrap().is_loopback()));
    }

    #[tokio::test]
    async fn a_refused_connection_names_its_target() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = dial("127.0.0.1", port, Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }
}
