//! What a server refuses to start with: keys that it doesn't know, values of another type, settings
//! that exclude each other. All of it at once, each with its place.
//!
//! Readers of the neighbouring modules take what they need and stop at the first thing that they
//! can't use; this looks at everything.

mod alertmanager;
mod keys;
mod prometheus;
mod rules;
mod schema;

use super::version::Version;
use super::{FileText, Server, ServerKind};
use crate::yaml::{ConfigError, Document};

/// What this server refuses in the files that it reads, in their order. What is no YAML, or what the
/// reader of its kind refuses, is not told again by those who ask both.
pub fn refusals(server: &Server, version: Option<Version>) -> Vec<ConfigError> {
    let mut found = Vec::new();
    let Some(Ok(doc)) = server.files.get(&server.inside).map(|text| text.and_then(FileText::parse))
    else {
        return found;
    };
    match server.kind {
        ServerKind::Prometheus => {
            prometheus::check(&doc, version, &mut found);
            let named = |key: &str| -> Vec<Document> {
                doc.texts(key)
                    .flat_map(|pattern| server.named(pattern))
                    .filter_map(|text| text.and_then(FileText::parse).ok())
                    .collect()
            };
            for doc in named("rule_files") {
                rules::check(&doc, version, Some(&features(&server.command)), &mut found);
            }
            for doc in named("scrape_config_files") {
                prometheus::check_scrapes(&doc, version, &mut found);
            }
        }
        ServerKind::Alertmanager => alertmanager::check(&doc, version, &mut found),
        _ => {}
    }
    found
}

