//! What the laboratory stores: its people, templates and samples. One function is one operation,
//! and one span below the caller's.

use opentelemetry::Context;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Database, DatabaseError, Parameter};

/// Created under a lock, since three services may start at once. The people and the first template
/// are there from the start.
pub const SCHEMA: &str = "\
BEGIN;
SELECT pg_advisory_xact_lock(7236842302);
CREATE TABLE IF NOT EXISTS users (
    name text PRIMARY KEY,
    role text NOT NULL
);
INSERT INTO users (name, role) VALUES
    ('ada', 'technician'), ('barbara', 'technician'), ('charles', 'technician'), ('dorothy', 'technician'),
    ('esther', 'scientist'), ('francis', 'scientist'), ('george', 'manager'), ('hedy', 'manager')
    ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS templates (
    id bigserial PRIMARY KEY,
    name text NOT NULL,
    columns text[] NOT NULL,
    author text NOT NULL,
    operation_id text,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO templates (name, columns, author)
    SELECT 'blood', ARRAY['barcode', 'volume_ul', 'drawn_at'], 'hedy' WHERE NOT EXISTS (SELECT FROM templates);
CREATE TABLE IF NOT EXISTS samples (
    id bigserial PRIMARY KEY,
    barcode text NOT NULL UNIQUE,
    template_id bigint NOT NULL,
    author text NOT NULL,
    operation_id text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMIT;";

/// A template to be stored.
#[derive(Clone, Debug)]
pub struct NewTemplate {
    pub name: String,
    pub columns: Vec<String>,
    pub author: String,
    /// The caller's opaque id.
    pub operation_id: Option<String>,
}

/// A sample to be stored.
#[derive(Clone, Debug)]
pub struct NewSample {
    pub barcode: String,
    pub template_id: i64,
    pub author: String,
    /// The caller's opaque id.
    pub operation_id: Option<String>,
}

/// What became of a sample that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// As this row.
    New(i64),
    /// Another sample has its barcode.
    Known,
}

/// A template as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Template {
    pub id: i64,
    pub name: String,
    pub columns: Vec<String>,
    pub author: String,
    /// RFC 3339, UTC.
    pub created_at: String,
}

/// A sample as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    pub id: i64,
    pub barcode: String,
    pub template_id: i64,
    pub author: String,
    /// The id of the operation that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// RFC 3339, UTC.
    pub created_at: String,
}

const TEMPLATE: &str = "id, name, columns, author, \
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
const SAMPLE: &str = "id, barcode, template_id, author, operation_id, \
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";

impl Database {
    /// One operation: its span, its transaction.
    async fn operation(
        &self,
        parent: &Context,
        name: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, DatabaseError> {
        let span = self.span(name, parent);
        let result = self.in_transaction(name.starts_with("SELECT"), statement, parameters).await;
        span.end_with(&result);
        result
    }

    /// The role of somebody who works here.
    pub async fn role_of(
        &self,
        parent: &Context,
        name: &str,
    ) -> Result<Option<String>, DatabaseError> {
        let statement = "SELECT role FROM users WHERE name = $1";
        let rows =
            self.operation(parent, "SELECT users", statement, &[(&name, Type::TEXT)]).await?;
        Ok(rows.first().map(|row| row.get(0)))
    }

    /// Stores a template and returns its id, committed.
    pub async fn insert_template(
        &self,
        parent: &Context,
        template: &NewTemplate,
    ) -> Result<i64, DatabaseError> {
        let statement = "INSERT INTO templates (name, columns, author, operation_id) \
            VALUES ($1, $2, $3, $4) RETURNING id";
        let parameters: [Parameter<'_>; 4] = [
            (&template.name, Type::TEXT),
            (&template.columns, Type::TEXT_ARRAY),
            (&template.author, Type::TEXT),
            (&template.operation_id, Type::TEXT),
        ];
        let rows = self.operation(parent, "INSERT templates", statement, &parameters).await?;
        match rows.first() {
            Some(row) => Ok(row.get(0)),
            None => Err(DatabaseError::Refused("an insert returned no row".into())),
        }
    }

    /// The newest templates.
    pub async fn list_templates(
        &self,
        parent: &Context,
        limit: i64,
    ) -> Result<Vec<Template>, DatabaseError> {
        let statement = format!("SELECT {TEMPLATE} FROM templates ORDER BY id DESC LIMIT $1");
        let parameters: [Parameter<'_>; 1] = [(&limit, Type::INT8)];
        let rows = self.operation(parent, "SELECT templates", &statement, &parameters).await?;
        Ok(rows.iter().map(template).collect())
    }

    /// One template.
    pub async fn template(
        &self,
        parent: &Context,
        id: i64,
    ) -> Result<Option<Template>, DatabaseError> {
        let statement = format!("SELECT {TEMPLATE} FROM templates WHERE id = $1");
        let parameters: [Parameter<'_>; 1] = [(&id, Type::INT8)];
        let rows = self.operation(parent, "SELECT templates", &statement, &parameters).await?;
        Ok(rows.first().map(template))
    }

    /// Stores a sample, unless its barcode is taken; committed.
    pub async fn insert_sample(
        &self,
        parent: &Context,
        sample: &NewSample,
    ) -> Result<Stored, DatabaseError> {
        let statement = "INSERT INTO samples (barcode, template_id, author, operation_id) \
            VALUES ($1, $2, $3, $4) ON CONFLICT (barcode) DO NOTHING RETURNING id";
        let parameters: [Parameter<'_>; 4] = [
            (&sample.barcode, Type::TEXT),
            (&sample.template_id, Type::INT8),
            (&sample.author, Type::TEXT),
            (&sample.operation_id, Type::TEXT),
        ];
        let rows = self.operation(parent, "INSERT samples", statement, &parameters).await?;
        Ok(rows.first().map_or(Stored::Known, |row| Stored::New(row.get(0))))
    }

    /// The newest samples.
    pub async fn list_samples(
        &self,
        parent: &Context,
        limit: i64,
    ) -> Result<Vec<Sample>, DatabaseError> {
        let statement = format!("SELECT {SAMPLE} FROM samples ORDER BY id DESC LIMIT $1");
        let parameters: [Parameter<'_>; 1] = [(&limit, Type::INT8)];
        let rows = self.operation(parent, "SELECT samples", &statement, &parameters).await?;
        Ok(rows.iter().map(sample).collect())
    }

    /// One sample by its barcode.
    pub async fn sample(
        &self,
        parent: &Context,
        barcode: &str,
    ) -> Result<Option<Sample>, DatabaseError> {
        let statement = format!("SELECT {SAMPLE} FROM samples WHERE barcode = $1");
        let parameters: [Parameter<'_>; 1] = [(&barcode, Type::TEXT)];
        let rows = self.operation(parent, "SELECT samples", &statement, &parameters).await?;
        Ok(rows.first().map(sample))
    }
}

fn template(row: &Row) -> Template {
    Template {
        id: row.get(0),
        name: row.get(1),
        columns: row.get(2),
        author: row.get(3),
        created_at: row.get(4),
    }
}

fn sample(row: &Row) -> Sample {
    Sample {
        id: row.get(0),
        barcode: row.get(1),
        template_id: row.get(2),
        author: row.get(3),
        operation_id: row.get(4),
        created_at: row.get(5),
    }
}
