//! What a stack's containers are made from: images, the work copy at the time scale, what is added
//! to services, stand-ins.

use super::{STAND_INS, at_scale, trust};
use crate::engine::Engine;
use crate::engine::spec::{Attachment, ContainerSpec, FileSpec, HealthcheckSpec, PortSpec};
use crate::image::{Catalogue, Images, Unavailable, hints};
use crate::journal::Journal;
use crate::ops::options::Options;
use crate::plan::subject::LoadedStack;
use crate::process::exit::Exit;
use crate::process::failure::{Advice, Failure};
use crate::process::progress::Progress;
use crate::receiver;
use crate::receiver::authority::Authority;
use crate::stack::binaries::Binaries;
use crate::stack::work_copy::write_in_place;
use crate::stack::{self, Running, ServiceOverride, WorkCopy};
use config::monitoring::RenderedFile;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;
use verdict::EventKind;
use verdict::history::run::{Deviation, DeviationKind};
use verdict::history::stack::StackEvent;

/// Longest time from a service's start until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// A stack that was brought up.
pub(super) struct BroughtUp {
    pub(super) running: Running,
    /// What was added to services; one that is made anew needs it again.
    pub(super) additions: BTreeMap<String, ServiceOverride>,
    /// What happened on the way.
    pub(super) prologue: Vec<EventKind>,
}

/// The images that the stack runs.
pub(super) struct Obtained {
    /// Service to reference.
    pub(super) images: BTreeMap<String, String>,
    /// Reference of our own binary's.
    pub(super) own: String,
    /// How they differ from those that were asked for.
    pub(super) differs: Vec<Deviation>,
    /// Optional services whose image can't be had, with the reason.
    pub(super) unavailable: BTreeMap<String, String>,
}

/// Obtains every image that the stack needs, and those that it may do without, as far as they can
/// be had.
pub(super) async fn images(
    options: &Options,
    engine: &Engine,
    read: &LoadedStack,
    progress: &Progress,
) -> Result<Obtained, Failure> {
    let say = |p: &crate::image::Progress| progress.say(&p.to_string());
    let catalogue = Catalogue::load(&options.home.images())?;
    let images = Images::new(engine.docker(), &catalogue, options.common.report.join("images"));
    let mapped = |image: &str| {
        read.subject.declaration.images.get(image).cloned().unwrap_or_else(|| image.to_owned())
    };
    let services: BTreeMap<&String, String> = read
        .stack
        .topology
        .services
        .iter()
        .filter_map(|(n, s)| Some((n, mapped(s.image.as_deref()?))))
        .collect();
    let is_apps = |image: &str| image == "firedrill/apps" || image.starts_with("firedrill/apps:");
    let may_go = may_go(read);
    let of_services = |optional: bool| -> BTreeSet<&str> {
        let those = services
            .iter()
            .filter(|(name, image)| may_go.contains(name.as_str()) == optional && !is_apps(image));
        those.map(|(_, image)| image.as_str()).collect()
    };
    let wanted: Vec<&str> = of_services(false).into_iter().chain(["base-bookworm"]).collect();
    let asked_for =
        |name: &str| read.stack.topology.services.get(name).map_or(&[][..], |s| &s.profiles);
    let mut ready = match images.ensure(&wanted, options.common.images.into(), &say).await {
        Ok(ready) => ready,
        Err(crate::image::Error::Unavailable(all)) => {
            return Err(refused(&all, &services, asked_for));
        }
        Err(error) => return Err(error.into()),
    };
    // What the stack can do without comes last: where something else is missing it is not even
    // tried.
    let optional: Vec<&str> =
        of_services(true).into_iter().filter(|image| !wanted.contains(image)).collect();
    let mut unavailable = BTreeMap::new();
    for outcome in images.ensure_each(&optional, options.common.images.into(), &say).await? {
        match outcome {
            Ok(image) => ready.push(image),
            Err(image) => {
                for (name, _) in services.iter().filter(|(_, wanted)| **wanted == image.wanted) {
                    progress.say(&format!("service {name} is left out: {image}"));
                    unavailable.insert((*name).clone(), image.to_string());
                }
            }
        }
    }
    let differs = ready.iter().filter_map(|image| {
        let why = format!("images come from {}", image.origin);
        Some(Deviation::new(DeviationKind::Image, image.deviation.as_ref()?, why))
    });
    let differs = differs.collect();
    let references: BTreeMap<&str, &str> =
        ready.iter().map(|image| (image.wanted.as_str(), image.reference.as_str())).collect();
    let binaries =
        Binaries::built(&options.home, progress).await.map_err(|e| Failure::new(Exit::Unfit, e))?;
    let own = images.ensure_own("firedrill", &binaries.firedrill, &[]).await?.reference;
    let mut apps = String::new();
    if services.values().any(|i| is_apps(i)) {
        apps = images.ensure_own("apps", &binaries.apps, &[]).await?.reference;
    }
    let of = |image: &String| {
        if is_apps(image) {
            apps.clone()
        } else {
            references.get(image.as_str()).map_or_else(|| image.clone(), |r| (*r).to_owned())
        }
    };
    let there = services.iter().filter(|(name, _)| !unavailable.contains_key(name.as_str()));
    let images = there.map(|(name, image)| ((*name).clone(), of(image))).collect();
    Ok(Obtained { images, own, differs, unavailable })
}

