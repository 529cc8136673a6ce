//! The files that a stack's dashboards may have to be judged from.

pub mod files;

use super::Stack;
use crate::declaration::GRAFANA_FILES;
use crate::stack::dashboards::files::{Files, Place};
use config::yaml::{ConfigError, Mark};

impl Stack {
    /// Reads them where a role says so, whether or not dashboards will be judged from them.
    pub(super) fn dashboards_from_files(&self) -> Result<Option<(Place, Files)>, ConfigError> {
        let declared = &self.declaration;
        let roles = || declared.roles.dashboards.iter().enumerate();
        let Some((at, role)) = roles().find(|(_, role)| role.kind == GRAFANA_FILES) else {
            return Ok(None);
        };
        let Some(provisioning) = &role.provisioning else { return Ok(None) };
        let other = roles().map(|(_, role)| &role.service).find(|service| !service.is_empty());
        let service = Some(&role.service).filter(|service| !service.is_empty()).or(other);
        let named = match declared.roles.dashboards.len() {
            1 => self.mark(&["roles", "dashboards", "provisioning"]),
            _ => self.mark(&["roles", "dashboards", &at.to_string(), "provisioning"]),
        };
        // What is mounted into a service counts also where that is left out.
        let service = service.and_then(|name| {
            let project = &self.project;
            project.services.get(name).or(project.left_out.get(name).map(|left| &left.service))
        });
        let place = Place::new(&self.folder, provisioning, named, service, &role.paths);
        let files = place.read()?;
        let marked = |names: Vec<&String>, path: &dyn Fn(&str) -> Mark| -> Vec<(String, Mark)> {
            names
                .into_iter()
                .enumerate()
                .map(|(at, name)| (name.clone(), path(&at.to_string())))
                .collect()
        };
        let uids = marked(declared.dashboards.iter().map(|d| &d.uid).collect(), &|at| {
            self.mark(&["dashboards", at, "uid"])
        });
        let sources =
            marked(declared.datasources.iter().collect(), &|at| self.mark(&["datasources", at]));
        files.check(&uids, &sources, &self.topology.hosts)?;
        Ok(Some((place, files)))
    }
}