/// What a command turns on by `--enable-feature`.
fn features(command: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = command.iter();
    while let Some(word) = words.next() {
        let word = word.trim_start_matches('-');
        let list = match word.strip_prefix("enable-feature") {
            Some("") => words.next().map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        found.extend(list.unwrap_or_default().split(',').map(str::to_owned));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: ServerKind, version: &str, text: &str) -> Vec<String> {
        let server = Server::of_file(kind, "s", "a.yml", text);
        let shown = |error: ConfigError| {
            format!("{}:{} {}", error.place.line, error.place.column, error.problem)
        };
        refusals(&server, Version::parse(version)).into_iter().map(shown).collect()
    }

    #[test]
    fn what_prometheus_refuses_is_told_all_at_once() {
        let text = "global: {scrape_intervall: 15s, evaluation_interval: 15}\nrules_files: [a.yml, 'a/*/b.yml']\nscrape_configs:\n- job_name: a\n  static_config: []\n  static_configs: [{targets: ['http://a:1', b:1/metrics]}]\n- job_name: b\n  relabel_configs: [{action: kep}, {source_labels: [x]}, {action: hashmod, target_label: a}]\n  file_sd_configs: [{files: ['x.txt']}]\n- job_name: c\n  honor_labels: 'yes'\n  sample_limit: many\n  basic_auth: {username: a, password: b, password_file: c}\n  bearer_token: x\n  body_size_limit: 10MB\n";
        let told = told(ServerKind::Prometheus, "2.53", text);
        for part in [
            "1:10 `scrape_intervall`",
            "1:54 seen `15`, wanted a duration",
            "2:1 `rules_files`",
            "5:3 `static_config`",
            "6:31 `http://a:1`",
            "6:45 `b:1/metrics`",
            "8:30 no action `kep`",
            "8:36 relabelling of action `replace` needs `target_label`",
            "8:58 relabelling of action `hashmod` needs `modulus`",
            "9:30 `x.txt`",
            "11:17 seen `yes`",
            "12:17 seen `many`",
            "only one of `password`, `password_file`",
            "only one of `basic_auth`, `bearer_token`",
        ] {
            assert!(
                told.iter().any(|line| line.starts_with(part) || line.contains(part)),
                "{part}: {told:#?}"
            );
        }
        assert_eq!(told.len(), 14, "{told:#?}");
    }

    #[test]
    fn what_prometheus_takes_is_taken() {
        let text = "global: {scrape_interval: 15s, external_labels: {a: 1, b: true}}\nrule_files: ['rules/*.yml', /a/b.yml]\nalerting: {alertmanagers: [{api_version: v2, dns_sd_configs: [{names: [x], type: A, port: 9093}]}]}\nscrape_configs:\n- job_name: 5\n  scrape_interval: 0s\n  static_configs: [{targets: [a:1], labels: {x: y}}]\n  static_configs_: null\n";
        let found = told(ServerKind::Prometheus, "3.4", text);
        assert_eq!(found.len(), 1, "{found:#?}");
        // Addresses with a path are made from by relabelling.
        let probe = "scrape_configs:\n- job_name: p\n  params: {module: [http_2xx]}\n  static_configs: [{targets: ['http://a/x']}]\n  relabel_configs: [{source_labels: [__address__], target_label: __param_target}, {action: labeldrop, regex: x}, {action: LabelMap, regex: a_(.+)}, {target_label: __address__, replacement: 'b:1'}]\n";
        assert_eq!(told(ServerKind::Prometheus, "2.53", probe), [""; 0]);
    }

    #[test]
    fn versions_know_different_keys() {
        let old = "scrape_configs: [{job_name: a, scrape_classic_histograms: true}]\nalerting: {alertmanagers: [{api_version: v1}]}\n";
        assert_eq!(told(ServerKind::Prometheus, "2.53", old), [""; 0]);
        assert_eq!(told(ServerKind::Prometheus, "3.1", old).len(), 2);
        assert_eq!(told(ServerKind::Prometheus, "2.40", "scrape_config_files: []\n").len(), 1);
        let jira = "route: {receiver: a}\nreceivers: [{name: a, jira_configs: [{project: x, issue_type: y, api_url: 'https://j.test'}]}]\n";
        assert_eq!(told(ServerKind::Alertmanager, "0.28", jira), [""; 0]);
        assert_eq!(told(ServerKind::Alertmanager, "0.27", jira).len(), 1);
        // What is newer than what is known here may have keys of its own.
        let unknown = "scrape_configs: []\nquite_another: 1\n";
        let server = Server::of_file(ServerKind::Prometheus, "s", "a.yml", unknown);
        let beyond = |version: &str| refusals(&server, Version::parse(version))[0].beyond_us;
        assert!(beyond("9.9") && !beyond("3.4"));
    }

    #[test]
    fn what_alertmanager_refuses_is_told_all_at_once() {
        let text = "route:\n  receiver: a\n  group_wiat: 1s\n  mute_time_intervals: [n]\n  group_by: [a, a]\n  routes:\n  - recevier: b\n    continue: 'yes'\n    matchers: severity=page\nreceivers:\n- name: a\n  slack_config: []\n  webhook_configs: [{url: 'hooks.test/x'}, {url: 'http://a', url_file: b}, {url: '${URL}'}]\n  email_configs: [{to: a, smarthost: 'm:25', send_resolve: true}]\n  pushover_configs: [{token: a}]\n  telegram_configs: [{bot_token: a, chat_id: '@chat'}]\ntime_intervals:\n- name: n\n  time_intervals: [{weekdays: ['mon:fri'], times: [{start_time: '09:00', end_time: '08:00'}], location: Mars/City}]\n- name: n\n  time_intervals: [{days_of_month: ['40'], months: ['may:january'], years: ['2030:2020'], times: [{start_time: '9:00'}]}]\n";
        let told = told(ServerKind::Alertmanager, "0.28", text);
        for part in [
            "3:3 `group_wiat`",
            "the root route is never silent",
            "label `a` stands twice in group_by",
            "7:5 `recevier`",
            "8:15 seen `yes`",
            "9:15 seen `severity=page`, wanted a list",
            "12:3 `slack_config`",
            "`hooks.test/x` is no address",
            "only one of `url`, `url_file`",
            "`${URL}`",
            "no `from`",
            "`send_resolve`",
            "`user_key`",
            "seen `@chat`",
            "`mon` is no day of the week",
            "09:00 to 08:00",
            "Mars/City",
            "time interval `n` is there twice",
            "`40`",
            "`may:january`",
            "`2030:2020`",
            "`end_time`",
        ] {
            assert!(told.iter().any(|line| line.contains(part)), "{part}: {told:#?}");
        }
    }

    #[test]
    fn what_prometheus_refuses_in_rules_is_told() {
        let text = "groups:\n- name: a\n  intervall: 1m\n  labels: {team: db}\n  rules:\n  - alert: X\n    expr: up\n    severity: page\n    annotation: {a: b}\n    labels: {a-b: c, __name__: d}\n  - record: a{b=\"c\"}\n    expr: up\n  - alert: Y\n    expr: up\n    fors: 1m\n";
        let doc = Document::parse(std::path::Path::new("r.yml"), text).unwrap();
        let lines = |version| -> Vec<_> {
            let mut found = Vec::new();
            rules::check(&doc, Version::parse(version), None, &mut found);
            found.iter().map(|error| (error.place.line, error.problem.clone())).collect()
        };
        let old = lines("2.53");
        for line in [3, 4, 8, 9, 10, 11, 15] {
            assert!(old.iter().any(|(at, _)| *at == line), "{line}: {old:#?}");
        }
        let new = lines("3.0");
        assert!(!new.iter().any(|(at, problem)| *at == 4 || problem.contains("a-b")), "{new:#?}");
        assert!(new.iter().any(|(_, problem)| problem.contains("__name__")), "{new:#?}");
    }
}
