//! Keys and what they hold, read from the lines of [`super::keys`], and a document held against
//! them.

use crate::monitoring::cursor::Cursor;
use crate::monitoring::duration;
use crate::monitoring::version::Version;
use crate::yaml::{ConfigError, Place, Typed};
use std::collections::BTreeMap;

/// The first Alertmanager that expands templates in a webhook's address.
const TEMPLATES: Version = Version(0, 31);

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Any,
    Text,
    Bool,
    Int,
    Float,
    Duration,
    Wait,
    Size,
    Url,
    Regex,
    List(Box<Type>),
    Free(Box<Type>),
    Map(String),
}

/// A key of a map.
#[derive(Debug, Clone)]
struct Field {
    holds: Type,
    since: Option<Version>,
    until: Option<Version>,
}

/// A kind of map.
#[derive(Debug, Clone, Default)]
struct Shape {
    fields: BTreeMap<String, Field>,
    /// Of each of these at most one may be set.
    most: Vec<Vec<String>>,
    /// Of each of these at least one must be set.
    least: Vec<Vec<String>>,
}

/// All kinds of maps of a server's files, by name.
#[derive(Debug)]
pub(super) struct Schema {
    server: &'static str,
    /// The newest version whose keys are known.
    last: Version,
    shapes: BTreeMap<String, Shape>,
}

impl Type {
    fn read(text: &str) -> Type {
        let inner = |open: char, close: char| {
            text.strip_prefix(open).and_then(|text| text.strip_suffix(close))
        };
        if let Some(inside) = inner('[', ']') {
            return Type::List(Box::new(Type::read(inside)));
        }
        if let Some(inside) = inner('{', '}') {
            return Type::Free(Box::new(Type::read(inside)));
        }
        match text {
            "any" => Type::Any,
            "text" => Type::Text,
            "bool" => Type::Bool,
            "int" => Type::Int,
            "float" => Type::Float,
            "duration" => Type::Duration,
            "wait" => Type::Wait,
            "size" => Type::Size,
            "url" => Type::Url,
            "regex" => Type::Regex,
            other => Type::Map(other.to_owned()),
        }
    }
}

impl Field {
    fn read(text: &str) -> Field {
        let split = |text: &str, mark: char| match text.split_once(mark) {
            Some((text, version)) => (text.to_owned(), Version::parse(version)),
            None => (text.to_owned(), None),
        };
        let (text, since) = split(text, '@');
        let (text, until) = split(&text, '-');
        Field { holds: Type::read(&text), since, until }
    }
}

impl Schema {
    /// Reads the lines of several texts.
    pub(super) fn read(server: &'static str, last: Version, texts: &[&str]) -> Schema {
        let mut schema = Schema { server, last, shapes: BTreeMap::new() };
        let lines: BTreeMap<&str, &str> = texts
            .iter()
            .flat_map(|text| text.lines())
            .filter_map(|line| line.split_once(": "))
            .collect();
        for name in lines.keys() {
            let mut shape = Shape::default();
            fill(&mut shape, name, &lines);
            schema.shapes.insert((*name).to_owned(), shape);
        }
        schema
    }

    /// Holds a map against its kind.
    pub(super) fn check(
        &self,
        shape: &str,
        at: &Cursor<'_>,
        version: Option<Version>,
        found: &mut Vec<ConfigError>,
    ) {
        let Some(shape) = self.shapes.get(shape) else { return };
        if at.node.is_null() {
            return;
        }
        let Ok(entries) = at.entries() else {
            found.push(at.wrong("a map"));
            return;
        };
        for ((key, node), (_, value)) in at.node.entries().iter().zip(entries) {
            match shape.fields.get(&key.name) {
                Some(field) => {
                    if let Some(problem) = self.age(&key.name, field, version) {
                        found.push(ConfigError::new(key_place(at, key), problem.0, problem.1));
                    }
                    if !node.is_null() {
                        self.value(&field.holds, &value, version, found);
                    }
                }
                None => found.push(self.unknown(at, key, shape, version)),
            }
        }
        let set =
            |key: &&String| at.node.get_non_null(key).is_some_and(|node| node.text() != Some(""));
        for names in &shape.most {
            let given: Vec<_> = names.iter().filter(set).map(|name| format!("`{name}`")).collect();
            if given.len() > 1 {
                found.push(at.error(
                    format!("only one of {} may be set", given.join(", ")),
                    format!("{} refuses this: keep one", self.server),
                ));
            }
        }
        for names in &shape.least {
            if !names.iter().any(|name| set(&name)) {
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                let what = names.join(" or ");
                found.push(at.error(format!("{what} is missing"), format!("add {what}")));
            }
        }
    }

