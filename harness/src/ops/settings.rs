//! What all commands are told: the options that they share.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Options that all commands share.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Folder in which each run gets a folder of its own: report.html, report.json, junit.xml,
    /// history.jsonl.
    #[arg(long, global = true, value_name = "DIR", default_value = "report")]
    pub report: PathBuf,
    /// Seed from which all choices flow. Without it one is drawn; it is printed first, so that a
    /// run can be repeated.
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Divide the durations of the monitoring configuration by N, 1 to 10000; 1 runs it untouched
    /// [default: what firedrill.yaml states, or the largest below it that works].
    #[arg(long, global = true, value_name = "N")]
    pub time_scale: Option<f64>,
    /// Only scenarios of the features with one of these tags, separated by commas. Without it all
    /// but @nightly.
    #[arg(long, global = true, value_name = "TAGS", value_delimiter = ',')]
    pub tags: Vec<String>,
    /// Turn a Compose profile on; may be given several times, `*` turns on all. The images of its
    /// services must be had then.
    #[arg(long = "profile", global = true, value_name = "NAME")]
    pub profiles: Vec<String>,
    /// Where images come from.
    #[arg(long, global = true, value_enum, default_value_t = Images::Auto)]
    pub images: Images,
    /// Leave the stack running at the end; `firedrill down` removes it.
    #[arg(long, global = true)]
    pub keep: bool,
    /// Install and start Docker if it is missing (Debian, as root).
    #[arg(long, global = true, env = "FIREDRILL_PROVISION", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0, default_missing_value = "true")]
    pub provision: bool,
    /// Form in which reports are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Print results and errors, no progress.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// Where images come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Images {
    /// Pull, and build what can't be pulled.
    Auto,
    /// Pull the pinned public images.
    Upstream,
    /// Build from package registries, for machines that reach no image registry; what can't be
    /// built must be there already.
    Packages,
}

impl From<Images> for crate::image::Source {
    fn from(choice: Images) -> Self {
        match choice {
            Images::Auto => Self::Auto,
            Images::Upstream => Self::Upstream,
            Images::Packages => Self::Packages,
        }
    }
}

impl Common {
    /// What tests run with: the defaults, changed by the environment (FIREDRILL_PROVISION,
    /// FIREDRILL_SEED, FIREDRILL_TAGS).
    pub fn of_tests(report: PathBuf) -> Common {
        let text = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        Common {
            report,
            seed: text("FIREDRILL_SEED").and_then(|s| s.parse().ok()),
            time_scale: None,
            tags: text("FIREDRILL_TAGS")
                .map(|t| t.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            profiles: Vec::new(),
            images: Images::Auto,
            keep: false,
            provision: crate::stack::provision::asked_by_environment(),
            format: Format::Text,
            quiet: false,
        }
    }
}

/// Form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// What report.json holds.
    Json,
    /// SARIF 2.1.0, of `lint` only.
    Sarif,
    /// Annotations of a GitHub workflow, of `lint` only.
    Github,
}
