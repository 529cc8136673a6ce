//! Stand-ins for the services that receive notifications: Slack, PagerDuty, Opsgenie, a generic
//! webhook and an SMTP relay.
//!
//! They run in one container on the stack's network, whose aliases are the hosts that they take
//! over. A stand-in takes over the host name only: path, key and protocol stay as configured, and
//! what the real service would refuse is refused, and recorded. Everything that arrives is written
//! and synced to a file before it is answered, and handed on over a plain HTTP port (`control`)
//! that the harness reads with [`Client`].

pub mod authority;
mod behaviour;
mod client;
mod control;
#[cfg(test)]
mod foreign;
mod https;
mod mail;
mod protocol;
mod record;
mod smtp;
mod text;

pub use behaviour::Behaviour;
pub use client::{Client, ClientError};
pub use control::{Health, Page};
pub use record::Recorded;

use crate::declaration::StandIn;
use crate::process::exit::Exit;
use crate::process::failure::UserError;
use crate::receiver::authority::{Authority, AuthorityError};
use behaviour::Behaviours;
use record::Record;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use verdict::history::alert::{Notification, Protocol};

/// Port of the plain HTTP interface that the harness reads, inside the container.
pub const CONTROL_PORT: u16 = 8025;
/// Where the container finds its configuration.
pub const CONFIG_PATH: &str = "/etc/firedrill/receivers.json";
/// Where the container writes what arrived.
pub const RECORD_PATH: &str = "/var/lib/firedrill/notifications.jsonl";

/// What the stand-ins need to know; `receivers.json` in their container.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The stand-ins, as declared.
    pub receivers: Vec<StandIn>,
    /// Certificate chain for all hosts, PEM.
    pub cert_pem: String,
    /// Its private key, PEM.
    pub key_pem: String,
    /// File that what arrives is appended to.
    pub record: PathBuf,
    /// Port of the plain HTTP interface; 0 picks a free one.
    pub control_port: u16,
}

impl Config {
    /// The configuration of the container for these stand-ins, with a certificate issued by
    /// `authority`.
    pub fn new(receivers: Vec<StandIn>, authority: &Authority) -> Result<Config, AuthorityError> {
        let issued = authority.issue(&hosts(&receivers))?;
        Ok(Config {
            receivers,
            cert_pem: issued.cert_pem,
            key_pem: issued.key_pem,
            record: PathBuf::from(RECORD_PATH),
            control_port: CONTROL_PORT,
        })
    }

    /// Reads the configuration file.
    pub fn read(path: &Path) -> Result<Config, ServeError> {
        let refuse = |what: String| ServeError::Config { path: path.to_owned(), what };
        let text = std::fs::read_to_string(path).map_err(|e| refuse(e.to_string()))?;
        serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))
    }
}

