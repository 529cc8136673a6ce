//! The servers' own checkers accept what the time scale writes.
//!
//! `promtool` and `amtool` are taken from the path, else from the images of this repository. Where neither is there, the
//! tests are ignored and say why.

use std::path::{Path, PathBuf};
use std::process::Command;

use firedrill::monitoring::{MonitoringConfig, ServerKind, Source};
use firedrill::timescale::Scale;
use libtest_mimic::{Arguments, Failed, Trial};

/// A way to run a checker on files of a folder.
#[derive(Clone)]
enum Tool {
    OnPath(String),
    InImage { image: String, tool: String },
    Missing(String),
}

impl Tool {
    fn find(tool: &str, image: &str) -> Tool {
        let runs = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        if runs(Command::new(tool).arg("--version")) {
            return Tool::OnPath(tool.into());
        }
        if runs(Command::new("docker").args(["image", "inspect", image])) {
            return Tool::InImage { image: image.into(), tool: tool.into() };
        }
        Tool::Missing(format!("{tool} is not on the path, and there is no image {image}"))
    }

    fn run(&self, folder: &Path, arguments: &[&str]) -> Result<String, Failed> {
        let mut command = match self {
            Tool::OnPath(tool) => {
                let mut command = Command::new(tool);
                command.current_dir(folder);
                command
            }
            Tool::InImage { image, tool } => {
                let mut command = Command::new("docker");
                let mount = format!("{}:/check:ro", folder.display());
                command.args(["run", "--rm", "--network", "none", "--label", "firedrill.stack=scaled-files", "-v", &mount, "-w", "/check"]);
                command.args(["--entrypoint", tool, image]);
                command
            }
            Tool::Missing(why) => return Err(why.as_str().into()),
        };
        let output = command.args(arguments).output()?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(said) } else { Err(format!("{arguments:?}: {said}").into()) }
    }
}

fn load() -> Result<MonitoringConfig, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/timescale/fixtures");
    let sources = [
        Source::new(ServerKind::Prometheus, "prometheus", folder.join("prometheus.yml")),
        Source::new(ServerKind::Alertmanager, "alertmanager", folder.join("alertmanager.yml")),
    ];
    Ok(MonitoringConfig::load(&sources)?)
}

/// Writes the configuration at scale `n` to a folder that a container's user can read.
fn written(n: f64) -> Result<(tempfile::TempDir, Vec<PathBuf>), Failed> {
    let scaled = Scale::new(n)?.apply(&load()?)?;
    let folder = tempfile::tempdir()?;
    #[cfg(unix)]
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut files = Vec::new();
    for file in scaled.config.render() {
        let name = file.original.file_name().ok_or("a file without a name")?;
        let path = folder.path().join(name);
        std::fs::write(&path, &file.text)?;
        files.push(path);
    }
    Ok((folder, files))
}

fn main() {
    let arguments = Arguments::from_args();
    let promtool = Tool::find("promtool", "firedrill/prometheus:dev");
    let amtool = Tool::find("amtool", "firedrill/alertmanager:dev");
    let mut trials = Vec::new();
    for n in [1.0, 7.0, 20.0] {
        let checks: [(&str, &Tool, &'static [&'static str], &str); 3] = [
            ("rules", &promtool, &["check", "rules", "rules.yml"], "27 rules found"),
            ("config", &promtool, &["check", "config", "prometheus.yml"], "SUCCESS"),
            ("alertmanager", &amtool, &["check-config", "alertmanager.yml"], "SUCCESS"),
        ];
        for (name, tool, arguments, wanted) in checks {
            let missing = match tool {
                Tool::Missing(why) => Some(why.clone()),
                _ => None,
            };
            let title = match &missing {
                Some(why) => format!("scaled_{name}_accepted_at_{n} ({why})"),
                None => format!("scaled_{name}_accepted_at_{n}"),
            };
            let (tool, wanted) = (tool.clone(), wanted.to_owned());
            let trial = Trial::test(title, move || {
                let (folder, _) = written(n)?;
                let said = tool.run(folder.path(), arguments)?;
                if said.contains(&wanted) { Ok(()) } else { Err(format!("wanted `{wanted}`, seen: {said}").into()) }
            });
            trials.push(trial.with_ignored_flag(missing.is_some()));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
