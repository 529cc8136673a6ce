//! Faults that make a condition of PostgreSQL, Redis or the host true, against one real server of
//! each: injected and healed by the program, as a user does, while what they do is observed by
//! clients of our own through the published ports.

mod host;

use firedrill::engine::Engine;
use firedrill::fault::resp::Resp;
use firedrill::journal::{Journal, STATE_VARIABLE, Undo};
use firedrill::stack::{Running, Stack, Up, WorkCopy, remove_run, up};
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use support::images;
use support::module::{Test, Tests};
use tokio_postgres::{Client, NoTls};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const IMAGES: &[&str] = &["postgres", "redis"];
const COMPOSE: &str = r#"
services:
  postgres:
    image: firedrill/postgres:tested
    command: ["postgres", "-cmax_connections=60", "-cfsync=off"]
    environment: {POSTGRES_USER: mail, POSTGRES_PASSWORD: "a test's", POSTGRES_DB: mail}
    ports: ["5432"]
    healthcheck: {test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "mail"], interval: 300ms, timeout: 2s, retries: 60}
  redis:
    image: firedrill/redis:tested
    command: ["redis-server", "--maxmemory", "64mb", "--maxmemory-policy", "volatile-lru", "--save", ""]
    ports: ["6379"]
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 300ms, timeout: 2s, retries: 30}
"#;

pub fn tests() -> Tests {
    Tests::side_by_side([
        trial("connections_of_postgresql_are_taken_up_to_a_share", postgres_connections),
        trial("connections_of_redis_are_taken_up_to_a_number", redis_connections),
        trial("writers_of_a_locked_table_wait_and_readers_pass", locked_table),
        trial("a_statement_runs_and_hinders_nobody", long_statement),
        trial("a_database_is_large_and_takes_no_space", grown_database),
        trial("redis_is_nearly_full_and_evicts_nothing", full_redis),
        trial("commands_of_redis_take_long_and_others_wait", slow_commands),
        trial("what_could_not_bite_is_refused_and_leaves_nothing", cannot_bite),
        trial("a_file_system_is_full_inside_its_container_only", host::disk),
        trial("a_share_of_connections_is_refused", host::flaky),
        trial("the_processors_of_the_host_are_busy", host::processors),
        trial("memory_of_the_host_is_taken_and_given_back", host::memory),
        trial("host_faults_refuse_what_makes_no_sense", host::refused),
        trial("a_helper_that_was_killed_leaves_nothing", killed_helper),
    ])
    .at_last(|| {
        let removed =
            servers_if_up().map_or(Ok(()), |servers| runtime().block_on(servers.remove()));
        removed.map_err(|error| format!("the servers could not be removed: {error}"))
    })
}

/// The servers are shared, and the faults are aimed at all of them: one case at a time.
fn trial(name: &str, test: fn(&Servers) -> Outcome) -> Test {
    images::trial(name, IMAGES, move || {
        let servers = servers();
        let servers = servers
            .as_ref()
            .map_err(|error| Failed::from(error.as_str()))?
            .as_ref()
            .ok_or("the servers are gone")?;
        let outcome = test(servers);
        // Also after a failure, so that the next case begins on healthy servers.
        let healed = servers.heal();
        outcome.map_err(|error| Failed::from(error.to_string()))?;
        healed.map(drop).map_err(|error| Failed::from(error.to_string()))
    })
}

type Held = Result<Option<Servers>, String>;

static SERVERS: OnceLock<Mutex<Held>> = OnceLock::new();

fn servers() -> MutexGuard<'static, Held> {
    let made = || {
        Mutex::new(runtime().block_on(Servers::up()).map(Some).map_err(|error| error.to_string()))
    };
    SERVERS.get_or_init(made).lock().unwrap_or_else(PoisonError::into_inner)
}

fn servers_if_up() -> Option<Servers> {
    SERVERS.get()?.lock().unwrap_or_else(PoisonError::into_inner).as_mut().ok()?.take()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
}

struct Servers {
    journal: Journal,
    running: Running,
    name: String,
    _home: tempfile::TempDir,
}

