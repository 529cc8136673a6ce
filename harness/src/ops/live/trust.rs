//! The run's certificate authority in the stack: each container whose service sends to a stand-in
//! trusts it, and servers that are declared so have a certificate of it.

use crate::declaration::Declaration;
use crate::engine::spec::FileSpec;
use crate::plan::subject::LoadedStack;
use crate::receiver;
use crate::receiver::authority::{Authority, AuthorityError};
use crate::secret::text_of;
use crate::stack::ServiceOverride;
use crate::stack::topology::{Service, Shown};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where the run's authority is put into containers.
const AUTHORITY_PATH: &str = "/etc/firedrill/ca.pem";
/// Variable by which programs are told whom to trust.
const TRUSTED: &str = "SSL_CERT_FILE";
/// A folder with more files than this holds data, no configuration.
const MOST_FILES: usize = 200;
/// Parts of the host that exporters mount; a read of some files there never ends.
const NOT_OURS: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/var/run"];

/// Whether a run of this stack has an authority.
pub(super) fn is_wanted(declaration: &Declaration) -> bool {
    !declaration.receivers.is_empty()
        || declaration.roles.servers().any(|role| role.certificate.is_some())
}

/// Adds to containers the authority, and the certificates that it issues.
pub(super) fn put(
    read: &LoadedStack,
    authority: &Authority,
    additions: &mut BTreeMap<String, ServiceOverride>,
) -> Result<(), AuthorityError> {
    let pem = authority.ca_pem();
    let services = &read.stack.topology.services;
    let senders = senders(read);
    for (name, service) in services {
        let trusts = senders.contains(name.as_str());
        if !trusts && !mentions(service, AUTHORITY_PATH) {
            continue;
        }
        let addition = additions.entry(name.clone()).or_default();
        // Whom the service trusts by itself it goes on trusting.
        let own = service.environment.get(TRUSTED).filter(|_| trusts);
        let own = own.and_then(|inside| shown_text(service, Path::new(inside)));
        let all = own.map_or_else(|| pem.clone(), |own| format!("{}\n{pem}", own.trim_end()));
        addition.files.push(FileSpec::readable(AUTHORITY_PATH, all));
        if trusts {
            addition.env.insert(TRUSTED.into(), AUTHORITY_PATH.into());
        }
    }
    for role in read.subject.declaration.roles.servers() {
        let Some(certificate) = &role.certificate else { continue };
        let Some(service) = services.get(&role.service) else { continue };
        let names = [role.server_name(), "localhost", "127.0.0.1"].into_iter();
        let names: Vec<&str> = names.chain(service.names.iter().map(String::as_str)).collect();
        let issued = authority.issue(&names)?;
        let files = &mut additions.entry(role.service.clone()).or_default().files;
        files.push(FileSpec::readable(&certificate.cert_file, issued.cert_pem));
        // Whoever the server runs as has to read it; it is worth nothing outside of the run.
        files.push(FileSpec::readable(&certificate.key_file, issued.key_pem));
    }
    Ok(())
}

/// Services that send to a stand-in's host: alert managers, and all whose configuration, command or
/// settings name one.
fn senders(read: &LoadedStack) -> BTreeSet<&str> {
    let declaration = &read.subject.declaration;
    let hosts = receiver::hosts(&declaration.receivers);
    if hosts.is_empty() {
        return BTreeSet::new();
    }
    let managers = declaration.roles.alerting.iter().map(|role| role.service.as_str());
    let mut all: BTreeSet<&str> = managers.collect();
    // Hosts that are a server's defaults are written nowhere.
    let destinations = read.written.destinations().unwrap_or_default();
    for (name, service) in &read.stack.topology.services {
        let sends = destinations.iter().filter(|d| d.service == *name).any(|d| {
            d.kind.sends()
                && d.host.as_ref().is_some_and(|h| hosts.contains(&h.to_ascii_lowercase()))
        });
        if sends || hosts.iter().any(|host| mentions(service, host)) {
            all.insert(name);
        }
    }
    all
}

