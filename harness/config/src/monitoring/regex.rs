//! Regular expressions as Go reads them (RE2), for a library that reads others.

use regex::Regex;

/// How often something may be repeated, brackets within brackets multiplied.
const MOST_REPEATS: u64 = 1000;

/// Compiles an expression, anchored at both ends as the servers do.
///
/// # Errors
/// Says what the servers would refuse.
pub fn anchored(pattern: &str) -> Result<Regex, String> {
    compile(pattern, |pattern| format!("^(?s:{pattern})$"))
}

/// Whether the servers take it.
///
/// # Errors
/// Says what they would refuse.
pub fn check(pattern: &str) -> Result<(), String> {
    anchored(pattern).map(drop)
}

fn compile(pattern: &str, around: impl Fn(&str) -> String) -> Result<Regex, String> {
    let wrong = |why: &str| format!("`{pattern}` is no regular expression: {why}");
    let translated = Translation::of(pattern).map_err(|why| wrong(&why))?;
    Regex::new(&around(&translated)).map_err(|problem| {
        let problem = problem.to_string();
        let last = problem.lines().last().unwrap_or("").trim();
        wrong(last.strip_prefix("error: ").unwrap_or(last))
    })
}

/// An expression on its way from one dialect to the other.
struct Translation<'a> {
    letters: std::iter::Peekable<std::str::Chars<'a>>,
    out: String,
    /// For each open bracket, the most repeats inside so far.
    open: Vec<u64>,
    /// The most repeats within what was read last.
    inside: u64,
    /// Whether what was read last may be repeated, is a repetition, or a lazy one.
    last: Last,
}

#[derive(Clone, Copy, PartialEq)]
enum Last {
    Other,
    Repeated,
    Lazy,
}

impl<'a> Translation<'a> {
    fn of(pattern: &'a str) -> Result<String, String> {
        let letters = pattern.chars().peekable();
        let mut on_its_way = Translation {
            letters,
            out: String::new(),
            open: vec![1],
            inside: 1,
            last: Last::Other,
        };
        while let Some(letter) = on_its_way.letters.next() {
            on_its_way.letter(letter)?;
        }
        Ok(on_its_way.out)
    }

    fn plain(&mut self, text: &str) {
        self.out.push_str(text);
        self.inside = 1;
        self.last = Last::Other;
    }

    fn letter(&mut self, letter: char) -> Result<(), String> {
        match letter {
            '\\' => self.escape(),
            '[' => self.class()?,
            '(' => {
                self.open.push(1);
                self.plain("(");
                // What tells the kind of a bracket is no repetition.
                if self.letters.next_if_eq(&'?').is_some() {
                    self.out.push('?');
                }
            }
            ')' => {
                let inside = self.open.pop().unwrap_or(1);
                self.plain(")");
                self.inside = inside;
                if self.open.is_empty() {
                    self.open.push(1);
                }
            }
            '*' | '+' | '?' => self.repeat(letter.to_string(), 1)?,
            '{' => match self.count() {
                Some((text, most)) => self.repeat(text, most)?,
                None => self.plain("\\{"),
            },
            other => self.plain(other.encode_utf8(&mut [0; 4])),
        }
        Ok(())
    }

    fn escape(&mut self) {
        match self.letters.next() {
            Some('Q') => {
                let mut text = String::new();
                while let Some(letter) = self.letters.next() {
                    if letter == '\\' && self.letters.next_if_eq(&'E').is_some() {
                        break;
                    }
                    text.push(letter);
                }
                self.plain(&regex::escape(&text));
            }
            Some(letter) => self.plain(&format!("\\{letter}")),
            None => self.plain("\\"),
        }
    }

    /// `{2}`, `{2,}`, `{2,5}` behind a brace that was read; none if it is none, for then it is text.
    fn count(&mut self) -> Option<(String, u64)> {
        let rest: String = self.letters.clone().take_while(|letter| *letter != '}').collect();
        let numbers: Vec<&str> = rest.split(',').collect();
        let known = numbers.len() <= 2
            && numbers[0].parse::<u64>().is_ok()
            && numbers[1..].iter().all(|number| number.is_empty() || number.parse::<u64>().is_ok());
        if !known || self.letters.clone().nth(rest.chars().count()) != Some('}') {
            return None;
        }
        let most = numbers.iter().filter_map(|number| number.parse().ok()).max().unwrap_or(1);
        self.letters.nth(rest.chars().count());
        Some((format!("{{{rest}}}"), most))
    }

