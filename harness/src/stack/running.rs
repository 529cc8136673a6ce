//! A stack that is up, as later commands find it again.

use super::StackError;
use super::work_copy::{WorkCopy, run_folder};
use crate::backend::Access;
use crate::declaration::{Role, Roles};
use crate::engine::instance;
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
#[serde(from = "Written")]
pub struct RunningService {
    /// Image reference that it was made from.
    pub image: String,
    /// Its instances, by number from 1.
    pub instances: Vec<RunningInstance>,
}

/// An instance of a service that is up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunningInstance {
    pub container: String,
    /// TCP ports: inside to published on 127.0.0.1.
    pub ports: BTreeMap<u16, u16>,
}

/// A service as it was written down: versions that knew one instance of each wrote its container
/// and ports here.
#[derive(Deserialize)]
struct Written {
    image: String,
    #[serde(default)]
    instances: Vec<RunningInstance>,
    container: Option<String>,
    #[serde(default)]
    ports: BTreeMap<u16, u16>,
}

impl From<Written> for RunningService {
    fn from(written: Written) -> RunningService {
        let Written { image, mut instances, container, ports } = written;
        instances.extend(container.map(|container| RunningInstance { container, ports }));
        RunningService { image, instances }
    }
}

/// Where the described system is left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Deviation {
    pub what: String,
    pub why: String,
}

impl Running {
    /// All instances, by what they are called.
    pub fn instances(&self) -> impl Iterator<Item = (String, &RunningInstance)> {
        self.services.iter().flat_map(|(name, service)| {
            instance::names(name, service.instances.len()).into_iter().zip(&service.instances)
        })
    }

    /// What the instances of a service are called; none if it is no service of this run.
    pub fn members_of(&self, service: &str) -> Vec<String> {
        let running = self.services.get(service);
        running.map_or_else(Vec::new, |running| instance::names(service, running.instances.len()))
    }

    /// An instance by what it is called; a service stands for its first.
    pub fn instance(&self, name: &str) -> Option<&RunningInstance> {
        match self.services.get(name) {
            Some(service) => service.instances.first(),
            None => self.instances().find(|(known, _)| known == name).map(|(_, found)| found),
        }
    }

    /// Address on 127.0.0.1 at which a port of an instance is reached; a service stands for its
    /// first.
    pub fn address(&self, instance: &str, port: u16) -> Option<SocketAddr> {
        let host = *self.instance(instance)?.ports.get(&port)?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, host)))
    }

    /// Ports of services inside the network, with those of 127.0.0.1 at which they (the first
    /// instance of each) are reached.
    pub fn published(&self) -> BTreeMap<(String, u16), u16> {
        let of = |(name, service): (&String, &RunningService)| {
            let ports = service.instances.first().into_iter().flat_map(|first| &first.ports);
            ports.map(|(inside, host)| ((name.clone(), *inside), *host)).collect::<Vec<_>>()
        };
        self.services.iter().flat_map(of).collect()
    }

    /// How a server is asked that has this role; none if its port is not published.
    pub fn access(&self, role: &Role) -> Option<Access> {
        let port = self.address(&role.service, role.port)?.port();
        Some(role.access(port, &self.folder, &self.authority()))
    }

    /// How a port of an instance of a service is asked: as the role that it has says, or as anybody
    /// asks it. None if it is not published.
    pub fn access_to(
        &self,
        roles: &Roles,
        service: &str,
        instance: &str,
        port: u16,
    ) -> Option<Access> {
        let published = self.address(instance, port)?.port();
        let role = roles.servers().find(|role| role.service == service && role.port == port);
        Some(match role {
            Some(role) => role.access(published, &self.folder, &self.authority()),
            None => Access::plain(published),
        })
    }

    /// File with the certificate of the run's authority, if it has one.
    pub fn authority(&self) -> PathBuf {
        self.work_copy().authority()
    }

    /// URL at which an HTTP port of an instance is reached, without a path; a service stands for
    /// its first.
    pub fn url(&self, instance: &str, port: u16) -> Option<String> {
        Some(format!("http://{}", self.address(instance, port)?))
    }

    /// Container id of an instance; a service stands for its first.
    pub fn container(&self, instance: &str) -> Option<&str> {
        self.instance(instance).map(|found| found.container.as_str())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Scheme;

    fn instance(container: &str, host: u16) -> RunningInstance {
        RunningInstance { container: container.into(), ports: BTreeMap::from([(80, host)]) }
    }

    #[test]
    fn instances_are_found_by_name_and_a_service_stands_for_its_first() {
        let of = |instances| RunningService { image: "i".into(), instances };
        let services = BTreeMap::from([
            ("one".to_owned(), of(vec![instance("a", 1000)])),
            ("web".to_owned(), of(vec![instance("b", 1001), instance("c", 1002)])),
        ]);
        let running = Running {
            schema: 1,
            stack: "s".into(),
            run: "r".into(),
            project: "p".into(),
            folder: "/s".into(),
            work: "/w".into(),
            networks: Vec::new(),
            services,
            left_out: BTreeMap::new(),
            deviations: Vec::new(),
            up_s: 1.0,
            since: String::new(),
            kept: false,
        };
        let names: Vec<String> = running.instances().map(|(name, _)| name).collect();
        assert_eq!(names, ["one", "web-1", "web-2"]);
        assert_eq!(running.members_of("web"), ["web-1", "web-2"]);
        assert_eq!(running.members_of("web-1"), Vec::<String>::new());
        for (name, container, port) in
            [("one", "a", 1000), ("web", "b", 1001), ("web-1", "b", 1001), ("web-2", "c", 1002)]
        {
            assert_eq!(running.container(name), Some(container), "{name}");
            assert_eq!(running.address(name, 80).map(|at| at.port()), Some(port), "{name}");
        }
        assert_eq!((running.container("web-3"), running.container("one-1")), (None, None));
        let metrics = Role {
            service: "one".into(),
            port: 80,
            path_prefix: Some("/prom/".into()),
            scheme: Scheme::Https,
            ..Role::default()
        };
        let roles = Roles { metrics: vec![metrics.clone()].into(), ..Roles::default() };
        let access = running.access(&metrics).expect("is published");
        assert_eq!(
            (access.port, access.prefix.as_str(), access.host.as_str()),
            (1000, "/prom", "one")
        );
        assert_eq!(access.trusts.as_deref(), Some(Path::new("/authority.pem")));
        assert_eq!(running.access_to(&roles, "one", "one", 80), Some(access));
        assert_eq!(running.access_to(&roles, "web", "web-2", 80), Some(Access::plain(1002)));
        assert_eq!(running.access_to(&roles, "one", "one", 81), None);
        let written = serde_json::to_string(&running).expect("writes");
        assert_eq!(serde_json::from_str::<Running>(&written).expect("reads"), running);
    }

    #[test]
    fn a_service_that_an_older_version_wrote_down_has_one_instance() {
        let written = r#"{"container": "a", "image": "i", "ports": {"80": 1000}}"#;
        let read: RunningService = serde_json::from_str(written).expect("reads");
        assert_eq!(
            read,
            RunningService { image: "i".into(), instances: vec![instance("a", 1000)] }
        );
    }
}
