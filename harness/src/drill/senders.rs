//! Who sent a notification: the alert manager whose address the connection came from.

use crate::engine::Engine;
use verdict::history::alert::Notification;

/// The alert managers of a running stack. Their addresses are looked up each time, since one that
/// was started anew may have another.
#[derive(Clone)]
pub struct Senders {
    pub engine: Engine,
    /// Project of the containers.
    pub project: String,
    /// Services of the alert managers.
    pub managers: Vec<String>,
}

impl Senders {
    /// The notification with its sender's name in place of the address; with the address if no
    /// alert manager has it.
    pub async fn named(&self, notification: Notification) -> Notification {
        let Some(address) = &notification.from else { return notification };
        for manager in &self.managers {
            let Ok(seen) = self.engine.container_of(&self.project, manager).await else { continue };
            if seen.ips.values().any(|ip| ip == address) {
                return Notification { from: Some(manager.clone()), ..notification };
            }
        }
        notification
    }
}
