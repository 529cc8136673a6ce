//! The engine's build cache: giving back what our builds left there, and only that.

use super::{Error, Images};
use bollard::query_parameters::PruneBuildOptionsBuilder;
use http_body_util::BodyExt;
use serde::Deserialize;
use std::collections::HashMap;

/// Every cache mount of ours has this in its description: in the path that it is mounted at, or in
/// the command it was made by.
const OURS: &str = "firedrill";

#[derive(Deserialize)]
struct Usage {
    #[serde(rename = "BuildCache")]
    old: Option<Vec<Record>>,
    #[serde(rename = "BuildCacheUsage")]
    new: Option<Records>,
}

#[derive(Deserialize)]
struct Records {
    #[serde(rename = "Items")]
    items: Option<Vec<Record>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    in_use: bool,
}

impl Images<'_> {
    /// Removes the cache mounts of our builds (fetched modules, compiler output, Debian packages)
    /// and returns the bytes given back. Caches of other builds stay. An engine that is not reached
    /// through a local socket is left alone.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn prune_cache(&self) -> Result<u64, Error> {
        let Some(usage) = usage().await else { return Ok(0) };
        let mut bytes = 0;
        for id in ours(usage) {
            // Other filters of the engine want the whole description. This one is a pattern for the
            // id.
            let filters = HashMap::from([("id", vec![format!("^{id}$")])]);
            let options = PruneBuildOptionsBuilder::default().all(true).filters(&filters).build();
            let pruned = self
                .docker
                .prune_build(Some(options))
                .await
                .map_err(Error::engine("pruning the build cache"))?;
            bytes += u64::try_from(pruned.space_reclaimed.unwrap_or(0)).unwrap_or(0);
        }
        Ok(bytes)
    }
}

fn ours(usage: Usage) -> Vec<String> {
    usage
        .old
        .into_iter()
        .chain(usage.new.and_then(|n| n.items))
        .flatten()
        .filter(|r| r.kind == "exec.cachemount" && !r.in_use && r.description.contains(OURS))
        .map(|r| r.id)
        .collect()
}

/// The records of the build cache. bollard 0.21 knows only the shape that engines since 1.52 answer
/// with, so this asks itself.
async fn usage() -> Option<Usage> {
    let host =
        std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
    let stream = tokio::net::UnixStream::connect(host.strip_prefix("unix://")?).await.ok()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.ok()?;
    let driver = tokio::spawn(connection);
    let request = hyper::Request::get("/system/df?type=build-cache&verbose=true")
        .header("host", "engine")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .ok()?;
    let body =
        sender.send_request(request).await.ok()?.into_body().collect().await.ok()?.to_bytes();
    driver.abort();
    serde_json::from_slice(&body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_idle_cache_mounts_of_ours_are_chosen_in_both_shapes() {
        let record = |id: &str, kind: &str, description: &str, used: bool| serde_json::json!({"ID": id, "Type": kind, "Description": description, "InUse": used});
        let records = [
            record(
                "a",
                "exec.cachemount",
                "cached mount /firedrill/gomod from exec /bin/sh -c go build",
                false,
            ),
            record(
                "b",
                "exec.cachemount",
                "cached mount /var/cache/apt from exec /bin/sh -c firedrill-install curl",
                false,
            ),
            record(
                "c",
                "exec.cachemount",
                "cached mount /go/pkg/mod from exec /bin/sh -c go build",
                false,
            ),
            record("d", "regular", "mount / from exec /bin/sh -c firedrill-install curl", false),
            record("e", "exec.cachemount", "cached mount /firedrill/gobuild from exec", true),
        ];
        let old: Usage =
            serde_json::from_value(serde_json::json!({"BuildCache": records, "Images": []}))
                .expect("old shape");
        assert_eq!(ours(old), ["a", "b"]);
        let new: Usage =
            serde_json::from_value(serde_json::json!({"BuildCacheUsage": {"Items": records}}))
                .expect("new shape");
        assert_eq!(ours(new), ["a", "b"]);
    }
}
