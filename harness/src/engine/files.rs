//! Files into and out of containers, as tar archives. Works on stopped containers too.

use super::{Asked, Engine, EngineError, spec::FileSpec};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::StreamExt;
use std::io::Read;

impl Engine {
    /// Puts files into a container. Missing folders are made, owned by root and open to all
    /// readers.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not take the archive.
    pub async fn upload(&self, container: &str, files: &[FileSpec]) -> Result<(), EngineError> {
        if files.is_empty() {
            return Ok(());
        }
        let archive = archive(files).map_err(|error| EngineError::Refused {
            what: format!("packing files for container {container}"),
            status: None,
            seen: error.to_string(),
        })?;
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        self.docker
            .upload_to_container(container, Some(options), bollard::body_full(Bytes::from(archive)))
            .await
            .asked(|| format!("putting files into container {container}"))
    }

    /// Reads one file of a container.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there or is no file.
    pub async fn read_file(&self, container: &str, path: &str) -> Result<Vec<u8>, EngineError> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut stream =
            std::pin::pin!(self.docker.download_from_container(container, Some(options)));
        let mut archive = Vec::new();
        while let Some(part) = stream.next().await {
            archive.extend_from_slice(
                &part.asked(|| format!("reading {path} of container {container}"))?,
            );
        }
        unpack_one(&archive).map_err(|seen| EngineError::Refused {
            what: format!("reading {path} of container {container}"),
            status: None,
            seen,
        })
    }
}

fn archive(files: &[FileSpec]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        header.set_mtime(0);
        builder.append_data(
            &mut header,
            file.path.trim_start_matches('/'),
            file.content.as_slice(),
        )?;
    }
    builder.into_inner()
}

fn unpack_one(archive: &[u8]) -> Result<Vec<u8>, String> {
    let mut reader = tar::Archive::new(archive);
    let mut entries = reader.entries().map_err(|error| error.to_string())?;
    let mut entry =
        entries.next().ok_or("the archive is empty")?.map_err(|error| error.to_string())?;
    if !entry.header().entry_type().is_file() {
        return Err("it is no plain file".into());
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(|error| error.to_string())?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_of_one_file_gives_it_back() {
        let file = FileSpec::readable("/etc/firedrill/ca.pem", "content");
        let packed = archive(std::slice::from_ref(&file)).expect("packs");
        assert_eq!(unpack_one(&packed).expect("unpacks"), file.content);
        assert!(unpack_one(&[]).is_err());
    }
}
