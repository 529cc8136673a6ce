//! How values of variables are written into queries.

/// The values that a variable has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Chosen {
    /// Values; several if more than one is selected.
    pub(crate) values: Vec<String>,
    /// Whether several can be selected: even one is written as a list of one then.
    pub(crate) list: bool,
    /// Whether several or all can be selected, so that queries match by regular expression.
    pub(crate) pattern: bool,
    /// What stands for all values, which is never escaped.
    pub(crate) verbatim: bool,
}

/// How a data source writes values where the query names no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// PromQL: `(a|b)`, escaped within a quoted text.
    Prometheus,
    /// Lucene: `("a" OR "b")`.
    Lucene,
    Glob,
}

impl Style {
    /// The style of a type of data source.
    pub(crate) fn of(kind: &str) -> Style {
        match kind {
            "prometheus" => Style::Prometheus,
            "elasticsearch" | "opensearch" => Style::Lucene,
            _ => Style::Glob,
        }
    }
}

impl Chosen {
    /// One value.
    pub(crate) fn one(value: impl Into<String>) -> Chosen {
        Chosen { values: vec![value.into()], ..Chosen::default() }
    }

    /// As it is written into a query: `name` is the variable's, `format` what follows a colon.
    pub(crate) fn written(&self, name: &str, format: Option<&str>, style: Style) -> String {
        let values = &self.values;
        if self.verbatim && !matches!(format, Some("text" | "percentencode" | "queryparam")) {
            return values.concat();
        }
        let joined = |with: &str, each: &dyn Fn(&String) -> String| {
            values.iter().map(each).collect::<Vec<_>>().join(with)
        };
        let is_one = values.len() == 1;
        match format {
            Some("regex") if is_one => joined("", &|v| regex_escaped(v)),
            Some("regex") => format!("({})", joined("|", &|v| regex_escaped(v))),
            Some("lucene") => self.lucene(),
            Some("glob") => self.glob(),
            Some("pipe") => values.join("|"),
            Some("raw" | "csv") => values.join(","),
            Some("text") => values.join(" + "),
            Some("distributed") => values
                .iter()
                .enumerate()
                .map(|(i, v)| if i == 0 { v.clone() } else { format!("{name}={v}") })
                .collect::<Vec<_>>()
                .join(","),
            Some("json") => match (is_one && !self.list, serde_json::to_string(values)) {
                (true, _) => serde_json::to_string(&values[0]).unwrap_or_default(),
                (false, json) => json.unwrap_or_default(),
            },
            Some("percentencode") if is_one => joined("", &|v| percent_encoded(v)),
            Some("percentencode") => percent_encoded(&self.glob()),
            Some("queryparam") => joined("&", &|v| format!("var-{name}={}", percent_encoded(v))),
            Some("singlequote") => joined(",", &|v| format!("'{}'", v.replace('\'', "\\'"))),
            Some("doublequote") => joined(",", &|v| format!("\"{}\"", v.replace('"', "\\\""))),
            Some("sqlstring") => joined(",", &|v| format!("'{}'", v.replace('\'', "''"))),
            _ => match style {
                Style::Prometheus if !self.pattern => {
                    joined(",", &|v| v.replace('\\', "\\\\").replace('\'', "\\\\'"))
                }
                Style::Prometheus if is_one => joined("", &|v| pattern_in_text(v)),
                Style::Prometheus => format!("({})", joined("|", &|v| pattern_in_text(v))),
                Style::Lucene => self.lucene(),
                Style::Glob => self.glob(),
            },
        }
    }

    fn glob(&self) -> String {
        if self.values.len() == 1 {
            self.values.concat()
        } else {
            format!("{{{}}}", self.values.join(","))
        }
    }

    fn lucene(&self) -> String {
        match self.values.as_slice() {
            [] => "__empty__".into(),
            [one] if !self.list => lucene_escaped(one),
            all => format!(
                "({})",
                all.iter()
                    .map(|v| format!("\"{}\"", lucene_escaped(v)))
                    .collect::<Vec<_>>()
                    .join(" OR ")
            ),
        }
    }
}

