//! Receivers of an Alertmanager configuration: whom they notify, by which protocol, at which address:
//! <https://prometheus.io/docs/alerting/latest/configuration/#receiver>.

use super::cursor::Cursor;
use crate::yaml::{ConfigError, Place};

/// A receiver: a name and the integrations that are notified, all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// Name by which routes refer to it.
    pub name: String,
    /// Where it sends notifications; empty for one that swallows alerts.
    pub integrations: Vec<Integration>,
    /// Where it stands.
    pub place: Place,
}

/// One place that a receiver sends notifications to.
#[derive(Debug, Clone, PartialEq)]
pub struct Integration {
    /// The protocol that it speaks.
    pub kind: IntegrationKind,
    /// Whether it is notified of resolutions.
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
const SLACK_APP: &str = "https://slack.com/api/chat.postMessage";

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

/// The settings of an integration, and those of all under `global`.
struct Settings<'a> {
    at: &'a Cursor<'a>,
    global: Option<&'a Cursor<'a>>,
}

impl Settings<'_> {
    fn own(&self, key: &str) -> Result<Option<String>, ConfigError> {
        self.at.text_of(key)
    }

    fn shared(&self, key: &str) -> Result<Option<String>, ConfigError> {
        self.global.map_or(Ok(None), |global| global.text_of(key))
    }

    fn own_or_shared(&self, key: &str, global: &str) -> Result<Option<String>, ConfigError> {
        self.own(key)?.map_or_else(|| self.shared(global), |own| Ok(Some(own)))
    }

    /// An integration without an address; `resolved` is whether its kind tells of resolutions by
    /// default.
    fn integration(
        &self,
        kind: IntegrationKind,
        resolved: bool,
    ) -> Result<Integration, ConfigError> {
        Ok(Integration {
            kind,
            send_resolved: self.at.truth("send_resolved", resolved)?,
            url: None,
            url_is_default: false,
            key: None,
            recipient: None,
            file: None,
            place: self.at.place(),
        })
    }
}

fn read_integration(
    kind: &str,
    at: &Cursor<'_>,
    global: Option<&Cursor<'_>>,
) -> Result<Integration, ConfigError> {
    at.expect_map()?;
    let settings = Settings { at, global };
    match kind {
        "slack" => slack(&settings),
        "pagerduty" => pagerduty(&settings),
        "opsgenie" => opsgenie(&settings),
        "webhook" => webhook(&settings),
        "email" => email(&settings),
        other => passed_through(other, &settings),
    }
}

fn slack(settings: &Settings<'_>) -> Result<Integration, ConfigError> {
    let mut slack = settings.integration(IntegrationKind::Slack, false)?;
    slack.recipient = settings.own("channel")?;
    // A file of the receiver's own wins over a global address.
    slack.url = settings.own("api_url")?;
    if slack.url.is_none() {
        slack.file = settings.own("api_url_file")?;
    }
    if slack.url.is_none() && slack.file.is_none() {
        slack.url = settings.shared("slack_api_url")?;
        slack.file =
            if slack.url.is_none() { settings.shared("slack_api_url_file")? } else { None };
    }
    if slack.url.is_none() && slack.file.is_none() {
        slack.url = slack_app(settings)?;
    }
    if slack.url.is_none() && slack.file.is_none() {
        return Err(settings.at.error(
            "no address for Slack",
            "set `api_url` here or `slack_api_url` under `global`",
        ));
    }
    Ok(slack)
}

/// Where the messages of a Slack app go; none without its token.
fn slack_app(settings: &Settings<'_>) -> Result<Option<String>, ConfigError> {
    let text = settings.own_or_shared("app_token", "slack_app_token")?;
    let file = settings.own_or_shared("app_token_file", "slack_app_token_file")?;
    if text.is_none() && file.is_none() {
        return Ok(None);
    }
    let written = settings.own_or_shared("app_url", "slack_app_url")?;
    Ok(Some(written.unwrap_or_else(|| SLACK_APP.into())))
}

