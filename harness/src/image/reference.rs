//! References of images, as Compose files write them.

/// A reference in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// Registry and repository in full (`docker.io/library/redis`).
    pub repository: String,
    /// Tag, if one is given.
    pub tag: Option<String>,
}

impl Reference {
    /// Takes a reference apart; a digest is dropped.
    pub fn parse(text: &str) -> Self {
        let text = text.split('@').next().unwrap_or(text);
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (text, None),
        };
        let repository = match name.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => {
                name.replacen("index.docker.io/", "docker.io/", 1)
            }
            Some(_) => format!("docker.io/{name}"),
            None => format!("docker.io/library/{name}"),
        };
        Self { repository, tag }
    }

    /// The registry that would be asked.
    pub fn registry(&self) -> &str {
        self.repository.split('/').next().unwrap_or(&self.repository)
    }

    /// Whether pulling it is possible under that name, with the tag made explicit.
    pub fn with_tag(text: &str) -> String {
        let parsed = Self::parse(text);
        if text.contains('@') || parsed.tag.is_some() {
            text.to_owned()
        } else {
            format!("{text}:latest")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn short_and_full_names_are_one() {
        let full = |t: &str| Reference::parse(t).repository;
        assert_eq!(full("redis:8.0"), "docker.io/library/redis");
        assert_eq!(full("docker.io/library/redis"), "docker.io/library/redis");
        assert_eq!(full("prom/prometheus:v2.53.3"), full("docker.io/prom/prometheus"));
        assert_eq!(full("localhost:5000/a/b:1"), "localhost:5000/a/b");
        assert_eq!(full("quay.io/x/y@sha256:00"), "quay.io/x/y");
    }

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(Reference::parse("localhost:5000/a").tag, None);
        assert_eq!(Reference::parse("localhost:5000/a:1").tag.as_deref(), Some("1"));
        assert_eq!(Reference::parse("localhost:5000/a:1").registry(), "localhost:5000");
        assert_eq!(Reference::with_tag("redis"), "redis:latest");
        assert_eq!(Reference::with_tag("redis:7"), "redis:7");
    }
}
