//! Durations, sizes and command lines as Compose writes them.

use std::time::Duration;

/// Reads a duration: numbers with units `h`, `m`, `s`, `ms`, `us`, `µs`, `ns`, one after another;
/// `0` needs none.
///
/// # Errors
/// What was seen and what was wanted.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is no duration, wanted numbers with units such as 1m30s or 500ms");
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit = rest
            .find(|character: char| character.is_ascii_digit() || character == '.')
            .unwrap_or(rest.len());
        let seconds = match &rest[..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(wrong()),
        };
        total += number * seconds;
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| wrong())
}

/// Reads a size in bytes: a number, and a unit of powers of 1024 (`b`, `k`, `kb`, `m`, `mb`, `g`,
/// `gb`, `t`, `tb`, also with an `i`).
///
/// # Errors
/// What was seen and what was wanted.
pub fn bytes(text: &str) -> Result<i64, String> {
    let wrong =
        || format!("`{text}` is no size, wanted a number of bytes or one such as 512m or 1.5g");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(lower.len());
    let number: f64 = lower[..digits].parse().map_err(|_| wrong())?;
    let power = match lower[digits..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(wrong()),
    };
    let size = number * 1024f64.powi(power);
    if !size.is_finite() || size >= 9e18 {
        return Err(wrong());
    }
    Ok(size as i64)
}

/// Splits a command line as a shell does, with quotes and backslashes, without running anything.
///
/// # Errors
/// An open quote or a backslash at the end.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(other) => word.push(other),
                        None => {
                            return Err(format!(
                                "open quote in `{}`",
                                crate::secret::shown_line(text)
                            ));
                        }
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        Some('\\') => match characters.next() {
                            Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                            Some(other) => word.extend(['\\', other]),
                            None => {
                                return Err(format!(
                                    "open quote in `{}`",
                                    crate::secret::shown_line(text)
                                ));
                            }
                        },
                        Some(other) => word.push(other),
                        None => {
                            return Err(format!(
                                "open quote in `{}`",
                                crate::secret::shown_line(text)
                            ));
                        }
                    }
                }
            }
            '\\' => match characters.next() {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => {
                    return Err(format!(
                        "backslash at the end of `{}`",
                        crate::secret::shown_line(text)
                    ));
                }
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_sizes_and_words() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(
            duration("5").is_err()
                && duration("s").is_err()
                && duration("").is_err()
                && duration("1y").is_err()
        );
        assert_eq!(bytes("512m"), Ok(512 << 20));
        assert_eq!(bytes("1.5GB"), Ok(3 << 29));
        assert_eq!(bytes("1024"), Ok(1024));
        assert!(bytes("m").is_err() && bytes("1x").is_err());
        assert_eq!(
            words("sh -c 'a  b' \"c\\\"d\" e\\ f ''"),
            Ok(["sh", "-c", "a  b", "c\"d", "e f", ""].map(String::from).to_vec())
        );
        assert!(words("a 'b").is_err() && words("a \\").is_err());
    }

    proptest! {
        #[test]
        fn single_quoted_words_come_back(list in proptest::collection::vec("[^']{0,8}", 0..5)) {
            let line = list.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(&line), Ok(list));
        }
        #[test]
        fn nothing_panics(text in ".{0,16}") {
            let _ = (duration(&text), bytes(&text), words(&text));
        }
    }
}
