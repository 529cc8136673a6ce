//! Just enough of Redis's protocol for faults that use Redis as its clients do.

use super::{FaultError, Scene};
use crate::engine::namespace;
use crate::process::failure::UserError;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Speaks with a service's server on a fresh connection, from within its network namespace.
///
/// # Errors
/// The service does not run, nothing answers there, or the server refuses.
pub async fn ask<T: Send + 'static>(
    scene: &Scene<'_>,
    kind: &'static str,
    target: &str,
    port: u16,
    work: impl FnOnce(&mut Resp) -> io::Result<T> + Send + 'static,
) -> Result<T, FaultError> {
    let container = scene.container(target).await?;
    let answer = namespace::within(container.pid, move || {
        Resp::connect(port).and_then(|mut r| work(&mut r))
    })
    .await;
    answer
        .map_err(|e| scene.failed(kind, target, e.advice()))?
        .map_err(|e| scene.failed(kind, target, e))
}

/// A connection to Redis, as far as faults need its protocol (RESP 2:
/// redis.io/docs/reference/protocol-spec).
pub struct Resp {
    stream: BufReader<TcpStream>,
}

impl Resp {
    /// Connects to a server of this network namespace.
    ///
    /// # Errors
    /// Nothing answers there within 2 s.
    pub fn connect(port: u16) -> io::Result<Resp> {
        Resp::connect_within(port, Duration::from_secs(2), Duration::from_secs(5))
    }

    /// The same with bounds of one's own: for the connection, and for each request and answer.
    ///
    /// # Errors
    /// Nothing answers there in time.
    pub fn connect_within(port: u16, connect: Duration, answer: Duration) -> io::Result<Resp> {
        let stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), connect)?;
        stream.set_read_timeout(Some(answer))?;
        stream.set_write_timeout(Some(answer))?;
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
        let (kind, rest) = line
            .split_at_checked(1)
            .ok_or_else(|| io::Error::other("the server closed the connection"))?;
        let number = || {
            rest.parse::<i64>()
                .map_err(|_| io::Error::other(format!("{line:?} is not an answer of Redis")))
        };
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
        let value = all
            .lines()
            .find_map(|l| Some(l.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()));
        value.ok_or_else(|| io::Error::other(format!("INFO shows no {field}")))
    }

    /// A number of the server's configuration.
    ///
    /// # Errors
    /// The server does not tell it.
    pub fn setting(&mut self, name: &str) -> io::Result<u64> {
        let answer = self.command(&[b"CONFIG", b"GET", name.as_bytes()])?;
        let value = answer.get(1).and_then(|value| value.parse().ok());
        value.ok_or_else(|| io::Error::other(format!("CONFIG GET {name} answered {answer:?}")))
    }

    /// How many clients have this name.
    ///
    /// # Errors
    /// The connection breaks.
    pub fn clients_named(&mut self, name: &str) -> io::Result<usize> {
        let list = self.command(&[b"CLIENT", b"LIST"])?.concat();
        Ok(list
            .lines()
            .filter(|client| {
                client.split(' ').any(|field| field.strip_prefix("name=") == Some(name))
            })
            .count())
    }

    /// Deletes all keys that begin with `prefix`.
    ///
    /// # Errors
    /// The prefix is empty, or the connection breaks.
    pub fn delete_keys(&mut self, prefix: &str) -> io::Result<()> {
        if prefix.is_empty() {
            return Err(io::Error::other("an empty prefix would delete every key"));
        }
        for keys in self.keys(prefix)?.chunks(1000) {
            let words = [b"DEL".as_slice()].into_iter().chain(keys.iter().map(String::as_bytes));
            self.command(&words.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// All keys that begin with `prefix`, whose glob characters mean themselves.
    ///
    /// # Errors
    /// The connection breaks.
    pub fn keys(&mut self, prefix: &str) -> io::Result<Vec<String>> {
        let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
        let escaped = |c| if "*?[]\\^".contains(c) { vec!['\\', c] } else { vec![c] };
        let pattern: String = prefix.chars().flat_map(escaped).chain(['*']).collect();
        loop {
            let scan: [&[u8]; 6] =
                [b"SCAN", cursor.as_bytes(), b"MATCH", pattern.as_bytes(), b"COUNT", b"1000"];
            let mut answer = self.command(&scan)?.into_iter();
            cursor = answer.next().ok_or_else(|| io::Error::other("SCAN gave no cursor"))?;
            keys.extend(answer);
            if cursor == "0" {
                return Ok(keys);
            }
        }
    }
}