    fn repeat(&mut self, text: String, times: u64) -> Result<(), String> {
        match (self.last, text.as_str()) {
            (Last::Repeated, "?") => {
                self.out.push('?');
                self.last = Last::Lazy;
                return Ok(());
            }
            (Last::Repeated | Last::Lazy, _) => {
                return Err(format!("a repetition is repeated: `{text}` behind another"));
            }
            _ => {}
        }
        let all = self.inside.saturating_mul(times.max(1));
        if all > MOST_REPEATS {
            return Err(format!("repeated {all} times, at most {MOST_REPEATS} are allowed"));
        }
        if let Some(around) = self.open.last_mut() {
            *around = (*around).max(all);
        }
        self.out.push_str(&text);
        self.inside = all;
        self.last = Last::Repeated;
        Ok(())
    }

    /// `[a-z]` behind a bracket that was read.
    fn class(&mut self) -> Result<(), String> {
        let mut out = String::from("[");
        if self.letters.next_if_eq(&'^').is_some() {
            out.push('^');
        }
        let (mut first, mut closed) = (true, false);
        while let Some(letter) = self.letters.next() {
            if letter == ']' && !first {
                closed = true;
                break;
            }
            first = false;
            if letter == '[' && self.letters.peek() == Some(&':') {
                let name: String =
                    self.letters.clone().take_while(|letter| *letter != ']').collect();
                if name.ends_with(':') && name.len() > 1 {
                    self.letters.nth(name.chars().count());
                    out.push_str(&format!("[{name}]"));
                    continue;
                }
            }
            // What is a class itself is no end of a range: a dash behind it is a dash.
            let whole = letter == '\\'
                && self.letters.peek().is_some_and(|next| "dDsSwWpP".contains(*next));
            let low = self.member(letter, &mut out);
            if whole {
                continue;
            }
            let mut ahead = self.letters.clone();
            if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
                self.letters.next();
                out.push('-');
                let Some(letter) = self.letters.next() else { break };
                let high = self.member(letter, &mut out);
                if let (Some(low), Some(high)) = (low, high)
                    && low > high
                {
                    return Err(format!("in […] the range {low}-{high} runs backwards"));
                }
            }
        }
        if closed {
            out.push(']');
        }
        self.plain(&out);
        Ok(())
    }

    /// One member of a class; the letter, unless it is an escape.
    fn member(&mut self, letter: char, out: &mut String) -> Option<char> {
        match letter {
            '\\' => {
                out.push('\\');
                out.extend(self.letters.next());
                None
            }
            '[' | ']' | '&' | '~' | '-' | '^' => {
                out.push('\\');
                out.push(letter);
                Some(letter)
            }
            other => {
                out.push(other);
                Some(other)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_as_go_reads_them() {
        for (pattern, text, fits) in [
            (r"\Qa.b\E.*", "a.bc", true),
            (r"\Qa.b\E", "axb", false),
            ("[[a]+", "[a", true),
            ("[]a]", "]", true),
            ("[^]a]", "b", true),
            ("[[:alpha:]]+", "ab", true),
            ("a&&b", "a&&b", true),
            ("[a&&b]", "&", true),
            ("[+--]", "-", true),
            ("{x}", "{x}", true),
            ("a{", "a{", true),
            ("a{2,3}?b", "aab", true),
            ("(?i)AB", "ab", true),
            ("a|b", "b", true),
            (r"\d+\.\d", "1.2", true),
            ("[a-z\\-]+", "a-b", true),
            (r"[\w-.]+", "a-b.c", true),
            (r"[\d-]+", "1-2", true),
        ] {
            let read = anchored(pattern).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(read.is_match(text), fits, "{pattern} {text}");
        }
        for pattern in [
            "a**",
            "a*+",
            "[a--b]",
            "a{1001}",
            "(a{500}){500}",
            "(",
            "[a",
            "(?=a)",
            r"\1",
            "a*??",
            "x{2}{3}",
        ] {
            assert!(anchored(pattern).is_err(), "{pattern}");
        }
    }
}
