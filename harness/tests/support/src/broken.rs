//! A broken copy of a stack, and the program run on it.

use crate::{program, root};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A socket that nobody listens on.
pub const NO_ENGINE: &str = "unix:///does/not/exist/docker.sock";

/// A copy of a stack in a folder of its own, with scenarios, features and baseline beside it, and a
/// state folder.
pub struct Broken {
    pub home: tempfile::TempDir,
}

/// How the program ended.
pub struct Ended {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Copies a folder as it is, links and permissions too.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().expect("cp");
    assert!(copied.success(), "cp -a {} {}: {copied}", from.display(), to.display());
}

impl Broken {
    /// A copy of one of our stacks that is still whole.
    pub fn copy_of(stack: &str) -> Broken {
        let broken = Broken { home: tempfile::tempdir().expect("folder") };
        let (root, folder) = (root(), broken.folder());
        copy(&root.join("compose/stacks").join(stack), &folder);
        copy(&root.join("scenarios").join(stack), &folder.join("scenarios"));
        if !folder.join("features").is_dir() {
            copy(&root.join("features"), &folder.join("features"));
        }
        let baseline = root.join("scenarios/baselines").join(format!("{stack}.yaml"));
        if baseline.is_file() {
            std::fs::copy(baseline, folder.join("baseline.yaml")).expect("file");
        }
        broken
    }

    /// The stack's folder.
    pub fn folder(&self) -> PathBuf {
        self.home.path().join("shop")
    }

    /// Folder for reports.
    pub fn report(&self) -> PathBuf {
        self.home.path().join("report")
    }

    /// Replaces the first `old` in a file by `new`; an empty `old` writes the whole file.
    pub fn edit(&self, file: &str, old: &str, new: &str) {
        let path = self.folder().join(file);
        if old.is_empty() {
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            return std::fs::write(path, new).expect("file");
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(text.contains(old), "{file} no longer holds {old:?}: adapt the case");
        std::fs::write(path, text.replacen(old, new, 1)).expect("file");
    }

    /// Takes the drill out of the e-mail stack's gate: how soon an alert fires is two of a run's
    /// five minutes, which those who ask for other measures need not wait.
    pub fn without_drill(&self) {
        self.edit("baseline.yaml", "drills: [beat_stopped]", "drills: []");
        self.edit("baseline.yaml", "detection: {source", "#");
    }

    /// `path:line` of the first place in a file where a text begins.
    pub fn place(&self, file: &str, text: &str) -> String {
        let path = self.folder().join(file);
        let content = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
        let at = content.find(text).unwrap_or_else(|| panic!("{file} holds no {text:?}"));
        let line = content[..at].matches('\n').count() + 1;
        format!("{}:{line}", path.canonicalize().expect("path").display())
    }

    /// A text that the program said, without what differs between machines and runs: `STACK` is the
    /// stack's folder, `HOME` the one that it is in, `ROOT` the repository.
    pub fn elsewhere(&self, said: &str) -> String {
        let folders = [(self.folder(), "STACK"), (self.home.path().into(), "HOME")];
        let mut text = said.to_owned();
        for (folder, name) in folders.into_iter().chain([(root().to_owned(), "ROOT")]) {
            let resolved = folder.canonicalize().expect("a folder");
            text = text.replace(&resolved.display().to_string(), name);
            text = text.replace(&folder.display().to_string(), name);
        }
        text
    }

    /// The program with a state folder of its own and no engine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program().unwrap_or_else(|e| panic!("{e}")));
        let folder = self.folder().display().to_string();
        command.args(arguments.iter().map(|a| a.replace("STACK", &folder)));
        command
            .current_dir(self.home.path())
            .env("XDG_STATE_HOME", self.home.path().join("state"))
            .env("HOME", self.home.path());
        command
            .env("DOCKER_HOST", NO_ENGINE)
            .env_remove("FIREDRILL_PROVISION")
            .env_remove("FIREDRILL_STATE")
            .env("RUST_BACKTRACE", "0");
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ended { exit: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Files of the state folder: what was journalled or begun.
    pub fn state(&self) -> Vec<PathBuf> {
        fn below(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    below(&entry.path(), found)
                } else {
                    found.push(entry.path())
                }
            }
        }
        let mut found = Vec::new();
        below(&self.home.path().join("state"), &mut found);
        found
    }
}

impl Ended {
    /// Asserts that this is one message with a hint which says all these words, and the exit code.
    pub fn is_one_message(&self, exit: i32, says: &[&str]) {
        self.is_refused(exit);
        for words in says {
            let told = &self.stderr;
            assert!(told.contains(words), "the message does not say {words:?}: {told}");
        }
    }

    /// Asserts that this is one message with a hint, and the exit code.
    pub fn is_refused(&self, exit: i32) {
        let told = format!("exit {}\n{}\n{}", self.exit, self.stderr, self.stdout);
        assert_eq!(self.exit, exit, "exit code: {told}");
        let errors = self.stderr.lines().filter(|l| l.starts_with("error: ")).count();
        assert_eq!(errors, 1, "one message: {told}");
        assert!(
            !self.stderr.contains("panicked") && !self.stderr.contains("defect"),
            "no panic: {told}"
        );
        assert!(
            self.stderr.lines().any(|l| l.trim_start().starts_with("hint: ")),
            "no hint: {told}"
        );
    }
}
