//! Values of a dashboard's variables: those that it was saved with, else what their queries give
//! now.

use super::format::Chosen;
use super::lookup::Lookup;
use super::query::Context;
use super::variables::{self, Variable};
use super::{DataSource, Lack, Proxy};
use crate::secret::start_of;
use serde_json::Value;

/// Gives each variable of a dashboard its value, in order, since later ones may use earlier ones.
pub(crate) async fn resolve(context: &mut Context, dashboard: &Value, proxy: &dyn Proxy) {
    for variable in variables::variables(dashboard) {
        if variable.kind == "adhoc" {
            if variable.filters {
                context.filters.push((variable.name.clone(), variable.datasource.clone()));
            }
            continue;
        }
        match value(&variable, context, proxy).await {
            Ok(chosen) => drop(context.values.insert(variable.name, chosen)),
            Err(lack) => drop(context.unresolved.insert(variable.name, lack)),
        }
    }
}

async fn value(variable: &Variable, context: &Context, proxy: &dyn Proxy) -> Result<Chosen, Lack> {
    if let (true, Some(all)) = (variable.all, &variable.all_value) {
        return Ok(Chosen { verbatim: true, ..variable.chosen(vec![all.clone()]) });
    }
    let selected = &variable.selected;
    let options = match variable.kind.as_str() {
        "query" if selected.is_empty() || variable.refreshed => {
            queried(variable, context, proxy).await?
        }
        "datasource" => {
            let mut of_kind: Vec<&DataSource> =
                context.sources.iter().filter(|s| s.r#type == variable.query).collect();
            of_kind.sort_by_key(|s| !s.is_default);
            let named = of_kind.iter().map(|s| s.name.clone()).collect();
            let kept = variable.filtered(named).map_err(Lack::Fails)?;
            of_kind.iter().filter(|s| kept.contains(&s.name)).map(|s| s.uid.clone()).collect()
        }
        "interval" => match selected.iter().chain(&variable.listed()).next() {
            Some(one) if one.starts_with("$__auto_interval") || one == "auto" => {
                let range_ms = (context.to_ms - context.from_ms).max(0) as u64;
                let least_ms = super::interval::parsed_ms(&variable.auto.1).unwrap_or(10_000);
                let ms = super::interval::rounded_ms(range_ms as f64 / variable.auto.0 as f64)
                    .max(least_ms);
                return Ok(Chosen::one(super::interval::written(ms)));
            }
            _ => variable.listed(),
        },
        "query" => Vec::new(),
        _ => variable.listed(),
    };
    // What was selected and is there no more gives way to the first option; where nothing is asked
    // again it stays.
    let known = |v: &String| match variable.kind.as_str() {
        "query" => !variable.refreshed || options.is_empty() || options.contains(v),
        "datasource" => {
            v == "default"
                || context
                    .sources
                    .iter()
                    .any(|s| (s.uid == *v || s.name == *v) && options.contains(&s.uid))
        }
        _ => true,
    };
    let kept: Vec<String> = selected.iter().filter(|v| known(v)).cloned().collect();
    if !kept.is_empty() {
        return Ok(variable.chosen(kept));
    }
    let all = variable.all || variable.include_all;
    Ok(match (all, options.is_empty()) {
        (true, false) => Chosen { list: true, ..variable.chosen(options) },
        (true, true) => Chosen {
            verbatim: true,
            ..variable.chosen(vec![variable.all_value.clone().unwrap_or_else(|| ".*".into())])
        },
        (false, _) => variable.chosen(options.into_iter().take(1).collect()),
    })
}

async fn queried(
    variable: &Variable,
    context: &Context,
    proxy: &dyn Proxy,
) -> Result<Vec<String>, Lack> {
    if let Some(lack) = context.lacks(&Value::from(variable.query.as_str())) {
        return Err(lack);
    }
    let source = context.source(&variable.datasource)?;
    let unasked = |why: String| Lack::NotAsked(format!("variable {}: {why}", variable.name));
    if source.r#type != "prometheus" {
        return Err(unasked(format!(
            "what it asks of a data source of type {} is not understood",
            source.r#type
        )));
    }
    let query = variables::put(&variable.query, &context.values, super::format::Style::Prometheus);
    let lookup = Lookup::read(&query).ok_or_else(|| {
        unasked(format!("query {query:?} is not understood; label_values(metric, label) is"))
    })?;
    let (status, text) = proxy
        .get(&source, lookup.path(context.from_ms, context.to_ms))
        .await
        .map_err(Lack::Fails)?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let fails = |why: String| Lack::Fails(format!("variable {}: {query}: {why}", variable.name));
    let options = lookup
        .options(variable, &answer)
        .ok_or_else(|| fails(format!("HTTP {status}: {}", start_of(text.as_bytes()))))?;
    variable.filtered(options.map_err(Lack::Fails)?).map_err(Lack::Fails)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::format::Style;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use serde_json::json;

    /// Answers with what stands beside a path's beginning.
    struct Answers(&'static [(&'static str, &'static str)]);

    impl Proxy for Answers {
        fn get<'a>(
            &'a self,
            source: &'a DataSource,
            path: String,
        ) -> BoxFuture<'a, Result<(u16, String), String>> {
            let found = self
                .0
                .iter()
                .find(|(begin, _)| path.starts_with(begin))
                .map(|(_, text)| (200, (*text).to_owned()));
            let answer = found.ok_or_else(|| format!("{}: nothing at {path}", source.uid));
            async move { answer }.boxed()
        }
    }

    const SERVER: Answers = Answers(&[
        ("api/v1/label/job/values?start", r#"{"data":["api","db","web"]}"#),
        (
            "api/v1/label/instance/values?match%5B%5D=up%7Bjob%3D%22api%22%7D",
            r#"{"data":["a:1","a:2"]}"#,
        ),
        ("api/v1/label/none/values", r#"{"data":[]}"#),
        ("api/v1/label/broken/values", "<html>"),
    ]);

    async fn resolved(list: Value) -> Context {
        let source = |uid: &str, kind: &str, is_default: bool| DataSource {
            uid: uid.into(),
            name: format!("my {uid}"),
            r#type: kind.into(),
            is_default,
            ..DataSource::default()
        };
        let sources = vec![
            source("m2", "prometheus", false),
            source("m1", "prometheus", true),
            source("l1", "elasticsearch", false),
        ];
        let dashboard = json!({"templating": {"list": list}});
        let mut context = Context::new(sources, &dashboard, 0.0, 3600.0);
        resolve(&mut context, &dashboard, &SERVER).await;
        context
    }

    fn put(context: &Context, text: &str) -> String {
        variables::put(text, &context.values, Style::Prometheus)
    }

    #[tokio::test]
    async fn every_type_of_variable_has_its_value() {
        let context = resolved(json!([
            {"name": "saved", "type": "query", "current": {"value": "kept"}, "query": "label_values(job)"},
            {"name": "gone", "type": "query", "current": {"value": "gone"}, "query": "label_values(job)", "refresh": 1},
            {"name": "still", "type": "query", "current": {"value": "db"}, "query": "label_values(job)", "refresh": 2},
            {"name": "first", "type": "query", "current": {}, "query": "label_values(job)"},
            {"name": "chained", "type": "query", "current": {"value": ["$__all"]}, "includeAll": true, "multi": true,
             "query": {"query": "label_values(up{job=\"$first\"}, instance)"}, "regex": "/a:(.*)/"},
            {"name": "all", "type": "query", "current": {"value": "$__all"}, "includeAll": true, "allValue": ".+", "query": "label_values(job)"},
            {"name": "nothing", "type": "query", "includeAll": true, "query": "label_values(none)"},
            {"name": "custom", "type": "custom", "query": "x, Y : y"},
            {"name": "several", "type": "custom", "query": "x, Y : y", "multi": true, "current": {"value": ["x", "y"]}},
            {"name": "fixed", "type": "constant", "query": "a,b"},
            {"name": "typed", "type": "textbox", "query": "default", "current": {"value": "typed"}},
            {"name": "every", "type": "interval", "query": "1m,5m", "current": {"value": "5m"}},
            {"name": "auto", "type": "interval", "query": "1m,5m", "auto": true, "auto_count": 30, "current": {"value": "$__auto_interval_auto"}},
            {"name": "source", "type": "datasource", "query": "prometheus", "current": {}},
            {"name": "moved", "type": "datasource", "query": "prometheus", "current": {"value": "elsewhere"}},
            {"name": "other", "type": "datasource", "query": "prometheus", "current": {"value": "my m2"}},
            {"name": "some", "type": "datasource", "query": "prometheus", "regex": "/m2/"},
            {"name": "filter", "type": "adhoc", "datasource": {"uid": "m1"}, "filters": [{"key": "job"}]},
            {"name": "unused", "type": "adhoc", "datasource": {"uid": "m1"}},
        ]))
        .await;
        for (name, value) in [
            ("saved", "kept"),
            ("gone", "api"),
            ("still", "db"),
            ("first", "api"),
            ("chained", "(1|2)"),
            ("all", ".+"),
            ("nothing", ".*"),
            ("custom", "x"),
            ("several", "(x|y)"),
            ("fixed", "a,b"),
            ("typed", "typed"),
            ("every", "5m"),
            ("auto", "2m"),
            ("source", "m1"),
            ("moved", "m1"),
            ("other", "my m2"),
            ("some", "m2"),
        ] {
            assert_eq!(put(&context, &format!("${name}")), value, "{name}");
        }
        assert!(context.unresolved.is_empty(), "{:?}", context.unresolved);
        assert_eq!(context.filters, [("filter".to_owned(), json!({"uid": "m1"}))]);
    }

    #[tokio::test]
    async fn a_variable_without_a_value_says_why_and_so_do_those_that_use_it() {
        let context = resolved(json!([
            {"name": "broken", "type": "query", "query": "label_values(broken)"},
            {"name": "after", "type": "query", "query": "label_values(up{a=\"$broken\"}, job)"},
            {"name": "away", "type": "query", "query": "label_values(job)", "datasource": {"uid": "gone"}},
            {"name": "lucene", "type": "query", "query": "{\"find\": \"terms\"}", "datasource": {"uid": "l1"}},
            {"name": "odd", "type": "query", "query": "label_values(a b)"},
        ]))
        .await;
        let why = |name: &str| &context.unresolved[name];
        assert!(
            matches!(why("broken"), Lack::Fails(w) if w.contains("variable broken") && w.contains("<html>")),
            "{:?}",
            why("broken")
        );
        assert_eq!(why("after"), why("broken"));
        assert!(matches!(why("away"), Lack::Fails(w) if w.contains("does not exist")));
        assert!(matches!(why("lucene"), Lack::NotAsked(w) if w.contains("type elasticsearch")));
        assert!(matches!(why("odd"), Lack::NotAsked(w) if w.contains("not understood")));
    }
}
