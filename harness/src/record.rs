//! Writing a run's history to disk as it happens, and reading it back.

use crate::process::exit::Exit;
use crate::process::failure::UserError;
use crate::secret;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::UnboundedSender;
use verdict::history::run::{Phase, RunEvent};
use verdict::{At, Event, EventKind, History};

/// Why a history can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File {
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not an event.
    #[error("{path}:{line}: not an event of this format: {what}")]
    Line {
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A side file is not what the history says it is.
    #[error("{path}: the history says {wanted}, seen: {seen}")]
    SideFile {
        path: PathBuf,
        /// Lines and digest recorded.
        wanted: String,
        /// Lines and digest seen.
        seen: String,
    },
}

impl UserError for Error {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Error::File { .. } => return Vec::new(),
            Error::Line { .. } => "a newer firedrill may have written it",
            Error::SideFile { .. } => "the record is damaged and can't be judged",
        };
        vec![hint.to_owned()]
    }
}

struct Side {
    file: BufWriter<File>,
    lines: u64,
    digest: Sha256,
}

struct Files {
    folder: PathBuf,
    main: BufWriter<File>,
    sides: BTreeMap<&'static str, Side>,
    next: u64,
    /// Who is shown each event of `history.jsonl` as it is written.
    tap: Option<UnboundedSender<Event>>,
}

/// The one writer of a run's history. Clones write to the same record.
#[derive(Clone)]
pub struct Recorder {
    clock: crate::process::clock::RunClock,
    files: Arc<Mutex<Files>>,
}

impl Recorder {
    /// Begins a record in `folder`, which must exist.
    ///
    /// # Errors
    /// `history.jsonl` can't be created.
    pub fn begin(folder: &Path, clock: crate::process::clock::RunClock) -> Result<Recorder, Error> {
        let path = folder.join("history.jsonl");
        let main =
            BufWriter::new(File::create(&path).map_err(|source| Error::File { path, source })?);
        Ok(Recorder {
            clock,
            files: Arc::new(Mutex::new(Files {
                folder: folder.into(),
                main,
                sides: BTreeMap::new(),
                next: 0,
                tap: None,
            })),
        })
    }

    /// The run's clock.
    pub fn clock(&self) -> &crate::process::clock::RunClock {
        &self.clock
    }

    /// What was recorded until now, side files apart, for a look at a run that goes on.
    ///
    /// # Errors
    /// It can't be read.
    pub fn so_far(&self) -> Result<History, Error> {
        let folder =
            self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner).folder.clone();
        let mut events = Vec::new();
        lines(&folder.join("history.jsonl"), true, &mut events, &mut Sha256::new())?;
        Ok(History::new(events))
    }

    /// Appends an event and returns its position.
    ///
    /// # Errors
    /// The file can't be written: the run can't go on, since what it does would not be known.
    pub fn write(&self, kind: EventKind) -> Result<u64, Error> {
        self.write_at(kind, self.clock.now())
    }

    /// Appends an event that happened earlier.
    ///
    /// # Errors
    /// As [`Recorder::write`].
    pub fn write_at(&self, mut kind: EventKind, at: At) -> Result<u64, Error> {
        secret::mask::event(&mut kind);
        match &kind {
            EventKind::Run(event) => tracing::debug!(at_s = at.mono_us as f64 / 1e6, ?event, "run"),
            EventKind::Fault(event) => {
                tracing::debug!(at_s = at.mono_us as f64 / 1e6, ?event, "fault");
            }
            _ => {}
        }
        let mut files = self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let event = Event { seq: files.next, at, kind };
        files.next += 1;
        let line = line(&event)
            .map_err(|e| Error::File { path: files.folder.clone(), source: e.into() })?;
        files.append(event.kind.side_file(), line.as_bytes())?;
        let seq = event.seq;
        if let Some(tap) = files.tap.as_ref().filter(|_| event.kind.side_file().is_none()) {
            // Whoever does not look any more misses nothing that counts.
            let _ = tap.send(event);
        }
        Ok(seq)
    }

    /// Writes references to the side files and the last event, and puts everything on disk.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn end(&self, complete: bool, reason: Option<String>) -> Result<(), Error> {
        let references: Vec<RunEvent> = {
            let mut files = self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            files.sync()?;
            files
                .sides
                .iter()
                .map(|(name, side)| RunEvent::SideFile {
                    name: (*name).to_owned(),
                    lines: side.lines,
                    sha256: hex(&side.digest.clone().finalize()),
                })
                .collect()
        };
        for reference in references {
            self.write(EventKind::Run(reference))?;
        }
        self.write(EventKind::Run(RunEvent::Ended { complete, reason }))?;
        self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner).sync()
    }

    /// Shows somebody each event from now on, bulk apart; `None` ends that.
    pub fn tap(&self, tap: Option<UnboundedSender<Event>>) {
        self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner).tap = tap;
    }

    /// Puts everything written so far on disk.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn sync(&self) -> Result<(), Error> {
        self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner).sync()
    }
}

