//! One mail application of its own for a test: its services as processes, its own database and
//! queue, a gate in front of each server.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::backends::Backends;
use crate::gate::Gate;

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Databases of Redis are numbered.
static NEXT: AtomicUsize = AtomicUsize::new(0);

pub struct App {
    pub backends: Arc<Backends>,
    pub postgres: Gate,
    pub redis: Gate,
    pub smtp: Gate,
    pub imap: Gate,
    pub database: tokio_postgres::Client,
    pub folder: tempfile::TempDir,
    name: String,
    number: usize,
    client: reqwest::Client,
}

/// A running service; killed when dropped.
pub struct Service {
    pub name: &'static str,
    pub port: u16,
    id: Pid,
    child: tokio::sync::Mutex<Child>,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub took: Duration,
}

impl App {
    pub async fn new(backends: Arc<Backends>) -> Outcome<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("app{number}");
        backends.database("mail").await?.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        Ok(Self {
            postgres: Gate::before(backends.postgres).await?,
            redis: Gate::before(backends.redis).await?,
            smtp: Gate::before(backends.smtp).await?,
            imap: Gate::before(backends.imap).await?,
            database: backends.database(&name).await?,
            folder: tempfile::tempdir()?,
            client: reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?,
            backends,
            name,
            number,
        })
    }

    /// Starts a service and waits until it serves its metrics.
    pub async fn start(&self, name: &'static str, settings: &[(&str, &str)]) -> Outcome<Service> {
        self.start_until("/metrics", name, settings).await
    }

    /// Starts a service and waits until a page of it is there.
    pub async fn start_until(
        &self,
        page: &str,
        name: &'static str,
        settings: &[(&str, &str)],
    ) -> Outcome<Service> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_apps"));
        command.arg(name).env_clear().kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::null());
        command
            .env("LISTEN", format!("127.0.0.1:{port}"))
            .env("SERVICE_NAME", name)
            .env(
                "DATABASE_URL",
                format!("postgres://mail:test@127.0.0.1:{}/{}", self.postgres.port, self.name),
            )
            .env("REDIS_URL", format!("redis://127.0.0.1:{}/{}", self.redis.port, self.number))
            .env("SMTP_HOST", "127.0.0.1")
            .env("SMTP_PORT", self.smtp.port.to_string())
            .env("IMAP_HOST", "127.0.0.1")
            .env("IMAP_PORT", self.imap.port.to_string())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", self.backends.otlp))
            .env("BEAT_PERIOD_SECONDS", "1")
            .env("LOG_FILE", self.log_path(name))
            .envs(settings.iter().copied());
        let child = command.spawn()?;
        let id = Pid::from_raw(child.id().ok_or("it has no process id")?.try_into()?);
        let service = Service { name, port, id, child: tokio::sync::Mutex::new(child) };
        let started = Instant::now();
        loop {
            match self.client.get(service.url(page)).send().await {
                Ok(answer) if answer.status() == 200 => return Ok(service),
                _ if started.elapsed() > Duration::from_secs(10) => {
                    return Err(format!("{name} does not serve").into());
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Asks with a session, or without.
    pub async fn ask_as(
        &self,
        service: &Service,
        token: Option<&str>,
        method: Method,
        path: &str,
        operation: Option<&str>,
        body: Option<Value>,
    ) -> Outcome<Answer> {
        let mut request = self.client.request(method, service.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = operation {
            request = request.header("X-Operation-Id", id);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answered(request).await
    }

    /// The API, once it stores mails.
    pub async fn start_service(&self, settings: &[(&str, &str)]) -> Outcome<Service> {
        let service = self.start("email-service", settings).await?;
        eventually("the API lists mails", Duration::from_secs(10), async || {
            Ok(self.list(&service).await?.status == 200)
        })
        .await?;
        Ok(service)
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// All that a service has logged, as it stands in the file.
    pub fn log(&self, name: &str) -> Outcome<String> {
        Ok(std::fs::read_to_string(self.log_path(name))?)
    }

    /// All lines that a service has logged of one kind.
    pub fn lines(&self, name: &str, event: &str) -> Outcome<Vec<Value>> {
        let text = std::fs::read_to_string(self.log_path(name))?;
        let lines =
            text.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
        Ok(lines.into_iter().filter(|line| line["event"] == event).collect())
    }

    pub async fn ask(
        &self,
        service: &Service,
        method: Method,
        path: &str,
        user: &str,
        operation: Option<&str>,
        body: Option<Value>,
    ) -> Outcome<Answer> {
        let mut request = self.client.request(method, service.url(path));
        request = request.basic_auth(format!("{user}@mail.test"), Some("correct-horse"));
        if let Some(id) = operation {
            request = request.header("X-Operation-Id", id);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answered(request).await
    }

    pub async fn send(&self, service: &Service, subject: &str) -> Outcome<Answer> {
        let mail = json!({"to": ["bob@mail.test"], "subject": subject, "body": "text"});
        self.ask(service, Method::POST, "/api/v1/emails", "alice", Some(subject), Some(mail)).await
    }

    pub async fn list(&self, service: &Service) -> Outcome<Answer> {
        self.ask(service, Method::GET, "/api/v1/emails", "alice", None, None).await
    }

    pub async fn get(&self, service: &Service, path: &str) -> Outcome<Answer> {
        self.ask(service, Method::GET, path, "bob", None, None).await
    }

    /// The value of a series, named as on the page.
    pub async fn metric(&self, service: &Service, series: &str) -> Outcome<Option<f64>> {
        let page = self.client.get(service.url("/metrics")).send().await?.text().await?;
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(line.map(str::parse).transpose()?)
    }

    /// A link to this application's database of Redis, past the gate.
    pub async fn redis(&self) -> Outcome<redis::aio::MultiplexedConnection> {
        let client =
            redis::Client::open(format!("redis://{}/{}", self.backends.redis, self.number))?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// Tasks waiting, and tasks in work.
    pub async fn queue(&self) -> Outcome<(usize, usize)> {
        let mut redis = self.redis().await?;
        Ok((redis.llen("celery").await?, redis.hlen("unacked").await?))
    }

    /// Status of the mail with that subject.
    pub async fn status_of(&self, subject: &str) -> Outcome<Option<String>> {
        let row = self
            .database
            .query_opt("SELECT status FROM emails WHERE subject = $1", &[&subject])
            .await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// How often a mail with that subject lies in bob's mailbox.
    pub async fn delivered(&self, service: &Service, subject: &str) -> Outcome<usize> {
        let listed = self.get(service, "/api/v1/mailbox/messages?limit=100").await?;
        let messages = listed.body.as_array().ok_or_else(|| format!("no list: {listed:?}"))?;
        Ok(messages.iter().filter(|message| message["subject"] == subject).count())
    }

    /// A trace as Jaeger shows it: (service, span name, span id, parent's span id) of each span.
    pub async fn trace(&self, id: &str) -> Outcome<Vec<[String; 4]>> {
        let url = format!("http://{}/api/traces/{id}", self.backends.traces);
        let answer: Value =
            serde_json::from_str(&self.client.get(url).send().await?.text().await?)?;
        let trace = &answer["data"][0];
        let spans = trace["spans"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let span = |span: &Value| {
            let process = span["processID"].as_str().unwrap_or_default();
            [
                text(&trace["processes"][process]["serviceName"]),
                text(&span["operationName"]),
                text(&span["spanID"]),
                text(&span["references"][0]["spanID"]),
            ]
        };
        Ok(spans.iter().map(span).collect())
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Outcome<Answer> {
    let started = Instant::now();
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { status, body, took: started.elapsed() })
}

impl Service {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn signal(&self, signal: Signal) -> Outcome {
        Ok(kill(self.id, signal)?)
    }

    /// Sends SIGTERM; how long it took to end, and with which code.
    pub async fn stop(&self) -> Outcome<(Duration, Option<i32>)> {
        let started = Instant::now();
        self.signal(Signal::SIGTERM)?;
        let mut child = self.child.lock().await;
        let status = tokio::time::timeout(Duration::from_secs(10), child.wait()).await??;
        Ok((started.elapsed(), status.code()))
    }

    pub async fn kill(&self) -> Outcome {
        Ok(self.child.lock().await.kill().await?)
    }
}

/// Waits until the condition holds; how long that took.
pub async fn eventually(
    what: &str,
    limit: Duration,
    condition: impl AsyncFn() -> Outcome<bool>,
) -> Outcome<Duration> {
    let started = Instant::now();
    loop {
        match condition().await {
            Ok(true) => return Ok(started.elapsed()),
            seen if started.elapsed() > limit => {
                return Err(format!("not within {limit:?}: {what} (last: {seen:?})").into());
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Fails with what was seen.
pub fn check(holds: bool, what: impl std::fmt::Display, seen: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("wanted: {what}; seen: {seen:?}").into()) }
}
