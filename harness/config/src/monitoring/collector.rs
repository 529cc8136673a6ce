//! What is needed of an OpenTelemetry Collector configuration: its components and how pipelines
//! connect them.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use crate::yaml::{ConfigError, Document, Place};

/// A Collector configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Collector {
    /// All components in the order of the file, whether a pipeline uses them or not.
    pub components: Vec<Component>,
    /// Pipelines in the order of the file.
    pub pipelines: Vec<Pipeline>,
    /// Ids of the extensions that the service starts.
    pub extensions: Vec<String>,
}

/// Class of a component: the key under which it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Under `receivers`.
    Receiver,
    /// Under `processors`.
    Processor,
    /// Under `exporters`.
    Exporter,
    /// Under `connectors`.
    Connector,
    /// Under `extensions`.
    Extension,
}

impl Class {
    /// The key under which components of this class stand.
    pub fn key(self) -> &'static str {
        match self {
            Class::Receiver => "receivers",
            Class::Processor => "processors",
            Class::Exporter => "exporters",
            Class::Connector => "connectors",
            Class::Extension => "extensions",
        }
    }
}

/// A component: something that receives, processes, exports or connects telemetry, or an extension.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// The key under which it stands.
    pub class: Class,
    /// Its id: kind, or kind and name as `otlp/jaeger`.
    pub id: String,
    /// Where it stands.
    pub place: Place,
}

impl Component {
    /// The kind: the id up to a slash.
    pub fn kind(&self) -> &str {
        self.id.split('/').next().unwrap_or(&self.id)
    }
}

/// A pipeline: the way of one signal through components.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Its id, as `traces` or `traces/errors`.
    pub id: String,
    /// Ids of receivers or connectors that feed it.
    pub receivers: Vec<String>,
    /// Ids of processors, in order.
    pub processors: Vec<String>,
    /// Ids of exporters or connectors that it feeds.
    pub exporters: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

impl Pipeline {
    /// The signal: `traces`, `metrics` or `logs`.
    pub fn signal(&self) -> &str {
        self.id.split('/').next().unwrap_or(&self.id)
    }
}

impl Collector {
    /// Reads the typed view of a document.
    ///
    /// # Errors
    /// Names file, line and key of what the Collector would refuse: no pipeline, or one that names
    /// what is not defined.
    pub fn read(doc: &Document) -> Result<Collector, ConfigError> {
        let root = Cursor::root(doc);
        root.expect_map()?;
        let mut components = Vec::new();
        for class in
            [Class::Receiver, Class::Processor, Class::Exporter, Class::Connector, Class::Extension]
        {
            for (id, at) in root.entries_of(class.key())? {
                components.push(Component { class, id, place: at.place() });
            }
        }
        let Some(service) = root.get("service") else {
            return Err(root.error(
                "no `service`",
                "a Collector configuration has `service.pipelines`; is this the right file?",
            ));
        };
        let defined = |id: &str, classes: &[Class]| {
            components.iter().any(|other| other.id == id && classes.contains(&other.class))
        };
        let mut pipelines = Vec::new();
        for (id, at) in service.entries_of("pipelines")? {
            let pipeline = Pipeline {
                id,
                receivers: at.texts("receivers")?,
                processors: at.texts("processors")?,
                exporters: at.texts("exporters")?,
                place: at.place(),
            };
            let uses = [
                (&pipeline.receivers, &[Class::Receiver, Class::Connector][..]),
                (&pipeline.processors, &[Class::Processor]),
                (&pipeline.exporters, &[Class::Exporter, Class::Connector]),
            ];
            for (ids, classes) in uses {
                if let Some(id) = ids.iter().find(|id| !defined(id, classes)) {
                    let wanted = classes[0].key();
                    return Err(at.error(
                        format!("pipeline `{}` names `{id}`, which is not defined", pipeline.id),
                        format!("add it under `{wanted}`"),
                    ));
                }
            }
            for (ids, what) in
                [(&pipeline.receivers, "receiver"), (&pipeline.exporters, "exporter")]
            {
                if ids.is_empty() {
                    return Err(at.error(
                        format!("pipeline `{}` has no {what}", pipeline.id),
                        "the Collector refuses this",
                    ));
                }
            }
            pipelines.push(pipeline);
        }
        if pipelines.is_empty() {
            return Err(service.error("no pipelines", "the Collector refuses this"));
        }
        Ok(Collector { extensions: service.texts("extensions")?, components, pipelines })
    }

