//! Traces by OTLP: each operation one trace of three spans, whose trace id is the operation's id.

use super::dial::Dial;
use super::http::{Version, answered, broken, one, speaking, two};
use super::{Client, Failed, Operation, Unopened};
use crate::template::Filling;
use bytes::Bytes;
use futures::future::LocalBoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode, Uri, header};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tower_service::Service;

/// How traces travel.
#[derive(Debug, Clone)]
pub enum Transport {
    /// gRPC, this many operations at once over a connection.
    Grpc {
        /// At least 1.
        streams: usize,
    },
    /// HTTP/1.1, to this path.
    Http {
        /// `/v1/traces`, as a rule.
        path: String,
    },
}

/// Traces. Their resource is `service.name=firedrill`; each span carries `operation.id`; names,
/// kinds and durations follow from seed and number, only the time of the end is that of the load.
#[derive(Debug, Clone)]
pub struct Traces {
    dial: Dial,
    transport: Transport,
    /// `host:port`, as the user wrote it.
    host: String,
    filling: Filling,
}

impl Traces {
    /// Sends traces there.
    pub fn new(dial: Dial, transport: Transport, host: &str, filling: Filling) -> Traces {
        let version = match transport {
            Transport::Grpc { streams } => Version::Two { streams },
            Transport::Http { .. } => Version::One,
        };
        Traces { dial: speaking(dial, version), transport, host: host.to_owned(), filling }
    }

    fn scheme(&self) -> &'static str {
        if self.dial.tls.is_some() { "https" } else { "http" }
    }

    /// The trace of an operation that ends now.
    fn trace(&self, operation: &Operation) -> ExportTraceServiceRequest {
        let (number, id) = (operation.number, self.filling.id(operation.number));
        // 32 hexadecimal digits, as a trace id has.
        let trace_id = u128::from_str_radix(&id, 16).unwrap_or_default().to_be_bytes().to_vec();
        let mut draw = self.filling.draw("trace", number);
        let ns = |at: SystemTime| {
            at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
        };
        let end = ns(operation.now());
        let lasted = Duration::from_secs_f64(0.001 + 0.1 * draw.unit().powi(3)).as_nanos() as u64;
        let (start, half) = (end.saturating_sub(lasted), end.saturating_sub(lasted / 2));
        let mut span = |name: &str, kind: SpanKind, parent: &[u8], from: u64, to: u64| Span {
            trace_id: trace_id.clone(),
            span_id: (draw.bits() | 1).to_be_bytes().to_vec(),
            parent_span_id: parent.to_vec(),
            flags: 1,
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: from,
            end_time_unix_nano: to,
            attributes: vec![
                attribute("operation.id", &id),
                attribute("operation.number", &number.to_string()),
            ],
            ..Span::default()
        };
        let root = span("load", SpanKind::Server, &[], start, end);
        let read = span("load read", SpanKind::Client, &root.span_id, start, half);
        let write = span("load write", SpanKind::Producer, &root.span_id, half, end);
        let scope =
            InstrumentationScope { name: "firedrill".into(), ..InstrumentationScope::default() };
        let spans = vec![ScopeSpans {
            scope: Some(scope),
            spans: vec![root, read, write],
            ..ScopeSpans::default()
        }];
        let resource = Resource {
            attributes: vec![attribute("service.name", "firedrill")],
            ..Resource::default()
        };
        let resource_spans = vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: spans,
            ..ResourceSpans::default()
        }];
        ExportTraceServiceRequest { resource_spans }
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// Whether all was taken.
fn taken(answer: ExportTraceServiceResponse) -> Result<(), Failed> {
    match answer.partial_success {
        Some(partial) if partial.rejected_spans > 0 => {
            Err(Failed::Refused("spans rejected".into()))
        }
        _ => Ok(()),
    }
}

/// A connection, as the generated client wants it.
#[derive(Debug, Clone)]
pub(super) struct Channel(http2::SendRequest<tonic::body::Body>);

impl Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = LocalBoxFuture<'static, Result<Response<Incoming>, hyper::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// A connection, or a place on one.
pub(super) enum Lane {
    Grpc(Channel),
    Http(http1::SendRequest<Full<Bytes>>),
}

impl Client for Traces {
    type Lane = Lane;

    async fn connect(&self) -> Result<Vec<Lane>, Unopened> {
        match self.transport {
            Transport::Grpc { streams } => {
                let channel = Channel(two(&self.dial).await?);
                Ok((0..streams).map(|_| Lane::Grpc(channel.clone())).collect())
            }
            Transport::Http { .. } => Ok(vec![Lane::Http(one(&self.dial).await?)]),
        }
    }

    async fn operate(&self, lane: &mut Lane, operation: &mut Operation) -> Result<(), Failed> {
        let trace = self.trace(operation);
        match (lane, &self.transport) {
            (Lane::Http(sender), Transport::Http { path }) => {
                let request = Request::post(path.as_str())
                    .header(header::HOST, self.host.as_str())
                    .header(header::CONTENT_TYPE, "application/x-protobuf")
                    .body(Full::new(Bytes::from(trace.encode_to_vec())))
                    .map_err(|e| Failed::Refused(format!("request can't be written: {e}")))?;
                sender.ready().await.map_err(|_| Failed::Unsent)?;
                let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
                if response.status() != StatusCode::OK {
                    return answered(response, Some(200)).await;
                }
                let body = response
                    .into_body()
                    .collect()
                    .await
                    .map_err(|_| Failed::Broken("answer broke off".into()))?;
                taken(
                    ExportTraceServiceResponse::decode(body.to_bytes())
                        .map_err(|_| Failed::Refused("malformed answer".into()))?,
                )
            }
            (Lane::Grpc(channel), _) => {
                channel.0.ready().await.map_err(|_| Failed::Unsent)?;
                let origin = Uri::builder()
                    .scheme(self.scheme())
                    .authority(self.host.as_str())
                    .path_and_query("/")
                    .build();
                let origin = origin
                    .map_err(|e| Failed::Refused(format!("request can't be written: {e}")))?;
                match TraceServiceClient::with_origin(channel.clone(), origin).export(trace).await {
                    Ok(answer) => taken(answer.into_inner()),
                    Err(status) => {
                        // An error of the connection comes wrapped.
                        let below = std::error::Error::source(&status)
                            .and_then(|e| e.downcast_ref::<hyper::Error>());
                        Err(below.map_or_else(
                            || Failed::Refused(format!("status {:?}", status.code())),
                            broken,
                        ))
                    }
                }
            }
            (Lane::Http(_), Transport::Grpc { .. }) => {
                Err(Failed::Broken("connection not opened".into()))
            }
        }
    }

    fn lanes(&self) -> usize {
        match self.transport {
            Transport::Grpc { streams } => streams,
            Transport::Http { .. } => 1,
        }
    }

    fn outlives_silence(&self) -> bool {
        matches!(self.transport, Transport::Grpc { .. })
    }

    fn is_usable(&self, lane: &Lane) -> bool {
        match lane {
            Lane::Grpc(channel) => !channel.0.is_closed(),
            Lane::Http(sender) => !sender.is_closed(),
        }
    }

    fn place(&self) -> String {
        self.dial.address.to_string()
    }
}
