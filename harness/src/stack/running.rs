//! A stack that is up, as later commands find it again.

use super::StackError;
use super::work_copy::{WorkCopy, run_folder};
use crate::journal::Journal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A stack that is up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Version of this format; 1.
    pub schema: u32,
    pub stack: String,
    pub run: String,
    /// Compose project that its containers carry as label.
    pub project: String,
    /// The stack's own folder.
    pub folder: PathBuf,
    /// The run's copy of it.
    pub work: PathBuf,
    /// Names of its networks in the engine.
    pub networks: Vec<String>,
    /// Services by name.
    pub services: BTreeMap<String, RunningService>,
    /// Services that are left out, with the reason.
    pub left_out: BTreeMap<String, String>,
    /// What the host could not grant, or containment did not allow.
    pub deviations: Vec<Deviation>,
    /// Seconds from the first container to the last service ready.
    pub up_s: f64,
    /// When it was up, RFC 3339.
    pub since: String,
    /// Whether it stays when the program ends.
    pub kept: bool,
}

/// A service that is up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunningService {
    pub container: String,
    /// Image reference that it was made from.
    pub image: String,
    /// TCP ports: inside to published on 127.0.0.1.
    pub ports: BTreeMap<u16, u16>,
}

/// Where the described system is left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Deviation {
    pub what: String,
    pub why: String,
}

impl Running {
    /// Address on 127.0.0.1 at which a port of a service is reached.
    pub fn address(&self, service: &str, port: u16) -> Option<SocketAddr> {
        let host = *self.services.get(service)?.ports.get(&port)?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, host)))
    }

    /// Ports of services inside the network, with those of 127.0.0.1 at which they are reached.
    pub fn published(&self) -> BTreeMap<(String, u16), u16> {
        let of = |(name, service): (&String, &RunningService)| {
            service
                .ports
                .iter()
                .map(|(inside, host)| ((name.clone(), *inside), *host))
                .collect::<Vec<_>>()
        };
        self.services.iter().flat_map(of).collect()
    }

    /// URL at which an HTTP port of a service is reached, without a path.
    pub fn url(&self, service: &str, port: u16) -> Option<String> {
        Some(format!("http://{}", self.address(service, port)?))
    }

    /// Container id of a service.
    pub fn container(&self, service: &str) -> Option<&str> {
        self.services.get(service).map(|service| service.container.as_str())
    }

    /// The run's copy of the stack's folder.
    pub fn work_copy(&self) -> WorkCopy {
        WorkCopy { run: self.run.clone(), original: self.folder.clone(), folder: self.work.clone() }
    }

    /// Writes it down, so that later commands find it.
    ///
    /// # Errors
    /// [`StackError::Files`] when it can't be written.
    pub fn save(&self, journal: &Journal) -> Result<(), StackError> {
        self.save_in(&run_folder(journal, &self.run))
    }

    /// Writes it down beside its work copy, which is in the folder of the run.
    pub(super) fn save_beside_work(&self) -> Result<(), StackError> {
        self.save_in(self.work.parent().unwrap_or(&self.work))
    }

    fn save_in(&self, folder: &Path) -> Result<(), StackError> {
        let (file, part) = (folder.join("running.json"), folder.join("running.json.part"));
        let write = || {
            std::fs::create_dir_all(folder)?;
            std::fs::write(&part, serde_json::to_vec_pretty(self)?)?;
            std::fs::rename(&part, &file)
        };
        write().map_err(StackError::files(format!("writing {}", file.display())))
    }

    /// Reads what is known of a run; `None` if there is no such run, or it never was up.
    ///
    /// # Errors
    /// [`StackError::Files`] when it can't be read.
    pub fn load(journal: &Journal, run: &str) -> Result<Option<Running>, StackError> {
        let file = run_folder(journal, run).join("running.json");
        let fail =
            |source| StackError::Files { what: format!("reading {}", file.display()), source };
        match std::fs::read(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fail(error)),
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| fail(error.into())),
        }
    }

    /// All runs whose stack is up, the newest last. A file that can't be read is passed over.
    ///
    /// # Errors
    /// [`StackError::Files`] when the folder of runs can't be read.
    pub fn all(journal: &Journal) -> Result<Vec<Running>, StackError> {
        let folder = journal.home().join("runs");
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(StackError::files(format!("reading {}", folder.display())))?,
        };
        let mut all: Vec<Running> = entries
            .flatten()
            .filter_map(|entry| Running::load(journal, entry.file_name().to_str()?).ok().flatten())
            .collect();
        all.sort_by(|a, b| a.since.cmp(&b.since));
        // What their containers say may hold their keys.
        all.iter().for_each(|running| crate::secret::learn_folder(&running.folder));
        Ok(all)
    }

    /// The newest run of a stack that is up.
    ///
    /// # Errors
    /// As [`Running::all`].
    pub fn of_stack(journal: &Journal, stack: &str) -> Result<Option<Running>, StackError> {
        Ok(Running::all(journal)?.into_iter().rfind(|running| running.stack == stack))
    }
}
