//! Targets and Alertmanagers that are not where the configuration says.

use super::{Findings, LintContext, discover};
use config::monitoring::{AlertmanagerServer, PrometheusServer};

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    for server in &subject.config.prometheus {
        if subject.knows_services() {
            scraped(subject, server, findings);
        }
        old_api(subject, server, findings);
        for manager in &server.config.view.alertmanagers {
            let prefix = manager.path_prefix.trim_matches('/');
            for (target, place) in &manager.targets {
                let host = target.split(':').next().unwrap_or(target);
                let known = subject.hosts.get(host).and_then(|service| {
                    subject.config.alertmanagers.iter().find(|one| one.service == *service)
                });
                match known {
                    Some(known) if prefix_of(known) != prefix => findings.error(
                        "alertmanager-address",
                        place,
                        format!(
                            "alerts are sent to /{prefix} of {host}, which answers under /{}",
                            prefix_of(known)
                        ),
                        "let `path_prefix` here be --web.route-prefix of Alertmanager",
                    ),
                    None if !prefix.is_empty() => findings.note(
                        "alertmanager-address",
                        place,
                        format!("alerts are sent to /{prefix} of {host}: it answers there only with --web.route-prefix=/{prefix}"),
                        "leave `path_prefix` out, unless Alertmanager is started so",
                    ),
                    _ => {}
                }
            }
        }
    }
}

/// The prefix under which an Alertmanager answers.
fn prefix_of(manager: &AlertmanagerServer) -> &str {
    let path = |url: &'static str| {
        let text = manager.flags.get(url)?;
        let rest = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
        Some(rest.split_once('/').map_or("", |(_, path)| path))
    };
    let told = manager.flags.get("web.route-prefix").map(String::as_str);
    told.or_else(|| path("web.external-url")).unwrap_or_default().trim_matches('/')
}

/// Static targets that no service of the stack is.
fn scraped(subject: &LintContext<'_>, server: &PrometheusServer, findings: &mut Findings) {
    for job in &server.config.view.jobs {
        // A prober is asked about anything.
        if job.fixed_address().is_some() {
            continue;
        }
        for (target, place) in job.static_configs.iter().flat_map(|group| &group.targets) {
            let (host, port) = target.rsplit_once(':').unwrap_or((target, ""));
            let itself = ["localhost", "127.0.0.1"].contains(&host);
            if itself && subject.networks.sharing.contains(&server.service) {
                continue;
            }
            if subject.hosts.contains_key(host) || host.contains('/') || host.contains("${") {
                continue;
            }
            if let Some(service) = subject.absent.get(host) {
                findings.note(
                    "target-is-no-service",
                    place,
                    format!(
                        "job `{}` scrapes `{target}`, and no profile turns {service} on",
                        job.name
                    ),
                    "turn its profile on, or remove the target",
                );
            } else if itself && port != "9090" && !port.is_empty() {
                findings.note(
                    "target-is-no-service",
                    place,
                    format!("job `{}` scrapes `{target}`, which is {} itself: in its container nothing else listens", job.name, server.service),
                    "name the service that is meant",
                );
            } else if !itself {
                findings.note(
                    "target-is-no-service",
                    place,
                    format!("job `{}` scrapes `{target}`, and no service of the Compose file is called {host}", job.name),
                    discover::unknown_host(host, &subject.hosts),
                );
            }
        }
    }
}

/// The first API of Alertmanager, which is gone.
fn old_api(subject: &LintContext<'_>, server: &PrometheusServer, findings: &mut Findings) {
    let refused = subject.versions.get(&server.service).is_some_and(|version| version.0 >= 3);
    let doc = &server.config.doc;
    let managers =
        doc.root.get_non_null("alerting").and_then(|node| node.get_non_null("alertmanagers"));
    for manager in managers.map(|node| node.items()).unwrap_or_default() {
        let Some(node) = manager.get_non_null("api_version") else { continue };
        if node.text() == Some("v1") && !refused {
            findings.warning(
                "api-version",
                &doc.place_of(node, "api_version"),
                "`api_version: v1`: Alertmanager from 0.27 on does not have it, and Prometheus 3 does not start with it",
                "remove it: v2 is the default",
            );
        }
    }
}
