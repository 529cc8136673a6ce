//! Metrics under load.

use super::golden::{Run, golden};
use verdict::check::under_load::{duration_samples, up_samples};
use verdict::history::fault::FaultEvent;
use verdict::{Cause, EventKind, Fact};

const SCRAPED: &str = "drill.store_slow.scraped";

/// From a second of the run on, the drill's samples of this name have this value.
fn from(run: Run, t: f64, name: String, value: f64) -> Run {
    let since = run.clock.wall(t);
    run.facts(move |_, _, f| {
        if let Fact::Samples(s) = f
            && s.name == name
        {
            s.series
                .iter_mut()
                .flat_map(|s| &mut s.points)
                .filter(|p| p.0 >= since)
                .for_each(|p| p.1 = Some(value));
        }
    })
}

#[test]
fn a_target_that_is_lost_under_load_is_a_failure() {
    let v = golden().passes(SCRAPED, "1 target stayed up in 19.5 s");
    assert_eq!(v.evidence[0].count, 20);
    let lost = from(golden(), 105.0, up_samples("store_slow"), 0.0);
    lost.fails(SCRAPED, Cause::TargetNotScraped, "down 4.5 s after the injection: api (api:80)");
    let slow = from(lost, 105.0, duration_samples("store_slow"), 1.0);
    slow.fails(
        SCRAPED,
        Cause::ScrapeTimesOut,
        "api (api:80); its scrapes took 1.0 s, and end after 1.0 s",
    );
    // What comes after healing is another matter.
    from(golden(), 121.0, up_samples("store_slow"), 0.0).passes(SCRAPED, "stayed up");
}

#[test]
fn without_samples_or_a_fault_that_bit_nothing_is_known() {
    let unasked = golden().without(
        |_, k| matches!(k, EventKind::Observation(o) if matches!(&o.fact, Fact::Samples(s) if s.name == up_samples("store_slow"))),
    );
    unasked.unknown(SCRAPED, "whether targets were up was not recorded");
    let unbitten =
        golden().without(|t, k| t > 95.0 && matches!(k, EventKind::Fault(FaultEvent::Bit { .. })));
    unbitten.unknown(SCRAPED, "never seen to bite");
}
