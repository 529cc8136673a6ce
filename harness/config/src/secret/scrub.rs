//! Taking known secrets out of text: pure, whatever the text is for.

use super::words;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// From so many characters on a value is masked wherever it stands; a shorter one only as the value
/// of its field.
pub const LONG: usize = 8;
/// From so many characters on its last four are shown.
const TAIL_FROM: usize = 16;

/// What is shown instead of a secret: its field's name, and its last four characters if it has 16
/// or more.
pub fn mask(field: &str, value: &str) -> String {
    let field: String = field
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "_.-".contains(*c))
        .take(40)
        .collect();
    let field = if field.is_empty() { "secret" } else { &field };
    let letters: Vec<char> = value.trim().chars().collect();
    let tail: String = letters[letters.len().saturating_sub(4)..].iter().collect();
    // Other characters could end a string of JSON or a tag; what a file ends with tells nothing.
    let plain = !value.trim().contains('\n')
        && tail.chars().all(|c| c.is_ascii_alphanumeric() || "_.-+=".contains(c));
    if letters.len() >= TAIL_FROM && plain {
        format!("[{field} …{tail}]")
    } else {
        format!("[{field}]")
    }
}

/// Whether a text is such a mask, perhaps as a path.
pub fn is_mask(text: &str) -> bool {
    let inside = text.trim_start_matches('/').strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    inside.is_some_and(|inside| {
        let field = inside.split_once(" …").map_or(inside, |(field, _)| field);
        !field.is_empty() && field.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    })
}

/// The secrets that are known, and the words that are none.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Value to the names of its fields; the first is the one that is shown.
    values: BTreeMap<String, Vec<String>>,
    /// Paths that are too short to be masked wherever they stand: `host/path`, with the length of
    /// the host, to the field.
    places: BTreeMap<(String, usize), String>,
    /// Names of services, alerts and the like.
    names: BTreeSet<String>,
    /// Plain values and names of fields: a secret that is a mere word and also stands there is
    /// masked in its field only.
    ordinary: BTreeSet<String>,
}

impl Secrets {
    /// Learns the value of a field. Values that tell nothing are passed over: shorter than three
    /// characters, truth values, small numbers, placeholders.
    pub fn add(&mut self, field: &str, value: &str) {
        let value = value.trim();
        let placeholder = value.starts_with("${")
            && value.ends_with('}')
            && value.find('}') == Some(value.len() - 1);
        let trivial = value.chars().count() < 3
            || matches!(value, "true" | "false" | "null" | "none" | "None" | "True" | "False")
            || placeholder
            || (value.len() < 6 && value.parse::<f64>().is_ok())
            || value == "<secret>"
            || value.starts_with("/run/secrets/")
            || is_mask(value);
        if trivial {
            return;
        }
        // Where a file is broken a secret may stand as a key; a mask must not show it as the
        // field's name.
        let shows_itself =
            field.contains(value) && value.chars().count() >= LONG && !words::is_common(value);
        let field = if shows_itself { "secret" } else { field };
        let fields = self.values.entry(value.to_owned()).or_default();
        if !fields.iter().any(|f| f == field) {
            fields.push(field.to_owned());
        }
    }

    /// Learns the path of an address that only its owner knows.
    pub fn add_path(&mut self, field: &str, authority: &str, path: &str) {
        let bare = path.trim_matches('/');
        if bare.is_empty() || is_mask(bare) || is_public_path(path) {
            return;
        }
        if bare.chars().count() >= LONG {
            self.add(field, bare);
            // The last part alone is what makes it a key.
            let last = bare.rsplit('/').next().unwrap_or(bare);
            let mixed = last.contains(|c: char| c.is_ascii_digit())
                && last.contains(|c: char| c.is_ascii_alphabetic());
            if last != bare
                && (last.chars().count() >= TAIL_FROM || (last.chars().count() >= LONG && mixed))
            {
                self.add(field, last);
            }
        } else if !authority.is_empty() {
            let host = authority.rsplit('@').next().unwrap_or(authority);
            let bare_host = host.split(':').next().unwrap_or(host);
            for host in [host, bare_host] {
                self.places.insert((format!("{host}/{bare}"), host.len() + 1), field.to_owned());
            }
        }
    }

