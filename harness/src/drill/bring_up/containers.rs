//! What a stack's containers are made from: images, the work copy at the time scale, what is added to services, stand-ins.

use super::{AUTHORITY_PATH, Options, STAND_INS, rendered};
use crate::authority::Authority;
use crate::binaries::Binaries;
use crate::cli::Failure;
use crate::engine::Engine;
use crate::engine::spec::{Attachment, ContainerSpec, FileSpec, HealthcheckSpec, PortSpec};
use crate::exit::Exit;
use crate::image::{Catalogue, Images, Unavailable};
use crate::journal::Journal;
use crate::progress::Progress;
use crate::receiver;
use crate::stack::{self, Addition, Running, WorkCopy};
use crate::subject::Read;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;
use verdict::EventKind;
use verdict::history::run::{Deviation, DeviationKind};
use verdict::history::stack::StackEvent;

/// Longest time from a service's start until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// A stack that was brought up.
pub(super) struct Brought {
    pub(super) running: Running,
    /// What was added to services; one that is made anew needs it again.
    pub(super) additions: BTreeMap<String, Addition>,
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

/// Obtains every image that the stack needs, and those that it may do without, as far as they can be had.
pub(super) async fn images(options: &Options, engine: &Engine, read: &Read, progress: &Progress) -> Result<Obtained, Failure> {
    let unfit = |e: crate::image::Error| Failure::new(Exit::Unfit, e);
    let say = |p: &crate::image::Progress| progress.say(&p.to_string());
    let catalogue = Catalogue::load(&options.home.images()).map_err(unfit)?;
    let images = Images::new(&engine.docker, &catalogue, options.common.report.join("images"));
    let mapped = |image: &str| read.subject.declaration.images.get(image).cloned().unwrap_or_else(|| image.to_owned());
    let services: BTreeMap<&String, String> =
        read.stack.project.services.iter().filter_map(|(n, s)| Some((n, mapped(s.image.as_deref()?)))).collect();
    let is_apps = |image: &str| image == "firedrill/apps" || image.starts_with("firedrill/apps:");
    let may_go = may_go(read);
    let of_services = |optional: bool| -> BTreeSet<&str> {
        let those = services.iter().filter(|(name, image)| may_go.contains(name.as_str()) == optional && !is_apps(image));
        those.map(|(_, image)| image.as_str()).collect()
    };
    let wanted: Vec<&str> = of_services(false).into_iter().chain(["base-bookworm"]).collect();
    let asked_for = |name: &str| read.stack.project.services.get(name).map_or(&[][..], |s| &s.profiles);
    let mut ready = match images.ensure(&wanted, options.common.images.into(), &say).await {
        Ok(ready) => ready,
        Err(crate::image::Error::Unavailable(all)) => return Err(refused(&all, &services, asked_for)),
        Err(error) => return Err(unfit(error)),
    };
    // What the stack can do without comes last: where something else is missing it is not even tried.
    let optional: Vec<&str> = of_services(true).into_iter().filter(|image| !wanted.contains(image)).collect();
    let mut unavailable = BTreeMap::new();
    for outcome in images.ensure_each(&optional, options.common.images.into(), &say).await.map_err(unfit)? {
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
    let references: BTreeMap<&str, &str> = ready.iter().map(|image| (image.wanted.as_str(), image.reference.as_str())).collect();
    let binaries = Binaries::built(&options.home, progress).await.map_err(|e| Failure::new(Exit::Unfit, e))?;
    let own = images.ensure_own("firedrill", &binaries.firedrill, &[]).await.map_err(unfit)?.reference;
    let mut apps = String::new();
    if services.values().any(|i| is_apps(i)) {
        apps = images.ensure_own("apps", &binaries.apps, &[]).await.map_err(unfit)?.reference;
    }
    let of = |image: &String| {
        if is_apps(image) { apps.clone() } else { references.get(image.as_str()).map_or_else(|| image.clone(), |r| (*r).to_owned()) }
    };
    let there = services.iter().filter(|(name, _)| !unavailable.contains_key(name.as_str()));
    let images = there.map(|(name, image)| ((*name).clone(), of(image))).collect();
    Ok(Obtained { images, own, differs, unavailable })
}

/// Services that are left out where their image can't be had. One that a profile turns on was asked for.
fn may_go(read: &Read) -> BTreeSet<&str> {
    read.subject.declaration.optional.iter().filter(|o| o.profile.is_none()).map(|o| o.service.as_str()).collect()
}

/// The message about images that can't be had of services that must run: all of them, with their services.
fn refused<'p>(all: &[Unavailable], services: &BTreeMap<&String, String>, profiles: impl Fn(&str) -> &'p [String]) -> Failure {
    let mut lines = vec!["the stack can't be started, since images can't be had:".to_owned()];
    for image in all {
        let of: Vec<String> = services.iter().filter(|(_, wanted)| **wanted == image.wanted).map(|(name, _)| (*name).clone()).collect();
        let whose = match of.iter().find(|name| !profiles(name).is_empty()) {
            _ if of.is_empty() => "firedrill itself".to_owned(),
            Some(asked) => format!("service {}, asked for by profile {}", of.join(", "), profiles(asked).join(", ")),
            None => format!("service {}", of.join(", ")),
        };
        lines.push(format!("  {whose}: {image}"));
    }
    let hints: BTreeSet<&str> = all.iter().map(|image| image.hint.as_str()).collect();
    lines.extend(hints.iter().map(|hint| format!("hint: {hint}")));
    lines.push("hint: a service that the stack can do without stands under `optional` in firedrill.yaml, without `profile`".into());
    Failure::new(Exit::Unfit, lines.join("\n"))
}

/// Work copy, configuration at the time scale, stand-ins, containers.
pub(super) async fn bring(
    engine: &Engine,
    journal: &Journal,
    read: &Read,
    run: &str,
    (images, own): (&BTreeMap<String, String>, &str),
    kept: bool,
    progress: &Progress,
) -> Result<Brought, Failure> {
    let failed = |e: stack::StackError| Failure::new(e.exit(), e);
    let work = WorkCopy::make(journal, &read.stack, run).map_err(failed)?;
    for (path, text) in rendered(read) {
        work.write(&path, text).map_err(failed)?;
    }
    let mut additions = flags(read);
    let declaration = &read.subject.declaration;
    let mut extra_services = Vec::new();
    if !declaration.receivers.is_empty() {
        let authority = Authority::new().map_err(|e| Failure::new(Exit::Defect, e))?;
        let config = receiver::Config::new(declaration.receivers.clone(), &authority).map_err(|e| Failure::new(Exit::Defect, e))?;
        extra_services.push(stand_ins(own, &config)?);
        if let Some(alerting) = &declaration.roles.alerting {
            let addition = additions.entry(alerting.service.clone()).or_default();
            addition.files.push(FileSpec::readable(AUTHORITY_PATH, authority.ca_pem()));
            addition.env.insert("SSL_CERT_FILE".into(), AUTHORITY_PATH.into());
        }
    }
    let prologue = Mutex::new(Vec::new());
    let tell = |event: StackEvent| {
        if let StackEvent::Ready { service, after_s, .. } = &event {
            progress.say(&format!("ready: {service} ({after_s:.1} s)"));
        }
        prologue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(EventKind::Stack(event));
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
    let running = stack::up(request).await.map_err(failed)?;
    let prologue = prologue.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Brought { running, additions, prologue })
}

/// What the time scale adds to the commands and settings of servers.
fn flags(read: &Read) -> BTreeMap<String, Addition> {
    let mut additions: BTreeMap<String, Addition> = BTreeMap::new();
    for flag in &read.scaled.flags {
        let Some(service) = read.stack.project.services.get(&flag.service) else { continue };
        let addition = additions.entry(flag.service.clone()).or_default();
        if read.scaled.config.elasticsearch.iter().any(|e| e.service == flag.service) {
            addition.env.insert(flag.name.clone(), flag.value.clone());
            continue;
        }
        let command = addition.command.get_or_insert_with(|| service.command.clone().unwrap_or_default());
        let given = |c: &String| c.trim_start_matches('-').split('=').next() == Some(flag.name.as_str());
        command.retain(|c| !given(c));
        command.push(format!("--{}={}", flag.name, flag.value));
    }
    additions
}

/// The container of the stand-ins: our own binary, known by the hosts' names.
fn stand_ins(image: &str, config: &receiver::Config) -> Result<ContainerSpec, Failure> {
    let defect = |e: serde_json::Error| Failure::new(Exit::Defect, e);
    let health = format!("http://127.0.0.1:{}/health", receiver::CONTROL_PORT);
    Ok(ContainerSpec {
        service: STAND_INS.into(),
        image: image.into(),
        command: Some(vec!["receivers".into(), "--config".into(), receiver::CONFIG_PATH.into()]),
        networks: vec![Attachment { network: String::new(), aliases: receiver::hosts(&config.receivers), ipv4: None }],
        ports: vec![PortSpec { container: receiver::CONTROL_PORT, host: 0, udp: false }],
        files: vec![FileSpec::readable(receiver::CONFIG_PATH, serde_json::to_vec(config).map_err(defect)?)],
        healthcheck: Some(HealthcheckSpec {
            test: vec!["CMD".into(), "wget".into(), "-q".into(), "--spider".into(), health],
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            retries: 20,
            start_period: Duration::ZERO,
            start_interval: Duration::ZERO,
        }),
        ..ContainerSpec::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_images_that_can_not_be_had_are_told_at_once_with_their_services() {
        let image = |wanted: &str, hint: &str| Unavailable {
            wanted: wanted.into(),
            reference: wanted.into(),
            why: "no such host".into(),
            hint: hint.into(),
        };
        let names = ["web", "shop", "extra"].map(str::to_owned);
        let services = BTreeMap::from([(&names[0], "a:1".to_owned()), (&names[1], "a:1".to_owned()), (&names[2], "b:1".to_owned())]);
        let more = ["more".to_owned()];
        let profiles = |name: &str| if name == "extra" { &more[..] } else { &[][..] };
        let failure = refused(&[image("a:1", "check the network"), image("b:1", "check the network")], &services, profiles);
        assert_eq!(failure.exit, Exit::Unfit);
        let lines: Vec<&str> = failure.message.lines().collect();
        assert_eq!(lines[1], "  service shop, web: image a:1 can't be had: no such host");
        assert_eq!(lines[2], "  service extra, asked for by profile more: image b:1 can't be had: no such host");
        assert_eq!(lines[3], "hint: check the network");
        assert!(lines[4].contains("`optional`") && lines.len() == 5, "{lines:?}");
    }
}
