//! Recovery and baseline.

use super::StepWorld;
use cucumber::then;
use verdict::check::recovery::Recovered;

#[then("latency and error rate are inside the baseline, before the drills and after them")]
fn recovered(t: &mut StepWorld) {
    if t.declaration().workload.is_none() {
        return t.not_stated("workload", false, "the traffic");
    }
    match t.subject.as_ref().and_then(|s| s.baseline.clone()) {
        Some(baseline) => t.expect(Recovered { baseline, settle_s: 5.0 }),
        None => t.refuse(
            "the stack has no baseline",
            "write scenarios/baselines/<stack>.yaml, or `baseline.yaml` beside firedrill.yaml",
        ),
    }
}