    fn age(&self, key: &str, field: &Field, version: Option<Version>) -> Option<(String, String)> {
        let version = version?;
        if let Some(since) = field.since.filter(|since| version < *since) {
            return Some((
                format!(
                    "{} {} does not know `{key}`, it came with {since}",
                    self.server,
                    version.shown()
                ),
                format!("remove it, or use an image of {since} or later"),
            ));
        }
        let until = field.until.filter(|until| version >= *until)?;
        Some((
            format!(
                "{} {} knows `{key}` no more, it went with {until}",
                self.server,
                version.shown()
            ),
            "remove it".to_owned(),
        ))
    }

    fn unknown(
        &self,
        at: &Cursor<'_>,
        key: &crate::yaml::Key,
        shape: &Shape,
        version: Option<Version>,
    ) -> ConfigError {
        let near = crate::nearest::nearest(&key.name, shape.fields.keys().map(String::as_str));
        // A server that is newer than these lines may well know it.
        let newer =
            version.is_some_and(|version| version > self.last && version != Version::NEWEST);
        let beyond_us = newer && near.is_none();
        // The key may belong a level higher or lower.
        let hint = near.map_or_else(
            || match self.shapes.iter().find(|(_, shape)| shape.fields.contains_key(&key.name)) {
                Some((other, _)) if other != "file" => {
                    "it is a key of another place: check the indentation".to_owned()
                }
                Some(_) => "it stands at the top of the file: check the indentation".to_owned(),
                None => {
                    let known: Vec<_> = shape.fields.keys().map(String::as_str).collect();
                    let shown = known.len().min(12);
                    let more = if known.len() > shown { " …" } else { "" };
                    format!("known here are {}{more}", known[..shown].join(", "))
                }
            },
            |near| format!("did you mean `{near}`?"),
        );
        let place = key_place(at, key);
        let what = match beyond_us {
            true => {
                format!("`{}` is no key that {} {} knows here", key.name, self.server, self.last)
            }
            false => format!(
                "`{}` is no key that {} knows here: it refuses the whole file",
                key.name, self.server
            ),
        };
        ConfigError { beyond_us, ..ConfigError::new(place, what, hint) }
    }

    fn value(
        &self,
        holds: &Type,
        at: &Cursor<'_>,
        version: Option<Version>,
        found: &mut Vec<ConfigError>,
    ) {
        let is_scalar = !matches!(at.node.typed(), Typed::List(_) | Typed::Map(_));
        match holds {
            Type::Any => {}
            Type::Map(name) => self.check(name, at, version, found),
            Type::List(of) => match at.list() {
                Ok(items) => {
                    for item in items {
                        self.value(of, &item, version, found);
                    }
                }
                Err(error) => found.push(error),
            },
            Type::Free(of) => match at.entries() {
                Ok(entries) => {
                    for (_, value) in entries.iter().filter(|(_, value)| !value.node.is_null()) {
                        self.value(of, value, version, found);
                    }
                }
                Err(error) => found.push(error),
            },
            _ if at.node.is_null() => {}
            _ if !is_scalar => found.push(at.wrong("a single value")),
            scalar => found.extend(wrong_scalar(scalar, at, version)),
        }
    }
}

/// What is wrong with a single value.
fn wrong_scalar(holds: &Type, at: &Cursor<'_>, version: Option<Version>) -> Option<ConfigError> {
    let text = at.node.text().unwrap_or_default();
    let wanted = match holds {
        Type::Bool => {
            let words = ["true", "false", "yes", "no", "on", "off", "y", "n"];
            let plain = at.node.is_plain() && words.contains(&text.to_ascii_lowercase().as_str());
            (!plain).then_some("true or false, without quotes")
        }
        Type::Int => {
            let digits = text.trim_start_matches(['-', '+']).replace('_', "");
            let whole = digits.parse::<u64>().is_ok()
                || digits.starts_with("0x")
                || digits.parse::<f64>().is_ok_and(|number| number.fract() == 0.0);
            (!(at.node.is_plain() && whole)).then_some("a whole number, without quotes")
        }
        Type::Float => text.replace('_', "").parse::<f64>().is_err().then_some("a number"),
        Type::Duration => (text != "0" && !text.is_empty() && duration::parse(text).is_err())
            .then_some("a duration like 30s, 5m, 1h30m"),
        // Nanoseconds where it is a bare number.
        Type::Wait => (text.parse::<i64>().is_err() && duration::parse_go(text).is_err())
            .then_some("a duration like 30s, 1.5m, 1h30m"),
        Type::Size => {
            const UNITS: [&str; 14] = [
                "", "B", "KB", "KiB", "MB", "MiB", "GB", "GiB", "TB", "TiB", "PB", "PiB", "EB",
                "EiB",
            ];
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            (unit.len() == text.len() || !UNITS.contains(&unit)).then_some("a size like 10MB")
        }
        Type::Url => {
            // Later ones expand templates in addresses.
            let filled = text.contains("{{") && version.is_none_or(|version| version >= TEMPLATES);
            let (problem, hint) = no_url(text).filter(|_| !filled)?;
            return Some(at.error(problem, hint));
        }
        Type::Regex => {
            let problem = crate::monitoring::regex::check(text).err()?;
            return Some(at.error(problem, "write a regular expression of Go (RE2)"));
        }
        Type::Any | Type::Text | Type::List(_) | Type::Free(_) | Type::Map(_) => None,
    };
    wanted.map(|wanted| at.wrong(wanted))
}

