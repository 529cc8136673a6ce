//! Files into containers, as tar archives. Works on stopped containers too.

use super::{Asked, Docker};
use crate::engine::EngineError;
use crate::engine::spec::FileSpec;
use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;

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
    use std::io::Read;

    #[test]
    fn an_archive_of_one_file_gives_it_back() {
        let file = FileSpec::readable("/etc/firedrill/ca.pem", "content");
        let packed = archive(std::slice::from_ref(&file)).expect("packs");
        let mut unpacked = tar::Archive::new(packed.as_slice());
        let mut entry =
            unpacked.entries().expect("an archive").next().expect("a file").expect("whole");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        assert_eq!(content, file.content);
    }
}
