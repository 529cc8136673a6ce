//! JUnit, for continuous integration. Unknown is an error there, a failure is a failure.

use super::Report;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;
use verdict::Status;

/// The report as JUnit XML: a suite for each feature, a case for each verdict.
pub fn render(report: &Report) -> String {
    let mut junit =
        quick_junit::Report::new(format!("firedrill {} {}", report.run.stack, report.run.id));
    for told in &report.verdicts {
        let status = match told.status {
            Status::Pass | Status::Waived => TestCaseStatus::success(),
            Status::Skipped => {
                let mut skipped = TestCaseStatus::skipped();
                skipped.set_message(&told.reason);
                skipped
            }
            bad => {
                let kind = if bad == Status::Fail {
                    NonSuccessKind::Failure
                } else {
                    NonSuccessKind::Error
                };
                let mut status = TestCaseStatus::non_success(kind);
                status.set_message(&told.reason);
                if let Some(cause) = told.cause {
                    status.set_type(cause.name());
                }
                status.set_description(super::text::verdict(told, report));
                status
            }
        };
        let mut case = TestCase::new(format!("{} [{}]", told.expected, told.id), status);
        case.set_classname(&told.scenario);
        case.set_time(Duration::from_secs_f64(told.duration_s.max(0.0)));
        match junit.test_suites.iter_mut().find(|s| s.name.as_str() == told.feature) {
            Some(suite) => {
                suite.add_test_case(case);
            }
            None => {
                let mut suite = TestSuite::new(&told.feature);
                suite.add_test_case(case);
                junit.add_test_suite(suite);
            }
        }
    }
    junit
        .to_string()
        .unwrap_or_else(|e| format!("<!-- the report could not be written as XML: {e} -->"))
}
