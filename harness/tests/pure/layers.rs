//! The layers of the house: a module uses those below it, and none above. ARCHITECTURE.md tells
//! what each is for.

#![allow(clippy::unwrap_used)]

use regex::Regex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Modules of the crate, the highest first.
const LAYERS: &[&str] = &[
    "main",
    "cli",
    "ops",
    "drill",
    "report",
    "lint",
    "plan",
    "probe",
    "receiver",
    "stack",
    "image",
    "fault",
    "dashboards",
    "declaration",
    "record",
    "journal",
    "backend",
    "engine",
    "yaml",
    "process",
    "secret",
];

/// A use of one module by another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    file: PathBuf,
    line: usize,
    from: String,
    to: String,
}

/// The Rust files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Which modules of the crate a text names, with their lines. What is there for tests only does not
/// count: they may look at anything.
fn named(text: &str) -> Vec<(usize, String)> {
    let path = Regex::new(r"\bcrate::([a-z_0-9]+)").unwrap();
    let own = text.find("\n#[cfg(test)]\nmod ").map_or(text, |at| &text[..at]);
    let code = own.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(n, line)| {
        path.captures_iter(line).map(move |c| (n + 1, c[1].to_owned())).collect::<Vec<_>>()
    })
    .collect()
}

fn uses(root: &Path) -> Vec<Use> {
    let mut uses = Vec::new();
    for file in files(root) {
        let below = file.strip_prefix(root).unwrap();
        let top = below
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .trim_end_matches(".rs")
            .to_owned();
        if top == "lib" || below.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let of = |(line, to): (usize, String)| Use {
            file: below.to_owned(),
            line,
            from: top.clone(),
            to,
        };
        uses.extend(named(&text).into_iter().map(of).filter(|u| u.from != u.to));
    }
    uses
}

/// The uses that lead upwards, or to what is no layer.
fn upward(uses: &[Use]) -> Vec<&Use> {
    let height = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let wrong = |u: &&Use| match (height(&u.from), height(&u.to)) {
        (Some(from), Some(to)) => to <= from,
        _ => true,
    };
    uses.iter().filter(wrong).collect()
}

#[test]
fn no_module_uses_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let uses = uses(&root);
    assert!(
        uses.len() > 100,
        "only {} uses were found: does the test still read the code?",
        uses.len()
    );
    let told: Vec<String> = upward(&uses)
        .iter()
        .map(|u| format!("{}:{}: {} uses {}", u.file.display(), u.line, u.from, u.to))
        .collect();
    assert!(
        told.is_empty(),
        "upwards:\n{}\nhint: move what is shared below both, or hand it in",
        told.join("\n")
    );
    // A layer that nothing is in any more is a lie.
    let there: BTreeSet<String> = std::fs::read_dir(&root)
        .unwrap()
        .map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let wanted: BTreeSet<String> =
        LAYERS.iter().map(|l| (*l).to_owned()).chain(["lib".to_owned()]).collect();
    assert_eq!(there, wanted);
}

#[test]
fn a_use_upwards_is_found_wherever_it_is_written() {
    let text = "use crate::cli::Common;\n// crate::ops\nfn f() { crate::stack::up(); }\n\n#[cfg(test)]\nmod tests { use crate::drill::x; }\n";
    assert_eq!(named(text), [(1, "cli".to_owned()), (3, "stack".to_owned())]);
    let one = |from: &str, to: &str| Use {
        file: "a.rs".into(),
        line: 1,
        from: from.into(),
        to: to.into(),
    };
    let all =
        [one("engine", "cli"), one("cli", "engine"), one("plan", "report"), one("plan", "nowhere")];
    assert_eq!(upward(&all), [&all[0], &all[2], &all[3]]);
}

/// Who may know Docker, who may know Compose, and who may make an HTTP client: all others ask the
/// engine, are told what a stack is, and ask a stack's servers by the one client of backends. The
/// stand-ins' container is no server of the stack.
const KNOW: &[(&str, &str, &[&str])] = &[
    (
        "how an HTTP client is made",
        r"\breqwest::(Client\b|ClientBuilder\b|get\()|\bClientBuilder\b",
        &["backend.rs", "backend", "receiver/client.rs"],
    ),
    ("Docker", r"\bbollard\b|\bdocker::", &["engine.rs", "engine", "image.rs", "image"]),
    // Lint has a reader of its own, which refuses nothing.
    ("Compose", r"\bcompose::", &["stack.rs", "stack", "lint/discover.rs", "lint/discover"]),
];

/// Files and lines that name what a pattern finds, outside of these files and folders.
fn strangers(root: &Path, pattern: &str, may: &[&str]) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    let mut found = Vec::new();
    for file in files(root) {
        let below = file.strip_prefix(root).unwrap();
        if may.iter().any(|known| below.starts_with(known)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let own = text.find("\n#[cfg(test)]\nmod ").map_or(text.as_str(), |at| &text[..at]);
        let lines = own.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//"));
        let named = lines.filter(|(_, line)| pattern.is_match(line));
        found.extend(named.map(|(n, line)| format!("{}:{}: {line}", below.display(), n + 1)));
    }
    found
}

#[test]
fn docker_compose_and_http_clients_are_known_to_few() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (what, pattern, may) in KNOW {
        let found = strangers(&root, pattern, may);
        assert!(found.is_empty(), "who should not know {what}:\n{}", found.join("\n"));
        // A pattern that finds nothing anywhere would prove nothing.
        assert!(!strangers(&root, pattern, &[]).is_empty(), "nobody knows {what}");
    }
}

/// What the pure crates must not use: a checker or a parser that looks at the clock, a file or the
/// network answers another thing each time.
#[test]
fn the_pure_crates_have_no_clock_no_files_and_no_network() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let forbidden =
        Regex::new(r"std::(fs|net|env|process|thread)\b|SystemTime|\bInstant::now|tokio|reqwest")
            .unwrap();
    for pure in ["verdict", "config"] {
        let found = files(&root.join(pure).join("src"));
        assert!(found.len() > 10, "{pure}: {} files", found.len());
        for file in found {
            let text = std::fs::read_to_string(&file).unwrap();
            let own = text.find("\n#[cfg(test)]\nmod ").map_or(text.as_str(), |at| &text[..at]);
            let seen = own
                .lines()
                .enumerate()
                .find(|(_, l)| !l.trim_start().starts_with("//") && forbidden.is_match(l));
            assert_eq!(seen, None, "{}", file.display());
        }
    }
}
