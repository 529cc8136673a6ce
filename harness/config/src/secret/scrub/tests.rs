//! What is taken out, and what stays.

use super::*;
use proptest::prelude::*;

fn secrets(values: &[(&str, &str)]) -> Secrets {
    let mut secrets = Secrets::default();
    for (field, value) in values {
        secrets.add(field, value);
    }
    secrets
}

fn scrubbed(values: &[(&str, &str)], text: &str) -> String {
    secrets(values).scrubber().scrub(text).into_owned()
}

#[test]
fn a_long_secret_is_shown_by_its_field_and_its_last_four() {
    let known = [("routing_key", "R0123456789abc1f3a"), ("password", "eight888")];
    assert_eq!(
        scrubbed(&known, "key R0123456789abc1f3a is wrong"),
        "key [routing_key …1f3a] is wrong"
    );
    assert_eq!(scrubbed(&known, "xeight888y"), "x[password]y");
    assert_eq!(scrubbed(&known, "eight88 R0123456789abc1f3"), "eight88 R0123456789abc1f3");
    // The longest that stands there.
    assert_eq!(
        scrubbed(&[("a", "abcdefgh"), ("b", "abcdefghij")], "abcdefghij abcdefgh"),
        "[b] [a]"
    );
}

#[test]
fn other_notations_of_a_secret_are_found() {
    let value = "pa/ss w+o<r>d&\"q";
    let known = [("password", value)];
    for text in [
        "http://h/?p=pa%2Fss%20w%2Bo%3Cr%3Ed%26%22q&x".to_owned(),
        "http://h/?p=pa%2fss+w%2bo%3cr%3ed%26%22q&x".to_owned(),
        serde_json::json!({ "p": value }).to_string(),
        serde_json::json!({ "p": serde_json::json!({ "p": value }).to_string() }).to_string(),
        "<td>pa/ss w+o&lt;r&gt;d&amp;&quot;q</td>".to_owned(),
        "<td>pa&#x2f;ss w+o&lt;r&gt;d&amp;&quot;q</td>".to_owned(),
        format!("{value:?}"),
    ] {
        let shown = scrubbed(&known, &text);
        assert!(
            shown.contains("[password") && !shown.contains("ss w") && !shown.contains("ss%20"),
            "{text}: {shown}"
        );
    }
    for (before, after) in [("", ""), ("u:", ""), ("us:", "\n"), ("user:", ", more")] {
        for engine in
            [base64::engine::general_purpose::STANDARD, base64::engine::general_purpose::URL_SAFE]
        {
            let text = format!(
                "Authorization: Basic {} HTTP",
                engine.encode(format!("{before}{value}{after}"))
            );
            let shown = scrubbed(&known, &text);
            assert!(
                shown.starts_with("Authorization: Basic [password") && shown.ends_with(" HTTP"),
                "{text}: {shown}"
            );
        }
    }
    let multi = scrubbed(
        &[("private_key", "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END")],
        "line MIIEvQIBADANBgkqhkiG stands",
    );
    assert_eq!(multi, "line [private_key] stands");
}

#[test]
fn short_and_common_values_are_masked_as_values_of_their_field_only() {
    let known =
        [("password", "admin"), ("REDIS_PASSWORD", "hunter2"), ("POSTGRES_PASSWORD", "postgres")];
    for (text, wanted) in [
        (
            "admin logs in to postgres-exporter; hunter2x",
            "admin logs in to postgres-exporter; hunter2x",
        ),
        ("password: admin, user: admin", "password: [password], user: admin"),
        (
            "{\"password\":\"admin\",\"user\":\"admin\"}",
            "{\"password\":\"[password]\",\"user\":\"admin\"}",
        ),
        (
            "roles.password: seen `admin`, wanted text",
            "roles.password: seen `[password]`, wanted text",
        ),
        ("REDIS_PASSWORD=hunter2 x", "REDIS_PASSWORD=[REDIS_PASSWORD] x"),
        ("--password admin --user admin", "--password [password] --user admin"),
        (
            "POSTGRES_PASSWORD: postgres on postgres",
            "POSTGRES_PASSWORD: [POSTGRES_PASSWORD] on postgres",
        ),
        ("no-password admin2", "no-password admin2"),
    ] {
        assert_eq!(scrubbed(&known, text), wanted);
    }
}