fn escaped(value: &str, special: &str, with: &str) -> String {
    value
        .chars()
        .flat_map(|c| {
            if special.contains(c) { with.chars().chain([c]).collect::<Vec<_>>() } else { vec![c] }
        })
        .collect()
}

fn regex_escaped(value: &str) -> String {
    escaped(value, r"\^$*+?.()|[]{}/", "\\")
}

fn lucene_escaped(value: &str) -> String {
    escaped(value, "!*+-=<> &|()[]{}^~?:\\/\"", "\\")
}

/// A regular expression for exactly this value, within a quoted text of PromQL: each backslash is
/// written twice.
fn pattern_in_text(value: &str) -> String {
    value
        .chars()
        .map(|c| {
            if c == '\\' {
                r"\\\\".into()
            } else {
                escaped(&c.to_string(), "$^*{}[]'+?.()|", r"\\")
            }
        })
        .collect()
}

fn percent_encoded(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    value
        .bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_as_the_browser_writes_it() {
        let one = Chosen::one("a.b");
        let two = Chosen {
            values: vec!["x.1:9".into(), "y'".into()],
            list: true,
            pattern: true,
            verbatim: false,
        };
        let written =
            |chosen: &Chosen, format: &str| chosen.written("v", Some(format), Style::Prometheus);
        for (format, of_one, of_two) in [
            ("regex", r"a\.b", r"(x\.1:9|y')"),
            ("pipe", "a.b", "x.1:9|y'"),
            ("csv", "a.b", "x.1:9,y'"),
            ("raw", "a.b", "x.1:9,y'"),
            ("text", "a.b", "x.1:9 + y'"),
            ("glob", "a.b", "{x.1:9,y'}"),
            ("lucene", "a.b", r#"("x.1\:9" OR "y'")"#),
            ("json", r#""a.b""#, r#"["x.1:9","y'"]"#),
            ("distributed", "a.b", "x.1:9,v=y'"),
            ("singlequote", "'a.b'", r"'x.1:9','y\''"),
            ("doublequote", r#""a.b""#, r#""x.1:9","y'""#),
            ("sqlstring", "'a.b'", "'x.1:9','y'''"),
            ("queryparam", "var-v=a.b", "var-v=x.1%3A9&var-v=y%27"),
            ("percentencode", "a.b", "%7Bx.1%3A9%2Cy%27%7D"),
        ] {
            assert_eq!(
                (written(&one, format), written(&two, format)),
                (of_one.to_owned(), of_two.to_owned()),
                "{format}"
            );
        }
    }

    #[test]
    fn without_a_format_the_data_source_decides() {
        let of = |values: &[&str], several: bool| {
            let values = values.iter().map(|v| (*v).to_owned()).collect();
            Chosen { values, list: several, pattern: several, verbatim: false }
        };
        // A value that is compared for equality keeps its dots; one that is matched has them
        // escaped, twice within a quoted text.
        assert_eq!(of(&["10.0.0.1"], false).written("v", None, Style::Prometheus), "10.0.0.1");
        assert_eq!(
            of(&["10.0.0.1"], true).written("v", None, Style::Prometheus),
            r"10\\.0\\.0\\.1"
        );
        assert_eq!(
            of(&["a-b", "c\\d"], true).written("v", None, Style::Prometheus),
            r"(a-b|c\\\\d)"
        );
        assert_eq!(of(&["a:b"], false).written("v", None, Style::Lucene), r"a\:b");
        assert_eq!(of(&["a"], true).written("v", None, Style::Lucene), r#"("a")"#);
        assert_eq!(of(&[], true).written("v", None, Style::Lucene), "__empty__");
        assert_eq!(of(&["a", "b"], true).written("v", None, Style::Glob), "{a,b}");
        let all = Chosen { values: vec![".+".into()], list: true, pattern: true, verbatim: true };
        assert_eq!(
            (
                all.written("v", None, Style::Prometheus),
                all.written("v", Some("regex"), Style::Lucene)
            ),
            (".+".into(), ".+".into())
        );
    }
}
