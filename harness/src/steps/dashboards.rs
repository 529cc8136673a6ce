//! Dashboards and data sources.

use super::Telling;
use cucumber::then;
use verdict::check::dashboards::{DatasourcesHealthy, ExpectedDashboard, PanelsReturnData};

#[then("each panel's query returns data")]
fn panels(t: &mut Telling) {
    let declaration = t.declaration();
    if declaration.dashboards.is_empty() {
        return t.not_stated("dashboards", !declaration.roles.dashboards.is_empty(), "which dashboards there are");
    }
    let dashboards = declaration
        .dashboards
        .iter()
        .map(|d| ExpectedDashboard { uid: d.uid.clone(), panels: d.panels, may_be_empty: d.may_be_empty.clone() })
        .collect();
    t.expect(PanelsReturnData { dashboards });
}

#[then("each data source is healthy")]
fn datasources(t: &mut Telling) {
    let declaration = t.declaration();
    if declaration.datasources.is_empty() {
        return t.not_stated(
            "datasources",
            !declaration.roles.dashboards.is_empty() && declaration.dashboards.is_empty(),
            "which data sources must answer",
        );
    }
    let names = declaration.datasources;
    t.expect(DatasourcesHealthy { names });
}
