//! Reading mailboxes over IMAP, through a pool of sessions.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use async_imap::Session;
use async_imap::error::Error as ImapLibraryError;
use async_imap::imap_proto::{Response, Status};
use clap::Args;
use futures::TryStreamExt;
use mail_parser::MessageParser;
use opentelemetry::Context;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::dependency::Dependency;
use crate::dial::dial;
use crate::idle_pool::IdlePool;
use crate::log::Log;
use crate::metrics::Sampled;
use crate::settings::small_count;
use crate::trace::{SpanKind, Tracer};

/// How long to wait for a place in the pool.
const PLACE: Duration = Duration::from_secs(5);
/// How long connecting and logging in may take.
const CONNECT: Duration = Duration::from_secs(4);
/// How long an operation may take in all: less than a request may.
const OPERATION: Duration = Duration::from_millis(7_500);
/// Sessions idle for longer are closed.
const KEEP: Duration = Duration::from_secs(30);

/// Where the IMAP server is.
#[derive(Clone, Debug, Args)]
pub struct ImapOptions {
    /// IMAP server
    #[arg(long, env = "IMAP_HOST", default_value = "dovecot")]
    pub imap_host: String,
    /// Its port
    #[arg(long, env = "IMAP_PORT", default_value = "143")]
    pub imap_port: u16,
    /// Sessions of the pool
    #[arg(long, env = "IMAP_POOL_SIZE", default_value = "10", value_parser = small_count)]
    pub imap_pool_size: usize,
}

/// How an attempt to connect and log in ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ConnectionResult {
    result: &'static str,
}

/// The attempts so far, by result: `ok`, `refused` (the server said no), `failed` (it said
/// nothing).
pub type Connections = Family<ConnectionResult, Counter>;

/// A message as it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// IMAP UID in INBOX.
    pub uid: u32,
    pub subject: String,
    /// `From` address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Without angle brackets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// `X-Operation-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
}

/// A message with its text.
#[derive(Clone, Debug, Serialize)]
pub struct FullMessage {
    /// As in a list.
    #[serde(flatten)]
    pub summary: Summary,
    pub to: Vec<String>,
    /// The first text part, decoded.
    pub body: String,
}

/// The mailbox can't be read now.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MailboxError {
    /// No session, or none that answers.
    #[error("imap unavailable: {0}")]
    Unavailable(String),
    /// The server said no to what was asked.
    #[error("imap refused: {0}")]
    Refused(String),
}

type ImapSession = Session<TcpStream>;

/// The pool of sessions. Clones share it.
#[derive(Clone, Debug)]
pub struct Mailboxes {
    options: ImapOptions,
    password: String,
    pool: Arc<IdlePool<ImapSession>>,
    attempts: Connections,
    tracer: Tracer,
    dependency: Arc<Dependency>,
}

#[derive(Clone, Copy)]
enum Question {
    Newest(u32),
    One(u32),
}

const HEADERS: &str = "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT FROM MESSAGE-ID X-OPERATION-ID)])";
const WHOLE: &str = "(UID BODY.PEEK[])";

impl Mailboxes {
    /// Connects to nothing yet.
    pub fn new(options: &ImapOptions, password: &str, tracer: Tracer, log: Log) -> Self {
        let attempts = Connections::default();
        for result in ["ok", "refused", "failed"] {
            drop(attempts.get_or_create(&ConnectionResult { result }));
        }
        Self {
            pool: IdlePool::new(options.imap_pool_size, KEEP),
            options: options.clone(),
            password: password.into(),
            attempts,
            tracer,
            dependency: Arc::new(Dependency::new("imap", log)),
        }
    }

    /// Gauges of the pool, asked at each scrape.
    pub fn gauges(&self) -> [Sampled; 2] {
        let (size, used) = (self.pool.clone(), self.pool.clone());
        [
            Sampled::gauge("imap_pool_size", "Sessions that the IMAP pool may hold", move || {
                size.size() as f64
            }),
            Sampled::gauge("imap_pool_in_use", "Places of the IMAP pool in use", move || {
                used.in_use() as f64
            }),
        ]
    }

