//! The real servers behind the services, one container each, shared by all tests of a run.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::ListContainersOptionsBuilder;
use testcontainers::core::{Host, Mount};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};
use tokio::net::TcpStream;

use support::images;

/// Names in the catalogue.
pub const IMAGES: &[&str] = &["postgres", "redis", "postfix", "dovecot", "jaeger"];

/// The servers, ready to be used; removed when dropped.
pub struct Backends {
    pub postgres: SocketAddr,
    pub redis: SocketAddr,
    pub smtp: SocketAddr,
    pub imap: SocketAddr,
    pub otlp: SocketAddr,
    pub traces: SocketAddr,
    _containers: Vec<ContainerAsync<GenericImage>>,
}

impl Backends {
    pub async fn start() -> Result<Self, Box<dyn Error>> {
        let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/email").canonicalize()?;
        let configuration = |name: &str, target: &str| {
            Mount::bind_mount(stack.join(name).display().to_string(), target)
        };
        let user =
            [("POSTGRES_USER", "mail"), ("POSTGRES_PASSWORD", "test"), ("POSTGRES_DB", "mail")];
        let postgres = user
            .into_iter()
            .fold(image("postgres"), |image, (name, value)| image.with_env_var(name, value));
        let dovecot = image("dovecot")
            .with_mount(configuration("dovecot", "/etc/dovecot"))
            .with_mount(Mount::tmpfs_mount("/var/log/stack"))
            .with_env_var("MAIL_PASSWORD", "correct-horse");
        // One database for each test.
        let redis = image("redis").with_cmd(["redis-server", "--databases", "64"]);
        let (postgres, redis, dovecot, jaeger) = tokio::try_join!(
            postgres.start(),
            redis.start(),
            dovecot.start(),
            image("jaeger").start()
        )?;
        let postfix = image("postfix")
            .with_mount(configuration("postfix", "/etc/postfix-conf"))
            .with_host("dovecot", Host::Addr(dovecot.get_bridge_ip_address().await?))
            .start()
            .await?;
        let backends = Self {
            postgres: SocketAddr::new(postgres.get_bridge_ip_address().await?, 5432),
            redis: SocketAddr::new(redis.get_bridge_ip_address().await?, 6379),
            smtp: SocketAddr::new(postfix.get_bridge_ip_address().await?, 25),
            imap: SocketAddr::new(dovecot.get_bridge_ip_address().await?, 143),
            otlp: SocketAddr::new(jaeger.get_bridge_ip_address().await?, 4317),
            traces: SocketAddr::new(jaeger.get_bridge_ip_address().await?, 16686),
            _containers: vec![postgres, redis, dovecot, jaeger, postfix],
        };
        for address in
            [backends.redis, backends.smtp, backends.imap, backends.otlp, backends.traces]
        {
            answers(address).await?;
        }
        backends.database("mail").await?;
        Ok(backends)
    }

    /// A client of the database of that name, once the server lets it in.
    pub async fn database(&self, name: &str) -> Result<tokio_postgres::Client, Box<dyn Error>> {
        let url = format!("postgres://mail:test@{}/{name}", self.postgres);
        let mut last = None;
        for _ in 0..150 {
            match tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return Ok(client);
                }
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(format!("no PostgreSQL within 30 s: {last:?}").into())
    }
}

fn image(name: &str) -> ContainerRequest<GenericImage> {
    let (image, tag) = images::reference(name)
        .rsplit_once(':')
        .unwrap_or_else(|| panic!("image {name} has no tag"));
    GenericImage::new(image, tag)
        .with_label("firedrill.run", run())
        .with_label("firedrill.stack", "apps-test")
        .with_network("bridge")
}

/// By this label `firedrill down --all` finds what a killed test has left.
fn run() -> String {
    format!("apps-test-{}", std::process::id())
}

/// Containers of this run that are still there.
pub async fn left() -> Result<usize, bollard::errors::Error> {
    let filters = HashMap::from([("label", vec![format!("firedrill.run={}", run())])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    Ok(bollard::Docker::connect_with_local_defaults()?.list_containers(Some(options)).await?.len())
}

async fn answers(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    for _ in 0..150 {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(format!("nothing listens on {address} within 30 s").into())
}
