//! Template variables of a dashboard, put into its queries as the browser would.

use serde_json::Value;
use std::collections::BTreeMap;

/// Values of the variables; several if more than one is selected.
pub(super) type Values = BTreeMap<String, Vec<String>>;

/// A variable of the dashboard.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// `query`, `custom`, `datasource` …
    pub(super) kind: String,
    /// Values selected; empty if none is, or if all are.
    pub(super) selected: Vec<String>,
    /// Whether all values are to be taken.
    pub(super) all: bool,
    /// What stands for all values, if the dashboard says so.
    pub(super) all_value: Option<String>,
    /// The query, or the list of values.
    pub(super) query: String,
    /// Filter over the query's results.
    pub(super) regex: String,
    /// Data source of the query.
    pub(super) datasource: Value,
}

/// The variables of a dashboard's JSON, in order: later ones may use earlier ones.
pub(super) fn variables(dashboard: &Value) -> Vec<Variable> {
    dashboard["templating"]["list"].as_array().into_iter().flatten().filter_map(variable).collect()
}

fn variable(v: &Value) -> Option<Variable> {
    let text = |field: &Value| field.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
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
        all_value: text(&v["allValue"]),
        query: text(&v["query"]).or_else(|| text(&v["query"]["query"])).unwrap_or_default(),
        regex: text(&v["regex"]).unwrap_or_default(),
        datasource: v["datasource"].clone(),
    })
}

impl Variable {
    /// The options that the dashboard itself lists: `a, b, label : value`.
    pub(super) fn listed(&self) -> Vec<String> {
        let value = |option: &str| option.split_once(" : ").map_or(option, |(_, value)| value).trim().to_owned();
        self.query.split(',').map(value).filter(|o| !o.is_empty()).collect()
    }

    /// Applies the variable's filter to a query's results: `/…/`, with the first group as value if there is one.
    pub(super) fn filtered(&self, options: Vec<String>) -> Result<Vec<String>, String> {
        if self.regex.is_empty() {
            return Ok(options);
        }
        let pattern = self.regex.strip_prefix('/').and_then(|r| r.rsplit_once('/')).map_or(self.regex.as_str(), |(p, _)| p);
        let regex = regex::Regex::new(pattern).map_err(|e| format!("variable {}: filter {}: {e}", self.name, self.regex))?;
        let pick = |option: &String| {
            let found = regex.captures(option)?;
            Some(found.get(1).map_or_else(|| option.clone(), |group| group.as_str().to_owned()))
        };
        Ok(options.iter().filter_map(pick).collect())
    }
}

/// `label_values(label)` or `label_values(metric, label)`: the selector, if any, and the label.
pub(super) fn label_values(query: &str) -> Option<(Option<&str>, &str)> {
    let inner = query.trim().strip_prefix("label_values(")?.strip_suffix(')')?;
    Some(match inner.rsplit_once(',') {
        Some((selector, label)) => (Some(selector.trim()), label.trim()),
        None => (None, inner.trim()),
    })
}

/// How a data source writes several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `(a|b)`, for regular expressions.
    Regex,
    /// `("a" OR "b")`, for Lucene.
    Lucene,
    /// `{a,b}`.
    Glob,
}

/// Puts values in place of `$name`, `${name}`, `${name:format}` and `[[name]]`. Unknown names stay.
pub(super) fn put(text: &str, values: &Values, style: Style) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '[']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (name, format, length) = match reference(rest) {
            Some(found) => found,
            None => {
                let first = rest.chars().next().map_or(1, char::len_utf8);
                out.push_str(&rest[..first]);
                rest = &rest[first..];
                continue;
            }
        };
        match values.get(name) {
            Some(values) => out.push_str(&written(values, format, style)),
            None => out.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// The names that `text` refers to.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().filter(|(_, c)| matches!(c, '$' | '[')).filter_map(|(at, _)| Some(reference(&text[at..])?.0))
}