/// Whether a service is told of this name, by whatever it is given.
fn mentions(service: &Service, name: &str) -> bool {
    let words = [&service.command, &service.entrypoint].into_iter().flatten().flatten();
    words.chain(service.environment.values()).any(|text| is_in(text, name))
        || service.shown.iter().any(|(_, shown)| match shown {
            Shown::Text(text) => is_in(&text.text, name),
            Shown::Path(path) => {
                files(path).iter().any(|file| text_of(file).is_some_and(|t| is_in(&t, name)))
            }
        })
}

/// Whether a text has this name in it, and not as a part of another.
fn is_in(text: &str, name: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.match_indices(name).any(|(at, _)| {
        let mut after = text[at + name.len()..].chars();
        let goes_on = match after.next() {
            // The end of a sentence, or of a name that is written whole.
            Some('.') => after.next().is_some_and(|c| c.is_ascii_alphanumeric()),
            Some(c) => of_name(c),
            None => false,
        };
        !goes_on && !text[..at].chars().next_back().is_some_and(of_name)
    })
}

/// The files of what is mounted: itself, or those below, as far as they may be configuration.
fn files(path: &Path) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![(path.to_owned(), 0)]);
    while let Some((path, depth)) = left.pop() {
        if path == Path::new("/") || NOT_OURS.iter().any(|not| path.starts_with(not)) {
            continue;
        }
        let (Ok(about), Ok(itself)) = (path.metadata(), path.symlink_metadata()) else { continue };
        // What the kernel makes up when it is read has no size.
        if about.is_file() && about.len() > 0 {
            found.push(path);
        } else if about.is_dir() && (itself.is_dir() || depth == 0) && depth < 6 {
            let below = std::fs::read_dir(&path).into_iter().flatten().flatten();
            let mut below: Vec<PathBuf> = below.map(|entry| entry.path()).collect();
            below.sort();
            below.truncate(MOST_FILES);
            left.extend(below.into_iter().rev().map(|path| (path, depth + 1)));
        }
        if found.len() >= MOST_FILES {
            break;
        }
    }
    found
}

