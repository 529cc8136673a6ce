//! Variables in values, as Compose fills them in: `$VAR`, `${VAR}`, `${VAR:-default}`,
//! `${VAR-default}`, `${VAR:?message}`, `${VAR?message}`, `${VAR:+other}`, `${VAR+other}`, nested,
//! and `$$` for a dollar sign.

use super::ConfigError;
use config::yaml::{Node, Typed, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What variables stand for.
pub type Environment = BTreeMap<String, String>;

/// Variables within variables that are filled in.
const DEEPEST: usize = 50;

/// Fills in the variables of all text values below a node; keys are left alone. Variables that are
/// not set become empty and are noted in `unset`.
///
/// # Errors
/// [`ConfigError`] for a malformed or a required but missing variable.
pub fn interpolate(
    node: &mut Node,
    env: &Environment,
    unset: &mut BTreeSet<String>,
) -> Result<(), ConfigError> {
    if let Typed::Text(text) = node.typed()
        && text.contains('$')
    {
        let filled = expand(text, env, unset).map_err(|what| {
            ConfigError::at(
                &node.mark,
                what,
                "set it in the environment or in .env; write $$ for a dollar sign",
            )
        })?;
        node.set_text(filled);
    }
    match &mut node.value {
        Value::List(items) => {
            for item in items {
                interpolate(item, env, unset)?;
            }
        }
        Value::Map(entries) => {
            for (_, child) in entries {
                interpolate(child, env, unset)?;
            }
        }
        Value::Scalar(_) => {}
    }
    Ok(())
}

/// Fills in the variables of one text.
///
/// # Errors
/// What is malformed or missing, in words.
pub fn expand(
    text: &str,
    env: &Environment,
    unset: &mut BTreeSet<String>,
) -> Result<String, String> {
    expand_within(text, env, unset, 0)
}

fn expand_within(
    text: &str,
    env: &Environment,
    unset: &mut BTreeSet<String>,
    around: usize,
) -> Result<String, String> {
    if around > DEEPEST {
        return Err(format!("variables within variables, more than {DEEPEST} deep"));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after).ok_or_else(|| {
                format!("variable without closing brace: `${{{}`", &after[..name_length(after)])
            })?;
            out.push_str(&braced(&after[..end], env, unset, around + 1)?);
            rest = &after[end + 1..];
        } else {
            let end = name_length(rest);
            if end == 0 {
                // The text may be a password: what surrounds the sign is enough to find it.
                let next = rest.chars().next().map_or("the end".to_owned(), |c| format!("`{c}`"));
                return Err(format!("dollar sign without a variable, before {next}"));
            }
            out.push_str(&lookup(&rest[..end], env, unset));
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn braced(
    inner: &str,
    env: &Environment,
    unset: &mut BTreeSet<String>,
    around: usize,
) -> Result<String, String> {
    let end = name_length(inner);
    let (name, operation) = inner.split_at(end);
    if name.is_empty() {
        return Err("malformed variable: no name after `${`".into());
    }
    if operation.is_empty() {
        return Ok(lookup(name, env, unset));
    }
    let value = env.get(name);
    let (colon, operation) =
        operation.strip_prefix(':').map_or((false, operation), |rest| (true, rest));
    let present = value.filter(|value| !colon || !value.is_empty());
    let (operator, argument) = operation
        .chars()
        .next()
        .map(|operator| (operator, &operation[operator.len_utf8()..]))
        .ok_or_else(|| format!("malformed variable `${{{name}…}}`"))?;
    match operator {
        '-' => present
            .map_or_else(|| expand_within(argument, env, unset, around), |value| Ok(value.clone())),
        '+' => present
            .map_or_else(|| Ok(String::new()), |_| expand_within(argument, env, unset, around)),
        '?' => match present {
            Some(value) => Ok(value.clone()),
            None => {
                let message = expand_within(argument, env, unset, around)?;
                Err(format!("required variable {name} is not set: {message}"))
            }
        },
        _ => Err(format!("malformed variable `${{{name}…}}`")),
    }
}

fn lookup(name: &str, env: &Environment, unset: &mut BTreeSet<String>) -> String {
    env.get(name).cloned().unwrap_or_else(|| {
        unset.insert(name.to_owned());
        String::new()
    })
}

fn name_length(text: &str) -> usize {
    let mut length = 0;
    for (at, character) in text.char_indices() {
        let ok = character == '_'
            || character.is_ascii_alphabetic()
            || (at > 0 && character.is_ascii_digit());
        if !ok {
            break;
        }
        length = at + character.len_utf8();
    }
    length
}

/// Index of the brace that closes, given what follows the opening one.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(text: &str) -> Result<String, String> {
        let env =
            Environment::from([("SET".into(), "value".into()), ("EMPTY".into(), String::new())]);
        expand(text, &env, &mut BTreeSet::new())
    }

    #[test]
    fn all_forms_are_filled_in_as_compose_does() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("$SET-x", "value-x"),
            ("${SET}x", "valuex"),
            ("${NONE}", ""),
            ("${NONE:-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${NONE-d}", "d"),
            ("${SET:+o}", "o"),
            ("${EMPTY:+o}", ""),
            ("${EMPTY+o}", "o"),
            ("${NONE:-${SET}}", "value"),
            ("${NONE:-a${NONE:-b}c}", "abc"),
            ("$$SET", "$SET"),
            ("$$$SET", "$value"),
            ("${SET:?must}", "value"),
            ("a{{ $$labels.x }}b", "a{{ $labels.x }}b"),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_or_required_is_refused() {
        assert!(fill("${NONE:?set me}").expect_err("required").contains("set me"));
        for text in ["${", "${}", "$1", "a $ b", "${SET!x}", "${SET:}"] {
            assert!(fill(text).is_err(), "{text}");
        }
    }

    #[test]
    fn variables_within_variables_end_somewhere() {
        let nested = |times: usize| "${NONE:-".repeat(times) + &"}".repeat(times);
        assert_eq!(fill(&nested(50)).as_deref(), Ok(""));
        assert!(fill(&nested(1_500)).expect_err("too deep").contains("50 deep"));
    }

    #[test]
    fn a_variable_that_is_not_set_is_noted() {
        let mut unset = BTreeSet::new();
        expand("$A ${B} ${C:-x}", &Environment::new(), &mut unset).expect("fills");
        assert_eq!(unset.into_iter().collect::<Vec<_>>(), ["A", "B"]);
    }

    proptest! {
        #[test]
        fn text_without_dollars_stays(text in "[^$]*") {
            prop_assert_eq!(fill(&text), Ok(text));
        }
        #[test]
        fn doubled_dollars_come_out_single(text in "[a-z$]{0,20}") {
            prop_assert_eq!(fill(&text.replace('$', "$$")), Ok(text));
        }
        #[test]
        fn nothing_panics(text in "[a-zA-Z${}:?+-]{0,24}") {
            let _ = fill(&text);
        }
    }
}
