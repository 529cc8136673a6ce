//! What may be stated once, or as a list.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Mappings of one kind: none, one, or a list of them. An error names the line and key in it, as
/// for one alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrList<T>(Vec<T>);

impl<T> OneOrList<T> {
    /// All of them, in the file's order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> Default for OneOrList<T> {
    fn default() -> Self {
        OneOrList(Vec::new())
    }
}

impl<T> From<Vec<T>> for OneOrList<T> {
    fn from(all: Vec<T>) -> Self {
        OneOrList(all)
    }
}

impl<T: Serialize> Serialize for OneOrList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [] => serializer.serialize_none(),
            [one] => one.serialize(serializer),
            all => all.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping, or a list of mappings")
            }
            fn visit_unit<E>(self) -> Result<Vec<T>, E> {
                Ok(Vec::new())
            }
            fn visit_none<E>(self) -> Result<Vec<T>, E> {
                Ok(Vec::new())
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
                deserializer.deserialize_any(self)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
                Ok(vec![T::deserialize(MapAccessDeserializer::new(map))?])
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list))
            }
        }
        deserializer.deserialize_any(Either(PhantomData)).map(OneOrList)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrList<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrList_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, list) = (generator.subschema_for::<T>(), generator.subschema_for::<Vec<T>>());
        json_schema!({"anyOf": [one, list, {"type": "null"}]})
    }
}

#[cfg(test)]
mod tests {
    use crate::declaration::{Role, Roles};
    use std::path::Path;

    fn roles(text: &str) -> Result<Roles, config::yaml::ConfigError> {
        crate::yaml::parse(Path::new("firedrill.yaml"), text)
    }

    #[test]
    fn a_mapping_and_a_list_are_read_and_written_alike() {
        let one = roles("dashboards: {kind: grafana, service: g, port: 3000}\n").unwrap();
        let two = roles("dashboards:\n  - {kind: grafana, service: g, port: 3000}\n  - {kind: grafana-files, provisioning: p}\n").unwrap();
        let none = roles("{}\n").unwrap();
        assert_eq!(
            (one.dashboards.len(), two.dashboards.len(), none.dashboards.is_empty()),
            (1, 2, true)
        );
        assert_eq!(one.dashboards.iter().next(), two.dashboards.iter().next());
        for all in [&one, &two, &none] {
            let written = serde_json::to_value(all).unwrap();
            assert_eq!(serde_json::from_value::<Roles>(written).unwrap(), *all);
        }
        // As runs were recorded before there were lists.
        let recorded = serde_json::json!({"dashboards": {"kind": "grafana", "service": "g", "port": 3000, "config": null, "user": null, "password": null}});
        assert_eq!(serde_json::from_value::<Roles>(recorded).unwrap(), one);
        assert!(
            serde_json::from_value::<Roles>(serde_json::json!({"dashboards": null}))
                .unwrap()
                .dashboards
                .is_empty()
        );
        assert!(serde_json::to_value(&one).unwrap()["dashboards"].is_object());
    }

    #[test]
    fn an_error_within_names_its_line_and_key() {
        let error = roles("dashboards:\n  - kind: grafana\n    servic: g\n").unwrap_err();
        assert!(
            error.place.line == 3
                && error.problem.contains("servic")
                && error.hint.contains("service"),
            "{error}"
        );
        let error = roles("dashboards:\n  kind: grafana\n  prot: 1\n").unwrap_err();
        assert!(error.place.line == 3 && error.problem.contains("prot"), "{error}");
        assert!(
            roles("dashboards: grafana\n").unwrap_err().problem.contains("a mapping, or a list")
        );
    }

    #[test]
    fn the_first_that_runs_answers() {
        let all = roles("dashboards:\n  - {kind: grafana, service: g, port: 3000}\n  - {kind: grafana-files, provisioning: p}\n").unwrap();
        let kind = |runs: bool| {
            all.dashboards_where(|service| runs && service == "g").map(|role| role.kind.as_str())
        };
        assert_eq!((kind(true), kind(false)), (Some("grafana"), Some("grafana-files")));
        let alone = Roles {
            dashboards: vec![Role {
                kind: "grafana".into(),
                service: "g".into(),
                ..Role::default()
            }]
            .into(),
            ..Roles::default()
        };
        assert!(alone.dashboards_where(|_| false).is_none());
        assert_eq!(all.servers().count(), 1);
    }
}
