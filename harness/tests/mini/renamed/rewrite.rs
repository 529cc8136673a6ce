//! Renaming in text, token by token. A token is renamed where it is a name; where the same letters
//! are a program, a path, a kind of server or a user, they stay. What tells both apart stands on
//! the same line, so that the same rule holds for a file and for a sabotage's excerpt of it.

use super::names::{Kind, Names};
use regex::Regex;

/// How much of a file is the stack's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Names stand anywhere.
    Words,
    /// Configuration of a program in its own language: only hosts of addresses are names.
    Hosts,
    /// A journey's own file: its steps are names.
    Journeys,
}

/// Renames in texts.
pub struct Rewriter<'a> {
    names: &'a Names,
    tokens: Regex,
    indices: Option<(Regex, String)>,
}

/// Keys whose value is a kind of thing and never a name, and texts that a server answers with.
const KINDS: [&str; 8] = [
    "kind:",
    "\"unit\":",
    "type:",
    "\"type\":",
    "protocol:",
    "implementation:",
    "contains:",
    "banner:",
];

impl<'a> Rewriter<'a> {
    /// Renames as `names` map.
    pub fn new(names: &'a Names) -> Rewriter<'a> {
        let mut all: Vec<&String> = names.fresh.keys().collect();
        // The longest first: of two names that begin alike the longer one is meant.
        all.sort_by_key(|n| std::cmp::Reverse(n.len()));
        let alternatives =
            |n: &[&String]| n.iter().map(|n| regex::escape(n)).collect::<Vec<_>>().join("|");
        let tokens = Regex::new(&alternatives(&all)).unwrap();
        let indices = names.indices.as_ref().map(|(old, fresh, sources)| {
            let sources: Vec<&String> = sources.iter().collect();
            let pattern =
                format!(r"\b{}(%\{{|\*|<|(?:{})\b)", regex::escape(old), alternatives(&sources));
            (Regex::new(&pattern).unwrap(), fresh.clone())
        });
        Rewriter { names, tokens, indices }
    }

    /// A file's text after renaming.
    pub fn text(&self, manner: Manner, text: &str) -> String {
        let mut command: Option<usize> = None;
        let mut renamed = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let words = line.trim_start();
            let indent = line.len() - words.len();
            if command.is_some_and(|c| indent <= c && !words.trim().is_empty()) {
                command = None;
            }
            // Arguments are programs, flags and paths; what is a name in them is a host.
            let arguments =
                ["command:", "entrypoint:", "test:"].iter().any(|k| words.starts_with(k));
            if arguments {
                command = Some(indent);
            }
            if words.starts_with("image:") {
                renamed.push_str(line);
                continue;
            }
            let hosts_only = manner == Manner::Hosts || arguments || command.is_some();
            renamed.push_str(&self.line(line, hosts_only, manner));
        }
        renamed
    }

    fn line(&self, whole: &str, hosts_only: bool, manner: Manner) -> String {
        let line = match &self.indices {
            Some((pattern, fresh)) => pattern
                .replace_all(whole, |c: &regex::Captures<'_>| {
                    format!("{fresh}{}", self.names.map(&c[1]))
                })
                .into_owned(),
            None => whole.to_owned(),
        };
        let renamed = self.tokens.replace_all(&line, |c: &regex::Captures<'_>| {
            let found = c.get(0).unwrap();
            let (kind, fresh) = &self.names.fresh[found.as_str()];
            let (before, after) = (&line[..found.start()], &line[found.end()..]);
            let is_name = match kind {
                Kind::Journey => self.is_journey(before, found.as_str(), after, manner),
                kind => is_name(before, after, *kind, hosts_only),
            };
            if is_name { fresh.clone() } else { found.as_str().to_owned() }
        });
        renamed.into_owned()
    }
}

impl Rewriter<'_> {
    /// Whether a token names a journey or a step, by what stands around it.
    fn is_journey(&self, before: &str, found: &str, after: &str, manner: Manner) -> bool {
        let in_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let next = after.chars().next();
        if before.chars().next_back().is_some_and(in_word) || next.is_some_and(in_word) {
            return false;
        }
        // `journey/step`, from either side.
        let word_after = |text: &str| text.split(|c| !in_word(c)).next().unwrap_or("").to_owned();
        if let Some(step) = after.strip_prefix('/')
            && self.names.steps.contains(&format!("{found}/{}", word_after(step)))
        {
            return !before.ends_with('/');
        }
        if let Some(journey) = before.strip_suffix('/') {
            let journey = journey.rsplit(|c| !in_word(c)).next().unwrap_or("");
            return self.names.steps.contains(&format!("{journey}/{found}"));
        }
        if manner == Manner::Journeys {
            return before.ends_with("name: ") || before.ends_with("{recent.");
        }
        let listed = ["journeys: {", "journeys: ["].iter().any(|key| before.contains(key));
        (listed && matches!(next, Some(':' | ',' | ']'))) || before.ends_with("journey: ")
    }
}

/// Whether a token is a name, by what stands before and after it on its line.
fn is_name(before: &str, after: &str, kind: Kind, hosts_only: bool) -> bool {
    let in_word =
        |c: char| c.is_alphanumeric() || c == '_' || c == '-' || (c == ':' && kind == Kind::Metric);
    let (last, mut following) = (before.chars().next_back(), after.chars());
    let next = following.next();
    if last.is_some_and(in_word) || next.is_some_and(in_word) {
        return false;
    }
    // A verdict's id.
    if ["alert.", "drill.", "logs.", "notified.", "optional."].iter().any(|p| before.ends_with(p)) {
        return true;
    }
    if kind == Kind::Stack {
        return before.ends_with("stack: ") || before.ends_with("@stack:") || before == "name: ";
    }
    let then = following.next();
    let port = next == Some(':') && then.is_some_and(|c| c.is_ascii_digit());
    let ends_address = port || next.is_none_or(|c| "/\"' ,]}\n".contains(c));
    match last {
        // The host of a URL, after its user if it has one.
        Some('@') => return kind == Kind::Service && ends_address,
        Some('/') => return kind == Kind::Service && before.ends_with("//") && ends_address,
        Some('.') => return false,
        _ => {}
    }
    // A path, a user, a scheme, a file's name or a field.
    if matches!(next, Some('/' | '@'))
        || after.starts_with("://")
        || (next == Some('.') && then.is_some_and(char::is_alphanumeric))
    {
        return false;
    }
    if hosts_only {
        return kind == Kind::Service && port;
    }
    let value_of = before.trim_end_matches([' ', '"', '\'']);
    !KINDS.iter().any(|k| value_of.ends_with(k)) && !before.contains("contains:")
}
