//! Templates of annotations and labels, as Prometheus expands them: that they parse, that their
//! functions exist, and that the labels they show can be there.

use std::collections::BTreeSet;

use super::labels::{self, Labels};
use super::{Findings, LintContext};
use crate::yaml::suggest;
use config::monitoring::{Rule, RuleKind};

/// Functions of Prometheus' templates and of Go's.
const FUNCTIONS: [&str; 45] = [
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "sortByLabel",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "toTime",
    "now",
    "toDuration",
    "title",
    "toUpper",
    "toLower",
    "graphLink",
    "tableLink",
    "parseDuration",
    "stripPort",
    "stripDomain",
    "match",
    "reReplaceAll",
    "safeHtml",
    "externalURL",
    "pathPrefix",
    "args",
    "tmpl",
    "and",
    "or",
    "not",
    "len",
    "index",
    "slice",
    "print",
    "printf",
    "println",
    "html",
    "js",
    "urlquery",
    "call",
    "eq",
    "ne",
    "lt",
];
const MORE_FUNCTIONS: [&str; 9] =
    ["le", "gt", "ge", "true", "false", "nil", "urlQueryEscape", "toJson", "stripDomains"];

/// Variables that Prometheus defines.
const VARIABLES: [&str; 5] = ["$labels", "$externalLabels", "$externalURL", "$value", "$"];

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    for server in &subject.config.prometheus {
        let rules = server.rules.iter().flat_map(|file| &file.view).flat_map(|group| &group.rules);
        let recorded = labels::recorded(rules.clone());
        for rule in rules {
            let RuleKind::Alert { annotations, .. } = &rule.kind else { continue };
            let texts = annotations
                .iter()
                .map(|one| ("annotation", one))
                .chain(rule.labels.iter().map(|one| ("label", one)));
            let mut of_result: Option<Labels> = None;
            for (kind, (name, text)) in texts.filter(|(_, (_, text))| text.contains("{{")) {
                let shown = match read(text) {
                    Ok(shown) => shown,
                    Err(why) => {
                        let what = format!(
                            "{kind} `{name}` of alert `{}`: {why}; seen `{}`",
                            rule.name,
                            text.trim()
                        );
                        findings.error(
                            "template",
                            &rule.place,
                            what,
                            "a template is written {{ $labels.instance }} or {{ $value | humanize }}",
                        );
                        continue;
                    }
                };
                let of_result = of_result.get_or_insert_with(|| labels::of(&rule.expr, &recorded));
                for label in shown.iter().filter(|label| !of_result.may_carry(label)) {
                    findings.note(
                        "template-label",
                        &rule.place,
                        never_there(rule, kind, name, label),
                        hint(rule, label, of_result),
                    );
                }
            }
        }
    }
}

pub(super) fn never_there(rule: &Rule, kind: &str, name: &str, label: &str) -> String {
    format!(
        "{kind} `{name}` of alert `{}` shows label `{label}`, which its expression's results never have",
        rule.name
    )
}

pub(super) fn hint(rule: &Rule, label: &str, of_result: &Labels) -> String {
    if rule.labels.contains_key(label) {
        "labels that the rule sets are not among $labels: write the value itself".into()
    } else if of_result.known.is_empty() {
        "its results have no labels at all: group with by (…), or don't show any".into()
    } else {
        format!(
            "{}; group by it as well, or don't show it",
            suggest(label, of_result.known.keys().map(String::as_str), "labels")
        )
    }
}

/// Labels that a template shows.
pub(super) fn read(text: &str) -> Result<BTreeSet<String>, String> {
    let mut shown = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    let mut variables: BTreeSet<String> = VARIABLES.map(str::to_owned).into();
    let mut rest = text;
    loop {
        let Some(at) = rest.find("{{") else {
            // A `}}` that closes nothing is text.
            return match open.pop() {
                Some(word) => Err(format!("`{{{{ {word} }}}}` without `{{{{ end }}}}`")),
                None => Ok(shown),
            };
        };
        let inside = &rest[at + 2..];
        let end = end_of_action(inside).ok_or("`{{` without `}}`")?;
        let action = inside[..end].trim().trim_start_matches("- ").trim_end_matches(" -").trim();
        rest = &inside[end + 2..];
        if action.starts_with("/*") {
            continue;
        }
        let words = words(action)?;
        let Some(first) = words.first() else { return Err("`{{ }}` is empty".into()) };
        match first.as_str() {
            word @ ("if" | "range" | "with" | "define" | "block") => open.push(word.to_owned()),
            "end" => {
                open.pop().ok_or("`{{ end }}` without a beginning")?;
            }
            _ => {}
        }
        // Within these the dot is something else.
        let same_dot =
            !open.iter().any(|word| ["range", "with", "define", "block"].contains(&word.as_str()));
        one_action(&words, same_dot, &mut variables, &mut shown)?;
    }
}

