//! Records that can't be judged.

use support::broken::Broken;

#[test]
fn what_is_no_run_is_told() {
    let broken = Broken::copy_of("mini");
    broken.run(&["judge", "0101-000000-aaaa", "--report", "report"]).is_one_message(
        64,
        &["0101-000000-aaaa is no recorded run", "history.jsonl", "report holds none"],
    );
    broken.run(&["judge", "STACK"]).is_one_message(64, &["is no recorded run"]);
}

#[test]
fn a_damaged_record_names_file_and_line() {
    let broken = Broken::copy_of("mini");
    let run = broken.report().join("0102-030405-abcd");
    std::fs::create_dir_all(&run).expect("folder");
    let write = |name: &str, text: &str| std::fs::write(run.join(name), text).expect("file");
    let judge = || broken.run(&["judge", "0102-030405-abcd", "--report", "report"]);

    write("history.jsonl", "");
    judge().is_one_message(64, &["run.json", "not whole"]);

    write("run.json", "{\n  \"versions\": {},\n  \"replay\": 5\n}\n");
    judge().is_one_message(64, &["report/0102-030405-abcd/run.json:3"]);

    write("history.jsonl", "this is\nno history\n");
    judge().is_one_message(64, &["report/0102-030405-abcd/history.jsonl:1"]);
}