/// Takes over a line's keys, and those of the lines that it names.
fn fill(shape: &mut Shape, name: &str, lines: &BTreeMap<&str, &str>) {
    let names = |text: &str| text.trim_end_matches(')').split('|').map(str::to_owned).collect();
    for word in lines.get(name).copied().unwrap_or_default().split_whitespace() {
        if let Some(other) = word.strip_prefix('+') {
            fill(shape, other, lines);
        } else if let Some(group) = word.strip_prefix("most(") {
            shape.most.push(names(group));
        } else if let Some(group) = word.strip_prefix("least(") {
            shape.least.push(names(group));
        } else if let Some((key, holds)) = word.split_once('=') {
            shape.fields.insert(key.to_owned(), Field::read(holds));
        }
    }
}

fn key_place(at: &Cursor<'_>, key: &crate::yaml::Key) -> Place {
    let around = at.place();
    let line = if key.mark.line > 0 { key.mark.line } else { around.line };
    let path = if around.key.is_empty() {
        key.name.clone()
    } else {
        format!("{}.{}", around.key, key.name)
    };
    Place { line, column: key.column, key: path, ..around }
}

/// Why the servers take a text for no address.
fn no_url(text: &str) -> Option<(String, String)> {
    let shown = crate::secret::shown("url", text);
    let (scheme, rest) = match text.split_once("://") {
        Some(parts) => parts,
        None if text.contains("${") || text.starts_with('$') => {
            return Some((
                format!("`{shown}` is no address: the server fills in no variables"),
                "write the address, put it into a file (`…_file`), or fill the variable in before the server starts".into(),
            ));
        }
        None => {
            return Some((
                format!("`{shown}` is no address: it has no scheme"),
                "write http:// or https:// before it".into(),
            ));
        }
    };
    if !["http", "https"].contains(&scheme) {
        return Some((
            format!("`{shown}` is no address: its scheme is `{scheme}`"),
            "write http:// or https:// before it".into(),
        ));
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return Some((
            format!("`{shown}` is no address: it has no host"),
            "write a host after ://".into(),
        ));
    }
    if host.contains(|c: char| c.is_whitespace() || "{}<>\"^`|\\".contains(c)) {
        return Some((
            format!("`{shown}` is no address: its host has a letter that none can have"),
            "write host:port after ://".into(),
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitoring::strict::keys;

    #[test]
    fn every_kind_that_is_named_is_there() {
        for (server, text) in [
            ("Prometheus", keys::PROMETHEUS),
            ("Alertmanager", keys::ALERTMANAGER),
            ("Prometheus", keys::RULES),
        ] {
            let schema = Schema::read(server, Version(1, 0), &[keys::HTTP, text]);
            for (name, shape) in &schema.shapes {
                for (key, field) in &shape.fields {
                    let mut holds = &field.holds;
                    while let Type::List(inner) | Type::Free(inner) = holds {
                        holds = inner;
                    }
                    if let Type::Map(other) = holds {
                        assert!(schema.shapes.contains_key(other), "{name}.{key}: no line {other}");
                    }
                }
                for key in shape.most.iter().chain(&shape.least).flatten() {
                    assert!(shape.fields.contains_key(key), "{name}: no key {key}");
                }
            }
        }
    }

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in ["http://a", "https://a.b:1/x?y=z", "http://[::1]:9", "http://u:p@h/"] {
            assert_eq!(no_url(good), None, "{good}");
        }
        for bad in ["a:1", "${URL}", "ftp://a", "http:///x", "http://a b/", "<secret>"] {
            assert!(no_url(bad).is_some(), "{bad}");
        }
    }
}
