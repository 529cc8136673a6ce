//! Rules that are changed for a drill: measured, journalled, written into the work copy, taken over
//! by the metrics server.

use super::{Error, Session};
use crate::backend::{Access, Client, Redirects, innermost};
use crate::journal::Undo;
use crate::plan::scenario::Scenario;
use crate::probe::Question;
use crate::process::failure::{Advice, UserError};
use config::overriding::{Fit, Measure, Misfit, Override};
use config::yaml::Document;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use verdict::history::run::RunEvent;
use verdict::observation::Fact;

const RELOAD: &str = "/-/reload";

impl Session {
    /// Changes the rules that a drill asks for, and returns the journal's entries that take the
    /// changes back. They stay until the drill has ended: what resolves the alert is that the fault
    /// is healed.
    ///
    /// # Errors
    /// A level can't be measured, or the metrics server does not take the change over; nothing is
    /// changed then.
    pub(super) async fn override_rules(&self, scenario: &Scenario) -> Result<Vec<u64>, Error> {
        let mut open = Vec::new();
        for change in &scenario.overrides {
            match self.override_rule(scenario, change, &mut open).await {
                Ok(()) => {}
                Err(error) => {
                    self.heal(&open).await?;
                    return Err(error);
                }
            }
        }
        Ok(open)
    }

    async fn override_rule(
        &self,
        scenario: &Scenario,
        change: &Override,
        open: &mut Vec<u64>,
    ) -> Result<(), Error> {
        let misfit = |(what, hint): Misfit| {
            let what = format!("drill {}: {what}", scenario.name);
            Error::Configuration(Advice::from(what).hint(hint))
        };
        let work = self.running.work_copy();
        // One threshold for all servers: their rules stay the same.
        let mut threshold = None;
        let mut changes: BTreeMap<&Path, Change> = BTreeMap::new();
        for (service, rules) in change.files(&self.config).map_err(misfit)? {
            let original = rules.file.as_path();
            if !changes.contains_key(original) {
                let path = work.place(original).ok_or_else(|| {
                    let shown = original.display();
                    let what = format!("{shown}: the run has no copy of it that could be changed");
                    Error::Configuration(what.into())
                })?;
                let before = std::fs::read_to_string(&path)
                    .map_err(|e| Error::Stack(format!("{}: {e}", path.display()).into()))?;
                let file = Document::parse(original, &before)
                    .map_err(|e| Error::Configuration(e.advice()))?;
                let fit = change.fit(&file).map_err(misfit)?;
                if let (Some(measure), None) = (&fit.measure, threshold) {
                    threshold = Some(self.measured(&change.alert, measure).await?);
                }
                let (after, expr) = change.apply(&file, threshold).map_err(misfit)?;
                let servers = Vec::new();
                changes.insert(original, Change { path, before, after, fit, expr, servers });
            }
            if let Some(of) = changes.get_mut(original) {
                of.servers.push(self.metrics_access(service)?);
            }
        }
        for (original, of) in &changes {
            let mut undos = Vec::new();
            for access in &of.servers {
                let client = reloading(access)?;
                undos.push(Undo::RestoreFile {
                    path: of.path.clone(),
                    content: of.before.clone(),
                    reload: client.url(RELOAD).to_string(),
                    access: (!access.is_plain()).then(|| Box::new(access.clone())),
                });
            }
            open.extend(self.journal_open(
                &format!("rule of {} (drill {})", change.alert, scenario.name),
                undos,
            )?);
            work.write(original, of.after.clone()).map_err(|e| Error::Stack(e.advice()))?;
            for access in &of.servers {
                reload(access).await?;
            }
        }
        let Some(Change { fit, expr: after, .. }) = changes.into_values().next() else {
            return Ok(());
        };
        self.progress
            .say(&format!("drill {}: alert {} is `{after}` for it", scenario.name, change.alert));
        self.record(RunEvent::Overridden {
            drill: scenario.name.clone(),
            alert: change.alert.clone(),
            before: fit.before,
            after,
            why: change.why.clone(),
        })
    }

    /// The threshold that lies beyond the level which the metrics servers show now.
    async fn measured(&self, alert: &str, measure: &Measure) -> Result<f64, Error> {
        let now = self.clock().now().wall_s();
        let question = Question::Range {
            name: format!("level of {alert}"),
            expr: measure.expr.clone(),
            start_s: now,
            end_s: now,
            step_s: 1.0,
        };
        if self.probes.metrics.is_empty() {
            return Err(no_server());
        }
        let mut levels = Vec::new();
        for server in &self.probes.metrics {
            for observation in server.ask(&question).await {
                if let Fact::Samples(samples) = &observation.fact {
                    levels.extend(
                        samples
                            .series
                            .iter()
                            .flat_map(|s| &s.points)
                            .filter_map(|(_, value)| *value),
                    );
                }
                self.observe([observation])?;
            }
        }
        measure.threshold(&levels).ok_or_else(|| {
            let what = format!(
                "the level that alert {alert} looks at has no value now: `{}`",
                measure.expr
            );
            Error::Stack(what.into())
        })
    }

    fn metrics_access(&self, service: &str) -> Result<Access, Error> {
        let mut roles = self.declaration.roles.metrics.iter();
        let role = roles.find(|role| role.service == service).ok_or_else(no_server)?;
        self.running.access(role).ok_or_else(no_server)
    }
}

/// A rule file that is changed.
struct Change {
    /// The run's copy.
    path: PathBuf,
    before: String,
    after: String,
    fit: Fit,
    /// The changed expression.
    expr: String,
    /// How those are asked that load it.
    servers: Vec<Access>,
}

fn reloading(access: &Access) -> Result<Client, Error> {
    Client::new(access, Redirects::Followed)
        .map_err(|why| Error::Stack(why.within("the metrics server")))
}

/// Has a metrics server take over what its files say.
async fn reload(access: &Access) -> Result<(), Error> {
    let client = reloading(access)?;
    let url = client.url(RELOAD);
    match client.reload(RELOAD).await {
        Ok((status, _)) if status.is_success() => Ok(()),
        Ok((status, said)) => {
            Err(Error::Stack(format!("{url} was answered {status}: {}", said.trim()).into()))
        }
        Err(e) => Err(Error::Stack(format!("{url}: {}", innermost(&e)).into())),
    }
}

fn no_server() -> Error {
    Error::Configuration(
        Advice::from(
            "a rule can be changed for a drill only where `roles.metrics` has a published port",
        )
        .hint("state it in firedrill.yaml"),
    )
}
