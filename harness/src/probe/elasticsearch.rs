//! The log store, asked over Elasticsearch's HTTP API.

use super::ask::{ApiClient, BULK, REQUEST};
use super::{Probe, Question};
use futures::future::BoxFuture;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Instant;
use verdict::observation::fields::Fields;
use verdict::observation::logs::{Document, FieldTypes, Index};
use verdict::observation::{Fact, Freshness, Observation};

/// Documents in one page.
const PAGE: usize = 2_000;
/// Lines that are looked at for the newest operation: it may have several, and others may have been
/// stamped later.
const NEWEST: usize = 10;
/// Documents in one answer. Ask for shorter times where there may be more.
const MOST: usize = 200_000;

/// Asks Elasticsearch, or what speaks its API.
pub struct Elasticsearch {
    client: ApiClient,
}

impl Elasticsearch {
    pub(super) fn new(client: ApiClient) -> Elasticsearch {
        Elasticsearch { client }
    }

    async fn answer(&self, question: &Question) -> Result<Vec<Fact>, String> {
        match question {
            Question::Documents { pattern, start_s, end_s } => {
                self.documents(pattern, *start_s, *end_s, PAGE, MOST).await
            }
            Question::NewestLines { signal, pattern, id_field } => {
                self.newest(signal, pattern, id_field).await
            }
            Question::FieldTypes { pattern } => {
                let path = format!("/{pattern}/_mapping");
                let found: BTreeMap<String, Mapped> =
                    self.client.get(&path, &MISSING_IS_EMPTY).await?;
                let types = |(index, mapped): (String, Mapped)| {
                    Fact::FieldTypes(FieldTypes {
                        index,
                        types: flattened(&mapped.mappings.properties),
                    })
                };
                Ok(found.into_iter().map(types).collect())
            }
            Question::Indices { pattern } => {
                let path = format!("/_cat/indices/{pattern}");
                let found: Vec<CatIndex> = self
                    .client
                    .get(
                        &path,
                        &[
                            ("format", "json"),
                            ("h", "index,docs.count"),
                            ("expand_wildcards", "all"),
                        ],
                    )
                    .await?;
                let mut indices: Vec<Index> = found.into_iter().map(CatIndex::index).collect();
                indices.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(vec![Fact::Indices { indices }])
            }
            other => {
                Err(format!("elasticsearch has no answer to this question: {}", other.asked()))
            }
        }
    }

    /// What a search finds now: a line is found once its shard was refreshed.
    async fn newest(
        &self,
        signal: &str,
        pattern: &str,
        id_field: &str,
    ) -> Result<Vec<Fact>, String> {
        let search = json!({
            "size": NEWEST,
            "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "date"}}],
            "query": {"exists": {"field": id_field}},
            "_source": [id_field, "@timestamp"],
        });
        let found: Page = self
            .client
            .send(Method::POST, &format!("/{pattern}/_search"), &MISSING_IS_EMPTY, &search)
            .await?;
        let lines: Vec<Map<String, Value>> =
            found.hits.hits.into_iter().map(|hit| hit.source.parsed()).collect();
        let texts = |field: &str| {
            lines
                .iter()
                .filter_map(|l| l.get(field)?.as_str())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let at_s = texts("@timestamp")
            .first()
            .and_then(|t| t.parse::<jiff::Timestamp>().ok())
            .map(|t| t.as_microsecond() as f64 / 1e6);
        Ok(vec![Fact::Freshness(Freshness {
            signal: signal.to_owned(),
            ids: texts(id_field),
            at_s,
        })])
    }

    /// All documents by pages of a scroll, which sees the indices as they were at the first page.
    async fn documents(
        &self,
        pattern: &str,
        start_s: f64,
        end_s: f64,
        page: usize,
        most: usize,
    ) -> Result<Vec<Fact>, String> {
        let deadline = Instant::now() + BULK - REQUEST;
        let range = json!({"gte": (start_s * 1e3).floor() as i64, "lte": (end_s * 1e3).ceil() as i64, "format": "epoch_millis"});
        let search =
            json!({"size": page, "sort": ["_doc"], "query": {"range": {"@timestamp": range}}});
        let mut parameters = vec![("scroll", "1m")];
        parameters.extend(MISSING_IS_EMPTY);
        let mut found: Page = self
            .client
            .send(Method::POST, &format!("/{pattern}/_search"), &parameters, &search)
            .await?;
        let (mut documents, mut truncated) = (Vec::new(), false);
        let last_scroll = loop {
            truncated |= found.timed_out || found.shards.failed > 0;
            let (got, scroll) = (found.hits.hits.len(), found.scroll_id);
            documents.extend(found.hits.hits.into_iter().map(Hit::document));
            let Some(id) = scroll else { break None };
            if got == 0 {
                break Some(id);
            }
            if documents.len() >= most || Instant::now() > deadline {
                truncated |= found.hits.total.value > documents.len() as u64;
                break Some(id);
            }
            let next = json!({"scroll": "1m", "scroll_id": id});
            found = self.client.send(Method::POST, "/_search/scroll", &[], &next).await?;
        };
        if let Some(id) = last_scroll {
            // It would end by itself after a minute; that it can't be ended early is no failure of
            // the question.
            let _ = self
                .client
                .send_any(Method::DELETE, "/_search/scroll", Some(&json!({"scroll_id": id})))
                .await;
        }
        documents.truncate(most);
        Ok(vec![Fact::Documents { documents, truncated }])
    }
}

impl Probe for Elasticsearch {
    fn source(&self) -> &str {
        self.client.source()
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
        let bound = if matches!(question, Question::Documents { .. }) { BULK } else { REQUEST };
        Box::pin(async move {
            self.client.observe(&question.asked(), bound, self.answer(question)).await
        })
    }
}

/// A pattern that matches no index has no documents and no types; it is no error.
const MISSING_IS_EMPTY: [(&str, &str); 2] =
    [("ignore_unavailable", "true"), ("allow_no_indices", "true")];

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "_scroll_id")]
    scroll_id: Option<String>,
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    hits: Hits,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

