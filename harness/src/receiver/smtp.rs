//! The mail relay: SMTP with STARTTLS and authentication, as a submission service has it.

use super::{Shared, mail};
use crate::declaration::StandIn;
use crate::process::clock::wall_us;
use base64::Engine as _;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use verdict::history::alert::{Notification, Protocol};

/// A mail that is longer is refused.
const MAX_MAIL: usize = 8 << 20;
/// Longest command line.
const MAX_LINE: u64 = 4096;
/// A client that says nothing for this long is left.
const SILENCE: Duration = Duration::from_secs(60);
/// Port on which relays take mail from each other: TLS and authentication are offered and not
/// demanded there.
const RELAY_PORT: u16 = 25;
/// Port on which TLS comes before the greeting.
const IMPLICIT_TLS_PORT: u16 = 465;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Accepts connections for ever.
pub(crate) async fn serve(listener: TcpListener, port: u16, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let session = Session::new(shared.clone(), peer.ip(), port != RELAY_PORT);
                tokio::spawn(async move {
                    if let Err(error) =
                        session.run(Box::new(stream), port == IMPLICIT_TLS_PORT).await
                    {
                        eprintln!("smtp from {peer}: {error}");
                    }
                });
            }
            Err(error) => {
                eprintln!("smtp: accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

struct Session {
    shared: Arc<Shared>,
    /// Who connected.
    peer: IpAddr,
    /// Whether mail is taken over TLS only.
    demands_tls: bool,
    over_tls: bool,
    /// What the client authenticated with: `user:password`.
    credentials: Option<String>,
    sender: Option<String>,
    /// Stand-ins (by index) and addresses of the recipients that were accepted.
    recipients: Vec<(usize, String)>,
}

enum Next {
    Continue,
    StartTls,
    Quit,
}

impl Session {
    fn new(shared: Arc<Shared>, peer: IpAddr, demands_tls: bool) -> Session {
        Session {
            shared,
            peer,
            demands_tls,
            over_tls: false,
            credentials: None,
            sender: None,
            recipients: Vec::new(),
        }
    }

    async fn run(mut self, stream: Box<dyn Wire>, tls_first: bool) -> io::Result<()> {
        let mut wire = BufStream::new(stream);
        if tls_first {
            wire = self.secure(wire).await?;
        }
        let host = self.relays().next().map_or("relay", |(_, r)| r.host.as_str()).to_owned();
        say(&mut wire, &format!("220 {host} ESMTP")).await?;
        while let Some(line) = read_line(&mut wire).await? {
            match self.command(&mut wire, &host, &line).await? {
                Next::Continue => {}
                Next::Quit => return say(&mut wire, "221 2.0.0 bye").await,
                Next::StartTls => {
                    say(&mut wire, "220 2.0.0 ready to start TLS").await?;
                    wire = self.secure(wire).await?;
                }
            }
        }
        Ok(())
    }

    /// Goes on over TLS. What a client sent in the clear behind its STARTTLS must not be taken as
    /// if it had come through it.
    async fn secure(
        &mut self,
        wire: BufStream<Box<dyn Wire>>,
    ) -> io::Result<BufStream<Box<dyn Wire>>> {
        let handshake = tokio::time::timeout(
            Duration::from_secs(10),
            self.shared.tls.accept(wire.into_inner()),
        )
        .await;
        let secured = handshake.map_err(|_| io::Error::other("no handshake within 10 s"))??;
        (self.over_tls, self.credentials, self.sender) = (true, None, None);
        self.recipients.clear();
        Ok(BufStream::new(Box::new(secured)))
    }

    fn relays(&self) -> impl Iterator<Item = (usize, &StandIn)> {
        self.shared.receivers.iter().enumerate().filter(|(_, r)| r.protocol == Protocol::Smtp)
    }

    async fn command(
        &mut self,
        wire: &mut BufStream<Box<dyn Wire>>,
        host: &str,
        line: &str,
    ) -> io::Result<Next> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let reply = match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.forget_mail();
                let tls = if self.over_tls { "" } else { "250-STARTTLS\r\n" };
                let auth = if self.over_tls || !self.demands_tls {
                    "250-AUTH PLAIN LOGIN\r\n"
                } else {
                    ""
                };
                format!(
                    "250-{host}\r\n250-PIPELINING\r\n250-SIZE {MAX_MAIL}\r\n{tls}{auth}250 8BITMIME"
                )
            }
            "HELO" => format!("250 {host}"),
            "STARTTLS" if self.over_tls => "503 5.5.1 TLS is on already".into(),
            "STARTTLS" => return Ok(Next::StartTls),
            "QUIT" => return Ok(Next::Quit),
            "NOOP" => "250 2.0.0 ok".into(),
            "RSET" => {
                self.forget_mail();
                "250 2.0.0 ok".into()
            }
            "AUTH" | "MAIL" if self.demands_tls && !self.over_tls => {
                "530 5.7.0 must issue a STARTTLS command first".into()
            }
            "AUTH" => return self.authenticate(wire, rest).await,
            "MAIL" => match address(rest, "FROM:") {
                None => "501 5.5.4 syntax: MAIL FROM:<address>".into(),
                Some(from) => {
                    self.forget_mail();
                    self.sender = Some(from);
                    "250 2.1.0 ok".into()
                }
            },
            "RCPT" if self.sender.is_none() => "503 5.5.1 MAIL first".into(),
            "RCPT" => match address(rest, "TO:") {
                None => "501 5.5.4 syntax: RCPT TO:<address>".into(),
                Some(to) => self.recipient(to).await,
            },
            "DATA" if self.recipients.is_empty() => "503 5.5.1 no valid recipients".into(),
            "DATA" => {
                say(wire, "354 end data with <CR><LF>.<CR><LF>").await?;
                match read_mail(wire).await? {
                    None => "552 5.3.4 message too big".into(),
                    Some(message) => self.deliver(&message).await,
                }
            }
            _ => "502 5.5.2 command not recognized".into(),
        };
        say(wire, &reply).await?;
        Ok(Next::Continue)
    }

    fn forget_mail(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    /// AUTH PLAIN and LOGIN. A user is known if a stand-in's key says so: `user:password`, or the
    /// password alone.
    async fn authenticate(
        &mut self,
        wire: &mut BufStream<Box<dyn Wire>>,
        rest: &str,
    ) -> io::Result<Next> {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let said = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let token = if initial.is_empty() { ask(wire, "").await? } else { decode(initial) };
                // authorization identity, NUL, user, NUL, password
                token.and_then(|t| {
                    let mut parts = t.splitn(3, '\0').skip(1);
                    Some(format!("{}:{}", parts.next()?, parts.next()?))
                })
            }
            "LOGIN" => {
                let user = if initial.is_empty() {
                    ask(wire, "Username:").await?
                } else {
                    decode(initial)
                };
                let password = ask(wire, "Password:").await?;
                user.zip(password).map(|(user, password)| format!("{user}:{password}"))
            }
            _ => {
                say(wire, "504 5.5.4 mechanism not supported; PLAIN and LOGIN are").await?;
                return Ok(Next::Continue);
            }
        };
        let Some(said) = said else {
            say(wire, "501 5.5.2 can't decode").await?;
            return Ok(Next::Continue);
        };
        let known =
            self.relays().any(|(_, r)| r.key.as_deref().is_none_or(|key| opens(key, &said)));
        if known {
            self.credentials = Some(said);
            say(wire, "235 2.7.0 authentication successful").await?;
        } else {
            let user = said.split(':').next().unwrap_or_default().to_owned();
            self.record(
                None,
                "",
                Some(user.clone()),
                535,
                Vec::new(),
                Some(format!("user {user} or its password is not valid")),
            )
            .await?;
            say(wire, "535 5.7.8 authentication failed").await?;
        }
        Ok(Next::Continue)
    }

    async fn recipient(&mut self, to: String) -> String {
        let here: Vec<(usize, &StandIn)> =
            self.relays().filter(|(_, r)| r.path.eq_ignore_ascii_case(&to)).collect();
        let said = self.credentials.as_deref();
        let fits = here.iter().find(|(_, r)| {
            r.key.as_deref().is_none_or(|key| said.is_some_and(|said| opens(key, said)))
        });
        if let Some((index, _)) = fits {
            self.recipients.push((*index, to));
            return "250 2.1.5 ok".into();
        }
        let (code, reply, error) = if here.is_empty() {
            (
                550,
                format!("550 5.1.1 <{to}>: recipient address rejected: no such mailbox"),
                format!("no mailbox {to}"),
            )
        } else {
            (
                530,
                "530 5.7.0 authentication required".to_owned(),
                "recipient without authentication".to_owned(),
            )
        };
        let user = said.and_then(|s| s.split(':').next()).map(str::to_owned);
        match self.record(None, &to, user, code, Vec::new(), Some(error)).await {
            Ok(()) => reply,
            Err(_) => "451 4.3.0 not recorded".into(),
        }
    }

    async fn deliver(&mut self, message: &[u8]) -> String {
        let (alerts, error) = match mail::read(message) {
            Ok(alerts) => (alerts, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let user = self.credentials.as_deref().and_then(|s| s.split(':').next()).map(str::to_owned);
        let mut worst = 250;
        let mut late = Duration::ZERO;
        for (index, to) in std::mem::take(&mut self.recipients) {
            let name = self.shared.receivers[index].name.clone();
            let (instead, delay) = self.shared.behaviours.next(Some(&name));
            let instead = instead.map(|code| if matches!(code, 429 | 500) { 451 } else { code });
            let error =
                instead.map(|code| format!("told to answer {code}")).or_else(|| error.clone());
            let code = instead.unwrap_or(250);
            if self
                .record(Some(name), &to, user.clone(), code, alerts.clone(), error)
                .await
                .is_err()
            {
                return "451 4.3.0 not recorded".into();
            }
            (worst, late) = (worst.max(code), late.max(delay));
        }
        self.forget_mail();
        tokio::time::sleep(late).await;
        match worst {
            250 => "250 2.0.0 queued".into(),
            code => format!("{code} {}.0.0 told to answer so", code / 100),
        }
    }

    async fn record(
        &self,
        receiver: Option<String>,
        path: &str,
        key: Option<String>,
        answered: u16,
        alerts: Vec<verdict::history::alert::NotifiedAlert>,
        error: Option<String>,
    ) -> io::Result<()> {
        let host = self.relays().next().map(|(_, r)| r.host.clone()).unwrap_or_default();
        let host = receiver
            .as_ref()
            .and_then(|n| self.relays().find(|(_, r)| r.name == *n))
            .map_or(host, |(_, r)| r.host.clone());
        let (protocol, path, received_wall_us) = (Protocol::Smtp, path.to_owned(), wall_us());
        let notification = Notification {
            receiver,
            protocol,
            host,
            path,
            key,
            answered,
            alerts,
            error,
            received_wall_us,
            from: Some(self.peer.to_string()),
        };
        self.shared.put_on_record(notification, None).await
    }
}

/// Whether `user:password` is what a stand-in's key asks for.
fn opens(key: &str, said: &str) -> bool {
    key == said
        || (!key.contains(':') && said.split_once(':').is_some_and(|(_, password)| password == key))
}

/// `FROM:<a@b> SIZE=1` → `a@b`.
fn address(rest: &str, prefix: &str) -> Option<String> {
    let rest = rest.trim();
    let after = rest
        .get(..prefix.len())
        .filter(|p| p.eq_ignore_ascii_case(prefix))
        .map(|_| rest[prefix.len()..].trim())?;
    let (address, _) = after.strip_prefix('<')?.split_once('>')?;
    Some(address.to_owned())
}

fn decode(text: &str) -> Option<String> {
    let text = if text == "=" { "" } else { text };
    base64::engine::general_purpose::STANDARD
        .decode(text.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
}

async fn ask(wire: &mut BufStream<Box<dyn Wire>>, what: &str) -> io::Result<Option<String>> {
    say(wire, &format!("334 {}", base64::engine::general_purpose::STANDARD.encode(what))).await?;
    Ok(read_line(wire).await?.and_then(|line| decode(&line)))
}

async fn say(wire: &mut BufStream<Box<dyn Wire>>, line: &str) -> io::Result<()> {
    wire.write_all(line.as_bytes()).await?;
    wire.write_all(b"\r\n").await?;
    wire.flush().await
}

/// The next line without its end; `None` when the client is gone.
async fn read_line(wire: &mut BufStream<Box<dyn Wire>>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = wire.take(MAX_LINE).read_until(b'\n', &mut line).await_within(SILENCE).await?;
    if read == 0 || !line.ends_with(b"\n") {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}

/// The mail up to the line with a single dot, with doubled dots made single; `None` if it is too
/// big.
async fn read_mail(wire: &mut BufStream<Box<dyn Wire>>) -> io::Result<Option<Vec<u8>>> {
    let mut mail = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if wire.read_until(b'\n', &mut line).await_within(SILENCE).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" || line == b".\n" {
            return Ok((mail.len() <= MAX_MAIL).then_some(mail));
        }
        // The rest of a mail that is too big is read and thrown away.
        if mail.len() <= MAX_MAIL {
            mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}

/// Bounds an operation in time.
trait Within: Future<Output = io::Result<usize>> + Sized {
    async fn await_within(self, bound: Duration) -> io::Result<usize> {
        tokio::time::timeout(bound, self)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}
impl<F: Future<Output = io::Result<usize>>> Within for F {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_keys() {
        assert_eq!(address("FROM:<a@b> SIZE=9", "FROM:").as_deref(), Some("a@b"));
        assert_eq!(address("to: <a@b>", "TO:").as_deref(), Some("a@b"));
        assert_eq!(address("FROM:<>", "FROM:").as_deref(), Some(""));
        assert_eq!(address("a@b", "TO:"), None);
        assert_eq!(address("é", "TO:"), None);
        assert!(
            opens("u:p", "u:p") && opens("p", "u:p") && !opens("u:p", "v:p") && !opens("q", "u:p")
        );
    }
}
