//! `.env` and `env_file`: `NAME=value` lines with comments, quotes and variables, as Compose reads
//! them.

use super::ConfigError;
use super::interpolate::{Environment, expand};
use config::yaml::Mark;
use std::collections::BTreeSet;
use std::path::Path;

/// Reads such a file. A name without `=` takes its value from `env`, or is left out if that has
/// none. Single quotes keep their content as it is; in double quotes and bare values variables are
/// filled in from `env` and the lines above.
///
/// # Errors
/// [`ConfigError`] with the line that can't be read.
pub fn parse(file: &Path, text: &str, env: &Environment) -> Result<Environment, ConfigError> {
    let mut seen = Environment::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let wrong = |what: String| {
            let mark = Mark { file: file.into(), line: at as u64 + 1 };
            ConfigError::at(&mark, what, "write one NAME=value a line")
        };
        let line = line.trim().trim_start_matches('\u{feff}');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            let name = line.trim();
            check_name(name).map_err(wrong)?;
            if let Some(value) = env.get(name) {
                seen.insert(name.to_owned(), value.clone());
            }
            continue;
        };
        let name = name.trim();
        check_name(name).map_err(wrong)?;
        let mut value = value.trim().to_owned();
        let quote = value.chars().next().filter(|first| *first == '\'' || *first == '"');
        if let Some(quote) = quote {
            while closing(&value, quote).is_none() {
                let (_, more) = lines
                    .next()
                    .ok_or_else(|| wrong(format!("{name}: quote {quote} is never closed")))?;
                value.push('\n');
                value.push_str(more);
            }
            let end = closing(&value, quote).unwrap_or(value.len() - 1);
            value = value[1..end].to_owned();
            if quote == '"' {
                value = value
                    .replace("\\n", "\n")
                    .replace("\\\"", "\"")
                    .replace("\\t", "\t")
                    .replace("\\\\", "\\");
            }
        } else if let Some(comment) = value.find(" #") {
            value.truncate(comment);
            value = value.trim_end().to_owned();
        }
        if quote != Some('\'') && value.contains('$') {
            let mut known = seen.clone();
            known.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
            value = expand(&value, &known, &mut BTreeSet::new())
                .map_err(|what| wrong(format!("{name}: {what}")))?;
        }
        seen.insert(name.to_owned(), value);
    }
    Ok(seen)
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(char::is_whitespace) {
        // What has no name may be the rest of a key.
        let seen = if name.len() <= 40 && !name.is_empty() {
            format!("`{}`", crate::secret::shown_line(name))
        } else {
            "this".into()
        };
        return Err(format!("{seen} is no name of a variable"));
    }
    Ok(())
}

/// Index of the quote that closes the one at the beginning.
fn closing(value: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in value.char_indices().skip(1) {
        match character {
            '\\' if quote == '"' && !escaped => escaped = true,
            _ if character == quote && !escaped => return Some(at),
            _ => escaped = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_compose_reads_them() {
        let env = Environment::from([("HOST".into(), "h".into())]);
        let text = "# c\nA=1\nexport B = two words # c\nC='$A #x'\nD=\"$A\\n#y\"\nE=${HOST}-${A}\nHOST\nNONE\nF=\nG=\"a\nb\"\n";
        let seen = parse(Path::new(".env"), text, &env).expect("reads");
        let wanted = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$A #x"),
            ("D", "1\n#y"),
            ("E", "h-1"),
            ("F", ""),
            ("G", "a\nb"),
            ("HOST", "h"),
        ];
        assert_eq!(seen, wanted.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect());
    }

    #[test]
    fn what_is_no_line_is_named() {
        let error = parse(Path::new(".env"), "A=1\nwhat is this\n", &Environment::new())
            .expect_err("no name");
        assert_eq!(error.place.line, 2);
        assert!(parse(Path::new(".env"), "A='open\n", &Environment::new()).is_err());
    }
}
