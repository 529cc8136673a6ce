//! Time intervals of an Alertmanager configuration: what they cover, and what is none.

use super::cursor::Cursor;
use crate::yaml::ConfigError;

const DAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Days of the shortest month.
const SHORTEST_MONTH: i64 = 28;
/// Minutes of a day.
const DAY: u32 = 24 * 60;

/// Tells what in one interval Alertmanager refuses.
pub(super) fn check(at: &Cursor<'_>, found: &mut Vec<ConfigError>) {
    times(at, found);
    days(at, found);
    if let Some(location) = at.get("location") {
        let name = location.text().unwrap_or_default();
        if !is_zone(&name) {
            found.push(location.error(
                format!("`{name}` is no time zone"),
                "write a name of the zone database, as Europe/Berlin, or UTC or Local",
            ));
        }
    }
}

fn times(at: &Cursor<'_>, found: &mut Vec<ConfigError>) {
    for range in at.items("times").unwrap_or_default() {
        let text = |key: &str| range.get(key).and_then(|at| at.text().ok());
        match (text("start_time"), text("end_time")) {
            (Some(start), Some(end)) => match (minutes(&start), minutes(&end)) {
                (Some(from), Some(to)) if from >= to => found.push(range.error(
                    format!("{start} to {end} ends before it begins"),
                    "an interval over midnight is two: one to 24:00, one from 00:00",
                )),
                (Some(_), Some(_)) => {}
                (from, _) => {
                    let wrong = if from.is_none() { start } else { end };
                    found.push(
                        range.error(format!("`{wrong}` is no time of day"), "write it as 09:30"),
                    );
                }
            },
            (start, _) => {
                let missing = if start.is_none() { "start_time" } else { "end_time" };
                found.push(
                    range.error(format!("`{missing}` is missing"), "both ends must be given"),
                );
            }
        }
    }
}

fn days(at: &Cursor<'_>, found: &mut Vec<ConfigError>) {
    type Member = fn(&str) -> Option<i64>;
    let kinds: [(&str, &str, Member, &str); 4] = [
        ("weekdays", "day of the week", |text| place(&DAYS, text), "write monday:friday"),
        (
            "days_of_month",
            "day of the month",
            |text| {
                text.parse().ok().filter(|day| (1..=31).contains(day) || (-31..=-1).contains(day))
            },
            "days are 1 to 31, or -1 to -31 from the end",
        ),
        (
            "months",
            "month",
            |text| {
                place(&MONTHS, text)
                    .map(|at| at + 1)
                    .or_else(|| text.parse().ok().filter(|month| (1..=12).contains(month)))
            },
            "write 1:3 or january:march",
        ),
        ("years", "year", |text| text.parse().ok(), "write 2025:2030"),
    ];
    for (key, what, member, hint) in kinds {
        for item in at.items(key).unwrap_or_default() {
            let text = item.text().unwrap_or_default().to_lowercase();
            let (first, last) = text.split_once(':').unwrap_or((&text, &text));
            match (member(first), member(last)) {
                (Some(from), Some(to)) => {
                    // Days from the end are counted in the shortest month, as Alertmanager does.
                    let day = |at: i64| if at < 0 { SHORTEST_MONTH + at } else { at };
                    let backwards = match key {
                        "days_of_month" => (from < 0 && to > 0) || day(from) > day(to),
                        _ => from > to,
                    };
                    if backwards {
                        found.push(item.error(format!("`{text}` ends before it begins"), hint));
                    }
                }
                (from, _) => {
                    let wrong = if from.is_none() { first } else { last };
                    found.push(item.error(format!("`{wrong}` is no {what}"), hint));
                }
            }
        }
    }
}

/// Whether a map of `time_intervals` holds at any time.
pub(super) fn is_always(at: &Cursor<'_>) -> bool {
    let whole = |key: &str, all: &[&str]| {
        let items = at.items(key).unwrap_or_default();
        items.is_empty()
            || items.iter().any(|item| {
                let text = item.text().unwrap_or_default().to_lowercase();
                all.contains(&text.as_str())
            })
            || covers(
                &items.iter().map(|item| item.text().unwrap_or_default()).collect::<Vec<_>>(),
                key,
            )
    };
    let years = at.items("years").unwrap_or_default().is_empty();
    let times: Vec<(u32, u32)> = at
        .items("times")
        .unwrap_or_default()
        .iter()
        .filter_map(|range| {
            let end = |key: &str| minutes(&range.get(key)?.text().ok()?);
            Some((end("start_time")?, end("end_time")?))
        })
        .collect();
    years
        && (times.is_empty() || covers_day(times))
        && whole("weekdays", &["sunday:saturday"])
        && whole("days_of_month", &["1:31", "1:-1"])
        && whole("months", &["january:december", "1:12"])
}

fn covers_day(mut times: Vec<(u32, u32)>) -> bool {
    times.sort_unstable();
    let mut until = 0;
    for (from, to) in times {
        if from > until {
            return false;
        }
        until = until.max(to);
    }
    until >= DAY
}

/// Whether single days or months name all that there are.
fn covers(texts: &[String], key: &str) -> bool {
    let all: i64 = match key {
        "weekdays" => 7,
        "months" => 12,
        _ => return false,
    };
    let mut seen = std::collections::BTreeSet::new();
    for text in texts {
        let text = text.to_lowercase();
        let (first, last) = text.split_once(':').unwrap_or((&text, &text));
        let member = |text: &str| match key {
            "weekdays" => place(&DAYS, text),
            _ => place(&MONTHS, text).or_else(|| text.parse::<i64>().ok().map(|month| month - 1)),
        };
        if let (Some(from), Some(to)) = (member(first), member(last)) {
            seen.extend(from..=to);
        }
    }
    seen.len() as i64 >= all
}

fn place(all: &[&str], text: &str) -> Option<i64> {
    all.iter().position(|name| *name == text).and_then(|at| i64::try_from(at).ok())
}

fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= DAY).then_some(all)
}

/// Whether a text has the form of a zone's name. The database is the server's.
fn is_zone(name: &str) -> bool {
    const AREAS: [&str; 17] = [
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Brazil",
        "Canada",
        "Chile",
        "Etc",
        "Europe",
        "Indian",
        "Mexico",
        "Pacific",
        "US",
        "Local",
    ];
    match name.split_once('/') {
        Some((area, place)) => AREAS.contains(&area) && !place.is_empty(),
        None => name.chars().all(|c| c.is_ascii_alphanumeric() || "-+".contains(c)),
    }
}
