//! Traffic that makes no sense.

use super::case::{Case, OWN, asked, each_gives_one_message, email, mini};

const SEND: &str = "journeys/send_mail.yaml";
const READ: &str = "journeys/read.yaml";
const SEARCH: &str = "journeys/search.yaml";
const CONSUMING: &str = "scenarios/workers_stop_consuming.yaml";

const CASES: &[Case] = &[
    email(
        "a template that names what no step keeps",
        &[(READ, "{kept.uid}", "{kept.id}")],
        (READ, "- {name: fetch"),
    ),
    email(
        "a template that names what a later step keeps",
        &[(READ, "messages?limit=20", "messages?limit={kept.uid}")],
        (READ, "- {name: list_mailbox"),
    ),
    email("a hole that nothing fills", &[(SEND, "\"{subject}\"", "\"{subjct}\"")], (SEND, "json:")),
    email(
        "a journey that loops on itself",
        &[(
            SEARCH,
            "draw: {sought: [\"{recent.send_mail.token}\", \"{word}\"]}",
            "draw: {sought: [\"{drawn.found}\"], found: [\"{drawn.sought}\"]}",
        )],
        (SEARCH, "draw:"),
    ),
    email(
        "a recent walk of a journey that is not there",
        &[(SEARCH, "recent.send_mail", "recent.send_mal")],
        (SEARCH, "draw:"),
    ),
    email("a sink that is not stated", &[(SEND, "sink: mail", "sink: post")], (SEND, "leads_to")),
    email(
        "a sink that nobody serves",
        &[(OWN, "at: \"dovecot:143\"", "at: \"dovcot:143\"")],
        (OWN, "sinks: {mail"),
    ),
    email(
        "a sink that nothing leads to",
        &[(SEND, "    leads_to: [{sink: mail, where: \"{other.name}\"}]\n", "")],
        (OWN, "sinks: {mail"),
    ),
    email(
        "a sink of a kind that does not exist",
        &[(OWN, "kind: imap, at: \"dovecot:143\"", "kind: imp, at: \"dovecot:143\"")],
        (OWN, "sinks: {mail"),
    ),
    email(
        "mail as it was stated before",
        &[(OWN, "  users: [alice", "  imap: dovecot:143\n  users: [alice")],
        (OWN, "imap: dovecot:143"),
    ),
    email(
        "a rate of zero",
        &[(OWN, "workload:\n  rate: 20", "workload:\n  rate: 0")],
        (OWN, "rate: 0\n  http"),
    ),
    email(
        "no weight above zero",
        &[(
            OWN,
            "{send_mail: 5, list: 5, read: 4, search: 4, wrong_password: 1, unknown_recipient: 1}",
            "{send_mail: 0, list: 0, read: 0, search: 0, wrong_password: 0, unknown_recipient: 0}",
        )],
        (OWN, "journeys: {send_mail"),
    ),
    email("a journey that nobody walks", &[(OWN, "search: 4, ", "")], (SEARCH, "")),
    email(
        "a step without a method",
        &[(SEND, "    post: /api/v1/emails\n", "")],
        (SEND, "- name: send"),
    ),
    email("an unknown key of a step", &[(SEND, "want: 202", "wants: 202")], (SEND, "wants: 202")),
    email("another schema of a journey", &[(SEND, "schema: 1", "schema: 2")], (SEND, "schema: 2")),
    email(
        "a user without what a template needs",
        &[(OWN, "  password: correct-horse\n", "")],
        (OWN, "auth: {basic"),
    ),
    email(
        "a trace whose keeping the client would decide",
        &[
            (OWN, "workload:\n", "workload:\n  identity: {traceparent: true}\n"),
            (OWN, "place: collector", "place: service"),
        ],
        (OWN, "identity: {traceparent"),
    ),
    email(
        "a drill that needs a journey that is not there",
        &[("scenarios/smtp_slow.yaml", "[send_mail]", "[send_mal]")],
        ("scenarios/smtp_slow.yaml", "needs_journeys"),
    ),
    email(
        "a drill that adds load of a journey that is not there",
        &[(CONSUMING, "journey: send_mail", "journey: send_mal")],
        (CONSUMING, "load: {journey"),
    ),
    email(
        "a phase that adds load of a journey that is not there",
        &[(
            "scenarios/worker_stopped.yaml",
            "",
            "schema: 2\nname: worker_stopped\nsummary: The worker is gone.\nphases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: celery-worker}\n    load: {journey: send_mal, rate: 5}\n    alerts: [CeleryWorkerOffline]\n  - {name: back, heal: [one], resolves: [CeleryWorkerOffline]}\n",
        )],
        ("scenarios/worker_stopped.yaml", "load: {journey"),
    ),
    mini(
        "an address of a service that is not there",
        &[(OWN, "steady_state:", "workload: {rate: 2, get: [\"exportr:9100/\"]}\nsteady_state:")],
        (OWN, "workload: {rate"),
    ),
    mini(
        "traffic without a journey",
        &[(OWN, "steady_state:", "workload: {rate: 2}\nsteady_state:")],
        (OWN, "workload: {rate"),
    ),
    Case {
        edits: &[(
            "traffic.yaml",
            "",
            "rate: 2\njourneys:\n  look:\n    steps:\n      - {name: look, get: \"/things/{kept.id}\"}\n",
        )],
        at: Some(("traffic.yaml", "- {name: look")),
        ..asked(
            "a file of journeys whose template names what no step keeps",
            &["load", "--url", "http://127.0.0.1:9/", "--traffic", "STACK/traffic.yaml"],
        )
    },
    asked(
        "journeys of a URL alone",
        &["load", "--url", "http://127.0.0.1:9/", "--rate", "5", "--journey", "look=2"],
    ),
];

#[test]
fn journeys() {
    each_gives_one_message("journeys", CASES);
}