    /// Attempts to connect, to be registered as `imap_connections`.
    pub fn attempts(&self) -> Connections {
        self.attempts.clone()
    }

    /// The newest messages of the user's INBOX, newest first.
    pub async fn list(
        &self,
        parent: &Context,
        user: &str,
        limit: u32,
    ) -> Result<Vec<Summary>, MailboxError> {
        let raw = self.ask("imap.list", parent, user, Question::Newest(limit)).await?;
        let mut messages: Vec<Summary> =
            raw.iter().map(|(uid, bytes)| summary(*uid, bytes)).collect();
        messages.sort_by_key(|message| std::cmp::Reverse(message.uid));
        Ok(messages)
    }

    /// One message of the user's INBOX.
    pub async fn fetch(
        &self,
        parent: &Context,
        user: &str,
        uid: u32,
    ) -> Result<Option<FullMessage>, MailboxError> {
        let raw = self.ask("imap.fetch", parent, user, Question::One(uid)).await?;
        Ok(raw.iter().find(|(found, _)| *found == uid).map(|(_, bytes)| full_message(uid, bytes)))
    }

    async fn ask(
        &self,
        name: &'static str,
        parent: &Context,
        user: &str,
        question: Question,
    ) -> Result<Vec<(u32, Vec<u8>)>, MailboxError> {
        let span = self.tracer.span(name, SpanKind::Client, parent);
        span.set("server.address", self.options.imap_host.clone());
        let result = self.ask_a_session(user, question).await;
        span.end_with(&result);
        result
    }

    async fn ask_a_session(
        &self,
        user: &str,
        question: Question,
    ) -> Result<Vec<(u32, Vec<u8>)>, MailboxError> {
        let deadline = Instant::now() + OPERATION;
        let (place, idle) = self.pool.take(user, PLACE).await.ok_or_else(|| {
            let size = self.pool.size();
            MailboxError::Unavailable(format!("all {size} sessions busy for {} s", PLACE.as_secs()))
        })?;
        let mut reused = idle.is_some();
        let mut next = idle;
        loop {
            let mut session = match next.take() {
                Some(session) => session,
                None => self.connect(user).await?,
            };
            match timeout_at(deadline, answer(&mut session, question)).await {
                Ok(Ok(messages)) => {
                    self.dependency.up();
                    place.give_back(session);
                    return Ok(messages);
                }
                Ok(Err(ImapLibraryError::No(reason) | ImapLibraryError::Bad(reason))) => {
                    return Err(MailboxError::Refused(reason));
                }
                // The server was restarted since: the others are as dead.
                Ok(Err(_)) if reused => {
                    self.pool.clear();
                    reused = false;
                }
                Ok(Err(error)) => return Err(self.unavailable(&error.to_string())),
                Err(_) => {
                    self.pool.clear();
                    return Err(self
                        .unavailable(&format!("no answer within {} s", OPERATION.as_secs_f64())));
                }
            }
        }
    }

    fn unavailable(&self, reason: &str) -> MailboxError {
        self.dependency.down(reason);
        MailboxError::Unavailable(reason.into())
    }

    /// One attempt, counted.
    async fn connect(&self, user: &str) -> Result<ImapSession, MailboxError> {
        let (result, outcome) = match timeout(CONNECT, self.log_in(user)).await {
            Ok(Ok(session)) => ("ok", Ok(session)),
            Ok(Err((refused, reason))) => (if refused { "refused" } else { "failed" }, Err(reason)),
            Err(_) => ("failed", Err(format!("no session within {} s", CONNECT.as_secs()))),
        };
        self.attempts.get_or_create(&ConnectionResult { result }).inc();
        outcome.map_err(|reason| self.unavailable(&reason))
    }

