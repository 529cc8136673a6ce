//! Nothing that firedrill prints or writes shows a key, token, password or webhook path: a stack
//! with one in every file that can hold one is linted, planned and begun, whole and broken in many
//! ways, right at the secret; and all that comes out is searched. None of this needs Docker.
//!
//! What a real run wrote is searched on demand, for the secrets of the stack that it was a run of:
//!
//!     FIREDRILL_SEARCH=<report folder> FIREDRILL_SEARCH_STACK=<folder of the stack> cargo test -p firedrill --test pure secrets::

#![allow(clippy::unwrap_used)]

mod plant;
mod search;

use firedrill::process::clock::RunClock;
use firedrill::record::{self, Recorder};
use firedrill::report;
use firedrill::secret;
use plant::{PLANTED, planted, secrets};
use search::{shown, shown_below};
use std::path::{Path, PathBuf};
use support::broken::{Broken, Ended};
use verdict::history::alert::{AlertEvent, Notification, Protocol};
use verdict::history::stack::StackEvent;
use verdict::{Event, EventKind};

/// Commands that get as far as they can without an engine.
const COMMANDS: &[&[&str]] = &[
    &["lint", "STACK"],
    &["lint", "STACK", "--format", "json"],
    &["verify", "STACK", "--dry-run", "--report", "report"],
    &["alerts", "STACK", "--dry-run"],
    &["verify", "STACK", "--report", "report", "--time-scale", "2"],
    &["up", "STACK"],
];

/// What a command printed and wrote shows none of these.
fn shows_none(broken: &Broken, ended: &Ended, what: &str) {
    let told = format!("{}\n{}", ended.stderr, ended.stdout);
    let found = shown(&told, secrets());
    assert!(found.is_empty(), "{what}: {found:#?}\nof\n{told}");
    for folder in ["report", "state"] {
        let found = shown_below(&broken.home.path().join(folder), &secrets());
        assert!(found.is_empty(), "{what}: {found:#?}");
    }
    assert!(!told.contains("panicked") && !told.contains("a defect of"), "{what}: {told}");
}

#[test]
fn a_stack_that_is_whole_shows_none_of_its_secrets() {
    let broken = planted();
    for arguments in COMMANDS {
        let ended = broken.command(arguments).env("FIREDRILL_LOG", "debug").output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ended = Ended {
            exit: ended.status.code().unwrap(),
            stdout: text(ended.stdout),
            stderr: text(ended.stderr),
        };
        shows_none(&broken, &ended, &arguments.join(" "));
        // It is read whole, or the search proves nothing: what is missing is the engine.
        let expected: &[i32] = if arguments.contains(&"--dry-run") { &[0] } else { &[0, 1, 3] };
        assert!(expected.contains(&ended.exit), "{arguments:?}: {}\n{}", ended.exit, ended.stderr);
    }
}

/// A file broken right where a secret stands: what is replaced, by what.
fn broken_at(secret: &str, line: &str) -> Vec<(String, String)> {
    let at = line.find(secret).unwrap();
    let (before, after) = line.split_at(at);
    let rest = &after[secret.len()..];
    let bare = before.trim_end_matches(['"', '\'']);
    [
        // An open quote, a list, a map, a key too much, a value too much, a tab, a stray bracket.
        format!("{before}\"{secret}{rest}"),
        format!("{bare}[{secret}]{}", rest.trim_start_matches(['"', '\''])),
        format!("{bare}{{a: {secret}}}{}", rest.trim_start_matches(['"', '\''])),
        format!("{line}\nunknown_key: {secret}"),
        format!("{before}{secret}: {secret}{rest}"),
        format!("{before}{secret}{rest}\n\t- x"),
        format!("{before}{secret}{rest} ]"),
        format!("{before}$ {secret}{rest}"),
        format!("{before}${{{secret}{rest}"),
    ]
    .into_iter()
    .map(|new| (line.to_owned(), new))
    .collect()
}

