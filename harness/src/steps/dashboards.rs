//! Dashboards and data sources.

use super::Telling;
use cucumber::then;
use verdict::check::dashboards::{DatasourcesHealthy, ExpectedDashboard, PanelsReturnData};

#[then("each panel's query returns data")]
fn panels(t: &mut Telling) {
    let dashboards = t.declaration().dashboards.iter().map(|d| ExpectedDashboard { uid: d.uid.clone(), panels: d.panels, may_be_empty: d.may_be_empty.clone() }).collect();
    t.expect(PanelsReturnData { dashboards });
}

#[then("each data source is healthy")]
fn datasources(t: &mut Telling) {
    let names = t.declaration().datasources;
    t.expect(DatasourcesHealthy { names });
}
