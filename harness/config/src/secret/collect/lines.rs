//! The secrets of a text, line by line: YAML, JSON, `.env`, shell, whether or not it parses.

use super::{About, Piece, consider, consider_url, has_signs, secret};
use crate::secret::scrub::mask;
use crate::secret::words;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

static NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"([A-Za-z_][\w.-]*)["']?\s*([:=])"#).ok());
static FLAG: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:^|[\s"'\[,])--?([A-Za-z][\w.-]*)["']?\s*(?:,\s*)?(?:\s|["'])["']?([^\s"',\[\]-][^\s"',\]]*)"#).ok()
});
static LOGIN_FLAG: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:^|[\s"'\[,])(?:-u|--user)["']?[=,\s]+["']?([^\s"',:]+):([^\s"',\]]+)"#).ok()
});
static SHORT_FLAG: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"redis-cli\b.*?["'\s]-a["']?[,\s]+["']?([^\s"',\]]+)|\bmysql\w*\b.*?["'\s]-p([^\s"',\]]+)"#).ok()
});
static ADDRESS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"://[^/@]*[{\['" ].*@"#).ok());
static PROTOCOL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\bprotocol["']?:\s*["']?(\w+)"#).ok());
static HOST: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\bhost["']?:\s*["']?([\w.-]+)"#).ok());

/// A name in a line, and where its value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair<'l> {
    /// The name, as it stands.
    pub name: &'l str,
    /// Whether `=` stands between them.
    pub assigned: bool,
    /// Where the value stands in the line, without quotes.
    pub value: Range<usize>,
    /// Where the line goes on from the value, which may all have been meant as the value.
    pub rest: Range<usize>,
}

/// Names and values of a line.
pub fn pairs(line: &str) -> Vec<Pair<'_>> {
    let mut found = Vec::new();
    for name in NAME.iter().flat_map(|r| r.captures_iter(line)) {
        let (Some(whole), Some(word), Some(sign)) = (name.get(0), name.get(1), name.get(2)) else {
            continue;
        };
        let after = &line[whole.end()..];
        let skipped = after.len() - after.trim_start().len();
        let from = whole.end() + skipped;
        let assigned = sign.as_str() == "=";
        let (from, value) = value(line, from, assigned);
        let end = line
            .trim_end()
            .trim_end_matches([',', '"', '\'', ']', '}', ' '])
            .len()
            .max(from)
            .min(line.len());
        found.push(Pair { name: word.as_str(), assigned, value, rest: from..end });
    }
    found
}

/// Where the value lies that begins at `from`, tags, anchors and quotes taken off.
fn value(line: &str, mut from: usize, assigned: bool) -> (usize, Range<usize>) {
    while !assigned
        && (line[from..].starts_with("!!")
            || line[from..].starts_with('&')
            || line[from..].starts_with('!'))
    {
        let Some(end) = line[from..].find(' ') else { break };
        from += end + 1;
    }
    let rest = &line[from..];
    for quote in ['"', '\''] {
        if rest.starts_with(quote) {
            let mut escaped = false;
            for (at, c) in rest.char_indices().skip(1) {
                match c {
                    '\\' if quote == '"' && !escaped => escaped = true,
                    c if c == quote && !escaped => {
                        let after = &rest[at + 1..];
                        if after.is_empty()
                            || after.starts_with([' ', ',', '}', ']', ':', ';', '&', '`', '\r'])
                        {
                            return (from + 1, from + 1..from + at);
                        }
                        // A quote that closes nothing: the value is whatever follows, as it was
                        // meant.
                        let skipped = rest.len() - rest.trim_start_matches(quote).len();
                        let end = from + rest.trim_end().trim_end_matches(quote).len();
                        return (from + skipped, from + skipped..end.max(from + skipped));
                    }
                    _ => escaped = false,
                }
            }
            return (from + 1, from + 1..line.trim_end().len().max(from + 1));
        }
    }
    let ends: &[char] =
        if assigned { &[' ', '"', '\'', ',', ';', '&', ']', '}', '`'] } else { &[',', '}', ']'] };
    // A variable with its default is one word.
    let variable = if rest.starts_with("${") { rest.find('}').map_or(0, |at| at + 1) } else { 0 };
    let mut end = rest[variable..].find(ends).map_or(rest.len(), |at| variable + at);
    if let Some(comment) = rest[..end].find(" #") {
        end = comment;
    }
    (from, from..from + rest[..end].trim_end().len())
}

/// Where a name's value is looked for on the lines below.
struct Below {
    name: String,
    indent: usize,
    /// Whether all that stands there is secret, whatever its names.
    vault: bool,
    /// Whether headers stand there, of which most are.
    headers: bool,
}

