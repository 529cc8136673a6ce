//! `firedrill lint PATH` without a declaration: what servers refuse, what they take, what they do and
//! should not, files that are none, and the forms for other programs.

mod cases;

use cases::{CASES, Case};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::program;

/// How a lint ended, and what it printed.
struct Linted {
    exit: i32,
    stdout: String,
    stderr: String,
}

fn lint(folder: &Path, arguments: &[&str]) -> Linted {
    let output = called(&[&["lint"], arguments].concat(), folder);
    Linted {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn called(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(program().unwrap_or_else(|error| panic!("{error}")));
    command.args(arguments).current_dir(folder).output().expect("program")
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(path, text).expect("file");
    }
}

/// Findings as `severity check file:line`.
fn found(linted: &Linted) -> Vec<String> {
    let told: Value = serde_json::from_str(&linted.stdout).unwrap_or_default();
    let findings = told["findings"].as_array().cloned().unwrap_or_default();
    findings
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or_default();
            format!("{} {} {}:{}", text("severity"), text("check"), text("file"), one["line"])
        })
        .collect()
}

fn holds(case: &Case) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    write(folder.path(), case.files);
    let linted = lint(folder.path(), &[".", "--format", "json"]);
    let all = found(&linted);
    let serious: Vec<&String> = all.iter().filter(|one| !one.starts_with("note")).collect();
    let exit = if case.wanted.iter().any(|one| !one.starts_with("note")) { 1 } else { 0 };
    let missing: Vec<_> =
        case.wanted.iter().filter(|one| !all.iter().any(|seen| seen == *one)).collect();
    let unasked: Vec<_> =
        serious.iter().filter(|one| !case.wanted.contains(&one.as_str())).collect();
    if linted.exit == exit && missing.is_empty() && unasked.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}: exit {} (wanted {exit}), missing {missing:?}, unasked {unasked:?}; found {all:#?} {}",
        case.name, linted.exit, linted.stderr
    ))
}

