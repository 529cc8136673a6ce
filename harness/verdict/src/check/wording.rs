//! How numbers, labels and lists read in a verdict. No absolute time is ever written: a run judged
//! on another day reads the same.

use std::collections::BTreeMap;

/// Seconds, to a tenth.
pub(crate) fn seconds(s: f64) -> String {
    format!("{s:.1} s")
}

/// A measured value, to four decimals, without trailing zeros; very small and very large ones to
/// four digits.
pub(crate) fn number(v: f64) -> String {
    if v == 0.0 {
        return "0".into();
    }
    if !v.is_finite() || v.abs() < 1e-3 || v.abs() >= 1e15 {
        return format!("{:e}", rounded(v, 4));
    }
    let text = format!("{v:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// To that many significant digits, at least one.
pub(crate) fn rounded(v: f64, digits: usize) -> f64 {
    format!("{v:.*e}", digits.saturating_sub(1)).parse().unwrap_or(v)
}

/// A share as per cent.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", number((share * 1e4).round() / 1e2))
}

/// The first `most` items, and how many there are beyond.
pub(crate) fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>, most: usize) -> String {
    let items: Vec<T> = items.into_iter().collect();
    let shown: Vec<&str> = items.iter().take(most).map(AsRef::as_ref).collect();
    match items.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `1 line`, `2 lines`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// Labels as PromQL writes them, without those named.
pub(crate) fn labels(labels: &BTreeMap<String, String>, without: &[&str]) -> String {
    let shown: Vec<String> = labels
        .iter()
        .filter(|(k, _)| !without.contains(&k.as_str()))
        .map(|(k, v)| format!("{k}={v:?}"))
        .collect();
    format!("{{{}}}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let told =
            [0.0, 3.0, 0.25, 12.34567, 9.000000000000001e-4, -2.5e-7, 1.23456e20, f64::INFINITY]
                .map(number);
        assert_eq!(told, ["0", "3", "0.25", "12.3457", "9e-4", "-2.5e-7", "1.235e20", "inf"]);
    }
}
