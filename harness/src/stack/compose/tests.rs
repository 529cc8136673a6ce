//! Whole projects, read from files.

use super::*;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// Writes files and reads `docker-compose.yml` of them.
fn read_files(
    files: &[(&str, &str)],
    profiles: &[&str],
) -> (tempfile::TempDir, Result<Project, ConfigError>) {
    let home = tempfile::tempdir().expect("folder");
    for (name, text) in files {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(path, text).expect("file");
    }
    let source = Source {
        file: home.path().join("docker-compose.yml"),
        copy: None,
        profiles: profiles.iter().map(|profile| (*profile).to_owned()).collect(),
        without: BTreeMap::new(),
        env: BTreeMap::from([("FROM_SHELL".to_owned(), "shell".to_owned())]),
    };
    let project = load(&source);
    (home, project)
}

fn read(text: &str) -> Result<Project, ConfigError> {
    read_files(&[("docker-compose.yml", text)], &[]).1
}

fn refused(text: &str) -> ConfigError {
    read(text).expect_err("refused")
}

#[test]
fn everything_that_a_service_may_state_is_read() {
    let (home, project) = read_files(
        &[
            (
                "docker-compose.yml",
                r#"
name: whole
x-limits: &limits {mem_limit: 1g, cpus: 0.5}
services:
  app:
    <<: *limits
    image: "app:${TAG:-1.0}"
    command: sh -c 'echo "two words"'
    entrypoint: ["/entry", "--flag"]
    environment: [A=1, B=, FROM_SHELL, NOT_SET, "C=$$x"]
    env_file: [app.env, {path: none.env, required: false}]
    ports:
      - "127.0.0.1:8080:80"
      - "9000-9001:9000-9001/udp"
      - 53
      - {target: 443, published: "8443", host_ip: 127.0.0.1}
    volumes:
      - data:/data
      - ./conf/app.yml:/etc/app.yml:ro
      - /proc:/host/proc:ro,rslave
      - /anonymous
      - {type: bind, source: ./conf, target: /conf, read_only: true}
      - {type: tmpfs, target: /scratch, tmpfs: {size: 64m, mode: 0o1777}}
    tmpfs: ["/run:size=1m,mode=755"]
    networks: {front: {aliases: [web]}, default: {}}
    depends_on: {db: {condition: service_healthy}, setup: {condition: service_completed_successfully}}
    healthcheck: {test: curl -f localhost, interval: 1m30s, timeout: 500ms, retries: 5, start_period: 0s}
    ulimits: {nofile: {soft: 1000, hard: 2000}, nproc: 100}
    deploy: {resources: {limits: {memory: 512m, pids: 50}, reservations: {memory: 64m}}}
    restart: on-failure:3
    stop_grace_period: 1.5s
    logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}
    configs: [plain, {source: inline, target: /etc/inline, mode: 0440}]
    secrets: [key]
    sysctls: [net.core.somaxconn=512]
    extra_hosts: ["a:1.2.3.4", "b=5.6.7.8"]
    labels: {x: 1, y: true}
    cap_add: [NET_ADMIN]
    init: true
    user: "1000:1000"
    hostname: host
    read_only: yes
    x-own: {anything: goes}
  db: {image: db, healthcheck: {test: [CMD, true]}}
  setup: {image: setup}
  extra: {image: extra, profiles: [upstream]}
networks: {front: {ipam: {config: [{subnet: 10.99.0.0/24}]}}, outer: {external: true, name: production}}
volumes: {data: {}, kept: {external: true}}
configs: {plain: {file: ./conf/app.yml}, inline: {content: "a=${FROM_SHELL}"}}
secrets: {key: {environment: FROM_SHELL}}
"#,
            ),
            (".env", "TAG=2.0\nFROM_SHELL=file\n"),
            ("app.env", "A=file\nD='raw $x'\n"),
            ("conf/app.yml", "x"),
        ],
        &[],
    );
    let project = project.expect("reads");
    let app = &project.services["app"];
    assert_eq!(project.name.as_deref(), Some("whole"));
    assert_eq!(app.image.as_deref(), Some("app:2.0"), ".env fills in");
    assert_eq!(
        app.command.as_deref(),
        Some(&["sh", "-c", "echo \"two words\""].map(String::from)[..])
    );
    assert_eq!(app.entrypoint.as_deref(), Some(&["/entry", "--flag"].map(String::from)[..]));
    let wanted = [("A", "1"), ("B", ""), ("C", "$x"), ("D", "raw $x"), ("FROM_SHELL", "shell")];
    assert_eq!(app.environment, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    let ports: Vec<_> =
        app.ports.iter().map(|port| (port.host, port.container, port.udp)).collect();
    assert_eq!(
        ports,
        [
            (Some(8080), 80, false),
            (Some(9000), 9000, true),
            (Some(9001), 9001, true),
            (None, 53, false),
            (Some(8443), 443, false)
        ]
    );
    assert_eq!(app.ports[3].mark.line, 15);
    let sources: Vec<_> = app
        .volumes
        .iter()
        .map(|volume| (volume.source.clone(), volume.target.as_str(), volume.read_only))
        .collect();
    let bind = |path: &Path, create: bool, propagation: Option<&str>| VolumeSource::Bind {
        path: path.to_path_buf(),
        create,
        propagation: propagation.map(str::to_owned),
    };
    assert_eq!(
        sources,
        [
            (VolumeSource::Named { name: "data".into(), no_copy: false }, "/data", false),
            (bind(&home.path().join("conf/app.yml"), true, None), "/etc/app.yml", true),
            (bind(Path::new("/proc"), true, Some("rslave")), "/host/proc", true),
            (VolumeSource::Anonymous, "/anonymous", false),
            (bind(&home.path().join("conf"), false, None), "/conf", true),
            (VolumeSource::Tmpfs { size: Some(64 << 20), mode: Some(0o1777) }, "/scratch", false),
            (VolumeSource::Tmpfs { size: Some(1 << 20), mode: Some(0o755) }, "/run", false),
        ]
    );
    assert_eq!(app.networks["front"].aliases, ["web"]);
    assert_eq!(app.depends_on["db"].condition, Condition::Healthy);
    assert_eq!(app.depends_on["setup"].condition, Condition::Completed);
    let check = app.healthcheck.as_ref().expect("health check");
    assert_eq!(check.test, ["CMD-SHELL", "curl -f localhost"]);
    assert_eq!((check.interval, check.retries), (Some(Duration::from_secs(90)), Some(5)));
    assert_eq!(
        app.ulimits,
        [("nofile".to_owned(), (1000, 2000)), ("nproc".to_owned(), (100, 100))].into()
    );
    assert_eq!(
        (app.cpus, app.memory, app.memory_reservation, app.pids_limit),
        (0.5, 512 << 20, 64 << 20, 50)
    );
    assert_eq!(app.restart, "on-failure:3");
    assert_eq!(app.stop_grace_period, Some(Duration::from_millis(1500)));
    assert_eq!(
        app.logging
            .as_ref()
            .map(|(driver, options)| (driver.as_str(), options["max-file"].as_str())),
        Some(("json-file", "3"))
    );
    assert_eq!((app.configs[0].target.as_str(), app.configs[1].mode), ("/plain", 0o440));
    assert_eq!(app.secrets[0].target, "/run/secrets/key");
    assert_eq!(app.extra_hosts, ["a:1.2.3.4", "b:5.6.7.8"]);
    assert_eq!(
        (app.labels["x"].as_str(), app.labels["y"].as_str(), app.read_only),
        ("1", "true", true)
    );
    assert!(matches!(&project.configs["inline"], Content::Text { text, .. } if text == "a=shell"));
    assert!(matches!(&project.secrets["key"], Content::Text { text, .. } if text == "shell"));
    assert_eq!(project.networks["outer"].external.as_deref(), Some("production"));
    assert_eq!(project.volumes["kept"].external.as_deref(), Some("kept"));
    assert_eq!(project.left_out.keys().collect::<Vec<_>>(), ["extra"]);
    assert_eq!(app.networks.keys().collect::<Vec<_>>(), ["default", "front"]);
    assert_eq!(project.services["db"].networks.keys().collect::<Vec<_>>(), ["default"]);
}

