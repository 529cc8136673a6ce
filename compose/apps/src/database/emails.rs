//! What is stored: mails and heartbeats. One function is one operation, and one span below the
//! caller's.

use opentelemetry::Context;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Database, DatabaseError, Parameter, within};

/// Created under a lock, since several services may start at once.
pub const SCHEMA: &str = "\
BEGIN;
SELECT pg_advisory_xact_lock(7236842301);
CREATE TABLE IF NOT EXISTS emails (
    id bigserial PRIMARY KEY,
    sender text NOT NULL,
    recipients text[] NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'failed')),
    operation_id text,
    task_id uuid NOT NULL,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX IF NOT EXISTS emails_sender ON emails (sender, id);
CREATE INDEX IF NOT EXISTS emails_recipients ON emails USING gin (recipients);
CREATE INDEX IF NOT EXISTS emails_operation ON emails (operation_id) WHERE operation_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS heartbeats (
    name text PRIMARY KEY,
    beats bigint NOT NULL,
    last_at timestamptz NOT NULL
);
COMMIT;";

/// Mails older than this are swept away.
const KEEP: &str = "7 days";

/// A mail to be stored as queued.
#[derive(Clone, Debug)]
pub struct NewEmail {
    pub sender: String,
    pub recipients: Vec<String>,
    pub subject: String,
    pub body: String,
    /// The caller's opaque id.
    pub operation_id: Option<String>,
    /// The task that will send it.
    pub task_id: uuid::Uuid,
}

/// A mail as it is listed.
#[derive(Clone, Debug, Serialize)]
pub struct Email {
    pub id: i64,
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    /// `queued`, `sent` or `failed`.
    pub status: String,
    /// The id of the operation that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// RFC 3339, UTC.
    pub created_at: String,
}

/// How a mail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The mail server has taken it over.
    Sent,
    /// It was given up.
    Failed,
}

impl Outcome {
    /// As the column `status` says it.
    pub fn status(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

const COLUMNS: &str = "id, sender, recipients, subject, status, operation_id, \
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";

impl Database {
    /// Stores a mail as queued and returns its id, committed.
    pub async fn insert_email(
        &self,
        parent: &Context,
        email: &NewEmail,
    ) -> Result<i64, DatabaseError> {
        let span = self.span("INSERT emails", parent);
        let result = self
            .in_transaction(
                false,
                "INSERT INTO emails (sender, recipients, subject, body, operation_id, task_id) \
                 VALUES ($1, $2, $3, $4, $5, $6::text::uuid) RETURNING id",
                &[
                    (&email.sender, Type::TEXT),
                    (&email.recipients, Type::TEXT_ARRAY),
                    (&email.subject, Type::TEXT),
                    (&email.body, Type::TEXT),
                    (&email.operation_id, Type::TEXT),
                    (&email.task_id.to_string(), Type::TEXT),
                ],
            )
            .await
            .and_then(|rows| match rows.first() {
                Some(row) => Ok(row.get(0)),
                None => Err(DatabaseError::Refused("an insert returned no row".into())),
            });
        span.end_with(&result);
        result
    }

    /// The newest mails that the user has sent or got.
    pub async fn list_emails(
        &self,
        parent: &Context,
        user: &str,
        limit: i64,
    ) -> Result<Vec<Email>, DatabaseError> {
        let span = self.span("SELECT emails", parent);
        let statement = format!(
            "SELECT {COLUMNS} FROM emails WHERE sender = $1 OR recipients @> ARRAY[$1] ORDER BY id DESC LIMIT $2"
        );
        let result = self
            .in_transaction(true, &statement, &[(&user, Type::TEXT), (&limit, Type::INT8)])
            .await;
        span.end_with(&result);
        Ok(result?.iter().map(email).collect())
    }

    /// The newest of the user's mails that hold the text in subject or body, whatever its case.
    pub async fn search_emails(
        &self,
        parent: &Context,
        user: &str,
        text: &str,
        limit: i64,
    ) -> Result<Vec<Email>, DatabaseError> {
        let span = self.span("SELECT emails search", parent);
        let statement = format!(
            "SELECT {COLUMNS} FROM emails WHERE (sender = $1 OR recipients @> ARRAY[$1]) \
             AND (subject ILIKE $2 OR body ILIKE $2) ORDER BY id DESC LIMIT $3"
        );
        let pattern = like_pattern(text);
        let parameters: [Parameter<'_>; 3] =
            [(&user, Type::TEXT), (&pattern, Type::TEXT), (&limit, Type::INT8)];
        let result = self.in_transaction(true, &statement, &parameters).await;
        span.end_with(&result);
        Ok(result?.iter().map(email).collect())
    }

    /// Whether a mail still waits to be sent; a mail that is not there does not. No span: it is
    /// part of taking a task up.
    pub async fn is_queued(&self, id: i64) -> Result<bool, DatabaseError> {
        let mut lease = self.lease_with_schema().await?;
        let statement = "SELECT status FROM emails WHERE id = $1";
        let result = within(lease.client().query_typed_opt(statement, &[(&id, Type::INT8)])).await;
        let row = self.settle(lease, result)?;
        Ok(row.is_some_and(|row| row.get::<_, &str>(0) == "queued"))
    }

    /// Writes down how a mail ended. One that has ended already is left as it is.
    pub async fn finish_email(
        &self,
        parent: &Context,
        id: i64,
        outcome: Outcome,
        error: Option<&str>,
    ) -> Result<(), DatabaseError> {
        let span = self.span("UPDATE emails", parent);
        let result = self
            .in_transaction(
                false,
                "UPDATE emails SET status = $2, error = $3, finished_at = now() WHERE id = $1 AND status = 'queued'",
                &[(&id, Type::INT8), (&outcome.status(), Type::TEXT), (&error, Type::TEXT)],
            )
            .await;
        span.end_with(&result);
        result.map(drop)
    }

    /// The periodic maintenance: notes that it ran, and removes a few old mails. Returns how often
    /// it has run.
    pub async fn sweep(&self, parent: &Context) -> Result<i64, DatabaseError> {
        let span = self.span("DELETE emails", parent);
        let statement = format!(
            "WITH old AS (SELECT id FROM emails WHERE created_at < now() - interval '{KEEP}' ORDER BY id LIMIT 500), \
             swept AS (DELETE FROM emails USING old WHERE emails.id = old.id) \
             INSERT INTO heartbeats (name, beats, last_at) VALUES ('email.sweep', 1, now()) \
             ON CONFLICT (name) DO UPDATE SET beats = heartbeats.beats + 1, last_at = now() RETURNING beats"
        );
        let result = self
            .in_transaction(false, &statement, &[])
            .await
            .map(|rows| rows.first().map_or(0, |row| row.get::<_, i64>(0)));
        span.end_with(&result);
        result
    }
}

fn email(row: &Row) -> Email {
    Email {
        id: row.get(0),
        from: row.get(1),
        to: row.get(2),
        subject: row.get(3),
        status: row.get(4),
        operation_id: row.get(5),
        created_at: row.get(6),
    }
}

/// A pattern that finds the text itself anywhere.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_takes_its_text_literally() {
        assert_eq!(like_pattern(r"50%_\x"), r"%50\%\_\\x%");
    }
}
