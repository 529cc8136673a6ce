//! Files into containers and out of them, as tar archives. Works on stopped containers too.

use super::{Asked, Docker};
use crate::engine::EngineError;
use crate::engine::spec::FileSpec;
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::StreamExt;
use std::io::Read;

/// What an archive of one file holds besides its content, at most.
const AROUND_A_FILE: usize = 64 * 1024;

impl Docker {
    /// Puts files into a container. Missing folders are made, owned by root and open to all
    /// readers.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not take the archive.
    pub(super) async fn upload(
        &self,
        container: &str,
        files: &[FileSpec],
    ) -> Result<(), EngineError> {
        if files.is_empty() {
            return Ok(());
        }
        let archive = archive(files).map_err(|error| EngineError::Refused {
            what: format!("packing files for container {container}"),
            status: None,
            seen: error.to_string(),
        })?;
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        self.client
            .upload_to_container(container, Some(options), bollard::body_full(Bytes::from(archive)))
            .await
            .asked(|| format!("putting files into container {container}"))
    }

    /// One file of a container, unless it is larger than `at_most` bytes.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there, is no file or is too large.
    pub(in crate::engine) async fn download(
        &self,
        container: &str,
        path: &str,
        at_most: usize,
    ) -> Result<Vec<u8>, EngineError> {
        let what = || format!("reading {path} of container {container}");
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut parts =
            std::pin::pin!(self.client.download_from_container(container, Some(options)));
        let mut archive = Vec::new();
        while let Some(part) = parts.next().await {
            archive.extend_from_slice(&part.asked(what)?);
            if archive.len() > at_most.saturating_add(AROUND_A_FILE) {
                break;
            }
        }
        content(&archive, at_most).map_err(|seen| EngineError::Refused {
            what: what(),
            status: None,
            seen,
        })
    }
}

/// The content of the one file of an archive.
fn content(archive: &[u8], at_most: usize) -> Result<Vec<u8>, String> {
    let mut archive = tar::Archive::new(archive);
    let mut entries = archive.entries().map_err(|e| e.to_string())?;
    let file = entries.next().ok_or("the archive of it is empty")?.map_err(|e| e.to_string())?;
    if !file.header().entry_type().is_file() {
        return Err("it is no file".into());
    }
    let size = usize::try_from(file.size()).unwrap_or(usize::MAX);
    if size > at_most {
        return Err(format!("it has {size} bytes, and at most {at_most} are read"));
    }
    let mut content = Vec::new();
    file.take(at_most as u64).read_to_end(&mut content).map_err(|e| e.to_string())?;
    match content.len() {
        read if read == size => Ok(content),
        read => Err(format!("{read} of its {size} bytes were read")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_of_one_file_gives_it_back() {
        let file = FileSpec::readable("/etc/firedrill/ca.pem", "content");
        let packed = archive(std::slice::from_ref(&file)).expect("packs");
        assert_eq!(content(&packed, 7), Ok(file.content));
    }

    #[test]
    fn what_is_too_large_or_cut_off_or_no_file_is_refused() {
        let file = FileSpec::readable("/events.jsonl", "content");
        let packed = archive(std::slice::from_ref(&file)).expect("packs");
        let refused = |archive: &[u8], at_most| content(archive, at_most).expect_err("refused");
        assert_eq!(refused(&packed, 6), "it has 7 bytes, and at most 6 are read");
        assert_eq!(refused(&packed[..512 + 3], 7), "3 of its 7 bytes were read");
        assert_eq!(refused(&[], 7), "the archive of it is empty");
        assert!(!refused(&packed[..100], 7).is_empty());
        let mut folder = tar::Header::new_gnu();
        folder.set_entry_type(tar::EntryType::Directory);
        folder.set_size(0);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut folder, "events.jsonl/", std::io::empty()).expect("packs");
        assert_eq!(refused(&builder.into_inner().expect("packs"), 7), "it is no file");
    }
}
