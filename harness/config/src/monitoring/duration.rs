//! Durations as Prometheus, Alertmanager and Go programs write them.

use std::time::Duration;

const UNITS: [(&str, u128); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The longest duration of a server, about 292 years, in milliseconds.
const LONGEST_MS: u64 = (i64::MAX / 1_000_000) as u64;

/// Reads a duration of Prometheus or Alertmanager: whole numbers with the units `y w d h m s ms`,
/// largest first, or `0`:
/// <https://prometheus.io/docs/prometheus/latest/querying/basics/#float-literals-and-time-durations>.
///
/// # Errors
/// Says what is wrong with `text`; `1.5s` is refused, as the servers refuse it.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || {
        format!(
            "`{text}` is not a duration: wanted whole numbers with units, largest first, as 1h30m or 1s500ms"
        )
    };
    let mut rest = text;
    let mut next_unit = 0;
    let mut millis: u128 = 0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        if digits == 0 {
            return Err(wrong());
        }
        let unit = &rest[digits..digits + letters];
        let at = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        if at < next_unit {
            return Err(wrong());
        }
        next_unit = at + 1;
        let count: u128 = rest[..digits].parse().map_err(|_| wrong())?;
        let part = count.checked_mul(UNITS[at].1).ok_or_else(wrong)?;
        millis = millis.checked_add(part).ok_or_else(wrong)?;
        rest = &rest[digits + letters..];
    }
    // The servers count nanoseconds in 64 bits, and refuse what these can't hold.
    match u64::try_from(millis) {
        Ok(millis) if millis <= LONGEST_MS => Ok(Duration::from_millis(millis)),
        _ => Err(wrong()),
    }
}

/// Writes a duration in whole milliseconds so that Prometheus, Alertmanager, PromQL and Go all read
/// it: `1s500ms`, `1h30m`. Anything below a millisecond is cut off. Days and above are written in
/// hours, since Go knows no days.
pub fn format(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, size) in &UNITS[3..] {
        let count = rest / size;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            rest -= count * size;
        }
    }
    text
}

/// Reads a duration of a Go program (the OpenTelemetry Collector): signed decimals with the units
/// `h m s ms us µs ns`, as <https://pkg.go.dev/time#ParseDuration> reads them.
///
/// # Errors
/// Says what is wrong with `text`. Negative durations are refused.
pub fn parse_go(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong =
        || format!("`{text}` is not a duration: wanted numbers with units, as 10s, 1.5s or 200ms");
    let mut rest = text;
    let mut nanos = 0.0_f64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let size = match &rest[..letters] {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" | "μs" => 1e3,
            "ns" => 1.0,
            _ => return Err(wrong()),
        };
        nanos += number * size;
        rest = &rest[letters..];
    }
    if nanos.is_finite() && nanos < 9.2e18 {
        Ok(Duration::from_nanos(nanos.round() as u64))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_the_servers_read() {
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse("1s500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("1d12h"), Ok(Duration::from_secs(36 * 3600)));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        for wrong in [
            "",
            "1.5s",
            "5",
            "m",
            "5s1m",
            "-1s",
            "5 m",
            "5mm",
            "1s1s",
            "99999999999999999999y",
            "293y",
            "1s340282366920938463463374607431768211455ms",
        ] {
            assert!(parse(wrong).is_err(), "{wrong} must be refused");
        }
    }

    #[test]
    fn reads_what_go_reads() {
        assert_eq!(parse_go("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_go("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_go("200us"), Ok(Duration::from_micros(200)));
        for wrong in ["", "5", "1d", "-1s", "s", "1..5s"] {
            assert!(parse_go(wrong).is_err(), "{wrong} must be refused");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_by_all(ms in 0_u64..10_000_000_000) {
            let wanted = Duration::from_millis(ms);
            let text = format(wanted);
            prop_assert!(!text.contains('.'));
            prop_assert_eq!(parse(&text), Ok(wanted));
            prop_assert_eq!(parse_go(&text), Ok(wanted));
        }
    }
}
