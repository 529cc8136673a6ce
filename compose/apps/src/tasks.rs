//! The tasks that services and workers agree on.

use serde::{Deserialize, Serialize};

/// Hands a stored mail to the mail server.
pub const SEND_TASK: &str = "email.send";
/// Periodic maintenance of the database.
pub const SWEEP_TASK: &str = "email.sweep";

/// Arguments of [`SEND_TASK`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendArguments {
    /// Row of the table `emails`.
    pub email_id: i64,
    pub sender: String,
    pub recipients: Vec<String>,
    pub subject: String,
    pub body: String,
}

/// Arguments of [`SWEEP_TASK`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SweepArguments {}
