//! Whether what a declaration states under `optional` makes sense.

use super::Stack;
use super::check::Checked;
use crate::declaration::Optional;
use crate::yaml::suggest;
use loadgen::traffic::stated::StatedTraffic;
use std::path::{Display, Path};

impl Stack {
    /// What may be missing must be told apart from what must not.
    pub(super) fn optional(&self) -> Checked {
        let declared = &self.declaration;
        let roles = [("metrics", &declared.roles.metrics), ("alerting", &declared.roles.alerting)];
        for (at, optional) in declared.optional.iter().enumerate() {
            let (nth, name) = (at.to_string(), &optional.service);
            let wrong = |key: &str, what: String, hint: String| {
                Err(self.error(&["optional", &nth, key], what, hint))
            };
            self.service(&["optional", &nth, "service"], name)?;
            if declared.optional[..at].iter().any(|o| o.service == *name) {
                return wrong(
                    "service",
                    format!("optional: {name} stands there twice"),
                    "state it once".into(),
                );
            }
            self.optional_profile(&nth, optional)?;
            if let Some((role, _)) =
                roles.iter().find(|(_, all)| all.iter().any(|r| r.service == *name))
            {
                let what = format!("optional: service {name} answers for roles.{role}");
                return wrong(
                    "service",
                    what,
                    "take it out of `optional`: without it nothing is judged".into(),
                );
            }
            if let Some(unknown) =
                optional.datasources.iter().find(|d| !declared.datasources.contains(d))
            {
                let known = suggest(
                    unknown,
                    declared.datasources.iter().map(String::as_str),
                    "`datasources`",
                );
                return wrong(
                    "datasources",
                    format!("optional: datasources: {unknown} is not declared"),
                    known,
                );
            }
            let traffic = declared.workload.iter().flat_map(StatedTraffic::places);
            if traffic
                .filter_map(|(_, place)| place.split(':').next().map(str::to_owned))
                .any(|service| service == *name)
            {
                let what = format!("optional: the workload talks to service {name}");
                return wrong(
                    "service",
                    what,
                    "take it out of `optional`: without it there is no traffic".into(),
                );
            }
            if optional.profile.is_some() {
                // Compose itself refuses what needs a service whose profile is off.
                continue;
            }
            let may_go = |other: &str| {
                declared.optional.iter().any(|o| o.service == other && o.profile.is_none())
            };
            if let Some(other) = self
                .project
                .services
                .values()
                .find(|s| !may_go(&s.name) && s.needs().any(|n| n == name))
            {
                let what = format!(
                    "optional: service {} needs the optional service {name} ({}:{})",
                    other.name,
                    self.compose(),
                    other.mark.line
                );
                let hint = format!(
                    "write `required: false` under its `depends_on`, or declare {} under `optional` too",
                    other.name
                );
                return wrong("service", what, hint);
            }
        }
        Ok(())
    }

    /// A service of a profile runs only where that is asked for, so both must be stated.
    fn optional_profile(&self, nth: &str, optional: &Optional) -> Checked {
        let name = &optional.service;
        let wrong = |key: &str, what: String, hint: String| {
            Err(self.error(&["optional", nth, key], what, hint))
        };
        let service = self.project.services.get(name).or(self
            .project
            .left_out
            .get(name)
            .map(|left| &left.service));
        let profiles = service.map_or(&[][..], |s| &s.profiles);
        match &optional.profile {
            Some(profile) if profiles.is_empty() => {
                let what = format!(
                    "optional: profile: seen `{profile}`, but service {name} has no profile in {}",
                    self.compose()
                );
                return wrong(
                    "profile",
                    what,
                    "state it without `profile`: it is tried always, and left out if its image can't be had".into(),
                );
            }
            Some(profile) if !profiles.contains(profile) => {
                let what = format!(
                    "optional: profile: seen `{profile}`, which service {name} does not have in {}",
                    self.compose()
                );
                return wrong(
                    "profile",
                    what,
                    suggest(
                        profile,
                        profiles.iter().map(String::as_str),
                        "profiles of the service",
                    ),
                );
            }
            None if !profiles.is_empty() => {
                let all = profiles.join(", ");
                let what = format!(
                    "optional: service {name} is in profiles {all}, so that it runs only where --profile asks for one"
                );
                return wrong(
                    "service",
                    what,
                    format!("state `profile: {}`, or take it out of the profiles", profiles[0]),
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// The Compose file's name, for messages about another file.
    fn compose(&self) -> Display<'_> {
        Path::new(&self.declaration.compose).display()
    }
}
