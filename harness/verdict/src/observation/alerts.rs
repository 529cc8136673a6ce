//! The alert manager.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An alert as the alert manager holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagedAlert {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `active`, `suppressed` or `unprocessed`.
    pub state: String,
    /// Names of alerts (or fingerprints) that inhibit it.
    pub inhibited_by: Vec<String>,
    /// Ids of silences that silence it.
    pub silenced_by: Vec<String>,
    /// Time intervals that mute it.
    pub muted_by: Vec<String>,
    /// Receivers that its routes lead to.
    pub receivers: Vec<String>,
    /// Routes that it ends in, as the configuration in force has them; empty where that was not
    /// asked.
    #[serde(default)]
    pub routes: Vec<ManagedRoute>,
    /// When it began, seconds since the epoch.
    pub starts_at_s: f64,
    /// When it ends or would, seconds since the epoch.
    pub ends_at_s: f64,
}

/// A route that an alert ends in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagedRoute {
    /// Receiver, as the alert manager's configuration names it.
    pub receiver: String,
    /// How long a new group waits before it is first told of, seconds.
    pub group_wait_s: f64,
    /// Time between two turns at which changes of a group are told, seconds.
    pub group_interval_s: f64,
    /// After which an unchanged group is told of again, seconds.
    pub repeat_interval_s: f64,
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Id.
    pub id: String,
    /// Matchers, written as Alertmanager does.
    pub matchers: Vec<String>,
    /// Who made it.
    pub created_by: String,
    /// `active`, `pending` or `expired`.
    pub state: String,
}
