//! Images for tests of single servers, obtained as a user obtains them: by the built program, which
//! prints their references.
//!
//! With `FIREDRILL_PROVISION=1` it installs Docker and builds what is missing, when the first test
//! that needs it really runs, and what can't be had is a failing test. Without, a test whose image
//! is not there is shown as ignored with the reason; with `FIREDRILL_CI=1` it fails. An image that
//! can only be pulled is nobody's fault where it can't be: the test is shown as ignored even then.

use crate::module::Test;
use crate::{is_set, kept, program, root};
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What was asked for so far: lists of images, with what came of them.
static ASKED: Mutex<BTreeMap<Vec<&str>, Result<(), String>>> = Mutex::new(BTreeMap::new());
/// References by name.
static REFERENCES: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());

/// What the program says of an image that it can't build; `.ci/run` knows such ignored tests by it.
const ONLY_PULLED: &str = "it can only be pulled, not built";

/// A test that needs these images of the catalogue.
pub fn trial(
    name: &str,
    images: &'static [&'static str],
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Test {
    let only_pulled: Vec<&str> =
        images.iter().copied().filter(|image| only_upstream(image)).collect();
    let run = move || {
        obtain(images)?;
        test()
    };
    // Known before any test runs, as whatever is shown as ignored must be.
    let lost = if only_pulled.is_empty() { None } else { obtain(&only_pulled).err() };
    if let Some(why) = lost.filter(|why| why.contains(ONLY_PULLED)) {
        return Test::new(format!("{name} ({why})"), run).ignored_if(true);
    }
    needing(name, || obtain(images).err(), run)
}

/// Whether the catalogue says of an image that it is never built.
fn only_upstream(image: &str) -> bool {
    let file = root().join("compose/images").join(image).join("image.toml");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| line.replace(' ', "") == "kind=\"upstream\"")
}

/// A test with a need, and why that is unmet. It is shown as ignored then, with the reason; where
/// tests must run it is tried, and fails by itself.
pub fn needing(
    name: &str,
    unmet: impl FnOnce() -> Option<String>,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Test {
    let must_run = is_set("FIREDRILL_PROVISION") || is_set("FIREDRILL_CI");
    let missing = if must_run { None } else { unmet() };
    let shown = missing.as_ref().map_or_else(|| name.to_owned(), |why| format!("{name} ({why})"));
    Test::new(shown, test).ignored_if(missing.is_some())
}

/// Why there is no engine, for tests that bring up whole stacks and obtain the images of these
/// themselves.
pub fn no_engine() -> Option<String> {
    static ASKED: OnceLock<Option<String>> = OnceLock::new();
    // One image that is not there says as much about the engine as any.
    ASKED
        .get_or_init(|| {
            ask(&["base-trixie"]).err().filter(|why| why.contains("no container engine answers"))
        })
        .clone()
}

/// The reference of an image that the running test has named as needed.
pub fn reference(name: &str) -> &'static str {
    let references = REFERENCES.lock().unwrap_or_else(PoisonError::into_inner);
    references
        .get(name)
        .copied()
        .unwrap_or_else(|| panic!("the test does not name image {name} as needed"))
}

/// A Compose file with `firedrill/<name>:tested` replaced by the reference of each of these images.
pub fn filled(compose: &str, images: &[&str]) -> String {
    images.iter().fold(compose.to_owned(), |text, name| {
        text.replace(&format!("firedrill/{name}:tested"), reference(name))
    })
}

/// Obtains images, once for each list; others wait meanwhile.
fn obtain(images: &[&'static str]) -> Result<(), String> {
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    asked.entry(images.to_vec()).or_insert_with(|| ask(images)).clone()
}

fn ask(images: &[&str]) -> Result<(), String> {
    let program = program()?;
    let how = if is_set("FIREDRILL_PROVISION") { "--provision" } else { "--present" };
    let mut command = Command::new(&program);
    command.arg("images").args(images).args([how, "--report"]).arg(kept()?);
    let (output, error) = run(&mut command, how == "--provision")
        .map_err(|error| format!("{} can't be run: {error}", program.display()))?;
    if !output.status.success() {
        let line = error.lines().find_map(|line| line.split_once("error: ").map(|(_, why)| why));
        let named = || {
            format!("`firedrill images {} {how}` ended with {}", images.join(" "), output.status)
        };
        return Err(line.map_or_else(named, str::to_owned));
    }
    let mut references = REFERENCES.lock().unwrap_or_else(PoisonError::into_inner);
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, reference) = line
            .split_once(' ')
            .ok_or_else(|| format!("wanted `name reference`, seen {line:?}"))?;
        references.entry(name.to_owned()).or_insert_with(|| reference.to_owned().leak());
    }
    let lacking: Vec<&str> =
        images.iter().copied().filter(|name| !references.contains_key(*name)).collect();
    if lacking.is_empty() {
        Ok(())
    } else {
        Err(format!("no reference was printed for {}", lacking.join(", ")))
    }
}

/// Runs a program to its end and returns what it said with its errors, which are the reasons that
/// are shown. What it says while it builds is seen by who runs the tests, line by line.
fn run(command: &mut Command, shown: bool) -> std::io::Result<(Output, String)> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut said = String::new();
    // Standard output is a few lines at the end, which fit into the pipe meanwhile.
    for line in child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).lines()) {
        let line = line?;
        if shown {
            eprintln!("{line}");
        }
        said.push_str(&line);
        said.push('\n');
    }
    Ok((child.wait_with_output()?, said))
}
