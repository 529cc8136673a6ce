//! Events about notifications.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Protocol that a stand-in speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Slack incoming webhook.
    Slack,
    /// PagerDuty Events API v1 (`service_key`).
    PagerdutyV1,
    /// PagerDuty Events API v2 (`routing_key`).
    PagerdutyV2,
    /// Opsgenie Alert API v2.
    Opsgenie,
    /// Alertmanager's generic webhook.
    Webhook,
    /// SMTP.
    Smtp,
}

/// One alert within a notification, as far as the protocol carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotifiedAlert {
    /// Whether it is resolved (else firing).
    pub resolved: bool,
    /// Its labels, as far as the notification shows them.
    pub labels: BTreeMap<String, String>,
}

/// What arrived at a stand-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Receiver as the declaration names it; `None` if nothing declared accepts it (wrong path,
    /// wrong key).
    pub receiver: Option<String>,
    /// Protocol of the host that it was sent to.
    pub protocol: Protocol,
    /// Host that the client asked for.
    pub host: String,
    /// Path, or the recipient's address for SMTP.
    pub path: String,
    /// Key, channel or other credential, if the protocol has one.
    pub key: Option<String>,
    /// Status that the stand-in answered (HTTP status, SMTP code).
    pub answered: u16,
    /// The alerts in it; empty if it could not be understood, with `error` saying why.
    pub alerts: Vec<NotifiedAlert>,
    /// Why it was refused or could not be understood.
    pub error: Option<String>,
    /// Wall-clock microseconds since the epoch at which the stand-in had it whole.
    pub received_wall_us: i64,
}

/// An event about alerting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertEvent {
    /// A stand-in that this run started, as declared: what a refused notification is compared with.
    Declared {
        /// Receiver as the declaration names it.
        receiver: String,
        /// Protocol that it speaks.
        protocol: Protocol,
        /// Host name that it takes over.
        host: String,
        /// Path that it accepts, or the recipient's address for SMTP.
        path: String,
    },
    /// A notification arrived at a stand-in.
    Notification(Notification),
}
