//! Real servers for component tests: started on 127.0.0.1, labelled, removed when the test ends
//! however it ends.

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkCreateRequest, NetworkingConfig,
    PortBinding,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
    WaitContainerOptions,
};
use futures::StreamExt;
use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

/// Labels of all that a lab makes: by the first, `firedrill down --all` finds what a killed test
/// has left.
fn labels(network: &str) -> HashMap<String, String> {
    HashMap::from(
        [("firedrill.run", network), ("firedrill.stack", "probes-test")]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
}

/// A container to start.
#[derive(Default)]
pub struct Spec {
    pub image: &'static str,
    /// Names in the lab's network.
    pub aliases: Vec<String>,
    pub env: Vec<String>,
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    /// `host path:container path[:ro]`.
    pub binds: Vec<String>,
    /// Ports to publish on 127.0.0.1; they stay the same when the container is restarted.
    pub ports: Vec<u16>,
}

/// A container that runs.
pub struct Container {
    pub id: String,
    ports: HashMap<u16, u16>,
}

impl Container {
    pub fn port(&self, inside: u16) -> u16 {
        self.ports[&inside]
    }
}

/// One test's containers and their network.
pub struct Lab {
    docker: Docker,
    network: String,
    containers: Vec<String>,
}

impl Lab {
    pub async fn new() -> Lab {
        let docker = Docker::connect_with_local_defaults().unwrap();
        let network = format!("firedrill-probes-test-{}", uuid::Uuid::new_v4().simple());
        let request = NetworkCreateRequest {
            name: network.clone(),
            labels: Some(labels(&network)),
            ..Default::default()
        };
        docker.create_network(request).await.unwrap();
        Lab { docker, network, containers: Vec::new() }
    }

    pub async fn start(&mut self, spec: Spec) -> Container {
        let mut ports = HashMap::new();
        let mut bindings = HashMap::new();
        for inside in &spec.ports {
            let free =
                std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            ports.insert(*inside, free);
            let binding = PortBinding {
                host_ip: Some("127.0.0.1".into()),
                host_port: Some(free.to_string()),
            };
            bindings.insert(format!("{inside}/tcp"), Some(vec![binding]));
        }
        let endpoint = EndpointSettings { aliases: Some(spec.aliases), ..Default::default() };
        let body = ContainerCreateBody {
            image: Some(spec.image.into()),
            env: Some(spec.env),
            entrypoint: spec.entrypoint,
            cmd: spec.cmd,
            labels: Some(labels(&self.network)),
            exposed_ports: Some(bindings.keys().cloned().collect()),
            host_config: Some(HostConfig {
                binds: Some(spec.binds),
                port_bindings: Some(bindings),
                network_mode: Some(self.network.clone()),
                ..Default::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(self.network.clone(), endpoint)])),
            }),
            ..Default::default()
        };
        let name = format!("firedrill-probes-test-{}", uuid::Uuid::new_v4().simple());
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let id = self.docker.create_container(Some(options), body).await.unwrap().id;
        self.containers.push(id.clone());
        self.docker.start_container(&id, None::<StartContainerOptions>).await.unwrap();
        Container { id, ports }
    }

    pub async fn stop(&self, container: &Container) {
        let at_once = StopContainerOptionsBuilder::default().t(1).build();
        self.docker.stop_container(&container.id, Some(at_once)).await.unwrap();
    }

    pub async fn start_again(&self, container: &Container) {
        self.docker.start_container(&container.id, None::<StartContainerOptions>).await.unwrap();
    }

    /// Lets it stand still for a time.
    pub async fn freeze(&self, container: &Container, time: Duration) {
        self.while_frozen(container, tokio::time::sleep(time)).await;
    }

    /// Lets it stand still until something is done.
    pub async fn while_frozen<T>(&self, container: &Container, work: impl Future<Output = T>) -> T {
        self.docker.pause_container(&container.id).await.unwrap();
        let done = work.await;
        self.docker.unpause_container(&container.id).await.unwrap();
        done
    }

    /// Sends SIGHUP, on which servers read their configuration again.
    pub async fn hang_up(&self, container: &Container) {
        let signal =
            bollard::query_parameters::KillContainerOptionsBuilder::default().signal("HUP").build();
        self.docker.kill_container(&container.id, Some(signal)).await.unwrap();
    }

    /// What the container wrote, for messages of failing tests.
    pub async fn log(&self, container: &Container) -> String {
        let running =
            self.docker.inspect_container(&container.id, None::<InspectContainerOptions>).await;
        let state = running.ok().and_then(|c| c.state);
        format!("{state:?}\n{}", self.written(container).await)
    }

    /// Waits until the container has ended; its exit code and what it wrote.
    pub async fn ended(&self, container: &Container) -> (Option<i64>, String) {
        let _: Vec<_> =
            self.docker.wait_container(&container.id, None::<WaitContainerOptions>).collect().await;
        let seen = self
            .docker
            .inspect_container(&container.id, None::<InspectContainerOptions>)
            .await
            .unwrap();
        (seen.state.and_then(|state| state.exit_code), self.written(container).await)
    }

    async fn written(&self, container: &Container) -> String {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("60").build();
        let lines: Vec<_> = self.docker.logs(&container.id, Some(options)).collect().await;
        lines.into_iter().flatten().map(|l| l.to_string()).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let (containers, network) = (std::mem::take(&mut self.containers), self.network.clone());
        // A runtime of its own: the test's may be unwinding.
        let removed = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let docker = Docker::connect_with_local_defaults().unwrap();
                for id in containers {
                    let options =
                        RemoveContainerOptionsBuilder::default().force(true).v(true).build();
                    docker.remove_container(&id, Some(options)).await?;
                }
                docker.remove_network(&network).await
            })
        });
        let removed = removed.join().unwrap();
        // A test that failed says why by itself.
        if !std::thread::panicking() {
            removed.expect("what the test made is removed");
        }
    }
}

/// Asks again until `ask` gives something, at most for `bound`.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(
    bound: Duration,
    mut ask: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        // A connection that Docker's proxy took before the server listened was once never heard of
        // again.
        let asked = tokio::time::timeout(bound.max(Duration::from_secs(30)) / 3, ask()).await;
        match asked.unwrap_or_else(|_| Err("no answer".into())) {
            Ok(seen) => return seen,
            Err(error) if began.elapsed() > bound => panic!("not within {bound:?}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
