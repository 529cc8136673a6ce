//! Whether a text is PromQL as the newest servers read it, and if not, which token is the first that
//! can't stand where it stands. It makes no tree: that is the parser's work, which tells no places
//! and knows less.

use super::known::{AGGREGATORS, FUNCTIONS, LATER, STABLE};
use crate::monitoring::version::Version;

/// A token with its place in the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Name,
    Number,
    Text,
    Sign,
    End,
}

/// What can't stand where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected {
    /// The token; empty at the end.
    pub token: String,
    /// Where it begins, in bytes.
    pub at: usize,
    /// What was wanted.
    pub wanted: String,
}

/// Something that not every version knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// What it is.
    pub what: String,
    /// The first version that knows it.
    pub since: Version,
    /// The first that does no more.
    pub until: Option<Version>,
    /// Flag without which it is refused.
    pub feature: Option<&'static str>,
    /// The first version that needs the flag no more.
    pub stable: Option<Version>,
}

/// Reads a text.
///
/// # Errors
/// Tells the first token that can't stand where it stands.
pub fn read(text: &str) -> Result<Vec<Newer>, Unexpected> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, next: 0, depth: 0, newer: Vec::new() };
    reader.expression()?;
    match reader.peek().kind {
        Kind::End => Ok(reader.newer),
        _ => Err(reader.unexpected("an operator, or the end")),
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, Unexpected> {
    let (bytes, mut at, mut found) = (text.as_bytes(), 0, Vec::new());
    let mut in_range = false;
    while at < bytes.len() {
        let (first, from) = (bytes[at], at);
        let kind = match first {
            _ if first.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'#' => {
                at = text[at..].find('\n').map_or(bytes.len(), |end| at + end);
                continue;
            }
            b'"' | b'\'' | b'`' => {
                at += 1;
                while at < bytes.len() && bytes[at] != first {
                    at += if bytes[at] == b'\\' && first != b'`' { 2 } else { 1 };
                }
                if at >= bytes.len() {
                    let wanted = format!("a closing {}", char::from(first));
                    return Err(Unexpected {
                        token: text[from..].chars().take(12).collect(),
                        at: from,
                        wanted,
                    });
                }
                at += 1;
                Kind::Text
            }
            b'0'..=b'9' | b'.' => {
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric()
                        || b"._".contains(&bytes[at])
                        || (b"+-".contains(&bytes[at])
                            && b"eE".contains(&bytes[at - 1])
                            && !text[from..at].starts_with("0x")))
                {
                    at += 1;
                }
                Kind::Number
            }
            // A colon within brackets divides; elsewhere it belongs to a name.
            b':' if in_range => {
                at += 1;
                Kind::Sign
            }
            _ if first.is_ascii_alphabetic() || b"_:".contains(&first) => {
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric()
                        || bytes[at] == b'_'
                        || (bytes[at] == b':' && !in_range))
                {
                    at += 1;
                }
                Kind::Name
            }
            _ => {
                in_range = first == b'[' || (in_range && first != b']');
                let two = text.get(at..at + 2).unwrap_or_default();
                at += if ["==", "!=", "<=", ">=", "=~", "!~", ">/", "</"].contains(&two) {
                    2
                } else {
                    text[at..].chars().next().map_or(1, char::len_utf8)
                };
                Kind::Sign
            }
        };
        found.push(Token { kind, text: &text[from..at], at: from });
    }
    found.push(Token { kind: Kind::End, text: "", at: text.len() });
    Ok(found)
}

struct Reader<'t, 'a> {
    tokens: &'t [Token<'a>],
    next: usize,
    depth: usize,
    newer: Vec<Newer>,
}

type Read = Result<(), Unexpected>;

