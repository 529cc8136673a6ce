//! Arguments of all commands but `load`.

use super::case::{Case, asked, each_gives_one_message};
use support::broken::Broken;

const ARGUMENTS: &[Case] = &[
    asked("no such stack", &["verify", "emial"]),
    asked("no such folder", &["verify", "./shopp"]),
    asked("folder without firedrill.yaml", &["verify", "STACK/features"]),
    asked("file in place of a folder", &["verify", "STACK/firedrill.yaml"]),
    asked("unknown tag", &["verify", "STACK", "--tags", "nightli"]),
    asked(
        "one known tag does not excuse an unknown one",
        &["verify", "email", "--tags", "stack:email,slow-ish"],
    ),
    asked("time scale out of range", &["verify", "STACK", "--time-scale", "0"]),
    asked("time scale that can't be had", &["verify", "STACK", "--time-scale", "5000"]),
    asked("unknown drill", &["run", "exporter_stoped", "--stack", "STACK"]),
    asked("unknown sabotage", &["selftest", "STACK", "--only", "scrape_wrong_prt"]),
    asked("unknown image", &["images", "grafanna"]),
    asked("unknown fault by hand", &["fault", "inject", "stpo", "exporter"]),
    asked(
        "unknown setting by hand",
        &["fault", "inject", "packet_delay", "exporter", "to=spare", "by=5"],
    ),
    asked("setting without value", &["fault", "inject", "packet_delay", "exporter", "to"]),
    asked(
        "fault on a stack that is not up",
        &["fault", "inject", "stop", "exporter", "--stack", "STACK"],
    ),
    asked("tags without scenarios", &["up", "STACK", "--tags", "nightly"]),
];

#[test]
fn arguments() {
    each_gives_one_message("arguments", ARGUMENTS);
}

#[test]
fn a_stack_that_is_whole_has_nothing_wrong() {
    for stack in ["mini", "email"] {
        let ended = Broken::copy_of(stack).run(&["verify", "STACK", "--dry-run"]);
        assert_eq!((ended.exit, ended.stderr.as_str()), (0, ""), "{stack}");
        assert!(ended.stdout.contains("expect  health.services"), "{}", ended.stdout);
    }
}

#[test]
fn help_is_there_for_every_command() {
    let broken = Broken::copy_of("mini");
    let whole = broken.run(&["--help"]).stdout;
    let listed: Vec<&str> = whole
        .lines()
        .skip_while(|l| !l.starts_with("Commands:"))
        .skip(1)
        .take_while(|l| !l.is_empty())
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert!(listed.len() >= 10, "{whole}");
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))
        .expect("README");
    for command in listed.into_iter().filter(|c| *c != "help") {
        let help = broken.run(&[command, "--help"]);
        assert_eq!(help.exit, 0, "{command}");
        assert!(help.stdout.contains("Usage: firedrill"), "{command}: {}", help.stdout);
        let commands = readme
            .split("## Commands")
            .nth(1)
            .and_then(|r| r.split("\n## ").next())
            .expect("a section");
        assert!(
            commands.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == command),
            "the README's list lacks {command}"
        );
    }
    for wrong in [
        &["verfy"][..],
        &["verify", "--tim-scale", "5"],
        &["run"],
        &["judge"],
        &["verify", "--seed", "x"],
        &["fault"],
        &["verify", "--images", "none"],
    ] {
        let ended = broken.run(wrong);
        assert_eq!(ended.exit, 64, "{wrong:?}: {}", ended.stderr);
    }
}
