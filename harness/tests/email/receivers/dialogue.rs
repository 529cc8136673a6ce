//! What a client on the wire sees, without any container: TLS by the run's authority, HTTP answers,
//! the SMTP dialogue.

use super::{SECOND, stand_ins};
use firedrill::declaration::StandIn;
use firedrill::receiver::authority::Authority;
use firedrill::receiver::{self, Behaviour, Client, Config, Serves, Serving};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use verdict::history::alert::{Notification, Protocol};

struct Scene {
    serving: Serving,
    client: Client,
    ca_pem: String,
    _folder: tempfile::TempDir,
}

async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let anywhere = |s: StandIn| StandIn { port: Some(0), ..s };
    let mut config =
        Config::new(stand_ins().into_iter().map(anywhere).collect(), &authority).unwrap();
    config.record = folder.path().join("record.jsonl");
    config.control_port = 0;
    let serving = receiver::start(config, IpAddr::from([127, 0, 0, 1])).await.unwrap();
    let client = Client::new(serving.address(Serves::Control).unwrap().port());
    Scene { serving, client, ca_pem: authority.ca_pem(), _folder: folder }
}

impl Scene {
    fn address(&self, serves: Serves) -> SocketAddr {
        self.serving.address(serves).unwrap()
    }

    fn connector(&self) -> TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    async fn secure(
        &self,
        stream: TcpStream,
        host: &'static str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector().connect(ServerName::try_from(host).unwrap(), stream).await
    }

    /// POSTs over TLS; the whole answer as text.
    async fn post(&self, host: &'static str, path: &str, body: &str) -> String {
        let stream = TcpStream::connect(self.address(Serves::Https)).await.unwrap();
        let mut tls = self.secure(stream, host).await.unwrap();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = tls.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn recorded(&self) -> Vec<Notification> {
        let page = self.client.after(0, Duration::ZERO).await.unwrap();
        page.notifications.into_iter().map(|r| r.notification).collect()
    }
}

const WEBHOOK: &str =
    r#"{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A"}}]}"#;

pub async fn https() {
    let scene = scene().await;
    let health = scene.client.health().await.unwrap();
    assert_eq!(
        (health.status.as_str(), health.receivers, health.notifications),
        ("ok", stand_ins().len(), 0)
    );
    assert!(scene.post("webhook.test", "/hook", WEBHOOK).await.starts_with("HTTP/1.1 200"));
    let other = scene.post("webhook.test", "/other", WEBHOOK).await;
    assert!(other.starts_with("HTTP/1.1 404"), "{other}");
    // Hosts are told apart by what the client asks for, not by the port.
    assert!(scene.post("hooks.slack.com", "/hook", WEBHOOK).await.ends_with("no_service"));

    // What talks without TLS, or asks for a host that was not taken over, is turned away and harms
    // nobody.
    let mut plain = TcpStream::connect(scene.address(Serves::Https)).await.unwrap();
    plain.write_all(b"POST /hook HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1"));
    let stranger = TcpStream::connect(scene.address(Serves::Https)).await.unwrap();
    assert!(scene.secure(stranger, "example.org").await.is_err());

    // Late is late by that much, and recorded when it came; the next, which comes meanwhile, is
    // answered before it.
    let late = Behaviour { receiver: "hook".into(), answer: None, delay_ms: 2000, times: Some(1) };
    scene.client.behave(&late).await.unwrap();
    let post = || async { (scene.post("webhook.test", "/hook", WEBHOOK).await, Instant::now()) };
    let began = Instant::now();
    let ((answer, answered), (early, next, next_answered)) = tokio::join!(post(), async {
        let early = scene.client.after(3, 5 * SECOND).await;
        let (next, at) = post().await;
        (early, next, at)
    });
    assert!(answer.starts_with("HTTP/1.1 200") && answered >= began + Duration::from_millis(2000));
    assert_eq!(early.unwrap().notifications[0].notification.receiver.as_deref(), Some("hook"));
    assert!(next.starts_with("HTTP/1.1 200") && next_answered < answered, "it behaves again");

    let seen: Vec<_> = scene
        .recorded()
        .await
        .into_iter()
        .map(|n| (n.host, n.path, n.answered, n.receiver.is_some()))
        .collect();
    let hook =
        |path: &str, answered, known| ("webhook.test".to_owned(), path.to_owned(), answered, known);
    let slack = ("hooks.slack.com".to_owned(), "/hook".to_owned(), 404, false);
    let wanted = [
        hook("/hook", 200, true),
        hook("/other", 404, false),
        slack,
        hook("/hook", 200, true),
        hook("/hook", 200, true),
    ];
    assert_eq!(seen, wanted);
}

