//! Files as nobody should write them, for tests of what reads them: arbitrary bytes, and valid files
//! of which pieces are deleted, doubled, moved, or replaced.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// How a property about damaged files is tried: so many cases, times `FIREDRILL_CASES` (1 unless
/// given), from `PROPTEST_RNG_SEED` if that is given. No file of regressions is kept: what a case
/// has found becomes a test of its own.
pub fn cases(cases: u32) -> ProptestConfig {
    let times = std::env::var("FIREDRILL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    ProptestConfig {
        cases: cases.saturating_mul(times),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// What turns one thing into another where it is put into a file.
const WORDS: &[&str] = &[
    "\0",
    "\u{feff}",
    "\u{85}",
    "\u{301}",
    "é",
    "𝕏",
    "\r",
    "\r\n",
    "\t",
    "\n",
    "\n\n",
    " ",
    "  ",
    "'",
    "\"",
    "`",
    "\\",
    "#",
    "@",
    "%",
    "$",
    "$$",
    "${",
    "${A",
    "${A:-",
    "${A:?",
    "}",
    "{",
    "{{",
    "}}",
    "[",
    "]",
    "(",
    ")",
    "()",
    ",",
    ":",
    ": ",
    "- ",
    "? ",
    "|",
    "|\n",
    ">",
    ">-\n",
    "&a ",
    "*a",
    "<<: *a\n",
    "<<: ",
    "!!int ",
    "!!str ",
    "!!binary ",
    "! ",
    "---\n",
    "...\n",
    "~",
    "null",
    "true",
    "no",
    "0",
    "-1",
    "08",
    "0x",
    "1e999",
    "1e-999",
    ".5",
    ".nan",
    "-.inf",
    "NaN",
    "+Inf",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1_000",
    "0s",
    "-5m",
    "1ms",
    "1y",
    "292y",
    "99999999999999999999y",
    "5m5m",
    "1.5s",
    "1h30",
    "=~",
    "!~",
    "!=",
    "==",
    "=~\"(\"",
    "[5m]",
    "[5m:]",
    "[0s]",
    " offset -1y",
    " @ end()",
    " by (",
    " on () group_left ()",
    " / 0",
    " ^ ",
    "*",
    "**",
    "?",
    "[!",
    "[^",
    "../",
    "/",
    "//",
    "://",
    "unix:",
    ":0",
    ":99999",
    "[::1]",
    "%s",
    "%41",
    "%zz",
    "$__interval",
    "$__all",
    "[[a]]",
    "[[",
    "__name__",
    "le",
    "inf",
];

#[derive(Debug, Clone)]
enum Damage {
    Delete(Index, Index),
    Double(Index, Index),
    Move(Index, Index, Index),
    Cut(Index),
    Insert(Index, &'static str),
    Replace(Index, &'static str),
    Repeat(Index, &'static str, usize),
    DeleteLine(Index),
    DoubleLine(Index),
    Indent(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    let word = || select(WORDS);
    prop_oneof![
        2 => (at(), at()).prop_map(|(a, b)| Damage::Delete(a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Damage::Double(a, b)),
        2 => (at(), at(), at()).prop_map(|(a, b, to)| Damage::Move(a, b, to)),
        1 => at().prop_map(Damage::Cut),
        3 => (at(), word()).prop_map(|(a, word)| Damage::Insert(a, word)),
        5 => (at(), word()).prop_map(|(a, word)| Damage::Replace(a, word)),
        1 => (at(), word(), 2..40usize).prop_map(|(a, word, n)| Damage::Repeat(a, word, n)),
        1 => at().prop_map(Damage::DeleteLine),
        1 => at().prop_map(Damage::DoubleLine),
        1 => at().prop_map(Damage::Indent),
    ]
}

impl Damage {
    fn apply(&self, text: &str) -> String {
        // Where characters begin, and where the text ends.
        let places: Vec<usize> =
            text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let place = |index: &Index| *index.get(&places);
        // A piece is short more often than long, as slips of hands are.
        let piece = |from: &Index, length: &Index| {
            let start = from.index(places.len());
            let most = if length.index(4) == 0 { places.len() } else { 24 };
            let end = (start + 1 + length.index(most)).min(places.len() - 1);
            (places[start], places[end.max(start)])
        };
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let with_line = |index: &Index, with: fn(&str) -> String| {
            let at = index.index(lines.len().max(1));
            let kept = lines.iter().enumerate();
            kept.map(|(n, line)| if n == at { with(line) } else { (*line).to_owned() }).collect()
        };
        match self {
            Damage::Delete(from, length) => {
                let (from, to) = piece(from, length);
                format!("{}{}", &text[..from], &text[to..])
            }
            Damage::Double(from, length) => {
                let (from, to) = piece(from, length);
                format!("{}{}", &text[..to], &text[from..])
            }
            Damage::Move(from, length, target) => {
                let (from, to) = piece(from, length);
                let target = place(target);
                if target <= from {
                    let (before, between) = (&text[..target], &text[target..from]);
                    format!("{before}{}{between}{}", &text[from..to], &text[to..])
                } else {
                    format!("{}{}{}", &text[..target], &text[from..to], &text[target..])
                }
            }
            Damage::Cut(at) => text[..place(at)].to_owned(),
            Damage::Insert(at, word) => {
                let at = place(at);
                format!("{}{word}{}", &text[..at], &text[at..])
            }
            Damage::Replace(at, word) => {
                let (from, to) = token(text, place(at));
                format!("{}{word}{}", &text[..from], &text[to..])
            }
            Damage::Repeat(at, word, times) => {
                let at = place(at);
                format!("{}{}{}", &text[..at], word.repeat(*times), &text[at..])
            }
            Damage::DeleteLine(at) => with_line(at, |_| String::new()),
            Damage::DoubleLine(at) => with_line(at, |line| format!("{line}{line}")),
            Damage::Indent(at) => with_line(at, |line| format!("  {line}")),
        }
    }
}

/// The word around a place; empty between words.
fn token(text: &str, at: usize) -> (usize, usize) {
    let of_word = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let from = text[..at]
        .rfind(|c| !of_word(c))
        .map_or(0, |last| last + text[last..].chars().next().map_or(1, char::len_utf8));
    let to = text[at..].find(|c| !of_word(c)).map_or(text.len(), |first| at + first);
    (from, to)
}

/// One of these texts with one to four damages.
pub fn damaged(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    (select(texts), vec(damage(), 1..=4)).prop_map(|(text, damages)| {
        damages.iter().fold(text.to_owned(), |text, damage| damage.apply(&text))
    })
}

/// Anything: arbitrary bytes, read as text as far as they are, and heaps of words that mean
/// something to some parser.
pub fn anything() -> impl Strategy<Value = String> {
    let words = prop_oneof![3 => select(WORDS).prop_map(str::to_owned), 2 => "[a-z_]{1,6}"];
    prop_oneof![
        1 => vec(any::<u8>(), 0..200).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        3 => vec(words, 0..24).prop_map(|words| words.concat()),
    ]
}

/// What nests far deeper than anybody means: each opening thrown in many times, with its closing
/// and without.
pub fn deep() -> impl Iterator<Item = String> {
    let pairs = [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("{a: ", "}"),
        ("[{a: ", "}]"),
        ("- ", ""),
        ("? ", ""),
        ("a:\n ", ""),
        ("{\"a\":", "}"),
        ("[[", "]]"),
        ("${A:-", "}"),
        ("$${", "}"),
        ("{{", "}}"),
        ("-", ""),
        ("sum(", ")"),
        ("(a + ", ")"),
        ("a[5m:1m] ", ""),
        ("a + ", "a"),
        ("not ", ""),
        ("!", ""),
        ("\\", ""),
        ("'", "'"),
        ("\"", "\""),
        ("../", ""),
        ("*", ""),
        ("&a ", ""),
    ];
    pairs.into_iter().flat_map(|(open, close)| {
        [35, 240].into_iter().flat_map(move |times: usize| {
            [format!("{}1{}", open.repeat(times), close.repeat(times)), open.repeat(times)]
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest! {
        #[test]
        fn damage_is_done_between_characters(text in "[a-zé𝕏\n -]{0,30}", damages in vec(damage(), 1..=6)) {
            damages.iter().fold(text, |text, damage| damage.apply(&text));
        }
    }

    #[test]
    fn a_word_is_found_whole() {
        for (text, at, wanted) in
            [("a: b1_c d", 4, "b1_c"), ("é:x", 3, "x"), ("", 0, ""), ("a  b", 2, "")]
        {
            let (from, to) = token(text, at);
            assert_eq!(&text[from..to], wanted, "{text:?} at {at}");
        }
    }
}
