//! The monitoring configuration of a stack, parsed: what is scraped, which rules watch it, who is
//! told, where traces go.
//!
//! Each file is kept twice: as a tree that loses nothing of what is written ([`Document`])
//! and as a typed view with the server's defaults filled in. Whoever changes something changes the
//! tree, and the view is read from it again, so the two can't drift apart. Nothing here speaks to a
//! server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::yaml::{ConfigError, Document, Place};

mod cursor;

pub mod alertmanager;
mod calendar;
pub mod collector;
pub mod comparison;
pub mod destination;
pub mod duration;
pub mod files;
pub mod matcher;
pub mod prometheus;
pub mod promql;
pub mod receiver;
pub mod regex;
pub mod rules;
pub mod strict;
pub mod version;

pub use alertmanager::{Alertmanager, Route, RouteMatch};
pub use collector::Collector;
pub use destination::{Destination, DestinationKind};
pub use files::{FileSet, FileText, Origin, Server, ServerKind};
pub use prometheus::{Prometheus, ScrapeJob};
pub use receiver::{Integration, IntegrationKind, Receiver};
pub use rules::{Rule, RuleGroup, RuleKind};

/// A configuration file: as written, and as understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded<T> {
    /// Everything that the file says.
    pub doc: Document,
    /// What it means, with the server's defaults filled in.
    pub view: T,
}

/// The monitoring configuration of a stack.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MonitoringConfig {
    /// In the order in which they were given, as all that follow.
    pub prometheus: Vec<PrometheusServer>,
    /// Members of a cluster stand each for itself.
    pub alertmanagers: Vec<AlertmanagerServer>,
    /// OpenTelemetry Collectors.
    pub collectors: Vec<CollectorServer>,
    /// Elasticsearch nodes.
    pub elasticsearch: Vec<ElasticsearchServer>,
    /// Blackbox exporters, those too that are only known by the jobs that go through them.
    pub probers: Vec<ProberServer>,
    /// Shippers of logs.
    pub shippers: Vec<ShipperServer>,
}

/// A Prometheus server.
#[derive(Debug, Clone, PartialEq)]
pub struct PrometheusServer {
    /// Name of its service.
    pub service: String,
    /// Its configuration file.
    pub config: Loaded<Prometheus>,
    /// Its rule files, in the order in which they are loaded.
    pub rules: Vec<Loaded<Vec<RuleGroup>>>,
    /// Patterns under `rule_files` to which no file belongs. Prometheus starts without a word about
    /// it.
    pub without_file: Vec<(String, Place)>,
    /// Flags of its command, by their names without dashes.
    pub flags: BTreeMap<String, String>,
}

impl PrometheusServer {
    /// Whether it has scrape jobs in files that were not found.
    pub fn lacks_jobs(&self) -> bool {
        let view = &self.config.view;
        let elsewhere = |job: &ScrapeJob| job.place.file != self.config.doc.file;
        !view.scrape_files.is_empty() && !view.jobs.iter().any(elsewhere)
    }
}

/// An Alertmanager.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertmanagerServer {
    /// Name of its service.
    pub service: String,
    /// Its configuration file.
    pub config: Loaded<Alertmanager>,
    /// Its template files, by the patterns that name them; none where no file was found.
    pub templates: Vec<(String, Vec<FileText>)>,
    /// Flags of its command, by their names without dashes.
    pub flags: BTreeMap<String, String>,
}

/// An OpenTelemetry Collector.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectorServer {
    /// Name of its service.
    pub service: String,
    /// Its configuration file.
    pub config: Loaded<Collector>,
    /// Its environment, which its configuration may refer to (`${env:NAME}`).
    pub environment: BTreeMap<String, String>,
}

/// An Elasticsearch node, as far as its environment configures it.
#[derive(Debug, Clone, PartialEq)]
pub struct ElasticsearchServer {
    /// Name of its service.
    pub service: String,
    /// Its settings: the variables of its environment whose names hold a dot.
    pub settings: BTreeMap<String, String>,
}

/// A blackbox exporter. It ends a probe a fixed time before the scrape's time-out
/// (`--timeout-offset`, half a second by default).
#[derive(Debug, Clone, PartialEq)]
pub struct ProberServer {
    /// Name of its service.
    pub service: String,
    /// Flags of its command, by their names without dashes.
    pub flags: BTreeMap<String, String>,
}

