//! The parts in which `.ci/test` runs the tests: every target of the workspace, and every module of
//! a target that runs by modules, is in exactly one; what is recorded of their costs fits the
//! clock; which of them run follows from time, images, change and commit; and what failed is told
//! last. The script only plans here (`--plan`), or calls a cargo that does nothing.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the script runs by itself before any part: a table must not be able to leave out its own
/// test.
const OWN: &str = "cargo test --workspace --test pure parts::";
/// Longest that another big stack may take, images there, s.
const IN_TURN: u64 = 720;
/// Minutes before the first part, at most: format, lint and build, with everything compiled that is
/// not ours; from nothing.
const BEFORE: (u64, u64) = (6, 20);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn table() -> String {
    std::fs::read_to_string(root().join(".ci/parts")).unwrap()
}

/// Lines of a table as their columns; what comes after the sixth is one.
fn rows(table: &str) -> Vec<Vec<String>> {
    let lines = table.lines().map(|line| line.split('#').next().unwrap_or_default());
    let columns = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (first, tests) = words.split_at(words.len().min(6));
        first.iter().map(|word| (*word).to_owned()).chain([tests.join(" ")]).collect()
    };
    lines.filter(|line| !line.trim().is_empty()).map(columns).collect()
}

/// Modules that a test program runs each by itself, as its `main.rs` lists them.
fn modules(main: &str) -> Vec<&str> {
    let listed = main.split_once("support::modules![").and_then(|(_, rest)| rest.split_once(']'));
    let names = listed.map_or("", |(names, _)| names).split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).collect()
}

/// What `cargo test` is told for each target that `cargo test --workspace` runs, and for each
/// module of one that has modules.
fn targets() -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Value = serde_json::from_slice(&cargo.output().unwrap().stdout).unwrap();
    let mut found = BTreeSet::new();
    for target in metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|package| package["targets"].as_array().unwrap())
    {
        if target["doctest"] == true {
            found.insert("--doc".to_owned());
        }
        if target["test"] == true {
            let name = match target["kind"][0].as_str().unwrap() {
                "lib" => "--lib".into(),
                "bin" => "--bins".into(),
                kind => format!("--{kind} {}", target["name"].as_str().unwrap()),
            };
            let path = target["src_path"].as_str().unwrap();
            let main = path.ends_with("main.rs").then(|| std::fs::read_to_string(path).unwrap());
            match modules(&main.unwrap_or_default()).as_slice() {
                [] => drop(found.insert(name)),
                several => found.extend(several.iter().map(|module| format!("{name} {module}::"))),
            }
        }
    }
    found
}

/// The targets that a part runs. A variable before them makes them tests of something else.
fn selected(tests: &str) -> Vec<String> {
    let (variables, arguments): (Vec<&str>, Vec<&str>) =
        tests.split(' ').partition(|word| word.contains('='));
    let mut selected: Vec<String> = Vec::new();
    for word in arguments {
        match selected.last_mut() {
            Some(last) if !word.starts_with("--") => write!(last, " {word}").unwrap(),
            _ => selected.push(word.into()),
        }
    }
    selected
        .into_iter()
        .map(|target| [variables.join(" "), target].join(" ").trim().to_owned())
        .collect()
}

/// What is wrong with a table: targets in no part, in two, or that don't exist.
fn astray(targets: &BTreeSet<String>, table: &str) -> Vec<String> {
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows(table) {
        for target in selected(&row[6]) {
            parts.entry(target).or_default().push(row[0].clone());
        }
    }
    let of = |target: &str| {
        target.split(' ').filter(|word| !word.contains('=')).collect::<Vec<_>>().join(" ")
    };
    let mut wrong = Vec::new();
    for target in targets.iter().filter(|target| !parts.contains_key(*target)) {
        wrong.push(format!(
            "{target} is in no part\nhint: a line of .ci/parts, or another word on one"
        ));
    }
    for (target, parts) in &parts {
        if parts.len() > 1 {
            wrong.push(format!(
                "{target} is in {}\nhint: leave it in one of them",
                parts.join(" and ")
            ));
        }
        if !targets.contains(&of(target)) {
            wrong.push(format!(
                "{} has {target}, which is no target\nhint: its name in Cargo.toml, or of its file",
                parts.join(" and ")
            ));
        }
    }
    wrong
}

