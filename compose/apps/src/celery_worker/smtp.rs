//! Handing mails to the mail server, through a pool of SMTP connections.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};
use opentelemetry::Context;
use tokio::time::{Instant, timeout_at};

use crate::dependency::Dependency;
use crate::dial::dial;
use crate::idle_pool::IdlePool;
use crate::log::Log;
use crate::metrics::Sampled;
use crate::settings::small_count;
use crate::tasks::SendArguments;
use crate::trace::{SpanKind, Tracer};

/// How long to wait for a place in the pool.
const PLACE: Duration = Duration::from_secs(5);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long handing a mail over may take in all, once there is a place.
const HAND_OVER: Duration = Duration::from_secs(8);
/// Connections idle for longer are closed.
const KEEP: Duration = Duration::from_secs(30);

/// Where the mail server is.
#[derive(Clone, Debug, Args)]
pub(super) struct SmtpOptions {
    /// Mail server
    #[arg(long, env = "SMTP_HOST", default_value = "postfix")]
    smtp_host: String,
    /// Its port
    #[arg(long, env = "SMTP_PORT", default_value = "25")]
    smtp_port: u16,
    /// Connections of the pool
    #[arg(long, env = "SMTP_POOL_SIZE", default_value = "8", value_parser = small_count)]
    smtp_pool_size: usize,
}

/// A mail was not taken over.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum SmtpFailure {
    /// It may be later.
    #[error("smtp: {0}")]
    Transient(String),
    /// It never will be.
    #[error("smtp: {0}")]
    Permanent(String),
}

/// The pool of connections.
pub(super) struct Mailer {
    options: SmtpOptions,
    domain: String,
    pool: Arc<IdlePool<AsyncSmtpConnection>>,
    tracer: Tracer,
    dependency: Dependency,
}

impl Mailer {
    /// Connects to nothing yet.
    pub(super) fn new(options: &SmtpOptions, domain: &str, tracer: Tracer, log: Log) -> Self {
        Self {
            pool: IdlePool::new(options.smtp_pool_size, KEEP),
            options: options.clone(),
            domain: domain.into(),
            tracer,
            dependency: Dependency::new("smtp", log),
        }
    }

    /// Gauges of the pool, asked at each scrape.
    pub(super) fn gauges(&self) -> [Sampled; 2] {
        let (size, used) = (self.pool.clone(), self.pool.clone());
        [
            Sampled::gauge(
                "smtp_pool_size",
                "Connections that the SMTP pool may hold",
                move || size.size() as f64,
            ),
            Sampled::gauge("smtp_pool_in_use", "Places of the SMTP pool in use", move || {
                used.in_use() as f64
            }),
        ]
    }

    /// Hands a mail over. The task's id makes its Message-ID, the same at each try.
    pub(super) async fn send(
        &self,
        parent: &Context,
        mail: &SendArguments,
        task_id: &str,
        operation_id: Option<&str>,
    ) -> Result<(), SmtpFailure> {
        let span = self.tracer.span("smtp.send", SpanKind::Client, parent);
        span.set("server.address", self.options.smtp_host.clone());
        span.set_some("operation.id", operation_id);
        let result = match write_mail(mail, task_id, &self.domain, operation_id) {
            Ok(message) => self.hand_over(&message).await,
            Err(error) => Err(SmtpFailure::Permanent(error)),
        };
        span.end_with(&result);
        result
    }

