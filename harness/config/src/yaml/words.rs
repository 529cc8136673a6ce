//! What the parser says of a text that is no YAML, in the words of somebody who wrote the text.

use super::read::{UNCLOSED, Unreadable};
use crate::secret;

/// What is wrong, and what to do.
pub(super) fn plainly(unreadable: &Unreadable) -> (String, String) {
    let seen = unreadable.written.trim();
    // The place is told in front.
    let told = unreadable.told.lines().next().unwrap_or_default();
    let told = told.rfind(" at line ").map_or(told, |at| &told[..at]);
    let reads = || {
        if seen.is_empty() {
            String::new()
        } else {
            format!("the line reads `{}`", secret::shown_line(seen))
        }
    };
    let says = |what: &str, hint: &str| (format!("not valid YAML: {what}"), hint.to_owned());
    if let Some(key) = told.strip_prefix("duplicate mapping key") {
        let key = key.split(", set ").next().unwrap_or_default().trim_start_matches([':', ' ']);
        let key = key.trim_matches('`');
        let key = if key.is_empty() { "a key".to_owned() } else { format!("key `{key}`") };
        return says(
            &format!("{} stands twice in one map", secret::shown_problem(seen, &key)),
            "keep one of the two",
        );
    }
    if told.contains("from_str_multiple") || told.contains("multiple documents") {
        return says("more than one document", "keep the first: a line `---` begins the next");
    }
    if told == UNCLOSED || told.contains("unclosed quote") {
        return says(UNCLOSED, "close the quote; a quote within the text is written \\\" or ''");
    }
    if ["tab cannot", "found a tab", "tabs disallowed"].iter().any(|part| told.contains(part)) {
        return says("a tab stands where spaces are wanted", "indent with spaces");
    }
    if seen.contains("{{") && (told.contains("expected string") || told.contains("expected")) {
        return says(
            "`{{ … }}` without quotes is a map",
            "put the whole value in quotes: \"{{ $labels.instance }} is down\"",
        );
    }
    if told.contains("budget") || told.contains("recursion limit") || told.contains("depth") {
        return says("nested too deeply, or too large", "at most 40 levels are read");
    }
    if told.contains("unknown anchor") {
        return says(
            "an alias (`*name`) without its anchor",
            "write `&name` where it is defined, above",
        );
    }
    if told.contains("mapping values are not allowed") {
        return says(
            "a colon where no key can be",
            &format!("a value with `: ` in it needs quotes; {}", reads()),
        );
    }
    if told.contains("block collection") || told == "invalid indentation" {
        return says("the indentation fits nothing above it", &reads());
    }
    if told.contains("block mapping") {
        return says("no key where one is wanted", &reads());
    }
    // Advice to programmers says nothing to others.
    let foreign = ["Policy", "Options", "deserialize", "Option<", "enum", "seed"];
    let told =
        if foreign.iter().any(|word| told.contains(word)) { "it can't be read here" } else { told };
    (format!("not valid YAML: {}", secret::shown_problem(seen, told)), reads())
}
