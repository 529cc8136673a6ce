//! The receivers' HTTPS services.

use super::Shared;
use super::protocol::{self, Judged, Request};
use crate::process::clock::wall_us;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use verdict::history::alert::Notification;

/// A notification that is longer is refused.
const MAX_BODY: usize = 8 << 20;
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Accepts connections for ever.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, peer.ip(), shared).await {
                        eprintln!("https from {peer}: {error}");
                    }
                });
            }
            Err(error) => {
                eprintln!("https: accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: IpAddr, shared: Arc<Shared>) -> Result<(), String> {
    let handshake = tokio::time::timeout(HANDSHAKE, shared.tls.accept(stream)).await;
    let tls = handshake
        .map_err(|_| "no handshake within 10 s".to_owned())?
        .map_err(|e| format!("handshake: {e}"))?;
    let named = tls.get_ref().1.server_name().map(str::to_owned);
    let service = service_fn(move |request| {
        let (shared, named) = (shared.clone(), named.clone());
        async move { Ok::<_, Infallible>(answer(request, peer, named, shared).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(tls), service);
    served.await.or_else(|e| if e.is_incomplete_message() { Ok(()) } else { Err(e.to_string()) })
}

async fn answer(
    request: hyper::Request<Incoming>,
    peer: IpAddr,
    named: Option<String>,
    shared: Arc<Shared>,
) -> Response<Full<Bytes>> {
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|v: &hyper::header::HeaderValue| v.to_str().ok())
            .map(str::to_owned)
    };
    let host = header(HOST)
        .or_else(|| request.uri().host().map(str::to_owned))
        .or(named)
        .unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let authorization = header(AUTHORIZATION);
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let body = match Limited::new(request.into_body(), MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return plain(StatusCode::BAD_REQUEST, format!("body: {error}")),
    };
    let received_wall_us = wall_us();
    let request = Request {
        method: &method,
        host: &host,
        path: &path,
        authorization: authorization.as_deref(),
        body: &body,
    };
    let judged =
        shared.record.incidents(|incidents| protocol::judge(&shared.receivers, incidents, request));
    let Judged {
        protocol,
        receiver,
        mut status,
        content_type,
        body,
        key,
        alerts,
        mut error,
        incident,
    } = judged;
    let (instead, delay) = shared.behaviours.next(receiver.as_deref());
    if let Some(instead) = instead {
        status = instead;
        error = Some(format!("told to answer {instead}"));
    }
    let answered = status;
    let notification = Notification {
        receiver,
        protocol,
        host,
        path,
        key,
        answered,
        alerts,
        error,
        received_wall_us,
        from: Some(peer.to_string()),
    };
    if shared.put_on_record(notification, incident).await.is_err() {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "not recorded".into());
    }
    tokio::time::sleep(delay).await;
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if instead.is_some() {
        return plain(code, code.canonical_reason().unwrap_or("error").to_ascii_lowercase());
    }
    let mut response = plain(code, body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
