//! Servers of HTTP in this process, with certificates of an authority made for the test.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Whom clients trust.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("key"))
                .expect("authority"),
        )
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key of `localhost`, PEM.
    pub fn issue(&self) -> (String, String) {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let key = KeyPair::generate().expect("key");
        (params.signed_by(&key, &self.0).expect("certificate").pem(), key.serialize_pem())
    }

    /// Its own certificate and key, PEM.
    pub fn itself(&self) -> (String, String) {
        (self.0.pem(), self.0.key().serialize_pem())
    }
}

fn acceptor((certificate, key): (String, String), speaks: &[&str]) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("certificate")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let mut config =
        builder.with_no_client_auth().with_single_cert(chain, key).expect("configuration");
    config.alpn_protocols = speaks.iter().map(|p| p.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub version: Version,
    pub method: String,
    pub path: String,
    pub id: String,
    pub body: String,
}

/// What a server does. Without any of this it answers with 200 at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Behaviour {
    /// Of requests for `/{n}` it refuses each n that this divides, with 503.
    pub refuses_each: Option<u64>,
    /// The n that it answers late.
    pub stalls: Option<u64>,
    /// How late.
    pub stall: Duration,
    /// Whether it closes each connection after one answer.
    pub closes: bool,
}

pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// One in clear (HTTP/2 only), or with this certificate and key for what it says that it
    /// speaks.
    pub async fn start(tls: Option<((String, String), &[&str])>, behaviour: Behaviour) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let (address, seen) =
            (listener.local_addr().expect("address"), Arc::<Mutex<Vec<Seen>>>::default());
        let (acceptor, all) = (tls.map(|(pair, speaks)| acceptor(pair, speaks)), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, true, behaviour, seen).await,
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            serve(stream, two, behaviour, seen).await;
                        }
                    }
                });
            }
        });
        Server { address, seen: all }
    }
}

async fn serve<S>(stream: S, two: bool, behaviour: Behaviour, seen: Arc<Mutex<Vec<Seen>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move { Ok::<_, Infallible>(answer(request, behaviour, &seen).await) }
    });
    let io = TokioIo::new(stream);
    // However a client leaves.
    let _ = if two {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service)
            .await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}

async fn answer(
    request: Request<Incoming>,
    behaviour: Behaviour,
    seen: &Mutex<Vec<Seen>>,
) -> Response<Full<Bytes>> {
    let header = |name| {
        request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (version, method) = (request.version(), request.method().to_string());
    let (path, id) = (request.uri().path().to_owned(), header("x-operation-id"));
    let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    seen.lock().expect("lock").push(Seen { version, method, path: path.clone(), id, body });
    let n: Option<u64> = path.trim_start_matches('/').parse().ok();
    if n.is_some() && n == behaviour.stalls {
        tokio::time::sleep(behaviour.stall).await;
    }
    let refused =
        behaviour.refuses_each.is_some_and(|each| n.is_some_and(|n| n.is_multiple_of(each)));
    let status = if refused { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut response = Response::new(Full::new(Bytes::from_static(b"hello")));
    *response.status_mut() = status;
    if behaviour.closes {
        response
            .headers_mut()
            .insert(hyper::header::CONNECTION, hyper::header::HeaderValue::from_static("close"));
    }
    response
}