/// Services that are left out where their image can't be had. One that a profile turns on was asked
/// for.
fn may_go(read: &LoadedStack) -> BTreeSet<&str> {
    read.subject
        .declaration
        .optional
        .iter()
        .filter(|o| o.profile.is_none())
        .map(|o| o.service.as_str())
        .collect()
}

/// The message about images that can't be had of services that must run: all of them, with their
/// services.
fn refused<'p>(
    all: &[Unavailable],
    services: &BTreeMap<&String, String>,
    profiles: impl Fn(&str) -> &'p [String],
) -> Failure {
    let mut lines = vec!["the stack can't be started, since images can't be had:".to_owned()];
    for image in all {
        let of: Vec<String> = services
            .iter()
            .filter(|(_, wanted)| **wanted == image.wanted)
            .map(|(name, _)| (*name).clone())
            .collect();
        let whose = match of.iter().find(|name| !profiles(name).is_empty()) {
            _ if of.is_empty() => "firedrill itself".to_owned(),
            Some(asked) => format!(
                "service {}, asked for by profile {}",
                of.join(", "),
                profiles(asked).join(", ")
            ),
            None => format!("service {}", of.join(", ")),
        };
        lines.push(format!("  {whose}: {image}"));
    }
    let advice = Advice { what: lines.join("\n"), hints: hints(all) };
    Failure::new(Exit::Unfit, advice).hint("a service that the stack can do without stands under `optional` in firedrill.yaml, without `profile`")
}

/// Work copy, configuration at the time scale, stand-ins, containers.
pub(super) async fn bring(
    engine: &Engine,
    journal: &Journal,
    read: &LoadedStack,
    run: &str,
    (images, own): (&BTreeMap<String, String>, &str),
    kept: bool,
    progress: &Progress,
) -> Result<BroughtUp, Failure> {
    let work = WorkCopy::make(journal, &read.stack, run)?;
    read.mounts.bring(&work)?;
    let mut additions = flags(read);
    put_at_scale(read, &work, &mut additions)?;
    let declaration = &read.subject.declaration;
    let mut extra_services = Vec::new();
    if trust::is_wanted(declaration) {
        let defect = |e| Failure::new(Exit::Defect, e);
        let authority = Authority::new().map_err(defect)?;
        let file = work.authority();
        std::fs::write(&file, authority.ca_pem())
            .map_err(|e| Failure::new(Exit::Unfit, format!("{}: {e}", file.display())))?;
        if !declaration.receivers.is_empty() {
            let config = receiver::Config::new(declaration.receivers.clone(), &authority);
            extra_services.push(stand_ins(own, &config.map_err(defect)?)?);
        }
        trust::put(read, &authority, &mut additions).map_err(defect)?;
    }
    let prologue = Mutex::new(Vec::new());
    let tell = |event: StackEvent| {
        if let StackEvent::Ready { service, after_s, .. } = &event {
            progress.say(&format!("ready: {service} ({after_s:.1} s)"));
        }
        prologue
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(EventKind::Stack(event));
    };
    let request = stack::Up {
        engine,
        journal,
        stack: &read.stack,
        work: &work,
        images: images.clone(),
        extra_services,
        additions: additions.clone(),
        ports: None,
        ready_within: READY_WITHIN,
        kept,
        on_event: &tell,
    };
    let running = stack::up(request).await?;
    let prologue = prologue.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(BroughtUp { running, additions, prologue })
}

/// Puts the monitoring configuration at the time scale to wherever its servers see it: the run's
/// copies, or what is handed over.
fn put_at_scale(
    read: &LoadedStack,
    work: &WorkCopy,
    additions: &mut BTreeMap<String, ServiceOverride>,
) -> Result<(), stack::StackError> {
    for file in at_scale(read) {
        match &file.within {
            Some(name) => hand_over(read, &file, name, additions),
            None => {
                for place in read.mounts.places(work, &file.service, &file.original) {
                    write_in_place(&place, file.text.as_bytes())?;
                }
            }
        }
    }
    Ok(())
}

