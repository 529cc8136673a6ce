//! Every crate that is compiled in, and every module that an image is built from, may be used by
//! whoever uses firedrill: it is free and fits the Apache License 2.0, under which firedrill is.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Ours.
const OURS: &str = "Apache-2.0";

/// Licences of crates, by their SPDX ids. All are permissive: what is under them can be part of an
/// Apache-2.0 program. A new one comes here when it was read, with the reason; where a crate offers
/// several, one of these is enough.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "MIT",
    // MIT without the duty to name the author.
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    // BSD without the duty to name the author.
    "0BSD",
    "ISC",
    "Zlib",
    // Boost: source keeps its notice, programs need none.
    "BSL-1.0",
    // Tables of the Unicode consortium.
    "Unicode-3.0",
    // The OSI approved it; permissive, with a patent licence (cucumber's parser is under it).
    "BlueOak-1.0.0",
];

/// Exceptions that a licence may come WITH: they only permit more.
const EXCEPTIONS: &[&str] = &["LLVM-exception"];

/// Go modules whose servers are under the AGPL-3.0. A module below one of them may be free, and is
/// refused here until somebody has looked.
const AGPL: &[&str] = &[
    "github.com/grafana/grafana",
    "github.com/grafana/loki",
    "github.com/grafana/mimir",
    "github.com/grafana/pyroscope",
    "github.com/grafana/tempo",
    "github.com/minio/mc",
    "github.com/minio/minio",
    "go.k6.io/k6",
];

/// Why a crate with this licence can't be used, if so.
fn refused(license: Option<&str>, is_ours: bool) -> Option<String> {
    let Some(license) = license else { return Some("it states no licence".into()) };
    if is_ours {
        return (license != OURS)
            .then(|| format!("it is ours and states {license}, wanted {OURS}"));
    }
    // crates.io once took `MIT/Apache-2.0`, which means either.
    let mode = ParseMode { allow_slash_as_or_operator: true, ..ParseMode::STRICT };
    let Ok(expression) = Expression::parse_mode(license, mode) else {
        return Some(format!("{license} is no SPDX expression"));
    };
    (!expression.evaluate(may_be_used))
        .then(|| format!("{license} is not met by what is allowed ({})", ALLOWED.join(", ")))
}

fn may_be_used(licence: &LicenseReq) -> bool {
    let allowed = licence.license.id().is_some_and(|id| ALLOWED.contains(&id.name));
    let exception = licence
        .addition
        .as_ref()
        .is_none_or(|with| with.id().is_some_and(|id| EXCEPTIONS.contains(&id.name)));
    allowed && exception
}

#[test]
fn what_is_not_free_or_does_not_fit_is_refused() {
    for license in [
        "GPL-3.0",
        "GPL-3.0-only",
        "GPL-2.0-or-later",
        "AGPL-3.0-only",
        "SSPL-1.0",
        "LGPL-2.1-only",
        "Elastic-2.0",
        "BUSL-1.1",
    ] {
        assert!(refused(Some(license), false).is_some(), "{license}");
    }
    assert_eq!(refused(None, false).as_deref(), Some("it states no licence"));
    assert!(refused(Some("see LICENSE"), false).unwrap().contains("no SPDX expression"));
    assert!(refused(Some("LicenseRef-Commons-Clause"), false).is_some());
    assert!(refused(Some(""), false).is_some());
}

#[test]
fn one_of_several_is_enough_and_all_of_several_are_needed() {
    for fine in [
        "MIT",
        "MIT OR GPL-3.0-only",
        "MIT/Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "(MIT OR GPL-3.0-only) AND Zlib",
        "GPL-2.0-only OR (MIT AND ISC)",
    ] {
        assert_eq!(refused(Some(fine), false), None, "{fine}");
    }
    for not in [
        "MIT AND GPL-3.0-only",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "Apache-2.0 WITH Classpath-exception-2.0",
        "(MIT OR ISC) AND SSPL-1.0",
        "AGPL-3.0-only OR SSPL-1.0",
    ] {
        assert!(refused(Some(not), false).is_some(), "{not}");
    }
}

#[test]
fn what_is_ours_says_so() {
    assert_eq!(refused(Some("Apache-2.0"), true), None);
    assert!(refused(Some("MIT"), true).is_some());
    assert!(refused(Some("Apache-2.0 OR MIT"), true).is_some());
    assert!(refused(None, true).is_some());
    let text = std::fs::read_to_string(root().join("LICENSE")).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines[..2], ["Apache License", "Version 2.0, January 2004"]);
    assert!(
        text.contains("END OF TERMS AND CONDITIONS") && text.lines().count() == 202,
        "the standard text, unchanged"
    );
}

