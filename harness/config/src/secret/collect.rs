//! Finding the secrets that a file holds: by its lines, so that a file that does not parse gives
//! them away as little as one that does, and by its tree, which knows what belongs together.

mod lines;
mod tree;

pub use lines::{holds_secret, shown_line, shown_problem, without_quotes};

use super::words;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use std::path::Path;
use std::sync::LazyLock;

/// Something that a file tells of secrets, and of what is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// A secret as the value of a field.
    Value {
        /// Its field.
        field: String,
        /// The secret.
        value: String,
    },
    /// A path that only its owner knows.
    Path {
        /// Its field.
        field: String,
        /// Host and port, if they are known.
        authority: String,
        /// Path and query.
        path: String,
    },
    /// A file whose content is a secret, as a container or this machine names it.
    File {
        /// What the content is.
        field: String,
        /// Path.
        path: String,
    },
    /// A name or value that is no secret.
    Ordinary(String),
}

/// What a file may be about, where that decides what is secret.
#[derive(Debug, Clone, Copy, Default)]
struct About {
    /// A stack's declaration: `key` and `path` of stand-ins.
    declaration: bool,
    /// Who is told of alerts: every `url` is a webhook.
    receivers: bool,
}

/// What a text must hold, in lower case, for anything in it to be a secret.
const SIGNS: &str = "securejsondata securesettings stringdata pass pwd secret token key cred hook dsn :// auth bearer cookie salt connectionstring connection_string data_source \
    _file headers path curl redis-cli begin mysql";

fn has_signs(lower: &str) -> bool {
    SIGNS.split(' ').any(|sign| lower.contains(sign))
}

