//! What must be undone: every fault, resource and host rule, written and synced to disk *before* it
//! is made, in one known place per user, so that `heal` and `down` find it after any crash.

mod older;

#[cfg(test)]
pub(crate) use older::OLDER;

use crate::backend::Access;
use crate::process::exit::Exit;
use crate::process::failure::UserError;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How to undo one thing. All are idempotent: undoing what is not there succeeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub enum Undo {
    /// Start a container that was stopped or killed.
    StartContainer { container: String },
    /// Unpause a container.
    Unpause { container: String },
    /// End a helper process of ours and its children. The start time guards against a recycled
    /// process id.
    EndHelper {
        pid: i32,
        /// Start time in clock ticks since boot, field 22 of `/proc/<pid>/stat`.
        start_ticks: u64,
    },
    /// Delete packet filter rules in a container's network namespace.
    DeleteContainerRules {
        container: String,
        /// Arguments of `iptables`, with `-D` in place of `-I` or `-A`.
        rules: Vec<Vec<String>>,
    },
    /// Delete packet filter rules of the host.
    DeleteHostRules {
        /// Arguments of `iptables`, with `-D`.
        rules: Vec<Vec<String>>,
    },
    /// Undo what only one kind of fault does, by what it wrote down.
    Fault {
        container: String,
        /// Kind of the fault.
        kind: String,
        /// What it wrote down, in a form of its own.
        state: serde_json::Value,
    },
    /// Give a configuration file its content back, and have its server take it over.
    RestoreFile {
        /// The file, in a run's work copy.
        path: PathBuf,
        /// What it held.
        content: String,
        /// URL that is asked by POST to reload it.
        reload: String,
        /// How it is asked where that takes more than the URL; its secrets are where this says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        access: Option<Box<Access>>,
    },
    /// Remove everything that carries this run's label.
    RemoveRun { run: String },
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Id, unique in the journal.
    pub id: u64,
    /// Run that made it.
    pub run: String,
    /// Stack that it concerns.
    pub stack: String,
    /// What it is, for people: `fault stop on postfix`.
    pub what: String,
    /// How to undo it; `None` on the line that closes the entry.
    pub undo: Option<Undo>,
}

impl Undo {
    /// Whether it takes the whole stack away. `heal` leaves such entries to `down`: it mends the
    /// stack that is there.
    pub fn removes_stack(&self) -> bool {
        matches!(self, Undo::RemoveRun { .. })
    }
}

/// The journal could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("journal {}: {what}: {source}", path.display())]
pub struct JournalError {
    path: PathBuf,
    what: &'static str,
    source: std::io::Error,
}

impl UserError for JournalError {
    fn exit(&self) -> Exit {
        Exit::Unfit
    }

    fn hints(&self) -> Vec<String> {
        vec!["firedrill injects nothing that it can't write down first; make the folder writable, or set XDG_STATE_HOME".into()]
    }
}

/// Variable that tells a process of ours where the journal is.
pub const STATE_VARIABLE: &str = "FIREDRILL_STATE";

/// The journal of one user. Several processes may write to it at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    home: PathBuf,
}

impl Journal {
    /// The user's journal, in `$XDG_STATE_HOME/firedrill` or `~/.local/state/firedrill`; a process
    /// that another one of ours started is told by [`STATE_VARIABLE`] if that one keeps its journal
    /// elsewhere.
    pub fn of_user() -> Journal {
        let set = |name: &str| {
            std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
        };
        if let Some(home) = set(STATE_VARIABLE) {
            return Journal { home };
        }
        let state = set("XDG_STATE_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".local/state")))
            .unwrap_or_else(|| PathBuf::from("/var/lib"));
        Journal { home: state.join("firedrill") }
    }

    /// A journal in a folder of its own, for tests.
    pub fn at(home: impl Into<PathBuf>) -> Journal {
        Journal { home: home.into() }
    }

    /// The folder that holds the journal and the state of runs.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// File of the journal.
    pub fn file(&self) -> PathBuf {
        self.home.join("journal.jsonl")
    }

    /// Writes down how to undo something, and returns once that is on disk. Do the thing only then.
    ///
    /// # Errors
    /// [`JournalError`] when it can't be written: then don't do the thing.
    pub fn open(
        &self,
        run: &str,
        stack: &str,
        what: &str,
        undo: Undo,
    ) -> Result<u64, JournalError> {
        let mut locked = self.lock()?;
        let known = self.read(&mut locked)?;
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_micros() as u64);
        // Ids go on rising when the file is emptied, so that a late `close` never meets another's
        // entry.
        let id = known.keys().next_back().map_or(now, |last| now.max(last + 1));
        let entry =
            Entry { id, run: run.into(), stack: stack.into(), what: what.into(), undo: Some(undo) };
        self.append(&mut locked, &entry)?;
        Ok(id)
    }

    /// Writes down that something was undone; closing what is not open does nothing. Empties the
    /// file when nothing is open any more.
    ///
    /// # Errors
    /// [`JournalError`] when it can't be written.
    pub fn close(&self, id: u64) -> Result<(), JournalError> {
        let mut locked = self.lock()?;
        let mut open = self.read(&mut locked)?;
        let Some(entry) = open.remove(&id) else { return Ok(()) };
        if open.is_empty() {
            locked.set_len(0).map_err(|source| self.error("emptying it", source))?;
            return locked.sync_all().map_err(|source| self.error("syncing it", source));
        }
        self.append(&mut locked, &Entry { undo: None, ..entry })
    }