    /// Learns names that are no secrets, whatever else is called so.
    pub fn add_names<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.names.extend(names.into_iter().map(str::to_owned));
    }

    /// Learns a word of a field that holds no secret.
    pub fn add_ordinary(&mut self, word: &str) {
        if is_word(word) {
            self.ordinary.insert(word.to_owned());
        }
    }

    /// The values that are known, with their fields.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(value, fields)| (value.as_str(), fields.first().map_or("", String::as_str)))
    }

    /// Whether a value is masked wherever it stands.
    pub fn is_masked_everywhere(&self, value: &str) -> bool {
        value.chars().count() >= LONG
            && !words::is_common(value)
            && !self.names.contains(value)
            && !self.ordinary.contains(value)
    }

    /// What takes all of these out of a text.
    pub fn scrubber(&self) -> Scrubber {
        let mut long: Vec<(String, Found)> = Vec::new();
        let mut short: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (value, fields) in &self.values {
            if !self.is_masked_everywhere(value) {
                short.insert(value.clone(), fields.clone());
                continue;
            }
            let mask = mask(fields.first().map_or("", String::as_str), value);
            long.push((mask.clone(), Found { mask: mask.clone(), keeps: 0, encoded: false }));
            long.extend(
                forms(value)
                    .into_iter()
                    .map(|form| (form, Found { mask: mask.clone(), keeps: 0, encoded: false })),
            );
            long.extend(
                encoded(value)
                    .into_iter()
                    .map(|form| (form, Found { mask: mask.clone(), keeps: 0, encoded: true })),
            );
        }
        for ((place, keeps), field) in &self.places {
            long.push((
                place.clone(),
                Found { mask: mask(field, ""), keeps: *keeps, encoded: false },
            ));
        }
        let (patterns, found): (Vec<String>, Vec<Found>) = long.into_iter().unzip();
        let (values, fields): (Vec<String>, Vec<Vec<String>>) = short.into_iter().unzip();
        Scrubber { long: search(&patterns), found, short: search(&values), fields }
    }
}

/// Paths of interfaces that everybody knows: no key is in them.
fn is_public_path(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    [
        "/v2/enqueue",
        "/generic/2010-04-15/create_event.json",
        "/v2/alerts",
        "/v1/alerts",
        "/api/v1/alerts",
        "/api/v2/alerts",
    ]
    .contains(&path)
        || path.starts_with("/api/v1/") && path.len() < 32 && !path.contains('?')
}

/// One word, as people choose for names: no digits, not long.
fn is_word(text: &str) -> bool {
    text.len() <= 24 && text.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '_'))
}

/// A search for all patterns at once, longest first. A table for each state, which few patterns get
/// by default, takes time and memory by the square of a long pattern that repeats itself.
fn search(patterns: &[String]) -> Option<AhoCorasick> {
    let mut builder = AhoCorasick::builder();
    builder.match_kind(MatchKind::LeftmostLongest).kind(Some(AhoCorasickKind::ContiguousNFA));
    let made = (!patterns.is_empty()).then(|| builder.build(patterns));
    // Only more than two thousand million patterns are refused.
    made.and_then(Result::ok)
}

/// A value as it is written in other notations.
fn forms(value: &str) -> BTreeSet<String> {
    let percent = |upper: bool, space: &str, kept: &str| {
        let one = |b: u8| match b {
            b if b.is_ascii_alphanumeric() || kept.as_bytes().contains(&b) => {
                char::from(b).to_string()
            }
            b' ' => space.to_owned(),
            b if upper => format!("%{b:02X}"),
            b => format!("%{b:02x}"),
        };
        value.bytes().map(one).collect::<String>()
    };
    let json = serde_json::to_string(value).unwrap_or_default();
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let quoted = html.replace('"', "&quot;");
    let debugged = format!("{value:?}");
    let inside =
        |text: &str| text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned();
    let mut forms: BTreeSet<String> = [
        value.to_owned(),
        inside(&json),
        // Text of a message within JSON, within JSON.
        inside(&serde_json::to_string(&inside(&json)).unwrap_or_default()),
        inside(&debugged),
        quoted.replace('\'', "&#39;"),
        quoted.replace('\'', "&#x27;").replace('/', "&#x2f;"),
        quoted.replace('\'', "&apos;"),
        quoted,
        html,
        value.replace('\'', "''"),
        value.replace('$', "$$"),
        value.replace("$$", "$"),
        json.replace('/', "\\/").trim_matches('"').to_owned(),
        json.replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .trim_matches('"')
            .to_owned(),
    ]
    .into();
    for upper in [true, false] {
        for kept in ["-_.~", "-_.~/", "-_.!~*'()", "-_.~/:@!$&'()*+,;="] {
            forms.insert(percent(upper, "%20", kept));
            forms.insert(percent(upper, "+", kept));
        }
    }
    // Lines stand alone where a log or an error quotes one.
    forms.extend(value.lines().map(str::trim).filter(|l| l.len() >= TAIL_FROM).map(str::to_owned));
    forms.retain(|form| form.chars().count() >= LONG);
    forms
}

