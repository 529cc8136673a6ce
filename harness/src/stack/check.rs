//! Whether a declaration makes sense: its numbers are in range, and every name that it speaks of is
//! there.

mod access;

use super::Stack;
use crate::declaration::{GRAFANA_FILES, MAIN_SET, Role, kinds};
use crate::yaml::suggest;
use config::monitoring::duration;
use config::yaml::ConfigError;
use std::collections::BTreeSet;

pub(super) type Checked = Result<(), ConfigError>;

impl Stack {
    /// An error about a place of the declaration: keys and list indices from the top.
    pub fn error(
        &self,
        path: &[&str],
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> ConfigError {
        ConfigError::at(&self.mark(path), what, hint)
    }

    /// Whether all that the declaration speaks of is there.
    pub(super) fn check(&self) -> Checked {
        let declared = &self.declaration;
        if declared.schema != 1 {
            return Err(self.error(
                &["schema"],
                format!("schema: seen {}, wanted 1", declared.schema),
                "this program reads version 1",
            ));
        }
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if declared.stack.is_empty()
            || declared.stack.len() > 30
            || !declared.stack.chars().all(named)
        {
            return Err(self.error(
                &["stack"],
                format!("stack: seen `{}`", declared.stack),
                "at most 30 lower-case letters, digits and dashes",
            ));
        }
        self.numbers()?;
        self.services()?;
        self.sets()?;
        self.optional()?;
        self.spans()?;
        self.traffic()?;
        self.people()?;
        self.waivers()
    }

    /// A service of the Compose file must have this name.
    pub(super) fn service(&self, path: &[&str], name: &str) -> Checked {
        let known: BTreeSet<&str> = self
            .project
            .services
            .keys()
            .chain(self.project.left_out.keys())
            .map(String::as_str)
            .collect();
        if known.contains(name) {
            return Ok(());
        }
        let what = format!(
            "{}: there is no service {name} in {}",
            path.join("."),
            self.project.file.display()
        );
        Err(self.error(path, what, suggest(name, known, "services")))
    }

    fn role(&self, path: &[&str], kinds: &[&str], role: &Role) -> Checked {
        let below =
            |key: &'static str| -> Vec<&str> { path.iter().copied().chain([key]).collect() };
        let named = path.join(".");
        if !kinds.contains(&role.kind.as_str()) {
            let what = format!("{named}.kind: seen `{}`, wanted {}", role.kind, kinds.join(" or "));
            return Err(self.error(
                &below("kind"),
                what,
                suggest(&role.kind, kinds.iter().copied(), "kinds for this role"),
            ));
        }
        let files = role.kind == GRAFANA_FILES;
        let missing = |key: &str| {
            Err(self.error(
                path,
                format!("{named}: the key `{key}` is missing"),
                format!("add `{key}:` here"),
            ))
        };
        match files {
            true if role.provisioning.is_none() => return missing("provisioning"),
            false if role.service.is_empty() => return missing("service"),
            false if role.port == 0 => return missing("port"),
            false if role.provisioning.is_some() || !role.paths.is_empty() => {
                let key = if role.provisioning.is_some() { "provisioning" } else { "paths" };
                let hint = format!("remove it, or state a role of kind {GRAFANA_FILES} with it");
                return Err(self.error(
                    &below(key),
                    format!("{named}.{key}: a server of kind {} reads its files itself", role.kind),
                    hint,
                ));
            }
            _ => {}
        }
        self.access(path, role)?;
        if role.service.is_empty() {
            return Ok(());
        }
        self.service(&below("service"), &role.service)?;
        match self.project.services.get(&role.service) {
            Some(service) if service.replicas > 1 => {
                let (name, count) = (&service.name, service.replicas);
                let what = format!("{named}.service: {name} has {count} instances");
                let hint = "write a service for each server of a role: each has a name, files and data of its own";
                Err(self.error(&below("service"), what, hint))
            }
            _ => Ok(()),
        }
    }

    /// The servers of one role must be told apart, and belong together.
    fn members(&self, name: &str, stated: &[&Role]) -> Checked {
        let metrics = name == "metrics";
        let store = ["logs", "traces"].contains(&name);
        for (at, role) in stated.iter().enumerate() {
            let nth = at.to_string();
            let path = |key: &'static str| -> Vec<&str> {
                ["roles", name]
                    .into_iter()
                    .chain((stated.len() > 1).then_some(nth.as_str()))
                    .chain([key])
                    .collect()
            };
            if role.kind != GRAFANA_FILES
                && stated[..at].iter().any(|r| r.service == role.service && r.port == role.port)
            {
                let what = format!("roles.{name}: {} stands there twice", role.service);
                return Err(self.error(&path("service"), what, "state each server once"));
            }
            if let Some(retention) = &role.retention {
                if !metrics {
                    let what = format!("roles.{name}: `retention` is of metrics servers");
                    return Err(self.error(&path("retention"), what, "remove it"));
                }
                if let Err(wrong) = duration::parse(retention) {
                    let what = format!("roles.{name}.retention: {wrong}");
                    return Err(self.error(&path("retention"), what, "write it as in 30d"));
                }
            }
            if role.set.is_some() && !metrics {
                let what = format!("roles.{name}: `set` tells metrics servers apart");
                return Err(self.error(&path("set"), what, "remove it"));
            }
            match role.events.as_deref() {
                Some(_) if name != "alerting" => {
                    let what = format!("roles.{name}: `events` is what an alert manager records");
                    return Err(self.error(&path("events"), what, "remove it"));
                }
                Some(file) if !file.starts_with('/') => {
                    let what = format!("roles.{name}: `events` is `{file}`");
                    let hint = "write the file's whole path inside the container, from `/` on";
                    return Err(self.error(&path("events"), what, hint));
                }
                _ => {}
            }
            match &role.entrance_to {
                Some(_) if !store => {
                    let what =
                        format!("roles.{name}: `entrance_to` is of stores of logs or traces");
                    return Err(self.error(&path("entrance_to"), what, "remove it"));
                }
                Some(to) if stated[0].entrance_to.as_ref() != Some(to) => {
                    let what = format!(
                        "roles.{name}: entrances to {to} and to {}",
                        stated[0].entrance_to.as_deref().unwrap_or(&stated[0].service)
                    );
                    let hint =
                        "all servers of the role are entrances to one store: give them one name";
                    return Err(self.error(&path("entrance_to"), what, hint));
                }
                Some(to) if role.kind != stated[0].kind => {
                    let what = format!(
                        "roles.{name}: entrances to {to} of kind {} and of kind {}",
                        stated[0].kind, role.kind
                    );
                    let hint = "entrances to one store are servers of one kind";
                    return Err(self.error(&path("kind"), what, hint));
                }
                None if store && stated.len() > 1 => {
                    let what = format!("roles.{name}: {} is one of several", role.service);
                    let hint = "name the store that all are entrances to: `entrance_to: NAME`";
                    return Err(self.error(&path("service"), what, hint));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The set of metrics servers that a target is in must be there.
    fn sets(&self) -> Checked {
        let known: BTreeSet<&str> =
            self.declaration.roles.metrics.iter().map(Role::set_name).collect();
        if !known.is_empty() && !known.contains(MAIN_SET) {
            let hint = format!("leave `set` out for those that scrape: they are `{MAIN_SET}`");
            return Err(self.error(
                &["roles", "metrics"],
                format!("roles.metrics: no server is in the set `{MAIN_SET}`"),
                hint,
            ));
        }
        for (at, target) in self.declaration.targets.iter().enumerate() {
            if let Some(set) = target.set.as_deref().filter(|set| !known.contains(set)) {
                let what = format!(
                    "targets: job {} is in the set `{set}`, which no metrics server has",
                    target.job
                );
                let hint = suggest(set, known.iter().copied(), "sets");
                return Err(self.error(&["targets", &at.to_string(), "in"], what, hint));
            }
        }
        Ok(())
    }

    fn numbers(&self) -> Checked {
        let declared = &self.declaration;
        let within = |path: &[&str], seen: f64, least: f64, most: f64| -> Checked {
            if seen.is_finite() && (least..=most).contains(&seen) {
                return Ok(());
            }
            Err(self.error(
                path,
                format!("{}: seen {seen}, wanted a number from {least} to {most}", path.join(".")),
                "correct the number",
            ))
        };
        within(&["time_scale"], declared.time_scale, 1.0, 10_000.0)?;
        within(&["alpha"], declared.alpha, 1e-9, 0.5)?;
        let steady = &declared.steady_state;
        within(&["steady_state", "hold_s"], steady.hold_s, 0.0, 86_400.0)?;
        within(&["steady_state", "within_s"], steady.within_s, steady.hold_s, 86_400.0)?;
        within(&["steady_state", "error_rate"], steady.error_rate, 0.0, 1.0)?;
        within(&["steady_state", "p99_ms"], steady.p99_ms, 0.0, 86_400_000.0)?;
        if let Some(traces) = &declared.traces {
            within(&["traces", "sampling", "rate"], traces.sampling.rate, 0.0, 1.0)?;
        }
        if let Some(workload) = &declared.workload {
            within(&["workload", "rate"], workload.rate, 0.01, 100_000.0)?;
        }
        Ok(())
    }

    fn services(&self) -> Checked {
        let declared = &self.declaration;
        let roles = &declared.roles;
        for (name, stated) in roles.stated() {
            let kinds = kinds::of_role(name);
            // One of a list is named by its place.
            let places = stated.len();
            for (at, role) in stated.iter().enumerate() {
                let at = at.to_string();
                let path: Vec<&str> = ["roles", name]
                    .into_iter()
                    .chain((places > 1).then_some(at.as_str()))
                    .collect();
                self.role(&path, &kinds, role)?;
            }
            self.members(name, &stated)?;
        }
        for (at, health) in declared.health.iter().enumerate() {
            let at = at.to_string();
            self.service(&["health", &at, "service"], &health.service)?;
            if health.path.is_some() == health.banner.is_some() {
                let what = format!(
                    "health endpoint {}:{} has {} `path` and `banner`",
                    health.service,
                    health.port,
                    if health.path.is_some() { "both" } else { "neither" }
                );
                return Err(self.error(
                    &["health", &at],
                    what,
                    "give one of them: `path` for HTTP, `banner` (\"\" if connecting is enough) for TCP",
                ));
            }
        }
        for (at, without) in declared.without_metrics.iter().enumerate() {
            self.service(&["without_metrics", &at.to_string(), "service"], &without.service)?;
        }
        for (at, gap) in declared.gaps.iter().enumerate() {
            self.service(&["gaps", &at.to_string(), "service"], &gap.service)?;
        }
        for (at, target) in declared.targets.iter().enumerate() {
            self.service(&["targets", &at.to_string(), "service"], &target.service)?;
            if let Some(from) = &target.from {
                self.service(&["targets", &at.to_string(), "from"], from)?;
            }
        }
        Ok(())
    }

    /// A parent that names no span of its trace would be taken for none.
    fn spans(&self) -> Checked {
        let steps = self.declaration.traces.iter().flat_map(|t| t.steps.iter().enumerate());
        for (at, trace) in steps {
            let known: Vec<String> =
                trace.spans.iter().map(|s| format!("{}: {}", s.service, s.name)).collect();
            for (nth, span) in trace.spans.iter().enumerate() {
                if let Some(parent) = span.parent.as_ref().filter(|p| !known.contains(p)) {
                    let what = format!(
                        "span {} has the parent `{parent}`, which is no span of {}",
                        span.name, trace.step
                    );
                    return Err(self.error(
                        &["traces", "steps", &at.to_string(), "spans", &nth.to_string(), "parent"],
                        what,
                        suggest(parent, known.iter().map(String::as_str), "spans"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Alerts and who is told of them.
    fn people(&self) -> Checked {
        let declared = &self.declaration;
        let mut receivers: BTreeSet<&str> = BTreeSet::new();
        for (at, receiver) in declared.receivers.iter().enumerate() {
            if !receivers.insert(&receiver.name) {
                return Err(self.error(
                    &["receivers", &at.to_string(), "name"],
                    format!("receiver {} is declared twice", receiver.name),
                    "give each stand-in a name of its own",
                ));
            }
        }
        let mut alerts: BTreeSet<&str> = BTreeSet::new();
        for (at, alert) in declared.alerts.iter().enumerate() {
            let at = at.to_string();
            if !alerts.insert(&alert.name) {
                return Err(self.error(
                    &["alerts", &at, "name"],
                    format!("alert {} is declared twice", alert.name),
                    "state each alert once, with all its receivers",
                ));
            }
            if let Some(missing) = alert.receivers.iter().find(|r| !receivers.contains(r.as_str()))
            {
                let what = format!(
                    "alert {} names the receiver {missing}, which is not declared",
                    alert.name
                );
                return Err(self.error(
                    &["alerts", &at, "receivers"],
                    what,
                    suggest(missing, receivers, "receivers"),
                ));
            }
        }
        for (at, switch) in declared.dead_mans_switches.iter().enumerate() {
            let at = at.to_string();
            if !alerts.insert(&switch.name) {
                return Err(self.error(
                    &["switches", &at, "name"],
                    format!("switches: {} is declared already", switch.name),
                    "an alert that always fires stands under `switches`, once, and not under `alerts`",
                ));
            }
            if let Some(missing) = switch.receivers.iter().find(|r| !receivers.contains(r.as_str()))
            {
                let what = format!(
                    "switches: {} names the receiver {missing}, which is not declared",
                    switch.name
                );
                return Err(self.error(
                    &["switches", &at, "receivers"],
                    what,
                    suggest(missing, receivers, "receivers"),
                ));
            }
            if switch.receivers.is_empty() || !(switch.every_s.is_finite() && switch.every_s > 0.0)
            {
                return Err(self.error(
                    &["switches", &at],
                    format!(
                        "switches: {} has {} receivers and every_s {}",
                        switch.name,
                        switch.receivers.len(),
                        switch.every_s
                    ),
                    "name at least one receiver, and the longest silence in seconds, above 0",
                ));
            }
        }
        Ok(())
    }

    fn waivers(&self) -> Checked {
        for (at, waiver) in self.declaration.waivers.iter().enumerate() {
            for (key, text) in [("owner", &waiver.owner), ("reason", &waiver.reason)] {
                if text.trim().is_empty() {
                    let what = format!("the waiver of {} has no {key}", waiver.verdict);
                    return Err(self.error(
                        &["waivers", &at.to_string(), key],
                        what,
                        "say who accepts the failure, and why",
                    ));
                }
            }
            let is_day = waiver
                .expires
                .parse::<jiff::civil::Date>()
                .is_ok_and(|day| day.to_string() == waiver.expires);
            if !is_day {
                let what = format!(
                    "the waiver of {} expires on `{}`, which is no day",
                    waiver.verdict, waiver.expires
                );
                return Err(self.error(
                    &["waivers", &at.to_string(), "expires"],
                    what,
                    "write it as YYYY-MM-DD",
                ));
            }
        }
        Ok(())
    }
}
