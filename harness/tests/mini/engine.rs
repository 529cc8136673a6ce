//! The engine, stacks, containment and undoing against a real Docker, on stacks of two small
//! containers.
//!
//! `firedrill/<image>:tested` in Compose files stands for the reference that the image has here.

use firedrill::engine::instance::State;
use firedrill::engine::spec::{Attachment, ContainerSpec, FileSpec, PortSpec};
use firedrill::engine::{Engine, Health, Limits, label, namespace};
use firedrill::fault::healing;
use firedrill::journal::{Journal, Undo};
use firedrill::process::failure::UserError;
use firedrill::stack::{
    Running, ServiceOverride, Stack, StackError, Up, WorkCopy, recreate, remove_run, up,
};
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::images;
use support::module::{Test, Tests};
use verdict::history::stack::StackEvent;

const IMAGES: &[&str] = &["redis", "base-trixie"];

pub fn tests() -> Tests {
    Tests::side_by_side([
        trial("a_stack_comes_up_is_reached_and_leaves_nothing", comes_up),
        trial("several_instances_come_up_and_are_told_apart", several),
        trial("dependencies_and_completion_order_the_start", order),
        trial("a_service_is_ready_before_its_first_interval_is_over", ready_early),
        trial("a_service_that_is_not_ready_is_named_with_its_log", not_ready),
        trial("nothing_leaves_a_contained_stack", contained),
        trial("each_undo_mends_the_stack_that_is_there", undoing),
        trial("limits_are_given_and_given_back", limits),
        trial("a_port_in_use_is_named", port_in_use),
        trial("a_missing_image_is_named", no_image),
        trial("privileges_and_limits_are_cut_to_what_the_host_grants", cut_down),
    ])
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn trial<F>(name: &str, test: fn(Arc<Fixture>) -> F) -> Test
where
    F: Future<Output = Outcome> + 'static,
{
    let run = name.to_owned();
    images::trial(name, IMAGES, move || {
        runtime().block_on(async {
            let fixture = Arc::new(
                Fixture::new(&run).await.map_err(|error| Failed::from(error.to_string()))?,
            );
            let outcome =
                test(fixture.clone()).await.map_err(|error| Failed::from(error.to_string()));
            let removed = remove_run(Some(&fixture.engine), &fixture.journal, &fixture.run).await;
            removed.map_err(|error| Failed::from(error.to_string()))?;
            outcome?;
            fixture.nothing_left().await.map_err(|error| Failed::from(error.to_string()))
        })
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
}

/// A run of its own, with a journal and a stack folder in a temporary place. Panics in a test leave
/// the run to be removed when the fixture is dropped.
struct Fixture {
    engine: Engine,
    journal: Journal,
    run: String,
    home: tempfile::TempDir,
    events: Mutex<Vec<StackEvent>>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let (engine, journal, run) = (self.engine.clone(), self.journal.clone(), self.run.clone());
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("runtime");
            // The connection of the test's own runtime is of no use in another.
            drop(engine);
            runtime.block_on(async {
                let engine = Engine::connect().await.ok();
                remove_run(engine.as_ref(), &journal, &run).await
            })
        });
        if let Ok(Err(error)) = removing.join() {
            eprintln!("run {} could not be removed: {error}", self.run);
        }
    }
}

impl Fixture {
    async fn new(test: &str) -> Result<Fixture, Box<dyn std::error::Error>> {
        let initials: String = test.split('_').filter_map(|word| word.chars().next()).collect();
        let home = tempfile::tempdir()?;
        Ok(Fixture {
            engine: Engine::connect().await?,
            journal: Journal::at(home.path().join("state")),
            run: format!("t{}{initials}", std::process::id()),
            home,
            events: Mutex::new(Vec::new()),
        })
    }