/// Big stacks that take longer than their turn.
fn too_long(table: &str) -> BTreeMap<String, u64> {
    let mut seconds = BTreeMap::new();
    for row in rows(table).iter().filter(|row| row[1] == "in-turn") {
        *seconds.entry(row[2].clone()).or_insert(0) += row[3].parse::<u64>().unwrap();
    }
    seconds.retain(|_, seconds| *seconds > IN_TURN);
    seconds
}

#[test]
fn every_target_is_in_exactly_one_part() {
    let wrong = astray(&targets(), &table());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_table_can_leave_out_this_test() {
    let script = std::fs::read_to_string(root().join(".ci/test")).unwrap();
    assert!(script.contains(&format!("timed parts {OWN}\n")), "{OWN} is not in .ci/test");
}

#[test]
fn a_target_that_is_left_out_named_twice_or_unknown_is_told() {
    let targets: BTreeSet<String> =
        ["--lib", "--doc", "--test one", "--test two", "--test many a::", "--test many b::"]
            .map(str::to_owned)
            .into();
    let line = |name: &str, tests: &str| format!("{name} in-time shop 1 2 - {tests}\n");
    let whole = line("code", "--lib --test one")
        + &line("doc", "--doc # why")
        + "\n# a remark\n"
        + &line("two", "--test two --test many a::")
        + &line("b", "--test many b::");
    assert_eq!(astray(&targets, &whole), Vec::<String>::new());
    // The same tests of another stack are other tests.
    assert_eq!(
        astray(&targets, &(whole.clone() + &line("other", "STACK=other --test two"))),
        Vec::<String>::new()
    );
    let told = |table: String| astray(&targets, &table).join("\n");
    assert!(told(whole.replace("--test one", "")).starts_with("--test one is in no part\n"));
    assert!(told(whole.replace(" b::", " a::")).contains("--test many a:: is in two and b\n"));
    assert!(told(whole.replace(" b::", " a::")).contains("--test many b:: is in no part\n"));
    assert!(told(whole.replace(" b::", "")).contains("b has --test many, which is no target\n"));
    assert!(told(whole.replace("--doc", "--lib")).contains("--lib is in code and doc\n"));
    assert!(told(whole.replace("--doc", "--lib")).contains("--doc is in no part\n"));
    assert!(
        told(whole.clone() + &line("gone", "--test gone"))
            .starts_with("gone has --test gone, which is no target\n")
    );
    assert!(
        told(whole + &line("again", "STACK=other --test three"))
            .contains("STACK=other --test three, which is no target")
    );
}

#[test]
fn the_modules_of_a_target_are_those_that_it_runs() {
    let main = "mod bench;\nfn main() { support::module::run(support::modules![one,\n  two,\n]) }";
    assert_eq!(modules(main), ["one", "two"]);
    assert_eq!(modules("mod one;"), Vec::<&str>::new());
}

/// The script, with nothing of what this test itself runs under.
fn script(stacks: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(root().join(".ci/test"));
    command.args(arguments).env_remove("FIREDRILL_BEGAN").env_remove("FIREDRILL_STACKS");
    command.envs(stacks.map(|stacks| ("FIREDRILL_STACKS", stacks)));
    command.output().unwrap()
}

fn planned(stacks: Option<&str>, arguments: &[&str]) -> String {
    let output = script(stacks, &[&["--plan"], arguments].concat());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    told
}

#[test]
fn all_that_there_is_fits_the_clock_warm_and_cold() {
    let every = rows(&table());
    let mut others: Vec<&str> =
        every.iter().filter(|row| row[1] == "in-turn").map(|row| row[2].as_str()).collect();
    others.dedup();
    let stacks = every.iter().map(|row| row[2].as_str()).collect::<Vec<_>>().join(" ");
    assert_eq!(
        too_long(&table()),
        BTreeMap::new(),
        "stacks that take more than {IN_TURN} s, images there"
    );
    for (here, before, end) in [(stacks.as_str(), BEFORE.0, 55.0), ("", BEFORE.1, 80.0)] {
        // Whichever has its turn; while there is none, without.
        for changed in others.iter().copied().chain(others.is_empty().then_some("")) {
            let told = planned(
                None,
                &["--elapsed", &(before * 60).to_string(), "--here", here, "--changed", changed],
            );
            let ends: f64 = told
                .lines()
                .last()
                .unwrap()
                .strip_prefix("ends at minute ")
                .unwrap()
                .parse()
                .unwrap();
            // Where images are to be built there may be no time for another big stack: it has its turn
            // in a run that finds them.
            let may_wait = |line: &str| {
                here.is_empty() && others.iter().any(|stack| line.contains(&format!("({stack})")))
            };
            let missed =
                told.lines().filter(|line| line.contains("no time")).any(|line| !may_wait(line));
            assert!(!missed && ends <= end, "wanted all of them by minute {end}\n{told}");
        }
    }
}

const SAMPLE: &str = "
# A remark.
code   always  code  100 -   -      --lib     # and another
small  always  mini  200 300 base   --test small
mail   in-time email 600 1200 big,bigger --test mail
post   in-time email 60  200 -      --test post
plane  in-turn plane 500 900 wing   STACK=plane --test mail
pilot  in-turn plane 50  100 -      --test pilot
ship   in-turn ship  700 800 keel   STACK=ship --test mail
";

/// What the script says about the sample: the parts that run, when the last ends, and everything.
fn sample(stacks: Option<&str>, arguments: &[&str]) -> (String, String, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SAMPLE).unwrap();
    let told = planned(stacks, &[&["--parts", file.path().to_str().unwrap()], arguments].concat());
    let run = told
        .lines()
        .filter_map(|line| line.strip_prefix("run ")?.split(' ').next())
        .collect::<Vec<_>>()
        .join(" ");
    let ends = told
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("ends at minute "))
        .unwrap_or_default()
        .to_owned();
    (run, ends, told)
}

