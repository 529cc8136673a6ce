//! Provisioning folders, good and broken.

use super::sources::{Header, Login};
use super::*;
use crate::process::failure::UserError;
use tempfile::TempDir;

const SOURCES: &str = "apiVersion: 1
datasources:
  - {name: Metrics, type: prometheus, uid: m, url: 'http://prometheus:9090', isDefault: true, jsonData: {timeInterval: 15s}}
  - name: Logs
    type: elasticsearch
    url: http://Search/base/
    database: logs-*
    basicAuth: true
    basicAuthUser: ${USER_NAME}
    secureJsonData: {basicAuthPassword: 'pa$$word'}
";
const PROVIDERS: &str = "apiVersion: 1
providers:
  - name: all
    type: file
    options:
      path: /etc/boards
";
const BOARD: &str = r#"{
  "uid": "one", "title": "One",
  "templating": {"list": [{"name": "job", "type": "query", "query": "label_values(job)"}]},
  "panels": [
    {"title": "P", "targets": [{"refId": "A", "expr": "label_replace(up{job=\"$job\"}, \"a\", \"$1$host\", \"b\", \"(?P<host>.*)\")[$__interval]"}]}
  ]
}
"#;

struct Tree(TempDir);

impl Tree {
    fn new() -> Tree {
        let tree = Tree(tempfile::tempdir().unwrap());
        tree.write("provisioning/datasources/all.yml", SOURCES);
        tree.write("provisioning/dashboards/all.yaml", PROVIDERS);
        tree.write("boards/deep/one.json", BOARD);
        tree.write("boards/notes.txt", "no dashboard");
        tree
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn edited(self, path: &str, old: &str, new: &str) -> Tree {
        let text = std::fs::read_to_string(self.0.path().join(path)).unwrap();
        assert!(text.contains(old), "{path} has no {old}");
        self.write(path, &text.replacen(old, new, 1));
        self
    }

    fn place(&self) -> Place {
        Place {
            provisioning: self.0.path().join("provisioning"),
            named: mark("firedrill.yaml", 7),
            mounts: vec![("/etc/boards".into(), self.0.path().join("boards"))],
            environment: [("USER_NAME".to_owned(), "me".to_owned())].into(),
        }
    }

    fn checked(&self) -> Result<Files, ConfigError> {
        let files = self.place().read()?;
        let hosts = [("prometheus", "prometheus"), ("search", "store")]
            .map(|(h, s)| (h.to_owned(), s.to_owned()))
            .into();
        files.check(
            &[("one".into(), mark("firedrill.yaml", 9))],
            &[("Logs".into(), mark("firedrill.yaml", 10))],
            &hosts,
        )?;
        Ok(files)
    }

    #[track_caller]
    fn refused(self, file: &str, line: u64, words: &[&str]) {
        let error = self.checked().expect_err("refused");
        assert!(error.place.file.ends_with(file) && error.place.line == line, "{error}");
        let told = error.advice().to_string();
        for word in words {
            assert!(told.contains(word), "no {word:?} in {told}");
        }
        assert!(!error.hint.is_empty());
    }
}

fn mark(file: &str, line: u64) -> Mark {
    Mark { file: std::sync::Arc::from(Path::new(file)), line }
}

#[test]
fn what_the_files_say_is_known() {
    let files = Tree::new().checked().expect("reads");
    let [metrics, logs] = files.sources.as_slice() else { panic!("{:?}", files.sources) };
    assert_eq!(
        (metrics.source.uid.as_str(), metrics.source.is_default, metrics.login.clone()),
        ("m", true, None)
    );
    assert_eq!(metrics.source.json_data["timeInterval"], "15s");
    // The uid that Grafana makes of a name; https://github.com/grafana/grafana knows `Prometheus`
    // by PBFA97CFB590B2093.
    let named = Tree::new()
        .edited("provisioning/datasources/all.yml", "name: Logs", "name: Prometheus")
        .place()
        .read()
        .unwrap();
    assert_eq!(named.sources[1].source.uid, "PBFA97CFB590B2093");
    let address = logs.address.clone().unwrap();
    assert_eq!(
        (address.host.as_str(), address.port, address.prefix.as_str(), address.tls),
        ("search", 80, "base/", false)
    );
    assert_eq!(logs.login, Some(Login { user: "me".into(), password: Some("pa$word".into()) }));
    assert_eq!(logs.source.json_data["index"], "logs-*");
    assert_eq!(
        (files.boards.len(), files.boards[0].uid.as_str(), files.boards[0].panels().len()),
        (1, "one", 1)
    );
    let hosts = [
        ("prometheus".to_owned(), "prometheus".to_owned()),
        ("search".to_owned(), "store".to_owned()),
    ]
    .into();
    assert_eq!(
        files.ports(&hosts),
        [("prometheus".to_owned(), 9090), ("store".to_owned(), 80)].into()
    );
    // Nobody reads a password in a log.
    assert!(!format!("{files:?}").contains("pa$word"));
    let header = "jsonData: {timeInterval: 15s, httpHeaderName1: X-Org}, secureJsonData: {httpHeaderValue1: top-secret}";
    let tree = Tree::new().edited(
        "provisioning/datasources/all.yml",
        "jsonData: {timeInterval: 15s}",
        header,
    );
    let files = tree
        .edited(
            "provisioning/datasources/all.yml",
            "http://prometheus",
            "http://someone:hidden@prometheus",
        )
        .checked()
        .unwrap();
    assert_eq!(
        files.sources[0].headers,
        [Header { name: "X-Org".into(), value: "top-secret".into() }]
    );
    assert_eq!(
        files.sources[0].login,
        Some(Login { user: "someone".into(), password: Some("hidden".into()) })
    );
    assert!(
        !format!("{files:?}").contains("top-secret") && !format!("{files:?}").contains("hidden")
    );
}

#[test]
fn a_copy_of_the_folder_is_read_in_its_place() {
    let (tree, copy) = (Tree::new(), Tree::new().edited("boards/deep/one.json", "One", "Copied"));
    let place =
        tree.place().translated(|p| copy.0.path().join(p.strip_prefix(tree.0.path()).unwrap()));
    assert_eq!(place.read().unwrap().boards[0].title, "Copied");
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    const BOARD_FILE: &str = "boards/deep/one.json";
    const SOURCES_FILE: &str = "provisioning/datasources/all.yml";
    const PROVIDERS_FILE: &str = "provisioning/dashboards/all.yaml";
    let tree = || Tree::new();
    let gone = tree();
    std::fs::remove_dir_all(gone.0.path().join("provisioning")).unwrap();
    gone.refused("firedrill.yaml", 7, &["there is no folder"]);
    let empty = tree();
    std::fs::remove_file(empty.0.path().join(PROVIDERS_FILE)).unwrap();
    empty.refused("firedrill.yaml", 7, &["no YAML file", "providers"]);
    tree().edited(BOARD_FILE, "\"panels\": [", "\"panels\": {").refused(
        BOARD_FILE,
        5,
        &["no JSON"],
    );
    tree().edited(BOARD_FILE, "\"title\": \"One\"", "\"title\": \"\"").refused(
        BOARD_FILE,
        1,
        &["without a title"],
    );
    tree().edited(BOARD_FILE, "\"one\"", "\"other\"").refused(
        "firedrill.yaml",
        9,
        &["one is in no file", "other"],
    );
    tree().edited(BOARD_FILE, "\\\"$job\\\"", "\\\"$jobs\\\"").refused(
        BOARD_FILE,
        5,
        &["variable jobs", "panel P", "did you mean job?"],
    );
    tree().edited(BOARD_FILE, "label_values(job)", "label_values(up{a='$b'}, job)").refused(
        BOARD_FILE,
        3,
        &["variable job", "variable b"],
    );
    let twice = tree();
    twice.write("boards/two.json", &BOARD.replace("One", "Two"));
    twice.refused("boards/two.json", 2, &["dashboard one is in", "one.json"]);
    tree().edited(SOURCES_FILE, "prometheus:9090", "metrics.example.com").refused(
        SOURCES_FILE,
        3,
        &["Metrics leads out of the stack", "example.com:80"],
    );
    tree().edited(SOURCES_FILE, "prometheus:9090", "localhost:9090").refused(
        SOURCES_FILE,
        3,
        &["own container"],
    );
    tree().edited(SOURCES_FILE, "http://Search", "https://search").refused(
        "firedrill.yaml",
        10,
        &["Logs", "https"],
    );
    tree().edited(SOURCES_FILE, "    url: http://Search/base/\n", "").refused(
        "firedrill.yaml",
        10,
        &["Logs has no url"],
    );
    tree().edited(SOURCES_FILE, "    type: elasticsearch\n", "").refused(
        SOURCES_FILE,
        4,
        &["without `type`"],
    );
    tree().edited(SOURCES_FILE, "name: Logs", "name: Metrics").refused(
        SOURCES_FILE,
        4,
        &["Metrics stands at", ":3 too"],
    );
    tree().edited(SOURCES_FILE, "pa$$word", "$__file{/x}").refused(SOURCES_FILE, 10, &["$__file"]);
    tree().edited(SOURCES_FILE, "datasources:\n", "datasources: none\nignored:\n").refused(
        SOURCES_FILE,
        2,
        &["wanted a list"],
    );
    tree().edited(PROVIDERS_FILE, "/etc/boards", "/etc/other").refused(
        PROVIDERS_FILE,
        6,
        &["nothing of the stack's folder is mounted at /etc/other", "paths"],
    );
    tree().edited(PROVIDERS_FILE, "/etc/boards", "/etc/boards/gone").refused(
        PROVIDERS_FILE,
        6,
        &["does not exist"],
    );
    tree().edited(PROVIDERS_FILE, "path:", "paths:").refused(
        PROVIDERS_FILE,
        3,
        &["without a path"],
    );
}

#[test]
fn what_nobody_would_see_as_an_error_is_none() {
    // A query of a data source that is not asked may hold any dollar sign; inputs and hidden
    // queries are no variables of ours.
    let other = r#"{"title": "Q", "datasource": {"type": "loki", "uid": "$gone"}, "targets": [{"rawSql": "$x"}]}"#;
    let hidden = r#"{"title": "H", "targets": [{"expr": "$x", "hide": true}]}"#;
    let tree = Tree::new().edited(
        "boards/deep/one.json",
        "\"panels\": [",
        &format!("\"panels\": [{hidden},"),
    );
    tree.checked().expect("hidden");
    Tree::new()
        .edited("boards/deep/one.json", "\"panels\": [", &format!("\"panels\": [{other},"))
        .refused("boards/deep/one.json", 4, &["variable gone"]);
    let input = r#""__inputs": [{"name": "DS_X"}], "panels": [{"title": "I", "datasource": "${DS_X}", "targets": [{"expr": "up"}]},"#;
    Tree::new()
        .edited("boards/deep/one.json", "\"panels\": [", input)
        .checked()
        .expect("a failing panel, no refusal");
}

proptest::proptest! {
    #![proptest_config(damaged::cases(60))]

    #[test]
    fn damaged_files_are_read_or_refused_by_name(
        sources in damaged::damaged(&[SOURCES]),
        providers in damaged::damaged(&[PROVIDERS]),
        board in damaged::damaged(&[BOARD]),
        which in 0..3,
    ) {
        let tree = Tree::new();
        match which {
            0 => tree.write("provisioning/datasources/all.yml", &sources),
            1 => tree.write("provisioning/dashboards/all.yaml", &providers),
            _ => tree.write("boards/deep/one.json", &board),
        }
        match tree.checked() {
            Ok(files) => files.boards.iter().for_each(|board| drop(board.panels())),
            Err(error) => assert!(!error.problem.is_empty() && !error.place.file.as_os_str().is_empty()),
        }
    }
}
