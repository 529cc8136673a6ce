//! Which names say that what stands behind them is a secret.

/// Last words of names that speak about a secret and hold none: `token_url`, `password_file`,
/// `TOKEN_TTL`.
const ABOUT: &str = "file files path paths dir url uri urls ttl name names field fields prefix length len type expiry expires expiration \
    lifetime algorithm algo enabled required count interval timeout size policy header ref env mode format method version \
    min max location template store issuer endpoint host port user username rotation encryption error errors";

/// Words before `key` that make it a secret; after others it may be one to look things up by.
const KEYS: &str = "api routing service user access private secret signing encryption license auth account integration app application \
    shared client master jwt session cookie webhook ingest write genie";

/// Values of these maps are secrets, whatever their names.
const VAULTS: &str = "securejsondata securesettings stringdata";

/// Headers that hold no secret.
const PLAIN_HEADERS: &str = "accept accept-encoding bcc cache-control cc connection content-encoding content-length content-type date from host \
    message-id origin references reply-to sender subject to user-agent x-scope-orgid";

/// Values that many use and that are words: they are masked where they stand as a field's value,
/// nowhere else.
const COMMON: &str = "admin administrator alertmanager change-me change_me changeit changeme database default development example grafana \
    localhost metrics monitoring password passw0rd postgres postgresql production prometheus secret telegraf username \
    12345678 123456789 1234567890";

fn is_one_of(list: &str, word: &str) -> bool {
    list.split(' ').any(|one| one == word)
}