    fn write(&self, compose: &str, declaration: &str) -> Result<Stack, Box<dyn std::error::Error>> {
        let folder = self.home.path().join("stack");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("docker-compose.yml"), images::filled(compose, IMAGES))?;
        std::fs::write(
            folder.join("firedrill.yaml"),
            format!("schema: 1\nstack: enginetest\nroles: {{}}\n{declaration}"),
        )?;
        std::fs::write(folder.join("setting.txt"), "as written")?;
        Ok(Stack::open(&folder.to_string_lossy())?)
    }

    async fn up(&self, compose: &str) -> Result<Running, Box<dyn std::error::Error>> {
        let stack = self.write(compose, "")?;
        Ok(self.up_stack(&stack, BTreeMap::new(), Vec::new()).await?)
    }

    async fn up_stack(
        &self,
        stack: &Stack,
        additions: BTreeMap<String, ServiceOverride>,
        extra_services: Vec<ContainerSpec>,
    ) -> Result<Running, StackError> {
        let work = WorkCopy::make(&self.journal, stack, &self.run)?;
        up(Up {
            engine: &self.engine,
            journal: &self.journal,
            stack,
            work: &work,
            images: BTreeMap::new(),
            extra_services,
            additions,
            ports: None,
            ready_within: Duration::from_secs(20),
            kept: false,
            on_event: &|event| self.events.lock().expect("events").push(event),
        })
        .await
    }

    fn seen(&self) -> Vec<StackEvent> {
        self.events.lock().expect("events").clone()
    }

    async fn nothing_left(&self) -> Outcome {
        let run = Some(self.run.as_str());
        assert_eq!(self.engine.containers_with(label::RUN, run).await?, Vec::<String>::new());
        assert_eq!(self.engine.networks_with(label::RUN, run).await?, Vec::<String>::new());
        assert_eq!(self.engine.volumes_with(label::RUN, run).await?, Vec::<String>::new());
        let rules = namespace::run_on_host("iptables-save", &[]).await?;
        assert!(!rules.stdout.contains(&self.run), "{}", rules.stdout);
        assert!(self.journal.open_entries()?.iter().all(|entry| entry.run != self.run));
        assert!(!self.journal.home().join("runs").join(&self.run).exists());
        Ok(())
    }
}

const PAIR: &str = r#"
services:
  redis:
    image: firedrill/redis:tested
    ports: ["127.0.0.1:6379:6379"]
    volumes: ["data:/data", "./setting.txt:/setting.txt:ro"]
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 300ms, timeout: 2s, retries: 30}
  idle:
    image: firedrill/base-trixie:tested
    command: sleep 600
    init: true
    stop_grace_period: 0s
    environment: {GREETING: "hello"}
    depends_on: {redis: {condition: service_healthy}}
volumes: {data: {}}
"#;

fn container(running: &Running, service: &str) -> Result<String, String> {
    running
        .container(service)
        .map(str::to_owned)
        .ok_or_else(|| format!("no container of {service}"))
}

async fn comes_up(fixture: Arc<Fixture>) -> Outcome {
    let stack = fixture.write(PAIR, "")?;
    let additions = BTreeMap::from([(
        "idle".to_owned(),
        ServiceOverride {
            env: BTreeMap::from([("SSL_CERT_FILE".to_owned(), "/etc/firedrill/ca.pem".to_owned())]),
            files: vec![FileSpec::readable("/etc/firedrill/ca.pem", "certificate")],
            ..Default::default()
        },
    )]);
    let stand_in = ContainerSpec {
        service: "stand-in".into(),
        image: images::reference("base-trixie").into(),
        command: Some(vec!["sleep".into(), "600".into()]),
        init: Some(true),
        networks: vec![Attachment {
            aliases: vec!["hooks.example.test".into()],
            ..Default::default()
        }],
        ports: vec![PortSpec { container: 8000, host: 0, udp: false }],
        ..Default::default()
    };
    let running = fixture.up_stack(&stack, additions, vec![stand_in]).await?;
    let engine = &fixture.engine;

    let port = running.address("redis", 6379).ok_or("no port")?;
    TcpStream::connect_timeout(&port, Duration::from_secs(2))?;
    assert!(running.address("stand-in", 8000).is_some_and(|address| address.port() != 0));
    let idle = container(&running, "idle")?;
    let bound = Duration::from_secs(10);
    let script = "echo $GREETING $SSL_CERT_FILE; cat /etc/firedrill/ca.pem";
    let seen = engine.exec(&idle, &["sh", "-c", script], bound).await?;
    assert_eq!(seen.stdout, "hello /etc/firedrill/ca.pem\ncertificate", "{seen:?}");
    let seen = engine.exec(&idle, &["getent", "hosts", "hooks.example.test"], bound).await?;
    assert_eq!(seen.code, 0, "the name taken over resolves: {seen:?}");

    let redis = container(&running, "redis")?;
    running.work_copy().write("setting.txt", "as changed")?;
    let seen = engine.exec(&redis, &["cat", "/setting.txt"], bound).await?;
    assert_eq!(seen.stdout, "as changed", "written in place, the mount shows it: {seen:?}");
    assert_eq!(
        std::fs::read_to_string(stack.folder.join("setting.txt"))?,
        "as written",
        "the owner's file is untouched"
    );

    let state = engine.container_of(&running.project, "redis").await?;
    let health = engine.health(&state).await?;
    assert_eq!((state.running, health, state.service.as_str()), (true, Health::Healthy, "redis"));
    assert_eq!(state.ports.get(&6379), Some(&port.port()));
    assert!(state.pid > 0 && state.ip().is_some() && state.restarts == 0 && !state.oom_killed);
    assert_eq!(Running::load(&fixture.journal, &fixture.run)?.as_ref(), Some(&running));
    assert_eq!(Running::of_stack(&fixture.journal, "enginetest")?.as_ref(), Some(&running));
    let events = fixture.seen();
    let started = |name: &str| {
        events.iter().position(
            |event| matches!(event, StackEvent::Started { service, .. } if service == name),
        )
    };
    let ready = |name: &str| {
        events
            .iter()
            .position(|event| matches!(event, StackEvent::Ready { service, .. } if service == name))
    };
    assert!(
        ready("redis") < started("idle") && started("stand-in") < started("redis"),
        "{events:?}"
    );

    recreate(engine, &stack, &running, "redis", None).await?;
    let anew = engine.container_of(&running.project, "redis").await?;
    assert!(
        anew.id != state.id
            && engine.health(&anew).await? == Health::Healthy
            && anew.ports == state.ports
    );
    let known = Running::load(&fixture.journal, &fixture.run)?.ok_or("not written down")?;
    assert_eq!(known.container("redis"), Some(anew.id.as_str()));

    let removed = remove_run(Some(engine), &fixture.journal, &fixture.run).await?;
    assert_eq!(
        (removed.containers, removed.networks, removed.volumes, removed.rules),
        (3, 1, 1, 2)
    );
    fixture.nothing_left().await
}

