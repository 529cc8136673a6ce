//! Who answers for a running stack's dashboards.

use super::LiveStack;
use crate::declaration::{Declaration, GRAFANA_FILES};
use crate::probe::{GrafanaFiles, Probe, Reach};
use crate::process::clock::RunClock;
use std::path::Path;

impl LiveStack {
    /// The first of those declared that runs. Files are read where the stack has them mounted: in
    /// the run's copy of its folder.
    pub(super) fn dashboards(
        &self,
        clock: RunClock,
        declaration: &Declaration,
    ) -> Option<Box<dyn Probe>> {
        let role = declaration
            .roles
            .dashboards_where(|service| self.running.services.contains_key(service))?;
        if role.kind == GRAFANA_FILES {
            let (place, _) = self.read.stack.dashboards.as_ref()?;
            let work = self.running.work_copy();
            // What has no copy is mounted read-only, and read where it lies.
            let copied = |path: &Path| work.place(path).unwrap_or_else(|| path.to_owned());
            let reach = Reach {
                hosts: self.read.stack.topology.hosts.clone(),
                published: self.running.published(),
            };
            return Some(Box::new(GrafanaFiles::new(place.translated(copied), reach, clock)));
        }
        self.running.address(&role.service, role.port)?;
        Some(self.connect(role, clock))
    }
}
