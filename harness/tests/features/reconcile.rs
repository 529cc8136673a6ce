//! What the e-mail stack's monitoring tells of a stretch of time, compared with what its stores
//! hold: rows in PostgreSQL, lengths in Redis, mail in the mailboxes. The comparison is a pure
//! function of `verdict`; here is what it needs. At the end a row and a mail are deleted by hand,
//! and must be missed: so it is seen each time that the comparison can fail.

use firedrill::ops::live::LiveStack;
use firedrill::probe::{self, Probe, Question};
use firedrill::process::clock::RunClock;
use futures::StreamExt;
use loadgen::client::imap::Inbox;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use verdict::Fact;
use verdict::observation::metrics::Series;
use verdict::reconcile::{Counts, Growth, Row, RowState, Told, Truth, differences};

/// Mails that are sent: enough to tell the share of kept traces from its half.
const MAILS: usize = 160;
/// How many are under way at once.
const AT_ONCE: usize = 6;
/// A queued mail that no queue holds for so long is nobody's any more: workers take a task within
/// milliseconds and try for seconds.
const ABANDONED: Duration = Duration::from_secs(12);
/// Longest wait for the stack to be at rest, and for the monitoring to have all that took place:
/// seconds on an idle machine.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);

type Outcome<T> = Result<T, String>;