#[test]
fn a_file_that_is_broken_at_its_secret_does_not_show_it() {
    for (file, secret) in PLANTED {
        let whole = planted();
        let text = std::fs::read_to_string(whole.folder().join(file)).unwrap();
        let Some(line) = text.lines().find(|l| l.contains(secret)) else {
            panic!("{file} holds no {secret}")
        };
        for (old, new) in broken_at(secret, line) {
            let broken = planted();
            broken.edit(file, &old, &new);
            for arguments in [COMMANDS[0], COMMANDS[2]] {
                shows_none(
                    &broken,
                    &broken.run(arguments),
                    &format!("{arguments:?}, {file} with\n{new}\n"),
                );
            }
        }
    }
}

#[test]
fn addresses_that_lead_out_are_told_by_host_and_port() {
    for (file, old, new, says) in [
        (
            "alertmanager.yml",
            "https://hooks.slack.com/",
            "https://hooks.example.com:8443/",
            "https://hooks.example.com:8443\n",
        ),
        (
            "alertmanager.yml",
            "https://rooms.test/",
            "https://rooms.example.com/",
            "https://rooms.example.com\n",
        ),
        ("prometheus.yml", "@grafana:9009/", "@prom.example.com/", "http://prom.example.com\n"),
        (
            "otel.yaml",
            "@node:4318",
            "@otel.example.com:4318/private",
            "http://otel.example.com:4318\n",
        ),
        (
            "alertmanager.yml",
            "https://hooks.slack.com/",
            "https:/hooks slack com/",
            "is no address",
        ),
        ("alertmanager.yml", "https://hooks.slack.com/", "{{ .x }}/", "is a template"),
    ] {
        let broken = planted();
        broken.edit(file, old, new);
        let ended = broken.run(COMMANDS[2]);
        shows_none(&broken, &ended, new);
        ended.is_one_message(64, &["leads out of the stack", says]);
    }
}

#[test]
fn short_secrets_are_shown_by_their_field_and_tear_no_word_apart() {
    let broken = planted();
    broken.edit("firedrill.yaml", "password: fdRolePassword03", "password: node");
    broken.edit("firedrill.yaml", "password: fd-workload-pw-02x", "password: [abcd1]");
    let ended = broken.run(COMMANDS[2]);
    ended.is_one_message(64, &["firedrill.yaml:", "password"]);
    assert!(!ended.stderr.contains("abcd1"), "{}", ended.stderr);
    broken.edit("firedrill.yaml", "password: [abcd1]", "password: abcd1");
    let ended = broken.run(COMMANDS[2]);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("node_stopped") && !ended.stdout.contains("abcd1"),
        "{}",
        ended.stdout
    );
}

#[test]
fn the_command_line_and_the_environment_are_no_way_out() {
    let broken = planted();
    let url = "smtp://ops:compose20pgpassword@127.0.0.1:9";
    for arguments in [
        &["load", "--url", url, "--rate", "1", "--duration", "1s"][..],
        &["load", "--url", url, "--no-such-option"],
        &[
            "load",
            "--url",
            "http://ops:compose20pgpassword@127.0.0.1:9/",
            "--rate",
            "1",
            "--duration",
            "1s",
        ],
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--header",
            "Authorization: Bearer scrape12BearerToken0000",
            "--rate",
            "x",
        ],
        &["gate", "compose20pgpassword", "--token=compose20pgpassword"],
    ] {
        shows_none(&broken, &broken.run(arguments), &arguments.join(" "));
    }
    std::fs::write(
        broken.home.path().join("gate.yaml"),
        "schema: 1\nname: g\nabout: x\nsteps: [{name: a, token: grafana18SecureJson}]\n",
    )
    .unwrap();
    shows_none(&broken, &broken.run(&["gate", "gate.yaml"]), "gate");
    let mut command = broken.command(&["verify", "STACK", "--dry-run"]);
    broken.edit(
        "docker-compose.yml",
        "image: prom/node-exporter:v1.9.0",
        "image: prom/node-exporter:v1.9.0\n    stop_grace_period: ${MY_SECRET}",
    );
    let told = command.env("MY_SECRET", "beat17password99").output().unwrap();
    let ended =
        Ended { exit: 64, stdout: String::new(), stderr: String::from_utf8(told.stderr).unwrap() };
    shows_none(&broken, &ended, "a variable in a place where it is refused");
    assert!(ended.stderr.contains("is no duration"), "{}", ended.stderr);
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pure/report/golden").join(name)
}

