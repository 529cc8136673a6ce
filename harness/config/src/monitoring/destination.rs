//! Every place that a configuration sends to: what the containment check has to know before
//! anything starts.

use std::collections::BTreeMap;

use super::collector::{self, Class, Collector};
use super::cursor::Cursor;
use super::prometheus::Prometheus;
use super::receiver::{IntegrationKind, Receiver};
use crate::yaml::{ConfigError, Document, Node, Place, Value};

/// A place outside of the server that a configuration makes it talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Name of the service whose configuration names it.
    pub service: String,
    /// What goes there.
    pub kind: DestinationKind,
    /// What names it, as a person would: ``receiver `ops` ``, ``exporter `otlp/jaeger` ``.
    pub owner: String,
    /// `http`, `https`, `smtp`, `grpc` or what the file says.
    pub scheme: String,
    /// Host name or address; none where it can't be known from the configuration, see `unknown`.
    pub host: Option<String>,
    /// Port, with the scheme's default filled in.
    pub port: Option<u16>,
    /// Path with its query, `/` at least; empty for protocols without paths.
    pub path: String,
    /// Key that goes along, where it stands in the file.
    pub key: Option<String>,
    /// Channel of Slack or recipient of e-mail, as written.
    pub recipient: Option<String>,
    /// Whether the address is the server's default and not written in the file.
    pub is_default: bool,
    /// Why the host can't be known: the containment check must refuse such a destination, or be
    /// told.
    pub unknown: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// What goes to a destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DestinationKind {
    /// Notifications, by this protocol.
    Receiver(IntegrationKind),
    /// Alerts, to an Alertmanager.
    Alertmanager,
    /// Samples, by remote write.
    RemoteWrite,
    /// Queries for samples, by remote read.
    RemoteRead,
    /// Spans of the server itself.
    Tracing,
    /// Telemetry that a Collector's exporter sends.
    Exporter,
    /// Everything that goes through a proxy.
    Proxy,
    /// Credentials, to an issuer of tokens.
    TokenIssuer,
    /// Requests for metrics.
    Scrape,
    /// Questions for targets to a service discovery.
    Discovery,
}

impl Destination {
    /// Scheme, host and port, the port where it is not the scheme's own. Path and login may be keys
    /// and are never shown.
    pub fn server(&self) -> Option<String> {
        let host = self.host.as_ref()?;
        let usual = self.port.is_none() || self.port == usual_port(&self.scheme);
        let port = self.port.filter(|_| !usual).map_or(String::new(), |port| format!(":{port}"));
        Some(if host.contains(':') {
            format!("{}://[{host}]{port}", self.scheme)
        } else {
            format!("{}://{host}{port}", self.scheme)
        })
    }
}

impl DestinationKind {
    /// Whether something of the stack goes there, and not only a question: these must never lead
    /// outside.
    pub fn sends(&self) -> bool {
        !matches!(self, DestinationKind::Scrape | DestinationKind::Discovery)
    }
}

/// Builds destinations of one service.
pub(super) struct Collecting<'a> {
    pub(super) service: &'a str,
    pub(super) found: Vec<Destination>,
}

