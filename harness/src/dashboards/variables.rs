//! Template variables of a dashboard, put into its queries as the browser would.

use super::format::{Chosen, Style};
use serde_json::Value;
use std::collections::BTreeMap;

/// Values of the variables.
pub(crate) type Values = BTreeMap<String, Chosen>;

/// A variable of the dashboard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    /// `query`, `custom`, `datasource` …
    pub(crate) kind: String,
    /// Values selected; empty if none is, or if all are.
    pub(crate) selected: Vec<String>,
    /// Whether all values are to be taken.
    pub(crate) all: bool,
    /// Whether several can be selected.
    pub(crate) multi: bool,
    /// Whether all can be selected.
    pub(crate) include_all: bool,
    /// What stands for all values, if the dashboard says so.
    pub(crate) all_value: Option<String>,
    /// The query, or the list of values.
    pub(crate) query: String,
    /// Filter over the query's results.
    pub(crate) regex: String,
    /// Order of the query's results.
    pub(crate) sort: u64,
    /// Whether the query is asked each time that the dashboard is opened.
    pub(crate) refreshed: bool,
    /// Data source of the query.
    pub(crate) datasource: Value,
    /// Intervals: into how many a time is divided by itself, and the least of them.
    pub(crate) auto: (u64, String),
    /// Whether filters are set (`adhoc`).
    pub(crate) filters: bool,
}

/// The variables of a dashboard's JSON, in order: later ones may use earlier ones.
pub(crate) fn variables(dashboard: &Value) -> Vec<Variable> {
    dashboard["templating"]["list"].as_array().into_iter().flatten().filter_map(variable).collect()
}

fn variable(v: &Value) -> Option<Variable> {
    let text = |field: &Value| match field {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let kind = text(&v["type"])?;
    let current = &v["current"]["value"];
    let mut selected: Vec<String> = match current {
        Value::Array(all) => all.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    };
    let include_all = v["includeAll"].as_bool().unwrap_or(false);
    let says_all = selected.iter().any(|s| s == "$__all");
    // Nothing selected: the browser takes the first option, which is "All" where there is one.
    let all = says_all || (selected.is_empty() && include_all);
    if says_all {
        selected.clear();
    }
    Some(Variable {
        name: text(&v["name"])?,
        kind,
        selected,
        all,
        multi: v["multi"].as_bool().unwrap_or(false),
        include_all,
        all_value: text(&v["allValue"]),
        query: text(&v["query"])
            .or_else(|| text(&v["query"]["query"]))
            .or_else(|| text(&v["definition"]))
            .unwrap_or_default(),
        regex: text(&v["regex"]).unwrap_or_default(),
        sort: v["sort"].as_u64().unwrap_or(0),
        refreshed: v["refresh"].as_u64().is_some_and(|r| r > 0) || v["refresh"] == true,
        datasource: v["datasource"].clone(),
        auto: (
            v["auto_count"].as_u64().unwrap_or(30).max(1),
            text(&v["auto_min"]).unwrap_or_else(|| "10s".into()),
        ),
        filters: v["filters"].as_array().is_some_and(|f| !f.is_empty()),
    })
}

impl Variable {
    /// The options that the dashboard itself lists: `a, b, label : value`; a text or constant is
    /// one option, whatever it holds.
    pub(crate) fn listed(&self) -> Vec<String> {
        if matches!(self.kind.as_str(), "textbox" | "constant") {
            return vec![self.query.clone()];
        }
        let value = |option: &str| {
            option
                .split_once(" : ")
                .map_or(option, |(_, value)| value)
                .replace("\\,", ",")
                .trim()
                .to_owned()
        };
        let mut options = vec![String::new()];
        let mut before = ' ';
        for c in self.query.chars() {
            match (c, options.last_mut()) {
                (',', _) if before != '\\' => options.push(String::new()),
                (c, Some(last)) => last.push(c),
                _ => {}
            }
            before = c;
        }
        options.iter().map(|o| value(o)).filter(|o| !o.is_empty()).collect()
    }

    /// Applies the variable's filter and order to a query's results. The filter is `/…/`; its group
    /// `value`, or else its first group, is the value if there is one.
    pub(crate) fn filtered(&self, options: Vec<String>) -> Result<Vec<String>, String> {
        let mut picked = options;
        if !self.regex.is_empty() {
            let (pattern, flags) = self
                .regex
                .strip_prefix('/')
                .and_then(|r| r.rsplit_once('/'))
                .unwrap_or((&self.regex, ""));
            let built =
                regex::RegexBuilder::new(pattern).case_insensitive(flags.contains('i')).build();
            let regex =
                built.map_err(|e| format!("variable {}: filter {}: {e}", self.name, self.regex))?;
            let pick = |option: &String| {
                let found = regex.captures(option)?;
                let group =
                    found.name("value").or_else(|| found.name("text")).or_else(|| found.get(1));
                Some(group.map_or_else(|| option.clone(), |group| group.as_str().to_owned()))
            };
            picked = picked.iter().filter_map(pick).collect();
        }
        let mut seen = std::collections::BTreeSet::new();
        picked.retain(|option| seen.insert(option.clone()));
        let number = |v: &String| {
            v.chars()
                .skip_while(|c| !c.is_ascii_digit())
                .take_while(char::is_ascii_digit)
                .collect::<String>()
        };
        let number = |v: &String| number(v).parse::<u64>().ok();
        match self.sort {
            1 | 2 => picked.sort(),
            3 | 4 => picked.sort_by_key(|v| (number(v), v.clone())),
            5 | 6 => picked.sort_by_key(|v| v.to_lowercase()),
            _ => {}
        }
        if matches!(self.sort, 2 | 4 | 6) {
            picked.reverse();
        }
        Ok(picked)
    }

    /// These values, written as the variable wants it.
    pub(crate) fn chosen(&self, values: Vec<String>) -> Chosen {
        Chosen {
            list: self.multi || values.len() > 1,
            pattern: self.multi || self.include_all,
            verbatim: false,
            values,
        }
    }
}

/// Puts values in place of `$name`, `${name}`, `${name:format}`, `${name.field}` and `[[name]]`.
/// Unknown names stay.
pub(crate) fn put(text: &str, values: &Values, style: Style) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '[']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(found) = reference(rest) else {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..first]);
            rest = &rest[first..];
            continue;
        };
        match values.get(found.name) {
            Some(chosen) => out.push_str(&chosen.written(found.name, found.format, style)),
            None => out.push_str(&rest[..found.length]),
        }
        rest = &rest[found.length..];
    }
    out.push_str(rest);
    out
}

