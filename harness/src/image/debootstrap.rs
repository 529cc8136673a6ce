//! Roots made of Debian packages: mmdebstrap on the host, its archive imported as it comes.

use super::buildkit::Output;
use super::catalogue::{Catalogue, Image};
use super::ensure::LABEL;
use super::manifest::Debootstrap;
use super::{Error, Kind};
use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio_util::codec::{BytesCodec, FramedRead};

const TOOL: &str = "mmdebstrap";

/// Builds one, tagged by its hash.
pub(super) async fn build(
    docker: &Docker,
    catalogue: &Catalogue,
    image: &Image,
    logs: &Path,
) -> Result<(), Error> {
    let Some(root) = &image.debootstrap else { return Ok(()) };
    let mut child = command(root, catalogue, image).spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::Tool {
            image: image.name.clone(),
            tool: TOOL.into(),
            hint: format!("apt-get install {TOOL} debian-archive-keyring, or let `--provision` do it, or take `--images upstream`"),
        },
        _ => Error::File { what: "starting", path: TOOL.into(), source: e },
    })?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Ok(());
    };

    let mut output = Output::create(logs, &image.name)?;
    let mut lines = BufReader::new(stderr).lines();
    let reading = async move {
        while let Ok(Some(line)) = lines.next_line().await {
            output.line(&line)?;
        }
        Ok::<_, Error>(output)
    };
    // The tag is set only when mmdebstrap has ended well: a half archive may import without
    // complaint.
    let unproven = format!("{}-unproven", &image.hash[..12]);
    let importing = import(docker, image, &unproven, stdout);
    let (output, imported, ended) = tokio::join!(reading, importing, child.wait());
    let output = output?;
    let failed = match (&ended, &imported) {
        (Ok(status), _) if !status.success() => Some(format!("{TOOL}: {status}")),
        (Err(error), _) => Some(format!("{TOOL}: {error}")),
        (_, Err(error)) => Some(format!("import: {error}")),
        _ => None,
    };
    let unproven = format!("{}:{unproven}", repository(image));
    if failed.is_none() {
        let tagging = bollard::query_parameters::TagImageOptionsBuilder::default()
            .repo(&repository(image))
            .tag(&image.hash[..12])
            .build();
        docker
            .tag_image(&unproven, Some(tagging))
            .await
            .map_err(Error::engine(format!("tagging {}", image.reference())))?;
    }
    let gone = docker
        .remove_image(&unproven, None::<bollard::query_parameters::RemoveImageOptions>, None)
        .await;
    match failed {
        Some(why) => Err(output.failure(&image.name, &why)),
        None => gone.map(drop).map_err(Error::engine(format!("untagging {unproven}"))),
    }
}

fn repository(image: &Image) -> String {
    format!("firedrill/{}", image.name)
}

/// The tool's command, which writes the root as an archive to its standard output.
fn command(root: &Debootstrap, catalogue: &Catalogue, image: &Image) -> Command {
    let mut command = Command::new(TOOL);
    command.arg("--format=tar");
    command
        .arg(format!("--variant={}", root.variant))
        .arg(format!("--include={}", root.packages.join(",")));
    for glob in &root.path_exclude {
        command.arg(format!("--dpkgopt=path-exclude={glob}"));
    }
    for parent in
        image.needs.iter().filter_map(|n| catalogue.get(n)).filter(|p| p.kind == Kind::Files)
    {
        command.arg(format!(
            "--customize-hook=cp -rT --no-preserve=ownership '{}' \"$1\"",
            parent.folder.join("rootfs").display()
        ));
    }
    for hook in &root.hooks {
        command.arg(format!("--customize-hook={hook}"));
    }
    // What is of this machine, or can be fetched again.
    command.arg("--customize-hook=rm -rf \"$1\"/var/lib/apt/lists/* \"$1\"/var/cache/apt/* \"$1\"/var/log/apt \"$1\"/var/log/*.log");
    command.arg("--customize-hook=rm -f \"$1\"/etc/resolv.conf \"$1\"/etc/hostname");
    command.args([root.suite.as_str(), "-"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Imports the archive as it comes.
async fn import(
    docker: &Docker,
    image: &Image,
    tag: &str,
    archive: ChildStdout,
) -> Result<(), bollard::errors::Error> {
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(&repository(image))
        .tag(tag)
        .changes(vec![
            "ENV LANG=C.UTF-8".into(),
            "CMD [\"/bin/sh\"]".into(),
            format!("LABEL {LABEL}={}", image.name),
        ])
        .build();
    let archive = FramedRead::with_capacity(archive, BytesCodec::new(), 1 << 20)
        .map(|chunk| chunk.map(bytes::BytesMut::freeze));
    let mut stream =
        docker.create_image(Some(options), Some(bollard::body_try_stream(archive)), None);
    while let Some(step) = stream.next().await {
        step?;
    }
    Ok(())
}