async fn several(fixture: Arc<Fixture>) -> Outcome {
    let compose = r#"
services:
  web:
    image: firedrill/redis:tested
    deploy: {replicas: 2}
    ports: ["6379"]
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 300ms, timeout: 2s, retries: 30}
  idle:
    image: firedrill/base-trixie:tested
    command: sleep 600
    init: true
    stop_grace_period: 0s
    links: ["web:store"]
    depends_on: {web: {condition: service_healthy}}
"#;
    let stack = fixture.write(compose, "")?;
    let running = fixture.up_stack(&stack, BTreeMap::new(), Vec::new()).await?;
    let (engine, project) = (&fixture.engine, running.project.as_str());
    let names = ["web-1", "web-2"];
    assert_eq!(running.members_of("web"), names);
    let address = |running: &Running, name: &str| {
        running.address(name, 6379).ok_or_else(|| format!("no port of {name}"))
    };
    let ports = [address(&running, names[0])?, address(&running, names[1])?];
    assert_ne!(ports[0], ports[1]);
    for port in &ports {
        TcpStream::connect_timeout(port, Duration::from_secs(2))?;
    }
    let found = engine.instances(project, "web").await?;
    let seen: Vec<_> = found.iter().map(|i| (i.name.as_str(), i.index, i.state)).collect();
    assert_eq!(seen, [("web-1", 1, State::Running), ("web-2", 2, State::Running)]);
    let mut inside: Vec<String> =
        found.iter().filter_map(|i| Some(i.address?.to_string())).collect();
    inside.sort();
    // One name for all of them, and another for whom it is linked to.
    let idle = container(&running, "idle")?;
    for name in ["web", "store"] {
        let script = format!("getent ahostsv4 {name} | cut -d' ' -f1 | sort -u");
        let asked = ["sh", "-c", &script];
        let seen = engine.exec(&idle, &asked, Duration::from_secs(10)).await?;
        let mut seen: Vec<&str> = seen.stdout.lines().collect();
        seen.sort_unstable();
        assert_eq!(seen, inside, "{name}");
    }
    // Which of them is meant must be said.
    let error = engine.container_of(project, "web").await.expect_err("there are two").to_string();
    assert!(error.contains("web-1, web-2"), "{error}");
    let events = fixture.seen();
    let at = |wanted: &dyn Fn(&StackEvent) -> bool| events.iter().position(wanted);
    let started = at(&|e| matches!(e, StackEvent::Started { service, .. } if service == "idle"));
    for name in names {
        let ready =
            at(&|e| matches!(e, StackEvent::Ready { service, .. } if service.as_str() == name));
        assert!(ready.is_some() && ready < started, "{name}: {events:?}");
    }

    recreate(engine, &stack, &running, "web", None).await?;
    let known = Running::load(&fixture.journal, &fixture.run)?.ok_or("not written down")?;
    for (name, port) in names.iter().zip(&ports) {
        let anew = engine.container_of(project, name).await?;
        assert_eq!(known.container(name), Some(anew.id.as_str()));
        assert_ne!(running.container(name), known.container(name), "{name}");
        assert_eq!(address(&known, name)?, *port);
    }
    engine.stop(&container(&known, "web-2")?, Some(Duration::ZERO)).await?;
    let found = engine.instances(project, "web").await?;
    let seen: Vec<_> = found.iter().map(|i| (i.state, i.address.is_some())).collect();
    assert_eq!(seen, [(State::Running, true), (State::Ended, false)]);

    let removed = remove_run(Some(engine), &fixture.journal, &fixture.run).await?;
    assert_eq!(removed.containers, 3);
    fixture.nothing_left().await
}

