//! The alert manager.

use crate::history::alert::NotifiedAlert;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An alert as the alert manager holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagedAlert {
    /// All labels of the alert, `alertname` included.
    pub labels: BTreeMap<String, String>,
    /// State as Alertmanager's API v2 gives it: `active`, `suppressed` or `unprocessed`.
    pub state: String,
    /// Fingerprints of the alerts that inhibit it, or their names where these are known.
    pub inhibited_by: Vec<String>,
    /// Ids of silences that silence it.
    pub silenced_by: Vec<String>,
    /// Names of the time intervals that mute it.
    pub muted_by: Vec<String>,
    /// Names of the receivers that its routes lead to.
    pub receivers: Vec<String>,
    /// Routes that it ends in, as the configuration in force has them; empty where that was not
    /// asked.
    #[serde(default)]
    pub routes: Vec<ManagedRoute>,
    /// When it began, on the alert manager's clock, in seconds since the Unix epoch.
    pub starts_at_s: f64,
    /// When it ended, or would end unless it is sent again, in seconds since the Unix epoch.
    pub ends_at_s: f64,
}

/// A route that an alert ends in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagedRoute {
    /// Receiver, as the alert manager's configuration names it.
    pub receiver: String,
    /// Seconds that a new group waits before its first notification (`group_wait`).
    pub group_wait_s: f64,
    /// Seconds between two turns at which changes of a group are notified (`group_interval`).
    pub group_interval_s: f64,
    /// Seconds after which an unchanged group is notified again (`repeat_interval`).
    pub repeat_interval_s: f64,
}

/// A silence at the alert manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Id that the alert manager gave it.
    pub id: String,
    /// Its matchers, written as Alertmanager writes them, for example `job="api"`.
    pub matchers: Vec<String>,
    /// Who made it, as its maker stated.
    pub created_by: String,
    /// State as Alertmanager's API v2 gives it: `active`, `pending` or `expired`.
    pub state: String,
}

/// What an alert manager wrote down that it did with alerts (its event recorder).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagerEvent {
    /// When, on the alert manager's clock, in seconds since the Unix epoch.
    pub at_s: f64,
    /// The alerts that it did this with.
    pub alerts: Vec<NotifiedAlert>,
    /// What it did with them.
    pub step: ManagerStep,
}

/// A step of an alert on its way through an alert manager. That it tried and failed to notify, left
/// that to a peer, or that a time interval muted the route, is not recorded by Alertmanager 0.35.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManagerStep {
    /// It came, and was not there before.
    Created,
    /// It was put into a group.
    Grouped {
        /// Receiver of the group's route, as the alert manager's configuration names it.
        receiver: String,
    },
    /// The group's turn came, and a silence kept the alert from being notified.
    Silenced {
        /// The silence, as it was then.
        silence: Silence,
    },
    /// The group's turn came, and an inhibition kept the alert from being notified.
    Inhibited {
        /// Names of the alerts that inhibit it, or their fingerprints where no event names them.
        by: Vec<String>,
        /// The inhibition rule in words, with its matchers.
        rule: String,
    },
    /// A receiver accepted a notification.
    Notified {
        /// Receiver, as the alert manager's configuration names it.
        receiver: String,
        /// Why it was notified, for example `first notification`; empty where that is not said.
        reason: String,
    },
}
