//! What keeps a notification from getting to anybody: templates, addresses, silence.

use super::routes::Reached;
use super::{Findings, LintContext};
use config::monitoring::{Alertmanager, AlertmanagerServer, IntegrationKind, Route, duration};
use config::yaml::{Node, Place};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

/// How long Alertmanager keeps what it told, unless a flag says otherwise.
const RETENTION: Duration = Duration::from_secs(120 * 3600);

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    for manager in &subject.config.alertmanagers {
        let view = &manager.config.view;
        templates(subject, manager, findings);
        let flag = manager.flags.get("data.retention").and_then(|text| duration::parse(text).ok());
        silent(view, &view.route, flag.unwrap_or(RETENTION), None, findings);
        integrations(subject, manager, findings);
    }
}

/// Names that a text defines (`define`, `block`), and those that it uses (`template`).
fn names(text: &str) -> [BTreeSet<String>; 2] {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"\{\{-?\s*(define|block|template)\s+["`]([^"`]+)["`]"#)
            .unwrap_or_else(|_| unreachable!("the expression is fixed"))
    });
    let (mut defined, mut used) = (BTreeSet::new(), BTreeSet::new());
    for found in NAMED.captures_iter(text) {
        let into = if &found[1] == "template" { &mut used } else { &mut defined };
        into.insert(found[2].to_owned());
    }
    [defined, used]
}

/// Texts of the receivers, with where each stands.
fn texts<'a>(node: &'a Node, found: &mut Vec<&'a Node>) {
    if node.text().is_some_and(|text| text.contains("{{")) {
        found.push(node);
    }
    node.items().iter().for_each(|item| texts(item, found));
    node.entries().iter().for_each(|(_, value)| texts(value, found));
}

fn templates(subject: &LintContext<'_>, manager: &AlertmanagerServer, findings: &mut Findings) {
    let doc = &manager.config.doc;
    let at = |node: &Node| doc.place_of(node, "");
    let files = manager.templates.iter().flat_map(|(_, files)| files);
    let defined: BTreeSet<String> = files.flat_map(|file| names(&file.text)[0].clone()).collect();
    let missing: Vec<&String> = manager
        .templates
        .iter()
        .filter(|(_, files)| files.is_empty())
        .map(|(pattern, _)| pattern)
        .collect();
    // What lies outside of the configuration's folder is known by a Compose file's mounts only.
    let elsewhere =
        !subject.knows_services() && missing.iter().any(|pattern| pattern.starts_with('/'));
    let mut used = Vec::new();
    if let Some(receivers) = doc.root.get_non_null("receivers") {
        texts(receivers, &mut used);
    }
    let mut lacking = None;
    for node in used {
        let text = node.text().unwrap_or_default();
        if text.matches("{{").count() > text.matches("}}").count() {
            findings.error("template", &at(node), "`{{` without `}}`", "close the action with }}");
        }
        let [own, used] = names(text);
        for name in used {
            let brought = name.starts_with("__") || name.contains(".default");
            if brought || defined.contains(&name) || own.contains(&name) {
                continue;
            }
            if missing.is_empty() {
                findings.error(
                    "template-undefined",
                    &at(node),
                    format!("template `{name}` is defined nowhere: each notification of this receiver fails"),
                    "define it in a file under `templates`, or correct the name",
                );
            }
            lacking = lacking.or(Some(name));
        }
    }
    let patterns = doc.root.get_non_null("templates").map(Node::items).unwrap_or_default();
    for node in patterns.iter().filter(|node| {
        node.text().is_some_and(|text| missing.iter().any(|pattern| *pattern == text))
    }) {
        let pattern = node.text().unwrap_or_default();
        let what = format!(
            "no file belongs to the pattern `{pattern}`; Alertmanager starts without a word about it"
        );
        let hint =
            "correct the pattern, which is relative to this file's folder, or mount the files";
        match &lacking {
            Some(name) if !elsewhere => findings.error(
                "template-file-missing",
                &at(node),
                format!("{what}, and notifications with template `{name}` fail"),
                hint,
            ),
            _ => findings.note("template-file-missing", &at(node), what, hint),
        }
    }
}