/// A shipper of logs (Filebeat).
#[derive(Debug, Clone, PartialEq)]
pub struct ShipperServer {
    /// Name of its service.
    pub service: String,
    /// Its configuration, and the files of inputs that it names.
    pub files: Vec<Document>,
}

/// A file as it is to be mounted instead of the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// Name of the service that reads it.
    pub service: String,
    /// The file that is replaced; for a text of the Compose file, that file.
    pub original: PathBuf,
    /// Name of the text in that file, as `configs.rules`; none for a file of its own.
    pub within: Option<String>,
    /// The new content.
    pub text: String,
}

impl MonitoringConfig {
    /// Reads and parses the configuration of these servers.
    ///
    /// # Errors
    /// Names file, line and key of what can't be read, does not parse, or would be refused by its
    /// server.
    pub fn load(servers: &[Server]) -> Result<MonitoringConfig, ConfigError> {
        let (config, errors) = MonitoringConfig::load_what_reads(servers);
        errors.into_iter().next().map_or(Ok(config), Err)
    }

    /// Reads what can be read, and says of all else what is wrong with it, in order.
    pub fn load_what_reads(servers: &[Server]) -> (MonitoringConfig, Vec<ConfigError>) {
        let (mut config, mut errors) = (MonitoringConfig::default(), Vec::new());
        for server in servers {
            if let Err(error) = config.load_one(server, &mut errors) {
                errors.push(error);
            }
        }
        // A prober that nobody named is known by the jobs that go through it.
        for host in config
            .prometheus
            .iter()
            .flat_map(|server| server.config.view.jobs.iter().filter_map(ScrapeJob::prober))
        {
            if !config.probers.iter().any(|prober| prober.service == host) {
                config
                    .probers
                    .push(ProberServer { service: host.to_owned(), flags: BTreeMap::new() });
            }
        }
        (config, errors)
    }

    fn load_one(
        &mut self,
        server: &Server,
        errors: &mut Vec<ConfigError>,
    ) -> Result<(), ConfigError> {
        let service = server.service.clone();
        let flags = files::flags(&server.command);
        match server.kind {
            ServerKind::Prometheus => {
                let mut config = configuration(server, Prometheus::read)?;
                more_of_jobs(server, &mut config.view, errors);
                let mut loaded = PrometheusServer {
                    service,
                    config,
                    rules: Vec::new(),
                    without_file: Vec::new(),
                    flags,
                };
                loaded.read_rules(server, errors);
                self.prometheus.push(loaded);
            }
            ServerKind::Alertmanager => {
                let config = configuration(server, Alertmanager::read)?;
                let texts = |pattern: &String| {
                    let found = server.named(pattern).filter_map(|file| file.ok().cloned());
                    (pattern.clone(), found.collect())
                };
                let templates = config.view.templates.iter().map(texts).collect();
                self.alertmanagers.push(AlertmanagerServer { service, config, templates, flags });
            }
            ServerKind::Collector => {
                let config = configuration(server, Collector::read)?;
                let environment = server.environment.clone();
                self.collectors.push(CollectorServer { service, config, environment });
            }
            ServerKind::Shipper => {
                let doc = document(server)?;
                let mut files = Vec::new();
                if let Some(pattern) = shipper_inputs(&doc) {
                    for file in server.named(pattern) {
                        files.push(file?.parse()?);
                    }
                }
                files.insert(0, doc);
                self.shippers.push(ShipperServer { service, files });
            }
            ServerKind::Elasticsearch => {
                let settings = server.environment.iter().filter(|(name, _)| name.contains('.'));
                let settings = settings.map(|(k, v)| (k.clone(), v.clone())).collect();
                self.elasticsearch.push(ElasticsearchServer { service, settings });
            }
            ServerKind::Prober => self.probers.push(ProberServer { service, flags }),
        }
        Ok(())
    }

    /// Every place that the configuration makes a server talk to, defaults included.
    ///
    /// # Errors
    /// Names what in a Collector's settings has the wrong shape.
    pub fn destinations(&self) -> Result<Vec<Destination>, ConfigError> {
        let mut found = Vec::new();
        for server in &self.prometheus {
            let mut collecting =
                destination::Collecting { service: &server.service, found: Vec::new() };
            collecting.prometheus(&server.config.doc, &server.config.view);
            found.append(&mut collecting.found);
        }
        for server in &self.alertmanagers {
            let mut collecting =
                destination::Collecting { service: &server.service, found: Vec::new() };
            collecting.alertmanager(&server.config.doc, &server.config.view.receivers);
            found.append(&mut collecting.found);
        }
        for server in &self.collectors {
            let mut collecting =
                destination::Collecting { service: &server.service, found: Vec::new() };
            collecting.collector(&server.config.doc, &server.config.view, &server.environment)?;
            found.append(&mut collecting.found);
        }
        Ok(found)
    }