/// Where an action ends: at the first `}}` outside of strings, and outside of the comment that it is
/// if it begins as one.
fn end_of_action(text: &str) -> Option<usize> {
    let begun = text.strip_prefix("- ").unwrap_or(text);
    if begun.starts_with("/*") {
        let after = text.find("*/")? + 2;
        return text[after..].find("}}").map(|at| after + at);
    }
    let (mut quote, mut escaped) = (None, false);
    for (at, letter) in text.char_indices() {
        match quote {
            Some(open) => {
                if letter == open && !escaped {
                    quote = None;
                }
                escaped = letter == '\\' && open == '"' && !escaped;
            }
            None if letter == '"' || letter == '`' => quote = Some(letter),
            None if text[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

/// The words of an action: strings with their opening quote, variables with their fields, names,
/// operators.
fn words(action: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut letters = action.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            _ if letter.is_whitespace() => {}
            '"' | '`' => {
                let mut text = String::from('"');
                let mut closed = false;
                while let Some((_, next)) = letters.next() {
                    if next == letter {
                        closed = true;
                        break;
                    }
                    text.push(next);
                    if next == '\\' && letter == '"' {
                        text.extend(letters.next().map(|(_, escaped)| escaped));
                    }
                }
                if !closed {
                    return Err("a text without its closing quote".into());
                }
                found.push(text);
            }
            '(' | ')' | '|' | ',' | '=' => found.push(letter.to_string()),
            ':' if letters.next_if(|(_, next)| *next == '=').is_some() => found.push(":=".into()),
            _ if letter.is_alphanumeric() || "$._-+'".contains(letter) => {
                let mut end = at + letter.len_utf8();
                while let Some((at, next)) =
                    letters.next_if(|(_, next)| next.is_alphanumeric() || "._-+'".contains(*next))
                {
                    end = at + next.len_utf8();
                }
                found.push(action[at..end].to_owned());
            }
            other => return Err(format!("unexpected `{other}`")),
        }
    }
    Ok(found)
}

fn one_action(
    words: &[String],
    same_dot: bool,
    variables: &mut BTreeSet<String>,
    shown: &mut BTreeSet<String>,
) -> Result<(), String> {
    const KEYWORDS: [&str; 11] = [
        "if", "else", "end", "range", "with", "define", "block", "template", "break", "continue",
        "|",
    ];
    let opened = words.iter().filter(|word| *word == "(").count();
    let closed = words.iter().filter(|word| *word == ")").count();
    if opened != closed {
        return Err("parentheses that don't close".into());
    }
    for (at, word) in words.iter().enumerate() {
        let first = word.chars().next().unwrap_or(' ');
        let next = |by: usize| words.get(at + by).map_or("", String::as_str);
        if first == '$' {
            let (name, fields) = word.split_once('.').unwrap_or((word, ""));
            if next(1) == ":=" || (next(1) == "," && words.contains(&":=".to_owned())) {
                variables.insert(name.to_owned());
                continue;
            }
            if !variables.contains(name) {
                return Err(format!("there is no variable `{name}`"));
            }
            match name {
                "$labels" if !fields.is_empty() => {
                    shown.insert(fields.to_owned());
                }
                "$" if fields.starts_with("Labels.") => {
                    shown.insert(fields["Labels.".len()..].to_owned());
                }
                _ => {}
            }
        } else if first == '.' {
            if let (true, Some(label)) = (same_dot, word.strip_prefix(".Labels.")) {
                shown.insert(label.to_owned());
            }
        } else if first.is_alphabetic() {
            let known =
                FUNCTIONS.contains(&word.as_str()) || MORE_FUNCTIONS.contains(&word.as_str());
            if !known && !KEYWORDS.contains(&word.as_str()) {
                return Err(format!(
                    "there is no function `{word}`; {}",
                    suggest(word, FUNCTIONS, "functions")
                ));
            }
            if word == "index"
                && matches!(next(1), "$labels" | ".Labels")
                && let Some(label) = next(2).strip_prefix('"')
            {
                shown.insert(label.to_owned());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn templates_are_read_as_prometheus_reads_them() {
        for (text, wanted) in [
            ("none", ""),
            ("{ $labels.a }}", ""),
            ("{{ $labels.instance }} is {{ $value | printf \"%.0f\" }} %", "instance"),
            ("{{- with $labels.instance -}}{{ . }}{{else}}none{{ end }}", "instance"),
            (
                "{{ .Labels.job }} {{ range query \"up{job='x'} }}\" }}{{ .Labels.other }}{{ end }}",
                "job",
            ),
            ("{{ index $labels \"a.b\" | title }}", "a.b"),
            (
                "{{ $x := $labels.a }}{{ if gt $value 1.5e3 }}{{ $x }}{{ else if not $x }}{{ end }}",
                "a",
            ),
            ("{{/* nothing */}}{{ humanize (first (query `up`) | value) }}", ""),
            ("{{ range $i, $one := query \"up\" }}{{ $one.Labels.b }}{{ $i }}{{ end }}", ""),
        ] {
            assert_eq!(
                read(text).map(|shown| shown.into_iter().collect::<Vec<_>>().join(",")),
                Ok(wanted.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        for (text, part) in [
            ("{{ $labels.a", "without `}}`"),
            ("{{ if $value }}x", "without `{{ end }}`"),
            ("{{ end }}", "without a beginning"),
            ("{{ $value | humanise }}", "humanize"),
            ("{{ $lables.a }}", "$lables"),
            ("{{ (print $value }}", "parentheses"),
            ("{{ }}", "empty"),
            ("{{ print \"x }}", "without `}}`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error} lacks {part}");
        }
    }
}
