//! Traffic that makes no sense.

use super::cases::{Case, OWN, VERIFY, email, wrong_with};

const SEND: &str = "journeys/send_mail.yaml";
const READ: &str = "journeys/read.yaml";
const SEARCH: &str = "journeys/search.yaml";

/// On the mini stack, which has no traffic of its own.
const fn mini(
    name: &'static str,
    edits: &'static [(&'static str, &'static str, &'static str)],
    at: &'static str,
    says: &'static [&'static str],
) -> Case {
    Case { name, stack: "mini", edits, arguments: VERIFY, at: Some((OWN, at)), says }
}

const CASES: &[Case] = &[
    email(
        "a template that names what no step keeps",
        &[(READ, "{kept.uid}", "{kept.id}")],
        (READ, "- {name: fetch"),
        &["no earlier step keeps id", "known here: uid"],
    ),
    email(
        "a template that names what a later step keeps",
        &[(READ, "messages?limit=20", "messages?limit={kept.uid}")],
        (READ, "- {name: list_mailbox"),
        &["no earlier step keeps uid"],
    ),
    email(
        "a hole that nothing fills",
        &[(SEND, "\"{subject}\"", "\"{subjct}\"")],
        (SEND, "json:"),
        &["{subjct} is nothing", "{subject}"],
    ),
    email(
        "a journey that loops on itself",
        &[(
            SEARCH,
            "draw: {sought: [\"{recent.send_mail.token}\", \"{word}\"]}",
            "draw: {sought: [\"{drawn.found}\"], found: [\"{drawn.sought}\"]}",
        )],
        (SEARCH, "draw:"),
        &["draws in a circle", "name none of the others"],
    ),
    email(
        "a recent walk of a journey that is not there",
        &[(SEARCH, "recent.send_mail", "recent.send_mal")],
        (SEARCH, "draw:"),
        &["no journey send_mal", "send_mail"],
    ),
    email(
        "a sink that is not stated",
        &[(SEND, "sink: mail", "sink: post")],
        (SEND, "leads_to"),
        &["no sink post", "workload.sinks"],
    ),
    email(
        "a sink that nobody serves",
        &[(OWN, "at: \"dovecot:143\"", "at: \"dovcot:143\"")],
        (OWN, "sinks: {mail"),
        &["no service dovcot", "did you mean dovecot?"],
    ),
    email(
        "a sink that nothing leads to",
        &[(SEND, "    leads_to: [{sink: mail, where: \"{other.name}\"}]\n", "")],
        (OWN, "sinks: {mail"),
        &["no step leads to sink mail", "leads_to"],
    ),
    email(
        "a sink of a kind that does not exist",
        &[(OWN, "kind: imap, at: \"dovecot:143\"", "kind: imp, at: \"dovecot:143\"")],
        (OWN, "sinks: {mail"),
        &["imp", "did you mean `imap`?"],
    ),
    email(
        "mail as it was stated before",
        &[(OWN, "  users: [alice", "  imap: dovecot:143\n  users: [alice")],
        (OWN, "imap: dovecot:143"),
        &["workload.imap", "sinks: {mail"],
    ),
    email(
        "a rate of zero",
        &[(OWN, "workload:\n  rate: 20", "workload:\n  rate: 0")],
        (OWN, "rate: 0\n  http"),
        &["workload.rate: seen 0", "correct the number"],
    ),
    email(
        "no weight above zero",
        &[(
            OWN,
            "{send_mail: 5, list: 5, read: 4, search: 4, wrong_password: 1, unknown_recipient: 1}",
            "{send_mail: 0, list: 0, read: 0, search: 0, wrong_password: 0, unknown_recipient: 0}",
        )],
        (OWN, "journeys: {send_mail"),
        &["no journey has a weight above 0"],
    ),
    email(
        "a journey that nobody walks",
        &[(OWN, "search: 4, ", "")],
        (SEARCH, ""),
        &["nobody walks journey search", "`search: 1`"],
    ),
    email(
        "a step without a method",
        &[(SEND, "    post: /api/v1/emails\n", "")],
        (SEND, "- name: send"),
        &["asks with no method", "get, post"],
    ),
    email(
        "an unknown key of a step",
        &[(SEND, "want: 202", "wants: 202")],
        (SEND, "wants: 202"),
        &["wants", "did you mean `want`?"],
    ),
    email(
        "another schema of a journey",
        &[(SEND, "schema: 1", "schema: 2")],
        (SEND, "schema: 2"),
        &["seen 2, wanted 1"],
    ),
    email(
        "a user without what a template needs",
        &[(OWN, "  password: correct-horse\n", "")],
        (OWN, "auth: {basic"),
        &["{user.password}", "has no password", "state `password`"],
    ),
    email(
        "a trace whose keeping the client would decide",
        &[
            (OWN, "workload:\n", "workload:\n  identity: {traceparent: true}\n"),
            (OWN, "place: collector", "place: service"),
        ],
        (OWN, "identity: {traceparent"),
        &["keep every trace", "ignores_parent"],
    ),
    email(
        "a drill that needs a journey that is not there",
        &[("scenarios/smtp_slow.yaml", "[send_mail]", "[send_mal]")],
        ("scenarios/smtp_slow.yaml", "needs_journeys"),
        &["no journey send_mal", "did you mean send_mail?"],
    ),
    mini(
        "an address of a service that is not there",
        &[(OWN, "steady_state:", "workload: {rate: 2, get: [\"exportr:9100/\"]}\nsteady_state:")],
        "workload: {rate",
        &["no service exportr", "did you mean exporter?"],
    ),
    mini(
        "traffic without a journey",
        &[(OWN, "steady_state:", "workload: {rate: 2}\nsteady_state:")],
        "workload: {rate",
        &["there is no journey", "`get`"],
    ),
];

#[test]
fn each_mistake_of_traffic_gives_one_message_with_place_word_and_hint() {
    let wrong: Vec<String> = CASES
        .iter()
        .filter_map(|c| wrong_with(c).err().map(|e| format!("--- {}\n{e}", c.name)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}
