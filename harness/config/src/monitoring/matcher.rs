//! Label matchers as Alertmanager writes them: in routes, inhibitions and silences.

use std::collections::BTreeMap;

use regex::Regex;

/// A condition on one label. A missing label counts as empty.
#[derive(Debug, Clone)]
pub struct LabelMatcher {
    /// Name of the label.
    pub name: String,
    /// How the value is compared.
    pub op: MatcherOp,
    /// The value, or the regular expression, which is anchored at both ends.
    pub value: String,
    regex: Option<Regex>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatcherOp {
    /// `=`: the label has this value.
    Equal,
    /// `!=`: it has another, or none.
    NotEqual,
    /// `=~`: the whole value matches.
    Matches,
    /// `!~`: the whole value does not match.
    MatchesNot,
}

impl PartialEq for LabelMatcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl std::fmt::Display for LabelMatcher {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let op = match self.op {
            MatcherOp::Equal => "=",
            MatcherOp::NotEqual => "!=",
            MatcherOp::Matches => "=~",
            MatcherOp::MatchesNot => "!~",
        };
        write!(out, "{}{op}{:?}", self.name, self.value)
    }
}

impl LabelMatcher {
    /// A matcher.
    ///
    /// # Errors
    /// Says what is wrong with a regular expression.
    pub fn new(
        name: impl Into<String>,
        op: MatcherOp,
        value: impl Into<String>,
    ) -> Result<Self, String> {
        let value = value.into();
        let regex = match op {
            MatcherOp::Matches | MatcherOp::MatchesNot => Some(super::regex::anchored(&value)?),
            _ => None,
        };
        Ok(LabelMatcher { name: name.into(), op, value, regex })
    }

    /// Whether these labels satisfy it.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        let found = self.regex.as_ref().is_some_and(|regex| regex.is_match(value));
        match self.op {
            MatcherOp::Equal => value == self.value,
            MatcherOp::NotEqual => value != self.value,
            MatcherOp::Matches => found,
            MatcherOp::MatchesNot => !found,
        }
    }

    /// Reads one or several matchers separated by commas, with or without braces:
    /// `severity="critical"`, `{a=b, c=~"d|e"}`, as
    /// <https://prometheus.io/docs/alerting/latest/configuration/#matcher> has them.
    ///
    /// # Errors
    /// Says which part is no matcher.
    pub fn parse_list(text: &str) -> Result<Vec<LabelMatcher>, String> {
        let text = text.trim();
        let text = match text.strip_prefix('{') {
            Some(inside) => inside.strip_suffix('}').unwrap_or(inside),
            None => text,
        };
        let mut parts = vec![String::new()];
        let (mut quoted, mut escaped) = (false, false);
        for letter in text.chars() {
            if letter == ',' && !quoted {
                parts.push(String::new());
                escaped = false;
                continue;
            }
            if letter == '"' && !escaped {
                quoted = !quoted;
            }
            escaped = letter == '\\' && !escaped;
            if let Some(part) = parts.last_mut() {
                part.push(letter);
            }
        }
        if parts.last().is_some_and(|part| part.trim().is_empty()) {
            parts.pop();
        }
        parts.iter().map(|part| parse_one(part)).collect()
    }
}

fn parse_one(text: &str) -> Result<LabelMatcher, String> {
    let wrong = || {
        format!("`{}` is no matcher: wanted a label, one of = != =~ !~, and a value", text.trim())
    };
    let text_in = text.trim();
    let (name, rest) = if text_in.starts_with('"') {
        let end = quoted_end(text_in).ok_or_else(wrong)?;
        (unquote(&text_in[..end]).ok_or_else(wrong)?, &text_in[end..])
    } else {
        let end = text_in.find(['=', '!']).ok_or_else(wrong)?;
        let name = text_in[..end].trim();
        // Names outside of the classic alphabet need no quotes, unless they hold what ends a name.
        let ends = |c: char| c.is_whitespace() || "{}!=~,\\\"'`".contains(c);
        if name.is_empty() || name.contains(ends) {
            return Err(wrong());
        }
        (name.to_owned(), &text_in[end..])
    };
    let rest = rest.trim_start();
    let (op, value) = if let Some(value) = rest.strip_prefix("=~") {
        (MatcherOp::Matches, value)
    } else if let Some(value) = rest.strip_prefix("!~") {
        (MatcherOp::MatchesNot, value)
    } else if let Some(value) = rest.strip_prefix("!=") {
        (MatcherOp::NotEqual, value)
    } else if let Some(value) = rest.strip_prefix('=') {
        (MatcherOp::Equal, value)
    } else {
        return Err(wrong());
    };
    let value = value.trim();
    let value =
        if value.starts_with('"') { unquote(value).ok_or_else(wrong)? } else { value.to_owned() };
    if value.contains('"') && !text.contains('\\') {
        return Err(wrong());
    }
    LabelMatcher::new(name, op, value)
}

fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if letter == '"' && !escaped {
            return Some(at + 1);
        }
        escaped = letter == '\\' && !escaped;
    }
    None
}

fn unquote(text: &str) -> Option<String> {
    if quoted_end(text)? != text.len() {
        return None;
    }
    let mut out = String::new();
    let mut letters = text[1..text.len() - 1].chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next()? {
            'n' => out.push('\n'),
            '"' => out.push('"'),
            '\\' => out.push('\\'),
            // Alertmanager keeps a backslash before anything else, so that `\d` needs no doubling.
            other => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        LabelMatcher::parse_list(text).unwrap().iter().all(|matcher| matcher.matches(&labels))
    }

    #[test]
    fn compares_as_alertmanager_does() {
        assert!(matches("severity=\"critical\"", &[("severity", "critical")]));
        assert!(matches("severity = critical", &[("severity", "critical")]));
        assert!(
            !matches("severity=~crit", &[("severity", "critical")]),
            "regular expressions are anchored"
        );
        assert!(matches("{severity=~\"crit.*|page\", team!=\"x\"}", &[("severity", "critical")]));
        assert!(matches("team=\"\"", &[]), "a missing label is empty");
        assert!(matches("team!~\".+\"", &[]));
        assert!(matches("a=\"x,y\",b=\"\\\"q\\\"\"", &[("a", "x,y"), ("b", "\"q\"")]));
        assert!(matches("\"utf8.label\"=v", &[("utf8.label", "v")]));
        assert!(matches("a=~\"\\d+\"", &[("a", "12")]));
        assert!(matches("", &[]));
        assert!(matches("a.b=x, a-b=x, é=x", &[("a.b", "x"), ("a-b", "x"), ("é", "x")]));
        assert!(matches("a=~b{2}", &[("a", "bb")]));
        assert!(matches("a=~\"\\Qx.y\\E\"", &[("a", "x.y")]));
    }

    #[test]
    fn refuses_what_is_no_matcher() {
        for text in ["severity", "=x", "a b=c", "a=\"x", "a=~(", "a==\"b\"x\""] {
            assert!(LabelMatcher::parse_list(text).is_err(), "{text}");
        }
    }
}