/// A counter, what it counts, and the selector of its raw samples.
const COUNTERS: [(Counts, &str); 5] = [
    (
        Counts::Rows,
        r#"http_requests_total{job="email-service", endpoint="/api/v1/emails", method="POST", status="202"}"#,
    ),
    (Counts::Rows, r#"emails_accepted_total{job="email-service"}"#),
    (
        Counts::Sent,
        r#"celery_tasks_total{job="celery-worker", task="email.send", state="success"}"#,
    ),
    (Counts::Sent, r#"emails_delivered_total{job="celery-worker"}"#),
    (Counts::Mails, r#"dovecot_mail_delivery_total{job="dovecot"}"#),
];

/// Compares them on a stack that is at rest.
///
/// # Errors
/// They differ, or what is deleted by hand is not missed.
pub async fn reconcile(live: &LiveStack) -> Outcome<()> {
    let books = Books::open(live).await?;
    let mut truth = Truth::default();
    let from = books.rest(&BTreeMap::new(), 0).await?;
    let mailboxes = books.mailboxes().await?;
    for operation in books.send(live).await? {
        truth.promised.insert(operation);
    }
    let to = books.rest(&mailboxes, truth.promised.len()).await?;
    let stretch = FiringInterval { from, to, mailboxes };
    let began = Instant::now();
    // The monitoring may still be on its way; what never comes is a difference.
    let told = loop {
        books.look(&stretch, &mut truth).await?;
        let told = books.told(&stretch).await;
        match told.as_ref().map_err(|e| vec![e.clone()]).map(|t| differences(&truth, t)) {
            Ok(none) if none.is_empty() => break told?,
            Ok(differ) | Err(differ) if began.elapsed() > SETTLES_WITHIN => {
                return Err(differ.join("\n"));
            }
            _ => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    };
    println!(
        "reconciled {} mails: {} counters, {} sources of lines, {} traces",
        truth.rows.len(),
        told.counters.len(),
        told.lines.len(),
        told.traces.len()
    );
    let missed = |seen: &[String], wanted: &[&str]| {
        let all = wanted.iter().all(|w| seen.iter().any(|s| s.contains(w)));
        if all {
            Ok(())
        } else {
            Err(format!("deleted by hand, and not missed: wanted {wanted:?}, seen {seen:#?}"))
        }
    };
    let victim = truth.promised.first().cloned().ok_or("no mail was sent")?;
    books.delete_mail(&stretch, &victim).await?;
    books.look(&stretch, &mut truth).await?;
    missed(
        &differences(&truth, &told),
        &["mails for", &format!("1 missing ({victim})"), "dovecot_mail_delivery_total"],
    )?;
    books.delete_row(&victim).await?;
    books.look(&stretch, &mut truth).await?;
    missed(
        &differences(&truth, &told),
        &[
            "rows for",
            "lines of email-service",
            "lines of celery-worker",
            "emails_accepted_total",
            "celery_tasks_total",
        ],
    )
}

/// A stretch of time between two times of rest, and the number of the next mail in each mailbox at
/// its beginning.
struct FiringInterval {
    from: f64,
    to: f64,
    mailboxes: BTreeMap<String, u32>,
}

/// Everything that is asked.
struct Books {
    rows: tokio_postgres::Client,
    queue: SocketAddr,
    imap: SocketAddr,
    users: Vec<String>,
    password: String,
    metrics: Box<dyn Probe>,
    logs: Box<dyn Probe>,
    traces: Box<dyn Probe>,
    id_attribute: String,
    kept_share: f64,
}

fn now_s() -> f64 {
    RunClock::begin().now().wall_s()
}

fn in_words<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |e| format!("{what}: {e}")
}

impl Books {
    async fn open(live: &LiveStack) -> Outcome<Books> {
        let declaration = &live.read.subject.declaration;
        let address = |service: &str, port: u16| {
            live.running.address(service, port).ok_or(format!("{service}:{port} is not published"))
        };
        let connect = |role: &firedrill::declaration::OneOrList<firedrill::declaration::Role>| {
            let role = role.iter().next().ok_or("a role is missing")?;
            let access = live.running.access(role).ok_or("a port is not published")?;
            probe::connect(role, &access, live.clock()).map_err(|e| e.to_string())
        };
        let database = address("postgres", 5432)?;
        let mut config = tokio_postgres::Config::new();
        config
            .host(database.ip().to_string())
            .port(database.port())
            .user("mail")
            .password("postgres-test")
            .dbname("mail");
        let (rows, connection) =
            config.connect(tokio_postgres::NoTls).await.map_err(in_words("PostgreSQL"))?;
        tokio::spawn(connection);
        let workload = declaration.workload.as_ref().ok_or("there is no workload")?;
        let traces = declaration.traces.as_ref().ok_or("no traces are declared")?;
        Ok(Books {
            rows,
            queue: address("redis", 6379)?,
            imap: address("dovecot", 143)?,
            users: workload.users.iter().map(|user| user.name().to_owned()).collect(),
            password: workload.password.clone().ok_or("the users have no password")?,
            metrics: connect(&declaration.roles.metrics)?,
            logs: connect(&declaration.roles.logs)?,
            traces: connect(&declaration.roles.traces)?,
            id_attribute: traces.id_attribute.clone(),
            kept_share: traces.sampling.rate,
        })
    }

    /// Waits until no mail is under way, so many have arrived in these mailboxes, and each counter
    /// was scraped since; the stretch begins or ends then. Seconds since the epoch.
    async fn rest(&self, mailboxes: &BTreeMap<String, u32>, mails: usize) -> Outcome<f64> {
        let began = Instant::now();
        let mut at: Option<f64> = None;
        let mut unmoved = (u64::MAX, Instant::now());
        loop {
            let rows = self
                .rows
                .query_one("SELECT count(*) FROM emails WHERE status = 'queued'", &[])
                .await
                .map_err(in_words("rows"))?;
            let rows = rows.get::<_, i64>(0) as u64;
            let held = self.waiting().await?;
            let arrived = self.mails(mailboxes).await?.len();
            if held > 0 || rows != unmoved.0 {
                unmoved = (rows, Instant::now());
            }
            // A task whose hand-over was cut off on the wire is lost, as with Celery: its row
            // waits, and nobody has it. One that somebody has moves on.
            let lost = if unmoved.1.elapsed() > ABANDONED { rows } else { 0 };
            let waits = held + rows.saturating_sub(lost);
            if waits > 0 || arrived < mails {
                at = None;
            } else {
                let since = *at.get_or_insert_with(now_s);
                let mut scraped = true;
                for (_, selector) in COUNTERS {
                    scraped &= self
                        .samples(selector, since - 5.0)
                        .await?
                        .iter()
                        .all(|s| s.points.last().is_some_and(|p| p.0 > since));
                }
                if scraped {
                    return Ok(since);
                }
            }
            if began.elapsed() > SETTLES_WITHIN {
                return Err(format!(
                    "no rest within {} s: {waits} mails wait, {arrived} of {mails} arrived",
                    SETTLES_WITHIN.as_secs()
                ));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Raw samples until now.
    async fn samples(&self, selector: &str, start_s: f64) -> Outcome<Vec<Series>> {
        let question = Question::Range {
            name: "counter".into(),
            expr: selector.into(),
            start_s,
            end_s: now_s(),
            step_s: 0.0,
        };
        match self.metrics.ask(&question).await.into_iter().next().map(|o| o.fact) {
            Some(Fact::Samples(samples)) if !samples.series.is_empty() => Ok(samples.series),
            other => Err(format!("samples of {selector}: {other:?}")),
        }
    }

    async fn mailboxes(&self) -> Outcome<BTreeMap<String, u32>> {
        let mut next = BTreeMap::new();
        for user in &self.users {
            let inbox =
                Inbox::open(self.imap, user, &self.password).await.map_err(in_words("IMAP"))?;
            next.insert(user.clone(), inbox.next_uid);
            inbox.close().await;
        }
        Ok(next)
    }

    /// Sends mails as users do; the operations that were promised.
    async fn send(&self, live: &LiveStack) -> Outcome<Vec<String>> {
        let url =
            live.running.url("email-service", 5000).ok_or("email-service is not published")?
                + "/api/v1/emails";
        let client = reqwest::Client::new();
        let one = |n: usize| {
            let operation = format!("{:032x}", rand::random::<u128>());
            let (from, to) =
                (&self.users[n % self.users.len()], &self.users[(n * 3 + 1) % self.users.len()]);
            let mail = serde_json::json!({"to": [to], "subject": format!("reconciled {n}"), "body": "as promised"});
            let request = client
                .post(&url)
                .basic_auth(from, Some(&self.password))
                .header("X-Operation-Id", &operation)
                .json(&mail);
            async move {
                let answer = request.send().await.map_err(in_words("a mail can't be sent"))?;
                if answer.status().as_u16() == 202 {
                    Ok(operation)
                } else {
                    Err(format!("a mail was answered {}", answer.status()))
                }
            }
        };
        futures::stream::iter(0..MAILS)
            .map(one)
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect()
    }

    /// Looks into the stores.
    async fn look(&self, stretch: &FiringInterval, truth: &mut Truth) -> Outcome<()> {
        let statement = "SELECT coalesce(operation_id, 'row ' || id), status, cardinality(recipients)::bigint FROM emails \
                         WHERE created_at BETWEEN to_timestamp($1) AND to_timestamp($2) ORDER BY id";
        let rows = self
            .rows
            .query(statement, &[&stretch.from, &stretch.to])
            .await
            .map_err(in_words("rows"))?;
        truth.rows = rows
            .iter()
            .map(|r| Row {
                operation: r.get(0),
                state: match r.get::<_, &str>(1) {
                    "queued" => RowState::Waiting,
                    "sent" => RowState::Sent,
                    _ => RowState::Failed,
                },
                recipients: r.get::<_, i64>(2) as u64,
            })
            .collect();
        truth.waiting = self.waiting().await?;
        truth.mails = self.mails(&stretch.mailboxes).await?;
        Ok(())
    }

    /// Operations of the mails in the mailboxes, from these numbers on.
    async fn mails(&self, mailboxes: &BTreeMap<String, u32>) -> Outcome<Vec<String>> {
        let mut mails = Vec::new();
        for (user, first) in mailboxes {
            let mut inbox =
                Inbox::open(self.imap, user, &self.password).await.map_err(in_words("IMAP"))?;
            let messages = inbox.messages_from(*first).await.map_err(in_words("IMAP"))?;
            mails.extend(
                messages
                    .into_iter()
                    .map(|m| m.operation.unwrap_or_else(|| format!("message {} of {user}", m.uid))),
            );
            inbox.close().await;
        }
        Ok(mails)
    }

    /// Tasks that wait or are taken and not done.
    async fn waiting(&self) -> Outcome<u64> {
        let mut link = TcpStream::connect(self.queue).await.map_err(in_words("Redis"))?;
        link.write_all(b"LLEN celery\r\nHLEN unacked\r\nQUIT\r\n")
            .await
            .map_err(in_words("Redis"))?;
        let mut text = String::new();
        link.read_to_string(&mut text).await.map_err(in_words("Redis"))?;
        let lengths: Vec<u64> =
            text.lines().filter_map(|l| l.strip_prefix(':')?.trim().parse().ok()).collect();
        if lengths.len() == 2 {
            Ok(lengths.iter().sum())
        } else {
            Err(format!("Redis answered {text:?}"))
        }
    }

    /// What the monitoring tells.
    async fn told(&self, stretch: &FiringInterval) -> Outcome<Told> {
        let mut told = Told { kept_share: self.kept_share, alpha: 0.001, ..Told::default() };
        for (counts, selector) in COUNTERS {
            let series = self.samples(selector, stretch.from - 30.0).await?;
            let growth = Growth::of(&series, stretch.from, stretch.to)
                .map_err(|e| format!("{selector}: {e}"))?;
            told.counters.push((selector.into(), counts, growth));
        }
        type Lines<'a> = (Counts, &'a str, &'a [(&'a str, &'a str)]);
        let lines: [Lines<'_>; 2] = [
            (
                Counts::Rows,
                "email-service",
                &[
                    ("event", "request"),
                    ("method", "POST"),
                    ("endpoint", "/api/v1/emails"),
                    ("status", "202"),
                ],
            ),
            (
                Counts::Sent,
                "celery-worker",
                &[("event", "task"), ("task", "email.send"), ("state", "success")],
            ),
        ];
        for (counts, source, select) in lines {
            told.lines.push((source.into(), counts, self.lines(source, select, stretch).await?));
        }
        told.traces = self.kept(stretch).await?;
        Ok(told)
    }

    /// Operations of the stored lines of a source that have these fields.
    async fn lines(
        &self,
        source: &str,
        select: &[(&str, &str)],
        stretch: &FiringInterval,
    ) -> Outcome<Vec<String>> {
        let question = Question::Documents {
            pattern: format!("logs-{source}-*"),
            start_s: stretch.from,
            end_s: stretch.to,
        };
        let mut found = Vec::new();
        for observation in self.logs.ask(&question).await {
            match observation.fact {
                Fact::Documents { documents, truncated: false } => {
                    let text = |v: &serde_json::Value| {
                        v.as_str().map_or_else(|| v.to_string(), str::to_owned)
                    };
                    for document in documents {
                        let fields = document.fields.parsed();
                        if select.iter().all(|(k, v)| fields.get(*k).is_some_and(|f| text(f) == *v))
                        {
                            found.push(
                                fields
                                    .get("operation_id")
                                    .map_or_else(|| format!("line {}", document.id), text),
                            );
                        }
                    }
                }
                other => {
                    return Err(format!("lines of {source}: {other:?}")
                        .chars()
                        .take(300)
                        .collect());
                }
            }
        }
        Ok(found)
    }

    /// Operations of the traces of mails that were kept.
    async fn kept(&self, stretch: &FiringInterval) -> Outcome<Vec<String>> {
        let question = Question::Spans {
            services: vec!["email-service".into()],
            start_s: stretch.from,
            end_s: stretch.to,
        };
        let mut found = Vec::new();
        for observation in self.traces.ask(&question).await {
            match observation.fact {
                Fact::Spans { spans, truncated: false } => {
                    let sends = spans.into_iter().filter(|s| {
                        s.name == "POST /api/v1/emails" && s.start_us as f64 / 1e6 >= stretch.from
                    });
                    found.extend(
                        sends.map(|s| s.attributes.text(&self.id_attribute).unwrap_or(s.span_id)),
                    );
                }
                other => return Err(format!("spans: {other:?}").chars().take(300).collect()),
            }
        }
        Ok(found)
    }

    async fn delete_row(&self, operation: &str) -> Outcome<()> {
        match self
            .rows
            .execute("DELETE FROM emails WHERE operation_id = $1", &[&operation])
            .await
            .map_err(in_words("deleting a row"))?
        {
            1 => Ok(()),
            n => Err(format!("{n} rows were deleted")),
        }
    }

    /// Deletes the mail of an operation in whatever mailbox it is.
    async fn delete_mail(&self, stretch: &FiringInterval, operation: &str) -> Outcome<()> {
        for (user, first) in &stretch.mailboxes {
            let mut inbox =
                Inbox::open(self.imap, user, &self.password).await.map_err(in_words("IMAP"))?;
            let messages = inbox.messages_from(*first).await.map_err(in_words("IMAP"))?;
            inbox.close().await;
            let Some(message) = messages.iter().find(|m| m.operation.as_deref() == Some(operation))
            else {
                continue;
            };
            let commands = format!(
                "a LOGIN {user} {}\r\nb SELECT INBOX\r\nc UID STORE {} +FLAGS (\\Deleted)\r\nd EXPUNGE\r\ne LOGOUT\r\n",
                self.password, message.uid
            );
            let mut link = TcpStream::connect(self.imap).await.map_err(in_words("IMAP"))?;
            link.write_all(commands.as_bytes()).await.map_err(in_words("IMAP"))?;
            let mut answer = String::new();
            link.read_to_string(&mut answer).await.map_err(in_words("IMAP"))?;
            return if answer.contains("d OK") {
                Ok(())
            } else {
                Err(format!("a mail can't be deleted: {answer}"))
            };
        }
        Err(format!("no mailbox holds the mail of {operation}"))
    }
}