impl Collecting<'_> {
    fn add(
        &mut self,
        kind: DestinationKind,
        owner: String,
        address: &str,
        scheme: &str,
        place: Place,
    ) -> &mut Destination {
        let mut made = Destination {
            service: self.service.to_owned(),
            kind,
            owner,
            scheme: scheme.to_owned(),
            host: None,
            port: None,
            path: String::new(),
            key: None,
            recipient: None,
            is_default: false,
            unknown: None,
            place,
        };
        match split(address, scheme) {
            Some((scheme, host, port, path)) => {
                (made.scheme, made.host, made.port, made.path) = (scheme, Some(host), port, path);
            }
            None if address.is_empty() => {
                made.unknown = Some("no address stands in the file".into())
            }
            // What stands there instead of an address may be a key.
            None => {
                made.unknown =
                    Some("what stands there is no address: wanted scheme://host:port/path".into())
            }
        }
        self.found.push(made);
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    pub(super) fn prometheus(&mut self, doc: &Document, config: &Prometheus) {
        for (index, manager) in config.alertmanagers.iter().enumerate() {
            let owner = format!("alerting.alertmanagers[{index}]");
            for (target, place) in &manager.targets {
                let path = format!("{}/api/v2/alerts", manager.path_prefix.trim_end_matches('/'));
                let address = format!("{}://{target}{path}", manager.scheme);
                self.add(
                    DestinationKind::Alertmanager,
                    owner.clone(),
                    &address,
                    &manager.scheme,
                    place.clone(),
                );
            }
            self.discoveries(DestinationKind::Alertmanager, &owner, &manager.discoveries);
        }
        for (what, kind, remotes) in [
            ("remote_write", DestinationKind::RemoteWrite, &config.remote_writes),
            ("remote_read", DestinationKind::RemoteRead, &config.remote_reads),
        ] {
            for (index, remote) in remotes.iter().enumerate() {
                self.add(
                    kind.clone(),
                    format!("{what}[{index}]"),
                    &remote.url,
                    "http",
                    remote.place.clone(),
                );
            }
        }
        if let Some((endpoint, place)) = &config.tracing {
            self.add(DestinationKind::Tracing, "tracing".into(), endpoint, "grpc", place.clone());
        }
        for job in &config.jobs {
            let owner = format!("job `{}`", job.name);
            for (target, place) in job.static_configs.iter().flat_map(|group| &group.targets) {
                let asked = job.fixed_address().unwrap_or(target);
                let address = format!("{}://{asked}{}", job.scheme, job.metrics_path);
                self.add(
                    DestinationKind::Scrape,
                    owner.clone(),
                    &address,
                    &job.scheme,
                    place.clone(),
                );
            }
            self.discoveries(DestinationKind::Discovery, &owner, &job.discoveries);
        }
        self.side_doors(doc, &BTreeMap::new());
    }

    fn discoveries(&mut self, kind: DestinationKind, owner: &str, found: &[(String, Place)]) {
        for (how, place) in found {
            let made = self.add(kind.clone(), owner.to_owned(), "", how, place.clone());
            made.unknown = Some(format!("targets come from {how} service discovery"));
        }
    }

    pub(super) fn alertmanager(&mut self, doc: &Document, receivers: &[Receiver]) {
        for receiver in receivers {
            for integration in &receiver.integrations {
                let url = integration.url.clone().unwrap_or_default();
                let kind = DestinationKind::Receiver(integration.kind.clone());
                let made = self.add(
                    kind,
                    format!("receiver `{}`", receiver.name),
                    &url,
                    "https",
                    integration.place.clone(),
                );
                made.key.clone_from(&integration.key);
                made.recipient.clone_from(&integration.recipient);
                made.is_default = integration.url_is_default;
                if integration.url.is_none() {
                    made.unknown = Some(match &integration.file {
                        Some(file) => {
                            format!("its address stands in the file {file} inside the container")
                        }
                        None => format!(
                            "the address of kind `{}` is not known here",
                            integration.kind.name()
                        ),
                    });
                } else if url.contains("{{") {
                    made.host = None;
                    made.unknown = Some("its address is a template".into());
                }
            }
        }
        self.side_doors(doc, &BTreeMap::new());
    }

    pub(super) fn collector(
        &mut self,
        doc: &Document,
        config: &Collector,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        let root = Cursor::root(doc);
        for component in config.components.iter().filter(|component| config.is_used(component)) {
            let settings =
                root.get(component.class.key()).and_then(|class| class.get(&component.id));
            let owner =
                format!("{} `{}`", component.class.key().trim_end_matches('s'), component.id);
            match component.class {
                Class::Exporter => self.exporter(
                    component.kind(),
                    &owner,
                    settings.as_ref(),
                    &component.place,
                    environment,
                )?,
                Class::Receiver if component.kind() == "prometheus" => {
                    let Some(inner) = settings.and_then(|settings| settings.get("config")) else {
                        continue;
                    };
                    for job in inner.items("scrape_configs")? {
                        for group in job.items("static_configs")? {
                            for target in group.items("targets")? {
                                let address = target.text()?;
                                self.expanded(
                                    DestinationKind::Scrape,
                                    owner.clone(),
                                    &address,
                                    "http",
                                    target.place(),
                                    environment,
                                );
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        // The Collector's own telemetry can be exported as well.
        if let Some(telemetry) = root.get("service").and_then(|service| service.get("telemetry")) {
            let mut stack = vec![telemetry];
            while let Some(at) = stack.pop() {
                match &at.node.value {
                    Value::Map(_) => {
                        for (key, child) in at.entries()? {
                            if key == "endpoint" && child.node.text().is_some() {
                                let address = child.text()?;
                                self.expanded(
                                    DestinationKind::Exporter,
                                    "own telemetry".into(),
                                    &address,
                                    "http",
                                    child.place(),
                                    environment,
                                );
                            } else {
                                stack.push(child);
                            }
                        }
                    }
                    Value::List(_) => stack.extend(at.list()?),
                    Value::Scalar(_) => {}
                }
            }
        }
        self.side_doors(doc, environment);
        Ok(())
    }

    fn exporter(
        &mut self,
        kind: &str,
        owner: &str,
        settings: Option<&Cursor<'_>>,
        place: &Place,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        // These write to the console, to a file or nowhere, or listen.
        if matches!(kind, "debug" | "logging" | "nop" | "file" | "prometheus") {
            return Ok(());
        }
        let scheme = if kind == "otlp" || kind == "opencensus" { "grpc" } else { "http" };
        let mut addresses: Vec<(String, Place)> = Vec::new();
        if let Some(settings) = settings {
            for key in [
                "endpoint",
                "traces_endpoint",
                "metrics_endpoint",
                "logs_endpoint",
                "profiles_endpoint",
                "url",
                "server_address",
            ] {
                if let Some(at) = settings.get(key) {
                    addresses.push((at.text()?, at.place()));
                }
            }
            for key in ["endpoints", "brokers", "hosts"] {
                if let Some(at) = settings.get(key) {
                    let items =
                        if matches!(at.node.value, Value::List(_)) { at.list()? } else { vec![at] };
                    for item in items {
                        addresses.push((item.text()?, item.place()));
                    }
                }
            }
            if let Some(resolver) = settings.get("resolver") {
                for item in resolver
                    .get("static")
                    .map_or_else(|| Ok(Vec::new()), |fixed| fixed.items("hostnames"))?
                {
                    addresses.push((item.text()?, item.place()));
                }
                if let Some(at) = resolver.get("dns").and_then(|dns| dns.get("hostname")) {
                    addresses.push((at.text()?, at.place()));
                }
            }
        }
        if kind == "kafka" && addresses.is_empty() {
            addresses.push(("localhost:9092".into(), place.clone()));
        }
        if addresses.is_empty() {
            let made =
                self.add(DestinationKind::Exporter, owner.to_owned(), "", scheme, place.clone());
            made.unknown =
                Some(format!("an exporter of kind `{kind}` whose address is not known here"));
        }
        for (address, place) in addresses {
            self.expanded(
                DestinationKind::Exporter,
                owner.to_owned(),
                &address,
                scheme,
                place,
                environment,
            );
        }
        Ok(())
    }

    fn expanded(
        &mut self,
        kind: DestinationKind,
        owner: String,
        address: &str,
        scheme: &str,
        place: Place,
        environment: &BTreeMap<String, String>,
    ) {
        match collector::expand(address, environment) {
            Ok(address) => {
                self.add(kind, owner, &address, scheme, place);
            }
            Err(problem) => self.add(kind, owner, "", scheme, place).unknown = Some(problem),
        }
    }

    /// Proxies and issuers of tokens, which may stand beside any client's settings.
    fn side_doors(&mut self, doc: &Document, environment: &BTreeMap<String, String>) {
        let mut found = Vec::new();
        find_keys(&doc.root, String::new(), &["proxy_url", "token_url"], &mut found);
        for (key, node) in found {
            let Some(address) = node.text() else { continue };
            let kind = if key.ends_with("proxy_url") {
                DestinationKind::Proxy
            } else {
                DestinationKind::TokenIssuer
            };
            let place = Place::new(&doc.file, node.line_where_used, key.clone());
            self.expanded(kind, key, address, "http", place, environment);
        }
    }
}

fn find_keys<'a>(node: &'a Node, at: String, keys: &[&str], found: &mut Vec<(String, &'a Node)>) {
    for (key, child) in node.entries() {
        let below = if at.is_empty() { key.name.clone() } else { format!("{at}.{}", key.name) };
        if keys.contains(&key.name.as_str()) {
            found.push((below.clone(), child));
        }
        find_keys(child, below, keys, found);
    }
    for (index, child) in node.items().iter().enumerate() {
        find_keys(child, format!("{at}[{index}]"), keys, found);
    }
}

fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "smtp" => Some(25),
        _ => None,
    }
}

/// Splits `scheme://user@host:port/path` or `host:port/path` into its parts.
fn split(address: &str, scheme: &str) -> Option<(String, String, Option<u16>, String)> {
    let (scheme, rest) = match address.split_once("://") {
        Some((written, rest)) => (written.to_ascii_lowercase(), rest),
        None => (scheme.to_owned(), address),
    };
    // gRPC's `dns:///host:port`, with an optional authority.
    let rest = if matches!(scheme.as_str(), "dns" | "passthrough") {
        rest.rsplit('/').next()?
    } else {
        rest
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host_port = authority.rsplit('@').next()?;
    let (host, port) = if let Some(inside) = host_port.strip_prefix('[') {
        let (host, after) = inside.split_once(']')?;
        (host, after.strip_prefix(':'))
    } else {
        match host_port.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host_port, None),
        }
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "{}<>\"'$".contains(c)) {
        return None;
    }
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => usual_port(&scheme),
    };
    let path = match scheme.as_str() {
        "http" | "https" if path.is_empty() => "/".to_owned(),
        "http" | "https" if !path.starts_with('/') => format!("/{path}"),
        _ => path.to_owned(),
    };
    Some((scheme, host.to_ascii_lowercase(), port, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split() {
        let parts = |text: &str, scheme: &str| {
            split(text, scheme).map(|(s, h, p, path)| format!("{s} {h} {p:?} {path}"))
        };
        assert_eq!(
            parts("https://hooks.slack.com/services/T/B/x", "http").unwrap(),
            "https hooks.slack.com Some(443) /services/T/B/x"
        );
        assert_eq!(
            parts("http://u:p@Host:8080?x=1", "http").unwrap(),
            "http host Some(8080) /?x=1"
        );
        assert_eq!(parts("jaeger:4317", "grpc").unwrap(), "grpc jaeger Some(4317) ");
        assert_eq!(parts("http://[::1]:9/", "http").unwrap(), "http ::1 Some(9) /");
        assert_eq!(parts("smtp://relay:587", "http").unwrap(), "smtp relay Some(587) ");
        assert_eq!(parts("dns:///jaeger:4317", "grpc").unwrap(), "dns jaeger Some(4317) ");
        for wrong in ["", "http://", "http://a b/", "host:port", "https://{{ .x }}/"] {
            assert_eq!(split(wrong, "http"), None, "{wrong}");
        }
    }
}