#[test]
fn profiles_turn_services_on() {
    let text = "services:\n  a: {image: a}\n  b: {image: b, profiles: [x, y]}\n";
    let names = |profiles: &[&str]| {
        let project = read_files(&[("docker-compose.yml", text)], profiles).1.expect("reads");
        project.services.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["a"]);
    assert_eq!(names(&["y"]), ["a", "b"]);
    assert_eq!(names(&["*"]), ["a", "b"]);
}

#[test]
fn files_are_included_and_services_extended() {
    let (home, project) = read_files(
        &[
            (
                "docker-compose.yml",
                "include: [more/compose.yml]\nservices:\n  web:\n    extends: {file: base/base.yml, service: base}\n    command: [over]\n    environment: {B: over}\n    ports: ['81:81']\n    volumes: ['./mine:/etc/conf']\n  again:\n    extends: web\n    labels: [l=2]\n",
            ),
            (
                "base/base.yml",
                "services:\n  root: {image: root, labels: {l: 1}}\n  base:\n    extends: root\n    command: [base]\n    environment: [A=base, B=base]\n    ports: ['80:80']\n    volumes: ['./conf:/etc/conf', './other:/other']\n",
            ),
            (
                "more/compose.yml",
                "services:\n  more:\n    image: more:${TAG}\n    volumes: ['./own:/own', 'shared:/s']\nvolumes: {shared: {}}\n",
            ),
            ("more/.env", "TAG=3\n"),
        ],
        &[],
    );
    let project = project.expect("reads");
    let web = &project.services["web"];
    assert_eq!(
        (web.image.as_deref(), web.command.as_deref()),
        (Some("root"), Some(&["over".to_owned()][..]))
    );
    assert_eq!(
        web.environment,
        [("A", "base"), ("B", "over")].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
    );
    assert_eq!(web.ports.iter().map(|port| port.container).collect::<Vec<_>>(), [80, 81]);
    let paths: BTreeSet<_> = web
        .volumes
        .iter()
        .filter_map(|volume| match &volume.source {
            VolumeSource::Bind { path, .. } => Some((volume.target.as_str(), path.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(
        paths,
        [("/etc/conf", home.path().join("mine")), ("/other", home.path().join("base/other"))]
            .into()
    );
    let again = &project.services["again"];
    assert_eq!((again.image.as_deref(), again.labels["l"].as_str()), (Some("root"), "2"));
    let more = &project.services["more"];
    assert_eq!(more.image.as_deref(), Some("more:3"));
    assert!(
        matches!(&more.volumes[0].source, VolumeSource::Bind { path, .. } if *path == home.path().join("more/own"))
    );
}

#[test]
fn a_copy_is_read_and_the_original_named() {
    let (home, _) =
        read_files(&[("docker-compose.yml", "services: {a: {image: original}}\n")], &[]);
    let (copy, _) =
        read_files(&[("docker-compose.yml", "services: {a: {image: copied, bogus: 1}}\n")], &[]);
    let file = home.path().join("docker-compose.yml");
    let copied = Some((home.path().to_path_buf(), copy.path().to_path_buf()));
    let error = load(&Source { copy: copied, ..Source::new(&file) }).expect_err("the copy is read");
    assert_eq!(error.place.file, file);
    assert_eq!(
        load(&Source::new(&file)).expect("reads").services["a"].image.as_deref(),
        Some("original")
    );
}

#[test]
fn what_is_not_supported_is_refused_by_file_line_and_key() {
    let cases = [
        (
            "services:\n  a:\n    image: a\n    comand: x\n",
            4,
            "services.a: unsupported key `comand`",
            "command",
        ),
        ("services:\n  a:\n    image: a\n    links: [b]\n", 2, "links: there is no service b", ""),
        (
            "services:\n  a:\n    image: a\n    links: ['b:']\n  b: {image: b}\n",
            4,
            "links",
            "service:alias",
        ),
        (
            "services:\n  a: {image: a, links: [b]}\n  b: {image: b, links: [a]}\n",
            2,
            "a → b → a",
            "",
        ),
        (
            "services:\n  a:\n    image: a\n    network_mode: host\n",
            4,
            "network_mode",
            "host's network",
        ),
        (
            "services:\n  a:\n    image: a\n    healthcheck:\n      intervall: 1s\n",
            5,
            "intervall",
            "interval",
        ),
        (
            "services:\n  a:\n    image: a\n    healthcheck:\n      interval: 5\n",
            5,
            "no duration",
            "",
        ),
        ("services:\n  a:\n    image: a\n    ports: ['x:80']\n", 4, "no port", ""),
        ("services:\n  a:\n    image: a\n    ports:\n      - 99999\n", 5, "no port", ""),
        (
            "services:\n  a:\n    image: a\n    volumes: ['dat:/x']\nvolumes: {data: {}}\n",
            4,
            "volume dat",
            "data",
        ),
        ("services:\n  a:\n    image: a\n    depends_on: [b]\n", 2, "service b", ""),
        (
            "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, depends_on: [a]}\n",
            2,
            "a → b → a",
            "depends_on",
        ),
        ("services:\n  a:\n    image: a\n    deploy: {replicas: 0}\n", 4, "seen 0", "profile"),
        ("services:\n  a:\n    image: a\n    scale: 101\n", 4, "scale: seen 101", "profile"),
        ("services:\n  a:\n    image: a\n    scale: -1\n", 4, "wanted 1 to 100", "profile"),
        ("services:\n  a:\n    image: a\n    scale: two\n", 4, "a whole number", ""),
        (
            "services:\n  a:\n    image: a\n    scale: 2\n    deploy: {replicas: 3}\n",
            5,
            "seen 3, and `scale` says 2",
            "one of the two",
        ),
        (
            "services:\n  a:\n    image: a\n    scale: 2\n    ports:\n      - 80\n      - 127.0.0.1:8443:443\n",
            7,
            "2 instances can't share port 8443",
            "write \"443\" alone",
        ),
        (
            "services:\n  a:\n    image: a\n    scale: 2\n    container_name: only\n",
            2,
            "2 instances can't share `only`",
            "container_name",
        ),
        (
            "services:\n  a:\n    image: a\n    scale: 2\n    networks: {n: {ipv4_address: 10.0.0.2}}\n\
             networks: {n: {}}\n",
            2,
            "can't share address 10.0.0.2",
            "ipv4_address",
        ),
        (
            "services:\n  a:\n    image: a\n    scale: 2\n  a-2: {image: b, profiles: [x]}\n",
            2,
            "an instance of it is called a-2",
            "rename",
        ),
        (
            "services:\n  a: {image: a, scale: 2}\n  b: {image: b, network_mode: 'service:a'}\n",
            3,
            "network_mode: a has 2 instances",
            "share",
        ),
        ("services:\n  a:\n    image: a\n    restart: sometimes\n", 4, "sometimes", ""),
        ("services:\n  a:\n    image: ${IMAGE:?name one}\n", 3, "name one", ".env"),
        (
            "services:\n  a:\n    image: a\n    logging: {driver: syslog}\n",
            4,
            "syslog",
            "stay on this machine",
        ),
        ("services:\n  a:\n    extends: b\n", 3, "no service b", ""),
        ("service:\n  a: {image: a}\n", 0, "no services", ""),
        ("services:\n  a: {image: a}\nbogus: 1\n", 3, "bogus", ""),
        ("services:\n  a: {image: a}\n  a: {image: b}\n", 3, "YAML", ""),
        ("services:\n  a:\n    image: a\n    env_file: none.env\n", 4, "none.env", ""),
        (
            "services:\n  a:\n    image: a\n    depends_on: [p]\n  p: {image: p, profiles: [x]}\n",
            2,
            "left out",
            "profile",
        ),
        ("include: [docker-compose.yml]\nservices: {a: {image: a}}\n", 1, "includes itself", ""),
    ];
    for (text, line, what, hint) in cases {
        let error = refused(text);
        assert_eq!(error.place.line, line, "{error}\n{text}");
        assert!(error.problem.contains(what), "{error}\nwanted {what}");
        assert!(error.hint.contains(hint), "{error}\nwanted {hint}");
        assert!(error.to_string().contains("docker-compose.yml"), "{error}");
    }
}

#[test]
fn instances_and_links_are_read() {
    let text = r#"
services:
  one: {image: a}
  two: {image: a, deploy: {replicas: 2}, ports: [80], links: ["one:first", one]}
  three: {image: a, scale: 3, deploy: {replicas: "3"}}
  like: {extends: two, scale: 1, deploy: {replicas: 1}}
"#;
    let (_home, project) = read_files(&[("docker-compose.yml", text)], &[]);
    let project = project.expect("reads");
    let instances = |name: &str| project.services[name].instances();
    assert_eq!(instances("one"), ["one"]);
    assert_eq!(instances("two"), ["two-1", "two-2"]);
    assert_eq!(instances("three"), ["three-1", "three-2", "three-3"]);
    assert_eq!(instances("like"), ["like"]);
    let links: Vec<(&str, &str)> = project.services["two"]
        .links
        .iter()
        .map(|link| (link.service.as_str(), link.alias.as_str()))
        .collect();
    assert_eq!(links, [("one", "first"), ("one", "one")]);
    let on = project.services["two"].depends_on["one"];
    assert_eq!(on, Dependency { condition: Condition::Started, required: true });
}

#[test]
fn a_missing_file_is_named() {
    let error = load(&Source::new("/nowhere/docker-compose.yml")).expect_err("missing");
    assert!(error.to_string().contains("/nowhere/docker-compose.yml"), "{error}");
    assert_eq!(Failure::from(error).exit, Exit::Usage);
}

/// Compose's own reading is the oracle, where it is installed.
#[test]
fn docker_compose_reads_the_same() {
    let present = std::process::Command::new("docker").args(["compose", "version"]).output();
    if !present.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: `docker compose` is not installed");
        return;
    }
    let text = r#"
services:
  a:
    image: "a:${TAG:-1}"
    command: sh -c 'x "y z"'
    environment: [A=1, B=$$x]
    ports: ["127.0.0.1:8080:80", "53:53/udp"]
    healthcheck: {test: "true", interval: 1m30s, retries: 3}
    mem_limit: 512m
    depends_on: [b]
  b: {image: b, labels: {x: 1}}
"#;
    let (home, project) = read_files(&[("docker-compose.yml", text)], &[]);
    let project = project.expect("reads");
    let output = std::process::Command::new("docker")
        .args(["compose", "config", "--format", "json"])
        .current_dir(home.path())
        .output()
        .expect("runs");
    let oracle: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (name, service) in &project.services {
        let seen = &oracle["services"][name];
        assert_eq!(seen["image"].as_str(), service.image.as_deref());
        let environment: BTreeMap<String, String> =
            serde_json::from_value(seen["environment"].clone()).unwrap_or_default();
        assert_eq!(environment, service.environment);
        let command: Option<Vec<String>> =
            serde_json::from_value(seen["command"].clone()).expect("list");
        assert_eq!(command, service.command);
        let ports: Vec<(u64, String)> = seen["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|port| {
                (
                    port["target"].as_u64().unwrap_or(0),
                    port["published"].as_str().unwrap_or_default().to_owned(),
                )
            })
            .collect();
        let own: Vec<(u64, String)> = service
            .ports
            .iter()
            .map(|port| {
                (
                    u64::from(port.container),
                    port.host.map(|host| host.to_string()).unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(ports, own);
        let memory = seen["mem_limit"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        assert_eq!(memory, service.memory);
    }
}