#[test]
fn which_parts_run_follows_from_time_images_change_and_commit() {
    let (all, even, odd) = ("mini email plane ship", "0000000a", "0000000b");
    struct Case<'a> {
        elapsed: &'a str,
        here: &'a str,
        changed: &'a [&'a str],
        commit: &'a str,
        run: &'a str,
        ends: &'a str,
        says: &'a [&'a str],
    }
    let warm = Case {
        elapsed: "300",
        here: all,
        changed: &[""],
        commit: even,
        run: "code small mail post plane pilot",
        ends: "30.1",
        says: &[],
    };
    let cases = [
        Case {
            says: &[
                "left out: ship (ship): it is the turn of plane: the change touches none, commit 0000000 chose",
            ],
            ..warm
        },
        Case { run: "code small mail post ship", ends: "32.6", commit: "0000001b", ..warm },
        // A change decides before the commit does, and the last of several: a folder or a file of
        // that name, and no other word.
        Case {
            run: "code small mail post ship",
            ends: "32.6",
            changed: &["compose/stacks/ship/firedrill.yaml", "plane/x"],
            ..warm
        },
        Case {
            commit: "0000001b",
            changed: &["x/shipping.rs", "ship-yard/x", "x/plane.rs", "scenarios/ship/x"],
            ..warm
        },
        Case {
            says: &["it is the turn of plane: the change touches scenarios/plane.yaml"],
            changed: &["scenarios/plane.yaml"],
            ..warm
        },
        // Only the first part of a stack builds its images.
        Case { here: "", ends: "48.5", ..warm },
        Case { here: "mini email", ends: "36.8", ..warm },
        Case { here: "mini plane ship", ends: "40.1", ..warm },
        // To the second: the last part may end at minute 80, not after.
        Case { elapsed: "3290", ends: "80.0", ..warm },
        Case {
            elapsed: "3291",
            run: "code small mail post plane",
            ends: "79.1",
            says: &["left out: pilot (plane): no time: begun at"],
            ..warm
        },
        // What does not fit makes room for what does, and is no reason to run what must be built as
        // if it were there.
        Case {
            elapsed: "4000",
            run: "code small post pilot",
            ends: "73.5",
            says: &["mail (email): no time", "plane (plane): no time"],
            ..warm
        },
        Case {
            elapsed: "4310",
            here: "mini",
            run: "code small pilot",
            ends: "78.5",
            says: &["left out: post (email): no time"],
            ..warm
        },
        Case {
            elapsed: "4310",
            run: "code small post pilot",
            ends: "78.6",
            says: &["left out: mail (email): no time"],
            ..warm
        },
        // What always runs does so past the end, too.
        Case { elapsed: "5000", run: "code small", ends: "88.3", commit: odd, ..warm },
    ];
    for case in cases {
        let changed = case.changed.iter().flat_map(|file| ["--changed", file]);
        let arguments = ["--elapsed", case.elapsed, "--here", case.here, "--commit", case.commit]
            .into_iter()
            .chain(changed);
        let (run, ends, told) = sample(None, &arguments.collect::<Vec<_>>());
        assert_eq!((run.as_str(), ends.as_str()), (case.run, case.ends), "{told}");
        assert!(case.says.iter().all(|said| told.contains(said)), "{:?} in:\n{told}", case.says);
        let named = told
            .lines()
            .filter(|line| line.starts_with("run ") || line.starts_with("left out: "))
            .count();
        assert_eq!(named, rows(SAMPLE).len(), "each part is told of once:\n{told}");
    }
}