/// Host names that the stand-ins take over, each once: the container's aliases.
pub fn hosts(receivers: &[StandIn]) -> Vec<String> {
    receivers
        .iter()
        .map(|r| r.host.to_ascii_lowercase())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Why the stand-ins can't serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration file can't be read or understood.
    #[error("receivers' configuration {}: {what}", path.display())]
    Config {
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The certificate or its key is of no use.
    #[error("receivers' certificate: {0}")]
    Certificate(String),
    /// The record can't be opened.
    #[error("receivers' record {}: {source}", path.display())]
    Record {
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// A port can't be bound.
    #[error("receivers' port {port}: {source}")]
    Port {
        port: u16,
        /// What is wrong.
        source: std::io::Error,
    },
}

impl UserError for ServeError {
    fn exit(&self) -> Exit {
        match self {
            ServeError::Config { .. } => Exit::Usage,
            _ => Exit::Unfit,
        }
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) receivers: Vec<StandIn>,
    pub(crate) behaviours: Behaviours,
    pub(crate) record: Arc<Record>,
    pub(crate) tls: TlsAcceptor,
}

impl Shared {
    /// Puts a notification on disk, before it is acknowledged: what is not there, its sender sends
    /// again.
    async fn put_on_record(
        &self,
        notification: Notification,
        incident: Option<String>,
    ) -> std::io::Result<()> {
        let record = Arc::clone(&self.record);
        let put = tokio::task::spawn_blocking(move || record.append(notification, incident)).await;
        put.map_err(std::io::Error::other)
            .and_then(|put| put)
            .map(drop)
            .inspect_err(|lost| eprintln!("record: {lost}"))
    }
}

/// A port that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// The receivers' HTTPS services.
    Https,
    /// The mail relay.
    Smtp,
    /// The harness' own interface.
    Control,
}

/// Stand-ins that are serving. Dropping it ends them.
pub struct Serving {
    /// Each port with what it serves.
    pub ports: Vec<(Serves, SocketAddr)>,
    tasks: JoinSet<()>,
}

impl Serving {
    /// Address of the first port of a kind.
    pub fn address(&self, serves: Serves) -> Option<SocketAddr> {
        self.ports.iter().find(|(s, _)| *s == serves).map(|(_, a)| *a)
    }

    /// Serves until a task ends, which none does by itself.
    async fn forever(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Serves until SIGTERM or SIGINT: the whole of `firedrill receivers`.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    use tokio::signal::unix::{SignalKind, signal};
    let serving = start(config, IpAddr::from([0, 0, 0, 0])).await?;
    for (serves, address) in &serving.ports {
        println!("serving {serves:?} on {address}");
    }
    let no_signals = |source| ServeError::Port { port: 0, source };
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = serving.forever() => {}
    }
    Ok(())
}

/// Binds all ports on `address` and serves them in the background.
pub async fn start(config: Config, address: IpAddr) -> Result<Serving, ServeError> {
    let tls = acceptor(&config)?;
    let record = Record::open(&config.record)
        .map_err(|source| ServeError::Record { path: config.record.clone(), source })?;
    let (smtp, https): (Vec<&StandIn>, Vec<&StandIn>) =
        config.receivers.iter().partition(|r| r.protocol == Protocol::Smtp);
    let https: BTreeSet<u16> = https.iter().map(|r| r.port.unwrap_or(443)).collect();
    let mut mail: BTreeSet<u16> = smtp.iter().map(|r| r.port.unwrap_or(587)).collect();
    if mail.iter().any(|port| *port != 0) {
        mail.insert(25);
    }
    let shared = Arc::new(Shared {
        receivers: config.receivers.clone(),
        behaviours: Behaviours::default(),
        record: Arc::new(record),
        tls,
    });
    let wanted = (https.into_iter().map(|p| (Serves::Https, p)))
        .chain(mail.into_iter().map(|p| (Serves::Smtp, p)))
        .chain([(Serves::Control, config.control_port)]);
    let mut serving = Serving { ports: Vec::new(), tasks: JoinSet::new() };
    for (serves, port) in wanted {
        let refuse = |source| ServeError::Port { port, source };
        let listener = TcpListener::bind(SocketAddr::new(address, port)).await.map_err(refuse)?;
        serving.ports.push((serves, listener.local_addr().map_err(refuse)?));
        let shared = shared.clone();
        match serves {
            Serves::Https => serving.tasks.spawn(https::serve(listener, shared)),
            Serves::Smtp => serving.tasks.spawn(smtp::serve(listener, port, shared)),
            Serves::Control => serving.tasks.spawn(control::serve(listener, shared)),
        };
    }
    Ok(serving)
}

fn acceptor(config: &Config) -> Result<TlsAcceptor, ServeError> {
    let refuse = |e: &dyn std::fmt::Display| ServeError::Certificate(e.to_string());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(config.cert_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|e| refuse(&e))?;
    let key = PrivateKeyDer::from_pem_slice(config.key_pem.as_bytes()).map_err(|e| refuse(&e))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| refuse(&e))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| refuse(&e))?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}
