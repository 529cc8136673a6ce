//! A statement in a PostgreSQL database that does harm by being there: `lock_table` takes the lock
//! that building an index takes, so that readers pass and writers wait; `long_statement` runs and
//! runs and hinders nobody. A helper's session runs it. What it holds is given back when the
//! session ends; a server that is busy with a statement does not notice that, and has to be told.

use super::postgres::{self, Server, value};
use super::sessions::{self, Helper, Protocol, Sessions, Task};
use super::{Ability, Fault, FaultError, Kind, Scene, Settings};
use crate::journal::Undo;
use futures::future::BoxFuture;
use verdict::history::fault::BlastRadius;

/// See [`lock_table`].
pub const LOCK_TABLE: Kind = Kind {
    name: "lock_table",
    what: "a table of its database is locked against writers (table, port)",
    aim: lock_table,
    undo: Some(postgres::undo),
};
/// See [`long_statement`].
pub const LONG_STATEMENT: Kind = Kind {
    name: "long_statement",
    what: "a statement in its database runs and runs (port)",
    aim: long_statement,
    undo: Some(postgres::undo),
};

/// Longer than any drill.
const FOR_EVER_S: u32 = 7 * 24 * 3600;

enum What {
    /// Writers of this table wait.
    Lock { table: String },
    /// It is the oldest that runs.
    Long,
}

struct Statement {
    what: What,
    server: Server,
    helper: Helper,
}

/// `lock_table`. Settings: `table`, `port` (default 5432).
///
/// # Errors
/// Unknown, missing or senseless settings.
pub fn lock_table(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    let kind = "lock_table";
    super::only(kind, settings, &["table", "port"])?;
    let table = settings.get("table").cloned().unwrap_or_default();
    if table.is_empty()
        || !table.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
    {
        return Err(FaultError::Settings {
            what: format!("fault {kind}: `table` is {table:?}"),
            hint: "write a table's name in letters, digits and `_`, with its schema if it needs one: `table: public.orders`".into(),
        });
    }
    aim(kind, What::Lock { table }, target, settings)
}

/// `long_statement`. Setting: `port` (default 5432).
///
/// # Errors
/// Unknown or senseless settings.
pub fn long_statement(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    let kind = "long_statement";
    super::only(kind, settings, &["port"])?;
    aim(kind, What::Long, target, settings)
}

fn aim(
    kind: &'static str,
    what: What,
    target: &str,
    settings: &Settings,
) -> Result<Box<dyn Fault>, FaultError> {
    let server = Server {
        kind,
        target: target.into(),
        port: super::port(kind, settings, Protocol::Postgresql.port())?,
    };
    Ok(Box::new(Statement { what, server, helper: Helper::default() }))
}

impl Statement {
    /// Whether a writer of the table is let in now.
    async fn admits_writers(
        &self,
        scene: &Scene<'_>,
        client: &tokio_postgres::Client,
        table: &str,
    ) -> Result<bool, FaultError> {
        let entered = value(
            client,
            &format!("BEGIN; LOCK TABLE {table} IN ROW EXCLUSIVE MODE NOWAIT; COMMIT"),
        )
        .await;
        let Err(refused) = entered else { return Ok(true) };
        value(client, "ROLLBACK")
            .await
            .map_err(|seen| scene.failed(self.kind(), self.target(), seen))?;
        if refused.contains("could not obtain lock") {
            Ok(false)
        } else {
            Err(scene.failed(self.kind(), self.target(), refused))
        }
    }

    /// How long our statement has been running, seconds; `None` if it does not run.
    async fn age(
        &self,
        scene: &Scene<'_>,
        client: &tokio_postgres::Client,
    ) -> Result<Option<String>, FaultError> {
        let name = sessions::name(self.kind(), scene.run);
        let statement = format!(
            "SELECT round(extract(epoch FROM clock_timestamp() - query_start), 1) FROM pg_stat_activity \
             WHERE application_name = '{name}' AND state = 'active'"
        );
        value(client, &statement)
            .await
            .map_err(|seen| scene.failed(self.kind(), self.target(), seen))
    }
}

impl Fault for Statement {
    fn kind(&self) -> &'static str {
        self.server.kind
    }

    fn target(&self) -> &str {
        &self.server.target
    }

    fn mechanism(&self) -> String {
        "a session of a helper process, from within the server's network namespace".into()
    }

    fn needs(&self) -> Vec<Ability> {
        vec![Ability::EnterNamespaces]
    }

    fn blast_radius(&self) -> BlastRadius {
        let services = vec![self.server.target.clone()];
        BlastRadius {
            services,
            journeys: matches!(self.what, What::Lock { .. }),
            ..BlastRadius::default()
        }
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let (kind, target) = (self.server.kind, self.server.target.clone());
            let client = self.server.connect(scene).await?;
            let said = match &self.what {
                What::Long => format!("SELECT pg_sleep({FOR_EVER_S})"),
                What::Lock { table } => {
                    if !self.admits_writers(scene, &client, table).await? {
                        return Err(scene.failed(
                            kind,
                            &target,
                            format!("table {table} is locked already"),
                        ));
                    }
                    format!("BEGIN; LOCK TABLE {table} IN SHARE MODE")
                }
            };
            let container = scene.alive(kind, &target).await?;
            let sessions = Sessions {
                pid: container.pid,
                protocol: Protocol::Postgresql,
                port: self.server.port,
                name: sessions::name(kind, scene.run),
                task: Task::Say(vec![said], None),
            };
            let (helper, undo) = Helper::start(scene, kind, &target, sessions).await?;
            self.helper = helper;
            let statement = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{}'",
                sessions::name(kind, scene.run)
            );
            Ok(vec![
                Undo::Fault {
                    container: container.id,
                    kind: self.server.kind.into(),
                    state: postgres::state(self.server.port, &statement),
                },
                undo,
            ])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async { self.helper.begin(scene, self.kind(), self.target()) })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            self.helper.lives(scene, self.kind(), self.target())?;
            let client = self.server.connect(scene).await?;
            match &self.what {
                What::Long => Ok(self
                    .age(scene, &client)
                    .await?
                    .map(|age| format!("a statement has been running for {age} s"))),
                What::Lock { table } => {
                    if self.admits_writers(scene, &client, table).await? {
                        return Ok(None);
                    }
                    let waiting =
                        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
                    let waiting = self.server.number(scene, &client, waiting).await?;
                    Ok(Some(format!(
                        "a writer was not let into table {table}; {waiting} statements wait for a lock"
                    )))
                }
            }
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let client = self.server.connect(scene).await?;
            Ok(match &self.what {
                What::Long => self
                    .age(scene, &client)
                    .await?
                    .is_none()
                    .then(|| "the statement runs no more".to_owned()),
                What::Lock { table } => self
                    .admits_writers(scene, &client, table)
                    .await?
                    .then(|| format!("a writer was let into table {table}")),
            })
        })
    }
}
