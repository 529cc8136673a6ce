//! Settings that several services share, read from the environment, and how their values are
//! written.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::log::LogFormat;
use crate::trace::Propagation;

/// What every service is told about its telemetry.
#[derive(Clone, Debug, Args)]
pub struct Telemetry {
    /// Name of the service in spans (`service.name`) and log lines (`service`); default: the
    /// subcommand's name
    #[arg(long, env = "SERVICE_NAME")]
    pub service_name: Option<String>,
    /// Collector that spans go to, OTLP over gRPC; empty exports none
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "http://otel-collector:4317")]
    pub otlp_endpoint: String,
    /// How trace context is handed on: tracecontext, baggage, none
    #[arg(long, env = "OTEL_PROPAGATORS", default_value = "tracecontext,baggage")]
    pub otel_propagators: Propagation,
    /// File that log lines are appended to, besides stdout
    #[arg(long, env = "LOG_FILE")]
    pub log_file: Option<PathBuf>,
    /// How lines are written: json, text
    #[arg(long, env = "LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
}

/// The mail accounts of the stack.
#[derive(Clone, Debug, Args)]
pub struct Accounts {
    /// Domain of all accounts
    #[arg(long, env = "MAIL_DOMAIN", default_value = "mail.test")]
    pub mail_domain: String,
    /// Password of all accounts (test data)
    #[arg(long, env = "MAIL_PASSWORD", default_value = "correct-horse", hide_env_values = true)]
    pub mail_password: String,
}

/// Local parts of the accounts that exist.
const USERS: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

impl Accounts {
    /// The account's canonical address, if there is one of that address; case does not matter.
    pub fn find(&self, address: &str) -> Option<String> {
        let (local, domain) = address.rsplit_once('@')?;
        let user = USERS.iter().find(|user| user.eq_ignore_ascii_case(local))?;
        domain
            .eq_ignore_ascii_case(&self.mail_domain)
            .then(|| format!("{user}@{}", self.mail_domain))
    }
}

/// Seconds, possibly fractional, more than nothing and at most a day.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 86_400.0 => Ok(Duration::from_secs_f64(value)),
        _ => Err("it wants seconds above 0 and at most 86400, such as 0.25".into()),
    }
}

/// A count from 1 to 1000.
pub fn small_count(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(value @ 1..=1000) => Ok(value),
        _ => Err("it wants a whole number from 1 to 1000".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_full_address() {
        let accounts = Accounts { mail_domain: "mail.test".into(), mail_password: "x".into() };
        assert_eq!(accounts.find("Alice@MAIL.test").as_deref(), Some("alice@mail.test"));
        for address in
            ["alice", "alice@", "mallory@mail.test", "alice@other.test", "@mail.test", ""]
        {
            assert_eq!(accounts.find(address), None, "{address:?}");
        }
    }

    #[test]
    fn seconds_may_be_fractional_and_are_never_nothing() {
        assert_eq!(seconds("0.25").unwrap(), Duration::from_millis(250));
        for text in ["0", "-1", "nan", "inf", "soon", "1e9"] {
            assert!(seconds(text).is_err(), "{text:?}");
        }
    }
}