/// Of the platform that this runs on: crates of others are not compiled in here, and may not even
/// be fetched.
#[test]
fn every_crate_is_free_and_fits_the_apache_licence() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = |arguments: &[&str]| {
        let output = Command::new(&cargo).current_dir(root()).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "cargo {} failed: {error}\nhint: `cargo fetch --locked` fetches what is missing",
            arguments.join(" ")
        );
        output.stdout
    };
    let version = String::from_utf8(asked(&["-vV"])).unwrap();
    let host =
        version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
    let metadata = asked(&[
        "metadata",
        "--offline",
        "--locked",
        "--format-version",
        "1",
        "--filter-platform",
        host,
    ]);
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();

    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ours: BTreeSet<String> =
        metadata["workspace_members"].as_array().unwrap().iter().map(text).collect();
    let packages = metadata["packages"].as_array().unwrap();
    let refused: Vec<String> = packages
        .iter()
        .filter_map(|package| {
            let why = refused(package["license"].as_str(), ours.contains(&text(&package["id"])))?;
            Some(format!("{} {}: {why}", text(&package["name"]), text(&package["version"])))
        })
        .collect();
    assert_eq!(
        refused,
        [] as [String; 0],
        "hint: take another crate, or read the licence and allow it above, with the reason"
    );
    assert!(
        ours.len() >= 4 && packages.len() > 300,
        "{} of {} packages are ours: not all were listed",
        ours.len(),
        packages.len()
    );
}

/// Lines of a file that name an AGPL module, with the module. `exclude` in a go.mod names what is
/// not taken.
fn agpl(text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("exclude ") {
            continue;
        }
        let words = line.split_whitespace().take_while(|word| !word.starts_with("//"));
        for word in words.flat_map(|word| word.split(|c: char| "\"'`=@,:;()".contains(c))) {
            let word = word.trim_start_matches('/');
            let is = |module: &&&str| {
                word.strip_prefix(**module)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
            };
            found.extend(AGPL.iter().find(is).map(|module| (number + 1, *module)));
        }
    }
    found
}

#[test]
fn a_module_under_the_agpl_is_found_wherever_it_is_named() {
    let required = "module m\nrequire (\n\tgithub.com/grafana/loki/v3 v3.0.0 // indirect\n)\nrequire go.k6.io/k6 v1.0.0\n";
    assert_eq!(agpl(required), [(3, "github.com/grafana/loki"), (5, "go.k6.io/k6")]);
    assert_eq!(
        agpl("replace x => github.com/grafana/grafana v1.0.0\n"),
        [(1, "github.com/grafana/grafana")]
    );
    assert_eq!(
        agpl("RUN go install github.com/grafana/tempo/cmd/tempo@v2.0.0\n"),
        [(1, "github.com/grafana/tempo")]
    );
    assert_eq!(
        agpl("RUN git clone https://github.com/minio/minio.git\n"),
        [(1, "github.com/minio/minio")]
    );
    let free = "// not github.com/grafana/tempo\nrequire github.com/grafana/regexp v1\nrequire github.com/grafana/loki-client-go v1\nexclude go.k6.io/k6 v1.0.0\n";
    assert_eq!(agpl(free), []);
}

#[test]
fn nothing_is_built_from_a_module_under_the_agpl() {
    // Checksums (go.sum) name what was looked at to choose versions, not what is built.
    let is_recipe = |path: &Path| path.extension().is_none_or(|e| e != "md" && e != "sum");
    let mut files = Vec::new();
    walk(&root(), &mut files);
    let in_images = root().join("compose/images");
    let is_go_mod = |path: &Path| path.file_name().is_some_and(|name| name == "go.mod");
    files.retain(|path| is_go_mod(path) || (path.starts_with(&in_images) && is_recipe(path)));
    assert!(
        files.iter().filter(|path| is_go_mod(path)).count() >= 4,
        "the recipes of images were not found: {files:?}"
    );
    for path in files {
        let found = agpl(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        assert_eq!(
            found,
            [],
            "{}: a stack may pull what is under the AGPL, nothing is built of it",
            path.display()
        );
    }
}

#[test]
fn each_image_has_its_licence_in_the_readme() {
    let images = root().join("compose/images");
    let readme = std::fs::read_to_string(images.join("README.md")).unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let table = readme
        .lines()
        .skip_while(|line| !line.starts_with("| image | licence |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let told: BTreeSet<String> = table
        .map(cells)
        .inspect(|row| {
            assert!(
                row.len() == 5 && row.iter().skip(1).take(3).all(|cell| !cell.is_empty()),
                "{row:?}"
            )
        })
        .map(|row| row[1].trim_matches('`').to_owned())
        .collect();
    let folders = std::fs::read_dir(&images).unwrap().map(|entry| entry.unwrap());
    let there: BTreeSet<String> = folders
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(told, there, "compose/images/README.md has a row for each image");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The files below a folder, without what Git and cargo keep there.
fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() || name.starts_with('.') || name == "target" || name == "report" {
            continue;
        }
        if path.is_dir() { walk(&path, into) } else { into.push(path) }
    }
}
