//! Builds by the engine's BuildKit.

use super::Error;
use super::upstream::reason;
use bollard::Docker;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use futures::StreamExt;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::io::ReaderStream;

/// A build that says nothing for so long is given up. The Go compiler says nothing while it
/// compiles.
const SILENCE: Duration = Duration::from_secs(30 * 60);
/// How much of the output an error shows.
const TAIL_LINES: usize = 25;
/// What the host says about how to reach the registries; BuildKit knows these arguments without
/// declaration.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];

/// One build.
pub(super) struct Build<'a> {
    /// Name in the catalogue, or of our own binary.
    pub name: &'a str,
    /// Repository and tag of the result.
    pub reference: &'a str,
    /// The context, a tar archive.
    pub context: std::fs::File,
    pub arguments: HashMap<String, String>,
    /// Labels of the result.
    pub labels: HashMap<String, String>,
    /// Folder for the output.
    pub logs: &'a Path,
}

impl Build<'_> {
    /// Runs it to its end.
    pub async fn run(mut self, docker: &Docker) -> Result<(), Error> {
        for name in PROXIES {
            if let Ok(value) = std::env::var(name) {
                self.arguments.entry(name.into()).or_insert(value);
            }
        }
        let mut output = Output::create(self.logs, self.name)?;
        let session = uuid::Uuid::new_v4().to_string();
        let options = BuildImageOptionsBuilder::default()
            .t(self.reference)
            .dockerfile("Dockerfile")
            .version(BuilderVersion::BuilderBuildKit)
            .session(&session)
            .buildargs(&self.arguments)
            .labels(&self.labels)
            .rm(true)
            .build();
        let context = ReaderStream::new(tokio::fs::File::from_std(self.context));
        let mut stream = docker.build_image(options, None, Some(bollard::body_try_stream(context)));
        let mut began = HashSet::new();
        loop {
            match tokio::time::timeout(SILENCE, stream.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(BuildInfo { aux: Some(BuildInfoAux::BuildKit(status)), .. }))) => {
                    for vertex in &status.vertexes {
                        if vertex.started.is_some() && began.insert(vertex.digest.clone()) {
                            output.line(&vertex.name)?;
                        }
                        if !vertex.error.is_empty() {
                            output.line(&vertex.error)?;
                        }
                    }
                    for log in &status.logs {
                        for line in String::from_utf8_lossy(&log.msg).lines() {
                            output.line(line)?;
                        }
                    }
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return Err(output.failure(self.name, &reason(&error))),
                Err(_) => {
                    return Err(output.failure(
                        self.name,
                        &format!("no output for {} minutes", SILENCE.as_secs() / 60),
                    ));
                }
            }
        }
        // The stream also ends when the engine goes away: only the image itself is proof.
        match docker.inspect_image(self.reference).await {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(output
                    .failure(self.name, &format!("the build ended without an image: {error}")))
            }
        }
    }
}

/// The output of a build: a file, and its last lines in memory.
pub(super) struct Output {
    path: PathBuf,
    file: std::fs::File,
    tail: VecDeque<String>,
}

impl Output {
    /// Begins `<logs>/<name>.log` anew.
    pub fn create(logs: &Path, name: &str) -> Result<Self, Error> {
        std::fs::create_dir_all(logs).map_err(|source| Error::File {
            what: "creating",
            path: logs.into(),
            source,
        })?;
        let path = logs.join(format!("{name}.log"));
        let file = std::fs::File::create(&path).map_err(|source| Error::File {
            what: "creating",
            path: path.clone(),
            source,
        })?;
        Ok(Self { path, file, tail: VecDeque::new() })
    }

    /// Adds a line.
    pub fn line(&mut self, line: &str) -> Result<(), Error> {
        let line = line.trim_end();
        writeln!(self.file, "{line}").map_err(|source| Error::File {
            what: "writing",
            path: self.path.clone(),
            source,
        })?;
        if !line.is_empty() {
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            self.tail.push_back(format!("  {line}"));
        }
        Ok(())
    }

    /// The error that shows the last lines.
    pub fn failure(self, name: &str, why: &str) -> Error {
        let tail = self.tail.into_iter().collect::<Vec<_>>().join("\n");
        Error::Build { name: name.into(), why: why.into(), tail, log: self.path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_last_lines_and_names_the_log() {
        let logs = tempfile::tempdir().expect("folder");
        let mut output = Output::create(&logs.path().join("new"), "x").expect("output");
        for n in 0..100 {
            output.line(&format!("line {n}")).expect("line");
        }
        let Error::Build { tail, log, .. } = output.failure("x", "exit code 1") else {
            panic!("another error")
        };
        assert!(tail.starts_with("  line 75\n") && tail.ends_with("  line 99"), "{tail}");
        assert_eq!(std::fs::read_to_string(log).expect("log").lines().count(), 100);
    }
}
