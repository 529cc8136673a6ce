//! Compose files and what belongs to them, as nobody should write them.

use super::interpolate::{Environment, expand};
use super::{Source, dotenv, load, quantity};
use config::yaml::ConfigError;
use damaged::{anything, damaged, deep};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

const COMPOSE: &[&str] = &[
    include_str!("../../../../compose/stacks/email/docker-compose.yml"),
    include_str!("../../../../compose/stacks/mini/docker-compose.yml"),
    "services:\n  a: {image: i, extends: {service: b}, ports: ['127.0.0.1:8000-8002:80-82/udp', {target: 9, published: '1'}]}\n  b:\n    image: j\n    environment: [A=1, B]\n    volumes: ['./x:/y:ro', {type: tmpfs, target: /t}]\n    deploy: {resources: {limits: {cpus: '0.5', memory: 1g}}}\n    ulimits: {nofile: {soft: 1, hard: 2}}\n    healthcheck: {test: [CMD, a], interval: 1m30s}\n    depends_on: {c: {condition: service_healthy}}\n    configs: [{source: d, target: /d, mode: 0440}]\n  c: {image: k, network_mode: none, command: a 'b c' \"d\", mem_limit: 64m}\nconfigs:\n  d: {content: \"a\\n$${B}\"}\ninclude: []\nvolumes: {x: {driver_opts: {type: none, o: bind, device: ./v}}}\n",
];
const DOTENV: &[&str] = &["A=1\nexport B='x y'\nC=\"${A:-b}\\n$$\" # note\n\nD\nE=a=b\n"];
const TEXTS: &[&str] = &[
    "${A:-${B:?say}}-$C$${D}",
    "1h30m10s500ms",
    "1.5gb",
    "sh -c 'a \"b\" \\' \"c $d\"",
    "127.0.0.1:80-82:80-82/tcp",
];

fn names(error: &ConfigError) {
    assert!(!error.problem.is_empty(), "{error:?}");
    assert!(!error.place.file.as_os_str().is_empty(), "{error:?}");
}

fn project_is_read(text: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("docker-compose.yml");
    std::fs::write(&file, text).expect("a file");
    let mut source = Source::new(&file);
    source.profiles.insert("*".into());
    if let Err(error) = load(&source) {
        names(&error);
    }
}

fn dotenv_is_read(text: &str) {
    if let Err(error) = dotenv::parse(Path::new(".env"), text, &Environment::new()) {
        names(&error);
        assert_eq!(error.place.file, Path::new(".env"));
    }
}

fn text_is_read(text: &str) {
    let env = Environment::from([("A".to_owned(), "b".to_owned())]);
    let _ = expand(text, &env, &mut BTreeSet::new());
    let _ = quantity::duration(text);
    let _ = quantity::bytes(text);
    let _ = quantity::words(text);
}

proptest! {
    #![proptest_config(damaged::cases(60))]

    #[test]
    fn a_damaged_project(text in damaged(COMPOSE)) {
        project_is_read(&text);
    }

    #[test]
    fn anything_in_place_of_a_project(text in anything()) {
        project_is_read(&text);
    }
}

proptest! {
    #![proptest_config(damaged::cases(256))]

    #[test]
    fn damaged_variables(text in prop_oneof![damaged(DOTENV), anything()]) {
        dotenv_is_read(&text);
    }

    #[test]
    fn damaged_texts(text in prop_oneof![damaged(TEXTS), anything()]) {
        text_is_read(&text);
    }
}

#[test]
fn what_nests_deeply_is_read_or_refused() {
    for text in deep() {
        project_is_read(&text);
        project_is_read(&format!("services: {{a: {{image: i, labels: {text}}}}}"));
        dotenv_is_read(&format!("A={text}"));
        text_is_read(&text);
    }
}
