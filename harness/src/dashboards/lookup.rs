//! What a variable asks of Prometheus, as its plug-in reads it, and what comes of the answer.

use super::variables::Variable;
use serde_json::Value;

/// What a variable's query asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// `label_values(label)`, `label_values(selector, label)`.
    LabelValues(Option<String>, String),
    LabelNames,
    Metrics(String),
    Result(String),
    /// A selector: the series that it matches.
    Series(String),
}

impl Lookup {
    /// Reads a query in which variables have their values.
    pub(crate) fn read(query: &str) -> Option<Lookup> {
        let query = query.trim();
        let of = |function: &str| {
            query
                .strip_prefix(function)?
                .trim_start()
                .strip_prefix('(')?
                .strip_suffix(')')
                .map(str::trim)
        };
        if let Some(inner) = of("label_values") {
            let (selector, label) = inner
                .rsplit_once(',')
                .map_or((None, inner), |(s, l)| (Some(s.trim().to_owned()), l.trim()));
            let plain = !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '_');
            return plain.then(|| {
                Lookup::LabelValues(selector.filter(|s| !s.is_empty()), label.to_owned())
            });
        }
        if of("label_names").is_some() {
            return Some(Lookup::LabelNames);
        }
        if let Some(pattern) = of("metrics") {
            return Some(Lookup::Metrics(pattern.to_owned()));
        }
        if let Some(expression) = of("query_result") {
            return Some(Lookup::Result(expression.to_owned()));
        }
        (!query.is_empty()).then(|| Lookup::Series(query.to_owned()))
    }

    /// Path below the data source's address, over a time in ms.
    pub(crate) fn path(&self, from_ms: i64, to_ms: i64) -> String {
        let (start, end) = ((from_ms / 1000).to_string(), (to_ms / 1000 + 1).to_string());
        let range = [("start", start.as_str()), ("end", end.as_str())];
        let with = |path: &str, more: Option<(&str, &str)>| {
            let pairs = form(more.into_iter().chain(range));
            format!("{path}?{pairs}")
        };
        match self {
            Lookup::LabelValues(selector, label) => with(
                &format!("api/v1/label/{label}/values"),
                selector.as_deref().map(|selector| ("match[]", selector)),
            ),
            Lookup::LabelNames => with("api/v1/labels", None),
            Lookup::Metrics(_) => with("api/v1/label/__name__/values", None),
            Lookup::Result(expression) => {
                format!(
                    "api/v1/query?{}",
                    form([
                        ("query", expression.as_str()),
                        ("time", &(to_ms as f64 / 1e3).to_string())
                    ])
                )
            }
            Lookup::Series(selector) => with("api/v1/series", Some(("match[]", selector))),
        }
    }

    /// The options that an answer gives; nothing if it is none.
    pub(crate) fn options(
        &self,
        variable: &Variable,
        answer: &Value,
    ) -> Option<Result<Vec<String>, String>> {
        let data = &answer["data"];
        let texts = || {
            data.as_array().map(|all| {
                all.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect::<Vec<_>>()
            })
        };
        Some(Ok(match self {
            Lookup::LabelValues(..) | Lookup::LabelNames => texts()?,
            Lookup::Metrics(pattern) => match regex::Regex::new(pattern) {
                Ok(regex) => texts()?.into_iter().filter(|name| regex.is_match(name)).collect(),
                Err(e) => {
                    return Some(Err(format!(
                        "variable {}: metrics({pattern}): {e}",
                        variable.name
                    )));
                }
            },
            Lookup::Result(_) => match data["resultType"].as_str()? {
                "vector" => data["result"].as_array()?.iter().map(sample).collect(),
                _ => vec![data["result"][1].as_str()?.to_owned()],
            },
            Lookup::Series(_) => data.as_array()?.iter().map(series).collect(),
        }))
    }
}

/// `a=b&c=d`, encoded.
pub(crate) fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut url = reqwest::Url::parse("http://x/").unwrap_or_else(|_| unreachable!("a constant"));
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

/// `name{label="value",…}`.
fn series(metric: &Value) -> String {
    let labels = metric.as_object().into_iter().flatten().filter(|(name, _)| *name != "__name__");
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}=\"{}\"", value.as_str().unwrap_or_default()))
        .collect();
    format!("{}{{{}}}", metric["__name__"].as_str().unwrap_or_default(), labels.join(","))
}

/// `name{label="value",…} value time`.
fn sample(of: &Value) -> String {
    let at_ms = of["value"][0].as_f64().unwrap_or(0.0) * 1e3;
    format!("{} {} {at_ms:.0}", series(&of["metric"]), of["value"][1].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::variables::variables;
    use serde_json::json;

    #[test]
    fn each_function_is_read_and_asked() {
        let read = |query: &str| Lookup::read(query).unwrap();
        let values =
            |s: Option<&str>, l: &str| Lookup::LabelValues(s.map(str::to_owned), l.to_owned());
        assert_eq!(read("label_values(up, job)"), values(Some("up"), "job"));
        assert_eq!(
            read(r#"label_values(up{a="1",b="2"}, job)"#),
            values(Some(r#"up{a="1",b="2"}"#), "job")
        );
        assert_eq!(read("label_values(job)"), values(None, "job"));
        assert_eq!(Lookup::read("label_values(a b)"), None);
        assert_eq!(Lookup::read(""), None);
        for (query, path) in [
            ("label_values(up, job)", "api/v1/label/job/values?match%5B%5D=up&start=10&end=21"),
            ("label_values(job)", "api/v1/label/job/values?start=10&end=21"),
            ("label_names()", "api/v1/labels?start=10&end=21"),
            ("metrics(^node_)", "api/v1/label/__name__/values?start=10&end=21"),
            ("query_result(topk(1, up))", "api/v1/query?query=topk%281%2C+up%29&time=20.5"),
            ("up{job=\"a\"}", "api/v1/series?match%5B%5D=up%7Bjob%3D%22a%22%7D&start=10&end=21"),
        ] {
            assert_eq!(read(query).path(10_000, 20_500), path);
        }
    }

    #[test]
    fn answers_become_options() {
        let variable =
            &variables(&json!({"templating": {"list": [{"name": "v", "type": "query"}]}}))[0];
        let options =
            |query: &str, answer: Value| Lookup::read(query).unwrap().options(variable, &answer);
        assert_eq!(
            options("label_values(job)", json!({"data": ["a", "b"]})).unwrap().unwrap(),
            ["a", "b"]
        );
        assert_eq!(options("metrics(^a)", json!({"data": ["ab", "ba"]})).unwrap().unwrap(), ["ab"]);
        assert!(
            options("metrics(()", json!({"data": []})).unwrap().unwrap_err().contains("metrics(")
        );
        let vector = json!({"data": {"resultType": "vector", "result": [{"metric": {"__name__": "up", "job": "a"}, "value": [1.5, "1"]}]}});
        assert_eq!(
            options("query_result(up)", vector).unwrap().unwrap(),
            [r#"up{job="a"} 1 1500"#]
        );
        assert_eq!(
            options(
                "query_result(1)",
                json!({"data": {"resultType": "scalar", "result": [1, "7"]}})
            )
            .unwrap()
            .unwrap(),
            ["7"]
        );
        assert_eq!(
            options("up", json!({"data": [{"__name__": "up", "job": "a"}]})).unwrap().unwrap(),
            [r#"up{job="a"}"#]
        );
        assert!(options("label_names()", json!({"status": "error"})).is_none());
    }
}
