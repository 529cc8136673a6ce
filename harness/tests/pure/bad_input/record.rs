//! Records that can't be judged.

use super::snapshot::{agreed, command_line};
use support::broken::Broken;

/// What `judge` says of what can't be judged.
fn refused(broken: &Broken, arguments: &[&str]) -> String {
    let ended = broken.run(arguments);
    ended.is_refused(64);
    format!("{}\n{}", command_line(arguments), broken.elsewhere(&ended.stderr))
}

#[test]
fn what_is_no_run_is_told() {
    let broken = Broken::copy_of("mini");
    let said = [
        refused(&broken, &["judge", "0101-000000-aaaa", "--report", "report"]),
        refused(&broken, &["judge", "STACK"]),
    ];
    agreed("no_run", &said);
}

#[test]
fn a_damaged_record_names_file_and_line() {
    let broken = Broken::copy_of("mini");
    let run = broken.report().join("0102-030405-abcd");
    std::fs::create_dir_all(&run).expect("folder");
    let said = [
        ("history.jsonl", ""),
        ("run.json", "{\n  \"versions\": {},\n  \"replay\": 5\n}\n"),
        ("history.jsonl", "this is\nno history\n"),
    ]
    .map(|(file, text)| {
        std::fs::write(run.join(file), text).expect("file");
        let said = refused(&broken, &["judge", "0102-030405-abcd", "--report", "report"]);
        format!("## {file} is {text:?}\n{said}")
    });
    agreed("damaged_record", &said);
}
