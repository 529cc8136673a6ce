//! Real servers in containers.

use libtest_mimic::Failed;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use support::images;
use testcontainers::core::{ContainerPort, CopyDataSource, IntoContainerPort};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::sleep;

/// Far longer than anything here takes: a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(30);

/// A running server, with its ports on the loopback interface.
pub struct Running {
    container: ContainerAsync<GenericImage>,
}

impl Running {
    /// Starts one with these files.
    pub async fn start(
        name: &str,
        ports: &'static [u16],
        files: Vec<(String, String)>,
    ) -> Result<Running, Failed> {
        let (image, tag) =
            images::reference(name).rsplit_once(':').ok_or("a reference without a tag")?;
        let tcp: Vec<ContainerPort> = ports.iter().map(|p| p.tcp()).collect();
        // On the loopback interface only, and not where the library would publish them.
        let bound = tcp.clone().into_iter().map(|p| {
            (
                p.to_string(),
                Some(vec![bollard::models::PortBinding {
                    host_ip: Some("127.0.0.1".into()),
                    host_port: None,
                }]),
            )
        });
        let bound: Vec<_> = bound.collect();
        let image =
            tcp.into_iter().fold(GenericImage::new(image, tag), GenericImage::with_exposed_port);
        let request = image
            .with_label("firedrill.run", format!("loadgen-wide-{}", std::process::id()))
            .with_label("firedrill.stack", "loadgen-wide")
            .with_host_config_modifier(move |host| {
                host.publish_all_ports = Some(false);
                host.port_bindings = Some(bound.iter().cloned().collect());
            });
        let request = files.into_iter().fold(request, |request, (path, text)| {
            request.with_copy_to(path, CopyDataSource::Data(text.into_bytes()))
        });
        Ok(Running { container: request.start().await? })
    }

    /// Where a port of it is.
    pub async fn at(&self, port: u16) -> Result<SocketAddr, Failed> {
        Ok(SocketAddr::from(([127, 0, 0, 1], self.container.get_host_port_ipv4(port.tcp()).await?)))
    }

    /// What it has written so far, on both streams.
    pub async fn log(&self) -> Result<String, Failed> {
        let (out, err) =
            (self.container.stdout_to_vec().await?, self.container.stderr_to_vec().await?);
        Ok([out, err].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat())
    }

    /// What it has written, once that is so.
    pub async fn log_with(&self, so: impl Fn(&str) -> bool) -> Result<String, Failed> {
        let deadline = Instant::now() + LONG;
        loop {
            let log = self.log().await?;
            if so(&log) || Instant::now() > deadline {
                return Ok(log);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Does this with it and removes it, however that ends.
    pub fn with(
        self,
        runtime: &Runtime,
        test: impl FnOnce(&Running) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let tested = std::panic::catch_unwind(AssertUnwindSafe(|| test(&self)));
        let removed = runtime.block_on(self.container.rm());
        let tested = tested.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        tested.and(removed.map_err(Failed::from))
    }
}

/// Says these things to a server of lines and wants answers that begin so, again until it does.
pub async fn dialogue(at: SocketAddr, exchanges: &[(String, &str)]) -> Result<(), Failed> {
    let deadline = Instant::now() + LONG;
    loop {
        match once(at, exchanges).await {
            Ok(()) => return Ok(()),
            Err(e) if Instant::now() > deadline => return Err(format!("{at}: {e}").into()),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn once(at: SocketAddr, exchanges: &[(String, &str)]) -> std::io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(at).await?);
    for (say, wanted) in exchanges {
        stream.write_all(say.as_bytes()).await?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            if !line.starts_with(wanted) {
                return Err(std::io::Error::other(format!("{line:?} after {say:?}")));
            }
            if line.as_bytes().get(wanted.len()) != Some(&b'-') {
                break;
            }
        }
    }
    Ok(())
}
