//! Rules that are changed for a drill: measured, journalled, written into the work copy, taken over
//! by the metrics server.

use super::{Error, Session};
use crate::backend::{Access, Client, Redirects, innermost};
use crate::journal::Undo;
use crate::plan::scenario::Scenario;
use crate::probe::Question;
use crate::process::failure::{Advice, UserError};
use config::overriding::{Measure, Misfit, Override};
use config::yaml::Document;
use verdict::history::run::RunEvent;
use verdict::observation::Fact;

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
        let stack = |e: crate::stack::StackError| Error::Stack(e.advice());
        let work = self.running.work_copy();
        let original = change.file(&self.config).map_err(misfit)?.1.file.as_path();
        let outside = || {
            let what =
                format!("{}: the run has no copy of it that could be changed", original.display());
            Error::Configuration(what.into())
        };
        let path = work.place(original).ok_or_else(outside)?;
        let text = std::fs::read_to_string(&path)
            .map_err(|e| Error::Stack(format!("{}: {e}", path.display()).into()))?;
        let file =
            Document::parse(original, &text).map_err(|e| Error::Configuration(e.advice()))?;
        let fit = change.fit(&file).map_err(misfit)?;
        let threshold = match &fit.measure {
            Some(measure) => Some(self.measured(&change.alert, measure).await?),
            None => None,
        };
        let (changed, after) = change.apply(&file, threshold).map_err(misfit)?;
        let access = self.metrics_access()?;
        let client = Client::new(&access, Redirects::Followed)
            .map_err(|why| Error::Stack(why.within("the metrics server")))?;
        let reload = client.url("/-/reload").to_string();
        let undo = Undo::RestoreFile {
            path: path.clone(),
            content: text,
            reload: reload.clone(),
            access: (!access.is_plain()).then(|| Box::new(access)),
        };
        open.extend(self.journal_open(
            &format!("rule of {} (drill {})", change.alert, scenario.name),
            vec![undo],
        )?);
        work.write(original, changed).map_err(stack)?;
        match client.reload("/-/reload").await {
            Ok((status, _)) if status.is_success() => {}
            Ok((status, said)) => {
                let what = format!("{reload} was answered {status}: {}", said.trim());
                return Err(Error::Stack(what.into()));
            }
            Err(e) => {
                return Err(Error::Stack(format!("{reload}: {}", innermost(&e)).into()));
            }
        }
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

    /// The threshold that lies beyond the level which the metrics server shows now.
    async fn measured(&self, alert: &str, measure: &Measure) -> Result<f64, Error> {
        let now = self.clock().now().wall_s();
        let question = Question::Range {
            name: format!("level of {alert}"),
            expr: measure.expr.clone(),
            start_s: now,
            end_s: now,
            step_s: 1.0,
        };
        let mut levels = Vec::new();
        for observation in
            self.probes.metrics.first().map(|m| m.ask(&question)).ok_or_else(no_server)?.await
        {
            if let Fact::Samples(samples) = &observation.fact {
                levels.extend(
                    samples.series.iter().flat_map(|s| &s.points).filter_map(|(_, value)| *value),
                );
            }
            self.observe([observation])?;
        }
        measure.threshold(&levels).ok_or_else(|| {
            let what = format!(
                "the level that alert {alert} looks at has no value now: `{}`",
                measure.expr
            );
            Error::Stack(what.into())
        })
    }

    fn metrics_access(&self) -> Result<Access, Error> {
        let role = self.declaration.roles.metrics.iter().next().ok_or_else(no_server)?;
        self.running.access(role).ok_or_else(no_server)
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
