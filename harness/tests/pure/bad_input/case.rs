//! A case: one way to be wrong, and what the program says of it, as a snapshot.

use super::snapshot::{agreed, command_line};
use support::broken::Broken;

/// One way to be wrong: exit code 64, before anything is touched.
pub struct Case {
    pub name: &'static str,
    pub stack: &'static str,
    /// File, text that is there, text that takes its place; an empty one writes the whole file.
    pub edits: &'static [(&'static str, &'static str, &'static str)],
    /// `STACK` stands for the folder.
    pub arguments: &'static [&'static str],
    /// File, and a text that stands first on the line which the message must name; none if no line
    /// is meant.
    pub at: Option<(&'static str, &'static str)>,
}

pub const VERIFY: &[&str] = &["verify", "STACK", "--report", "report"];
pub const OWN: &str = "firedrill.yaml";
pub const RULES: &str = "prometheus/rules/alerts.yml";

/// A case about files, on the mini stack.
pub const fn mini(
    name: &'static str,
    edits: &'static [(&'static str, &'static str, &'static str)],
    at: (&'static str, &'static str),
) -> Case {
    Case { name, stack: "mini", edits, arguments: VERIFY, at: Some(at) }
}

/// The same on the e-mail stack.
pub const fn email(
    name: &'static str,
    edits: &'static [(&'static str, &'static str, &'static str)],
    at: (&'static str, &'static str),
) -> Case {
    Case { name, stack: "email", edits, arguments: VERIFY, at: Some(at) }
}

/// A case about arguments, on the mini stack as it is.
pub const fn asked(name: &'static str, arguments: &'static [&'static str]) -> Case {
    Case { name, stack: "mini", edits: &[], arguments, at: None }
}

impl Case {
    /// What the program says; the line that it must name is `LINE`, whatever its number.
    fn said(&self) -> String {
        let broken = Broken::copy_of(self.stack);
        for (file, old, new) in self.edits {
            broken.edit(file, old, new);
        }
        let ended = broken.run(self.arguments);
        ended.is_refused(64);
        let mut said = ended.stderr;
        if let Some((file, text)) = self.at.filter(|(_, text)| !text.is_empty()) {
            let place = format!("{}:", broken.place(file, text));
            assert!(said.contains(&place), "not at {place}\n{said}");
            said = said.replace(&place, &format!("STACK/{file}:LINE:"));
        }
        assert!(broken.state().is_empty(), "something was begun: {:?}", broken.state());
        assert!(
            !broken.report().exists()
                || std::fs::read_dir(broken.report()).is_ok_and(|mut f| f.next().is_none()),
            "a run was begun"
        );
        broken.elsewhere(&said)
    }
}

/// The words of a panic.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let fixed = || panic.downcast_ref::<&str>().copied().unwrap_or("?").to_owned();
    panic.downcast_ref::<String>().cloned().unwrap_or_else(fixed)
}

/// Each case gives one message, which reads as agreed on: those of a group are in one snapshot.
pub fn each_gives_one_message(group: &str, cases: &[Case]) {
    let (mut texts, mut wrong) = (Vec::new(), Vec::new());
    for case in cases {
        match std::panic::catch_unwind(|| case.said()) {
            Ok(said) => {
                let asked = command_line(case.arguments);
                texts.push(format!("## {}\n{asked}\n{said}", case.name));
            }
            Err(panic) => wrong.push(format!("--- {}\n{}", case.name, words(&*panic))),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    agreed(group, &texts);
}
