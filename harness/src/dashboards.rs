//! Dashboards as Grafana's JSON and provisioning files state them, and what the browser makes of
//! them: panels, variables with their values, queries as they are sent. Nothing here asks anybody:
//! what must be asked for goes through [`Proxy`].

#[cfg(test)]
mod foreign;
pub(crate) mod format;
pub(crate) mod interval;
pub(crate) mod lookup;
pub(crate) mod panels;
pub(crate) mod query;
pub(crate) mod resolve;
pub(crate) mod variables;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

/// A data source as Grafana knows it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataSource {
    pub uid: String,
    pub name: String,
    /// Type, for example `prometheus`.
    pub r#type: String,
    /// Whether panels that name none are about it.
    #[serde(default)]
    pub is_default: bool,
    /// Settings of its plug-in.
    #[serde(default)]
    pub json_data: Value,
}

/// Who can ask a data source.
pub(crate) trait Proxy: Sync {
    /// GET of a path below a data source's address; status and text of the answer.
    fn get<'a>(
        &'a self,
        source: &'a DataSource,
        path: String,
    ) -> BoxFuture<'a, Result<(u16, String), String>>;
}

/// Why a panel's query is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    /// People would see an error.
    Fails(String),
    /// It can't be asked here, which says nothing about what people see.
    NotAsked(String),
}

/// A question of a data source's health that needs no plug-in: path below its address, by its type.
pub(crate) fn health_path(source: &DataSource) -> Option<String> {
    match source.r#type.as_str() {
        "elasticsearch" => Some(format!("{}/_mapping", index(source))),
        "jaeger" => Some("api/services".into()),
        "alertmanager" => Some("api/v2/status".into()),
        "tempo" => Some("api/echo".into()),
        "zipkin" => Some("api/v2/services".into()),
        _ => None,
    }
}

/// Indices of an Elasticsearch data source, a date in their names as a wildcard:
/// `[logs-]YYYY.MM.DD` → `logs-*`.
pub(crate) fn index(source: &DataSource) -> String {
    match source.json_data["index"].as_str().filter(|i| !i.is_empty()) {
        Some(index) => match index.strip_prefix('[').and_then(|i| i.split_once(']')) {
            Some((prefix, _)) => format!("{prefix}*"),
            None => index.to_owned(),
        },
        None => "*".into(),
    }
}
