//! The stand-ins' record: one JSON line for each notification, synced before it is answered, read
//! again after a restart.

use super::protocol::Incidents;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use verdict::history::alert::Notification;

/// A notification with its place in the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Position, from 1, without gaps.
    pub seq: u64,
    pub notification: Notification,
    /// Incident that it is about, for protocols that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
}

/// First line of the file.
#[derive(Serialize, Deserialize)]
struct Head {
    record: String,
}

pub(crate) struct Record {
    id: String,
    inner: Mutex<Inner>,
    last: watch::Sender<u64>,
}

struct Inner {
    file: File,
    all: Vec<Recorded>,
    incidents: Incidents,
}

impl Record {
    /// Opens the record, or begins one. A last line that a crash tore is cut off: its notification
    /// was never answered, so its sender tries again.
    pub(crate) fn open(path: &Path) -> io::Result<Record> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let (mut id, mut whole, mut inner_all, mut incidents) =
            (None, 0u64, Vec::new(), Incidents::default());
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            let broken = |e: serde_json::Error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {}: {e}; remove the file", inner_all.len() + 1),
                )
            };
            if id.is_none() {
                id = Some(serde_json::from_slice::<Head>(&line).map_err(broken)?.record);
            } else {
                let recorded: Recorded = serde_json::from_slice(&line).map_err(broken)?;
                learn(&mut incidents, &recorded);
                inner_all.push(recorded);
            }
            whole += line.len() as u64;
            line.clear();
        }
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        let id = match id {
            Some(id) => id,
            None => {
                let head = Head { record: uuid::Uuid::new_v4().to_string() };
                append(&mut file, &head)?;
                head.record
            }
        };
        let last = watch::Sender::new(inner_all.len() as u64);
        Ok(Record { id, inner: Mutex::new(Inner { file, all: inner_all, incidents }), last })
    }

    /// Identity of this record; another one after its file was lost.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Number of notifications recorded, and a way to await more.
    pub(crate) fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Those after `seq`.
    pub(crate) fn after(&self, seq: u64) -> Vec<Recorded> {
        let inner = self.lock();
        usize::try_from(seq).ok().and_then(|seq| inner.all.get(seq..)).unwrap_or_default().to_vec()
    }

    /// Runs `with` on the incidents that are open.
    pub(crate) fn incidents<T>(&self, with: impl FnOnce(&Incidents) -> T) -> T {
        with(&self.lock().incidents)
    }

    /// Writes and syncs a notification.
    pub(crate) fn append(
        &self,
        notification: Notification,
        incident: Option<String>,
    ) -> io::Result<u64> {
        let mut inner = self.lock();
        let recorded = Recorded { seq: inner.all.len() as u64 + 1, notification, incident };
        append(&mut inner.file, &recorded)?;
        let seq = recorded.seq;
        learn(&mut inner.incidents, &recorded);
        inner.all.push(recorded);
        drop(inner);
        self.last.send_replace(seq);
        Ok(seq)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(file: &mut File, line: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    let before = file.stream_position()?;
    let written = file.write_all(&bytes).and_then(|()| file.sync_data());
    if written.is_err() {
        // Half a line must not stay in front of the next one.
        file.set_len(before)?;
        file.seek(SeekFrom::Start(before))?;
    }
    written
}

fn learn(incidents: &mut Incidents, recorded: &Recorded) {
    let n = &recorded.notification;
    if let (Some(receiver), Some(incident), true) =
        (&n.receiver, &recorded.incident, n.answered < 300)
    {
        incidents.learn(receiver, incident, &n.alerts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use verdict::history::alert::Protocol;

    fn notification(path: &str) -> Notification {
        Notification {
            receiver: None,
            protocol: Protocol::Webhook,
            host: "h".into(),
            path: path.into(),
            key: None,
            answered: 200,
            alerts: Vec::new(),
            error: None,
            received_wall_us: 1,
            from: None,
        }
    }

    #[test]
    fn a_restart_finds_what_was_recorded_and_cuts_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/record.jsonl");
        let first = Record::open(&path).unwrap();
        assert_eq!(first.append(notification("/1"), None).unwrap(), 1);
        assert_eq!(first.append(notification("/2"), None).unwrap(), 2);
        let id = first.id().to_owned();
        drop(first);
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"seq\":3,\"notif")
            .unwrap();
        let again = Record::open(&path).unwrap();
        assert_eq!((again.id(), *again.last().borrow()), (id.as_str(), 2));
        assert_eq!(again.append(notification("/3"), None).unwrap(), 3);
        assert_eq!(
            again.after(1).iter().map(|r| r.notification.path.as_str()).collect::<Vec<_>>(),
            ["/2", "/3"]
        );
        drop(again);
        assert_eq!(Record::open(&path).unwrap().after(0).len(), 3);
        assert!(Record::open(&path).unwrap().after(99).is_empty());
    }

    #[test]
    fn a_file_that_is_no_record_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "hello\n").unwrap();
        assert!(Record::open(&path).err().unwrap().to_string().contains("line 1"));
    }
}
