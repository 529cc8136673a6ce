//! Log lines, over TCP or into a file: each operation one line, which is done once the system has
//! taken it. Neither way has an answer.

use super::dial::{Dial, Io};
use super::{Client, Failed, Operation, Unopened};
use crate::template::{Filling, Template};
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::json;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where lines go.
#[derive(Debug, Clone)]
pub enum Sink {
    Tcp(Dial),
    /// To the end of a file, which is made if it is not there.
    File(PathBuf),
}

/// Log lines: JSON objects with `@timestamp`, `level`, `service`, `event`, `message`,
/// `operation_id` and `n`, or what the user states.
#[derive(Debug, Clone)]
pub struct Line {
    /// Where they go.
    pub sink: Sink,
    /// The line, if the user states it.
    pub text: Option<Template>,
    /// What it is filled with.
    pub filling: Filling,
}

/// What lines go over.
pub(super) enum Lane {
    Tcp(Box<dyn Io>),
    File(File),
}

impl Client for Line {
    type Lane = Lane;

    async fn connect(&self) -> Result<Vec<Lane>, Unopened> {
        Ok(vec![match &self.sink {
            Sink::Tcp(dial) => Lane::Tcp(dial.open().await?),
            Sink::File(path) => Lane::File(File::options().create(true).append(true).open(path)?),
        }])
    }

    async fn operate(&self, lane: &mut Lane, operation: &mut Operation) -> Result<(), Failed> {
        let line = self.line(operation);
        let written = match lane {
            Lane::Tcp(stream) => {
                // A peer that has hung up is told by an end of file; nothing else is read from it.
                if stream
                    .read(&mut [0; 256])
                    .now_or_never()
                    .is_some_and(|read| read.is_ok_and(|n| n == 0))
                {
                    return Err(Failed::Unsent);
                }
                match stream.write_all(line.as_bytes()).await {
                    Ok(()) => stream.flush().await,
                    error => error,
                }
            }
            Lane::File(file) => file.write_all(line.as_bytes()),
        };
        written.map_err(|e| {
            Failed::Broken(match e.kind() {
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => "connection closed".into(),
                ErrorKind::StorageFull => "no room on the disk".into(),
                _ => "line not written".into(),
            })
        })
    }

    fn place(&self) -> String {
        match &self.sink {
            Sink::Tcp(dial) => dial.address.to_string(),
            Sink::File(path) => path.display().to_string(),
        }
    }
}

impl Line {
    fn line(&self, operation: &Operation) -> String {
        let number = operation.number;
        let mut line = match &self.text {
            Some(text) => text.text(&self.filling, number),
            None => json!({
                "@timestamp": Timestamp::try_from(operation.now()).unwrap_or_default().to_string(),
                "level": "info",
                "service": "firedrill",
                "event": "load",
                "message": self.filling.payload(number).body.replace('\n', " "),
                "operation_id": self.filling.id(number),
                "n": number,
            })
            .to_string(),
        };
        line.push('\n');
        line
    }
}
