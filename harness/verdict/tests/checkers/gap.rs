//! What nobody is notified of.

use super::golden::{Run, golden};
use super::phases::with_gossip;
use verdict::check::Expectation;
use verdict::check::alerts::SomebodyNotified;
use verdict::check::causes::Causes;
use verdict::history::alert::AlertEvent;
use verdict::history::fault::FaultEvent;
use verdict::{Cause, EventKind, Status, Verdict};

const NOTICED: &str = "drill.mailer_stopped.noticed";

/// Nobody is notified of anything in this part of the run.
fn silent(from: f64, to: f64) -> Run {
    golden().without(move |t, k| {
        (from..to).contains(&t) && matches!(k, EventKind::Alert(AlertEvent::Notification(_)))
    })
}

fn judged(run: &Run, change: impl Fn(&mut SomebodyNotified)) -> Verdict {
    let mut checker = SomebodyNotified {
        drill: "mailer_stopped".into(),
        causes: Causes::default(),
        service: "mailer".into(),
        rule: "up{job=\"mailer\"} == 0 for 1m".into(),
        least_s: 15.0,
        others: vec![],
        gap: None,
    };
    change(&mut checker);
    Expectation::from(checker).judge(&run.history())
}

#[test]
fn a_service_that_is_gone_is_noticed_or_is_a_gap() {
    golden().passes(NOTICED, "MailerDown after");
    let gap = silent(60.0, 95.0).fails(NOTICED, Cause::Gap, "nobody was notified in the");
    assert!(gap.hint.unwrap().contains("up{job=\"mailer\"} == 0 for 1m"));
    // What comes once the service is back tells nobody that it was gone.
    silent(60.0, 90.0).fails(NOTICED, Cause::Gap, "nobody was notified");
}

#[test]
fn a_declared_gap_is_listed_with_the_rule_that_would_close_it() {
    let declared = |c: &mut SomebodyNotified| c.gap = Some("next quarter".into());
    let listed = judged(&silent(60.0, 95.0), declared);
    assert_eq!(listed.status, Status::Pass, "{listed:#?}");
    assert!(
        listed.reason.contains("a gap, by declaration (next quarter)")
            && listed.reason.contains("up{job=\"mailer\"} == 0 for 1m"),
        "{listed:#?}"
    );
    let closed = judged(&golden(), declared);
    assert_eq!(closed.status, Status::Pass);
    assert!(closed.reason.contains("closed by now"), "{closed:#?}");
}

#[test]
fn what_other_drills_cause_notices_nothing() {
    let other = judged(&golden(), |c| c.others = vec!["MailerDown".into(), "Heartbeat".into()]);
    assert_eq!((other.status, other.cause), (Status::Fail, Some(Cause::Gap)), "{other:#?}");
}

#[test]
fn too_short_a_drill_or_none_tells_nothing() {
    let short = judged(&silent(60.0, 95.0), |c| c.least_s = 60.0);
    assert_eq!(short.status, Status::Unknown, "{short:#?}");
    let declared = judged(&silent(60.0, 95.0), |c| {
        c.least_s = 60.0;
        c.gap = Some("later".into());
    });
    assert_eq!(declared.status, Status::Unknown, "{declared:#?}");
    silent(60.0, 95.0)
        .without(|t, k| t < 95.0 && matches!(k, EventKind::Fault(FaultEvent::Bit { .. })))
        .unknown(NOTICED, "never seen to bite");
}

#[test]
fn time_counts_while_the_fault_is_there_that_takes_the_service_away() {
    // People are notified of MailerDown at 68; of the switch always.
    let taken_by = |run: &Run, fault: &str| {
        judged(run, |c| {
            c.causes.injected = vec![fault.into()];
            c.least_s = 5.0;
            c.others = vec!["Heartbeat".into()];
        })
    };
    let later = with_gossip(70.0, 78.0);
    let gap = taken_by(&later, "gossip");
    assert_eq!((gap.status, gap.cause), (Status::Fail, Some(Cause::Gap)), "{gap:#?}");
    assert!(gap.reason.contains("in the 8.0 s"), "{gap:#?}");
    let of_the_first = taken_by(&later, "mailer");
    assert_eq!(of_the_first.status, Status::Pass, "{of_the_first:#?}");
    assert!(of_the_first.reason.contains("MailerDown after 7.5 s"), "{of_the_first:#?}");
    let meanwhile = taken_by(&with_gossip(64.0, 72.0), "gossip");
    assert!(meanwhile.reason.contains("MailerDown after 4.0 s"), "{meanwhile:#?}");
    let unheard_of = taken_by(&later, "tunnel");
    assert_eq!(unheard_of.status, Status::Unknown, "{unheard_of:#?}");
}
