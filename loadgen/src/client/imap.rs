//! A read-only IMAP client of one mailbox.

use async_imap::Session;
use futures::TryStreamExt;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest time that one exchange may take. A server that is paused does not answer, and the
/// mailbox must be asked again once it does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a mailbox could not be read.
#[derive(Debug, Error)]
pub enum ImapError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The server refused, or did not speak IMAP.
    #[error("{0}")]
    Protocol(#[from] async_imap::error::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// Closed instead of greeted.
    #[error("connection closed without a greeting")]
    NoGreeting,
}

/// A mailbox's INBOX, opened for reading only.
#[derive(Debug)]
pub struct Inbox {
    session: Session<TcpStream>,
    /// Changes when the mailbox is made anew, after which its numbers mean other messages.
    pub validity: u32,
    /// The number that the next message to arrive would have had when the mailbox was opened.
    pub next_uid: u32,
}

/// A message and its operation id, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number in the mailbox.
    pub uid: u32,
    /// The value of its `X-Operation-Id` header.
    pub operation: Option<String>,
}

async fn patiently<T, E: Into<ImapError>>(
    exchange: impl Future<Output = Result<T, E>>,
) -> Result<T, ImapError> {
    timeout(PATIENCE, exchange).await.map_err(|_| ImapError::Silent)?.map_err(Into::into)
}

impl Inbox {
    /// Connects, logs in and opens the user's INBOX.
    ///
    /// # Errors
    /// The server is unreachable, silent, or refuses.
    pub async fn open(server: SocketAddr, user: &str, password: &str) -> Result<Inbox, ImapError> {
        let stream = patiently(TcpStream::connect(server)).await?;
        let mut client = async_imap::Client::new(stream);
        patiently(client.read_response()).await?.ok_or(ImapError::NoGreeting)?;
        let mut session = timeout(PATIENCE, client.login(user, password))
            .await
            .map_err(|_| ImapError::Silent)?
            .map_err(|(e, _)| e)?;
        let mailbox = patiently(session.examine("INBOX")).await?;
        Ok(Inbox {
            session,
            validity: mailbox.uid_validity.unwrap_or(0),
            next_uid: mailbox.uid_next.unwrap_or(1),
        })
    }

    /// Messages from number `first` on, in the order of the server.
    ///
    /// # Errors
    /// The connection is lost, or the server silent. The inbox is of no use any more then.
    pub async fn messages_from(&mut self, first: u32) -> Result<Vec<Message>, ImapError> {
        // The server looks for new mail on NOOP; what it volunteers then is not needed and must not
        // fill the channel.
        patiently(self.session.noop()).await?;
        while self.session.unsolicited_responses.try_recv().is_ok() {}
        // With `*` for the upper end the last message would come even if it is older.
        let range = format!("{first}:{}", u32::MAX);
        let query = format!("(UID BODY.PEEK[HEADER.FIELDS ({})])", crate::id::HEADER);
        let mut found = Vec::new();
        let mut fetched = patiently(self.session.uid_fetch(range, query)).await?;
        // Patience is for each message: after an outage there may be thousands.
        while let Some(fetch) = patiently(fetched.try_next()).await? {
            found.extend(
                fetch
                    .uid
                    .map(|uid| Message { uid, operation: fetch.header().and_then(operation_of) }),
            );
        }
        drop(fetched);
        while self.session.unsolicited_responses.try_recv().is_ok() {}
        found.retain(|m| m.uid >= first);
        Ok(found)
    }

    /// Says goodbye, as far as the server listens.
    pub async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.session.logout()).await;
    }
}

/// The id in a header block: the field's name in any case, its value possibly folded over lines.
fn operation_of(header: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(header).replace("\r\n ", " ").replace("\r\n\t", " ");
    let field = text.lines().find_map(|line| {
        line.split_once(':').filter(|(name, _)| name.trim().eq_ignore_ascii_case(crate::id::HEADER))
    })?;
    let value = field.1.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_read_from_a_header() {
        let read = |h: &str| operation_of(h.as_bytes());
        assert_eq!(read("X-Operation-Id: 00ff\r\n\r\n").as_deref(), Some("00ff"));
        assert_eq!(read("x-operation-ID:00ff \r\n\r\n").as_deref(), Some("00ff"));
        assert_eq!(read("X-Operation-Id:\r\n 00ff\r\n\r\n").as_deref(), Some("00ff"));
        for without in ["\r\n", "", "X-Operation-Id: \r\n\r\n", "X-Other: X-Operation-Id\r\n\r\n"] {
            assert_eq!(read(without), None, "{without:?}");
        }
    }
}
