//! What is needed of a Prometheus configuration file, with the server's defaults filled in.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cursor::Cursor;
use crate::yaml::{ConfigError, Document, Place};

/// `global.scrape_interval` and `global.evaluation_interval` where the file states none, as all
/// defaults here by <https://prometheus.io/docs/prometheus/latest/configuration/configuration/>.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
/// `global.scrape_timeout` where the file states none and the interval is no shorter.
pub const DEFAULT_SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// A Prometheus configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Prometheus {
    /// What holds for all jobs and groups that state nothing else.
    pub global: Global,
    /// Scrape jobs, in the order of the file.
    pub jobs: Vec<ScrapeJob>,
    /// Patterns of rule files, as written.
    pub rule_files: Vec<(String, Place)>,
    /// Patterns of files with more scrape jobs, as written.
    pub scrape_files: Vec<(String, Place)>,
    /// Alertmanagers that alerts are sent to.
    pub alertmanagers: Vec<AlertmanagerTarget>,
    /// How labels of alerts are rewritten before they are sent, in order.
    pub alert_relabels: Vec<Relabel>,
    /// Stores that samples are written to.
    pub remote_writes: Vec<Remote>,
    /// Stores that samples are read from, besides its own.
    pub remote_reads: Vec<Remote>,
    /// Where the server sends spans of its own, as `host:port`.
    pub tracing: Option<(String, Place)>,
}

/// What holds for all jobs and groups that state nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// Time between scrapes of a target.
    pub scrape_interval: Duration,
    /// How long a scrape may take.
    pub scrape_timeout: Duration,
    /// Time between evaluations of a group.
    pub evaluation_interval: Duration,
    /// By how much evaluations look back (from Prometheus 2.53).
    pub rule_query_offset: Duration,
    /// Labels added to everything that leaves the server.
    pub external_labels: BTreeMap<String, String>,
}

/// A scrape job.
#[derive(Debug, Clone, PartialEq)]
pub struct ScrapeJob {
    /// Its name, the label `job` of its series.
    pub name: String,
    /// Time between scrapes of a target.
    pub interval: Duration,
    /// How long a scrape may take, at most the interval.
    pub timeout: Duration,
    /// Path asked for; default `/metrics`.
    pub metrics_path: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Parameters of the query, each with its values.
    pub params: BTreeMap<String, Vec<String>>,
    /// Whether labels of the target win over the server's.
    pub honor_labels: bool,
    /// Targets that stand in the file.
    pub static_configs: Vec<StaticConfig>,
    /// Kinds of service discovery, as `dns` or `kubernetes`, and where each stands.
    pub discoveries: Vec<(String, Place)>,
    /// Patterns of files that targets are read from.
    pub target_files: Vec<(String, Place)>,
    /// What those files hold, as far as they were found.
    pub discovered: Vec<StaticConfig>,
    /// How labels of targets are rewritten, in order.
    pub relabels: Vec<Relabel>,
    /// How labels of samples are rewritten, in order.
    pub metric_relabels: Vec<Relabel>,
    /// Where it stands.
    pub place: Place,
}

/// Targets that stand in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticConfig {
    /// Addresses, `host:port` each, with where they stand.
    pub targets: Vec<(String, Place)>,
    /// Labels of these targets.
    pub labels: BTreeMap<String, String>,
}

/// A rule by which labels are rewritten, with its defaults filled in:
/// <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relabel {
    /// Names of the labels whose values are joined.
    pub source_labels: Vec<String>,
    /// Text between them; default `;`.
    pub separator: String,
    /// Anchored regular expression; default `(.*)`.
    pub regex: String,
    /// Name of the label that is written.
    pub target_label: String,
    /// What is written there; default `$1`.
    pub replacement: String,
    /// What the rule does; default `replace`.
    pub action: String,
}

/// An Alertmanager that alerts are sent to.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertmanagerTarget {
    /// `http` or `https`.
    pub scheme: String,
    /// What stands before `/api/v2/alerts` in the path.
    pub path_prefix: String,
    /// Addresses, `host:port` each, with where they stand.
    pub targets: Vec<(String, Place)>,
    /// How long sending may take; default 10 s.
    pub timeout: Duration,
    /// Kinds of service discovery, as `dns`, and where each stands.
    pub discoveries: Vec<(String, Place)>,
    /// Where it stands.
    pub place: Place,
}

/// A remote store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its address, as written.
    pub url: String,
    /// Where it stands.
    pub place: Place,
}