/// Adds a text that takes the place of one in the Compose file (`configs`, `secrets`).
fn hand_over(
    read: &LoadedStack,
    file: &RenderedFile,
    name: &str,
    additions: &mut BTreeMap<String, ServiceOverride>,
) {
    let files = read.stack.files_of(&file.service, name, &file.text);
    additions.entry(file.service.clone()).or_default().files.extend(files);
}

/// What the time scale adds to the commands and settings of servers.
fn flags(read: &LoadedStack) -> BTreeMap<String, ServiceOverride> {
    let mut additions: BTreeMap<String, ServiceOverride> = BTreeMap::new();
    for flag in &read.scaled.flags {
        let Some(service) = read.stack.topology.services.get(&flag.service) else { continue };
        let addition = additions.entry(flag.service.clone()).or_default();
        if read.scaled.config.elasticsearch.iter().any(|e| e.service == flag.service) {
            addition.env.insert(flag.name.clone(), flag.value.clone());
            continue;
        }
        let command =
            addition.command.get_or_insert_with(|| service.command.clone().unwrap_or_default());
        let given =
            |c: &String| c.trim_start_matches('-').split('=').next() == Some(flag.name.as_str());
        command.retain(|c| !given(c));
        command.push(format!("--{}={}", flag.name, flag.value));
    }
    additions
}