/// The text of a file of a service, by its path inside; none if the image has it.
fn shown_text(service: &Service, inside: &Path) -> Option<String> {
    service.shown.iter().rev().find_map(|(at, shown)| match shown {
        Shown::Text(text) => (at == inside).then(|| text.text.clone()),
        Shown::Path(path) => {
            let below = inside.strip_prefix(at).ok()?;
            let empty = below.as_os_str().is_empty();
            text_of(&if empty { path.clone() } else { path.join(below) })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::subject;
    use crate::process::home::Home;

    const COMPOSE: &str = "services:
  prometheus: {image: p, volumes: ['./p.yml:/etc/prometheus/prometheus.yml']}
  alertmanager: {image: a, volumes: ['./a.yml:/etc/alertmanager/alertmanager.yml']}
  grafana:
    image: g
    environment: {SSL_CERT_FILE: /tls/own.pem}
    volumes: ['./grafana:/etc/grafana/provisioning', './tls:/tls']
  bot: {image: b, environment: {HOOK: 'https://CHAT.test/rooms'}}
  pager: {image: b, command: [run, --to=https://chat.test]}
  quiet: {image: b, environment: {HOOK: 'https://my.chat.test/rooms, https://chat.tests'}}
  scraper: {image: s, command: [--ca=/etc/firedrill/ca.pem]}
";
    const DECLARED: &str = "schema: 1
stack: a
roles:
  metrics:
    kind: prometheus
    service: prometheus
    port: 9090
    scheme: https
    certificate: {cert_file: /run/tls/cert.pem, key_file: /run/tls/key.pem}
    server_name: metrics.shop.test
  alerting: {kind: alertmanager, service: alertmanager, port: 9093}
receivers: [{name: chat, protocol: webhook, host: chat.test, path: /rooms}]
";

    fn added() -> BTreeMap<String, ServiceOverride> {
        let home = tempfile::tempdir().expect("folder");
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            std::fs::write(path, text).expect("file");
        };
        write("docker-compose.yml", COMPOSE);
        write("firedrill.yaml", DECLARED);
        write("p.yml", "global: {scrape_interval: 15s}\n");
        write(
            "a.yml",
            "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'https://chat.test/rooms'}]}]\n",
        );
        write("grafana/alerting/contacts.yaml", "url: https://chat.test/rooms\n");
        write("tls/own.pem", "OWN\n");
        let read = subject::read(&home.path().to_string_lossy(), &Home::find(), None)
            .unwrap_or_else(|e| panic!("{e}"));
        assert!(is_wanted(&read.subject.declaration));
        let mut additions = BTreeMap::new();
        put(&read, &Authority::new().expect("an authority"), &mut additions).expect("issues");
        additions
    }

    #[test]
    fn who_sends_to_a_stand_in_trusts_the_run_and_nobody_else() {
        let added = added();
        let trusting =
            |of: &ServiceOverride| of.env.get(TRUSTED).map(String::as_str) == Some(AUTHORITY_PATH);
        let names: Vec<&String> =
            added.iter().filter(|(_, of)| trusting(of)).map(|(name, _)| name).collect();
        assert_eq!(names, ["alertmanager", "bot", "grafana", "pager"]);
        let ca = |name: &str| {
            let file = added[name].files.iter().find(|file| file.path == AUTHORITY_PATH);
            String::from_utf8_lossy(&file.expect("the authority").content).into_owned()
        };
        assert!(ca("bot").starts_with("-----BEGIN CERTIFICATE"), "{}", ca("bot"));
        // Whom it trusted before it goes on trusting.
        assert!(ca("grafana").starts_with("OWN\n-----BEGIN CERTIFICATE"), "{}", ca("grafana"));
        // Who only reads the file is given it, and goes on trusting others as before.
        assert!(!ca("scraper").is_empty() && added["scraper"].env.is_empty());
        assert!(!added.contains_key("quiet"));
    }

    #[test]
    fn a_server_that_is_declared_so_finds_a_certificate_for_its_names() {
        let added = added();
        let files = &added["prometheus"].files;
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["/run/tls/cert.pem", "/run/tls/key.pem"]);
        let text = String::from_utf8_lossy(&files[1].content);
        assert!(text.contains("PRIVATE KEY"), "{text}");
    }

    #[test]
    fn only_what_may_be_configuration_is_read() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().canonicalize().expect("real");
        std::fs::create_dir(folder.join("deep")).expect("folder");
        for (file, text) in [("a.yml", "a"), ("deep/b.yml", "b"), ("empty", "")] {
            std::fs::write(folder.join(file), text).expect("file");
        }
        std::os::unix::fs::symlink("/proc", folder.join("kernel")).expect("link");
        std::os::unix::fs::symlink(folder.join("a.yml"), folder.join("z.yml")).expect("link");
        let wanted = ["a.yml", "deep/b.yml", "z.yml"].map(|file| folder.join(file));
        assert_eq!(files(&folder), wanted);
        for host in ["/", "/proc", "/proc/kmsg", "/sys"] {
            assert_eq!(files(Path::new(host)), Vec::<PathBuf>::new(), "{host}");
        }
    }

    #[test]
    fn a_name_is_found_whole_only() {
        for text in ["https://chat.test/x", "chat.test", "to CHAT.test.", "a@chat.test:443"] {
            assert!(is_in(text, "chat.test"), "{text}");
        }
        for text in ["my.chat.test", "my-chat.test", "chat.tests", "chat.test.org", "chat,test"] {
            assert!(!is_in(text, "chat.test"), "{text}");
        }
    }
}
