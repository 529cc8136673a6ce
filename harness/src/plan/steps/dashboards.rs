//! Dashboards and data sources.

use super::StepWorld;
use crate::plan::PlanContext;
use cucumber::then;
use verdict::check::dashboards::{DatasourcesHealthy, ExpectedDashboard, PanelsReturnData};
use verdict::left_out::Absent;

/// The server that would have to answer, if none does.
fn nobody_answers(subject: &PlanContext) -> Option<(&str, String)> {
    let dashboards = &subject.declaration.roles.dashboards;
    match subject
        .declaration
        .roles
        .dashboards_where(|service| !subject.left_out.contains_key(service))
    {
        Some(_) => None,
        None => dashboards.iter().find_map(|role| subject.is_left_out(&role.service)),
    }
}

#[then("each panel's query returns data")]
fn panels(t: &mut StepWorld) {
    let declaration = t.declaration();
    if declaration.dashboards.is_empty() {
        return t.not_stated(
            "dashboards",
            !declaration.roles.dashboards.is_empty(),
            "which dashboards there are",
        );
    }
    let dashboards = declaration
        .dashboards
        .iter()
        .map(|d| ExpectedDashboard {
            uid: d.uid.clone(),
            panels: d.panels,
            may_be_empty: d.may_be_empty.clone(),
        })
        .collect();
    let subject = t.told();
    t.expect_unless(nobody_answers(&subject), PanelsReturnData { dashboards });
}

#[then("each data source is healthy")]
fn datasources(t: &mut StepWorld) {
    let declaration = t.declaration();
    if declaration.datasources.is_empty() {
        return t.not_stated(
            "datasources",
            !declaration.roles.dashboards.is_empty() && declaration.dashboards.is_empty(),
            "which data sources must answer",
        );
    }
    let subject = t.told();
    let asks = |name: &String| {
        declaration
            .optional
            .iter()
            .find(|o| o.datasources.contains(name))
            .map(|o| o.service.as_str())
    };
    let gone = |name: &String| asks(name).filter(|service| subject.left_out.contains_key(*service));
    let left_out: Vec<Absent> =
        declaration.datasources.iter().filter_map(|n| Some(Absent::new(gone(n)?, n))).collect();
    let names: Vec<String> =
        declaration.datasources.iter().filter(|n| gone(n).is_none()).cloned().collect();
    let none =
        left_out.first().filter(|_| names.is_empty()).and_then(|a| subject.is_left_out(&a.service));
    let none = none.or_else(|| nobody_answers(&subject));
    t.expect_unless(none, DatasourcesHealthy { names, left_out: left_out.clone() });
}
