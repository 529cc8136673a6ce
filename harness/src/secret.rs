//! Keys, tokens, passwords and webhook paths: none is shown. What a stack's files hold of them is
//! learned as they are read, and whatever leaves this process as text goes through [`scrub`]:
//! messages, plans, progress, reports, histories, logs.
//!
//! Shown instead is the field's name, with the last four characters of a secret of 16 or more:
//! `[routing_key …1f3a]`. A value shorter than 8 characters, or one that is a name of something
//! else too, is masked only where it stands as its field's value, so that no word of a report is
//! torn apart.

pub mod mask;

use config::secret::collect::{self, Piece};
use config::secret::scrub::{LONG, Scrubber, Secrets};
use config::secret::words;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// Larger files are data, not configuration.
const LARGEST: u64 = 512 * 1024;
/// A folder with more files than this is no stack's.
const MOST_FILES: usize = 2000;
/// Folders that are never a stack's own.
const NOT_OURS: &[&str] =
    &[".git", "node_modules", "target", "report", ".terraform", "__pycache__"];

/// What this process knows.
#[derive(Default)]
struct Known {
    secrets: Secrets,
    /// Files whose content is a secret, by what the content is.
    files: BTreeSet<(String, String)>,
    /// What was read already.
    read: BTreeSet<u64>,
    scrubber: Option<Arc<Scrubber>>,
}

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

fn change<T>(with: impl FnOnce(&mut Known) -> T) -> T {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.scrubber = None;
    with(&mut known)
}

fn scrubber() -> Arc<Scrubber> {
    if let Some(made) = &KNOWN.read().unwrap_or_else(PoisonError::into_inner).scrubber {
        return made.clone();
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let made = Arc::new(known.secrets.scrubber());
    known.scrubber = Some(made.clone());
    made
}

/// A text as it may be shown.
pub fn scrub(text: &str) -> Cow<'_, str> {
    // The scrubber is kept, so what it returns may not borrow from it.
    match scrubber().scrub(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(changed) => Cow::Owned(changed),
    }
}

/// The start of an answer's body as it may be shown, on one line.
pub fn start_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(600)]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // A key that is cut off would not be known any more.
    scrub(&line).chars().take(300).collect()
}

/// A line of a file as a message may quote it: names stay, values of secrets go, whether or not
/// anybody learned them.
pub fn shown_line(line: &str) -> String {
    scrub(&config::secret::shown_line(line)).into_owned()
}

/// Whether a line of a file holds a secret, as far as its names and what is known tell.
pub fn holds_secret(line: &str) -> bool {
    config::secret::holds_secret(line) || matches!(scrub(line), Cow::Owned(_))
}

/// What a parser says about a line: what it quotes is left out where the line holds a secret.
pub fn shown_problem(line: &str, told: &str) -> String {
    if holds_secret(line) { collect::without_quotes(told) } else { scrub(told).into_owned() }
}

/// What may be shown of a value whose field is known.
pub fn shown(field: &str, value: &str) -> String {
    scrub(&config::secret::shown(field, value)).into_owned()
}

/// JSON as it may be shown: passwords and stand-ins' keys and paths by their fields, all else as
/// text.
pub fn scrub_json(value: &mut serde_json::Value) {
    mask::fields(value);
    let scrubber = scrubber();
    mask::texts(value, &|text| match scrubber.scrub(text) {
        Cow::Borrowed(_) => None,
        Cow::Owned(changed) => Some(changed),
    });
}

/// Writes a text to a file, without secrets.
///
/// # Errors
/// It can't be written.
pub fn write_file(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::write(path, scrub(text).as_bytes())
}

/// A stream that shows no secret, as long as each write holds whole words.
pub struct Scrubbing<W: Write>(pub W);

impl<W: Write> Write for Scrubbing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(scrub(text).as_bytes())?,
            Err(_) => self.0.write_all(scrub(&String::from_utf8_lossy(bytes)).as_bytes())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }

    fn write_fmt(&mut self, what: std::fmt::Arguments<'_>) -> std::io::Result<()> {
        self.write_all(what.to_string().as_bytes())
    }
}

/// The error stream, without secrets.
pub fn stderr() -> Scrubbing<std::io::Stderr> {
    Scrubbing(std::io::stderr())
}

fn learn_pieces(pieces: Vec<Piece>, known: &mut Known) {
    for piece in pieces {
        match piece {
            Piece::Value { field, value } => known.secrets.add(&field, &value),
            Piece::Path { field, authority, path } => {
                known.secrets.add_path(&field, &authority, &path)
            }
            Piece::File { field, path } => {
                known.files.insert((path, field));
            }
            Piece::Ordinary(word) => known.secrets.add_ordinary(&word),
        }
    }
}

/// Learns what a file holds, before anything about it can be said.
pub fn learn_text(file: &Path, text: &str) {
    let mut hasher = DefaultHasher::new();
    (file.file_name(), text).hash(&mut hasher);
    if change(|known| known.read.insert(hasher.finish())) {
        let pieces = collect::collect(file, text);
        change(|known| learn_pieces(pieces, known));
    }
}

/// Learns one secret.
pub fn learn(field: &str, value: &str) {
    let pieces = collect::content(field, value);
    change(|known| learn_pieces(pieces, known));
}

/// Learns the value of a field as it is.
pub(crate) fn learn_value(field: &str, value: &str) {
    change(|known| known.secrets.add(field, value));
}

