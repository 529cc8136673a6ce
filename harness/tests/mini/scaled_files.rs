//! The servers' own checkers accept what the time scale writes, and the server's own engine makes
//! the same of it.
//!
//! `promtool` and `amtool` come with the images of the servers.

#![allow(clippy::unwrap_used)]

mod equivalence;
mod series;

use std::path::{Path, PathBuf};

use config::monitoring::{FileText, MonitoringConfig, Server, ServerKind};
use config::timescale::Scale;
use libtest_mimic::Failed;
use support::images;
use support::lab::{Lab, Spec};
use support::module::Tests;

/// Runs a server's checker on files of a folder; what it said, if it accepts them.
fn run(image: &str, tool: &str, folder: &Path, arguments: &[&str]) -> Result<String, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (code, said) = runtime.block_on(async {
        let mut lab = Lab::new().await;
        let within = "cd /check && exec \"$@\"";
        let command = ["sh", "-c", within, "check", tool]
            .iter()
            .chain(arguments)
            .map(|word| (*word).to_owned())
            .collect();
        let container = lab
            .start(Spec {
                image: images::reference(image),
                entrypoint: Some(command),
                binds: vec![format!("{}:/check", folder.display())],
                ..Spec::default()
            })
            .await;
        lab.ended(&container).await
    });
    if code == Some(0) {
        Ok(said)
    } else {
        Err(format!("{tool} {arguments:?} ended with {code:?}: {said}").into())
    }
}

fn load() -> Result<MonitoringConfig, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/src/timescale/fixtures");
    let of_file = |kind, service: &str, name: &str| -> Result<Server, Failed> {
        Ok(Server::of_file(
            kind,
            service,
            folder.join(name),
            &std::fs::read_to_string(folder.join(name))?,
        ))
    };
    let mut prometheus = of_file(ServerKind::Prometheus, "prometheus", "prometheus.yml")?;
    let rules = std::fs::read_to_string(folder.join("rules.yml"))?;
    prometheus.files.insert(
        prometheus.folder().join("rules.yml"),
        FileText::on_disk(folder.join("rules.yml"), &rules),
    );
    Ok(MonitoringConfig::load(&[
        prometheus,
        of_file(ServerKind::Alertmanager, "alertmanager", "alertmanager.yml")?,
    ])?)
}

/// Writes the configuration at scale `n` to a folder that a container's user can read.
fn written(n: f64) -> Result<(tempfile::TempDir, Vec<PathBuf>), Failed> {
    let scaled = Scale::new(n)?.apply(&load()?)?;
    let folder = shared_folder()?;
    let mut files = Vec::new();
    for file in scaled.config.render() {
        let name = file.original.file_name().ok_or("a file without a name")?;
        let path = folder.path().join(name);
        std::fs::write(&path, &file.text)?;
        files.push(path);
    }
    Ok((folder, files))
}

/// A folder that a container's user can read and write.
fn shared_folder() -> Result<tempfile::TempDir, Failed> {
    let folder = tempfile::tempdir()?;
    #[cfg(unix)]
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    Ok(folder)
}

type Check =
    (&'static str, &'static [&'static str], &'static str, &'static [&'static str], &'static str);

const CHECKS: [Check; 3] = [
    ("rules", &["prometheus"], "promtool", &["check", "rules", "rules.yml"], "27 rules found"),
    ("config", &["prometheus"], "promtool", &["check", "config", "prometheus.yml"], "SUCCESS"),
    ("alertmanager", &["alertmanager"], "amtool", &["check-config", "alertmanager.yml"], "SUCCESS"),
];

pub fn tests() -> Tests {
    let mut tests = Vec::new();
    for n in [1.0, 7.0, 20.0] {
        for (name, image, tool, arguments, wanted) in CHECKS {
            tests.push(images::trial(
                &format!("scaled_{name}_accepted_at_{n}"),
                image,
                move || {
                    let (folder, _) = written(n)?;
                    let said = run(image[0], tool, folder.path(), arguments)?;
                    if said.contains(wanted) {
                        Ok(())
                    } else {
                        Err(format!("wanted `{wanted}`, seen: {said}").into())
                    }
                },
            ));
        }
    }
    tests.extend(equivalence::tests());
    Tests::side_by_side(tests)
}
