//! Recovers alerts from the text that Alertmanager's templates make of them. Its own templates list
//! each alert as `Labels:` with one `name = value` a line, firing ones before resolved ones; users'
//! templates often write `name: value`. What is not written can't be recovered: the result carries
//! the labels that the text shows and no others.

use std::collections::BTreeMap;
use verdict::history::alert::NotifiedAlert;

/// What the subject line of Alertmanager's templates says: `[FIRING:2] Name more (rest)` or
/// `[RESOLVED] Name …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// Whether it says resolved.
    pub(crate) resolved: bool,
    /// The first word after the bracket: the alert's name when alerts are grouped by it.
    pub(crate) name: Option<String>,
}

/// Reads a subject line; `None` if it has no status in brackets.
pub(crate) fn subject(line: &str) -> Option<Subject> {
    let start = line.find('[')?;
    let end = start + line[start..].find(']')?;
    let status =
        line[start + 1..end].split(':').next().unwrap_or_default().trim().to_ascii_uppercase();
    let resolved = match status.as_str() {
        "FIRING" => false,
        "RESOLVED" => true,
        _ => return None,
    };
    let first = line[end + 1..].split_whitespace().next().unwrap_or_default();
    let name = first.trim_matches(|c: char| !(c.is_alphanumeric() || c == '_'));
    Some(Subject { resolved, name: (!name.is_empty()).then(|| name.to_owned()) })
}

/// The alerts that `text` lists. `resolved` holds until a heading (`Firing`, `Alerts Resolved:`,
/// `[2] Resolved`) says otherwise.
pub(crate) fn alerts(text: &str, resolved: bool) -> Vec<NotifiedAlert> {
    let listed = labelled_sections(text, resolved);
    if listed.is_empty() { loose_pairs(text, resolved) } else { listed }
}

fn labelled_sections(text: &str, mut resolved: bool) -> Vec<NotifiedAlert> {
    let mut found: Vec<NotifiedAlert> = Vec::new();
    let mut inside = false;
    for raw in text.lines() {
        let line = bare(raw);
        if let Some(says) = heading(line) {
            (resolved, inside) = (says, false);
        } else if is_title(line, "labels") {
            inside = true;
            found.push(NotifiedAlert { resolved, labels: BTreeMap::new() });
        } else if is_title(line, "annotations")
            || is_title(line.split(':').next().unwrap_or_default(), "source")
        {
            inside = false;
        } else if inside
            && let Some((name, value)) = pair(raw.trim().trim_start_matches("- "), '=')
            && let Some(alert) = found.last_mut()
        {
            alert.labels.insert(name, value);
        }
    }
    found.retain(|a| !a.labels.is_empty());
    found
}

/// `name: value` and `name = value` lines anywhere; a name that comes again begins the next alert.
fn loose_pairs(text: &str, mut resolved: bool) -> Vec<NotifiedAlert> {
    let mut found: Vec<NotifiedAlert> = Vec::new();
    for line in text.lines().map(bare) {
        if let Some(says) = heading(line) {
            resolved = says;
            continue;
        }
        let Some((name, value)) = pair(line, '=')
            .or_else(|| pair(line, ':').filter(|(_, value)| !value.starts_with("//")))
        else {
            continue;
        };
        let value = value.trim_start_matches(['*', '`', ' ']).to_owned();
        match found.last_mut() {
            Some(alert) if alert.resolved == resolved && !alert.labels.contains_key(&name) => {
                alert.labels.insert(name, value);
            }
            _ => found.push(NotifiedAlert { resolved, labels: BTreeMap::from([(name, value)]) }),
        }
    }
    found
}

/// A line without list marks and emphasis.
fn bare(line: &str) -> &str {
    line.trim()
        .trim_start_matches(['-', '*', '•', '>', ' ', '_', '`'])
        .trim_end_matches(['*', '_', '`', ' '])
}

fn is_title(line: &str, title: &str) -> bool {
    line.trim_end_matches([':', '*', ' ']).eq_ignore_ascii_case(title)
}

/// `Firing`, `Alerts Firing:`, `[2] Resolved` and the like; says whether resolved ones follow.
fn heading(line: &str) -> Option<bool> {
    let mut rest = line;
    if let Some(after) = rest.strip_prefix('[') {
        let (count, tail) = after.split_once(']')?;
        if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        rest = tail.trim();
    }
    let rest = rest.trim_end_matches([':', '*', ' ']).to_ascii_lowercase();
    match rest.strip_prefix("alerts ").unwrap_or(&rest) {
        "firing" => Some(false),
        "resolved" => Some(true),
        _ => None,
    }
}

