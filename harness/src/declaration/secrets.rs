//! What a declaration states that nobody may be shown.

use super::Declaration;
use crate::secret;
use config::secret::words;
use loadgen::traffic::stated::User;
use std::path::Path;

/// Learns what is kept elsewhere for the roles of a declaration in this folder, as far as it is
/// there: that it is not is told by who needs it.
pub fn learn_kept(declaration: &Declaration, folder: &Path) {
    for role in declaration.roles.servers() {
        drop(role.access(0, folder, Path::new("")).login.secret());
    }
}

/// Learns what a declaration states, of a stack or of a run that was recorded.
pub fn learn(declaration: &Declaration) {
    let alerts = declaration
        .alerts
        .iter()
        .map(|a| a.name.as_str())
        .chain(declaration.dead_mans_switches.iter().map(|s| s.name.as_str()));
    let targets = declaration.targets.iter().flat_map(|t| [t.job.as_str(), t.service.as_str()]);
    let receivers = declaration.receivers.iter().flat_map(|r| [r.name.as_str(), r.host.as_str()]);
    let users = declaration.workload.iter().flat_map(|w| w.users.iter().map(User::name));
    let roles: Vec<_> = declaration.roles.servers().collect();
    let of_roles = roles
        .iter()
        .flat_map(|r| [Some(r.service.as_str()), r.user.as_deref()].into_iter().flatten());
    let names = alerts
        .chain(targets)
        .chain(receivers)
        .chain(users)
        .chain(of_roles)
        .chain([declaration.stack.as_str()]);
    secret::learn_names(names);
    for receiver in &declaration.receivers {
        if let Some(key) = &receiver.key {
            secret::learn_value("key", key);
        }
        if secret::mask::is_webhook(receiver.protocol) {
            secret::learn_path("path", &receiver.host, &receiver.path);
        }
    }
    for password in roles
        .iter()
        .filter_map(|r| r.password.as_ref())
        .chain(declaration.workload.iter().filter_map(|w| w.password.as_ref()))
    {
        secret::learn_value("password", password);
    }
    for token in roles.iter().filter_map(|r| r.token.as_ref()) {
        secret::learn_value("token", token);
    }
    let users = declaration.workload.iter().flat_map(|w| &w.users);
    for (key, value) in users.flat_map(|user| &user.0).filter(|(key, _)| words::is_secret(key)) {
        secret::learn_value(key, value);
    }
}