async fn order(fixture: Arc<Fixture>) -> Outcome {
    let compose = r#"
services:
  setup:
    image: firedrill/base-trixie:tested
    command: ["sh", "-c", "echo done > /shared/mark"]
    volumes: ["shared:/shared"]
  main:
    image: firedrill/base-trixie:tested
    command: ["sh", "-c", "cat /shared/mark && exec sleep 600"]
    init: true
    volumes: ["shared:/shared"]
    depends_on: {setup: {condition: service_completed_successfully}}
volumes: {shared: {}}
"#;
    let running = fixture.up(compose).await?;
    let log = fixture.engine.log_tail(&container(&running, "main")?, 5).await?;
    assert_eq!(log, ["done"]);
    let events = fixture.seen();
    let condition = |name: &str| {
        events.iter().find_map(|event| match event {
            StackEvent::Ready { service, condition, .. } if service == name => {
                Some(condition.clone())
            }
            _ => None,
        })
    };
    assert_eq!(
        (condition("setup").as_deref(), condition("main").as_deref()),
        (Some("completed"), Some("running"))
    );
    Ok(())
}

async fn ready_early(fixture: Arc<Fixture>) -> Outcome {
    let compose =
        PAIR.replace("interval: 300ms", "interval: 10m, start_period: 60s, start_interval: 1s");
    assert!(compose.contains("10m"));
    let running = fixture.up(&compose).await?;
    // The other one starts only once this one is healthy, long before ten minutes are over.
    assert!(fixture.engine.inspect(&container(&running, "idle")?).await?.running);
    Ok(())
}

async fn not_ready(fixture: Arc<Fixture>) -> Outcome {
    let compose = r#"
services:
  good:
    image: firedrill/base-trixie:tested
    command: sleep 600
    init: true
  bad:
    image: firedrill/base-trixie:tested
    command: ["sh", "-c", "echo can not open the ledger >&2; exit 7"]
"#;
    let stack = fixture.write(compose, "")?;
    let error = fixture.up_stack(&stack, BTreeMap::new(), Vec::new()).await.expect_err("bad dies");
    let text = error.to_string();
    assert!(
        text.contains("service bad")
            && text.contains("exit code 7")
            && text.contains("can not open the ledger"),
        "{text}"
    );
    assert!(
        fixture
            .seen()
            .iter()
            .any(|event| matches!(event, StackEvent::NotReady { service, .. } if service == "bad"))
    );
    fixture.nothing_left().await
}

