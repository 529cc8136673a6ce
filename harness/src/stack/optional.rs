//! Whether what a declaration states under `optional` makes sense.

use super::Stack;
use super::check::Checked;
use crate::declaration::Optional;
use crate::yaml::suggest;
use loadgen::traffic::service_of;
use loadgen::traffic::stated::StatedTraffic;
use std::path::{Display, Path};

impl Stack {
    /// What may be missing must be told apart from what must not.
    pub(super) fn optional(&self) -> Checked {
        let declared = &self.declaration.optional;
        for (at, optional) in declared.iter().enumerate() {
            let (nth, name) = (at.to_string(), &optional.service);
            self.service(&["optional", &nth, "service"], name)?;
            if declared[..at].iter().any(|o| o.service == *name) {
                return self.wrong_optional(
                    &nth,
                    "service",
                    format!("optional: {name} stands there twice"),
                    "state it once".into(),
                );
            }
            self.optional_profile(&nth, optional)?;
            self.optional_to_judging(&nth, optional)?;
            self.optional_to_services(&nth, optional)?;
        }
        Ok(())
    }

    fn wrong_optional(&self, nth: &str, key: &str, what: String, hint: String) -> Checked {
        Err(self.error(&["optional", nth, key], what, hint))
    }

    /// Without it there must be traffic, and what judges it; and its data sources must be known.
    fn optional_to_judging(&self, nth: &str, optional: &Optional) -> Checked {
        let (declared, name) = (&self.declaration, &optional.service);
        let roles = [("metrics", &declared.roles.metrics), ("alerting", &declared.roles.alerting)];
        if let Some((role, _)) =
            roles.iter().find(|(_, all)| all.iter().any(|r| r.service == *name))
        {
            return self.wrong_optional(
                nth,
                "service",
                format!("optional: service {name} answers for roles.{role}"),
                "take it out of `optional`: without it nothing is judged".into(),
            );
        }
        if let Some(unknown) =
            optional.datasources.iter().find(|d| !declared.datasources.contains(d))
        {
            let known =
                suggest(unknown, declared.datasources.iter().map(String::as_str), "`datasources`");
            return self.wrong_optional(
                nth,
                "datasources",
                format!("optional: datasources: {unknown} is not declared"),
                known,
            );
        }
        let mut traffic = declared.workload.iter().flat_map(StatedTraffic::places);
        if traffic.any(|(_, place)| service_of(&place) == name) {
            return self.wrong_optional(
                nth,
                "service",
                format!("optional: the workload talks to service {name}"),
                "take it out of `optional`: without it there is no traffic".into(),
            );
        }
        Ok(())
    }

    /// No other service may need it that is not optional itself. Compose itself refuses what needs
    /// a service whose profile is off.
    fn optional_to_services(&self, nth: &str, optional: &Optional) -> Checked {
        if optional.profile.is_some() {
            return Ok(());
        }
        let name = &optional.service;
        let may_go = |other: &str| {
            self.declaration.optional.iter().any(|o| o.service == other && o.profile.is_none())
        };
        let mut services = self.project.services.values();
        let Some(other) = services.find(|s| !may_go(&s.name) && s.needs().any(|n| n == name))
        else {
            return Ok(());
        };
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
        self.wrong_optional(nth, "service", what, hint)
    }

    /// A service of a profile runs only where that is asked for, so both must be stated.
    fn optional_profile(&self, nth: &str, optional: &Optional) -> Checked {
        let name = &optional.service;
        let wrong =
            |key: &str, what: String, hint: String| self.wrong_optional(nth, key, what, hint);
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
