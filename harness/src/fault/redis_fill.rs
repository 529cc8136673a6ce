//! Redis is filled with keys that may be evicted (they have an expiry) until it evicts. Keys without an expiry, such as queues,
//! stay under the policy `volatile-lru`.

use super::{Ability, Fault, FaultError, Scene, Settings};
use crate::engine::namespace;
use crate::journal::Undo;
use futures::future::BoxFuture;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use verdict::history::fault::BlastRadius;

const KIND: &str = "redis_fill";
/// Size of a value, bytes.
const VALUE: usize = 100 * 1024;
/// Bound on what is written, so that a server without a memory limit is not filled for ever.
const WRITE_MAX: usize = 1 << 30;

struct RedisFill {
    target: String,
    port: u16,
    evicted_before: u64,
    used_before: u64,
}

/// Setting: `port` (default 6379).
///
/// # Errors
/// Unknown or senseless settings.
pub fn aim(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only(KIND, settings, &["port"])?;
    let port = super::number(KIND, settings, "port", 6379, 1..=65535)? as u16;
    Ok(Box::new(RedisFill { target: target.into(), port, evicted_before: 0, used_before: 0 }))
}

fn prefix(run: &str) -> String {
    format!("firedrill:{run}:")
}

impl RedisFill {
    async fn speak<T: Send + 'static>(
        &self,
        scene: &Scene<'_>,
        work: impl FnOnce(&mut Resp) -> io::Result<T> + Send + 'static,
    ) -> Result<T, FaultError> {
        let container = scene.container(&self.target).await?;
        let port = self.port;
        let answer = namespace::within(container.pid, move || Resp::connect(port).and_then(|mut r| work(&mut r))).await;
        answer.map_err(|e| scene.failed(KIND, &self.target, e))?.map_err(|e| scene.failed(KIND, &self.target, e))
    }
}

impl Fault for RedisFill {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn mechanism(&self) -> String {
        "keys with an expiry, written from within the server's network namespace".into()
    }

    fn needs(&self) -> Vec<Ability> {
        vec![Ability::EnterNamespaces]
    }

    fn blast_radius(&self) -> BlastRadius {
        BlastRadius { services: vec![self.target.clone()], ..BlastRadius::default() }
    }

    fn prepare<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let container = scene.alive(KIND, &self.target).await?;
            let (evicted, used, limit, policy) = self
                .speak(scene, |r| Ok((r.info("evicted_keys")?, r.info("used_memory")?, r.info("maxmemory")?, r.field("maxmemory_policy")?)))
                .await?;
            (self.evicted_before, self.used_before) = (evicted, used);
            if limit == 0 || limit as usize > WRITE_MAX / 2 {
                let what = format!("fault {KIND}: maxmemory of {} is {limit} bytes", self.target);
                return Err(FaultError::Settings {
                    what,
                    hint: format!("set a maxmemory below {} bytes: the host's memory is never filled", WRITE_MAX / 2),
                });
            }
            if policy == "noeviction" {
                return Err(FaultError::Settings {
                    what: format!("fault {KIND}: maxmemory-policy of {} is noeviction, so it never evicts", self.target),
                    hint: "it refuses writes instead; set a policy that evicts, such as volatile-lru".into(),
                });
            }
            Ok(vec![Undo::DeleteRedisKeys { container: container.id, port: self.port, prefix: prefix(scene.run) }])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async {
            let (prefix, before) = (prefix(scene.run), self.evicted_before);
            self.speak(scene, move |r| {
                let value = vec![b'x'; VALUE];
                for n in 0..WRITE_MAX / VALUE {
                    r.command(&[b"SET", format!("{prefix}{n}").as_bytes(), &value, b"EX", b"3600"])?;
                    // A few dozen evictions, so that one that the server did anyway is not taken for ours.
                    if n % 16 == 0 && r.info("evicted_keys")? > before + 50 {
                        return Ok(());
                    }
                }
                Err(io::Error::other(format!("{WRITE_MAX} bytes were written and nothing was evicted")))
            })
            .await
        })
    }

    fn bites<'a>(&'a self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let evicted = self.speak(scene, |r| r.info("evicted_keys")).await?.saturating_sub(self.evicted_before);
            Ok((evicted > 0).then(|| format!("{} evicted {evicted} keys", self.target)))
        })
    }

    fn left<'a>(&'a self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let prefix = prefix(scene.run);
            let (keys, used, limit) =
                self.speak(scene, move |r| Ok((r.keys(&prefix)?.len(), r.info("used_memory")?, r.info("maxmemory")?))).await?;
            let little = used <= (self.used_before + limit / 20).max(limit * 8 / 10);
            Ok((keys == 0 && little).then(|| format!("no key of ours is left; {used} of {limit} bytes are used")))
        })
    }
}

