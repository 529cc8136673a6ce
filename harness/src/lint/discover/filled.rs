//! Texts of a Compose file with their variables filled in.

use std::collections::BTreeMap;

/// Fills in variables. A dollar sign that begins none stays as it is.
pub(super) fn fill(text: &str, variables: &BTreeMap<String, String>, depth: usize) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((inside, after)) = rest.strip_prefix('{').and_then(braces) {
            let end = inside.find(|c| !is_name(c)).unwrap_or(inside.len());
            let (name, how) = inside.split_at(end);
            let value = variables.get(name);
            let default = how.trim_start_matches([':', '-', '?', '+']);
            match value.filter(|value| !(value.is_empty() && how.starts_with(':'))) {
                Some(value) => out.push_str(value),
                None if how.contains('-') && depth < 10 => {
                    out.push_str(&fill(default, variables, depth + 1))
                }
                None => {}
            }
            rest = after;
        } else {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let name = &rest[..end];
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                out.push('$');
            } else {
                out.push_str(variables.get(name).map_or("", String::as_str));
                rest = &rest[end..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// What is inside of braces that were opened, and what follows.
fn braces(text: &str) -> Option<(&str, &str)> {
    let mut open = 1;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_and_lone_dollars_stay() {
        let known =
            BTreeMap::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
        for (text, wanted) in [
            ("x$A-${A}", "x1-1"),
            ("${B:-two}", "two"),
            ("${E:-two}${E-three}", "two"),
            ("$$A $2a$14$ ($|/)", "$A $2a$14$ ($|/)"),
            ("${B:-${A}}", "1"),
            ("${open", "${open"),
        ] {
            assert_eq!(fill(text, &known, 0), wanted, "{text}");
        }
    }
}