#[test]
fn each_case_is_told_and_nothing_else() {
    let wrong: Vec<String> = CASES.iter().filter_map(|case| holds(case).err()).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn nothing_to_look_at_is_no_pass() {
    let folder = tempfile::tempdir().expect("folder");
    write(folder.path(), &[("a.txt", "x"), ("b.yml", "apiVersion: 1\ngroups: []\n")]);
    let linted = lint(folder.path(), &["."]);
    assert_eq!(linted.exit, 2, "{}{}", linted.stdout, linted.stderr);
    for part in ["unknown: nothing was looked at", "b.yml (Grafana's alerting)", "hint: looked for"]
    {
        assert!(linted.stdout.contains(part), "{part}: {}", linted.stdout);
    }
    let gone = lint(folder.path(), &["nowhere/at/all"]);
    assert_eq!(gone.exit, 64, "{}", gone.stderr);
    let sarif = lint(folder.path(), &[".", "--format", "sarif"]);
    assert_eq!(sarif.exit, 2);
    assert!(serde_json::from_str::<Value>(&sarif.stdout).is_ok(), "{}", sarif.stdout);
}

#[test]
fn files_that_are_none_are_told_in_one_message_each() {
    let folder = tempfile::tempdir().expect("folder");
    let deep = format!("rule_files: {}{}\n", "[".repeat(500), "]".repeat(500));
    let large = "#".repeat(1000) + "\n";
    write(
        folder.path(),
        &[
            ("deep/prometheus.yml", &deep),
            ("large/rules.yml", &large.repeat(50_000)),
            ("tab/prometheus.yml", "global:\n\tscrape_interval: 15s\n"),
            ("quote/rules.yml", "groups:\n- name: \"a\n  rules:\n  - alert: X\n    expr: up\n"),
            ("circle/docker-compose.yml", "include: [docker-compose.yml]\nservices: {}\n"),
        ],
    );
    std::fs::write(folder.path().join("binary.yml"), [0_u8, 159, 146, 150, 0]).expect("file");
    std::os::unix::fs::symlink(folder.path(), folder.path().join("deep/again")).expect("link");
    for (path, exit, told) in [
        ("deep", 1, "nested too deeply"),
        ("large/rules.yml", 1, "50 MB large"),
        ("large", 2, "50 MB large"),
        ("binary.yml", 1, "can't be read"),
        ("tab", 1, "a tab stands where spaces are wanted"),
        ("quote", 1, "text in quotes begins here and does not end"),
        ("circle", 2, "includes itself"),
    ] {
        let linted = lint(folder.path(), &[path]);
        let said = format!("{}{}", linted.stdout, linted.stderr);
        assert_eq!(linted.exit, exit, "{path}: {said}");
        assert!(said.contains(told), "{path} lacks {told}: {said}");
        assert!(!said.contains("defect") && said.lines().count() < 8, "{path}: {said}");
    }
}

#[test]
fn messages_say_token_column_and_file() {
    let folder = tempfile::tempdir().expect("folder");
    let rules = "groups:\n- name: a\n  rules:\n  - alert: X\n    expr: rate(x[5m) > 1\n  - alert: Y\n    expr: up == 0\n    annotations: {summary: {{ $labels.x }}}\n";
    write(folder.path(), &[("r.yml", rules)]);
    let linted = lint(folder.path(), &["r.yml"]);
    assert!(linted.stdout.contains("without quotes is a map"), "{}", linted.stdout);
    write(folder.path(), &[("r.yml", &rules.replace("{{ $labels.x }}", "x"))]);
    let linted = lint(folder.path(), &["r.yml"]);
    assert!(linted.stdout.contains("r.yml:5:11: error: parse:"), "{}", linted.stdout);
    assert!(linted.stdout.contains("`)` at column 10, wanted"), "{}", linted.stdout);
    for word in ["Policy", "deserialize", "from_str", "promql query", "scalar"] {
        assert!(!linted.stdout.contains(word), "{word}: {}", linted.stdout);
    }
}

#[test]
fn other_programs_read_the_findings() {
    let folder = tempfile::tempdir().expect("folder");
    write(folder.path(), &[("prometheus.yml", "global: {scrape_intervall: 15s}\n")]);
    let sarif: Value =
        serde_json::from_str(&lint(folder.path(), &[".", "--format", "sarif"]).stdout)
            .expect("JSON");
    assert_eq!(sarif["version"], "2.1.0");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "unknown-key");
    assert_eq!(
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "prometheus.yml"
    );
    assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startColumn"], 10);
    let github = lint(folder.path(), &[".", "--format", "github"]).stdout;
    assert!(
        github.starts_with("::error file=prometheus.yml,line=1,col=10,title=unknown-key::"),
        "{github}"
    );
    let other = called(&["status", "--format", "sarif"], folder.path());
    assert_eq!(other.status.code(), Some(64));
}

#[test]
fn ten_thousand_rules_take_seconds() {
    let folder = tempfile::tempdir().expect("folder");
    let mut text = String::from("groups:\n");
    for group in 0..500 {
        text.push_str(&format!("- name: g{group}\n  rules:\n"));
        for rule in 0..20 {
            text.push_str(&format!(
                "  - alert: A{group}_{rule}\n    expr: sum by (job) (rate(errors_total{{job=\"j{rule}\"}}[5m])) > {group}\n    for: 5m\n    labels: {{severity: page}}\n    annotations: {{summary: '{{{{ $labels.job }}}} fails'}}\n"
            ));
        }
    }
    write(folder.path(), &[("rules.yml", &text)]);
    let began = Instant::now();
    let linted = lint(folder.path(), &["."]);
    let took = began.elapsed();
    println!("10,000 rules in {took:?}");
    assert_eq!(linted.exit, 0, "{}", linted.stdout);
    assert!(linted.stdout.contains("10000 rules"), "{}", linted.stdout);
    // A debug build takes some ten times as long as a release build, which takes less than 3 s.
    assert!(took < Duration::from_secs(60), "{took:?}");
}