pub(super) fn of_text(text: &str, about: About) -> Vec<Piece> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    let (mut below, mut flag): (Option<Below>, Option<String>) = (None, None);
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let bare = line.trim().trim_start_matches("- ").trim_matches(['"', '\'', ',', ' ']);
        if below.as_ref().is_some_and(|b| {
            !bare.is_empty()
                && indent <= b.indent
                && !(indent == b.indent && line.trim().starts_with('-'))
        }) {
            below = None;
        }
        if let Some(name) = flag.take()
            && !bare.starts_with('-')
        {
            secret(&name, bare, &mut found);
        }
        let lower = line.to_ascii_lowercase();
        if let Some(b) = &below {
            let here = pairs(line);
            match here.first() {
                Some(pair)
                    if b.vault
                        || (b.headers && is_key_header(pair.name, &line[pair.value.clone()])) =>
                {
                    secret(pair.name, &line[pair.value.clone()], &mut found);
                }
                Some(pair) if is_name_of_line(line, pair) => {}
                _ if bare.is_empty() || bare.starts_with('#') || bare.starts_with('*') => {}
                _ => {
                    secret(&b.name, bare.trim_end_matches(']').trim_start_matches('['), &mut found)
                }
            }
        }
        if !has_signs(&lower) {
            continue;
        }
        of_line(line, about, &mut found);
        if about.declaration && (lower.contains("path") || lower.contains("key")) {
            stand_in(&lines, at, &mut found);
        }
        for pair in pairs(line) {
            let rest = line[pair.rest.start..].trim();
            let opens =
                rest.is_empty() || rest.starts_with(['|', '>', '&']) || matches!(rest, "[" | "{");
            let vault = words::is_vault(pair.name) || words::is_headers(pair.name);
            if opens
                && !pair.assigned
                && (vault || (words::is_secret(pair.name) && pair.name != "secrets"))
            {
                let (vault, headers) = (words::is_vault(pair.name), words::is_headers(pair.name));
                below = Some(Below { name: pair.name.to_owned(), indent, vault, headers });
            } else if vault && rest.starts_with('{') {
                for inner in pairs(&line[pair.rest.start..]) {
                    let value = &line[pair.rest.start..][inner.value.clone()];
                    if words::is_vault(pair.name) || is_key_header(inner.name, value) {
                        secret(inner.name, value, &mut found);
                    }
                }
            }
        }
        let word = bare.trim_start_matches('-');
        if bare.starts_with('-') && words::is_secret(word) && !word.contains(['=', ' ', ':']) {
            flag = Some(word.to_owned());
        }
    }
    found
}

/// Whether a header's value is a key: prose is none.
fn is_key_header(name: &str, value: &str) -> bool {
    words::is_secret(name)
        || (!words::is_plain_header(name) && !value.contains(' ') && !value.starts_with(['{', '[']))
}

/// Whether a line is a name with a value of its own, and not the value of the name above.
fn is_name_of_line(line: &str, pair: &Pair<'_>) -> bool {
    let bare = line.trim_start().trim_start_matches("- ").trim_start_matches(['"', '\'']);
    bare.starts_with(pair.name) && (!pair.assigned || bare[pair.name.len()..].starts_with('='))
}

fn of_line(line: &str, about: About, found: &mut Vec<Piece>) {
    for pair in pairs(line) {
        let (value, rest) = (&line[pair.value.clone()], line[pair.rest.clone()].trim());
        if value.starts_with('[') || rest.starts_with('[') {
            if words::is_secret(pair.name) && pair.name != "secrets" {
                let end =
                    line[pair.rest.start..].find(']').map_or(line.len(), |at| pair.rest.start + at);
                for item in line[pair.rest.start..end].trim_start_matches('[').split(',') {
                    secret(pair.name, item.trim().trim_matches(['"', '\'']), found);
                }
            }
            continue;
        }
        if matches!(value.chars().next(), Some('{' | '|' | '>' | '*' | '&'))
            && !value.starts_with("{{")
        {
            continue;
        }
        consider(pair.name, value, about, found);
        if words::is_secret(pair.name) {
            // As it is read, and as it ends where it stands within quotes.
            let within = value.split(['"', '\'']).next().unwrap_or(value).to_owned();
            for other in
                [unescaped(value), value.replace("''", "'"), value.replace("$$", "$"), within]
            {
                if other != value {
                    secret(pair.name, &other, found);
                }
            }
            // What was meant where quotes or brackets are wrong.
            let closed = ['"', '\''].iter().any(|q| {
                line[..pair.value.start].ends_with(*q) && line[pair.value.end..].starts_with(*q)
            });
            if rest != value && !closed && !rest.contains("://") {
                let whole = rest.split(" #").next().unwrap_or(rest).trim();
                secret(pair.name, whole, found);
                if let Some(first) = whole.split([',', '}', ' ']).next() {
                    secret(pair.name, first.trim_matches(['"', '\'']), found);
                }
            }
        }
    }
    consider_url("url", line, false, found);
    for flag in FLAG.iter().flat_map(|r| r.captures_iter(line)).filter(|f| words::is_secret(&f[1]))
    {
        secret(&flag[1], &flag[2], found);
    }
    for login in LOGIN_FLAG.iter().flat_map(|r| r.captures_iter(line)) {
        secret("password", &login[2], found);
    }
    for short in SHORT_FLAG.iter().flat_map(|r| r.captures_iter(line)) {
        if let Some(value) = short.get(1).or(short.get(2)) {
            secret("password", value.as_str(), found);
        }
    }
}

