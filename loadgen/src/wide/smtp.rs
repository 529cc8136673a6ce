//! Mail: each operation one, over connections that are used again.

use super::dial::{Dial, Io, Tls};
use super::{Client, Failed, Operation, Unopened};
use crate::advice::Advice;
use crate::direct::request::header;
use crate::template::{Filling, RequestError, Template};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// How a connection is secured.
#[derive(Debug, Clone)]
pub enum Security {
    /// As the dial has it: in clear, or by TLS from the beginning.
    AsDialled,
    StartTls(Tls),
}

/// What mails are made of.
#[derive(Debug, Clone)]
pub struct Writer {
    from: Template,
    to: Template,
    headers: Vec<(String, Template)>,
    body: Option<Template>,
    filling: Filling,
}

impl Writer {
    /// Mails from and to these addresses, which may hold placeholders, with further headers (`Name:
    /// value`) and this body, or one that follows from seed and id.
    ///
    /// # Errors
    /// A placeholder that nothing fills, a header that is none.
    pub fn new(
        from: &str,
        to: &str,
        headers: &[String],
        body: Option<&str>,
        filling: Filling,
    ) -> Result<Writer, RequestError> {
        Ok(Writer {
            from: Template::parse(from, &filling)?,
            to: Template::parse(to, &filling)?,
            headers: headers.iter().map(|text| header(text, &filling)).collect::<Result<_, _>>()?,
            body: body.map(|text| Template::parse(text, &filling)).transpose()?,
            filling,
        })
    }

    /// Sender and recipient of an arrival's mail.
    ///
    /// # Errors
    /// One that is no address.
    pub fn addresses(&self, number: u64) -> Result<(String, String), Advice> {
        let (from, to) =
            (self.from.text(&self.filling, number), self.to.text(&self.filling, number));
        for address in [&from, &to] {
            address.parse::<Address>().map_err(|e| {
                Advice::new(
                    format!("{address:?} is no mail address: {e}"),
                    "as in --to alice@mail.test",
                )
            })?;
        }
        Ok((from, to))
    }

    /// An arrival's mail, with headers.
    fn text(&self, number: u64, date: Timestamp, from: &str, to: &str) -> String {
        let (id, payload) = (self.filling.id(number), self.filling.payload(number));
        let date =
            jiff::fmt::rfc2822::to_string(&Zoned::new(date, TimeZone::UTC)).unwrap_or_default();
        let mut text = format!(
            "From: <{from}>\r\nTo: <{to}>\r\nSubject: {}\r\nDate: {date}\r\nMessage-ID: <{id}@firedrill.test>\r\n{}: {id}\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n",
            payload.subject,
            crate::id::HEADER,
        );
        for (name, value) in &self.headers {
            text.extend([name, ": ", &value.text(&self.filling, number), "\r\n"]);
        }
        text.push_str("\r\n");
        let body = self.body.as_ref().map_or(payload.body, |body| body.text(&self.filling, number));
        // The end of the last line belongs to what ends the mail.
        text.push_str(&body.lines().collect::<Vec<_>>().join("\r\n"));
        text
    }
}

/// Mails to one server.
#[derive(Clone)]
pub struct Mailing {
    dial: Dial,
    security: Security,
    credentials: Option<Credentials>,
    writer: Writer,
}

impl fmt::Debug for Mailing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailing")
            .field("dial", &self.dial)
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

impl Mailing {
    /// Mails there, after logging in as this user with this password, if so.
    pub fn new(
        dial: Dial,
        security: Security,
        login: Option<(String, String)>,
        writer: Writer,
    ) -> Mailing {
        Mailing {
            dial,
            security,
            credentials: login.map(|(user, password)| Credentials::new(user, password)),
            writer,
        }
    }
}

