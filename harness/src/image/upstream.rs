//! Pulling public images.

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use std::time::Duration;

/// A pull that says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(120);

/// Whether the engine has the image already.
pub(super) async fn present(
    docker: &Docker,
    reference: &str,
) -> Result<bool, bollard::errors::Error> {
    match docker.inspect_image(reference).await {
        Ok(_) => Ok(true),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Pulls it; the error is what the engine said, in one line.
pub(super) async fn pull(docker: &Docker, reference: &str) -> Result<(), String> {
    let options = CreateImageOptionsBuilder::default().from_image(reference).build();
    let mut stream = docker.create_image(Some(options), None, None);
    loop {
        match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(reason(&error)),
            Err(_) => return Err(format!("no progress for {} s", SILENCE.as_secs())),
        }
    }
    match present(docker, reference).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("the pull ended without an image".into()),
        Err(error) => Err(reason(&error)),
    }
}

/// What the engine said, without how bollard wraps it.
pub(super) fn reason(error: &bollard::errors::Error) -> String {
    let text = match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message.clone(),
        bollard::errors::Error::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    };
    text.lines().next().unwrap_or("no reason given").to_owned()
}
