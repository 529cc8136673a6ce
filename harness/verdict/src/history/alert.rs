//! Events about notifications.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Protocol that a stand-in for a receiver speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Slack's incoming webhook.
    Slack,
    /// PagerDuty's Events API v1, with a `service_key`.
    PagerdutyV1,
    /// PagerDuty's Events API v2, with a `routing_key`.
    PagerdutyV2,
    /// Opsgenie's Alert API v2.
    Opsgenie,
    /// Alertmanager's generic webhook.
    Webhook,
    /// Mail over SMTP.
    Smtp,
}

/// One alert within a notification, as far as the protocol carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotifiedAlert {
    /// Whether it is reported as resolved; it is firing otherwise.
    pub resolved: bool,
    /// Its labels, as far as the notification shows them.
    pub labels: BTreeMap<String, String>,
}

/// A notification that arrived at a stand-in, whether it was accepted or refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Receiver as the declaration names it; `None` if nothing declared accepts it (wrong path,
    /// wrong key).
    pub receiver: Option<String>,
    /// Protocol of the host that it was sent to.
    pub protocol: Protocol,
    /// Host name that the client asked for.
    pub host: String,
    /// Path of the request, or the recipient's address for SMTP.
    pub path: String,
    /// Key, channel or other credential, if the protocol has one.
    pub key: Option<String>,
    /// Status that the stand-in answered (HTTP status, SMTP code).
    pub answered: u16,
    /// The alerts in it; empty if it could not be understood, with `error` saying why.
    pub alerts: Vec<NotifiedAlert>,
    /// Why it was refused or could not be understood; `None` if it was accepted.
    pub error: Option<String>,
    /// When the stand-in had it whole, on its wall clock, in microseconds since the Unix epoch.
    pub received_wall_us: i64,
    /// Where the connection came from: the alert manager's name, or its IP address where no
    /// instance of the stack had it then. Histories of older versions don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// An event about receivers and what they were notified of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertEvent {
    /// A stand-in that this run started, as declared: what a refused notification is compared with.
    Declared {
        /// Name of the receiver, as the declaration has it.
        receiver: String,
        /// Protocol that the stand-in speaks.
        protocol: Protocol,
        /// Host name that the stand-in takes over.
        host: String,
        /// Path that it accepts, or the recipient's address for SMTP.
        path: String,
    },
    /// A notification arrived at a stand-in.
    Notification(Notification),
}