/// Routes that never speak, or forget that they did.
fn silent(
    view: &Alertmanager,
    route: &Route,
    retention: Duration,
    above: Option<Duration>,
    findings: &mut Findings,
) {
    if let Some(name) = route.mute.iter().find(|name| view.always.contains(name)) {
        findings.warning(
            "muted-always",
            &route.place,
            format!("the route to `{}` is silent at any time: `{name}` never ends", route.receiver),
            "correct the time interval, or remove the route",
        );
    }
    if route.repeat_interval > retention && above != Some(route.repeat_interval) {
        findings.warning(
            "repeat-over-retention",
            &route.place,
            format!(
                "reminders of `{}` are asked for every {}, and Alertmanager forgets after {} that it told anybody: they come that often",
                route.receiver,
                duration::format(route.repeat_interval),
                duration::format(retention)
            ),
            "shorten `repeat_interval`, or raise --data.retention",
        );
    }
    for child in &route.routes {
        silent(view, child, retention, Some(route.repeat_interval), findings);
    }
}

fn integrations(subject: &LintContext<'_>, manager: &AlertmanagerServer, findings: &mut Findings) {
    let doc = &manager.config.doc;
    let view = &manager.config.view;
    // Whoever waits for what always fires to fall silent has no use for its end.
    let waits = |receiver: &str| {
        let reaching = Reached::of(subject.alerts, view).by_receiver(view, receiver);
        !reaching.is_empty() && reaching.iter().all(|alert| alert.always_fires())
    };
    for receiver in &view.receivers {
        for one in &receiver.integrations {
            if !one.send_resolved
                && !matches!(one.kind, IntegrationKind::Slack | IntegrationKind::Email)
                && said_so(&doc.root, &one.place)
                && !waits(&receiver.name)
            {
                findings.note(
                    "never-all-clear",
                    &one.place,
                    format!("receiver `{}` is never told that an alert is over", receiver.name),
                    "leave `send_resolved: false` out",
                );
            }
            if subject.knows_services() {
                nowhere(subject, manager, &receiver.name, one, findings);
            }
        }
    }
    let receivers = doc.root.get_non_null("receivers").map(Node::items).unwrap_or_default();
    let hooks = receivers.iter().flat_map(|receiver| {
        receiver.get_non_null("webhook_configs").map(Node::items).unwrap_or_default()
    });
    for node in hooks.filter_map(|hook| hook.get_non_null("max_alerts")) {
        let most = node.text().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        if most > 0 && most < 5 {
            findings.note(
                "limit-too-small",
                &doc.place_of(node, "max_alerts"),
                format!("of a group only {most} alerts are told, the others are left out"),
                "raise `max_alerts`, or leave it out",
            );
        }
    }
}

/// Whether the file says that this integration is not told of resolutions.
fn said_so(root: &Node, place: &Place) -> bool {
    let keys: Vec<String> =
        place.key.replace('[', ".").replace(']', "").split('.').map(str::to_owned).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    root.deepest(&keys).get_non_null("send_resolved").is_some()
}

fn nowhere(
    subject: &LintContext<'_>,
    manager: &AlertmanagerServer,
    receiver: &str,
    one: &config::monitoring::Integration,
    findings: &mut Findings,
) {
    let Some(rest) = one.url.as_deref().and_then(|url| url.split_once("://")).map(|(_, rest)| rest)
    else {
        return;
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    let host =
        authority.rsplit('@').next().unwrap_or(authority).split(':').next().unwrap_or_default();
    // There others listen too.
    if subject.networks.sharing.contains(&manager.service) {
        return;
    }
    let what = if ["localhost", "127.0.0.1", "0.0.0.0"].contains(&host) {
        format!("`{host}` is the container of {} itself, where nobody listens", manager.service)
    } else if subject.hosts.get(host) == Some(&manager.service) {
        format!("`{host}` is {} itself: it does not take its own notifications", manager.service)
    } else if let Some(service) = subject.absent.get(host) {
        format!("service {service} does not run: no profile turns it on")
    } else {
        return;
    };
    findings.error(
        "receiver-leads-nowhere",
        &one.place,
        format!("receiver `{receiver}` leads nowhere: {what}"),
        "name a service that takes notifications, or turn its profile on",
    );
}
