//! Receivers of an Alertmanager configuration: whom they tell, by which protocol, at which address.

use super::cursor::Cursor;
use crate::yaml::{ConfigError, Place};

/// A receiver: a name and the integrations that it tells, all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// Whom it tells; empty for one that swallows alerts.
    pub integrations: Vec<Integration>,
    /// Where it stands.
    pub place: Place,
}

/// One place that a receiver tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Integration {
    /// Protocol.
    pub kind: IntegrationKind,
    /// Whether it is told of resolutions.
    pub send_resolved: bool,
    /// Address that is asked, defaults filled in, as URL; `smtp://host:port` for e-mail. None where
    /// only a file inside the container knows it.
    pub url: Option<String>,
    /// Whether the address is the server's default and not written in the file.
    pub url_is_default: bool,
    /// Key that goes along, where it stands in the file.
    pub key: Option<String>,
    /// Slack channel or recipient of e-mail, as written.
    pub recipient: Option<String>,
    /// File inside the container that holds the address or the key.
    pub file: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Protocol of an integration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum IntegrationKind {
    /// Slack's incoming webhook.
    Slack,
    /// PagerDuty Events v1, which `service_key` selects.
    PagerDutyV1,
    /// PagerDuty Events v2, which `routing_key` selects.
    PagerDutyV2,
    /// Opsgenie's alert API.
    Opsgenie,
    /// Alertmanager's own webhook.
    Webhook,
    /// E-mail through a smarthost.
    Email,
    /// Any other, by the part of its key before `_configs`.
    Other(String),
}

impl IntegrationKind {
    /// Name as in the configuration, with the version where the key decides it.
    pub fn name(&self) -> &str {
        match self {
            IntegrationKind::Slack => "slack",
            IntegrationKind::PagerDutyV1 => "pagerduty-v1",
            IntegrationKind::PagerDutyV2 => "pagerduty-v2",
            IntegrationKind::Opsgenie => "opsgenie",
            IntegrationKind::Webhook => "webhook",
            IntegrationKind::Email => "email",
            IntegrationKind::Other(name) => name,
        }
    }
}

/// Alertmanager's own address for Events v1; it can't be changed by configuration.
const PAGERDUTY_V1: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";
const PAGERDUTY_V2: &str = "https://events.pagerduty.com/v2/enqueue";
const OPSGENIE: &str = "https://api.opsgenie.com/";

/// Default addresses of the kinds that are only passed through, with the global key that overrides
/// them.
const OTHERS: [(&str, &str, &str); 6] = [
    (
        "victorops",
        "victorops_api_url",
        "https://alert.victorops.com/integrations/generic/20131114/alert/",
    ),
    ("wechat", "wechat_api_url", "https://qyapi.weixin.qq.com/cgi-bin/"),
    ("webex", "webex_api_url", "https://webexapis.com/v1/messages"),
    ("telegram", "telegram_api_url", "https://api.telegram.org"),
    ("pushover", "", "https://api.pushover.net/1/messages.json"),
    ("rocketchat", "rocketchat_api_url", "https://open.rocket.chat/"),
];

/// Reads the receivers.
///
/// # Errors
/// Names file, line and key of what Alertmanager would refuse.
pub(super) fn read(root: &Cursor<'_>) -> Result<Vec<Receiver>, ConfigError> {
    let global = root.get("global");
    let mut receivers: Vec<Receiver> = Vec::new();
    for at in root.items("receivers")? {
        let name = at.required_text("name")?;
        if receivers.iter().any(|other| other.name == name) {
            return Err(at.error(
                format!("receiver `{name}` is there twice"),
                "Alertmanager refuses this: rename one",
            ));
        }
        let mut integrations = Vec::new();
        for (key, list) in at.entries()? {
            let Some(kind) = key.strip_suffix("_configs") else { continue };
            if list.node.is_null() {
                continue;
            }
            for item in list.list()? {
                integrations.push(read_integration(kind, &item, global.as_ref())?);
            }
        }
        receivers.push(Receiver { name, integrations, place: at.place() });
    }
    Ok(receivers)
}