/// A connection to Redis, as far as this fault needs its protocol (RESP 2: redis.io/docs/reference/protocol-spec).
pub struct Resp {
    stream: BufReader<TcpStream>,
}

impl Resp {
    /// Connects to a server of this network namespace.
    ///
    /// # Errors
    /// Nothing answers there within 2 s.
    pub fn connect(port: u16) -> io::Result<Resp> {
        let stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        Ok(Resp { stream: BufReader::new(stream) })
    }

    /// Sends a command and reads its answer as a flat list of strings.
    ///
    /// # Errors
    /// The connection breaks, or the server answers with an error.
    pub fn command(&mut self, parts: &[&[u8]]) -> io::Result<Vec<String>> {
        let mut request = format!("*{}\r\n", parts.len()).into_bytes();
        for part in parts {
            request.extend(format!("${}\r\n", part.len()).bytes());
            request.extend(*part);
            request.extend(b"\r\n");
        }
        self.stream.get_mut().write_all(&request)?;
        let mut flat = Vec::new();
        self.answer(&mut flat)?;
        Ok(flat)
    }

    fn answer(&mut self, flat: &mut Vec<String>) -> io::Result<()> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| io::Error::other("the server closed the connection"))?;
        let number = || rest.parse::<i64>().map_err(|_| io::Error::other(format!("{line:?} is not an answer of Redis")));
        match kind {
            "+" | ":" => flat.push(rest.to_owned()),
            "-" => return Err(io::Error::other(rest.to_owned())),
            "$" => {
                let length = number()?;
                let mut bytes = vec![0; usize::try_from(length).map_or(0, |n| n + 2)];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len().saturating_sub(2));
                flat.push(String::from_utf8_lossy(&bytes).into_owned());
            }
            "*" => {
                for _ in 0..number()?.max(0) {
                    self.answer(flat)?;
                }
            }
            _ => return Err(io::Error::other(format!("{line:?} is not an answer of Redis"))),
        }
        Ok(())
    }

    /// A number of `INFO`.
    ///
    /// # Errors
    /// The server does not show it.
    pub fn info(&mut self, field: &str) -> io::Result<u64> {
        let value = self.field(field)?;
        value.parse().map_err(|_| io::Error::other(format!("INFO shows {field} as {value:?}")))
    }

    /// A field of `INFO`.
    ///
    /// # Errors
    /// The server does not show it.
    pub fn field(&mut self, field: &str) -> io::Result<String> {
        let all = self.command(&[b"INFO"])?.concat();
        let value = all.lines().find_map(|l| Some(l.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()));
        value.ok_or_else(|| io::Error::other(format!("INFO shows no {field}")))
    }

    /// All keys that begin with `prefix`.
    ///
    /// # Errors
    /// The connection breaks.
    pub fn keys(&mut self, prefix: &str) -> io::Result<Vec<String>> {
        let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
        loop {
            let mut answer =
                self.command(&[b"SCAN", cursor.as_bytes(), b"MATCH", format!("{prefix}*").as_bytes(), b"COUNT", b"1000"])?.into_iter();
            cursor = answer.next().ok_or_else(|| io::Error::other("SCAN gave no cursor"))?;
            keys.extend(answer);
            if cursor == "0" {
                return Ok(keys);
            }
        }
    }
}