/// A label's name and value around `separator`; names are those that Prometheus allows.
fn pair(line: &str, separator: char) -> Option<(String, String)> {
    let (name, value) = line.split_once(separator)?;
    let name = name.trim().trim_end_matches(['*', '`']);
    let mut chars = name.chars();
    let named = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    let value = value.trim();
    (named && !value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn subjects_tell_status_and_name() {
        let says = |s| subject(s).map(|s| (s.resolved, s.name));
        assert_eq!(
            says("[FIRING:2] PostfixDown postfix (critical mail)"),
            Some((false, Some("PostfixDown".into())))
        );
        assert_eq!(
            says("[RESOLVED] PostfixDown postfix "),
            Some((true, Some("PostfixDown".into())))
        );
        assert_eq!(says("[FIRING:1]  (warning)"), Some((false, Some("warning".into()))));
        assert_eq!(says("[other] x"), None);
        assert_eq!(says("nothing"), None);
    }

    #[test]
    fn text_of_alertmanagers_own_template() {
        let text = "Labels:\n - alertname = A\n - severity = critical\nAnnotations:\n - summary = down: x = 1\nSource: http://p/g?a=b\n\
                    Labels:\n - alertname = A\n - instance = b:1\nAnnotations:\nSource: \n";
        let want = [
            labels(&[("alertname", "A"), ("severity", "critical")]),
            labels(&[("alertname", "A"), ("instance", "b:1")]),
        ];
        let got = alerts(text, false);
        assert!(got.iter().all(|a| !a.resolved));
        assert_eq!(got.into_iter().map(|a| a.labels).collect::<Vec<_>>(), want);
    }

    #[test]
    fn headings_tell_firing_from_resolved() {
        let text = "summary\nAlerts Firing:\nLabels:\n - alertname = A\nAnnotations:\n\nAlerts Resolved:\nLabels:\n - alertname = B\n";
        let got: Vec<_> = alerts(text, false)
            .into_iter()
            .map(|a| (a.resolved, a.labels["alertname"].clone()))
            .collect();
        assert_eq!(got, [(false, "A".to_owned()), (true, "B".to_owned())]);
        let mail = "[1] Firing\nLabels\nalertname = A\nAnnotations\nsummary = s\nSource\n[1] Resolved\nLabels\nalertname = B\nSource";
        let got: Vec<_> = alerts(mail, true)
            .into_iter()
            .map(|a| (a.resolved, a.labels["alertname"].clone()))
            .collect();
        assert_eq!(got, [(false, "A".to_owned()), (true, "B".to_owned())]);
    }

    #[test]
    fn users_own_text_with_emphasis() {
        let text = "*alertname:* PostfixDown\n• *severity:* `critical`\nrunbook: https://x/y\nhttp://ignored\n*alertname:* B";
        let got = alerts(text, false);
        assert_eq!(got[0].labels["alertname"], "PostfixDown");
        assert_eq!(got[0].labels["severity"], "critical");
        assert_eq!(got[0].labels["runbook"], "https://x/y");
        assert_eq!(got[1].labels, labels(&[("alertname", "B")]));
        assert_eq!(got.len(), 2);
    }

    proptest! {
        #[test]
        fn whatever_the_template_lists_comes_back(sets in prop::collection::vec(
            prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,8}", "[a-zA-Z0-9/.=:_*][a-zA-Z0-9 /.=:*-]{0,12}[a-zA-Z0-9_*]", 1..5), 0..5)) {
            let mut text = String::new();
            for set in &sets {
                text.push_str("Labels:\n");
                for (k, v) in set { text.push_str(&format!(" - {k} = {v}\n")); }
                text.push_str("Annotations:\n - summary = alertname = no\nSource: http://x/?a = b\n");
            }
            let got = alerts(&text, false);
            prop_assert_eq!(got.into_iter().map(|a| a.labels).collect::<Vec<_>>(), sets);
        }

        #[test]
        fn any_text_is_bearable(text in "\\PC{0,200}") {
            let _ = (alerts(&text, false), subject(&text));
        }
    }
}
