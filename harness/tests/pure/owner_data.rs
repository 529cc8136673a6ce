//! What lies outside of a stack's folder: data that is never written, configuration that is scaled
//! like any other, and what of the host a stack sees. All of it is told by a dry run, which needs
//! no Docker.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

const PROMETHEUS: &str = "global: {scrape_interval: 15s, evaluation_interval: 15s}\nrule_files: [rules.yml]\nalerting: {alertmanagers: \
                          [{static_configs: [{targets: ['alertmanager:9093']}]}]}\nscrape_configs:\n- {job_name: node, static_configs: \
                          [{targets: ['node:9100']}]}\n";
const RULES: &str = "groups:\n- name: a\n  rules:\n  - alert: NodeDown\n    expr: up{job=\"node\"} == 0\n    for: 1m\n";
/// What is stated about a stack with one alert.
const ALERT: &str = "targets: [{job: node, service: node}]\nseries: [up]\nalerts: [{name: NodeDown, receivers: []}]\n";

/// A stack in a folder `shop`, and what lies beside it.
struct Stack {
    home: tempfile::TempDir,
}

struct Ended {
    exit: i32,
    stdout: String,
    stderr: String,
}

impl Stack {
    /// Services as the Compose file has them, and what firedrill.yaml states beyond its name.
    fn new(compose: &str, declaration: &str) -> Stack {
        let stack = Stack { home: tempfile::tempdir().unwrap() };
        stack.write("shop/docker-compose.yml", compose);
        stack.write("shop/firedrill.yaml", &format!("schema: 1\nstack: shop\n{declaration}"));
        stack
    }

    /// Prometheus whose configuration comes as stated, an Alertmanager, and a node to stop.
    fn with_alert(prometheus: &str, role: &str) -> Stack {
        let compose = format!(
            "services:\n  alertmanager: {{image: prom/alertmanager}}\n  node: {{image: n}}\n  prometheus:\n    image: p\n{prometheus}"
        );
        let stack = Stack::new(
            &compose,
            &format!(
                "time_scale: 20\nroles: {{metrics: {{kind: prometheus, service: prometheus, port: 9090{role}}}}}\n{ALERT}"
            ),
        );
        let drill = "schema: 1\nname: node_stopped\nsummary: It is gone.\nfault: {kind: stop, target: node}\nalerts: [NodeDown]\n";
        stack.write("shop/scenarios/node_stopped.yaml", drill);
        for folder in ["conf", "shop/conf"] {
            stack.write(&format!("{folder}/prometheus.yml"), PROMETHEUS);
            stack.write(&format!("{folder}/rules.yml"), RULES);
        }
        stack
    }