#[test]
fn a_name_of_the_stack_is_no_secret_elsewhere() {
    let mut known =
        secrets(&[("password", "mailserver-1"), ("token", "plainword"), ("token", "uniqueword")]);
    known.add_names(["mailserver-1"]);
    known.add_ordinary("plainword");
    let scrubber = known.scrubber();
    assert_eq!(
        scrubber.scrub("mailserver-1 plainword uniqueword"),
        "mailserver-1 plainword [token]"
    );
    assert_eq!(scrubber.scrub("password=mailserver-1"), "password=[password]");
}

#[test]
fn logins_hooks_and_keys_of_known_forms_are_hidden_though_nobody_learned_them() {
    for (text, wanted) in [
        ("postgres://app:abc@db:5432/x", "postgres://app:[password]@db:5432/x"),
        ("http://:abc@h", "http://:[password]@h"),
        ("smtp://ops:…@h", "smtp://ops:…@h"),
        (
            "Post \"https://hooks.slack.com/services/T1/B1/abcdefghij\": EOF",
            "Post \"https://hooks.slack.com/services/[path …ghij]\": EOF",
        ),
        ("https://discord.com/api/webhooks/1/ab", "https://discord.com/api/webhooks/[path]"),
        ("token ghp_0123456789abcdefghijABCDEFGHIJ wrong", "token [token …GHIJ] wrong"),
        ("authorization: Bearer abcdef", "authorization: Bearer [authorization]"),
        (
            "a highly basic example, 12:30 a@b.c, https://h/path",
            "a highly basic example, 12:30 a@b.c, https://h/path",
        ),
    ] {
        assert_eq!(scrubbed(&[], text), wanted);
    }
}

#[test]
fn paths_of_webhooks_are_hidden_and_those_of_interfaces_are_not() {
    let mut known = Secrets::default();
    known.add_path("api_url", "hooks.test", "/services/T000/B000/secretsecret");
    known.add_path("url", "switch.test:8080", "/alive");
    known.add_path("url", "events.test", "/v2/enqueue");
    let scrubber = known.scrubber();
    for (text, wanted) in [
        (
            "https://hooks.test/services/T000/B000/secretsecret: 404",
            "https://hooks.test/[api_url …cret]: 404",
        ),
        (
            "http://switch.test:8080/alive; switch.test/alive",
            "http://switch.test:8080/[url]; switch.test/[url]",
        ),
        (
            "other.test/alive switch.test/alive-and-well is alive",
            "other.test/alive switch.test/alive-and-well is alive",
        ),
        ("https://events.test/v2/enqueue", "https://events.test/v2/enqueue"),
    ] {
        assert_eq!(scrubber.scrub(text), wanted);
    }
}

#[test]
fn masks_break_no_json_and_no_markup() {
    for value in
        ["0123456789ab\"},{", "0123456789ab<b>x", "0123456789abcd\\n", "0123456789abcdé\u{7}"]
    {
        let shown = mask("a \"b\" <c>", value);
        assert!(is_mask(&shown) && !shown.contains(['"', '<', '\\', '\u{7}']), "{shown}");
    }
}

proptest! {
    #[test]
    fn no_long_secret_is_shown_and_once_is_enough(
        values in prop::collection::vec("[a-zA-Z0-9/+$&<\"\\[\\] …é-]{8,24}", 1..6),
        parts in prop::collection::vec("[ -~é]{0,12}", 1..8),
        picks in prop::collection::vec(0usize..6, 0..8),
    ) {
        let mut known = Secrets::default();
        // A field's name is shown, so it is chosen from letters that no secret has.
        values.iter().for_each(|v| known.add("____", v));
        let mut text = String::new();
        for (n, part) in parts.iter().enumerate() {
            text += part;
            if let Some(value) = picks.get(n).and_then(|p| values.get(*p)) {
                text += value;
            }
        }
        let scrubber = known.scrubber();
        let once = scrubber.scrub(&text).into_owned();
        let without_masks = Regex::new(r"\[[\w.-]+( ….{4})?\]").unwrap().replace_all(&once, "\u{1}").into_owned();
        for (value, _) in known.values() {
            prop_assert!(value.chars().count() < LONG || !without_masks.contains(value), "{value:?} in {once:?} of {text:?}");
        }
        prop_assert_eq!(scrubber.scrub(&once), once.as_str());
    }

    #[test]
    fn text_without_secrets_stays(text in "[a-y 0-9:;,.\\n]{0,200}") {
        let known = secrets(&[("password", "ZZZZZZZZZ"), ("token", "zz-Z")]);
        let scrubber = known.scrubber();
        prop_assert!(matches!(scrubber.scrub(&text), Cow::Borrowed(_)));
    }
}