/// What of a value's base64 does not depend on what stands around it, for each of the three ways in
/// which it may lie.
fn encoded(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    for before in 0..3usize {
        let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(value.bytes()).collect();
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            // The first characters hold bits of what stands before, the last of what follows.
            let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
            forms.extend(text.get(from..to).filter(|t| t.len() >= LONG).map(str::to_owned));
        }
    }
    forms
}

#[derive(Debug, Clone)]
struct Found {
    mask: String,
    /// So many bytes of what was found stay.
    keeps: usize,
    /// Whether what is around it in the same alphabet belongs to it.
    encoded: bool,
}

/// Takes secrets out of text, in time that grows as the text does.
#[derive(Debug, Clone, Default)]
pub struct Scrubber {
    long: Option<AhoCorasick>,
    found: Vec<Found>,
    short: Option<AhoCorasick>,
    /// Of each short value, the names of its fields.
    fields: Vec<Vec<String>>,
}

/// `scheme://user:password@`.
static LOGIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)([a-z][a-z0-9+.-]*://)([^/\s:@"'`<>?#]*):([^\s@/"'`<>]+)@"#).ok()
});
/// Addresses whose path is a key, at services that everybody knows, and keys that are known by
/// their form.
static HOOK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(hooks\.slack\.com(?::\d+)?/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/|api\.telegram\.org/bot|\.webhook\.office\.com/webhookb2/)([^\s"'`<>\\)\]}]+)"#,
    )
    .ok()
});
static SHAPE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b(xox[abprs]-[A-Za-z0-9-]{10,}|gh[pousr]_[A-Za-z0-9]{20,}|glpat-[\w-]{16,}|gls?a_[A-Za-z0-9_]{20,}|AKIA[0-9A-Z]{16}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+)").ok()
});
static HEADER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)(authorization["'\\]*\s*[:=]\s*["'\\]*(?:basic|bearer|geniekey|token|apikey|splunk)\s+)([^\s"'`,\\\[\]]{4,}(?:\])?)"#)
        .ok()
});

impl Scrubber {
    /// A text without secrets; what holds none is not copied.
    pub fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut now = Cow::Borrowed(text);
        // What was taken out may have joined what stood around it.
        for _ in 0..8 {
            let Some(next) = self.once(&now) else { break };
            now = Cow::Owned(next);
        }
        now
    }

    fn once(&self, text: &str) -> Option<String> {
        let mut now = Cow::Borrowed(text);
        if let Some(next) = self.without_long(&now) {
            now = Cow::Owned(next);
        }
        if let Some(next) = self.without_short(&now) {
            now = Cow::Owned(next);
        }
        if let Some(next) = without_known_forms(&now) {
            now = Cow::Owned(next);
        }
        (now != text).then(|| now.into_owned())
    }

    fn without_long(&self, text: &str) -> Option<String> {
        let search = self.long.as_ref()?;
        let (mut out, mut done) = (String::new(), 0);
        for at in search.find_iter(text) {
            let found = &self.found[at.pattern().as_usize()];
            let (mut from, mut to) = (at.start() + found.keeps, at.end());
            if found.encoded {
                let belongs = |b: u8| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b);
                from = text.as_bytes()[..from]
                    .iter()
                    .rposition(|b| !belongs(*b))
                    .map_or(0, |at| at + 1);
                to += text.as_bytes()[to..]
                    .iter()
                    .position(|b| !belongs(*b))
                    .unwrap_or(text.len() - to);
            }
            // A place with a short path must end there.
            if found.keeps > 0
                && text[to..].starts_with(|c: char| c.is_alphanumeric() || "-_/.".contains(c))
            {
                continue;
            }
            if to <= done || text.get(from.max(done)..to).is_none() {
                continue;
            }
            out.push_str(&text[done..from.max(done)]);
            out.push_str(&found.mask);
            done = to;
        }
        if done == 0 {
            return None;
        }
        out.push_str(&text[done..]);
        (out != text).then_some(out)
    }

    fn without_short(&self, text: &str) -> Option<String> {
        let search = self.short.as_ref()?;
        let (mut out, mut done) = (String::new(), 0);
        for at in search.find_iter(text) {
            let fields = &self.fields[at.pattern().as_usize()];
            let (before, after) = (&text[..at.start()], &text[at.end()..]);
            if after.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let login = after.starts_with('@') && before.ends_with(':');
            let Some(field) =
                field_before(before, fields).or_else(|| login.then(|| fields[0].clone()))
            else {
                continue;
            };
            out.push_str(&text[done..at.start()]);
            out.push_str(&mask(&field, ""));
            done = at.end();
        }
        if done == 0 {
            return None;
        }
        out.push_str(&text[done..]);
        Some(out)
    }
}

/// Which of these fields a text ends with, as one does before the field's value: `password: "`,
/// `--password `, `PASSWORD=`, and `password: seen `, as our own messages have it.
fn field_before(text: &str, fields: &[String]) -> Option<String> {
    let quoted = |text: &str| text.trim_end_matches(['"', '\'', '`', '\\']).len();
    let text = &text[..quoted(text)];
    let text = text.trim_end();
    let text = text.strip_suffix("seen").map_or(text, str::trim_end);
    let text = text.trim_end_matches([':', '=', ',']).trim_end();
    let text = &text[..quoted(text)];
    let ends_with = |field: &str| {
        let (rest, end) = text.split_at_checked(text.len().checked_sub(field.len())?)?;
        (end.eq_ignore_ascii_case(field) && !rest.ends_with(char::is_alphanumeric)).then_some(())
    };
    fields.iter().find(|field| ends_with(field).is_some()).cloned()
}

/// Logins in addresses, addresses that are keys, and keys that are known by their form, whether or
/// not anybody learned them.
fn without_known_forms(text: &str) -> Option<String> {
    let mut now = Cow::Borrowed(text);
    let mut replace = |regex: &Option<Regex>, with: &dyn Fn(&Captures<'_>) -> String| {
        if let Some(regex) = regex
            && let Cow::Owned(next) = regex.replace_all(&now, |c: &Captures<'_>| with(c))
        {
            now = Cow::Owned(next);
        }
    };
    let whole = |c: &Captures<'_>| c.get(0).map_or("", |m| m.as_str()).to_owned();
    if text.contains("://") && text.contains('@') {
        replace(&LOGIN, &|c| match &c[3] {
            // What our own hints write where a password belongs.
            "…" | "PASSWORD" => whole(c),
            _ => format!("{}{}:{}@", &c[1], &c[2], mask("password", "")),
        });
    }
    if ["hooks.slack.com", "/api/webhooks/", "api.telegram.org/bot", ".webhook.office.com"]
        .iter()
        .any(|part| text.contains(part))
    {
        replace(&HOOK, &|c| {
            if c[2].starts_with('[') {
                whole(c)
            } else {
                format!("{}{}", &c[1], mask("path", &c[2]))
            }
        });
    }
    if text.contains("uthorization") || text.contains("UTHORIZATION") {
        replace(&HEADER, &|c| {
            if c[2].starts_with('[') {
                whole(c)
            } else {
                format!("{}{}", &c[1], mask("authorization", &c[2]))
            }
        });
    }
    if ["xox", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "glpat-", "gla_", "glsa_", "AKIA", "eyJ"]
        .iter()
        .any(|part| text.contains(part))
    {
        replace(&SHAPE, &|c| mask("token", &c[1]));
    }
    match now {
        Cow::Owned(next) if next != text => Some(next),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