    async fn hand_over(&self, message: &Message) -> Result<(), SmtpFailure> {
        let (place, idle) = self.pool.take("", PLACE).await.ok_or_else(|| {
            let size = self.pool.size();
            SmtpFailure::Transient(format!("all {size} connections busy for {} s", PLACE.as_secs()))
        })?;
        let deadline = Instant::now() + HAND_OVER;
        let sent = async {
            let mut connection = match idle {
                Some(mut connection) => match connection.test_connected().await {
                    true => connection,
                    // The server was restarted since: the others are as dead.
                    false => {
                        self.pool.clear();
                        self.connect().await?
                    }
                },
                None => self.connect().await?,
            };
            connection
                .send(message.envelope(), &message.formatted())
                .await
                .map_err(|error| failure(&error))?;
            Ok(connection)
        };
        // Cut off in the middle, the connection is dropped: nobody knows which answer would come
        // next on it.
        match timeout_at(deadline, sent).await {
            Ok(Ok(connection)) => {
                self.dependency.up();
                place.give_back(connection);
                Ok(())
            }
            Ok(Err(failure)) => {
                if let SmtpFailure::Transient(reason) = &failure {
                    self.dependency.down(reason);
                }
                Err(failure)
            }
            Err(_) => {
                self.pool.clear();
                let reason = format!("no answer within {} s", HAND_OVER.as_secs());
                self.dependency.down(&reason);
                Err(SmtpFailure::Transient(reason))
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpFailure> {
        let SmtpOptions { smtp_host, smtp_port, .. } = &self.options;
        let stream = dial(smtp_host, *smtp_port, CONNECT)
            .await
            .map_err(|error| SmtpFailure::Transient(error.to_string()))?;
        let name = ClientId::Domain(format!("celery-worker.{}", self.domain));
        // Whatever it greets with, another time it may greet otherwise.
        AsyncSmtpConnection::connect_with_transport(Box::new(stream), &name)
            .await
            .map_err(|error| SmtpFailure::Transient(describe(&error)))
    }
}

fn failure(error: &lettre::transport::smtp::Error) -> SmtpFailure {
    if error.is_permanent() || error.is_client() {
        SmtpFailure::Permanent(describe(error))
    } else {
        SmtpFailure::Transient(describe(error))
    }
}

fn describe(error: &lettre::transport::smtp::Error) -> String {
    use std::error::Error;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn write_mail(
    mail: &SendArguments,
    task_id: &str,
    domain: &str,
    operation_id: Option<&str>,
) -> Result<Message, String> {
    let address = |text: &String| {
        text.parse::<Address>().map_err(|error| format!("address {text:?}: {error}"))
    };
    if !task_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(format!(
            "task id {task_id:?} makes no Message-ID; it wants letters, digits and hyphens"
        ));
    }
    let mut builder = Message::builder()
        .from(address(&mail.sender)?.into())
        .subject(mail.subject.clone())
        .message_id(Some(format!("<{task_id}@{domain}>")))
        .header(ContentType::TEXT_PLAIN);
    for recipient in &mail.recipients {
        builder = builder.to(address(recipient)?.into());
    }
    if let Some(id) = operation_id {
        let name = HeaderName::new_from_ascii_str("X-Operation-Id");
        // Visible ASCII: nothing needs to be encoded, and it must come out as it came in.
        builder =
            builder.raw_header(HeaderValue::dangerous_new_pre_encoded(name, id.into(), id.into()));
    }
    builder.body(mail.body.clone()).map_err(|error| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mail() -> SendArguments {
        SendArguments {
            email_id: 7,
            sender: "alice@mail.test".into(),
            recipients: vec!["bob@mail.test".into(), "carol@mail.test".into()],
            subject: "Grüße".into(),
            body: "Schöne Grüße\n.\nfrom here".into(),
        }
    }

    #[test]
    fn a_mail_carries_its_ids_and_can_be_read_again() {
        let id = uuid::Uuid::new_v4().to_string();
        let long = "x-".repeat(64);
        let message = write_mail(&mail(), &id, "mail.test", Some(&long)).unwrap();
        let bytes = message.formatted();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(&format!("Message-ID: <{id}@mail.test>\r\n")), "{text}");
        assert!(text.contains(&format!("X-Operation-Id: {long}\r\n")), "{text}");
        let parsed = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(parsed.subject(), Some("Grüße"));
        assert_eq!(parsed.body_text(0).unwrap().trim().replace("\r\n", "\n"), mail().body);
        assert_eq!(message.envelope().to().len(), 2);
    }

    #[test]
    fn a_malformed_address_is_named() {
        let mail = SendArguments { recipients: vec!["bob".into()], ..mail() };
        assert!(write_mail(&mail, "t", "mail.test", None).unwrap_err().contains("bob"));
    }
}