#[test]
fn asked_for_stacks_run_whole_whatever_they_take() {
    let late = ["--elapsed", "4700", "--here", "", "--changed", "", "--commit", "0000000"];
    assert_eq!(sample(Some("all"), &late).0, "code small mail post plane pilot ship");
    assert_eq!(sample(Some("ship,email"), &late).0, "code small mail post ship");
    let (run, _, told) = sample(Some("plane"), &late);
    assert_eq!(run, "code small plane pilot", "{told}");
    assert!(
        told.contains("left out: mail (email): FIREDRILL_STACKS=plane does not name email"),
        "{told}"
    );
    // Empty is not given.
    assert_eq!(sample(Some(""), &late).0, "code small");
}

#[test]
fn without_other_big_stacks_it_says_so() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "code always code 1 1 - --lib\n").unwrap();
    let told = planned(None, &["--parts", file.path().to_str().unwrap(), "--elapsed", "0"]);
    assert_eq!(
        told,
        "run code (code): minute 0.0, 1 s\nleft out: other big stacks: there is none yet\nends at minute 0.0\n"
    );
}

#[test]
fn a_wrong_table_or_argument_is_told_and_nothing_runs() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let refused = |stacks: Option<&str>, arguments: &[&str], says: &str| {
        let output = script(stacks, arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{told}");
        assert!(
            told.starts_with("error: ") && told.contains(says) && told.contains("\nhint: "),
            "wanted {says}: {told}"
        );
    };
    for (line, says) in [
        ("code sometimes code 1 1 - --lib", "code runs \"sometimes\""),
        ("code always code 1 soon - --lib", "code costs \"1\", \"soon\""),
        ("code always code - 1 - --lib", "code costs \"-\", \"1\""),
        ("code always code 1 1 -  # --lib", "code has no tests"),
        ("code", "code runs \"\""),
    ] {
        std::fs::write(file.path(), format!("# a remark\n{line}\n")).unwrap();
        refused(None, &["--plan", "--parts", path], &format!("{path}:2: {says}"));
    }
    std::fs::write(file.path(), SAMPLE).unwrap();
    refused(
        Some("ship,boat"),
        &["--plan", "--parts", path],
        "FIREDRILL_STACKS=ship,boat: no tests of boat",
    );
    refused(None, &["--plan", "--elapsed"], "--elapsed without a value");
    refused(None, &["--plan", "--elapsed", "soon"], "--elapsed soon");
    refused(None, &["--plan", "--fast"], "argument --fast");
    // Without --plan nothing may be given: it would run the tests.
    refused(None, &["--elapsed", "1"], "argument --elapsed");
    assert_eq!(too_long(SAMPLE), BTreeMap::new());
    let longer = SAMPLE.replace("ship  700", "ship  721");
    assert_eq!(too_long(&longer), BTreeMap::from([("ship".to_owned(), 721)]));
    assert_eq!(
        too_long(&SAMPLE.replace("plane 50 ", "plane 221")),
        BTreeMap::from([("plane".to_owned(), 721)])
    );
}

/// The script, with a cargo that only writes down what it is told, and at what contains `fails`
/// says so with these lines and fails; begun so many seconds ago. What it printed, its exit code,
/// and what cargo was told.
fn with_other_cargo(fails: &str, saying: &str, ago: u64) -> (String, i32, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let [cargo, log, said] = ["cargo", "log", "said"].map(|name| folder.path().join(name));
    // No program of ours is where it builds: nothing is asked about images.
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in metadata*) echo '{{\"target_directory\":\"{}\"}}'; exit ;; esac\n\
         echo \"$*\" >>{}\ncase \"$*\" in *'{fails}'*) cat {} >&2; exit 101 ;; esac\n",
        folder.path().display(),
        log.display(),
        said.display()
    );
    std::fs::write(said, saying).unwrap();
    std::fs::write(&cargo, text).unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - ago;
    let mut command = Command::new(root().join(".ci/test"));
    command.env("PATH", path).env("FIREDRILL_BEGAN", began.to_string());
    let output = command.env_remove("FIREDRILL_STACKS").output().unwrap();
    let calls =
        std::fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect();
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap(), calls)
}