    /// Whether a pipeline uses this component, or the service starts this extension. Others are
    /// never started.
    pub fn is_used(&self, component: &Component) -> bool {
        let named = |ids: &[String]| ids.contains(&component.id);
        match component.class {
            Class::Receiver => self.pipelines.iter().any(|pipeline| named(&pipeline.receivers)),
            Class::Processor => self.pipelines.iter().any(|pipeline| named(&pipeline.processors)),
            Class::Exporter => self.pipelines.iter().any(|pipeline| named(&pipeline.exporters)),
            Class::Connector => self.pipelines.iter().any(|pipeline| named(&pipeline.exporters)),
            Class::Extension => named(&self.extensions),
        }
    }
}

/// Puts variables into a text as the Collector does: `${env:NAME}`, `${env:NAME:-default}`,
/// `${NAME}`, `$$` for a dollar:
/// <https://opentelemetry.io/docs/collector/configuration/#environment-variables>.
///
/// # Errors
/// Names the first variable that is not set and has no default, or the provider that can't be read
/// from here.
pub fn expand(text: &str, environment: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if rest.starts_with("${")
            && let Some(end) = rest.find('}')
        {
            let inside = &rest[2..end];
            let inside = inside.strip_prefix("env:").unwrap_or(inside);
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            match environment.get(name).map(String::as_str).or(default) {
                Some(value) => out.push_str(value),
                None => return Err(format!("variable `{name}` is not set")),
            }
            rest = &rest[end + 1..];
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Collector, ConfigError> {
        Collector::read(&Document::parse(Path::new("otel.yaml"), text)?)
    }

    #[test]
    fn knows_what_is_used() {
        let config = read(
            "receivers: {otlp: {protocols: {grpc: }}}\nprocessors:\n  batch:\n  tail_sampling/slow: {decision_wait: 10s}\nexporters: {otlp/jaeger: \
             {endpoint: 'jaeger:4317'}, debug: }\nservice: {pipelines: {traces: {receivers: [otlp], processors: [tail_sampling/slow], exporters: [otlp/jaeger]}}}\n",
        )
        .unwrap();
        let used: Vec<_> = config
            .components
            .iter()
            .filter(|c| config.is_used(c))
            .map(|c| (c.id.as_str(), c.kind()))
            .collect();
        assert_eq!(
            used,
            [("otlp", "otlp"), ("tail_sampling/slow", "tail_sampling"), ("otlp/jaeger", "otlp")]
        );
    }

    #[test]
    fn refuses_what_the_collector_refuses() {
        for (text, part) in [
            ("receivers: {}\n", "no `service`"),
            ("service: {}\n", "no pipelines"),
            (
                "receivers: {otlp: }\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [jaeger]}}}\n",
                "`jaeger`, which is not defined",
            ),
            (
                "receivers: {otlp: }\nservice: {pipelines: {traces: {receivers: [otlp]}}}\n",
                "no exporter",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error} lacks {part}");
        }
    }

    #[test]
    fn variables_are_put_in() {
        let environment = BTreeMap::from([("HOST".to_owned(), "jaeger".to_owned())]);
        assert_eq!(expand("${env:HOST}:4317", &environment).as_deref(), Ok("jaeger:4317"));
        assert_eq!(expand("${HOST}$$1 $x", &environment).as_deref(), Ok("jaeger$1 $x"));
        assert_eq!(expand("${env:PORT:-4317}", &environment).as_deref(), Ok("4317"));
        assert!(expand("${env:PORT}", &environment).unwrap_err().contains("PORT"));
    }
}