/// Learns a path at an address that only its owner knows.
pub(crate) fn learn_path(field: &str, authority: &str, path: &str) {
    change(|known| known.secrets.add_path(field, authority, path));
}

/// Learns names that are no secrets.
pub(crate) fn learn_names<'a>(names: impl IntoIterator<Item = &'a str>) {
    change(|known| known.secrets.add_names(names));
}

/// Files that are known to hold a secret, by their paths where a server sees them, with what it is.
pub(crate) fn files() -> BTreeSet<(String, String)> {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).files.clone()
}

/// Learns what the files of a folder hold: every file, because which of them a service reads is
/// only known when all are read.
pub fn learn_folder(folder: &Path) {
    let mut files = Vec::new();
    list(folder, 0, &mut files);
    let texts: Vec<(PathBuf, String)> =
        files.into_iter().filter_map(|file| Some((file.clone(), text_of(&file)?))).collect();
    texts.iter().for_each(|(file, text)| learn_text(file, text));
    let wanted = KNOWN.read().unwrap_or_else(PoisonError::into_inner).files.clone();
    for (file, text) in &texts {
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let named = wanted.iter().find(|(path, _)| {
            Path::new(path).file_name().is_some_and(|n| n.to_string_lossy() == name)
        });
        if let Some((_, field)) = named {
            learn(field, text);
        } else if holds_one_secret(folder, file, text) {
            learn(file.file_stem().map(|n| n.to_string_lossy()).unwrap_or_default().as_ref(), text);
        }
    }
}

/// Whether a file's place or form says that it is one secret: `secrets/db.txt`, `api.key`, a
/// private key.
fn holds_one_secret(folder: &Path, file: &Path, text: &str) -> bool {
    let below = file.strip_prefix(folder).unwrap_or(file);
    let named = below.parent().into_iter().flat_map(Path::components).any(|part| {
        let part = part.as_os_str().to_string_lossy().to_ascii_lowercase();
        matches!(part.as_str(), "secrets" | "secret" | ".secrets" | "credentials")
    });
    let stem = file.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let extension =
        file.extension().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let plain =
        matches!(extension.as_str(), "" | "txt" | "key" | "secret" | "token" | "pass" | "password");
    text.contains("PRIVATE KEY-----")
        || (plain
            && text.trim().lines().count() <= 3
            && (named || words::is_secret(&stem) || extension == "key"))
}

/// The text of a file that may be configuration; none of one that is larger, or no text.
pub(crate) fn text_of(file: &Path) -> Option<String> {
    let about = std::fs::metadata(file).ok()?;
    (about.is_file() && about.len() <= LARGEST).then(|| std::fs::read_to_string(file).ok())?
}

fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        let Ok(about) = std::fs::symlink_metadata(&path) else { continue };
        let ours =
            path.file_name().is_some_and(|n| !NOT_OURS.contains(&n.to_string_lossy().as_ref()));
        // Prose configures nothing.
        let prose = path.extension().is_some_and(|e| e == "md" || e == "rst");
        if about.is_dir() && ours && depth < 8 {
            list(&path, depth + 1, files);
        } else if !about.is_dir() && !prose && files.len() < MOST_FILES {
            files.push(path);
        }
    }
}

/// Learns what this process was started with: its arguments, and the variables whose names say that
/// they hold a secret.
pub fn learn_process() {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    learn_text(
        Path::new("arguments.json"),
        &serde_json::json!({ "arguments": arguments }).to_string(),
    );
    arguments.iter().for_each(|argument| learn_text(Path::new("argument"), argument));
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let variables: Vec<(String, String)> =
        variables.filter(|(name, value)| words::is_secret(name) && value.len() >= LONG).collect();
    change(|known| {
        for (name, value) in &variables {
            known.secrets.add(name, value);
        }
    });
}

/// The secrets that are known to this process, longest first, with their fields: for a search of
/// what was written.
pub fn known() -> Vec<(String, String)> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let all = known.secrets.values().filter(|(value, _)| known.secrets.is_masked_everywhere(value));
    let mut all: Vec<(String, String)> =
        all.map(|(value, field)| (value.to_owned(), field.to_owned())).collect();
    all.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use std::time::Instant;

    /// A search that takes the square of a secret's length takes minutes here, one that takes its
    /// length about a second, also where nothing is optimised and others use the machine.
    #[test]
    fn long_secrets_are_learned_and_found_in_little_time() {
        let began = Instant::now();
        for piece in ["\"", "aB3dE7gH9k", "ab (c) ", "\\n"] {
            let value = piece.repeat(24_000 / piece.len());
            let value = value.trim();
            let words = "words of a report, ".repeat(500);
            let mut known = Secrets::default();
            known.add("key", value);
            known.add("other", &value[..value.len() / 2]);
            let scrubber = known.scrubber();
            for text in [
                format!("{words}{value}{words}"),
                format!("{words}{}", base64::engine::general_purpose::STANDARD.encode(value)),
                serde_json::json!({ "a": value }).to_string(),
            ] {
                let shown = scrubber.scrub(&text);
                assert!(shown.contains("[key"), "{piece:?}");
                assert!(shown.len() < text.len() - value.len() / 2, "{piece:?}");
            }
            assert!(matches!(scrubber.scrub(&words), Cow::Borrowed(_)));
        }
        assert!(began.elapsed().as_secs() < 30, "it took {:?}", began.elapsed());
    }
}