#[derive(Deserialize)]
struct Hits {
    #[serde(default)]
    total: Total,
    hits: Vec<Hit>,
}

#[derive(Default, Deserialize)]
struct Total {
    value: u64,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source", default)]
    source: Fields,
}

impl Hit {
    fn document(self) -> Document {
        Document { index: self.index, id: self.id, fields: self.source }
    }
}

#[derive(Deserialize)]
struct Mapped {
    mappings: Mappings,
}

#[derive(Deserialize)]
struct Mappings {
    #[serde(default)]
    properties: Map<String, Value>,
}

/// Dotted field name to type, objects opened, multi-fields (`message.keyword`) included.
fn flattened(properties: &Map<String, Value>) -> BTreeMap<String, String> {
    fn open(prefix: &str, properties: &Map<String, Value>, into: &mut BTreeMap<String, String>) {
        for (name, field) in properties {
            let name = format!("{prefix}{name}");
            if let Some(kind) = field["type"].as_str() {
                into.insert(name.clone(), kind.to_owned());
            }
            for inner in ["properties", "fields"] {
                if let Some(inner) = field[inner].as_object() {
                    open(&format!("{name}."), inner, into);
                }
            }
        }
    }
    let mut types = BTreeMap::new();
    open("", properties, &mut types);
    types
}

#[derive(Deserialize)]
struct CatIndex {
    index: String,
    /// `null` for a closed index.
    #[serde(rename = "docs.count")]
    documents: Option<String>,
}

impl CatIndex {
    fn index(self) -> Index {
        Index {
            name: self.index,
            documents: self.documents.and_then(|d| d.parse().ok()).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten documents by pages of three, as a store that is not well might give them.
    async fn ask(first: Value, next: Value, most: usize) -> (usize, bool) {
        use axum::routing::{delete, post};
        let (first, next) = (first.to_string(), next.to_string());
        let scroll = post(move || async move { next }).merge(delete(|| async { "{}" }));
        let router = axum::Router::new()
            .route("/logs-x/_search", post(move || async move { first }))
            .route("/_search/scroll", scroll);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let probe = Elasticsearch::new(crate::probe::ask::tests::plain("logs", port));
        match probe.documents("logs-x", 0.0, 1.0, 3, most).await.unwrap().remove(0) {
            Fact::Documents { documents, truncated } => (documents.len(), truncated),
            other => panic!("{other:?}"),
        }
    }

    fn page(hits: usize, timed_out: bool, failed: u64) -> Value {
        let hit = json!({"_index": "logs-x", "_id": "1", "_source": {}});
        json!({"_scroll_id": "s", "timed_out": timed_out, "_shards": {"failed": failed},
               "hits": {"total": {"value": 10}, "hits": vec![hit; hits]}})
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_off_says_so() {
        assert_eq!(ask(page(3, false, 0), page(3, false, 0), 6).await, (6, true));
        assert_eq!(ask(page(3, false, 0), page(3, false, 0), 5).await, (5, true));
        assert_eq!(ask(page(3, false, 0), page(0, false, 0), 6).await, (3, false));
        assert_eq!(ask(page(3, false, 1), page(0, false, 0), 6).await, (3, true));
        assert_eq!(ask(page(3, false, 0), page(0, true, 0), 6).await, (3, true));
        assert_eq!(ask(page(10, false, 0), page(0, false, 0), 10).await, (10, false));
    }

    #[test]
    fn mappings_become_dotted_names() {
        let properties = json!({"status": {"type": "long"}, "http": {"properties": {"code": {"type": "keyword"}}},
            "message": {"type": "text", "fields": {"keyword": {"type": "keyword"}}},
            "n": {"type": "nested", "properties": {"x": {"type": "ip"}}}});
        let got: Vec<_> = flattened(properties.as_object().unwrap()).into_iter().collect();
        let want = [
            ("http.code", "keyword"),
            ("message", "text"),
            ("message.keyword", "keyword"),
            ("n", "nested"),
            ("n.x", "ip"),
            ("status", "long"),
        ];
        assert_eq!(got, want.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
