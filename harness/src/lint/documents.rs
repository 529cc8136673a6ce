//! Files of which servers read a part only.

use super::Findings;
use config::monitoring::MonitoringConfig;
use config::yaml::{Document, Place};

pub(super) fn check(config: &MonitoringConfig, findings: &mut Findings) {
    let prometheus = config.prometheus.iter().flat_map(|server| {
        std::iter::once(&server.config.doc).chain(server.rules.iter().map(|file| &file.doc))
    });
    let alertmanagers = config.alertmanagers.iter().map(|server| &server.config.doc);
    for doc in prometheus.chain(alertmanagers) {
        second(doc, findings);
    }
}

/// Servers read the first document and say nothing of the others.
fn second(doc: &Document, findings: &mut Findings) {
    let Some(line) = doc.further else { return };
    findings.warning(
        "second-document",
        &Place::new(&doc.file, line, ""),
        "a second YAML document begins here, and servers read the first only: nothing below counts",
        "write both into one document, or put the second into a file of its own",
    );
}