    /// All rules with their server and group, in the order of evaluation.
    pub fn rules(&self) -> impl Iterator<Item = (&PrometheusServer, &RuleGroup, &Rule)> {
        self.prometheus.iter().flat_map(|server| {
            let groups = server.rules.iter().flat_map(|file| &file.view);
            groups.flat_map(move |group| group.rules.iter().map(move |rule| (server, group, rule)))
        })
    }

    /// Every file as it is to be mounted instead of the original.
    pub fn render(&self) -> Vec<RenderedFile> {
        let rendered = |service: &str, doc: &Document| RenderedFile {
            service: service.to_owned(),
            original: doc.file.clone(),
            within: doc.within.clone(),
            text: doc.to_yaml(),
        };
        let mut files = Vec::new();
        for server in &self.prometheus {
            files.push(rendered(&server.service, &server.config.doc));
            files.extend(server.rules.iter().map(|file| rendered(&server.service, &file.doc)));
        }
        files.extend(
            self.alertmanagers.iter().map(|server| rendered(&server.service, &server.config.doc)),
        );
        files.extend(
            self.collectors.iter().map(|server| rendered(&server.service, &server.config.doc)),
        );
        files.extend(
            self.shippers
                .iter()
                .flat_map(|server| server.files.iter().map(|doc| rendered(&server.service, doc))),
        );
        files
    }
}