/// Words of a name, in lower case: `routingKey`, `ROUTING_KEY` and `routing-key` have the same.
fn words(name: &str) -> Vec<String> {
    let (mut words, mut word, mut before) = (Vec::new(), String::new(), None::<char>);
    for letter in name.chars() {
        let begins = letter.is_ascii_uppercase()
            && before.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if (!letter.is_alphanumeric() || begins) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
        before = Some(letter);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The last part of a name with dots: `xpack.security.key_passphrase`.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Whether a field, variable or flag of this name holds a secret.
pub fn is_secret(name: &str) -> bool {
    let name = last_part(name.trim_start_matches('-'));
    if matches!(name, "PWD" | "OLDPWD") {
        return false;
    }
    let words = words(name);
    let Some(last) = words.last() else { return false };
    let joined = words.concat();
    if is_one_of(ABOUT, last) && !joined.ends_with("datasourcename") {
        return false;
    }
    if joined.contains("public") && !joined.contains("secret") {
        return false;
    }
    let says = [
        "passw",
        "passphrase",
        "secret",
        "credential",
        "apikey",
        "privatekey",
        "requirepass",
        "masterauth",
        "connectionstring",
    ];
    if says.iter().any(|part| joined.contains(part))
        || joined.ends_with("datasourcename")
        || joined.ends_with("authidentity")
    {
        return true;
    }
    let alone =
        ["pass", "pwd", "dsn", "auth", "authorization", "bearer", "cookie", "salt", "webhook"];
    if alone.contains(&last.as_str())
        || words
            .iter()
            .any(|w| w.ends_with("token") || matches!(w.as_str(), "pass" | "pwd" | "dsn"))
    {
        return true;
    }
    let of_variable = !name.contains(|c: char| c.is_ascii_lowercase())
        && name.contains(|c: char| c.is_ascii_uppercase());
    let key_at = words.iter().rposition(|w| w == "key" || w == "keys" || w.ends_with("apikey"));
    key_at.is_some_and(|at| {
        let ends = at + 1 == words.len() || matches!(words[at + 1].as_str(), "id" | "base");
        ends && (of_variable
            || at.checked_sub(1).is_some_and(|before| is_one_of(KEYS, &words[before])))
    })
}

/// Whether the path of an address under this name is a secret: an incoming webhook.
pub fn is_hook(name: &str) -> bool {
    let joined = words(last_part(name)).concat();
    joined.contains("webhook")
        || joined.ends_with("hookurl")
        || matches!(joined.as_str(), "apiurl" | "slackapiurl" | "hook" | "slackurl")
}

/// The name of the secret that stands in the file of this name's value: `password` for
/// `password_file`.
pub fn of_file(name: &str) -> Option<String> {
    let name = last_part(name.trim_start_matches('-'));
    let end =
        ["_file", "_FILE", "-file", "File"].into_iter().find_map(|end| name.strip_suffix(end))?;
    let last = words(end).pop()?;
    let held = is_secret(end)
        || is_hook(end)
        || matches!(last.as_str(), "url" | "credentials" | "key" | "token");
    held.then(|| end.to_owned())
}

/// Whether all values below a key are secrets.
pub fn is_vault(name: &str) -> bool {
    is_one_of(VAULTS, &words(last_part(name)).concat())
}

/// Whether the values below a key are headers, and which of them are plain.
pub fn is_headers(name: &str) -> bool {
    matches!(
        words(last_part(name)).concat().as_str(),
        "headers" | "httpheaders" | "customheaders" | "requestheaders"
    )
}

/// Whether a header holds no secret.
pub fn is_plain_header(name: &str) -> bool {
    is_one_of(PLAIN_HEADERS, &name.to_ascii_lowercase())
}

/// Whether a value is so common that it tells nothing where it stands alone.
pub fn is_common(value: &str) -> bool {
    is_one_of(COMMON, &value.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_secret() {
        for name in [
            "password",
            "POSTGRES_PASSWORD",
            "smtp_auth_password",
            "smtp_auth_secret",
            "smtp_auth_identity",
            "routing_key",
            "service_key",
            "api_key",
            "apiKey",
            "opsgenie_api_key",
            "bot_token",
            "bottoken",
            "bearer_token",
            "user_key",
            "integrationKey",
            "client_secret",
            "credentials",
            "STRIPE_KEY",
            "KEY",
            "AWS_ACCESS_KEY_ID",
            "SECRET_KEY_BASE",
            "DB_PASS",
            "SENTRY_DSN",
            "DATA_SOURCE_NAME",
            "--requirepass",
            "Authorization",
            "output.elasticsearch.password",
            "ssl.key_passphrase",
            "X-Api-Key",
            "SLACK_WEBHOOK",
            "access_key",
            "secret_key",
            "MYSQL_PWD",
            "passwd",
            "api_keys",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "key",
            "id_field",
            "password_file",
            "token_url",
            "TOKEN_TTL",
            "public_key",
            "PWD",
            "redis_key_size",
            "sort_key",
            "tokenizer",
            "job_name",
            "path",
            "url",
            "monkey",
            "secret_name",
            "auth_username",
            "keys",
            "compass",
            "bypass_count",
            "severity",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn hooks_files_and_vaults_are_known() {
        for name in [
            "api_url",
            "slack_api_url",
            "webhook_url",
            "incoming_webhook_url",
            "SLACK_WEBHOOK_URL",
            "hook_url",
        ] {
            assert!(is_hook(name), "{name}");
        }
        assert!(!is_hook("pagerduty_url") && !is_hook("url") && !is_hook("API_BASE_URL"));
        let file = |name| of_file(name).unwrap_or_default();
        assert_eq!(
            (file("password_file").as_str(), file("POSTGRES_PASSWORD_FILE").as_str()),
            ("password", "POSTGRES_PASSWORD")
        );
        assert_eq!(
            (file("api_url_file").as_str(), file("url_file").as_str(), file("key_file").as_str()),
            ("api_url", "url", "key")
        );
        assert_eq!(
            (of_file("config_file"), of_file("env_file"), of_file("profile")),
            (None, None, None)
        );
        assert!(
            is_vault("secureJsonData")
                && is_vault("secure_json_data")
                && is_headers("http_headers")
                && is_plain_header("Content-Type")
        );
    }
}