/// Says a line and reads the reply to it; the first digits of its last line.
async fn say<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    wire: &mut BufStream<S>,
    line: &str,
) -> u16 {
    if !line.is_empty() {
        wire.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        wire.flush().await.unwrap();
    }
    loop {
        let mut reply = String::new();
        assert!(wire.read_line(&mut reply).await.unwrap() > 0, "closed after {line:?}");
        if reply.as_bytes().get(3) != Some(&b'-') {
            return reply[..3].parse().unwrap();
        }
    }
}

pub async fn smtp() {
    let scene = scene().await;
    let mut wire = BufStream::new(TcpStream::connect(scene.address(Serves::Smtp)).await.unwrap());
    assert_eq!(say(&mut wire, "").await, 220);
    assert_eq!(say(&mut wire, "EHLO client").await, 250);
    // Nothing in the clear.
    assert_eq!(say(&mut wire, "MAIL FROM:<a@stack.test>").await, 530);
    assert_eq!(say(&mut wire, "AUTH PLAIN AHJlbGF5LXVzZXIAZXhhbXBsZS1wYXNzd29yZA==").await, 530);
    assert_eq!(say(&mut wire, "STARTTLS").await, 220);
    let mut wire =
        BufStream::new(scene.secure(wire.into_inner(), "smtp.relay.test").await.unwrap());
    assert_eq!(say(&mut wire, "EHLO client").await, 250);
    assert_eq!(say(&mut wire, "STARTTLS").await, 503);
    assert_eq!(say(&mut wire, "RCPT TO:<mail-team@ops.test>").await, 503);
    assert_eq!(say(&mut wire, "MAIL FROM:<a@stack.test>").await, 250);
    assert_eq!(
        say(&mut wire, "RCPT TO:<mail-team@ops.test>").await,
        530,
        "not without authentication"
    );
    // LOGIN with a wrong password, then PLAIN with the right one.
    assert_eq!(say(&mut wire, "AUTH LOGIN").await, 334);
    assert_eq!(say(&mut wire, "cmVsYXktdXNlcg==").await, 334);
    assert_eq!(say(&mut wire, "d3Jvbmc=").await, 535);
    assert_eq!(say(&mut wire, "AUTH CRAM-MD5").await, 504);
    assert_eq!(say(&mut wire, "AUTH PLAIN AHJlbGF5LXVzZXIAZXhhbXBsZS1wYXNzd29yZA==").await, 235);
    assert_eq!(say(&mut wire, "MAIL FROM:<a@stack.test> BODY=8BITMIME").await, 250);
    assert_eq!(say(&mut wire, "RCPT TO:<nobody@ops.test>").await, 550);
    assert_eq!(say(&mut wire, "DATA").await, 503);
    assert_eq!(say(&mut wire, "RCPT TO:<Mail-Team@ops.test>").await, 250);
    assert_eq!(say(&mut wire, "DATA").await, 354);
    let mail = "Subject: [FIRING:1] A\r\n\r\n..dotted\r\nLabels:\r\n - alertname = A\r\n - team = mail\r\nAnnotations:\r\n.";
    assert_eq!(say(&mut wire, mail).await, 250);
    let busy =
        Behaviour { receiver: "mailbox".into(), answer: Some(429), delay_ms: 0, times: None };
    scene.client.behave(&busy).await.unwrap();
    for line in ["MAIL FROM:<a@stack.test>", "RCPT TO:<mail-team@ops.test>"] {
        assert_eq!(say(&mut wire, line).await, 250);
    }
    assert_eq!(say(&mut wire, "DATA").await, 354);
    assert_eq!(say(&mut wire, mail).await, 451);
    assert_eq!(say(&mut wire, "NONSENSE").await, 502);
    assert_eq!(say(&mut wire, "QUIT").await, 221);

    let recorded = scene.recorded().await;
    assert!(recorded.iter().all(|n| n.protocol == Protocol::Smtp && n.host == "smtp.relay.test"));
    let seen: Vec<_> =
        recorded.iter().map(|n| (n.answered, n.receiver.as_deref(), n.error.is_some())).collect();
    let mailbox = Some("mailbox");
    assert_eq!(
        seen,
        [
            (530, None, true),
            (535, None, true),
            (550, None, true),
            (250, mailbox, false),
            (451, mailbox, true)
        ]
    );
    assert_eq!(recorded[3].alerts[0].labels["team"], "mail");
    assert_eq!(recorded[3].key.as_deref(), Some("relay-user"), "never the password");
}
