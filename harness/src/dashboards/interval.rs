//! Intervals between points: as Grafana reads, rounds and writes them.

/// An interval as it is written (`15s`, `1m`, `500ms`, `1h30m`), in ms; a number alone is seconds.
pub(crate) fn parsed_ms(text: &str) -> Option<u64> {
    let text = text.trim().trim_start_matches(['<', '>', '=']).trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds > 0.0).then_some((seconds * 1e3) as u64);
    }
    let (mut rest, mut total) = (text, 0.0f64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        total += number
            * match &rest[digits..unit_end] {
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 60e3,
                "h" => 3_600e3,
                "d" => 86_400e3,
                "w" => 604_800e3,
                "M" => 2_592_000e3,
                "y" => 31_536_000e3,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (total >= 1.0).then_some(total as u64)
}

/// Up to which length, ms, an interval is rounded to what.
const ROUNDED: [(f64, u64); 29] = [
    (10.0, 1),
    (15.0, 10),
    (35.0, 20),
    (75.0, 50),
    (150.0, 100),
    (350.0, 200),
    (750.0, 500),
    (1_500.0, 1_000),
    (3_500.0, 2_000),
    (7_500.0, 5_000),
    (12_500.0, 10_000),
    (17_500.0, 15_000),
    (25_000.0, 20_000),
    (45_000.0, 30_000),
    (90_000.0, 60_000),
    (210_000.0, 120_000),
    (450_000.0, 300_000),
    (750_000.0, 600_000),
    (1_050_000.0, 900_000),
    (1_500_000.0, 1_200_000),
    (2_700_000.0, 1_800_000),
    (5_400_000.0, 3_600_000),
    (9_000_000.0, 7_200_000),
    (16_200_000.0, 10_800_000),
    (32_400_000.0, 21_600_000),
    (86_400_000.0, 43_200_000),
    (604_800_000.0, 86_400_000),
    (1_814_400_000.0, 604_800_000),
    (3_628_800_000.0, 2_592_000_000),
];

/// Rounded to a length that people read easily, ms.
pub(crate) fn rounded_ms(ms: f64) -> u64 {
    ROUNDED.iter().find(|(most, _)| ms <= *most).map_or(31_536_000_000, |(_, to)| *to)
}

/// In the largest unit of which it holds one: `90s` is `1m`.
pub(crate) fn written(ms: u64) -> String {
    let units =
        [(31_536_000_000, "y"), (86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let found = units.into_iter().find(|(of, _)| ms >= *of);
    found.map_or_else(|| format!("{}ms", ms.max(1)), |(of, unit)| format!("{}{unit}", ms / of))
}

/// As Go writes a duration: `1m0s`, `1h0m0s`, `15s`, `1.5s`, `10ms`.
pub(crate) fn written_in_full(ms: u64) -> String {
    if ms < 1_000 {
        return if ms == 0 { "0s".into() } else { format!("{ms}ms") };
    }
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, (ms % 60_000) as f64 / 1e3);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_rounded_and_written() {
        let read = [
            ("15s", 15_000),
            ("1m", 60_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            (">10s", 10_000),
            ("30", 30_000),
            ("1.5s", 1_500),
        ];
        for (text, ms) in read {
            assert_eq!(parsed_ms(text), Some(ms), "{text}");
        }
        for text in ["", "s", "5 apples", "$x", "-1s", "0"] {
            assert_eq!(parsed_ms(text), None, "{text}");
        }
        for (ms, to) in [
            (0.4, 1),
            (11.572, 10),
            (15.1, 20),
            (1_000.0, 1_000),
            (7_200.0, 5_000),
            (86_400_000.0, 43_200_000),
            (4e9, 31_536_000_000),
        ] {
            assert_eq!(rounded_ms(ms), to, "{ms}");
        }
        for (ms, short, full) in [
            (10, "10ms", "10ms"),
            (60_000, "1m", "1m0s"),
            (90_000, "1m", "1m30s"),
            (3_600_000, "1h", "1h0m0s"),
            (1_500, "1s", "1.5s"),
            (15_000, "15s", "15s"),
        ] {
            assert_eq!((written(ms).as_str(), written_in_full(ms).as_str()), (short, full));
        }
    }
}