    /// What is open, oldest first.
    ///
    /// # Errors
    /// [`JournalError`] when it can't be read.
    pub fn open_entries(&self) -> Result<Vec<Entry>, JournalError> {
        if !self.file().exists() {
            return Ok(Vec::new());
        }
        let mut locked = self.lock()?;
        Ok(self.read(&mut locked)?.into_values().collect())
    }

    fn lock(&self) -> Result<Flock<File>, JournalError> {
        std::fs::create_dir_all(&self.home)
            .map_err(|source| self.error("making its folder", source))?;
        let new = !self.file().exists();
        let open = OpenOptions::new().read(true).append(true).create(true).open(self.file());
        let file = open.map_err(|source| self.error("opening it", source))?;
        if new {
            // The name of a new file is on disk only once its folder is.
            let synced = File::open(&self.home).and_then(|folder| folder.sync_all());
            synced.map_err(|source| self.error("syncing its folder", source))?;
        }
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| self.error("locking it", errno.into()))
    }

    /// Open entries by id. A last line without its end was being written when the writer died: what
    /// it announces was not done yet, so it is dropped. Other lines that can't be read are skipped;
    /// nothing can be undone by them.
    fn read(&self, file: &mut File) -> Result<BTreeMap<u64, Entry>, JournalError> {
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0)).map_err(|source| self.error("reading it", source))?;
        file.read_to_end(&mut text).map_err(|source| self.error("reading it", source))?;
        if text.last().is_some_and(|last| *last != b'\n') {
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            file.set_len(whole as u64)
                .map_err(|source| self.error("dropping a torn line", source))?;
            text.truncate(whole);
        }
        let mut open = BTreeMap::new();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let read = serde_json::from_slice(line).and_then(|mut entry| {
                older::renewed(&mut entry);
                serde_json::from_value::<Entry>(entry)
            });
            match read {
                Ok(entry) if entry.undo.is_some() => drop(open.insert(entry.id, entry)),
                Ok(entry) => drop(open.remove(&entry.id)),
                Err(error) => tracing::warn!(%error, "line of the journal can't be read"),
            }
        }
        Ok(open)
    }

    fn append(&self, file: &mut File, entry: &Entry) -> Result<(), JournalError> {
        let mut line = serde_json::to_vec(entry)
            .map_err(|error| self.error("writing an entry", error.into()))?;
        line.push(b'\n');
        file.write_all(&line).map_err(|source| self.error("writing an entry", source))?;
        file.sync_all().map_err(|source| self.error("syncing it", source))
    }

    fn error(&self, what: &'static str, source: std::io::Error) -> JournalError {
        JournalError { path: self.file(), what, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unpause(container: &str) -> Undo {
        Undo::Unpause { container: container.into() }
    }

    #[test]
    fn what_is_opened_is_open_until_it_is_closed() {
        let home = tempfile::tempdir().expect("folder");
        let journal = Journal::at(home.path());
        assert_eq!(journal.open_entries().expect("reads"), []);
        let a = journal.open("r", "s", "pause a", unpause("a")).expect("opens");
        let b = journal.open("r", "s", "pause b", unpause("b")).expect("opens");
        assert!(a < b);
        journal.close(a).expect("closes");
        journal.close(a).expect("closes again");
        let open = journal.open_entries().expect("reads");
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].id, open[0].undo.clone()), (b, Some(unpause("b"))));
        journal.close(b).expect("closes");
        assert_eq!(
            std::fs::metadata(journal.file()).expect("file").len(),
            0,
            "emptied when all is closed"
        );
        assert!(
            journal.open("r", "s", "pause c", unpause("c")).expect("opens") > b,
            "ids go on rising"
        );
    }

    proptest! {
        #[test]
        fn a_torn_last_line_costs_that_line_only(cut in 1usize..60) {
            let home = tempfile::tempdir().expect("folder");
            let journal = Journal::at(home.path());
            journal.open("r", "s", "pause a", unpause("a")).expect("opens");
            let whole = std::fs::metadata(journal.file()).expect("file").len();
            journal.open("r", "s", "pause b", unpause("b")).expect("opens");
            let file = OpenOptions::new().write(true).open(journal.file()).expect("file");
            file.set_len(whole + cut as u64).expect("cuts");
            let open = journal.open_entries().expect("reads");
            prop_assert_eq!(open.len(), 1);
            let c = journal.open("r", "s", "pause c", unpause("c")).expect("opens");
            let open = journal.open_entries().expect("reads");
            prop_assert_eq!(open.len(), 2);
            prop_assert_eq!(open[1].id, c);
        }
    }

    #[test]
    fn two_writers_lose_nothing() {
        let home = tempfile::tempdir().expect("folder");
        let journal = Journal::at(home.path());
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let journal = journal.clone();
                scope.spawn(move || {
                    for at in 0..10 {
                        let id = journal
                            .open("r", "s", "x", unpause(&format!("{writer}-{at}")))
                            .expect("opens");
                        if at % 2 == 0 {
                            journal.close(id).expect("closes");
                        }
                    }
                });
            }
        });
        assert_eq!(journal.open_entries().expect("reads").len(), 20);
    }
}