impl Files {
    fn append(&mut self, side: Option<&'static str>, line: &[u8]) -> Result<(), Error> {
        let folder = self.folder.clone();
        let failed = |name: &str| {
            let path = folder.join(name);
            move |source| Error::File { path, source }
        };
        let Some(name) = side else {
            self.main.write_all(line).map_err(failed("history.jsonl"))?;
            return self.main.flush().map_err(failed("history.jsonl"));
        };
        if !self.sides.contains_key(name) {
            let file = File::create(self.folder.join(name)).map_err(failed(name))?;
            self.sides
                .insert(name, Side { file: BufWriter::new(file), lines: 0, digest: Sha256::new() });
        }
        if let Some(side) = self.sides.get_mut(name) {
            side.file.write_all(line).map_err(failed(name))?;
            side.lines += 1;
            side.digest.update(line);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        let folder = self.folder.clone();
        let sides = self.sides.iter_mut().map(|(name, side)| (*name, &mut side.file));
        for (name, file) in sides.chain([("history.jsonl", &mut self.main)]) {
            file.flush()
                .and_then(|()| file.get_ref().sync_all())
                .map_err(|source| Error::File { path: folder.join(name), source })?;
        }
        Ok(())
    }
}

/// An event as it is written: a line of JSON without secrets.
fn line(event: &Event) -> serde_json::Result<String> {
    let mut line = serde_json::to_string(event)?;
    // Most hold none, and are not taken apart.
    if let std::borrow::Cow::Owned(_) = secret::scrub(&line) {
        let mut value = serde_json::from_str(&line)?;
        secret::scrub_json(&mut value);
        line = value.to_string();
    }
    line.push('\n');
    Ok(line)
}

/// Adds a phase to a record that has ended: the removal of the stack comes after everything that
/// judging needs.
///
/// # Errors
/// The record can't be read or written, or has no last event.
pub fn append_phase(folder: &Path, phase: Phase, from: At, to: At) -> Result<(), Error> {
    let path = folder.join("history.jsonl");
    let failed = |source| Error::File { path: path.clone(), source };
    let text = fs::read_to_string(&path).map_err(failed)?;
    let last: Event =
        serde_json::from_str(text.lines().last().unwrap_or_default()).map_err(|e| Error::Line {
            path: path.clone(),
            line: text.lines().count(),
            what: e.to_string(),
        })?;
    let mut added = String::new();
    for (n, at, event) in
        [(1, from, RunEvent::PhaseBegan { phase }), (2, to, RunEvent::PhaseEnded { phase })]
    {
        added +=
            &serde_json::to_string(&Event { seq: last.seq + n, at, kind: EventKind::Run(event) })
                .map_err(|e| failed(e.into()))?;
        added.push('\n');
    }
    let mut file = fs::OpenOptions::new().append(true).open(&path).map_err(failed)?;
    file.write_all(added.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Reads a recorded run. A torn last line of `history.jsonl` (the harness was killed while it
/// wrote) is left out: the history is then incomplete, and judged as such.
///
/// # Errors
/// See [`Error`].
pub fn read(folder: &Path) -> Result<History, Error> {
    let mut events = Vec::new();
    lines(&folder.join("history.jsonl"), true, &mut events, &mut Sha256::new())?;
    let named: Vec<(String, u64, String)> = events
        .iter()
        .filter_map(|e: &Event| match &e.kind {
            EventKind::Run(RunEvent::SideFile { name, lines, sha256 }) => {
                Some((name.clone(), *lines, sha256.clone()))
            }
            _ => None,
        })
        .collect();
    for (name, wanted, sha256) in named {
        let path = folder.join(&name);
        let mut digest = Sha256::new();
        let seen = lines(&path, false, &mut events, &mut digest)?;
        let seen_digest = hex(&digest.finalize());
        if seen != wanted || seen_digest != sha256 {
            return Err(Error::SideFile {
                path,
                wanted: format!("{wanted} lines, {sha256}"),
                seen: format!("{seen} lines, {seen_digest}"),
            });
        }
    }
    Ok(History::new(events))
}

fn lines(
    path: &Path,
    torn: bool,
    events: &mut Vec<Event>,
    digest: &mut Sha256,
) -> Result<u64, Error> {
    let file = File::open(path).map_err(|source| Error::File { path: path.into(), source })?;
    let mut reader = BufReader::new(file);
    let (mut line, mut count) = (Vec::new(), 0u64);
    loop {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(|source| Error::File { path: path.into(), source })?;
        if read == 0 {
            return Ok(count);
        }
        digest.update(&line);
        match serde_json::from_slice::<Event>(&line) {
            Ok(mut event) => {
                // Programs of old recorded keys and paths as they came.
                secret::mask::event(&mut event.kind);
                events.push(event);
            }
            Err(_) if torn && !line.ends_with(b"\n") => return Ok(count),
            Err(e) => {
                let what = secret::shown_problem(&String::from_utf8_lossy(&line), &e.to_string());
                return Err(Error::Line { path: path.into(), line: count as usize + 1, what });
            }
        }
        count += 1;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes a JSON file beside the history (the plan, the verdicts), without secrets, replacing it in
/// one step.
///
/// # Errors
/// The file can't be written.
pub fn write_json(folder: &Path, name: &str, value: &impl serde::Serialize) -> Result<(), Error> {
    let (path, partial) = (folder.join(name), folder.join(format!("{name}.partial")));
    let failed = |source| Error::File { path: path.clone(), source };
    let mut value = serde_json::to_value(value).map_err(|e| failed(e.into()))?;
    secret::scrub_json(&mut value);
    let mut bytes = serde_json::to_vec_pretty(&value).map_err(|e| failed(e.into()))?;
    bytes.push(b'\n');
    fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, &path)).map_err(failed)
}

/// Reads a JSON file beside the history.
///
/// # Errors
/// It can't be read or is not what is wanted.
pub fn read_json<T: serde::de::DeserializeOwned>(folder: &Path, name: &str) -> Result<T, Error> {
    let path = folder.join(name);
    let bytes = fs::read(&path).map_err(|source| Error::File { path: path.clone(), source })?;
    serde_json::from_slice(&bytes).map_err(|e| {
        let text = String::from_utf8_lossy(&bytes);
        let written = text.lines().nth(e.line().saturating_sub(1)).unwrap_or_default();
        Error::Line { path, line: e.line(), what: secret::shown_problem(written, &e.to_string()) }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn recorded(folder: &Path) -> Recorder {
        let recorder = Recorder::begin(folder, crate::process::clock::RunClock::begin()).unwrap();
        recorder
            .write(EventKind::Run(RunEvent::DrillBegan { drill: "a".into(), wave: 0 }))
            .unwrap();
        recorder
            .write(EventKind::Load(verdict::history::load::LoadEvent::Seen {
                operation: "o".into(),
                sink: "mail".into(),
                place: "m".into(),
                copies: 1,
            }))
            .unwrap();
        recorder
    }

    #[test]
    fn what_was_written_is_read_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        recorded(folder.path()).end(true, None).unwrap();
        let history = read(folder.path()).unwrap();
        assert!(history.is_complete());
        assert_eq!(history.events.iter().map(|e| e.seq).collect::<Vec<_>>(), vec![0, 1, 2, 3]);
    }

    #[test]
    fn the_removal_of_the_stack_follows_the_end() {
        let folder = tempfile::tempdir().unwrap();
        recorded(folder.path()).end(true, None).unwrap();
        let at = |s: i64| At { mono_us: s * 1_000_000, wall_us: 0 };
        append_phase(folder.path(), Phase::Down, at(3600), at(3607)).unwrap();
        let history = read(folder.path()).unwrap();
        assert!(history.is_complete());
        assert_eq!(verdict::summary::timings(&history).down_s, Some(7.0));
        assert_eq!(history.events.last().unwrap().seq, 5);
    }

    #[test]
    fn a_damaged_side_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        recorded(folder.path()).end(true, None).unwrap();
        fs::write(folder.path().join("operations.jsonl"), b"").unwrap();
        assert!(matches!(read(folder.path()), Err(Error::SideFile { .. })));
    }

    #[test]
    fn a_torn_last_line_leaves_an_incomplete_history() {
        let folder = tempfile::tempdir().unwrap();
        recorded(folder.path()).end(true, None).unwrap();
        let path = folder.path().join("history.jsonl");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        assert!(!read(folder.path()).unwrap().is_complete());
    }
}