#[test]
fn parts_run_in_order_a_failed_one_stops_none_and_times_are_told_as_the_table_has_them() {
    let table = rows(&table());
    let (told, code, calls) = with_other_cargo("--test mini engine::", "", 4800);
    let always: Vec<_> = table.iter().filter(|row| row[1] == "always").collect();
    let wanted = ["test --workspace --no-run".to_owned(), OWN.replace("cargo ", "")];
    let arguments = |row: &[String]| {
        row[6].split(' ').filter(|word| !word.contains('=')).collect::<Vec<_>>().join(" ")
    };
    let parts =
        always.iter().map(|row| format!("test --workspace --no-fail-fast {}", arguments(row)));
    assert_eq!(calls, wanted.into_iter().chain(parts).collect::<Vec<_>>(), "{told}");
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("[ci] engine: ") && told.contains("s, FAILED\n"), "{told}");
    assert!(
        told.contains("[ci] left out: features (email): no time: begun at minute 80."),
        "{told}"
    );
    // Each line with its time, but not that of a part that failed.
    let (_, lines) = told.split_once("[ci] lines of .ci/parts, as measured:\n").unwrap();
    let measured = rows(lines.split("[ci]").next().unwrap());
    let kept = |row: &[String]| [row[..3].to_vec(), row[5..].to_vec()].concat();
    let passed = always.iter().filter(|row| row[0] != "engine").map(|row| kept(row));
    assert_eq!(
        measured.iter().map(|row| kept(row)).collect::<Vec<_>>(),
        passed.collect::<Vec<_>>()
    );
    for (row, of) in measured.iter().zip(always.iter().filter(|row| row[0] != "engine")) {
        // The first of a stack built its images, the others found them.
        let (measured, other) = if row[5] == "-" { (3, 4) } else { (4, 3) };
        assert!(
            row[measured].parse::<u64>().unwrap() < 10 && row[other] == of[other],
            "{row:?} of {of:?}"
        );
    }
}

#[test]
fn all_pass_or_the_exit_code_tells_and_what_does_not_compile_runs_no_part() {
    let (told, code, calls) = with_other_cargo("nothing fails", "", 0);
    // Of the other big stacks one has its turn.
    let (in_turn, all): (Vec<_>, Vec<_>) =
        rows(&table()).into_iter().partition(|row| row[1] == "in-turn");
    let turns = usize::from(!in_turn.is_empty());
    assert_eq!((code, calls.len()), (0, 2 + all.len() + turns), "{told}");
    let (_, code, calls) = with_other_cargo("--no-run", "", 0);
    assert_eq!((code, calls), (1, vec!["test --workspace --no-run".to_owned()]));
}

#[test]
fn the_tests_that_failed_are_told_last_with_their_messages() {
    let failures = "failures:\n\n---- one::breaks ----\nwanted 3, seen 4\n\n\nfailures:\n    one::breaks\n\ntest result: FAILED. 0 passed\n";
    let saying = format!("running 1 test\n{failures}\nerror: test failed, to rerun\n");
    let (told, code, _) = with_other_cargo("--test mini engine::", &saying, 4800);
    assert_eq!(code, 1, "{told}");
    let (before, last) = told.split_once("[ci] engine FAILED:\n").unwrap();
    assert_eq!(last, failures);
    assert!(before.contains("[ci] tests ended at minute "), "{told}");
    // Nothing but what failed.
    assert!(!before.contains(" FAILED:\n"), "{told}");

    // What did not come as far as a test is told by its end.
    let lines: Vec<String> = (1..=100).map(|n| format!("line {n}")).collect();
    let (told, _, _) = with_other_cargo("--test mini engine::", &lines.join("\n"), 4800);
    let (_, last) = told.split_once("[ci] engine FAILED:\n").unwrap();
    assert_eq!(last.lines().collect::<Vec<_>>(), lines[40..]);
}