impl PrometheusServer {
    /// Reads the rule files that its configuration names; what of them does not read is an error
    /// beside the rest.
    fn read_rules(&mut self, server: &Server, errors: &mut Vec<ConfigError>) {
        for (pattern, place) in &self.config.view.rule_files {
            if server.named(pattern).next().is_none() {
                self.without_file.push((pattern.clone(), place.clone()));
            }
            for file in server.named(pattern) {
                match file.and_then(FileText::parse) {
                    Ok(doc) => {
                        let (view, wrong) = rules::read_what_reads(&doc);
                        errors.extend(wrong);
                        self.rules.push(Loaded { view, doc });
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
    }
}

/// A server's own configuration file, as tree and as what it means.
fn configuration<T>(
    server: &Server,
    read: impl Fn(&Document) -> Result<T, ConfigError>,
) -> Result<Loaded<T>, ConfigError> {
    let doc = document(server)?;
    let view = read(&doc)?;
    Ok(Loaded { doc, view })
}

fn document(server: &Server) -> Result<Document, ConfigError> {
    let Some(found) = server.files.get(&server.inside) else {
        let seen = PathBuf::from(format!("service {}", server.service));
        return Err(ConfigError::of(
            &seen,
            "no configuration file is known",
            "name it under `roles` in firedrill.yaml",
        ));
    };
    found?.parse()
}

/// Adds the jobs of other files, and the targets that files hold.
fn more_of_jobs(server: &Server, view: &mut Prometheus, errors: &mut Vec<ConfigError>) {
    for (pattern, _) in view.scrape_files.clone() {
        for file in server.named(&pattern) {
            match file.and_then(FileText::parse).and_then(|doc| view.more_jobs(&doc)) {
                Ok(jobs) => {
                    for job in jobs {
                        match view.job(&job.name) {
                            Some(first) => errors.push(ConfigError::new(
                                job.place.clone(),
                                format!(
                                    "job `{}` is there twice, first in {}",
                                    job.name, first.place
                                ),
                                "Prometheus refuses this: give each job its own name",
                            )),
                            None => view.jobs.push(job),
                        }
                    }
                }
                Err(error) => errors.push(error),
            }
        }
    }
    for job in &mut view.jobs {
        for (pattern, _) in &job.target_files {
            let docs = server.named(pattern).filter_map(|file| file.and_then(FileText::parse).ok());
            job.discovered.extend(docs.flat_map(|doc| prometheus::targets_of(&doc)));
        }
    }
}

/// Patterns of the further files that a server's configuration names, which it reads as its own:
/// rules, inputs. What does not parse names none.
pub fn named_files(kind: ServerKind, configuration: &FileText) -> Vec<String> {
    let Ok(doc) = configuration.parse() else { return Vec::new() };
    match kind {
        ServerKind::Prometheus => {
            // What can't be used as a whole may name files all the same.
            let targets = Prometheus::read(&doc)
                .map(|view| view.jobs.into_iter().flat_map(|job| job.target_files).collect())
                .unwrap_or_else(|_| Vec::new());
            let targets = targets.into_iter().map(|(pattern, _)| pattern);
            let named = ["rule_files", "scrape_config_files"].map(|key| doc.texts(key));
            named.into_iter().flatten().map(str::to_owned).chain(targets).collect()
        }
        ServerKind::Alertmanager => doc.texts("templates").map(str::to_owned).collect(),
        ServerKind::Shipper => shipper_inputs(&doc).map(str::to_owned).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The pattern of a shipper's files of inputs; keys may be written with dots.
fn shipper_inputs(doc: &Document) -> Option<&str> {
    let dotted = doc.root.get_non_null("filebeat.config.inputs");
    let nested =
        || doc.root.get_non_null("filebeat")?.get_non_null("config")?.get_non_null("inputs");
    dotted.or_else(nested)?.get_non_null("path")?.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<MonitoringConfig, ConfigError> {
        let mut servers: Vec<Server> = Vec::new();
        for (name, text) in files {
            match *name {
                "prometheus.yml" => {
                    servers.push(Server::of_file(ServerKind::Prometheus, "prometheus", name, text))
                }
                "alertmanager.yml" => servers.push(Server::of_file(
                    ServerKind::Alertmanager,
                    "alertmanager",
                    name,
                    text,
                )),
                "otel.yaml" => {
                    servers.push(Server::of_file(ServerKind::Collector, "otel", name, text))
                }
                _ => servers.iter_mut().for_each(|s| {
                    s.files.insert(s.folder().join(name), FileText::on_disk(name, text))
                }),
            }
        }
        MonitoringConfig::load(&servers)
    }

    #[test]
    fn every_destination_is_found() {
        let config = load(&[
            (
                "prometheus.yml",
                "alerting: {alertmanagers: [{static_configs: [{targets: ['alertmanager:9093']}], path_prefix: /am}]}\nremote_write:\n- url: \
                 http://victoria:8428/api/v1/write\n  proxy_url: http://proxy.example:3128\n  oauth2: {token_url: 'https://issuer.example/token'}\n\
                 remote_read: [{url: 'http://victoria:8428/api/v1/read'}]\ntracing: {endpoint: 'otel:4317'}\nscrape_configs:\n- job_name: probe\n  \
                 metrics_path: /probe\n  static_configs: [{targets: ['postfix:25']}]\n  relabel_configs:\n  - {source_labels: [__address__], \
                 target_label: __param_target}\n  - {target_label: __address__, replacement: 'blackbox:9115'}\n- job_name: dns\n  dns_sd_configs: \
                 [{names: [x]}]\n",
            ),
            (
                "alertmanager.yml",
                "route: {receiver: a}\nreceivers:\n- name: a\n  pagerduty_configs: [{routing_key: r}]\n  slack_configs: [{api_url_file: /run/slack, \
                 channel: '#x'}]\n  webhook_configs: [{url: 'http://hook/x', http_config: {proxy_url: 'http://p:1'}}]\n  sns_configs: [{topic_arn: t}]\n",
            ),
            (
                "otel.yaml",
                "receivers: {otlp: }\nexporters: {otlp/jaeger: {endpoint: 'jaeger:4317'}, otlphttp: {endpoint: '${env:OUT}'}, debug: , unused: \
                 {endpoint: 'u:1'}, strange: }\nservice:\n  pipelines: {traces: {receivers: [otlp], exporters: [otlp/jaeger, otlphttp, debug, \
                 strange]}}\n  telemetry: {metrics: {readers: [{periodic: {exporter: {otlp: {endpoint: 'http://self:4318'}}}}]}}\n",
            ),
        ])
        .unwrap();
        let found = config.destinations().unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|d| {
                format!(
                    "{:?} {} {}:{} {}",
                    d.kind,
                    d.scheme,
                    d.host.as_deref().unwrap_or("?"),
                    d.port.unwrap_or(0),
                    d.path
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                "Alertmanager http alertmanager:9093 /am/api/v2/alerts",
                "RemoteWrite http victoria:8428 /api/v1/write",
                "RemoteRead http victoria:8428 /api/v1/read",
                "Tracing grpc otel:4317 ",
                "Scrape http blackbox:9115 /probe",
                "Discovery dns ?:0 ",
                "Proxy http proxy.example:3128 /",
                "TokenIssuer https issuer.example:443 /token",
                "Receiver(PagerDutyV2) https events.pagerduty.com:443 /v2/enqueue",
                "Receiver(Slack) https ?:0 ",
                "Receiver(Webhook) http hook:80 /x",
                "Receiver(Other(\"sns\")) https ?:0 ",
                "Proxy http p:1 /",
                "Exporter grpc jaeger:4317 ",
                "Exporter http ?:0 ",
                "Exporter http ?:0 ",
                "Exporter http self:4318 /",
            ]
        );
        assert!(
            found.iter().all(|d| d.host.is_some() != d.unknown.is_some()),
            "a host or a reason, never both or none"
        );
        assert!(found.iter().all(|d| d.place.line > 0), "{found:#?}");
        assert!(found[8].is_default && found[8].key.as_deref() == Some("r"));
        assert!(found[9].unknown.as_deref().unwrap().contains("/run/slack"));
        assert!(found[14].unknown.as_deref().unwrap().contains("OUT"));
    }

    #[test]
    fn a_prober_is_known_by_its_jobs() {
        let job = |name: &str, settings: &str, at: &str| {
            format!(
                "- job_name: {name}\n{settings}  relabel_configs:\n  - {{source_labels: [__address__], target_label: __param_target}}\n  - {{target_label: \
                 __address__, replacement: '{at}'}}\n"
            )
        };
        let text = [
            "scrape_configs:\n".to_owned(),
            job("p", "  metrics_path: /probe\n", "blackbox:9115"),
            "- job_name: q\n  metrics_path: /probe\n  relabel_configs:\n  - {target_label: __address__, replacement: 'gateway:1'}\n".into(),
            // A flag of the blackbox exporter would keep these from starting.
            job("redis", "  metrics_path: /scrape\n", "redis-exporter:9121"),
            job(
                "postgres",
                "  metrics_path: /probe\n  params: {auth_module: [main]}\n",
                "postgres-exporter:9187",
            ),
        ]
        .concat();
        let config = load(&[("prometheus.yml", text.as_str())]).unwrap();
        assert_eq!(
            config.probers.iter().map(|prober| prober.service.as_str()).collect::<Vec<_>>(),
            ["blackbox"]
        );
    }

    #[test]
    fn a_pattern_without_file_is_kept() {
        let config = load(&[
            ("prometheus.yml", "rule_files:\n- alert_ruls.yml\n- r*.yml\n"),
            ("rules.yml", "groups: []\n"),
        ])
        .unwrap();
        let server = &config.prometheus[0];
        assert_eq!(server.rules.len(), 1);
        assert_eq!(
            (server.without_file[0].0.as_str(), server.without_file[0].1.line),
            ("alert_ruls.yml", 2)
        );
    }

    #[test]
    fn a_rule_file_that_can_not_be_read_is_told_and_not_missed() {
        let text = "rule_files: [rules/*.yml]\n";
        let mut server = Server::of_file(ServerKind::Prometheus, "p", "prometheus.yml", text);
        let why = ConfigError::of(std::path::Path::new("rules/a.yml"), "can't be read", "");
        server.files.add(server.folder().join("rules/a.yml"), Err(why.clone()));
        let (config, errors) = MonitoringConfig::load_what_reads(&[server]);
        assert_eq!(errors, [why]);
        assert_eq!(config.prometheus[0].without_file, []);
    }

    #[test]
    fn swapped_files_are_told_apart() {
        let error = load(&[("prometheus.yml", "route: {receiver: a}\nreceivers: [{name: a}]\n")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("Alertmanager configuration")
                && error.contains("hint: are the two files swapped?"),
            "{error}"
        );
        let without = Server {
            files: FileSet::default(),
            ..Server::of_file(ServerKind::Prometheus, "p", "p.yml", "")
        };
        let missing = MonitoringConfig::load(&[without]).unwrap_err().to_string();
        assert!(missing.contains("service p") && missing.contains("hint"), "{missing}");
    }
}