/// Name, format and length of the reference that `text` begins with.
fn reference(text: &str) -> Option<(&str, Option<&str>, usize)> {
    let bracketed = |open: &str, close: &str| {
        let inner = text.strip_prefix(open)?;
        let end = inner.find(close)?;
        let (name, format) = inner[..end].split_once(':').map_or((&inner[..end], None), |(n, f)| (n, Some(f)));
        let named = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
        named.then_some((name, format, open.len() + end + close.len()))
    };
    bracketed("${", "}").or_else(|| bracketed("[[", "]]")).or_else(|| {
        let inner = text.strip_prefix('$')?;
        let end = inner.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inner.len());
        (end > 0).then_some((&inner[..end], None, 1 + end))
    })
}

fn written(values: &[String], format: Option<&str>, style: Style) -> String {
    let escaped = || values.iter().map(|v| regex::escape(v)).collect::<Vec<_>>();
    match (format, values) {
        (Some("raw" | "text"), _) | (Some("csv"), _) => values.join(","),
        (Some("pipe"), _) => values.join("|"),
        (Some("regex"), [_]) => escaped().concat(),
        (Some("regex"), _) => format!("({})", escaped().join("|")),
        (_, [one]) => one.clone(),
        (_, _) => match style {
            Style::Regex => format!("({})", escaped().join("|")),
            Style::Lucene => format!("({})", values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(" OR ")),
            Style::Glob => format!("{{{}}}", values.join(",")),
        },
    }
}

/// Puts values into every text within a query.
pub(super) fn put_all(query: &mut Value, values: &Values, style: Style) {
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
        Values::from([("job".to_owned(), vec!["a".to_owned()]), ("instance".to_owned(), vec!["x.1:9".to_owned(), "y".to_owned()])])
    }

    #[test]
    fn references_of_all_kinds() {
        let put = |text| put(text, &values(), Style::Regex);
        assert_eq!(put(r#"up{job="$job"}[$__rate_interval]"#), r#"up{job="a"}[$__rate_interval]"#);
        assert_eq!(put("${job} [[job]] $jobs ${job:raw} $"), "a a $jobs a $");
        assert_eq!(put(r#"up{i=~"$instance"}"#), r#"up{i=~"(x\.1:9|y)"}"#);
        assert_eq!(put("${instance:pipe} ${instance:csv}"), "x.1:9|y x.1:9,y");
        assert_eq!(put("rate(x[5m]) é$job"), "rate(x[5m]) éa");
        assert_eq!(names("a $job ${instance:raw}$__range [[x]] [5m]").collect::<Vec<_>>(), ["job", "instance", "__range", "x"]);
        assert_eq!(super::put("$instance", &values(), Style::Lucene), r#"("x.1:9" OR "y")"#);
    }

    #[test]
    fn what_is_selected() {
        let dashboard = json!({"templating": {"list": [
            {"name": "a", "type": "query", "current": {"value": "x"}, "query": {"query": "label_values(up, job)", "refId": "r"}},
            {"name": "b", "type": "query", "current": {}, "query": "label_values(job)", "includeAll": true, "allValue": ".+"},
            {"name": "c", "type": "custom", "current": {"value": ["$__all"]}, "query": "one, Two : 2"},
            {"name": "d", "type": "query", "current": {}, "query": "x", "regex": "/^pod-(.*)$/"}]}});
        let all = variables(&dashboard);
        assert_eq!((all[0].selected.as_slice(), all[0].all), (["x".to_owned()].as_slice(), false));
        assert_eq!((all[1].all, all[1].all_value.as_deref()), (true, Some(".+")));
        assert_eq!((all[2].all, all[2].listed()), (true, vec!["one".to_owned(), "2".to_owned()]));
        assert_eq!((all[3].all, all[3].selected.is_empty()), (false, true));
        assert_eq!(all[3].filtered(vec!["pod-1".into(), "node".into()]).unwrap(), ["1"]);
        assert_eq!(label_values(&all[0].query), Some((Some("up"), "job")));
        assert_eq!(label_values(r#"label_values(up{a="1",b="2"}, job)"#), Some((Some(r#"up{a="1",b="2"}"#), "job")));
        assert_eq!(label_values("label_values(job)"), Some((None, "job")));
        assert_eq!(label_values("query_result(up)"), None);
    }
}
