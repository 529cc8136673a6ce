//! A fault on every instance of the service that it is aimed at: one of its kind for each. Which
//! there are is asked when it is prepared; each then finds its own container anew, before whatever
//! it does.

use super::healing::carry_out;
use super::{Ability, Fault, FaultError, Kind, Scene, Settings};
use crate::journal::Undo;
use futures::future::BoxFuture;
use verdict::history::fault::BlastRadius;

pub(super) struct Each {
    kind: &'static Kind,
    settings: Settings,
    /// The fault as it is aimed at the service: what is known of it before it is prepared.
    aimed: Box<dyn Fault>,
    /// The faults on its instances, once prepared.
    faults: Vec<Box<dyn Fault>>,
    instances: Vec<String>,
}

impl Each {
    pub fn of(kind: &'static Kind, settings: &Settings, aimed: Box<dyn Fault>) -> Each {
        let (faults, instances) = (Vec::new(), Vec::new());
        Each { kind, settings: settings.clone(), aimed, faults, instances }
    }

    /// Settings for each instance of the service that the fault also names (`to`, the other end of a
    /// connection).
    async fn settings(&self, scene: &Scene<'_>) -> Result<Vec<Settings>, FaultError> {
        let Some(to) = self.settings.get("to") else { return Ok(vec![self.settings.clone()]) };
        let (service, port) = match to.split_once(':') {
            Some((service, port)) => (service, format!(":{port}")),
            None => (to.as_str(), String::new()),
        };
        let ends = scene.instances(service).await?;
        let with = |end: String| {
            let mut settings = self.settings.clone();
            settings.insert("to".to_owned(), format!("{end}{port}"));
            settings
        };
        Ok(ends.into_iter().map(with).collect())
    }
}

impl Fault for Each {
    fn kind(&self) -> &'static str {
        self.aimed.kind()
    }

    fn target(&self) -> &str {
        self.aimed.target()
    }

    fn instances(&self) -> &[String] {
        &self.instances
    }

    fn mechanism(&self) -> String {
        self.aimed.mechanism()
    }

    fn needs(&self) -> Vec<Ability> {
        self.aimed.needs()
    }

    fn blast_radius(&self) -> BlastRadius {
        let mut radius = self.aimed.blast_radius();
        if !self.faults.is_empty() {
            // What each learnt of its instance while it was prepared counts.
            radius.host = self.faults.iter().any(|fault| fault.blast_radius().host);
        }
        radius
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            self.faults.clear();
            self.instances = scene.instances(self.aimed.target()).await?;
            let settings = self.settings(scene).await?;
            let mut undo = Vec::new();
            for instance in &self.instances {
                for settings in &settings {
                    let mut fault = (self.kind.aim)(instance, settings)?;
                    match fault.prepare(scene).await {
                        Ok(more) => undo.extend(more),
                        Err(error) => {
                            // Nobody has written these down yet, and nobody will.
                            for one in &undo {
                                if let Err(why) = carry_out(Some(scene.engine), one).await {
                                    tracing::warn!(%why, "what a fault prepared is not undone");
                                }
                            }
                            return Err(error);
                        }
                    }
                    self.faults.push(fault);
                }
            }
            Ok(undo)
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async {
            for fault in &mut self.faults {
                fault.inject(scene).await?;
            }
            Ok(())
        })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let mut evidence = Vec::new();
            for fault in &self.faults {
                evidence.push(fault.bites(scene).await?);
            }
            Ok(of_all(evidence))
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let mut evidence = Vec::new();
            for fault in &self.faults {
                evidence.push(fault.left(scene).await?);
            }
            Ok(of_all(evidence))
        })
    }
}

/// What was seen of all; nothing, if of one there was nothing to be seen.
fn of_all(evidence: Vec<Option<String>>) -> Option<String> {
    let all: Vec<String> = evidence.into_iter().collect::<Option<_>>()?;
    (!all.is_empty()).then(|| all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_of_some_instances_is_not_seen() {
        let seen = |of: &[Option<&str>]| of_all(of.iter().map(|s| s.map(str::to_owned)).collect());
        assert_eq!(seen(&[Some("a"), Some("b")]).as_deref(), Some("a; b"));
        assert_eq!(seen(&[Some("a"), None]), None);
        assert_eq!(seen(&[]), None);
    }
}