impl Servers {
    async fn up() -> Outcome<Servers> {
        let home = tempfile::tempdir()?;
        let name = format!("causestest-{}", std::process::id());
        let folder = home.path().join("stack");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("docker-compose.yml"), images::filled(COMPOSE, IMAGES))?;
        std::fs::write(
            folder.join("firedrill.yaml"),
            format!("schema: 1\nstack: {name}\nroles: {{}}\n"),
        )?;
        let stack = Stack::open(&folder.to_string_lossy())?;
        let journal = Journal::at(home.path().join("state"));
        let work = WorkCopy::make(&journal, &stack, &name)?;
        let engine = Engine::connect().await?;
        let up = up(Up {
            engine: &engine,
            journal: &journal,
            stack: &stack,
            work: &work,
            images: BTreeMap::new(),
            extra_services: Vec::new(),
            additions: BTreeMap::new(),
            ports: None,
            ready_within: Duration::from_secs(60),
            kept: true,
            on_event: &|_| {},
        });
        let running = match up.await {
            Ok(running) => running,
            Err(error) => {
                remove_run(Some(&engine), &journal, &name).await?;
                return Err(error.into());
            }
        };
        let servers = Servers { journal, running, name, _home: home };
        // Something of the application's own, which no fault may touch.
        servers.sql("CREATE TABLE emails (id int); INSERT INTO emails VALUES (1)").await?;
        servers.redis()?.command(&[b"SET", b"celery", b"a task"])?;
        Ok(servers)
    }

    async fn remove(self) -> Outcome {
        let engine = Engine::connect().await?;
        remove_run(Some(&engine), &self.journal, &self.name).await?;
        Ok(())
    }

    fn firedrill(&self, arguments: &[&str]) -> Outcome<(Option<i32>, String, String)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        let output = command.args(arguments).env(STATE_VARIABLE, self.journal.home()).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
    }

    /// Injects a fault, which has to bite, and returns the evidence.
    fn inject(&self, kind: &str, target: &str, settings: &[&str]) -> Outcome<String> {
        let arguments =
            [&["fault", "inject", kind, target, "--stack", &self.name], settings].concat();
        let (code, stdout, stderr) = self.firedrill(&arguments)?;
        assert_eq!(code, Some(0), "{kind}: {stderr}");
        assert!(!self.open()?.is_empty(), "{kind} is in the journal while it is there");
        Ok(stdout)
    }

    /// The process of the helper that the journal knows.
    fn helper(&self) -> Outcome<i32> {
        let helper = self
            .open()?
            .into_iter()
            .find_map(|u| if let Undo::EndHelper { pid, .. } = u { Some(pid) } else { None });
        Ok(helper.ok_or("no helper in the journal")?)
    }

    /// Tries to inject a fault that can't be, and returns the exit code and what was said.
    fn refused(
        &self,
        kind: &str,
        target: &str,
        settings: &[&str],
    ) -> Outcome<(Option<i32>, String)> {
        let (code, _, stderr) = self.firedrill(
            &[&["fault", "inject", kind, target, "--stack", &self.name], settings].concat(),
        )?;
        assert_eq!(self.open()?, [], "{kind} left something to undo");
        Ok((code, stderr))
    }

    fn heal(&self) -> Outcome<String> {
        let (code, stdout, stderr) = self.firedrill(&["heal"])?;
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(self.open()?, [], "healed");
        Ok(stdout)
    }

    /// What the journal holds of faults; the stack itself is in it as well.
    fn open(&self) -> Outcome<Vec<Undo>> {
        let open = self.journal.open_entries()?.into_iter().filter_map(|entry| entry.undo);
        Ok(open.filter(|undo| !undo.removes_stack()).collect())
    }

    fn port(&self, service: &str, port: u16) -> Outcome<u16> {
        Ok(self.running.address(service, port).ok_or("no such port is published")?.port())
    }

    fn redis(&self) -> Outcome<Resp> {
        Ok(Resp::connect(self.port("redis", 6379)?)?)
    }

    async fn client(&self) -> Outcome<Client> {
        let text = format!(
            "host=127.0.0.1 port={} user=mail password='a test\\'s' dbname=mail",
            self.port("postgres", 5432)?
        );
        let (client, connection) = tokio_postgres::connect(&text, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn sql(&self, statement: &str) -> Outcome<String> {
        let messages = self.client().await?.simple_query(statement).await?;
        let rows = messages.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(rows.collect::<Vec<_>>().join(" "))
    }

    fn asked(&self, statement: &str) -> Outcome<String> {
        runtime().block_on(self.sql(statement))
    }

    fn number(&self, statement: &str) -> Outcome<u64> {
        Ok(self.asked(statement)?.parse()?)
    }
}

/// Waits until a condition holds: what a fault held is given back a moment after its helper has
/// ended.
fn soon(what: &str, mut holds: impl FnMut() -> Outcome<bool>) -> Outcome {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if holds()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(format!("{what}: not within 20 s").into())
}

const SESSIONS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";

fn postgres_connections(servers: &Servers) -> Outcome {
    assert!(servers.number(SESSIONS)? < 10);
    let said =
        servers.inject("hold_connections", "postgres", &["protocol=postgresql", "per_cent=85"])?;
    // 85 per cent of 60, and the session that asks.
    soon("85 % are taken", || Ok((51..=52).contains(&servers.number(SESSIONS)?)))?;
    assert!(said.contains("of at most 60"), "{said}");
    // Others come: it makes room for them.
    runtime().block_on(async {
        let others = futures::future::join_all((0..6).map(|_| servers.client())).await;
        let mut there = 0;
        for _ in 0..50 {
            there = servers.sql(SESSIONS).await?.parse::<u64>()?;
            if there <= 53 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(others.iter().all(Result::is_ok) && there <= 53, "{there} sessions");
        Outcome::Ok(())
    })?;
    assert!(servers.heal()?.contains("1 healed"));
    soon("they are given back", || Ok(servers.number(SESSIONS)? < 10))?;
    assert!(servers.heal()?.contains("0 healed"), "a second time there is nothing to heal");
    Ok(())
}

fn redis_connections(servers: &Servers) -> Outcome {
    servers.inject("hold_connections", "redis", &["protocol=redis", "count=1100"])?;
    let mut redis = servers.redis()?;
    soon("1100 clients are there", || {
        Ok((1090..=1110).contains(&redis.info("connected_clients")?))
    })?;
    servers.heal()?;
    soon("they are gone", || Ok(redis.info("connected_clients")? < 20))
}

fn locked_table(servers: &Servers) -> Outcome {
    let insert = "SET lock_timeout = '300ms'; INSERT INTO emails VALUES (2)";
    servers.inject("lock_table", "postgres", &["table=emails"])?;
    let refused = servers.asked(insert).err().map(|error| format!("{error:?}")).unwrap_or_default();
    assert!(refused.contains("lock timeout"), "a writer waits in vain: {refused:?}");
    assert_eq!(servers.asked("SELECT id FROM emails WHERE id = 1")?, "1", "a reader passes");
    servers.heal()?;
    servers.asked(insert)?;
    Ok(())
}

fn long_statement(servers: &Servers) -> Outcome {
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(%' AND pid <> pg_backend_pid()";
    assert_eq!(servers.number(running)?, 0);
    servers.inject("long_statement", "postgres", &[])?;
    assert_eq!(servers.number(running)?, 1);
    servers.asked("INSERT INTO emails VALUES (3)")?;
    servers.heal()?;
    soon("it has ended", || Ok(servers.number(running)? == 0))
}

fn grown_database(servers: &Servers) -> Outcome {
    let size = "SELECT pg_database_size('mail')";
    let files = "SELECT count(*) FROM pg_class, pg_stat_file(pg_relation_filepath(oid)) AS f WHERE relkind = 'r' AND f.size >= 1024 * 1024 * 1024";
    let tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'firedrill%'";
    let before = servers.number(size)?;
    servers.inject("grow_database", "postgres", &["gib=6"])?;
    assert!(servers.number(size)? > 5 << 30);
    assert_eq!((servers.number(files)?, servers.number(tables)?), (1, 1));
    servers.heal()?;
    assert!(servers.number(size)? < before + (64 << 20));
    assert_eq!(servers.number(tables)?, 0);
    let left = "SELECT count(*) FROM pg_ls_dir('base/' || (SELECT oid FROM pg_database WHERE datname = 'mail')) AS f WHERE f ~ '\\.[1-9]$'";
    assert_eq!(servers.number(left)?, 0, "no part of it is left");
    Ok(())
}

fn full_redis(servers: &Servers) -> Outcome {
    let mut redis = servers.redis()?;
    let (before, limit) = (redis.info("used_memory")?, redis.info("maxmemory")?);
    let said = servers.inject("redis_fill", "redis", &["per_cent=90"])?;
    assert!(redis.info("used_memory")? * 100 > limit * 85, "{said}");
    assert_eq!(redis.info("evicted_keys")?, 0);
    servers.heal()?;
    assert!(redis.info("used_memory")? < before + (limit - before) / 10);
    assert_eq!(redis.keys("")?, ["celery"], "what was there before is there");
    Ok(())
}

fn slow_commands(servers: &Servers) -> Outcome {
    let mut redis = servers.redis()?;
    let mut longest = || -> Outcome<Duration> {
        let until = Instant::now() + Duration::from_secs(2);
        let mut longest = Duration::ZERO;
        while Instant::now() < until {
            let began = Instant::now();
            redis.command(&[b"PING"])?;
            longest = longest.max(began.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(longest)
    };
    let before = longest()?;
    servers.inject("slow_commands", "redis", &["take_ms=400", "pause_ms=200"])?;
    let during = longest()?;
    // Whoever asks just after one began waits for nearly all of it, unless this machine is as slow
    // as that by itself.
    assert!(during > before.max(Duration::from_millis(100)), "{during:?}, before {before:?}");
    servers.heal()?;
    let mut redis = servers.redis()?;
    let calls = |redis: &mut Resp| -> Outcome<String> {
        Ok(redis.command(&[b"LATENCY", b"HISTOGRAM", b"eval"])?.join(" "))
    };
    let ended = calls(&mut redis)?;
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(calls(&mut redis)?, ended, "none comes any more");
    assert!(ended.contains("calls"), "{ended}");
    Ok(())
}

fn cannot_bite(servers: &Servers) -> Outcome {
    let told = |kind, target, settings: &[&str], code, words: &str| -> Outcome {
        let (seen, said) = servers.refused(kind, target, settings)?;
        assert!(seen == Some(code) && said.contains(words), "{kind} {settings:?}: {seen:?} {said}");
        Ok(())
    };
    told("hold_connections", "redis", &["protocol=redis", "count=1"], 2, "nothing would change")?;
    told(
        "hold_connections",
        "postgres",
        &["protocol=postgresql", "count=60"],
        64,
        "which allows 60",
    )?;
    told(
        "hold_connections",
        "postgres",
        &["protocol=redis", "count=5", "port=5432"],
        2,
        "fault hold_connections on postgres",
    )?;
    told("hold_connections", "postgres", &["protocol=mysql", "count=5"], 64, "no protocol")?;
    told("hold_connections", "redis", &["protocol=redis"], 64, "one of `count` and `per_cent`")?;
    told("lock_table", "postgres", &["table=letters"], 2, "does not exist")?;
    told("lock_table", "postgres", &["table=a;b"], 64, "write a table's name")?;
    told("long_statement", "redis", &["port=6379"], 2, "fault long_statement on redis")?;
    told("grow_database", "redis", &[], 2, "fault grow_database on redis")?;
    told("redis_fill", "redis", &["per_cent=1"], 2, "nothing would change")?;
    told("slow_commands", "postgres", &[], 2, "fault slow_commands on postgres")?;
    // A table that somebody else has locked.
    runtime().block_on(async {
        let other = servers.client().await?;
        other.simple_query("BEGIN; LOCK TABLE emails IN SHARE MODE").await?;
        told("lock_table", "postgres", &["table=emails"], 2, "locked already")
    })
}

fn killed_helper(servers: &Servers) -> Outcome {
    servers.inject("lock_table", "postgres", &["table=emails"])?;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(servers.helper()?),
        nix::sys::signal::Signal::SIGKILL,
    )?;
    soon("its lock is gone", || {
        Ok(servers.asked("SET lock_timeout = '100ms'; INSERT INTO emails VALUES (4)").is_ok())
    })?;
    assert!(servers.heal()?.contains("2 healed"), "and the journal is put right");
    Ok(())
}