/// Asks a server for TLS and secures the connection.
async fn start_tls(stream: Box<dyn Io>, tls: &Tls) -> Result<Box<dyn Io>, Unopened> {
    let refused = |why: String| Unopened::new("TLS refused", format!("STARTTLS: {why}"));
    let mut plain = BufReader::new(stream);
    for (say, wanted) in [("", "220"), ("EHLO localhost\r\n", "250"), ("STARTTLS\r\n", "220")] {
        plain.write_all(say.as_bytes()).await?;
        loop {
            let mut line = String::new();
            plain.read_line(&mut line).await?;
            if !line.starts_with(wanted) {
                return Err(refused(format!(
                    "{:?} was answered by {:?}",
                    say.trim_end(),
                    line.trim_end()
                )));
            }
            if line.as_bytes().get(wanted.len()) != Some(&b'-') {
                break;
            }
        }
    }
    // It could be somebody else's, put before what is said in secret.
    if !plain.buffer().is_empty() {
        return Err(refused("more was said in clear than was asked for".into()));
    }
    let (read, write) = tokio::io::split(tls.secure(plain.into_inner()).await?);
    // Who speaks SMTP over it waits for a greeting first, and that was given in clear.
    Ok(Box::new(tokio::io::join(b"220 secured\r\n".chain(read), write)))
}

impl AsyncTokioStream for Box<dyn Io> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What an error means for an operation: a server that refuses goes on, unless it says that it
/// leaves.
fn failed(error: &Error) -> Failed {
    match error.status() {
        Some(code) if code.to_string() == "421" => Failed::Broken("status 421".into()),
        Some(code) => Failed::Refused(format!("status {code}")),
        None => Failed::Broken("connection closed".into()),
    }
}

impl Client for Mailing {
    type Lane = AsyncSmtpConnection;

    async fn connect(&self) -> Result<Vec<AsyncSmtpConnection>, Unopened> {
        let refused = |what: &'static str| {
            move |e: Error| {
                Unopened::new(what, format!("{what}: {}", crate::client::http::chain(&e)))
            }
        };
        let hello = ClientId::Domain("localhost".to_owned());
        let mut stream: Box<dyn Io> = self.dial.open().await?;
        if let Security::StartTls(tls) = &self.security {
            stream = start_tls(stream, tls).await?;
        }
        let mut connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello)
            .await
            .map_err(refused("greeting refused"))?;
        if let Some(credentials) = &self.credentials {
            connection
                .auth(DEFAULT_MECHANISMS, credentials)
                .await
                .map_err(refused("login refused"))?;
        }
        Ok(vec![connection])
    }

    async fn operate(
        &self,
        connection: &mut AsyncSmtpConnection,
        operation: &mut Operation,
    ) -> Result<(), Failed> {
        let number = operation.number;
        let (from, to) = self
            .writer
            .addresses(number)
            .map_err(|_| Failed::Refused("address can't be written".into()))?;
        let address = |text: &str| {
            text.parse::<Address>().map_err(|_| Failed::Refused("address can't be written".into()))
        };
        let (sender, recipient) = (address(&from)?, address(&to)?);
        let date = Timestamp::try_from(operation.now()).unwrap_or_default();
        let text = self.writer.text(number, date, &from, &to);
        let mut parameters = Vec::new();
        if !text.is_ascii() && connection.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let sent = async {
            operation
                .step("smtp/mail", connection.command(Mail::new(Some(sender), parameters)))
                .await?;
            operation
                .step("smtp/rcpt", connection.command(Rcpt::new(recipient, Vec::new())))
                .await?;
            let data = async {
                connection.command(Data).await?;
                connection.message(text.as_bytes()).await
            };
            operation.step("smtp/data", data).await
        };
        let Err(error) = sent.await else { return Ok(()) };
        let failed = failed(&error);
        // What was begun of a mail that was refused is forgotten, so that the next one can begin.
        if matches!(failed, Failed::Refused(_)) && connection.command(Rset).await.is_err() {
            return Err(Failed::Broken(format!(
                "status {}",
                error.status().map_or(String::new(), |c| c.to_string())
            )));
        }
        Err(failed)
    }

    async fn close(&self, mut connection: AsyncSmtpConnection) {
        let _ = connection.quit().await;
    }

    fn place(&self) -> String {
        self.dial.address.to_string()
    }
}