/// Everything that a file tells, whatever its format is: line by line, and as YAML or JSON where it
/// reads as such.
pub fn collect(file: &Path, text: &str) -> Vec<Piece> {
    let lower = text.to_ascii_lowercase();
    if !has_signs(&lower) {
        return Vec::new();
    }
    let name =
        file.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let about = About {
        declaration: name == "firedrill.yaml"
            || (text.contains("schema:") && text.contains("stack:") && text.contains("roles:")),
        receivers: (text.contains("receivers") && text.contains("_configs"))
            || lower.contains("contactpoints")
            || lower.contains("notifiers"),
    };
    let mut found = lines::of_text(text, about);
    // Large ones are dashboards and data.
    if text.len() <= 64 * 1024 || found.iter().any(|piece| !matches!(piece, Piece::Ordinary(_))) {
        let json = name.ends_with(".json");
        let tree: Option<serde_json::Value> =
            if json { serde_json::from_str(text).ok() } else { serde_saphyr::from_str(text).ok() };
        tree::of_tree(&tree.unwrap_or_default(), about, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

/// What a file tells that holds a secret and nothing else.
pub fn content(field: &str, text: &str) -> Vec<Piece> {
    let (mut found, text) = (Vec::new(), text.trim_start_matches('\u{feff}').trim());
    if text.len() <= 64 * 1024 && !text.is_empty() {
        consider_url(field, text, true, &mut found);
        if !text.contains("://") || text.contains(char::is_whitespace) {
            found.push(Piece::Value { field: field.to_owned(), value: text.to_owned() });
        }
        if text.contains('\n') {
            let lines = text
                .lines()
                .map(str::trim)
                .filter(|l| l.chars().count() >= super::scrub::LONG && !l.starts_with("-----"));
            found.extend(
                lines.map(|l| Piece::Value { field: field.to_owned(), value: l.to_owned() }),
            );
        }
    }
    found
}

static URL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"([A-Za-z][A-Za-z0-9+.-]*)://(?:([^\s/"'@]*)@)?([^\s/"'?#@,{}\[\]]*)([/?][^\s"'`<>]*)?"#,
    )
    .ok()
});
static PARAMETER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)[?&;]((?:[a-z_-]*(?:token|key|secret|password|passwd|signature|auth|sig))|code|pwd)=([^&\s;#]+)").ok()
});
static MYSQL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[\w.-]+:([^\s@]+)@(?:tcp|unix|\()").ok());

/// What the addresses in a text give away: logins and keys among the parameters always, the path
/// where it is a key.
fn consider_url(field: &str, text: &str, path_is_key: bool, found: &mut Vec<Piece>) {
    let mut value = |field: &str, value: &str| {
        found.push(Piece::Value { field: field.to_owned(), value: value.to_owned() });
        let decoded = decoded(value);
        if decoded != value {
            found.push(Piece::Value { field: field.to_owned(), value: decoded });
        }
    };
    let mut paths = Vec::new();
    for url in URL.iter().flat_map(|r| r.captures_iter(text)) {
        let part = |n: usize| url.get(n).map_or("", |m| m.as_str());
        let (login, authority, path) =
            (part(2), part(3), part(4).trim_end_matches([',', ')', ';', '}', ']', '>']));
        match login.split_once(':') {
            Some((_, password)) if !password.is_empty() => value("password", password),
            _ if login.chars().count() >= 16
                || (words::is_secret(field) && login.chars().count() >= super::scrub::LONG) =>
            {
                value(field, login)
            }
            _ => {}
        }
        for parameter in PARAMETER.iter().flat_map(|r| r.captures_iter(path)) {
            value(&parameter[1], &parameter[2]);
        }
        let known = authority.contains("hooks.slack.com")
            || path.contains("/api/webhooks/")
            || authority.contains(".webhook.office.com");
        if (path_is_key || known) && !path.trim_matches('/').is_empty() {
            paths.push(Piece::Path {
                field: field.to_owned(),
                authority: authority.to_owned(),
                path: path.to_owned(),
            });
        }
        // `https://api.telegram.org/bot123:key`
        if let Some(bot) = path.strip_prefix("/bot").filter(|b| b.contains(':')) {
            value("bot_token", bot.split('/').next().unwrap_or(bot));
        }
    }
    // A password with `/` or `@` in it, as no address may be written and many are.
    if let Some((_, rest)) = text.split_once("://")
        && let Some((login, _)) = rest
            .split(|c: char| c.is_whitespace() || "\"'`".contains(c))
            .next()
            .unwrap_or_default()
            .rsplit_once('@')
        && let Some((user, password)) = login.split_once(':')
        && !user.contains('/')
        && password.split('/').next().is_none_or(|port| port.parse::<u16>().is_err())
    {
        value("password", password);
    }
    for login in MYSQL.iter().flat_map(|r| r.captures_iter(text)) {
        value("password", &login[1]);
    }
    found.extend(paths);
}

/// A text with `%41` and the like replaced by what they stand for, where that is text.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after
            .get(..2)
            .and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match (first, pair) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// A value under a name: what of it is secret.
fn consider(name: &str, value: &str, about: About, found: &mut Vec<Piece>) {
    let value = value.trim();
    if value.is_empty() {
        return;
    }
    // `${NAME:-default}`: the default is written in the file.
    if let Some(inside) =
        value.strip_prefix("${").and_then(|v| v.strip_suffix('}')).filter(|v| !v.contains("${"))
    {
        if let Some((_, default)) = inside.trim_start_matches("env:").split_once(['-', '=', '+']) {
            consider(name, default, about, found);
        }
        return;
    }
    if let Some(field) = words::of_file(name) {
        return found.push(Piece::File { field, path: value.to_owned() });
    }
    let is_url = value.contains("://");
    let hook = words::is_hook(name) || (about.receivers && name == "url");
    consider_url(name, value, hook && is_url, found);
    if is_url && !value.contains(char::is_whitespace) {
        // An address is no secret as a whole: its host is shown.
        return;
    }
    if words::is_secret(name) {
        secret(name, value, found);
    } else {
        found.push(Piece::Ordinary(value.to_owned()));
    }
}

/// A value that is secret, with what goes before it in a header taken off.
fn secret(name: &str, value: &str, found: &mut Vec<Piece>) {
    let mut add = |field: &str, value: &str| {
        found.push(Piece::Value { field: field.to_owned(), value: value.to_owned() })
    };
    add(name, value);
    if let Some((scheme, rest)) = value.split_once(' ')
        && ["basic", "bearer", "geniekey", "token", "apikey", "splunk"]
            .contains(&scheme.to_ascii_lowercase().as_str())
    {
        add(name, rest);
        let login =
            STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((_, password)) = login.as_deref().and_then(|login| login.split_once(':')) {
            add("password", password);
        }
    }
    // `user:password`
    if words::is_secret(name)
        && name.to_ascii_lowercase().ends_with("auth")
        && let Some((_, password)) = value.split_once(':')
    {
        add("password", password);
    }
}

#[cfg(test)]
mod tests;