fn read_integration(
    kind: &str,
    at: &Cursor<'_>,
    global: Option<&Cursor<'_>>,
) -> Result<Integration, ConfigError> {
    at.expect_map()?;
    let own = |key: &str| at.text_of(key);
    let shared = |key: &str| global.map_or(Ok(None), |global| global.text_of(key));
    let made = |kind, resolved: bool| -> Result<Integration, ConfigError> {
        Ok(Integration {
            kind,
            send_resolved: at.truth("send_resolved", resolved)?,
            url: None,
            url_is_default: false,
            key: None,
            recipient: None,
            file: None,
            place: at.place(),
        })
    };
    match kind {
        "slack" => {
            let mut slack = made(IntegrationKind::Slack, false)?;
            slack.recipient = own("channel")?;
            // A file of the receiver's own wins over a global address.
            slack.url = own("api_url")?;
            if slack.url.is_none() {
                slack.file = own("api_url_file")?;
            }
            if slack.url.is_none() && slack.file.is_none() {
                slack.url = shared("slack_api_url")?;
                slack.file = if slack.url.is_none() { shared("slack_api_url_file")? } else { None };
            }
            if slack.url.is_none() && slack.file.is_none() {
                return Err(at.error(
                    "no address for Slack",
                    "set `api_url` here or `slack_api_url` under `global`",
                ));
            }
            Ok(slack)
        }
        "pagerduty" => {
            let service = (own("service_key")?, own("service_key_file")?);
            let routing = (own("routing_key")?, own("routing_key_file")?);
            let v1 = service.0.is_some() || service.1.is_some();
            if !v1 && routing.0.is_none() && routing.1.is_none() {
                return Err(at.error(
                    "no key for PagerDuty",
                    "set `routing_key` (Events v2) or `service_key` (Events v1)",
                ));
            }
            let kind = if v1 { IntegrationKind::PagerDutyV1 } else { IntegrationKind::PagerDutyV2 };
            let mut pager = made(kind, true)?;
            (pager.key, pager.file) = if v1 { service } else { routing };
            let written = if v1 {
                None
            } else {
                own("url")?.map_or_else(|| shared("pagerduty_url"), |url| Ok(Some(url)))?
            };
            pager.url_is_default = written.is_none();
            pager.url = Some(
                written.unwrap_or_else(|| if v1 { PAGERDUTY_V1 } else { PAGERDUTY_V2 }.into()),
            );
            Ok(pager)
        }
        "opsgenie" => {
            let mut genie = made(IntegrationKind::Opsgenie, true)?;
            let written =
                own("api_url")?.map_or_else(|| shared("opsgenie_api_url"), |url| Ok(Some(url)))?;
            genie.url_is_default = written.is_none();
            let base = written.unwrap_or_else(|| OPSGENIE.into());
            genie.url = Some(format!("{}/v2/alerts", base.trim_end_matches('/')));
            genie.key = own("api_key")?;
            genie.file = own("api_key_file")?;
            if genie.key.is_none() && genie.file.is_none() {
                genie.key = shared("opsgenie_api_key")?;
                genie.file = shared("opsgenie_api_key_file")?;
            }
            if genie.key.is_none() && genie.file.is_none() {
                return Err(at.error(
                    "no key for Opsgenie",
                    "set `api_key` here or `opsgenie_api_key` under `global`",
                ));
            }
            Ok(genie)
        }
        "webhook" => {
            let mut hook = made(IntegrationKind::Webhook, true)?;
            hook.url = own("url")?;
            hook.file = own("url_file")?;
            if hook.url.is_none() && hook.file.is_none() {
                return Err(at.error("no address for the webhook", "set `url`"));
            }
            Ok(hook)
        }
        "email" => {
            let mut mail = made(IntegrationKind::Email, false)?;
            mail.recipient = own("to")?;
            if mail.recipient.is_none() {
                return Err(at.error("no recipient for e-mail", "set `to`"));
            }
            let Some(smarthost) = own("smarthost")?
                .map_or_else(|| shared("smtp_smarthost"), |host| Ok(Some(host)))?
            else {
                return Err(at.error(
                    "no smarthost for e-mail",
                    "set `smarthost` here or `smtp_smarthost` under `global`",
                ));
            };
            if smarthost.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
                return Err(
                    at.error(format!("smarthost `{smarthost}` has no port"), "write host:port")
                );
            }
            mail.url = Some(format!("smtp://{smarthost}"));
            Ok(mail)
        }
        other => {
            let mut passed = made(IntegrationKind::Other(other.into()), true)?;
            for key in ["url", "api_url", "webhook_url", "incoming_webhook_url"] {
                if passed.url.is_none() {
                    passed.url = own(key)?;
                }
            }
            for key in ["url_file", "webhook_url_file"] {
                if passed.url.is_none() && passed.file.is_none() {
                    passed.file = own(key)?;
                }
            }
            if passed.url.is_none()
                && passed.file.is_none()
                && let Some((_, global_key, default)) =
                    OTHERS.iter().find(|(name, _, _)| *name == other)
            {
                let written = shared(global_key)?;
                passed.url_is_default = written.is_none();
                passed.url = Some(written.unwrap_or_else(|| (*default).into()));
            }
            Ok(passed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Document;
    use std::path::Path;

    fn receivers(text: &str) -> Result<Vec<Receiver>, ConfigError> {
        let doc = Document::parse(Path::new("alertmanager.yml"), text).unwrap();
        read(&Cursor::root(&doc))
    }

    #[test]
    fn addresses_as_alertmanager_chooses_them() {
        let found = receivers(
            "global: {slack_api_url: 'https://hooks.slack.com/services/T/B/x', opsgenie_api_key: k, smtp_smarthost: 'relay:587'}\nreceivers:\n\
             - name: a\n  slack_configs: [{channel: '#ops', send_resolved: true}, {api_url: 'https://other/x', channel: c}, {api_url_file: /f}]\n  \
             pagerduty_configs: [{service_key: s}, {routing_key: r}, {routing_key: r, url: 'https://pd.test/v2/enqueue'}]\n  \
             opsgenie_configs: [{}, {api_url: 'https://genie.test', api_key: own}]\n  webhook_configs: [{url: 'http://hook:8080/x'}]\n  \
             email_configs: [{to: a@b.c}]\n  pushover_configs: [{user_key: u}]\n  discord_configs: [{webhook_url: 'https://discord.test/x'}]\n  \
             sns_configs: [{topic_arn: t}]\n- name: nobody\n",
        )
        .unwrap();
        let urls: Vec<_> = found[0]
            .integrations
            .iter()
            .map(|i| (i.kind.name(), i.url.as_deref(), i.key.as_deref()))
            .collect();
        assert_eq!(
            urls,
            [
                ("slack", Some("https://hooks.slack.com/services/T/B/x"), None),
                ("slack", Some("https://other/x"), None),
                ("slack", None, None),
                (
                    "pagerduty-v1",
                    Some("https://events.pagerduty.com/generic/2010-04-15/create_event.json"),
                    Some("s")
                ),
                ("pagerduty-v2", Some("https://events.pagerduty.com/v2/enqueue"), Some("r")),
                ("pagerduty-v2", Some("https://pd.test/v2/enqueue"), Some("r")),
                ("opsgenie", Some("https://api.opsgenie.com/v2/alerts"), Some("k")),
                ("opsgenie", Some("https://genie.test/v2/alerts"), Some("own")),
                ("webhook", Some("http://hook:8080/x"), None),
                ("email", Some("smtp://relay:587"), None),
                ("pushover", Some("https://api.pushover.net/1/messages.json"), None),
                ("discord", Some("https://discord.test/x"), None),
                ("sns", None, None),
            ]
        );
        let resolved: Vec<_> = found[0].integrations.iter().map(|i| i.send_resolved).collect();
        assert_eq!(resolved[..10], [true, false, false, true, true, true, true, true, true, false]);
        assert!(found[1].integrations.is_empty());
    }

    #[test]
    fn what_alertmanager_refuses_is_refused() {
        for (text, part) in [
            ("slack_configs: [{channel: c}]", "no address for Slack"),
            ("pagerduty_configs: [{url: 'https://x'}]", "no key for PagerDuty"),
            ("opsgenie_configs: [{}]", "no key for Opsgenie"),
            ("webhook_configs: [{}]", "no address for the webhook"),
            ("email_configs: [{to: a}]", "no smarthost"),
            ("email_configs: [{to: a, smarthost: relay}]", "no port"),
            ("email_configs: [{smarthost: 'relay:25'}]", "no recipient"),
        ] {
            let error =
                receivers(&format!("receivers:\n- name: a\n  {text}\n")).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("alertmanager.yml:3"),
                "{error} lacks {part}"
            );
        }
    }
}