    fn path(&self, file: &str) -> PathBuf {
        self.home.path().canonicalize().unwrap().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A file that is too much to copy.
    fn large(&self, file: &str) {
        self.write(file, "");
        std::fs::OpenOptions::new()
            .write(true)
            .open(self.path(file))
            .unwrap()
            .set_len((64 << 20) + 1)
            .unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(arguments).arg(self.path("shop")).current_dir(self.home.path());
        command
            .env("XDG_STATE_HOME", self.path("state"))
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        command.env("FIREDRILL_HOME", Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended {
            exit: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// What a dry run prints.
    fn told(&self) -> String {
        let ended = self.run(&["verify", "--dry-run"]);
        assert_eq!(ended.exit, 0, "{}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// What a dry run refuses.
    fn refused(&self, more: &[&str]) -> String {
        let ended = self.run(&[&["verify", "--dry-run"], more].concat());
        assert_eq!(ended.exit, 64, "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains("hint:"), "{}", ended.stderr);
        ended.stderr
    }
}

#[test]
fn data_that_would_be_written_is_told() {
    let compose = "services:\n  app:\n    image: nginx:1\n    volumes: ['../live:/prometheus', 'live:/data', '../cert.pem:/cert.pem:ro', './own:/own', '../none:/none']\n\
                   volumes: {live: {external: true}}\n";
    let stack = Stack::new(compose, "roles: {}\n");
    stack.write("live/wal", "1");
    stack.write("cert.pem", "2");
    let told = stack.told();
    let live = stack.path("live").display().to_string();
    assert!(
        told.contains(&format!("deviation  app: a copy of {live} is mounted at /prometheus: ")),
        "{told}"
    );
    assert!(
        told.contains(
            "deviation  a volume of the run's own takes the place of external volume live"
        ),
        "{told}"
    );
    assert!(
        told.contains("none is not there: an empty folder of the run's own is mounted at /none"),
        "{told}"
    );
    assert!(
        !told.contains("cert.pem") && !told.contains("/own"),
        "what is as written is no deviation: {told}"
    );
    assert!(!stack.path("none").exists() && !stack.path("shop/own").exists());
    let alerts = stack.run(&["alerts", "--dry-run"]).stdout;
    assert!(alerts.contains("is mounted at /prometheus"), "{alerts}");
}

#[test]
fn data_that_is_too_much_is_refused_all_at_once() {
    let compose = "services:\n  app:\n    image: a\n    volumes:\n    - ../live:/data\n    - ../small:/small\n  db:\n    image: d\n    volumes:\n    \
                   - {type: bind, source: ../db, target: /var/lib/db}\n    - db:/db\nvolumes: {db: {driver_opts: {type: none, o: bind, device: ../db}}}\n";
    let stack = Stack::new(compose, "roles: {}\n");
    stack.large("live/wal");
    stack.large("db/base");
    stack.write("small/a", "1");
    let refused = stack.refused(&[]);
    for line in [5, 10, 11] {
        assert!(refused.contains(&format!("docker-compose.yml:{line}: ")), "{line}: {refused}");
    }
    assert!(
        refused.contains("64.0 MiB in 2 files and folders") && !refused.contains("/small"),
        "{refused}"
    );
    stack.write(
        "shop/firedrill.yaml",
        "schema: 1\nstack: shop\nroles: {}\nowner_data: {empty: [../live, ../db]}\n",
    );
    assert!(stack.told().contains("live at /data: the owner says so"));
    stack.write(
        "shop/firedrill.yaml",
        "schema: 1\nstack: shop\nroles: {}\nowner_data:\n  empty: [../live, ../db, ../other]\n",
    );
    let refused = stack.refused(&[]);
    assert!(
        refused.contains("firedrill.yaml:5: ") && refused.contains("no service mounts ../other"),
        "{refused}"
    );
    stack.write(
        "shop/docker-compose.yml",
        "services: {app: {image: a, volumes: ['../live:/data:ro']}}\n",
    );
    stack.write("shop/firedrill.yaml", "schema: 1\nstack: shop\nroles: {}\n");
    assert!(!stack.told().contains("/data"), "read-only it is as written");
}

#[test]
fn what_reaches_the_host_is_told() {
    let compose = "services:\n  app:\n    image: a\n    pid: host\n    ipc: host\n    volumes: ['/var/run:/var/run:ro', '/:/rootfs:ro', '/sys:/sys']\n  \
                   other:\n    image: a\n    pid: service:app\n    volumes: [/var/run/docker.sock:/var/run/docker.sock]\n    secrets: [s]\nsecrets: {s: {external: true}}\n";
    let told = Stack::new(compose, "roles: {}\n").told();
    for part in [
        "deviation  app: pid: host",
        "deviation  app: ipc: host",
        "deviation  app: the host's /var/run is mounted at /var/run, and with it the engine's socket",
        "deviation  app: the host's / is mounted at /rootfs, and with it the engine's socket",
        "deviation  app: the host's /sys is mounted read-only at /sys",
        "deviation  other: the engine's socket is mounted",
        "deviation  secrets.s is external",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!told.contains("other: pid"), "{told}");
    let usual = Stack::new("services: {app: {image: a}}\n", "roles: {}\n").told();
    assert!(!usual.contains("deviation"), "{usual}");
}

/// Ways in which a server gets its configuration, and what firedrill.yaml says of it.
const WAYS: [(&str, &str); 6] = [
    (
        "    volumes: ['../conf/prometheus.yml:/etc/prometheus/prometheus.yml', '../conf/rules.yml:/etc/prometheus/rules.yml']\n",
        ", config: ../conf/prometheus.yml",
    ),
    ("    volumes: ['../conf:/etc/prometheus:ro']\n", ""),
    (
        "    volumes: ['c:/etc/prometheus']\nvolumes: {c: {driver_opts: {type: none, o: bind, device: ../conf}}}\n",
        ", config: ../conf/prometheus.yml",
    ),
    (
        "    configs: [{source: p, target: /etc/prometheus/prometheus.yml}, {source: r, target: /etc/prometheus/rules.yml}]\n\
         configs: {p: {file: conf/prometheus.yml}, r: {file: ../conf/rules.yml}}\n",
        ", config: conf/prometheus.yml",
    ),
    (
        "    command: [--config.file=/p.yml]\n    configs: [{source: p, target: /p.yml}]\n    secrets: [{source: r, target: /rules.yml}]\n\
         configs: {p: {file: conf/prometheus.yml}}\nsecrets: {r: {file: conf/rules.yml}}\n",
        "",
    ),
    (
        "    volumes: ['./conf/prometheus.yml:/etc/prometheus/prometheus.yml']\n    configs: [{source: r, target: /etc/prometheus/rules.yml}]\n\
         configs:\n  r:\n    content: |\n      groups:\n      - name: a\n        rules:\n        - alert: NodeDown\n          expr: up{job=\"node\"} == 0\n          for: 1m\n",
        ", config: conf/prometheus.yml",
    ),
];

#[test]
fn configuration_is_scaled_wherever_it_comes_from() {
    for (prometheus, role) in WAYS {
        let stack = Stack::with_alert(prometheus, role);
        let fires = "alert NodeDown fires within 11.0 s";
        assert!(stack.told().contains(fires), "{prometheus}{}", stack.told());
        let linted = stack.run(&["lint"]);
        assert!(
            linted.stdout.contains(": 1 rules of shop")
                && !linted.stdout.contains("rule-file-missing"),
            "{prometheus}{}",
            linted.stdout
        );
        let at_one = stack.run(&["verify", "--dry-run", "--time-scale", "1"]).stdout;
        assert!(
            !at_one.contains(fires) && at_one.contains("alert NodeDown fires within"),
            "{at_one}"
        );
    }
}

#[test]
fn configuration_that_can_not_be_scaled_keeps_the_scale_at_one() {
    // All of a large folder is mounted; the file is not mounted at all.
    let cases = [
        (
            "    volumes: ['../conf:/etc/prometheus:ro']\n",
            ", config: ../conf/prometheus.yml",
            "too much to copy",
        ),
        (
            "    command: [--storage.tsdb.path=/x]\n",
            ", config: conf/prometheus.yml",
            "no mount of service prometheus shows it",
        ),
    ];
    for (prometheus, role, why) in cases {
        let stack = Stack::with_alert(prometheus, role);
        stack.large("conf/backup.tar");
        let told = stack.told();
        assert!(
            told.contains("deviation  time scale 1 instead of 20: ") && told.contains(why),
            "{told}"
        );
        assert!(told.contains("prometheus.yml: this file would run as it is written"), "{told}");
        assert!(!told.contains("fires within 11.0 s"), "{told}");
        let refused = stack.refused(&["--time-scale", "20"]);
        assert!(
            refused.contains("the largest that works is 1") && refused.contains(why),
            "{refused}"
        );
    }
}

#[test]
fn a_text_of_the_compose_file_is_told_by_its_line_there() {
    let (prometheus, role) = WAYS[5];
    let stack = Stack::with_alert(&prometheus.replace("== 0", "== ="), role);
    let text = std::fs::read_to_string(stack.path("shop/docker-compose.yml")).unwrap();
    let line = text.lines().position(|line| line.contains("== =")).unwrap() + 1;
    let refused = stack.run(&["verify", "--dry-run"]);
    assert!(
        refused.exit == 64 && refused.stderr.contains(&format!("docker-compose.yml:{line}: ")),
        "{line}: {}",
        refused.stderr
    );
}

#[test]
fn another_file_than_the_server_reads_is_refused() {
    let (prometheus, _) = WAYS[3];
    let stack = Stack::with_alert(prometheus, ", config: ../conf/prometheus.yml");
    let refused = stack.refused(&[]);
    assert!(
        refused.contains("firedrill.yaml:4: ")
            && refused.contains("shop/conf/prometheus.yml (at /etc/prometheus/prometheus.yml)"),
        "{refused}"
    );
    let text = "    configs: [{source: p, target: /etc/prometheus/prometheus.yml}]\nconfigs: {p: {content: 'rule_files: []'}}\n";
    let refused = Stack::with_alert(text, ", config: conf/prometheus.yml").refused(&[]);
    assert!(refused.contains("prometheus reads configs.p (at "), "{refused}");
}

#[test]
fn a_rule_that_is_handed_over_can_not_be_changed_for_a_drill() {
    for (at, (prometheus, role)) in WAYS.into_iter().enumerate() {
        let stack = Stack::with_alert(prometheus, role);
        let drill = "schema: 1\nname: node_stopped\nsummary: It is gone.\nfault: {kind: stop, target: node}\nalerts: [NodeDown]\n\
                     overrides: [{alert: NodeDown, replace: '0', with: '1', why: w}]\n";
        stack.write("shop/scenarios/node_stopped.yaml", drill);
        if at < 3 {
            stack.told();
        } else {
            let refused = stack.refused(&[]);
            assert!(
                refused.contains("node_stopped.yaml:6: ")
                    && refused.contains("overrides: the rules of NodeDown"),
                "{refused}"
            );
        }
    }
}
