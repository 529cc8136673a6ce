//! A server that proves itself by a certificate, asks for a login, and has its interface below a
//! path: whoever asks a backend has to get along with it.

use super::*;
use crate::declaration::{Certificate, Role};
use crate::probe::{self, Question, health};
use crate::process::clock::RunClock;
use crate::receiver::authority::Authority;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use verdict::observation::Fact;

const TOKEN: &str = "bearer-of-the-test-0001";
pub(crate) const PASSWORD: &str = "password-of-the-test-0002";

/// The server.
pub(crate) struct Guarded {
    pub(crate) port: u16,
    prefix: &'static str,
    /// Folder of a declaration that says how it is asked.
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Shared {
    prefix: &'static str,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Guarded {
    /// Serves below a prefix, under the name `server`.
    pub(crate) async fn serve(prefix: &'static str) -> Guarded {
        let folder = tempfile::tempdir().expect("folder");
        let (ours, others) = (Authority::new().expect("made"), Authority::new().expect("made"));
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        write("ca.pem", &ours.ca_pem());
        write("other.pem", &others.ca_pem());
        write("password", &format!("{PASSWORD}\n"));
        write("token", TOKEN);
        write(
            "firedrill.yaml",
            &format!(
                "roles:\n  alerting: {{service: other, port: 9090, token: x}}\n  metrics:\n    - {{service: server, port: 9090, token: {TOKEN}}}\n"
            ),
        );
        let issued = ours.issue(&["server"]).expect("issued");
        let chain: Vec<_> = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes())
            .collect::<Result<_, _>>()
            .expect("certificates");
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let port = listener.local_addr().expect("address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = Shared { prefix, asked: asked.clone() };
        let router = axum::Router::new().fallback(answer).with_state(shared);
        let tls = Tls { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
        tokio::spawn(async move { axum::serve(tls, router).await });
        Guarded { port, prefix, folder, asked }
    }

    /// What was asked by whom it knows, since this was called last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("whole"))
    }

    fn role(&self) -> Role {
        Role {
            kind: "prometheus".into(),
            service: "server".into(),
            port: 9090,
            scheme: Scheme::Https,
            ca_file: Some("ca.pem".into()),
            path_prefix: Some(self.prefix.into()),
            ..Role::default()
        }
    }

    /// All ways to state how it is asked.
    pub(crate) fn roles(&self) -> Vec<Role> {
        let of_run = Certificate { cert_file: "/c".into(), key_file: "/k".into() };
        let basic = |role: Role| Role { user: Some("ops".into()), ..role };
        let text = |text: &str| Some(text.to_owned());
        vec![
            basic(Role { password: text(PASSWORD), ..self.role() }),
            basic(Role { password_file: text("password"), ..self.role() }),
            Role { token: text(TOKEN), ..self.role() },
            Role { token_file: text("token"), ..self.role() },
            // By the authority of a run, under a name that the service has not.
            Role {
                service: "metrics".into(),
                server_name: text("server"),
                ca_file: None,
                certificate: Some(of_run),
                token: text(TOKEN),
                ..self.role()
            },
        ]
    }

    /// All ways in which it is asked.
    pub(crate) fn accesses(&self) -> Vec<Access> {
        let authority = self.folder.path().join("ca.pem");
        self.roles().iter().map(|r| r.access(self.port, self.folder.path(), &authority)).collect()
    }
}

/// The same access without one of its keys each.
pub(crate) fn without_one(access: &Access) -> Vec<(&'static str, Access)> {
    let other = access.trusts.as_ref().and_then(|file| file.parent()).map(|f| f.join("other.pem"));
    let mut login = access.clone();
    login.login = Login::None;
    let wrong = match &access.login {
        Login::Basic { user, .. } => {
            Login::Basic { user: user.clone(), password: Some(Kept::Given("wrong".into())) }
        }
        _ => Login::Bearer { token: Kept::Given("wrong".into()) },
    };
    vec![
        ("https", Access { scheme: Scheme::Http, ..access.clone() }),
        ("its authority", Access { trusts: other, ..access.clone() }),
        ("its name", Access { host: "elsewhere".into(), ..access.clone() }),
        ("login", login),
        ("the right login", Access { login: wrong, ..access.clone() }),
        ("prefix", access.of_whole_paths()),
    ]
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let base64 = base64::engine::general_purpose::STANDARD;
    let known =
        [format!("Bearer {TOKEN}"), format!("Basic {}", base64.encode(format!("ops:{PASSWORD}")))];
    let by = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    if !by.is_some_and(|by| known.iter().any(|k| k == by)) {
        return (StatusCode::UNAUTHORIZED, "who are you?").into_response();
    }
    let path = request.uri().path().to_owned();
    let Some(below) = path.strip_prefix(shared.prefix) else {
        return (StatusCode::NOT_FOUND, "nothing is here").into_response();
    };
    shared.asked.lock().expect("whole").push(format!("{} {path}", request.method()));
    let body = match (request.method(), below) {
        (&Method::GET, "/api/v1/rules") => r#"{"status":"success","data":{"groups":[]}}"#,
        (&Method::GET, "/api/v2/silences") => {
            r#"[{"id":"left","createdBy":"me","matchers":[],"status":{"state":"active"},"comment":"","startsAt":"2026-01-01T00:00:00Z","endsAt":"2026-01-02T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z"}]"#
        }
        (&Method::GET, "/api/annotations") => r#"[{"dashboardUID":"b","time":1,"timeEnd":2}]"#,
        (&Method::GET, "/_cat/indices/*") => "[]",
        (&Method::GET, "/api/traces") => r#"{"data":[],"errors":null}"#,
        (&Method::POST, "/api/annotations") => r#"{"id":1}"#,
        _ => "{}",
    };
    body.into_response()
}

#[tokio::test]
async fn each_probe_asks_as_its_role_says_and_not_without_one_of_the_keys() {
    let server = Guarded::serve("/prom").await;
    let questions = [
        ("prometheus", Question::Rules),
        ("alertmanager", Question::Silences),
        ("grafana", Question::Annotations { tags: Vec::new() }),
        ("elasticsearch", Question::Indices { pattern: "*".into() }),
        ("jaeger", Question::Spans { services: vec!["web".into()], start_s: 0.0, end_s: 1.0 }),
    ];
    for (role, access) in server.roles().into_iter().zip(server.accesses()) {
        for (kind, question) in &questions {
            let role = Role { kind: (*kind).into(), ..role.clone() };
            let fails = async |access: &Access| {
                let probe = match probe::connect(&role, access, RunClock::begin()) {
                    Ok(probe) => probe,
                    Err(why) => return Some(why.to_string()),
                };
                probe.ask(question).await.into_iter().find_map(|o| match o.fact {
                    Fact::Unreachable { error, .. } => Some(error),
                    _ => None,
                })
            };
            assert_eq!(fails(&access).await, None, "{kind} by {access:?}");
            for (key, less) in without_one(&access) {
                assert!(fails(&less).await.is_some(), "{kind} without {key}");
            }
        }
    }
}

#[tokio::test]
async fn a_health_endpoint_of_a_server_is_asked_as_it_is() {
    let server = Guarded::serve("/prom").await;
    let endpoint = crate::declaration::HealthEndpoint {
        service: "server".into(),
        port: 9090,
        path: Some("/prom/-/healthy".into()),
        status: None,
        contains: None,
        banner: None,
    };
    let answer = async |access: &Access| match health::check(&endpoint, access, RunClock::begin())
        .await
        .fact
    {
        Fact::Health(answer) => (answer.ok, answer.seen),
        other => panic!("{other:?}"),
    };
    for access in server.accesses() {
        assert_eq!(answer(&access).await, (true, "HTTP 200 OK: {}".replace(" OK", "")));
        for (key, less) in without_one(&access) {
            // The endpoint's path is written whole.
            let (ok, seen) = answer(&less).await;
            assert_eq!(ok, key == "prefix", "without {key}: {seen}");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_prove_itself_is_there() {
    let server = Guarded::serve("").await;
    let access = server.accesses().remove(0);
    let asked = async |access: &Access| {
        let client = Client::new(access, Redirects::Told).expect("a client");
        client.reload("/-/reload").await.expect_err("fails")
    };
    let stranger = Access { host: "elsewhere".into(), ..access.clone() };
    let error = asked(&stranger).await;
    assert!(!is_refused(&error), "{error:?}");
    assert!(innermost(&error).contains("certificate"), "{}", innermost(&error));
    let held = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let port = held.local_addr().expect("address").port();
    drop(held);
    assert!(is_refused(&asked(&Access { port, ..access }).await));
    assert!(is_refused(&asked(&Access::plain(port)).await));
}

/// What is written down about how a server is asked holds none of its secrets, and is enough to ask
/// it again.
#[tokio::test]
async fn what_is_written_down_holds_no_secret_and_is_enough() {
    let server = Guarded::serve("/prom").await;
    let mut again = 0;
    for access in server.accesses() {
        let written = serde_json::to_string(&access).expect("is written");
        assert!(!written.contains(TOKEN) && !written.contains(PASSWORD), "{written}");
        assert!(!format!("{access:?}").contains(TOKEN), "{access:?}");
        let read: Access = serde_json::from_str(&written).expect("is read");
        let declared = |service: &str| match &read.login {
            Login::Bearer { token: Kept::Declared { service: s, .. } } => s == service,
            _ => false,
        };
        match Client::new(&read, Redirects::Told) {
            Ok(client) => {
                let (status, _) = client.reload("/-/reload").await.expect("is asked");
                assert_eq!(status, StatusCode::OK, "{written}");
                again += 1;
            }
            // The declaration in the folder states neither this password nor this service.
            Err(why) => assert!(
                declared("metrics") || matches!(&read.login, Login::Basic { .. }),
                "{written}: {why}"
            ),
        }
    }
    assert_eq!(again, 3);
}

#[test]
fn a_secret_that_is_not_there_says_where_it_was_looked_for() {
    let told = |kept: Kept| kept.read("token").expect_err("missing").to_string();
    let variable = told(Kept::Variable("FIREDRILL_NO_SUCH_VARIABLE".into()));
    assert_eq!(
        variable,
        "token: the variable FIREDRILL_NO_SUCH_VARIABLE is not set\nhint: export FIREDRILL_NO_SUCH_VARIABLE with the token"
    );
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("token");
    assert!(
        told(Kept::File(file.clone())).starts_with(&format!("token: {}: No such", file.display()))
    );
    std::fs::write(&file, " \n").expect("written");
    assert!(told(Kept::File(file.clone())).contains("nothing is in"));
    let declared = Kept::Declared {
        file: Path::new("/nowhere/firedrill.yaml").into(),
        service: "a".into(),
        port: 1,
        key: "token".into(),
        value: None,
    };
    assert!(told(declared).contains("/nowhere/firedrill.yaml"));
    std::fs::write(&file, " s3cret-of-a-file \n").expect("written");
    assert_eq!(Kept::File(file).read("token").expect("is there"), "s3cret-of-a-file");
}