impl<'a> Reader<'_, 'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn is(&self, text: &str) -> bool {
        let token = self.peek();
        token.kind != Kind::Text && token.text.eq_ignore_ascii_case(text) && token.kind != Kind::End
    }

    fn take(&mut self, text: &str) -> bool {
        let is = self.is(text);
        self.next += usize::from(is);
        is
    }

    fn want(&mut self, text: &str) -> Read {
        if self.take(text) { Ok(()) } else { Err(self.unexpected(&format!("`{text}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> Unexpected {
        let token = self.peek();
        Unexpected { token: token.text.to_owned(), at: token.at, wanted: wanted.to_owned() }
    }

    fn newer(&mut self, what: &str, since: Version, feature: Option<&'static str>) {
        let what = what.to_owned();
        self.newer.push(Newer { what, since, until: None, feature, stable: None });
    }

    fn expression(&mut self) -> Read {
        self.depth += 1;
        if self.depth > 200 {
            return Err(self.unexpected("fewer brackets"));
        }
        self.operand()?;
        while self.operator()? {
            self.operand()?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn operator(&mut self) -> Result<bool, Unexpected> {
        const SIGNS: [&str; 14] =
            ["==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "^", ">/", "</"];
        const WORDS: [&str; 4] = ["and", "or", "unless", "atan2"];
        let token = self.peek();
        let sign = token.kind == Kind::Sign && SIGNS.contains(&token.text);
        let word = token.kind == Kind::Name
            && WORDS.iter().any(|word| token.text.eq_ignore_ascii_case(word));
        if !sign && !word {
            return Ok(false);
        }
        if [">/", "</"].contains(&token.text) {
            self.newer(&format!("`{}`", token.text), Version(3, 11), None);
        }
        self.next += 1;
        self.take("bool");
        if self.take("on") || self.take("ignoring") {
            self.names()?;
        }
        if (self.take("group_left") || self.take("group_right")) && self.is("(") {
            self.names()?;
        }
        for word in ["fill", "fill_left", "fill_right"] {
            if self.is(word) && self.tokens.get(self.next + 1).is_some_and(|next| next.text == "(")
            {
                let feature = Some("promql-binop-fill-modifiers");
                self.newer(&format!("`{word}`"), Version(3, 10), feature);
                self.next += 1;
                self.want("(")?;
                self.expression()?;
                self.want(")")?;
            }
        }
        Ok(true)
    }

    fn names(&mut self) -> Read {
        self.want("(")?;
        while !self.take(")") {
            match self.peek().kind {
                Kind::Name => {}
                Kind::Text => self.newer("a label's name in quotes", Version(3, 0), None),
                _ => return Err(self.unexpected("the name of a label, or `)`")),
            }
            self.next += 1;
            if !self.take(",") && !self.is(")") {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        Ok(())
    }

    fn operand(&mut self) -> Read {
        while self.take("-") || self.take("+") {}
        let token = self.peek();
        match token.kind {
            Kind::Number => {
                self.number(token.text);
                self.next += 1;
            }
            Kind::Text => self.next += 1,
            Kind::Sign if token.text == "(" => {
                self.next += 1;
                self.expression()?;
                self.want(")")?;
            }
            Kind::Sign if token.text == "{" => self.matchers()?,
            Kind::Name => self.named(token)?,
            _ => return Err(self.unexpected("a metric, a function, a number or `(`")),
        }
        self.behind()
    }

    /// A number, or a duration, which counts as one.
    fn number(&mut self, text: &str) {
        let hex = text.starts_with("0x") || text.starts_with("0X");
        if text.contains('_') {
            self.newer(&format!("`{text}` with underscores"), Version(2, 54), None);
        }
        let unit = text.ends_with(['s', 'm', 'h', 'd', 'w', 'y']);
        if unit && !hex {
            self.newer(&format!("the duration `{text}` as a number"), Version(2, 54), None);
        }
    }

    fn named(&mut self, token: Token<'a>) -> Read {
        let lower = token.text.to_ascii_lowercase();
        self.next += 1;
        let infinite = ["inf", "nan"].contains(&lower.as_str());
        let called = self.is("(");
        let aggregator = AGGREGATORS.contains(&lower.as_str());
        let grouped = self.is("by") || self.is("without");
        if aggregator && (called || grouped) {
            self.later(&lower);
            if grouped {
                self.next += 1;
                self.names()?;
            }
            self.arguments()?;
            if !grouped && (self.take("by") || self.take("without")) {
                self.names()?;
            }
            return Ok(());
        }
        if called {
            if !FUNCTIONS.split(' ').any(|function| function == token.text) {
                self.next -= 1;
                let known = FUNCTIONS.split(' ').chain(AGGREGATORS);
                let hint = crate::nearest::nearest(&lower, known).map_or_else(
                    || "a function that Prometheus has".to_owned(),
                    |near| format!("a function that Prometheus has; did you mean `{near}`?"),
                );
                return Err(self.unexpected(&hint));
            }
            self.later(token.text);
            if token.text == "holt_winters" {
                self.newer.push(Newer {
                    what: "`holt_winters`".into(),
                    since: Version(0, 0),
                    until: Some(Version(3, 0)),
                    feature: None,
                    stable: None,
                });
            }
            return self.arguments();
        }
        if self.is("{") && !infinite {
            self.matchers()?;
        }
        Ok(())
    }

    fn later(&mut self, name: &str) {
        if let Some((name, since, feature)) = LATER.iter().find(|(known, _, _)| *known == name) {
            let what = format!("`{name}`");
            let stable = STABLE.iter().find(|(known, _)| known == name).map(|(_, since)| *since);
            self.newer.push(Newer { what, since: *since, until: None, feature: *feature, stable });
        }
    }

    fn arguments(&mut self) -> Read {
        self.want("(")?;
        while !self.take(")") {
            self.expression()?;
            if !self.take(",") && !self.is(")") {
                return Err(self.unexpected("an operator, `,` or `)`"));
            }
        }
        Ok(())
    }

    fn matchers(&mut self) -> Read {
        self.want("{")?;
        while !self.take("}") {
            let token = self.peek();
            if token.kind != Kind::Name && token.kind != Kind::Text {
                return Err(self.unexpected("the name of a label, or `}`"));
            }
            self.next += 1;
            let compares = ["=", "!=", "=~", "!~"].iter().any(|sign| self.is(sign));
            if token.kind == Kind::Text {
                self.newer("a name in quotes", Version(3, 0), None);
            }
            if compares {
                self.next += 1;
                if self.peek().kind != Kind::Text {
                    return Err(self.unexpected("a value in quotes"));
                }
                self.next += 1;
            } else if token.kind == Kind::Name {
                return Err(self.unexpected("one of `=`, `!=`, `=~`, `!~`"));
            }
            if !self.take(",") && !self.is("}") {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
        Ok(())
    }

    /// Ranges, offsets and times behind an operand.
    fn behind(&mut self) -> Read {
        loop {
            if self.take("[") {
                self.duration(&[":", "]"])?;
                if self.take(":") && !self.is("]") {
                    self.duration(&["]"])?;
                }
                self.want("]")?;
            } else if self.take("offset") {
                while self.take("-") || self.take("+") {}
                self.time()?;
            } else if self.take("@") {
                while self.take("-") || self.take("+") {}
                if self.take("start") || self.take("end") {
                    self.want("(")?;
                    self.want(")")?;
                } else if self.peek().kind == Kind::Number {
                    self.next += 1;
                } else {
                    return Err(self.unexpected("a time, start() or end()"));
                }
            } else if self.is("anchored") || self.is("smoothed") {
                let word = format!("`{}`", self.peek().text);
                self.newer(&word, Version(3, 7), Some("promql-extended-range-selectors"));
                self.next += 1;
            } else {
                return Ok(());
            }
        }
    }

    /// A duration, or what the newest servers work one out from.
    fn duration(&mut self, ends: &[&str]) -> Read {
        let (from, told) = (self.next, self.newer.len());
        self.time()?;
        while ["+", "-", "*", "/", "%", "^"].iter().any(|sign| self.is(sign)) {
            self.next += 1;
            self.time()?;
        }
        if !ends.iter().any(|end| self.is(end)) {
            return Err(self.unexpected("a duration like 5m, then `]`"));
        }
        if self.next - from > 1 {
            // A number in a product is no duration by itself.
            self.newer.truncate(told);
            self.newer.push(Newer {
                what: "a duration that is worked out".into(),
                since: Version(3, 4),
                until: None,
                feature: Some("promql-duration-expr"),
                stable: Some(Version(3, 14)),
            });
        }
        Ok(())
    }

    fn time(&mut self) -> Read {
        while self.take("-") || self.take("+") {}
        let token = self.peek();
        match token.kind {
            Kind::Number => {
                if token.text.bytes().all(|c| c.is_ascii_digit() || c == b'.') {
                    self.newer(&format!("`{}` as a duration", token.text), Version(2, 54), None);
                }
                self.next += 1;
                Ok(())
            }
            Kind::Name if ["step", "range"].contains(&token.text) => {
                self.next += 1;
                self.want("(")?;
                self.want(")")
            }
            Kind::Name if ["min_of", "max_of", "min", "max"].contains(&token.text) => {
                self.next += 1;
                self.want("(")?;
                self.time()?;
                self.want(",")?;
                self.time()?;
                self.want(")")
            }
            Kind::Sign if token.text == "(" => {
                self.next += 1;
                self.duration(&[")"])?;
                self.want(")")
            }
            _ => Err(self.unexpected("a duration like 5m")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_take_is_taken() {
        for text in [
            "up",
            "sum by (a) (rate(x[5m])) > 5",
            "sum(x) by (a,)",
            "a and on (b) group_left (c,) d",
            "x[5m:1m] offset 1h @ end()",
            "rate(x[5m * 2])",
            "rate(x[5m:])",
            "x offset -5m",
            "-1 ^ 2",
            "{__name__=\"x\"}",
            "{\"a.b\", c=\"d\"}",
            "rate(x[5m] anchored)",
            "x > 1_000",
            "Inf",
            "x > 5m",
            "quantile(0.9, x)",
            "label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")",
            "sum without (a) (x) / ignoring (b) y",
            "topk(3, x)",
            "a:b:c{d!~\"e\"}",
            ":a:b / :c",
            "rate(x[5m:step()])",
            "count_values(\"v\", x)",
            "x # comment\n> 1",
            "min_over_time(x[1h:5m])",
            "x > bool 5",
            "1e3 + 0x1F",
            "rate(x[step()])",
            "time()",
            "a >/ 5",
            "x @ 1e3",
            "histogram_quantile(.9, x)",
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn the_first_wrong_token_is_told() {
        for (text, token, at) in [
            ("sum(x)) > = 1", ")", 6),
            ("rate(x[5m) > 1", ")", 9),
            ("x > = 1", "=", 4),
            ("sum(x", "", 5),
            ("rat(x[5m])", "rat", 0),
            ("x{a=b}", "b", 4),
            ("x{a}", "}", 3),
            ("x y", "y", 2),
            ("\"abc", "\"abc", 0),
            ("a and", "", 5),
            ("x[abc]", "abc", 2),
        ] {
            let wrong = read(text).unwrap_err();
            assert_eq!((wrong.token.as_str(), wrong.at), (token, at), "{text}");
        }
    }

    #[test]
    fn what_came_later_is_known() {
        let since = |text: &str| read(text).unwrap().iter().map(|one| one.since).max();
        assert_eq!(since("limitk(3, x)"), Some(Version(2, 54)));
        assert_eq!(since("sum by (\"a.b\") (x)"), Some(Version(3, 0)));
        assert_eq!(since("x[300]"), Some(Version(2, 54)));
        assert_eq!(since("rate(x[5m])"), None);
        let worked = &read("rate(x[5m * 2])").unwrap()[0];
        assert_eq!((worked.since, worked.stable), (Version(3, 4), Some(Version(3, 14))));
        assert_eq!(read("first_over_time(x[5m])").unwrap()[0].stable, Some(Version(3, 14)));
    }
}
