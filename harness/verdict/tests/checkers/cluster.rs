//! Servers of one role, and how they stand to each other.

use super::golden::{Run, cluster_member, golden, managed, map, replica};
use verdict::check::cluster::{
    AlertsHeldOnce, ManagersAlike, ManagersClustered, ReplicasToldApart, SentToEachManager,
};
use verdict::observation::alerts::ManagedAlert;
use verdict::observation::members::{ClusterMember, Replica};
use verdict::{Cause, EventKind, Expectation, Fact, Status, Verdict};

const MANAGERS: [&str; 2] = ["manager-a", "manager-b"];

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|s| (*s).to_owned()).collect()
}

/// The golden run without what its one server and its one manager say of themselves.
fn plain() -> Run {
    golden().without(|_, k| {
        matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::Replica(_) | Fact::ClusterMember(_)))
    })
}

fn with_replicas(replicas: &[(&str, Replica)]) -> Run {
    let mut run = plain();
    for (server, replica) in replicas {
        run.saw(21.46, server, Fact::Replica(replica.clone()));
    }
    run
}

fn with_members(members: &[(&str, ClusterMember)]) -> Run {
    let mut run = plain();
    for (manager, member) in members {
        run.saw(21.46, manager, Fact::ClusterMember(member.clone()));
    }
    run
}

fn judged(run: &Run, expectation: impl Into<Expectation>) -> Verdict {
    expectation.into().judge(&run.history())
}

#[track_caller]
fn convicts(v: &Verdict, cause: Cause, says: &[&str]) {
    assert_eq!((v.status, v.cause), (Status::Fail, Some(cause)), "{v:#?}");
    assert!(v.hint.is_some() && !v.witnesses.is_empty(), "{v:#?}");
    for say in says {
        assert!(v.reason.contains(say), "{say:?} is not in {:?}", v.reason);
    }
}

fn told_apart() -> ReplicasToldApart {
    ReplicasToldApart { servers: strings(&["metrics", "metrics-b"]) }
}

#[test]
fn replicas_without_labels_of_their_own_are_convicted() {
    let both = |a, b| with_replicas(&[("metrics", replica(a)), ("metrics-b", replica(b))]);
    assert_eq!(judged(&both("a", "b"), told_apart()).status, Status::Pass);
    let v = judged(&both("a", "a"), told_apart());
    convicts(&v, Cause::ReplicasAlike, &["metrics, metrics-b have the same", "replica=\"a\""]);
    let v = judged(&with_replicas(&[("metrics", replica("a"))]), told_apart());
    assert_eq!(v.status, Status::Unknown, "{v:#?}");
    assert!(v.reason.contains("metrics-b"), "{v:#?}");
}

#[test]
fn a_server_that_sends_to_one_manager_only_is_convicted() {
    let managers = MANAGERS.map(|m| (m.to_owned(), vec![m.to_owned(), format!("{m}.test")]));
    let expected = SentToEachManager { managers: managers.into() };
    let sends = |to: &[&str]| {
        let managers = to.iter().map(|m| format!("{m}:9093")).collect();
        with_replicas(&[("metrics", Replica { managers, ..replica("a") })])
    };
    for both in [
        &["manager-a", "manager-b"][..],
        &["manager-a.test", "manager-b"],
        // As discovery finds them.
        &["10.1.0.2", "10.1.0.3"],
    ] {
        assert_eq!(judged(&sends(both), expected.clone()).status, Status::Pass, "{both:?}");
    }
    let v = judged(&sends(&["manager-a"]), expected.clone());
    convicts(&v, Cause::ManagerNotAddressed, &["nothing is sent to manager-b"]);
    let v = judged(&sends(&["10.1.0.2"]), expected.clone());
    convicts(&v, Cause::ManagerNotAddressed, &["10.1.0.2"]);
    let v = judged(&sends(&[]), expected.clone());
    convicts(&v, Cause::ManagerNotAddressed, &["to none"]);
    assert_eq!(judged(&plain(), expected).status, Status::Unknown);
}

#[test]
fn managers_that_dont_know_each_other_are_convicted() {
    let expected = || ManagersClustered { managers: strings(&MANAGERS) };
    let knows = |a: &[&str], b: &[&str]| {
        with_members(&[("manager-a", cluster_member(a)), ("manager-b", cluster_member(b))])
    };
    assert_eq!(judged(&knows(&MANAGERS, &MANAGERS), expected()).status, Status::Pass);
    let v = judged(&knows(&MANAGERS, &["manager-b"]), expected());
    convicts(&v, Cause::PeersApart, &["manager-b knows 1 member of 2"]);
    let disabled = ClusterMember { status: "disabled".into(), ..cluster_member(&[]) };
    let run = with_members(&[("manager-a", cluster_member(&MANAGERS)), ("manager-b", disabled)]);
    convicts(&judged(&run, expected()), Cause::PeersApart, &["manager-b is disabled"]);
    let v = judged(&with_members(&[("manager-a", cluster_member(&MANAGERS))]), expected());
    assert_eq!(v.status, Status::Unknown, "{v:#?}");
}

#[test]
fn a_manager_with_another_route_is_convicted_with_the_line() {
    let expected = || ManagersAlike { managers: strings(&MANAGERS) };
    let alike = cluster_member(&MANAGERS);
    let both =
        |b: &ClusterMember| with_members(&[("manager-a", alike.clone()), ("manager-b", b.clone())]);
    assert_eq!(judged(&both(&alike), expected()).status, Status::Pass);
    let mut other = alike.clone();
    other.configuration.insert("route".into(), "receiver: hook\ngroup_wait: 9s\n".into());
    let v = judged(&both(&other), expected());
    convicts(
        &v,
        Cause::PeersDiffer,
        &[
            "`route` of manager-a and of manager-b differ at line 2",
            "group_wait: 1s",
            "group_wait: 9s",
        ],
    );
    other.configuration = map(&[("receivers", "hook\n")]);
    convicts(&judged(&both(&other), expected()), Cause::PeersDiffer, &["`route`", "line 1"]);
}

#[test]
fn an_alert_that_each_server_raises_under_its_own_label_is_convicted() {
    let expected = || AlertsHeldOnce { managers: strings(&["manager"]) };
    let labelled = |name: &str| {
        let mut alert: ManagedAlert = managed("MailerDown");
        alert.labels.insert("replica".into(), name.into());
        alert
    };
    let mut run = with_replicas(&[("metrics", replica("a")), ("metrics-b", replica("b"))]);
    assert_eq!(judged(&run, expected()).status, Status::Pass);
    // One that carries such a label for a reason of its own is held once.
    run.saw(70.0, "manager", Fact::ManagedAlerts { alerts: vec![labelled("a")] });
    assert_eq!(judged(&run, expected()).status, Status::Pass);
    run.saw(71.0, "manager", Fact::ManagedAlerts { alerts: vec![labelled("a"), labelled("b")] });
    let v = judged(&run, expected());
    convicts(&v, Cause::ReplicaLabelKept, &["MailerDown twice", "replica=\"a\"", "replica=\"b\""]);
    // What tells the servers apart in no way can't be looked for.
    let alike = with_replicas(&[("metrics", replica("a")), ("metrics-b", replica("a"))]);
    assert_eq!(judged(&alike, expected()).status, Status::Unknown);
}