/// The names that `text` refers to.
pub(crate) fn names(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices()
        .filter(|(_, c)| matches!(c, '$' | '['))
        .filter_map(|(at, _)| Some(reference(&text[at..])?.name))
}

struct Reference<'a> {
    name: &'a str,
    format: Option<&'a str>,
    length: usize,
}

/// The reference that `text` begins with.
fn reference(text: &str) -> Option<Reference<'_>> {
    let bracketed = |open: &str, close: &str| {
        let inner = text.strip_prefix(open)?;
        let end = inner.find(close)?;
        let (name, format) =
            inner[..end].split_once(':').map_or((&inner[..end], None), |(n, f)| (n, Some(f)));
        let (name, format) = match name.split_once('.') {
            Some((name, "text")) => (name, Some("text")),
            Some((name, _)) => (name, format),
            None => (name, format),
        };
        let named = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        named.then_some(Reference { name, format, length: open.len() + end + close.len() })
    };
    bracketed("${", "}").or_else(|| bracketed("[[", "]]")).or_else(|| {
        let inner = text.strip_prefix('$')?;
        let end = inner.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inner.len());
        (end > 0).then_some(Reference { name: &inner[..end], format: None, length: 1 + end })
    })
}

/// Puts values into every text within a query.
pub(crate) fn put_all(query: &mut Value, values: &Values, style: Style) {
    match query {
        Value::String(text) => *text = put(text, values, style),
        Value::Array(all) => all.iter_mut().for_each(|v| put_all(v, values, style)),
        Value::Object(fields) => fields.values_mut().for_each(|v| put_all(v, values, style)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values() -> Values {
        let two = Chosen {
            values: vec!["x.1:9".into(), "y".into()],
            list: true,
            pattern: true,
            verbatim: false,
        };
        Values::from([("job".to_owned(), Chosen::one("a")), ("instance".to_owned(), two)])
    }

    #[test]
    fn references_of_all_kinds() {
        let put = |text| put(text, &values(), Style::Prometheus);
        assert_eq!(put(r#"up{job="$job"}[$__rate_interval]"#), r#"up{job="a"}[$__rate_interval]"#);
        assert_eq!(put("${job} [[job]] $jobs ${job:raw} ${job.text} $"), "a a $jobs a a $");
        assert_eq!(put(r#"up{i=~"$instance"}"#), r#"up{i=~"(x\\.1:9|y)"}"#);
        assert_eq!(
            put("${instance:pipe} ${instance:csv} [[instance:regex]]"),
            r"x.1:9|y x.1:9,y (x\.1:9|y)"
        );
        assert_eq!(put("rate(x[5m]) é$job"), "rate(x[5m]) éa");
        assert_eq!(
            names("a $job ${instance:raw}$__range [[x]] [5m] [[:alpha:]]").collect::<Vec<_>>(),
            ["job", "instance", "__range", "x"]
        );
        assert_eq!(super::put("$instance", &values(), Style::Lucene), r#"("x.1\:9" OR "y")"#);
        let mut query = json!({"expr": "$job", "filters": [{"query": "${job}"}], "hide": false});
        put_all(&mut query, &values(), Style::Glob);
        assert_eq!(query, json!({"expr": "a", "filters": [{"query": "a"}], "hide": false}));
    }

    #[test]
    fn what_is_selected() {
        let dashboard = json!({"templating": {"list": [
            {"name": "a", "type": "query", "current": {"value": "x"}, "query": {"query": "label_values(up, job)", "refId": "r"}, "refresh": 1},
            {"name": "b", "type": "query", "current": {}, "query": "label_values(job)", "includeAll": true, "allValue": ".+"},
            {"name": "c", "type": "custom", "current": {"value": ["$__all"]}, "query": "one, Two : 2, a\\,b"},
            {"name": "d", "type": "query", "current": {}, "query": "x", "regex": "/^pod-(.*)$/"},
            {"name": "e", "type": "textbox", "query": "a, b"},
            {"name": "f", "type": "adhoc", "filters": [{"key": "job"}]}]}});
        let all = variables(&dashboard);
        assert_eq!(
            (all[0].selected.as_slice(), all[0].all, all[0].refreshed),
            (["x".to_owned()].as_slice(), false, true)
        );
        assert_eq!(all[0].query, "label_values(up, job)");
        assert_eq!((all[1].all, all[1].all_value.as_deref()), (true, Some(".+")));
        assert_eq!(
            (all[2].all, all[2].listed()),
            (true, vec!["one".to_owned(), "2".to_owned(), "a,b".to_owned()])
        );
        assert_eq!((all[3].all, all[3].selected.is_empty()), (false, true));
        assert_eq!(all[4].listed(), ["a, b"]);
        assert!(all[5].filters && !all[4].filters);
    }

    #[test]
    fn results_are_filtered_and_sorted() {
        let of = |regex: &str, sort: u64| {
            let list = json!({"templating": {"list": [{"name": "v", "type": "query", "regex": regex, "sort": sort}]}});
            variables(&list)[0]
                .filtered(["pod-10", "Node", "pod-2", "pod-2"].map(String::from).to_vec())
        };
        assert_eq!(of("", 0).unwrap(), ["pod-10", "Node", "pod-2"]);
        assert_eq!(of("/^pod-(.*)$/", 0).unwrap(), ["10", "2"]);
        assert_eq!(of("/^(?<text>p)od-(?<value>.*)$/", 3).unwrap(), ["2", "10"]);
        assert_eq!(of("/NODE/i", 0).unwrap(), ["Node"]);
        assert_eq!(
            (of("", 1).unwrap()[0].as_str(), of("", 2).unwrap()[0].as_str()),
            ("Node", "pod-2")
        );
        assert_eq!(
            (of("", 4).unwrap()[0].as_str(), of("", 5).unwrap()[2].as_str()),
            ("pod-10", "pod-2")
        );
        assert!(of("/(/", 0).unwrap_err().contains("variable v: filter /(/"));
    }
}