async fn contained(fixture: Arc<Fixture>) -> Outcome {
    let host = std::net::TcpListener::bind("0.0.0.0:0")?;
    let host_port = host.local_addr()?.port();
    let running = fixture.up(PAIR).await?;
    let idle = container(&running, "idle")?;
    let bound = Duration::from_secs(20);
    let inside = "curl -s -m 3 telnet://redis:6379 </dev/null; echo $?";
    let seen = fixture.engine.exec(&idle, &["sh", "-c", inside], bound).await?;
    assert!(
        ["0", "28", "48", "49"].contains(&seen.stdout.trim()),
        "the stack's own services are reached: {seen:?}"
    );

    let network = fixture.engine.docker().inspect_network(&running.networks[0], None).await?;
    let gateway =
        network.ipam.and_then(|ipam| ipam.config?.first()?.gateway.clone()).ok_or("no gateway")?;
    let mut targets =
        vec![format!("{gateway}:{host_port}"), "192.0.2.1:80".into(), "8.8.8.8:80".into()];
    // Every address of the host itself.
    let addresses = namespace::run_on_host("hostname", &["-I".into()]).await?;
    targets.extend(
        addresses
            .stdout
            .split_whitespace()
            .filter(|a| a.contains('.'))
            .map(|a| format!("{a}:{host_port}")),
    );
    for target in targets {
        // Told so by an answer, not left waiting.
        let script = format!("exec 3<>/dev/tcp/{}", target.replace(':', "/"));
        let seen = fixture.engine.exec(&idle, &["bash", "-c", &script], bound).await?;
        assert!(
            seen.code != 0 && seen.stderr.contains("Connection refused"),
            "{target} is refused: {seen:?}"
        );
    }
    // A service that is stopped has no address: who looks for it must be told so, not kept waiting.
    // Its resolver would wait for 30 s here, which is longer than it is let.
    fixture.engine.stop(&container(&running, "redis")?, None).await?;
    let asked = ["env", "RES_OPTIONS=timeout:30 attempts:1", "getent", "ahosts", "redis"];
    let seen = fixture
        .engine
        .exec(&idle, &asked, bound)
        .await
        .map_err(|e| format!("redis is not answered: {e}"))?;
    assert_ne!(seen.code, 0, "redis resolves: {seen:?}");
    // Names outside are answered by nobody where the engine is old; then the resolver gives up
    // early.
    let outside =
        "getent ahosts hooks.slack.com && exit 9; grep -o 'timeout:1 attempts:2' /etc/resolv.conf";
    let seen = fixture.engine.exec(&idle, &["sh", "-c", outside], bound).await?;
    assert_eq!(seen.stdout.trim(), "timeout:1 attempts:2", "{seen:?}");
    fixture.engine.start(&container(&running, "redis")?).await?;
    host.set_nonblocking(true)?;
    assert!(host.accept().is_err(), "somebody reached the host");
    // And the way in still works.
    TcpStream::connect_timeout(
        &running.address("redis", 6379).ok_or("no port")?,
        Duration::from_secs(2),
    )?;
    Ok(())
}

/// What deletes keys of a Redis, as the fault that fills it writes it down.
fn keys(container: &str, port: u16, prefix: &str) -> Undo {
    let state = serde_json::json!({ "port": port, "prefix": prefix });
    Undo::Fault { container: container.into(), kind: "redis_fill".into(), state }
}