/// A run whose events and plan hold every secret, as programs of old wrote them or as ours records
/// them.
fn recorded(folder: &Path, by_us: bool) {
    let recorder = by_us.then(|| Recorder::begin(folder, RunClock::begin()).unwrap());
    let text = std::fs::read_to_string(golden("history.jsonl")).unwrap();
    let all = secrets().join(" ");
    let mut lines = Vec::new();
    for line in text.lines() {
        let event: Event = serde_json::from_str(line).unwrap();
        let ends =
            matches!(&event.kind, EventKind::Run(verdict::history::run::RunEvent::Ended { .. }));
        let mut kinds = vec![event.kind.clone()];
        if ends {
            for secret in secrets() {
                kinds.insert(0, EventKind::Alert(AlertEvent::Notification(refused(secret))));
            }
            let log_tail = secrets()
                .into_iter()
                .map(|secret| format!("connecting with password={secret}"))
                .collect();
            kinds.insert(
                0,
                EventKind::Stack(StackEvent::NotReady {
                    service: "node".into(),
                    seen: all.clone(),
                    log_tail,
                }),
            );
        }
        match &recorder {
            Some(recorder) => {
                for kind in kinds {
                    recorder.write_at(kind, event.at).unwrap();
                }
            }
            None => lines.extend(
                kinds
                    .into_iter()
                    .map(|kind| serde_json::to_string(&Event { kind, ..event.clone() }).unwrap()),
            ),
        }
    }
    if let Some(recorder) = recorder {
        recorder.sync().unwrap();
    } else {
        std::fs::write(folder.join("history.jsonl"), lines.join("\n") + "\n").unwrap();
    }
    for name in ["documents.jsonl", "operations.jsonl", "samples.jsonl", "spans.jsonl"] {
        std::fs::copy(golden(name), folder.join(name)).unwrap();
    }
    let mut file: report::RunFile = record::read_json(&golden(""), "run.json").unwrap();
    file.replay = format!("firedrill verify {all}");
    file.versions.insert("images".into(), all.clone());
    file.declaration = firedrill::yaml::read(&planted().folder().join("firedrill.yaml")).unwrap();
    if by_us {
        record::write_json(folder, "run.json", &file).unwrap();
    } else {
        std::fs::write(folder.join("run.json"), serde_json::to_string_pretty(&file).unwrap())
            .unwrap();
    }
}

fn refused(secret: &str) -> Notification {
    Notification {
        receiver: None,
        protocol: Protocol::Webhook,
        host: "rooms.test".into(),
        path: format!("/{secret}"),
        key: Some(secret.into()),
        answered: 404,
        alerts: Vec::new(),
        error: Some(format!("no webhook has path /{secret}")),
        received_wall_us: 1,
        from: None,
    }
}

#[test]
fn a_run_is_recorded_and_reported_without_secrets() {
    secret::learn_folder(&planted().folder());
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), true);
    let told = report::write_all(folder.path()).unwrap();
    assert_eq!(shown_below(folder.path(), &secrets()), Vec::<String>::new());
    let text = secret::scrub(&report::text::render(&told)).into_owned();
    assert_eq!(shown(&text, secrets()), Vec::<String>::new());
    let history = std::fs::read_to_string(folder.path().join("history.jsonl")).unwrap();
    assert!(
        history.contains("[routing_key …zzzz]") || history.contains("[key …zzzz]"),
        "the last four characters are shown"
    );
    // The search finds what is there: without the scrubbing the same run would show all.
    let raw = tempfile::tempdir().unwrap();
    recorded(raw.path(), false);
    assert!(shown_below(raw.path(), &secrets()).len() >= secrets().len());
}