/// The container of the stand-ins: our own binary, known by the hosts' names.
fn stand_ins(image: &str, config: &receiver::Config) -> Result<ContainerSpec, Failure> {
    let defect = |e: serde_json::Error| Failure::foreign(Exit::Defect, e);
    let health = format!("http://127.0.0.1:{}/health", receiver::CONTROL_PORT);
    Ok(ContainerSpec {
        service: STAND_INS.into(),
        image: image.into(),
        command: Some(vec!["receivers".into(), "--config".into(), receiver::CONFIG_PATH.into()]),
        networks: vec![Attachment {
            aliases: receiver::hosts(&config.receivers),
            ..Attachment::default()
        }],
        ports: vec![PortSpec { container: receiver::CONTROL_PORT, host: 0, udp: false }],
        files: vec![FileSpec::readable(
            receiver::CONFIG_PATH,
            serde_json::to_vec(config).map_err(defect)?,
        )],
        healthcheck: Some(HealthcheckSpec {
            test: vec!["CMD".into(), "wget".into(), "-q".into(), "--spider".into(), health],
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(3),
            retries: 3,
            start_period: Duration::from_secs(20),
            start_interval: Duration::from_secs(1),
        }),
        ..ContainerSpec::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::subject;
    use crate::process::home::Home;
    use std::path::Path;

    #[test]
    fn all_images_that_can_not_be_had_are_told_at_once_with_their_services() {
        let image = |wanted: &str, hint: &str| Unavailable {
            wanted: wanted.into(),
            reference: wanted.into(),
            why: "no such host".into(),
            hint: hint.into(),
        };
        let names = ["web", "shop", "extra"].map(str::to_owned);
        let services = BTreeMap::from([
            (&names[0], "a:1".to_owned()),
            (&names[1], "a:1".to_owned()),
            (&names[2], "b:1".to_owned()),
        ]);
        let more = ["more".to_owned()];
        let profiles = |name: &str| if name == "extra" { &more[..] } else { &[][..] };
        let failure = refused(
            &[image("a:1", "check the network"), image("b:1", "check the network")],
            &services,
            profiles,
        );
        assert_eq!(failure.exit, Exit::Unfit);
        let told = failure.to_string();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[1], "  service shop, web: image a:1 can't be had: no such host");
        assert_eq!(
            lines[2],
            "  service extra, asked for by profile more: image b:1 can't be had: no such host"
        );
        assert_eq!(lines[3], "hint: check the network");
        assert!(lines[4].contains("`optional`") && lines.len() == 5, "{lines:?}");
    }

    const PROMETHEUS: &str =
        "global: {scrape_interval: 15s, evaluation_interval: 15s}\nrule_files: [rules/r*.yml]\n";
    const RULES: &str = "groups: [{name: a, rules: [{alert: Down, expr: up == 0, for: 1m}]}]\n";

    /// Where the rule is at time scale 20, of a stack whose Prometheus has this in the Compose
    /// file: files of the run, and what is handed over.
    fn put(compose: &str) -> (String, Vec<FileSpec>) {
        let temp = tempfile::tempdir().expect("folder");
        let home = temp.path().canonicalize().expect("real");
        let stack = home.join("stack");
        let write = |path: &Path, text: &str| {
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            std::fs::write(path, text).expect("file");
        };
        for folder in ["stack/inside", "outside"] {
            write(&home.join(folder).join("prometheus.yml"), PROMETHEUS);
            write(&home.join(folder).join("rules.yml"), RULES);
        }
        write(
            &stack.join("docker-compose.yml"),
            &format!("services:\n  prometheus:\n    image: prom/prometheus\n{compose}"),
        );
        let roles = "schema: 1\nstack: a\nroles: {metrics: {kind: prometheus, service: prometheus, port: 9090}}\ntargets: []\n";
        write(&stack.join("firedrill.yaml"), roles);
        let read = subject::read(&stack.to_string_lossy(), &Home::find(), Some(20.0))
            .unwrap_or_else(|e| panic!("{e}"));
        let work = WorkCopy {
            run: "r".into(),
            original: stack.clone(),
            folder: home.join("runs/r/stack"),
        };
        stack::work_copy::copy(&stack, &work.folder).expect("copies");
        read.mounts.bring(&work).expect("brings");
        let mut additions = flags(&read);
        put_at_scale(&read, &work, &mut additions).expect("writes");
        assert_eq!(
            std::fs::read_to_string(home.join("outside/rules.yml")).expect("file"),
            RULES,
            "the owner's"
        );
        assert_eq!(
            std::fs::read_to_string(stack.join("inside/rules.yml")).expect("file"),
            RULES,
            "the owner's"
        );
        let mut found = String::new();
        for place in ["stack/inside", "outside"].map(|folder| home.join(folder).join("rules.yml")) {
            found += &work
                .place(place)
                .and_then(|copy| std::fs::read_to_string(copy).ok())
                .unwrap_or_default();
        }
        (found, additions.remove("prometheus").unwrap_or_default().files)
    }

    #[test]
    fn scaled_rules_reach_the_server_however_it_gets_them() {
        for compose in [
            "    volumes: [./inside/prometheus.yml:/etc/prometheus/prometheus.yml, ./inside/rules.yml:/etc/prometheus/rules/r.yml]\n",
            "    volumes: [../outside/prometheus.yml:/etc/prometheus/prometheus.yml:ro, ../outside/rules.yml:/etc/prometheus/rules/r.yml:ro]\n",
            "    volumes: [../outside/prometheus.yml:/etc/prometheus/prometheus.yml, ../outside:/etc/prometheus/rules]\n",
            "    volumes: [./inside/prometheus.yml:/etc/prometheus/prometheus.yml]\n    configs: [{source: r, target: /etc/prometheus/rules/r.yml}]\n\
             configs: {r: {file: ../outside/rules.yml}}\n",
            "    volumes: [./inside/prometheus.yml:/etc/prometheus/prometheus.yml]\n    secrets: [{source: r, target: /etc/prometheus/rules/r.yml}]\n\
             secrets: {r: {file: ./inside/rules.yml}}\n",
        ] {
            let (files, handed) = put(compose);
            assert!(files.contains("for: 3s") && handed.is_empty(), "{compose}{files}");
        }
    }

    #[test]
    fn scaled_texts_of_the_compose_file_are_handed_over() {
        let compose = "    configs:\n    - {source: p, target: /etc/prometheus/prometheus.yml}\n    - {source: r, target: /etc/prometheus/rules/r.yml, mode: 0400}\n\
                       configs:\n  p:\n    content: |\n      rule_files: [rules/*.yml]\n      scrape_configs: [{job_name: j, scrape_interval: 20s}]\n  r:\n    \
                       content: 'groups: [{name: a, rules: [{alert: Down, expr: up == 0, for: 1m}]}]'\n";
        let (files, handed) = put(compose);
        assert!(!files.contains("for: 3s"), "{files}");
        let text = |path: &str| {
            let file = handed
                .iter()
                .find(|file| file.path == path)
                .unwrap_or_else(|| panic!("{handed:?}"));
            (String::from_utf8_lossy(&file.content).into_owned(), file.mode)
        };
        assert!(text("/etc/prometheus/prometheus.yml").0.contains("scrape_interval: 1s"));
        let (rules, mode) = text("/etc/prometheus/rules/r.yml");
        assert!(rules.contains("for: 3s") && mode == 0o400, "{rules}");
    }
}
