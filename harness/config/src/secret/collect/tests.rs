//! What is found in files of all kinds, whole and broken.

use super::*;

fn values(file: &str, text: &str) -> Vec<String> {
    let mut all: Vec<String> = collect(Path::new(file), text)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Value { value, .. } => Some(value),
            Piece::Path { path, .. } => Some(path),
            _ => None,
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn every_way_to_write_a_secret_is_read() {
    for (text, wanted) in [
        ("password: abcdefgh", "abcdefgh"),
        ("password: 'ab''cdefgh'", "ab'cdefgh"),
        ("password: \"ab\\\"cdefgh\" # why", "ab\"cdefgh"),
        ("password: \"ab\\u0063defgh\"", "abcdefgh"),
        ("password: 1234567890", "1234567890"),
        ("password:\n  abcdefgh\n", "abcdefgh"),
        ("password: |\n  abcdefgh\n", "abcdefgh"),
        ("password: >-\n  abcdefgh\n", "abcdefgh"),
        ("password: !!str abcdefgh", "abcdefgh"),
        ("password: &pw abcdefgh", "abcdefgh"),
        ("a: &pw abcdefgh\npassword: *pw", "abcdefgh"),
        ("password: \"abcdefgh", "abcdefgh"),
        ("password: [abcdefgh]", "abcdefgh"),
        ("{password: abcdefgh, user: x}", "abcdefgh"),
        ("{\"password\":\"abcdefgh\"}", "abcdefgh"),
        ("  - DB_PASSWORD=abcdefgh", "abcdefgh"),
        ("export DB_PASSWORD='abcdefgh'", "abcdefgh"),
        ("DB_PASSWORD: ${DB:-abcdefgh}", "abcdefgh"),
        ("url: http://u:abcdefgh@h/x", "abcdefgh"),
        ("url: http://u:abc%2Fdefgh@h/x", "abc/defgh"),
        ("url: 'http://h/x?a=1&api_key=abcdefgh&b'", "abcdefgh"),
        ("dsn: app:abcdefgh@tcp(db:3306)/x", "abcdefgh"),
        ("command: redis-server --requirepass abcdefgh", "abcdefgh"),
        ("command: [redis-server, --requirepass, abcdefgh]", "abcdefgh"),
        ("command:\n  - redis-server\n  - --requirepass\n  - abcdefgh\n", "abcdefgh"),
        ("test: redis-cli -a abcdefgh ping", "abcdefgh"),
        ("test: mysqladmin ping -pabcdefgh", "abcdefgh"),
        ("test: curl -u elastic:abcdefgh http://h", "abcdefgh"),
        ("args: --web.token=abcdefgh", "abcdefgh"),
        ("headers: {x-team: abcdefgh}", "abcdefgh"),
        ("headers:\n  Authorization: Bearer abcdefgh\n", "abcdefgh"),
        ("http_headers: {X-Key: {secrets: [abcdefgh]}}", "abcdefgh"),
        ("Authorization: Basic dXNlcjphYmNkZWZnaA==", "abcdefgh"),
        ("secureJsonData:\n  any: abcdefgh\n", "abcdefgh"),
        ("env: [{name: API_TOKEN, value: abcdefgh}]", "abcdefgh"),
        ("bot_token: '123:abcdefgh'", "123:abcdefgh"),
        ("x: https://api.telegram.org/bot123:abcdefgh/send", "123:abcdefgh"),
        ("api_url: https://hooks.slack.com/services/T/B/x", "/services/T/B/x"),
        ("receivers: [{name: a, discord_configs: [{webhook_url: 'https://d.test/x/y'}]}]", "/x/y"),
        ("receivers: [{name: a, webhook_configs: [{url: 'https://d.test/x/y'}]}]", "/x/y"),
        ("SLACK_WEBHOOK_URL=https://d.test/x/y", "/x/y"),
    ] {
        let found = values("a.yml", text);
        assert!(found.iter().any(|v| v == wanted), "{wanted} of {text:?}: {found:?}");
    }
}

#[test]
fn what_is_no_secret_is_left() {
    for text in [
        "password: ''",
        "password_file: /run/secrets/db",
        "token_url: http://h/token",
        "expr: redis_key_size{key=\"celery\"} > 0",
        "environment: {PASSWORD: '${DB}'}",
        "pagerduty_url: https://events.pagerduty.com/v2/enqueue",
        "secrets: [db_password]",
        "summary: the key is gone, see https://wiki.test/runbooks/key",
        "- job_name: tokens\n  metrics_path: /metrics",
    ] {
        let found: Vec<String> =
            values("a.yml", text).into_iter().filter(|v| !v.starts_with("${")).collect();
        assert_eq!(found, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_stand_in_states_its_key_and_path_in_a_declaration_only() {
    let whole = "receivers:\n  - {name: a, protocol: slack, host: h, path: /services/x/y}\n  - name: b\n    protocol: opsgenie\n    path: /v2/alerts\n    key: abcdefgh\n";
    assert_eq!(values("firedrill.yaml", whole), ["/services/x/y", "abcdefgh"]);
    let broken = format!("{whole}  - [\nhealth: [{{path: /health}}]\n");
    assert_eq!(values("firedrill.yaml", &broken), ["/services/x/y", "abcdefgh"]);
    assert_eq!(values("a.yml", whole), Vec::<String>::new());
}

#[test]
fn a_line_is_quoted_without_its_secret_though_nobody_learned_it() {
    for (line, wanted) in [
        ("password: abc", "password: [password]"),
        ("- {user: a, password: abc, port: 80}", "- {user: a, password: [password], port: 80}"),
        ("password: \"abc", "password: \"[password]"),
        ("password: [abc]", "password: [password]"),
        ("cmd: x --requirepass abc y", "cmd: x --requirepass [requirepass] y"),
        (
            "- {protocol: slack, path: /abc, key: def}",
            "- {protocol: slack, path: [path], key: [key]}",
        ),
        ("- {service: a, path: /abc}", "- {service: a, path: /abc}"),
        ("expr: up == 0", "expr: up == 0"),
    ] {
        assert_eq!(shown_line(line), wanted);
        assert_eq!(shown_line(wanted), wanted, "once is enough");
    }
    assert_eq!(
        shown_problem("password: 12", "invalid type: integer `12`, expected a string"),
        "invalid type: integer `[…]`, expected a string"
    );
    assert_eq!(
        shown_problem("port: x", "invalid type: string \"x\", expected u16"),
        "invalid type: string \"x\", expected u16"
    );
}

proptest::proptest! {
    #[test]
    fn nothing_panics(text in "[a-zA-Z:=\"'{}\\[\\]$&|>*!@/ \\n,.é-]{0,200}") {
        let text = format!("password: x\n{text}\ntoken={text}");
        collect(Path::new("firedrill.yaml"), &text);
        shown_line(&text);
        shown_problem(&text, &text);
    }
}