impl ScrapeJob {
    /// Address that is asked instead of each target, where relabelling fixes one: proxies and
    /// probes work like that.
    pub fn fixed_address(&self) -> Option<&str> {
        let fixed = self.relabels.iter().rev().find(|rule| {
            rule.target_label == "__address__"
                && rule.action == "replace"
                && !rule.replacement.contains('$')
                && rule.regex == "(.*)"
        });
        fixed.map(|rule| rule.replacement.as_str())
    }

    /// Host of the blackbox exporter that the job goes through: it is asked at `/probe` with the
    /// target as a parameter. Exporters that ask a server that the scrape names look like it, and
    /// know none of its flags: they have another path (`/scrape`, `/snmp`), or take the name of a
    /// login (`auth_module`).
    pub fn prober(&self) -> Option<&str> {
        let told = |name: &str| {
            let label = format!("__param_{name}");
            self.params.contains_key(name) || self.relabels.iter().any(|r| r.target_label == label)
        };
        let probes = self.metrics_path == "/probe" && told("target") && !told("auth_module");
        self.fixed_address().filter(|_| probes).and_then(|address| address.split(':').next())
    }
}

impl Prometheus {
    /// Reads the typed view of a document. Keys that it does not know are left to the server.
    ///
    /// # Errors
    /// Names file, line and key of what has the wrong shape.
    pub fn read(doc: &Document) -> Result<Prometheus, ConfigError> {
        let root = Cursor::root(doc);
        root.expect_map()?;
        if root.get("groups").is_some() && root.get("scrape_configs").is_none() {
            return Err(root.error(
                "this is a rule file, wanted a Prometheus configuration",
                "name it under `rule_files` instead",
            ));
        }
        if root.get("route").is_some() && root.get("receivers").is_some() {
            return Err(root.error(
                "this is an Alertmanager configuration, wanted one of Prometheus",
                "are the two files swapped?",
            ));
        }
        let global = read_global(&root)?;
        let jobs = read_jobs(&root, &global)?;
        let patterns = |key: &str| -> Result<Vec<(String, Place)>, ConfigError> {
            root.items(key)?.iter().map(|at| Ok((at.text()?, at.place()))).collect()
        };
        let rule_files = patterns("rule_files")?;
        let scrape_files = patterns("scrape_config_files")?;
        let mut alertmanagers = Vec::new();
        let mut alert_relabels = Vec::new();
        if let Some(alerting) = root.get("alerting") {
            for at in alerting.items("alertmanagers")? {
                alertmanagers.push(read_alertmanager(&at)?);
            }
            alert_relabels = read_relabels(&alerting, "alert_relabel_configs")?;
        }
        let tracing = match root.get("tracing").and_then(|at| at.get("endpoint")) {
            Some(at) => Some((at.text()?, at.place())),
            None => None,
        };
        Ok(Prometheus {
            global,
            jobs,
            rule_files,
            scrape_files,
            alertmanagers,
            alert_relabels,
            remote_writes: read_remotes(&root, "remote_write")?,
            remote_reads: read_remotes(&root, "remote_read")?,
            tracing,
        })
    }

    /// The scrape jobs of a file under `scrape_config_files`.
    ///
    /// # Errors
    /// Names file, line and key of what has the wrong shape.
    pub fn more_jobs(&self, doc: &Document) -> Result<Vec<ScrapeJob>, ConfigError> {
        read_jobs(&Cursor::root(doc), &self.global)
    }

    /// The job of that name.
    pub fn job(&self, name: &str) -> Option<&ScrapeJob> {
        self.jobs.iter().find(|job| job.name == name)
    }
}

fn read_global(root: &Cursor<'_>) -> Result<Global, ConfigError> {
    let Some(global) = root.get("global") else {
        return Ok(Global {
            scrape_interval: DEFAULT_INTERVAL,
            scrape_timeout: DEFAULT_SCRAPE_TIMEOUT,
            evaluation_interval: DEFAULT_INTERVAL,
            rule_query_offset: Duration::ZERO,
            external_labels: BTreeMap::new(),
        });
    };
    let unless_zero =
        |duration: Option<Duration>, default| duration.filter(|d| !d.is_zero()).unwrap_or(default);
    let scrape_interval = unless_zero(global.duration("scrape_interval")?, DEFAULT_INTERVAL);
    let timeout = global.duration("scrape_timeout")?.filter(|timeout| !timeout.is_zero());
    if let Some(timeout) = timeout
        && timeout > scrape_interval
    {
        return Err(global.error(
            "scrape_timeout is longer than scrape_interval",
            "Prometheus refuses this: shorten scrape_timeout",
        ));
    }
    Ok(Global {
        scrape_interval,
        scrape_timeout: timeout.unwrap_or(DEFAULT_SCRAPE_TIMEOUT.min(scrape_interval)),
        evaluation_interval: unless_zero(global.duration("evaluation_interval")?, DEFAULT_INTERVAL),
        rule_query_offset: global.duration("rule_query_offset")?.unwrap_or_default(),
        external_labels: global.text_map("external_labels")?,
    })
}