fn pagerduty(settings: &Settings<'_>) -> Result<Integration, ConfigError> {
    let service = (settings.own("service_key")?, settings.own("service_key_file")?);
    let routing = (settings.own("routing_key")?, settings.own("routing_key_file")?);
    let v1 = service.0.is_some() || service.1.is_some();
    if !v1 && routing.0.is_none() && routing.1.is_none() {
        return Err(settings.at.error(
            "no key for PagerDuty",
            "set `routing_key` (Events v2) or `service_key` (Events v1)",
        ));
    }
    let kind = if v1 { IntegrationKind::PagerDutyV1 } else { IntegrationKind::PagerDutyV2 };
    let mut pager = settings.integration(kind, true)?;
    (pager.key, pager.file) = if v1 { service } else { routing };
    let written = if v1 { None } else { settings.own_or_shared("url", "pagerduty_url")? };
    pager.url_is_default = written.is_none();
    pager.url =
        Some(written.unwrap_or_else(|| if v1 { PAGERDUTY_V1 } else { PAGERDUTY_V2 }.into()));
    Ok(pager)
}

fn opsgenie(settings: &Settings<'_>) -> Result<Integration, ConfigError> {
    let mut genie = settings.integration(IntegrationKind::Opsgenie, true)?;
    let written = settings.own_or_shared("api_url", "opsgenie_api_url")?;
    genie.url_is_default = written.is_none();
    let base = written.unwrap_or_else(|| OPSGENIE.into());
    genie.url = Some(format!("{}/v2/alerts", base.trim_end_matches('/')));
    genie.key = settings.own("api_key")?;
    genie.file = settings.own("api_key_file")?;
    if genie.key.is_none() && genie.file.is_none() {
        genie.key = settings.shared("opsgenie_api_key")?;
        genie.file = settings.shared("opsgenie_api_key_file")?;
    }
    if genie.key.is_none() && genie.file.is_none() {
        return Err(settings.at.error(
            "no key for Opsgenie",
            "set `api_key` here or `opsgenie_api_key` under `global`",
        ));
    }
    Ok(genie)
}

fn webhook(settings: &Settings<'_>) -> Result<Integration, ConfigError> {
    let mut hook = settings.integration(IntegrationKind::Webhook, true)?;
    hook.url = settings.own("url")?;
    hook.file = settings.own("url_file")?;
    if hook.url.is_none() && hook.file.is_none() {
        return Err(settings.at.error("no address for the webhook", "set `url`"));
    }
    Ok(hook)
}

fn email(settings: &Settings<'_>) -> Result<Integration, ConfigError> {
    let mut mail = settings.integration(IntegrationKind::Email, false)?;
    mail.recipient = settings.own("to")?;
    if mail.recipient.is_none() {
        return Err(settings.at.error("no recipient for e-mail", "set `to`"));
    }
    let Some(smarthost) = settings.own_or_shared("smarthost", "smtp_smarthost")? else {
        return Err(settings.at.error(
            "no smarthost for e-mail",
            "set `smarthost` here or `smtp_smarthost` under `global`",
        ));
    };
    if smarthost.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(settings
            .at
            .error(format!("smarthost `{smarthost}` has no port"), "write host:port"));
    }
    mail.url = Some(format!("smtp://{smarthost}"));
    Ok(mail)
}

/// An integration of a kind that is only known by where it sends.
fn passed_through(kind: &str, settings: &Settings<'_>) -> Result<Integration, ConfigError> {
    let mut passed = settings.integration(IntegrationKind::Other(kind.into()), true)?;
    for key in ["url", "api_url", "webhook_url", "incoming_webhook_url"] {
        if passed.url.is_none() {
            passed.url = settings.own(key)?;
        }
    }
    for key in ["url_file", "webhook_url_file"] {
        if passed.url.is_none() && passed.file.is_none() {
            passed.file = settings.own(key)?;
        }
    }
    if passed.url.is_none()
        && passed.file.is_none()
        && let Some((_, global_key, default)) = OTHERS.iter().find(|(name, _, _)| *name == kind)
    {
        let written = settings.shared(global_key)?;
        passed.url_is_default = written.is_none();
        passed.url = Some(written.unwrap_or_else(|| (*default).into()));
    }
    Ok(passed)
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