#[test]
fn a_run_that_was_recorded_with_secrets_is_judged_without_showing_them() {
    let broken = planted();
    let run = broken.home.path().join("old/0102-030405-abcd");
    std::fs::create_dir_all(&run).unwrap();
    recorded(&run, false);
    // Only what is stated by the run's own declaration can be known to its judge.
    let stated: Vec<&str> = PLANTED
        .iter()
        .filter(|(file, _)| *file == "firedrill.yaml")
        .map(|(_, secret)| *secret)
        .collect();
    let ended = broken.run(&["judge", "0102-030405-abcd", "--report", "old"]);
    assert!([0, 1, 2].contains(&ended.exit), "{}", ended.stderr);
    let told = format!("{}\n{}", ended.stderr, ended.stdout);
    assert_eq!(shown(&told, stated.iter().copied()), Vec::<String>::new());
    for file in ["report.json", "report.html", "junit.xml"] {
        let text = std::fs::read_to_string(run.join(file)).unwrap();
        assert_eq!(shown(&text, stated.iter().copied()), Vec::<String>::new(), "{file}");
    }
    let text = std::fs::read_to_string(run.join("run.json")).unwrap();
    std::fs::write(
        run.join("run.json"),
        text.replace("\"R01fdkeyAAAA1111zzzz\"", "[\"R01fdkeyAAAA1111zzzz\"]"),
    )
    .unwrap();
    let ended = broken.run(&["judge", "0102-030405-abcd", "--report", "old"]);
    ended.is_one_message(64, &["run.json:"]);
    assert_eq!(shown(&ended.stderr, stated), Vec::<String>::new());
}

#[test]
fn verdicts_are_the_same_whether_or_not_secrets_are_taken_out() {
    let file: report::RunFile = record::read_json(&golden(""), "run.json").unwrap();
    let history = record::read(&golden("")).unwrap();
    let statuses = |report: &report::Report| {
        report.verdicts.iter().map(|v| (v.id.clone(), v.status)).collect::<Vec<_>>()
    };
    let before = statuses(&report::judge(&history, &file));
    firedrill::declaration::secrets::learn(&file.declaration);
    let mut value = serde_json::to_value(&file).unwrap();
    secret::scrub_json(&mut value);
    assert_ne!(
        value,
        serde_json::to_value(&file).unwrap(),
        "the golden run's declaration holds secrets"
    );
    let masked: Vec<Event> = history
        .events
        .iter()
        .map(|event| {
            let mut event = serde_json::to_value(event).unwrap();
            secret::scrub_json(&mut event);
            serde_json::from_value(event).unwrap()
        })
        .collect();
    let after = statuses(&report::judge(
        &verdict::History::new(masked),
        &serde_json::from_value(value).unwrap(),
    ));
    assert_eq!(before, after);
}

#[test]
fn what_a_real_run_wrote_shows_no_secret_of_its_stack() {
    let (Some(folder), Some(stack)) =
        (std::env::var_os("FIREDRILL_SEARCH"), std::env::var_os("FIREDRILL_SEARCH_STACK"))
    else {
        return;
    };
    let stack =
        firedrill::stack::Stack::open(&stack.to_string_lossy()).unwrap_or_else(|e| panic!("{e}"));
    let known = secret::known();
    assert!(!known.is_empty(), "{} holds no secrets", stack.folder.display());
    assert!(Path::new(&folder).is_dir(), "{} is no folder", Path::new(&folder).display());
    let values: Vec<&str> = known.iter().map(|(value, _)| value.as_str()).collect();
    assert_eq!(shown_below(Path::new(&folder), &values), Vec::<String>::new());
}