fn read_jobs(root: &Cursor<'_>, global: &Global) -> Result<Vec<ScrapeJob>, ConfigError> {
    let mut jobs: Vec<ScrapeJob> = Vec::new();
    for at in root.items("scrape_configs")? {
        let job = read_job(&at, global)?;
        if let Some(first) = jobs.iter().find(|other| other.name == job.name) {
            let problem =
                format!("job `{}` is there twice, first in line {}", job.name, first.place.line);
            return Err(at.error(problem, "Prometheus refuses this: give each job its own name"));
        }
        jobs.push(job);
    }
    Ok(jobs)
}

/// The targets of a file that targets are read from; none of what has another shape.
pub(super) fn targets_of(doc: &Document) -> Vec<StaticConfig> {
    let groups = Cursor::root(doc).list().unwrap_or_default();
    let texts = |group: &Cursor<'_>| -> Option<StaticConfig> {
        let targets = group.items("targets").ok()?;
        let targets = targets.iter().map(|at| Ok((at.text()?, at.place())));
        let targets = targets.collect::<Result<_, ConfigError>>().ok()?;
        Some(StaticConfig { targets, labels: group.text_map("labels").ok()? })
    };
    groups.iter().filter_map(texts).collect()
}

fn read_job(at: &Cursor<'_>, global: &Global) -> Result<ScrapeJob, ConfigError> {
    at.expect_map()?;
    let interval =
        at.duration("scrape_interval")?.filter(|d| !d.is_zero()).unwrap_or(global.scrape_interval);
    let timeout = match at.duration("scrape_timeout")?.filter(|d| !d.is_zero()) {
        Some(timeout) if timeout > interval => {
            return Err(at.error(
                "scrape_timeout is longer than scrape_interval",
                "Prometheus refuses this: shorten scrape_timeout",
            ));
        }
        Some(timeout) => timeout,
        None => global.scrape_timeout.min(interval),
    };
    let mut params = BTreeMap::new();
    for (name, values) in at.entries_of("params")? {
        params.insert(name, values.list()?.iter().map(Cursor::text).collect::<Result<_, _>>()?);
    }
    Ok(ScrapeJob {
        name: at.required_text("job_name")?,
        interval,
        timeout,
        metrics_path: at.text_of("metrics_path")?.unwrap_or_else(|| "/metrics".into()),
        scheme: at.text_of("scheme")?.unwrap_or_else(|| "http".into()),
        params,
        honor_labels: at.truth("honor_labels", false)?,
        static_configs: read_static(at)?,
        discoveries: read_discoveries(at)?,
        target_files: read_target_files(at)?,
        discovered: Vec::new(),
        relabels: read_relabels(at, "relabel_configs")?,
        metric_relabels: read_relabels(at, "metric_relabel_configs")?,
        place: at.place(),
    })
}

fn read_static(at: &Cursor<'_>) -> Result<Vec<StaticConfig>, ConfigError> {
    let mut found = Vec::new();
    for group in at.items("static_configs")? {
        let mut targets = Vec::new();
        for target in group.items("targets")? {
            targets.push((target.text()?, target.place()));
        }
        found.push(StaticConfig { targets, labels: group.text_map("labels")? });
    }
    Ok(found)
}

fn read_discoveries(at: &Cursor<'_>) -> Result<Vec<(String, Place)>, ConfigError> {
    let mut found = Vec::new();
    for (key, value) in at.entries()? {
        if let Some(kind) = key.strip_suffix("_sd_configs")
            && !value.node.is_null()
        {
            for item in value.list()? {
                found.push((kind.to_owned(), item.place()));
            }
        }
    }
    Ok(found)
}

fn read_target_files(at: &Cursor<'_>) -> Result<Vec<(String, Place)>, ConfigError> {
    let mut found = Vec::new();
    for item in at.items("file_sd_configs")? {
        for file in item.items("files")? {
            found.push((file.text()?, file.place()));
        }
    }
    Ok(found)
}

