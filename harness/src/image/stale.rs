//! Images of earlier versions of the same thing: each change of a file or a binary leaves one
//! behind.

use bollard::Docker;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptions};
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Younger ones stay, in seconds: another process, or another working copy of the repository, may
/// be about to use them.
const STALE: u64 = 24 * 60 * 60;

/// Removes the images with `label=name` that are old and that no container uses, except `keep`.
/// That one can't be removed is no reason to stop.
pub(super) async fn remove_stale(docker: &Docker, label: &str, name: &str, keep: &str) {
    let filters = HashMap::from([("label", vec![format!("{label}={name}")])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    for image in docker.list_images(Some(options)).await.unwrap_or_default() {
        let age = now.saturating_sub(u64::try_from(image.created).unwrap_or(0));
        for tag in image.repo_tags.iter().filter(|t| t.as_str() != keep && age > STALE) {
            if let Err(error) = docker.remove_image(tag, None::<RemoveImageOptions>, None).await {
                tracing::debug!(%tag, %error, "an old image stays");
            }
        }
    }
}