    /// A session, or whether the server said no, and what happened.
    async fn log_in(&self, user: &str) -> Result<ImapSession, (bool, String)> {
        let ImapOptions { imap_host, imap_port, .. } = &self.options;
        let stream = dial(imap_host, *imap_port, CONNECT)
            .await
            .map_err(|error| (error.kind() == ErrorKind::ConnectionRefused, error.to_string()))?;
        let mut client = async_imap::Client::new(stream);
        match client.read_response().await {
            Ok(Some(greeting)) => {
                if matches!(greeting.parsed(), Response::Data { status: Status::Bye, .. }) {
                    return Err((true, "greeted with BYE".into()));
                }
            }
            Ok(None) => return Err((false, "closed before the greeting".into())),
            Err(error) => return Err((false, error.to_string())),
        }
        client.login(user, &self.password).await.map_err(|(error, _)| {
            let refused = matches!(error, ImapLibraryError::No(_) | ImapLibraryError::Bad(_));
            (refused, format!("login: {error}"))
        })
    }
}

async fn answer(
    session: &mut ImapSession,
    question: Question,
) -> Result<Vec<(u32, Vec<u8>)>, ImapLibraryError> {
    // What the server says unasked is of no interest, and must not pile up.
    while session.unsolicited_responses.try_recv().is_ok() {}
    // Asked anew each time: this is what makes new mail visible.
    let inbox = session.examine("INBOX").await?;
    let fetched: Vec<_> = match question {
        Question::Newest(_) if inbox.exists == 0 => Vec::new(),
        Question::Newest(limit) => {
            let first = inbox.exists.saturating_sub(limit.saturating_sub(1)).max(1);
            session.fetch(format!("{first}:*"), HEADERS).await?.try_collect().await?
        }
        Question::One(uid) => {
            session.uid_fetch(uid.to_string(), WHOLE).await?.try_collect().await?
        }
    };
    let part = |message: &async_imap::types::Fetch| match question {
        Question::Newest(_) => message.header().map(<[u8]>::to_vec),
        Question::One(_) => message.body().map(<[u8]>::to_vec),
    };
    Ok(fetched.iter().filter_map(|message| Some((message.uid?, part(message)?))).collect())
}

fn summary(uid: u32, bytes: &[u8]) -> Summary {
    let Some(message) = MessageParser::default().parse(bytes) else {
        return Summary { uid, ..Summary::default() };
    };
    let operation_id = message.header_raw("X-Operation-Id").map(|value| value.trim().to_owned());
    Summary {
        uid,
        subject: message.subject().unwrap_or_default().to_owned(),
        from: addresses(message.from()).into_iter().next(),
        message_id: message.message_id().map(str::to_owned),
        operation_id,
    }
}

fn full_message(uid: u32, bytes: &[u8]) -> FullMessage {
    let parsed = MessageParser::default().parse(bytes);
    FullMessage {
        summary: summary(uid, bytes),
        to: parsed.as_ref().map(|message| addresses(message.to())).unwrap_or_default(),
        body: parsed
            .as_ref()
            .and_then(|message| message.body_text(0))
            .unwrap_or_default()
            .into_owned(),
    }
}

fn addresses(header: Option<&mail_parser::Address<'_>>) -> Vec<String> {
    let list = header.into_iter().flat_map(mail_parser::Address::iter);
    list.filter_map(|address| address.address().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: alice@mail.test\r\nTo: bob@mail.test, carol@mail.test\r\n\
        Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\nMessage-ID: <1@mail.test>\r\nX-Operation-Id: op-1\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n";

    #[test]
    fn a_message_is_read_decoded() {
        let message = full_message(3, MAIL.as_bytes());
        assert_eq!(message.summary.uid, 3);
        assert_eq!(message.summary.subject, "Grüße");
        assert_eq!(message.summary.from.as_deref(), Some("alice@mail.test"));
        assert_eq!(message.summary.message_id.as_deref(), Some("1@mail.test"));
        assert_eq!(message.summary.operation_id.as_deref(), Some("op-1"));
        assert_eq!(message.to, ["bob@mail.test", "carol@mail.test"]);
        assert_eq!(message.body.trim(), "Grüße");
    }

    #[test]
    fn rubbish_is_a_message_without_headers() {
        assert_eq!(summary(1, b"\xff\xfe").uid, 1);
        assert_eq!(summary(1, b"").subject, "");
    }
}
