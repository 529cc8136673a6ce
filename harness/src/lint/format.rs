//! Findings for other programs: SARIF 2.1.0, and the annotations of GitHub's workflows.

use super::{Finding, Linted, Severity};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use std::collections::BTreeSet;

/// All but what stands in a path as it is.
const IN_PATHS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A SARIF log.
#[derive(Debug, Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Debug, Serialize)]
struct Run {
    tool: Tool,
    results: Vec<Outcome>,
    #[serde(rename = "columnKind")]
    column_kind: &'static str,
}

#[derive(Debug, Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Debug, Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    id: &'static str,
}

#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(rename = "ruleId")]
    rule_id: &'static str,
    level: &'static str,
    message: Message,
    locations: [Location; 1],
}

#[derive(Debug, Serialize)]
struct Message {
    text: String,
}

#[derive(Debug, Serialize)]
struct Location {
    #[serde(rename = "physicalLocation")]
    physical: Physical,
}

#[derive(Debug, Serialize)]
struct Physical {
    #[serde(rename = "artifactLocation")]
    artifact: Artifact,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Debug, Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Debug, Serialize)]
struct Region {
    #[serde(rename = "startLine")]
    line: u64,
    #[serde(rename = "startColumn", skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
}

/// As SARIF 2.1.0.
///
/// # Errors
/// It can't be written as JSON.
pub(super) fn sarif(linted: &Linted) -> Result<String, serde_json::Error> {
    let checks: BTreeSet<&'static str> = linted.findings.iter().map(|one| one.check).collect();
    let log = Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "firedrill",
                    version: env!("CARGO_PKG_VERSION"),
                    rules: checks.into_iter().map(|id| Check { id }).collect(),
                },
            },
            results: linted.findings.iter().map(outcome).collect(),
            column_kind: "unicodeCodePoints",
        }],
    };
    serde_json::to_string_pretty(&log)
}

fn outcome(finding: &Finding) -> Outcome {
    let region = (finding.line > 0).then(|| Region {
        line: finding.line,
        column: Some(finding.column).filter(|column| *column > 0),
    });
    Outcome {
        rule_id: finding.check,
        level: finding.severity.name(),
        message: Message { text: words(finding, ". ") },
        locations: [Location {
            physical: Physical { artifact: Artifact { uri: uri(&finding.file) }, region },
        }],
    }
}

fn words(finding: &Finding, between: &str) -> String {
    if finding.hint.is_empty() {
        finding.what.clone()
    } else {
        format!("{}{between}Hint: {}", finding.what, finding.hint)
    }
}

/// A path as a reference: what a URI can't hold is written as its bytes.
fn uri(path: &std::path::Path) -> String {
    let scheme = if path.is_absolute() { "file://" } else { "" };
    format!("{scheme}{}", utf8_percent_encode(&path.to_string_lossy(), IN_PATHS))
}

/// As commands of a GitHub workflow, a line each.
pub(super) fn github(linted: &Linted) -> String {
    let mut text = String::new();
    for finding in &linted.findings {
        let level =
            if finding.severity == Severity::Note { "notice" } else { finding.severity.name() };
        let mut place = format!("file={}", property(&finding.file.to_string_lossy()));
        if finding.line > 0 {
            place.push_str(&format!(",line={}", finding.line));
        }
        if finding.column > 0 {
            place.push_str(&format!(",col={}", finding.column));
        }
        let title = property(finding.check);
        let words = data(&words(finding, "\n"));
        text.push_str(&format!("::{level} {place},title={title}::{words}\n"));
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linted() -> Linted {
        let finding = Finding {
            severity: Severity::Note,
            check: "unknown-key",
            file: "a b/p,1.yml".into(),
            line: 3,
            column: 7,
            what: "100% wrong\nreally".into(),
            hint: "mend it".into(),
        };
        Linted { findings: vec![finding], ..Linted::default() }
    }

    #[test]
    fn workflows_get_one_line_for_each_finding() {
        assert_eq!(
            github(&linted()),
            "::notice file=a b/p%2C1.yml,line=3,col=7,title=unknown-key::100%25 wrong%0Areally%0AHint: mend it\n"
        );
    }

    #[test]
    fn sarif_has_place_level_and_rule() {
        let log: serde_json::Value = serde_json::from_str(&sarif(&linted()).unwrap()).unwrap();
        let result = &log["runs"][0]["results"][0];
        assert_eq!(log["version"], "2.1.0");
        assert_eq!(result["ruleId"], "unknown-key");
        assert_eq!(result["level"], "note");
        let at = &result["locations"][0]["physicalLocation"];
        assert_eq!(at["artifactLocation"]["uri"], "a%20b/p%2C1.yml");
        assert_eq!(
            (&at["region"]["startLine"], &at["region"]["startColumn"]),
            (&3.into(), &7.into())
        );
    }
}
