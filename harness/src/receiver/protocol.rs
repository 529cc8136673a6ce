//! What each HTTP service does with a request, without any network: which stand-in accepts it, what
//! it answers, and which alerts it carries. One file below for each protocol.

mod opsgenie;
mod pagerduty;
mod slack;
mod webhook;

use crate::declaration::StandIn;
use std::collections::HashMap;
use verdict::history::alert::{NotifiedAlert, Protocol};

/// An HTTP request as it arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// Method, upper case.
    pub(crate) method: &'a str,
    /// Host that the client asked for, without port.
    pub(crate) host: &'a str,
    /// Path without query.
    pub(crate) path: &'a str,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// What the service answers and what is recorded of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    pub(crate) protocol: Protocol,
    /// Stand-in that accepts it.
    pub(crate) receiver: Option<String>,
    pub(crate) status: u16,
    /// Content type of the answer.
    pub(crate) content_type: &'static str,
    /// Body of the answer.
    pub(crate) body: String,
    /// Key or channel that the client showed.
    pub(crate) key: Option<String>,
    /// Alerts in it.
    pub(crate) alerts: Vec<NotifiedAlert>,
    /// Why it was refused or could not be understood.
    pub(crate) error: Option<String>,
    /// The incident that it is about, for protocols whose later messages name only that.
    pub(crate) incident: Option<String>,
}

impl Judged {
    fn answer(
        protocol: Protocol,
        status: u16,
        content_type: &'static str,
        body: impl Into<String>,
    ) -> Judged {
        Judged {
            protocol,
            receiver: None,
            status,
            content_type,
            body: body.into(),
            key: None,
            alerts: Vec::new(),
            error: None,
            incident: None,
        }
    }

    fn json(protocol: Protocol, status: u16, body: serde_json::Value) -> Judged {
        Judged::answer(protocol, status, "application/json", body.to_string())
    }

    fn accepted_by(mut self, stand_in: &StandIn) -> Judged {
        self.receiver = Some(stand_in.name.clone());
        self
    }

    fn key(mut self, key: Option<&str>) -> Judged {
        self.key = key.map(str::to_owned);
        self
    }

    fn error(mut self, error: impl Into<String>) -> Judged {
        self.error = Some(error.into());
        self
    }

    /// Sets the alerts; none at all is an error of its own, since a page without an alert's name
    /// tells nobody anything.
    fn alerts(mut self, alerts: Vec<NotifiedAlert>) -> Judged {
        if alerts.is_empty() && self.error.is_none() {
            self.error = Some("no alert could be recovered from it".into());
        }
        self.alerts = alerts;
        self
    }

    fn incident(mut self, incident: &str) -> Judged {
        self.incident = Some(incident.to_owned());
        self
    }
}

/// Alerts of incidents that are open, by service and incident id. A later message may only name the
/// incident.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    open: HashMap<(String, String), Vec<NotifiedAlert>>,
}

impl Incidents {
    /// Keeps in mind what a recorded message said about an incident.
    pub(crate) fn learn(&mut self, receiver: &str, incident: &str, alerts: &[NotifiedAlert]) {
        let known = self.open.entry((receiver.to_owned(), incident.to_owned())).or_default();
        for alert in alerts {
            known.retain(|k| k.labels != alert.labels);
            known.push(alert.clone());
        }
    }

    /// All alerts that the incident is about, as resolved.
    fn resolved(&self, receiver: &str, incident: &str) -> Vec<NotifiedAlert> {
        let known = self.open.get(&(receiver.to_owned(), incident.to_owned()));
        known
            .into_iter()
            .flatten()
            .map(|a| NotifiedAlert { resolved: true, labels: a.labels.clone() })
            .collect()
    }
}

/// Answers a request as the real service behind its host would.
pub(crate) fn judge(stand_ins: &[StandIn], incidents: &Incidents, request: Request<'_>) -> Judged {
    let here: Vec<&StandIn> = stand_ins
        .iter()
        .filter(|s| s.protocol != Protocol::Smtp && s.host.eq_ignore_ascii_case(request.host))
        .collect();
    let spoken = here
        .iter()
        .find(|s| request.path.starts_with(s.path.as_str()))
        .or(here.first())
        .map(|s| s.protocol);
    match spoken {
        None => Judged::answer(Protocol::Webhook, 404, "text/plain", "not found")
            .error(format!("no stand-in takes over host {:?}", request.host)),
        Some(Protocol::Slack) => slack::judge(&here, request),
        Some(Protocol::PagerdutyV1 | Protocol::PagerdutyV2) => {
            pagerduty::judge(&here, incidents, request)
        }
        Some(Protocol::Opsgenie) => opsgenie::judge(&here, incidents, request),
        Some(Protocol::Webhook | Protocol::Smtp) => webhook::judge(&here, request),
    }
}

/// Completes alerts with the name that the subject line shows; an alert of which the text lists
/// nothing is made of it.
fn named(
    mut alerts: Vec<NotifiedAlert>,
    subject: Option<super::text::Subject>,
) -> Vec<NotifiedAlert> {
    let Some(super::text::Subject { resolved, name: Some(name) }) = subject else { return alerts };
    if alerts.is_empty() {
        alerts.push(NotifiedAlert { resolved, labels: Default::default() });
    }
    for alert in &mut alerts {
        alert.labels.entry("alertname".into()).or_insert_with(|| name.clone());
    }
    alerts
}