async fn undoing(fixture: Arc<Fixture>) -> Outcome {
    let running = fixture.up(PAIR).await?;
    let (engine, journal) = (&fixture.engine, &fixture.journal);
    let (redis, idle) = (container(&running, "redis")?, container(&running, "idle")?);
    let bound = Duration::from_secs(20);
    let note = |what: &str, undo: Undo| journal.open(&fixture.run, "enginetest", what, undo);

    note("fault stop on idle", Undo::StartContainer { container: idle.clone() })?;
    engine.stop(&idle, Some(Duration::ZERO)).await?;
    engine.stop(&idle, Some(Duration::ZERO)).await?;
    note("fault pause on redis", Undo::Unpause { container: redis.clone() })?;
    let mut fill = String::from(
        "redis-cli set keep 1 >/dev/null; redis-cli set ballastX 1 >/dev/null; redis-cli mset",
    );
    (0..2500).for_each(|at| fill.push_str(&format!(" 'ballast*{at}' x")));
    let filled = engine.exec(&redis, &["sh", "-c", &fill], bound).await?;
    assert_eq!(filled.code, 0, "{filled:?}");
    engine.pause(&redis).await?;
    engine.pause(&redis).await?;
    note("filling redis", keys(&redis, 6379, "ballast*"))?;
    let rule = |action: &str| {
        let line = format!("{action} INPUT -p tcp --dport 6379 -j DROP");
        line.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    note(
        "partition of redis",
        Undo::DeleteContainerRules { container: redis.clone(), rules: vec![rule("-D")] },
    )?;
    let pid = engine.inspect(&redis).await?.pid;
    assert!(firedrill::engine::containment::iptables(Some(pid), &rule("-A")).await?.ok);
    let nowhere = "firedrill-no-such-container".to_owned();
    note("gone", Undo::StartContainer { container: nowhere.clone() })?;
    note("gone too", Undo::DeleteContainerRules { container: nowhere, rules: vec![rule("-D")] })?;

    let deaf = keys(&redis, 6380, "x");
    note("filling what does not listen", deaf)?;

    // Undone newest first: the server is still paused when its keys are to be deleted for the first
    // time, so that is tried again. What fails for good keeps no other from being undone, and stays
    // open.
    let healed = healing::heal(journal, Some(engine), None).await?;
    assert_eq!((healed.undone.len(), healed.failed.len()), (6, 1), "{healed:?}");
    let again = healing::heal(journal, Some(engine), Some(&fixture.run)).await?;
    assert_eq!((again.undone.len(), again.failed.len()), (0, 1), "{again:?}");
    assert_eq!(journal.open_entries()?.len(), 2, "that one and the stack itself");

    let left = engine.exec(&redis, &["redis-cli", "dbsize"], bound).await?;
    let kept = engine.exec(&redis, &["redis-cli", "mget", "keep", "ballastX"], bound).await?;
    assert_eq!(
        (left.stdout.trim(), kept.stdout.trim()),
        ("2", "1\n1"),
        "the star of the prefix means itself"
    );
    assert!(engine.inspect(&idle).await?.running && !engine.inspect(&redis).await?.paused);
    let rules = namespace::run(pid, "iptables", &["-S".into()]).await?;
    assert!(rules.ok && !rules.stdout.contains("6379"), "{rules:?}");
    Ok(())
}

async fn limits(fixture: Arc<Fixture>) -> Outcome {
    let compose =
        PAIR.replace("    init: true\n", "    init: true\n    cpus: 1.5\n    mem_limit: 64m\n");
    let running = fixture.up(&compose).await?;
    let engine = &fixture.engine;
    let limited = Limits { nano_cpus: 1_500_000_000, memory: 64 << 20 };
    for (service, wanted) in [("redis", Limits::default()), ("idle", limited)] {
        let id = container(&running, service)?;
        assert_eq!(engine.inspect(&id).await?.limits, wanted, "{service}");
    }
    Ok(())
}

async fn port_in_use(fixture: Arc<Fixture>) -> Outcome {
    let held = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = held.local_addr()?.port();
    let stack = fixture.write(
        &PAIR.replace("127.0.0.1:6379:6379", &format!("{port}:6379")),
        "ports: as_written\n",
    )?;
    let error =
        fixture.up_stack(&stack, BTreeMap::new(), Vec::new()).await.expect_err("the port is held");
    let text = error.to_string();
    assert!(
        text.contains("docker-compose.yml:5")
            && text.contains(&port.to_string())
            && text.contains("redis"),
        "{text}"
    );
    assert!(text.contains(&std::process::id().to_string()), "names who holds it: {text}");
    assert_eq!(error.exit() as u8, 3);
    fixture.nothing_left().await?;
    drop(held);
    let running = fixture.up_stack(&stack, BTreeMap::new(), Vec::new()).await?;
    assert_eq!(running.address("redis", 6379).map(|address| address.port()), Some(port));
    Ok(())
}

async fn no_image(fixture: Arc<Fixture>) -> Outcome {
    let stack =
        fixture.write(&PAIR.replace("firedrill/redis:tested", "firedrill/none:nowhere"), "")?;
    let error = fixture.up_stack(&stack, BTreeMap::new(), Vec::new()).await.expect_err("no image");
    assert!(
        error.to_string().contains("firedrill/none:nowhere") && error.exit() as u8 == 3,
        "{error}"
    );
    fixture.nothing_left().await
}

async fn cut_down(fixture: Arc<Fixture>) -> Outcome {
    let compose = r#"
services:
  greedy:
    image: firedrill/base-trixie:tested
    command: sleep 600
    init: true
    privileged: true
    ulimits: {nofile: {soft: 1048000, hard: 1048000}}
    sysctls: {vm.max_map_count: "262144", net.core.somaxconn: "512"}
    devices: ["/dev/no-such-device:/dev/x"]
    cpus: 4096
    container_name: the-greedy-one
    networks: [outer]
networks: {outer: {external: true, name: production}}
"#;
    let running = fixture.up(compose).await?;
    let shown = format!("{:?}", running.deviations);
    for wanted in ["privileged", "vm.max_map_count", "no-such-device", "cpus 4096", "production"] {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
    let script =
        "cat /proc/sys/net/core/somaxconn; getent hosts the-greedy-one >/dev/null && echo named";
    let id = container(&running, "greedy")?;
    let seen = fixture.engine.exec(&id, &["sh", "-c", script], Duration::from_secs(5)).await?;
    assert_eq!(seen.stdout, "512\nnamed\n");
    assert!(Path::new(&running.work).starts_with(fixture.journal.home()));
    Ok(())
}