fn read_relabels(at: &Cursor<'_>, key: &str) -> Result<Vec<Relabel>, ConfigError> {
    let mut found = Vec::new();
    for rule in at.items(key)? {
        // A replacement or separator that is written and empty is not the default.
        let written = |key: &str, default: &str| match rule.node.get_non_null(key) {
            Some(node) => node.text().unwrap_or_default().to_owned(),
            None => default.to_owned(),
        };
        let regex = written("regex", "(.*)");
        if let Err(problem) = super::regex::check(&regex) {
            return Err(rule.error(problem, "write a regular expression of Go (RE2)"));
        }
        found.push(Relabel {
            source_labels: rule.texts("source_labels")?,
            separator: written("separator", ";"),
            regex,
            target_label: rule.text_of("target_label")?.unwrap_or_default(),
            replacement: written("replacement", "$1"),
            action: rule
                .text_of("action")?
                .map_or_else(|| "replace".into(), |action| action.to_lowercase()),
        });
    }
    Ok(found)
}

fn read_alertmanager(at: &Cursor<'_>) -> Result<AlertmanagerTarget, ConfigError> {
    at.expect_map()?;
    Ok(AlertmanagerTarget {
        scheme: at.text_of("scheme")?.unwrap_or_else(|| "http".into()),
        path_prefix: at.text_of("path_prefix")?.unwrap_or_default(),
        targets: read_static(at)?.into_iter().flat_map(|group| group.targets).collect(),
        timeout: at.duration("timeout")?.unwrap_or(Duration::from_secs(10)),
        discoveries: read_discoveries(at)?,
        place: at.place(),
    })
}

fn read_remotes(root: &Cursor<'_>, key: &str) -> Result<Vec<Remote>, ConfigError> {
    root.items(key)?
        .iter()
        .map(|at| Ok(Remote { url: at.required_text("url")?, place: at.place() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Prometheus, ConfigError> {
        Prometheus::read(&Document::parse(Path::new("prometheus.yml"), text)?)
    }

    #[test]
    fn fills_in_the_servers_defaults() {
        let empty = read("").unwrap();
        assert_eq!(empty.global.scrape_interval, Duration::from_secs(60));
        assert_eq!(empty.global.scrape_timeout, Duration::from_secs(10));
        let short = read("global: {scrape_interval: 5s}\nscrape_configs:\n- job_name: a\n- {job_name: b, scrape_interval: 2s}\n").unwrap();
        assert_eq!(short.global.scrape_timeout, Duration::from_secs(5));
        assert_eq!(short.global.evaluation_interval, Duration::from_secs(60));
        assert_eq!(short.job("a").unwrap().timeout, Duration::from_secs(5));
        assert_eq!(short.job("b").unwrap().timeout, Duration::from_secs(2));
        assert_eq!(short.job("b").unwrap().metrics_path, "/metrics");
    }

    #[test]
    fn reads_a_probe_job() {
        let config = read(
            "scrape_configs:\n- job_name: blackbox-smtp\n  metrics_path: /probe\n  params: {module: [smtp_banner]}\n  static_configs:\n  \
             - targets: ['postfix:25']\n    labels: {service: postfix}\n  relabel_configs:\n  - source_labels: [__address__]\n    \
             target_label: __param_target\n  - target_label: __address__\n    replacement: blackbox-exporter:9115\n  dns_sd_configs:\n  \
             - names: [x]\n",
        )
        .unwrap();
        let job = &config.jobs[0];
        assert_eq!(job.params["module"], ["smtp_banner"]);
        assert_eq!(job.static_configs[0].targets[0].0, "postfix:25");
        assert_eq!(job.static_configs[0].targets[0].1.line, 6);
        assert_eq!(job.relabels[1].replacement, "blackbox-exporter:9115");
        assert_eq!(job.relabels[0].regex, "(.*)");
        assert_eq!(job.discoveries[0].0, "dns");
    }

    #[test]
    fn refusals_name_line_and_key() {
        let says = |text: &str, wanted: &[&str]| {
            let error = read(text).unwrap_err().to_string();
            for part in wanted {
                assert!(error.contains(part), "{error} lacks {part}");
            }
        };
        says(
            "global:\n  scrape_interval: 1.5s\n",
            &["prometheus.yml:2", "global.scrape_interval", "`1.5s`", "hint", "1s500ms"],
        );
        says(
            "scrape_configs:\n- scrape_interval: 5s\n",
            &["prometheus.yml:2", "scrape_configs[0]", "`job_name` is missing"],
        );
        says("scrape_configs:\n- job_name: a\n- job_name: a\n", &["prometheus.yml:3", "twice"]);
        says("global: {scrape_interval: 1s, scrape_timeout: 2s}\n", &["longer"]);
        says("groups: []\n", &["rule file"]);
        says("scrape_configs: {a: b}\n", &["scrape_configs", "seen a map, wanted a list"]);
    }
}
