//! Keys of ours in Redis, deleted by their prefix from inside the server's network namespace: as
//! the journal says, long after the fault that wrote them.

use crate::engine::namespace;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Deletes all keys with a prefix.
///
/// # Errors
/// Why that failed, in words.
pub async fn delete_keys(pid: i32, port: u16, prefix: &str) -> Result<(), String> {
    let prefix = prefix.to_owned();
    namespace::within(pid, move || delete(port, &prefix))
        .await
        .map_err(|error| error.to_string())?
}

fn delete(port: u16, prefix: &str) -> Result<(), String> {
    if prefix.is_empty() {
        return Err("an empty prefix would delete every key".into());
    }
    let words = |error: std::io::Error| format!("redis on port {port}: {error}");
    let stream = TcpStream::connect_timeout(
        &SocketAddr::from(([127, 0, 0, 1], port)),
        Duration::from_secs(5),
    )
    .map_err(words)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(words)?;
    stream.set_write_timeout(Some(Duration::from_secs(10))).map_err(words)?;
    let mut link = Link { reader: BufReader::new(stream) };
    // Glob characters of the prefix mean themselves.
    let pattern: String = prefix
        .chars()
        .flat_map(|c| if "*?[]\\^".contains(c) { vec!['\\', c] } else { vec![c] })
        .chain(['*'])
        .collect();
    let mut cursor = b"0".to_vec();
    loop {
        let reply =
            link.ask(&[b"SCAN", &cursor, b"MATCH", pattern.as_bytes(), b"COUNT", b"1000"])?;
        let Reply::List(parts) = reply else { return Err(format!("SCAN answered {reply:?}")) };
        let [Reply::Bulk(next), Reply::List(keys)] = parts.as_slice() else {
            return Err("SCAN answered something else than a cursor and keys".into());
        };
        let keys: Vec<&[u8]> = keys
            .iter()
            .filter_map(|key| if let Reply::Bulk(key) = key { Some(key.as_slice()) } else { None })
            .collect();
        if !keys.is_empty() {
            let mut command: Vec<&[u8]> = vec![b"DEL"];
            command.extend(keys);
            link.ask(&command)?;
        }
        cursor.clone_from(next);
        if cursor == b"0" {
            return Ok(());
        }
    }
}

#[derive(Debug)]
enum Reply {
    Bulk(Vec<u8>),
    Number,
    List(Vec<Reply>),
}

struct Link {
    reader: BufReader<TcpStream>,
}

impl Link {
    fn ask(&mut self, command: &[&[u8]]) -> Result<Reply, String> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        self.reader.get_mut().write_all(&bytes).map_err(|error| error.to_string())?;
        self.reply()
    }

    fn reply(&mut self) -> Result<Reply, String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).map_err(|error| error.to_string())?;
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).ok_or("redis closed the connection")?;
        let length = || rest.parse::<i64>().map_err(|_| format!("redis answered `{line}`"));
        match kind {
            "+" => Ok(Reply::Bulk(rest.as_bytes().to_vec())),
            ":" => Ok(Reply::Number),
            "-" => Err(format!("redis refused: {rest}")),
            "$" => {
                let length = usize::try_from(length()?).unwrap_or(0);
                let mut bytes = vec![0; length + 2];
                self.reader.read_exact(&mut bytes).map_err(|error| error.to_string())?;
                bytes.truncate(length);
                Ok(Reply::Bulk(bytes))
            }
            "*" => (0..length()?.max(0))
                .map(|_| self.reply())
                .collect::<Result<_, _>>()
                .map(Reply::List),
            _ => Err(format!("redis answered `{line}`")),
        }
    }
}