/// Key, and path of a webhook, of a stand-in, whose protocol and host stand in the same entry.
fn stand_in(lines: &[&str], at: usize, found: &mut Vec<Piece>) {
    let begins = |l: &&str| l.trim_start().starts_with("- ");
    let from = (0..=at).rev().take(8).find(|n| begins(&lines[*n])).unwrap_or(at);
    let to = (at + 1..lines.len())
        .take(8)
        .find(|n| begins(&lines[*n]))
        .unwrap_or((at + 8).min(lines.len()));
    let entry = lines[from..to.max(at + 1)].join("\n");
    let Some(protocol) = PROTOCOL.iter().find_map(|r| Some(r.captures(&entry)?[1].to_owned()))
    else {
        return;
    };
    let authority =
        HOST.iter().find_map(|r| Some(r.captures(&entry)?[1].to_owned())).unwrap_or_default();
    for pair in pairs(lines[at]).into_iter().filter(|p| !p.assigned) {
        let (value, rest) = (lines[at][pair.value].to_owned(), &lines[at][pair.rest]);
        match pair.name {
            "key" => {
                secret("key", &value, found);
                secret("key", rest.trim_start_matches(['[', '{']), found);
            }
            "path" if matches!(protocol.as_str(), "slack" | "webhook") => {
                found.push(Piece::Path {
                    field: "path".into(),
                    authority: authority.clone(),
                    path: value,
                });
            }
            _ => {}
        }
    }
}

/// A text in double quotes as YAML, JSON and shells read it.
fn unescaped(text: &str) -> String {
    serde_json::from_str::<String>(&format!("\"{text}\""))
        .unwrap_or_else(|_| text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// A line of a file as a message may quote it: names stay, values of secrets go, whether or not
/// anybody learned them.
pub fn shown_line(line: &str) -> String {
    // What a broken address has before its last @ may be a login, whatever stands there; masks in
    // it would hide that it is one.
    let line = ADDRESS.as_ref().map_or(line.into(), |login| login.replace(line, "://[login]@"));
    let line = &crate::secret::scrub(&line);
    let stand_in = line.contains("protocol");
    let mut hidden: Vec<(Range<usize>, String)> = Vec::new();
    for pair in pairs(line) {
        let secret =
            words::is_secret(pair.name) || (stand_in && matches!(pair.name, "key" | "path"));
        let hook = words::is_hook(pair.name);
        if (secret || hook) && !pair.value.is_empty() && !line[pair.value.clone()].contains('[') {
            let quoted = line[..pair.value.start].ends_with(['"', '\'']);
            let whole = if quoted || line[pair.rest.clone()].contains(['{', ',']) {
                pair.value.clone()
            } else {
                pair.rest.clone()
            };
            hidden.push((if whole.is_empty() { pair.value } else { whole }, mask(pair.name, "")));
        } else if secret
            && line[pair.rest.start..].starts_with('[')
            && !line[pair.rest.start..].starts_with(&format!("[{}", pair.name))
        {
            hidden.push((pair.rest.start..line.len(), mask(pair.name, "")));
        }
    }
    for flag in FLAG.iter().flat_map(|r| r.captures_iter(line)).filter(|f| words::is_secret(&f[1]))
    {
        hidden.extend(flag.get(2).map(|m| (m.range(), mask(&flag[1], ""))));
    }
    hidden.sort_by_key(|(at, _)| at.start);
    let (mut out, mut done) = (String::new(), 0);
    for (at, mask) in hidden.into_iter() {
        if at.start >= done {
            out.push_str(&line[done..at.start]);
            out.push_str(&mask);
            done = at.end;
        }
    }
    out.push_str(&line[done..]);
    out
}

/// Whether a line of a file holds a secret, as far as its names and what is known tell.
pub fn holds_secret(line: &str) -> bool {
    let stand_in = line.contains("protocol");
    let named = |p: &Pair<'_>| {
        words::is_secret(p.name)
            || words::is_hook(p.name)
            || (stand_in && matches!(p.name, "key" | "path"))
    };
    pairs(line).iter().any(named)
        || matches!(crate::secret::scrub(line), std::borrow::Cow::Owned(_))
}

/// What a parser says about a line: what it quotes is left out where the line holds a secret.
pub fn shown_problem(line: &str, told: &str) -> String {
    if !holds_secret(line) {
        return crate::secret::scrub(told).into_owned();
    }
    without_quotes(told)
}

/// A message without what it quotes.
pub fn without_quotes(told: &str) -> String {
    let (mut out, mut open) = (String::new(), None);
    for c in told.chars() {
        match open {
            Some(quote) if c == quote => {
                out.push_str("[…]");
                out.push(c);
                open = None;
            }
            Some(_) => {}
            None => {
                out.push(c);
                open = matches!(c, '`' | '"').then_some(c);
            }
        }
    }
    out
}
