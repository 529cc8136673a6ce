//! Whole messages as they were agreed on, in `snapshots/NAME.snap`. One that is to change is changed
//! by `INSTA_UPDATE=always cargo test --workspace --test pure bad_input::`, and read in the
//! difference.

use regex::Regex;

/// How the program was called.
pub fn command_line(arguments: &[&str]) -> String {
    let quoted = |argument: &&str| match argument.contains(char::is_whitespace) {
        true => format!("{argument:?}"),
        false => (*argument).to_owned(),
    };
    format!("$ firedrill {}", arguments.iter().map(quoted).collect::<Vec<_>>().join(" "))
}

/// A text without what differs between runs, machines and builds: progress, processes, processors.
fn of_any_run(text: &str) -> String {
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("[ ")).collect();
    let mut text = kept.join("\n") + "\n";
    for (pattern, with) in [
        (r"in use by \S+ \(process \d+\)", "in use by PROGRAM (process NUMBER)"),
        (r"999 processors, here \d+", "999 processors, here NUMBER"),
        (r#"model "abacus", here "[^"]*""#, r#"model "abacus", here "MODEL""#),
        (r"1 GiB of memory, here \d+", "1 GiB of memory, here NUMBER"),
        (
            "that are (not )?optimised, these are (not )?optimised",
            "that are BUILT, these are BUILT OTHERWISE",
        ),
    ] {
        let pattern = Regex::new(pattern).expect("a pattern");
        text = pattern.replace_all(&text, with).into_owned();
    }
    text
}

/// Compares texts with those of a snapshot.
pub fn agreed(name: &str, texts: &[String]) {
    let texts: Vec<String> = texts.iter().map(|text| of_any_run(text)).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, texts.join("\n")));
}
