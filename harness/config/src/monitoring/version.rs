//! Versions of servers, as the tags of their images tell them.

/// A version, its first two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}", self.0, self.1)
    }
}

impl Version {
    /// The version that an image's reference tells: `prom/prometheus:v2.53.3`. None if it tells
    /// none; `latest`, or no tag, is the newest.
    pub fn of_image(image: &str) -> Option<Version> {
        let name = image.split('@').next().unwrap_or(image);
        let last = name.rsplit('/').next().unwrap_or(name);
        let Some((_, tag)) = last.split_once(':') else {
            return (!image.contains('@')).then_some(Version::NEWEST);
        };
        if tag == "latest" {
            return Some(Version::NEWEST);
        }
        Version::parse(tag)
    }

    /// The newest that this program knows of, or any later one.
    pub const NEWEST: Version = Version(u32::MAX, 0);

    /// Reads `v2.53.3`, `2.53`, `3.1.0-alpine`.
    pub fn parse(text: &str) -> Option<Version> {
        let mut parts = text.trim_start_matches('v').split(['.', '-', '_']);
        let first = parts.next()?.parse().ok()?;
        // `3` alone is whatever 3 is the newest.
        Some(Version(first, parts.next().map_or(Some(u32::MAX), |part| part.parse().ok())?))
    }

    /// Its name in messages.
    pub fn shown(self) -> String {
        if self == Version::NEWEST { "the newest".to_owned() } else { self.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_versions() {
        assert_eq!(Version::of_image("prom/prometheus:v2.53.3"), Some(Version(2, 53)));
        assert_eq!(
            Version::of_image("quay.io:443/prometheus/alertmanager:0.28.1-x"),
            Some(Version(0, 28))
        );
        assert_eq!(Version::of_image("prom/prometheus"), Some(Version::NEWEST));
        assert_eq!(Version::of_image("prom/prometheus:latest"), Some(Version::NEWEST));
        assert_eq!(Version::of_image("prom/prometheus:main"), None);
        assert_eq!(Version::of_image("prom/prometheus@sha256:00"), None);
        assert!(Version::of_image("prom/prometheus:v3").is_some_and(|v| v > Version(3, 9)));
    }
}
