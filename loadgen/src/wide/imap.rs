//! Mailboxes: logged in once a connection; each operation selects one, searches it, and reads a
//! message that was found.

use super::dial::{Dial, Io};
use super::{Client, Failed, Operation, Unopened};
use crate::template::{Filling, Template};
use async_imap::Session;
use async_imap::error::Error;
use futures::TryStreamExt;
use std::fmt;

/// One mailbox.
#[derive(Clone)]
pub struct Mailbox {
    /// Where it is.
    pub dial: Dial,
    /// Whose it is.
    pub user: String,
    /// With which password.
    pub password: String,
    /// Its name, `INBOX` as a rule.
    pub name: String,
    /// What is searched for, as IMAP writes it: `ALL`, `UNSEEN`, `SUBJECT report`.
    pub search: Template,
    /// What that is filled with.
    pub filling: Filling,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("dial", &self.dial)
            .field("user", &self.user)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A session.
type Lane = Session<Box<dyn Io>>;

/// What an error means for an operation: a server that says no goes on.
fn failed(step: &str) -> impl Fn(Error) -> Failed {
    move |e| match e {
        Error::No(_) => Failed::Refused(format!("{step}: NO")),
        Error::Bad(_) => Failed::Refused(format!("{step}: BAD")),
        Error::Io(_) | Error::ConnectionLost => Failed::Broken("connection closed".into()),
        _ => Failed::Broken("malformed answer".into()),
    }
}

impl Client for Mailbox {
    type Lane = Lane;

    async fn connect(&self) -> Result<Vec<Lane>, Unopened> {
        let mut client = async_imap::Client::new(self.dial.open().await?);
        match client.read_response().await {
            Ok(Some(_)) => {}
            Ok(None) => {
                return Err(Unopened::new(
                    "connection closed",
                    "connection closed without a greeting",
                ));
            }
            Err(e) => return Err(e.into()),
        }
        match client.login(&self.user, &self.password).await {
            Ok(session) => Ok(vec![session]),
            Err((e @ (Error::No(_) | Error::Bad(_)), _)) => {
                Err(Unopened::new("login refused", format!("login of {}: {e}", self.user)))
            }
            Err((e, _)) => {
                Err(Unopened::new("connection closed", format!("login of {}: {e}", self.user)))
            }
        }
    }

    async fn operate(&self, session: &mut Lane, operation: &mut Operation) -> Result<(), Failed> {
        operation
            .step("imap/select", session.select(&self.name))
            .await
            .map_err(failed("SELECT"))?;
        let criteria = self.search.text(&self.filling, operation.number);
        let found = operation
            .step("imap/search", session.uid_search(&criteria))
            .await
            .map_err(failed("SEARCH"))?;
        let mut found: Vec<u32> = found.into_iter().collect();
        found.sort_unstable();
        // Nothing found is an answer; there is nothing to read then.
        if let Some(uid) = self.filling.draw("message", operation.number).of(&found) {
            let fetch = async {
                let mut messages = session.uid_fetch(uid.to_string(), "(UID BODY.PEEK[])").await?;
                while messages.try_next().await?.is_some() {}
                Ok(())
            };
            operation.step("imap/fetch", fetch).await.map_err(failed("FETCH"))?;
        }
        // What the server volunteers is not needed and must not fill the channel.
        while session.unsolicited_responses.try_recv().is_ok() {}
        Ok(())
    }

    async fn close(&self, mut session: Lane) {
        let _ = session.logout().await;
    }

    fn place(&self) -> String {
        self.dial.address.to_string()
    }
}
