//! Tasks as Celery writes them to a Redis list: message protocol 2, wrapped by kombu, body in
//! base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Hash of kombu: what workers have taken and not acknowledged, by delivery tag.
pub const UNACKED: &str = "unacked";
/// Sorted set of kombu: when each of them was taken, in Unix seconds.
pub const UNACKED_INDEX: &str = "unacked_index";

/// A message in the queue. Fields that this program does not know are kept as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    body: String,
    #[serde(rename = "content-encoding")]
    content_encoding: String,
    #[serde(rename = "content-type")]
    content_type: String,
    /// What the worker needs to know of the task.
    pub headers: Headers,
    properties: Properties,
}

/// Headers of protocol 2, and two of our own: the parent of the spans and the caller's id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headers {
    /// Name of the task.
    pub task: String,
    /// The same for all executions of the task.
    pub id: String,
    /// How often it was tried again.
    #[serde(default)]
    pub retries: u32,
    /// Not to be run before this time, RFC 3339.
    #[serde(default)]
    pub eta: Option<jiff::Timestamp>,
    /// W3C trace context of the span that published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Opaque id of the operation that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Properties {
    delivery_tag: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What lies in the queue is not a message of protocol 2.
#[derive(Debug, thiserror::Error)]
pub enum MalformedMessage {
    /// Not JSON, or fields are missing.
    #[error("not a celery message of protocol 2: {0}")]
    Envelope(#[from] serde_json::Error),
    /// The body is not base64 of `[args, kwargs, embed]`.
    #[error("body of task {0:?} is not base64 of [args, kwargs, embed]")]
    Body(String),
}

impl Message {
    /// A new task with named arguments, for the queue of that name. `origin` says who publishes it.
    pub fn new(
        task: &str,
        id: Uuid,
        arguments: &impl Serialize,
        queue: &str,
        origin: &str,
    ) -> serde_json::Result<Self> {
        let (arguments, id) = (serde_json::to_value(arguments)?, id.to_string());
        let body = json!([[], arguments, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]);
        let rest = json!({
            "lang": "rust", "shadow": null, "expires": null, "group": null, "group_index": null,
            "timelimit": [null, null], "root_id": id, "parent_id": null, "argsrepr": "()",
            "kwargsrepr": "{...}", "origin": origin, "ignore_result": true,
        });
        let properties = json!({
            "correlation_id": id, "reply_to": Uuid::new_v4().to_string(), "delivery_mode": 2, "priority": 0,
            "delivery_info": {"exchange": "", "routing_key": queue}, "body_encoding": "base64",
        });
        Ok(Self {
            body: BASE64.encode(serde_json::to_vec(&body)?),
            content_encoding: "utf-8".into(),
            content_type: "application/json".into(),
            headers: Headers {
                task: task.into(),
                id,
                retries: 0,
                eta: None,
                traceparent: None,
                operation_id: None,
                rest: object(rest),
            },
            properties: Properties {
                delivery_tag: Uuid::new_v4().to_string(),
                rest: object(properties),
            },
        })
    }

    /// Reads what was taken from the queue.
    pub fn parse(text: &str) -> Result<Self, MalformedMessage> {
        Ok(serde_json::from_str(text)?)
    }

    /// As it is pushed to the queue.
    pub fn render(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// The named arguments of the task.
    pub fn arguments<T: for<'a> Deserialize<'a>>(&self) -> Result<T, MalformedMessage> {
        let malformed = || MalformedMessage::Body(self.headers.task.clone());
        let body = BASE64.decode(&self.body).map_err(|_| malformed())?;
        let [_, arguments, _]: [Value; 3] =
            serde_json::from_slice(&body).map_err(|_| malformed())?;
        serde_json::from_value(arguments).map_err(|_| malformed())
    }

    /// Names one delivery: the key in [`UNACKED`].
    pub fn delivery_tag(&self) -> &str {
        &self.properties.delivery_tag
    }

    /// A header that neither the protocol nor the fields of [`Headers`] know.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.headers.rest.get(name)
    }

    /// The message that tries the task again: a new delivery of the same task, not before `eta`.
    pub fn retry(&self, eta: jiff::Timestamp, headers: &[(&str, Value)]) -> Self {
        let mut next = self.clone();
        next.headers.retries += 1;
        next.headers.eta = Some(eta);
        next.properties.delivery_tag = Uuid::new_v4().to_string();
        for (name, value) in headers {
            next.headers.rest.insert((*name).into(), value.clone());
        }
        next
    }

    /// What kombu keeps in [`UNACKED`] while the message is in work.
    pub fn held(&self, queue: &str) -> serde_json::Result<String> {
        serde_json::to_string(&json!([self, "", queue]))
    }

    /// The message to be put back into the queue from what [`UNACKED`] holds, marked as delivered
    /// before.
    pub fn restore(held: &str) -> Result<Self, MalformedMessage> {
        let (mut message, _, _): (Self, Value, Value) = serde_json::from_str(held)?;
        message.headers.rest.insert("redelivered".into(), Value::Bool(true));
        if let Some(Value::Object(info)) = message.properties.rest.get_mut("delivery_info") {
            info.insert("redelivered".into(), Value::Bool(true));
        }
        Ok(message)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Arguments {
        email_id: i64,
        subject: String,
    }

    fn arguments() -> Arguments {
        Arguments { email_id: 7, subject: "häßlich \"so\"".into() }
    }

    fn message() -> Message {
        let mut message =
            Message::new("email.send", Uuid::new_v4(), &arguments(), "celery", "test@host")
                .unwrap();
        message.headers.operation_id = Some("op-1".into());
        message.headers.traceparent =
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
        message
    }

    #[test]
    fn the_envelope_is_what_celery_writes() {
        let value: Value = serde_json::from_str(&message().render().unwrap()).unwrap();
        assert_eq!(value["content-type"], "application/json");
        assert_eq!(value["content-encoding"], "utf-8");
        assert_eq!(value["headers"]["task"], "email.send");
        assert_eq!(value["headers"]["id"], value["headers"]["root_id"]);
        assert_eq!(value["headers"]["id"], value["properties"]["correlation_id"]);
        assert_eq!(value["headers"]["retries"], 0);
        assert_eq!(value["headers"]["operation_id"], "op-1");
        assert!(value["headers"]["parent_id"].is_null() && value["headers"]["eta"].is_null());
        assert!(value["headers"]["traceparent"].is_string());
        assert_eq!(value["properties"]["body_encoding"], "base64");
        assert_eq!(value["properties"]["delivery_info"]["routing_key"], "celery");
        assert_eq!(value["properties"]["delivery_mode"], 2);
        assert!(value["properties"]["delivery_tag"].is_string());
        let body = BASE64.decode(value["body"].as_str().unwrap()).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body[0], json!([]));
        assert_eq!(body[1]["email_id"], 7);
        assert_eq!(
            body[2],
            json!({"callbacks": null, "errbacks": null, "chain": null, "chord": null})
        );
    }

    #[test]
    fn a_message_survives_the_queue() {
        let message = message();
        let read = Message::parse(&message.render().unwrap()).unwrap();
        assert_eq!(read, message);
        assert_eq!(read.arguments::<Arguments>().unwrap(), arguments());
    }

    #[test]
    fn what_a_python_client_writes_is_read() {
        // As written by Celery 5.3 with kombu 5.3, shortened where values are free.
        let text = r#"{"body": "W1tdLCB7ImVtYWlsX2lkIjogMSwgInN1YmplY3QiOiAieCJ9LCB7ImNhbGxiYWNrcyI6IG51bGwsICJlcnJiYWNrcyI6IG51bGwsICJjaGFpbiI6IG51bGwsICJjaG9yZCI6IG51bGx9XQ==",
            "content-encoding": "utf-8", "content-type": "application/json",
            "headers": {"lang": "py", "task": "email.send", "id": "3c2b2b9a-4d0c-4d0e-9f5a-0a6a3a1c2d3e", "shadow": null, "eta": null,
            "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null],
            "root_id": "3c2b2b9a-4d0c-4d0e-9f5a-0a6a3a1c2d3e", "parent_id": null, "argsrepr": "()", "kwargsrepr": "{}",
            "origin": "gen1@host", "ignore_result": false, "stamped_headers": null, "stamps": {}},
            "properties": {"correlation_id": "3c2b2b9a-4d0c-4d0e-9f5a-0a6a3a1c2d3e", "reply_to": "5a",
            "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0,
            "body_encoding": "base64", "delivery_tag": "9a5e"}}"#;
        let message = Message::parse(text).unwrap();
        assert_eq!(
            message.arguments::<Arguments>().unwrap(),
            Arguments { email_id: 1, subject: "x".into() }
        );
        let again: Value = serde_json::from_str(&message.render().unwrap()).unwrap();
        assert_eq!(again["headers"]["stamps"], json!({}), "unknown headers are kept");
    }

    #[test]
    fn a_retry_is_a_new_delivery_of_the_same_task() {
        let message = message();
        let eta = jiff::Timestamp::from_second(1_700_000_000).unwrap();
        let next = message.retry(eta, &[("smtp_failures", json!(1))]);
        assert_eq!(
            (&next.headers.id, next.headers.retries, next.headers.eta),
            (&message.headers.id, 1, Some(eta))
        );
        assert_eq!(next.headers.traceparent, message.headers.traceparent);
        assert_eq!(next.headers.operation_id, message.headers.operation_id);
        assert_ne!(next.delivery_tag(), message.delivery_tag());
        let read = Message::parse(&next.render().unwrap()).unwrap();
        assert_eq!(read.header("smtp_failures"), Some(&json!(1)));
        assert_eq!(
            read.retry(eta, &[("smtp_failures", json!(2))]).header("smtp_failures"),
            Some(&json!(2))
        );
    }

    #[test]
    fn a_message_comes_back_from_the_unacknowledged_as_redelivered() {
        let message = message();
        let held = message.held("celery").unwrap();
        let value: Value = serde_json::from_str(&held).unwrap();
        assert_eq!(value.as_array().map(Vec::len), Some(3));
        assert_eq!(value[2], "celery");
        let restored = Message::restore(&held).unwrap();
        assert_eq!(restored.delivery_tag(), message.delivery_tag());
        assert_eq!(restored.header("redelivered"), Some(&Value::Bool(true)));
        assert_eq!(restored.arguments::<Arguments>().unwrap(), arguments());
    }

    #[test]
    fn what_is_not_a_message_is_refused() {
        for text in ["", "{}", "[1]", r#"{"body": 1}"#] {
            assert!(Message::parse(text).is_err(), "{text:?}");
        }
        let mut message = message();
        message.body = "!".into();
        assert!(matches!(message.arguments::<Arguments>(), Err(MalformedMessage::Body(_))));
    }
}
