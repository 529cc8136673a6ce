//! How Compose lays one service over another (`extends`): mappings by key, lists one after the
//! other, commands replaced.

use crate::yaml::tree::{Key, Node, Value};

/// Keys whose lists replace instead of adding up.
const REPLACED: &[&str] = &["command", "entrypoint", "test"];
/// Keys that may be written as a list of `name=value` or a mapping.
const PAIRS: &[&str] = &["environment", "labels", "annotations", "sysctls", "args"];
/// Keys that may be written as a list of names or a mapping.
const NAMES: &[&str] = &["depends_on", "networks"];

/// Lays `over` on top of `base`.
pub(super) fn service(base: &Node, over: &Node) -> Node {
    merge("", base, over)
}

fn merge(key: &str, base: &Node, over: &Node) -> Node {
    if REPLACED.contains(&key) {
        return over.clone();
    }
    let (base, over) = (as_mapping(key, base), as_mapping(key, over));
    let value = match (&base.value, &over.value) {
        (_, Value::Null) => base.value.clone(),
        (Value::Map(below), Value::Map(above)) => {
            let mut merged: Vec<(Key, Node)> = below.clone();
            for (name, node) in above {
                match merged.iter_mut().find(|(known, _)| known.name == name.name) {
                    Some((known, value)) => {
                        *value = merge(&name.name, value, node);
                        *known = name.clone();
                    }
                    None => merged.push((name.clone(), node.clone())),
                }
            }
            Value::Map(merged)
        }
        (Value::List(below), Value::List(above)) => {
            let target = |node: &Node| match key {
                "volumes" | "configs" | "secrets" | "devices" | "tmpfs" => mount_target(node),
                _ => None,
            };
            let mut merged: Vec<Node> = below
                .iter()
                .filter(|old| {
                    target(old)
                        .is_none_or(|at| !above.iter().any(|new| target(new).as_ref() == Some(&at)))
                })
                .cloned()
                .collect();
            for node in above {
                if !merged.iter().any(|known| known.value == node.value) {
                    merged.push(node.clone());
                }
            }
            Value::List(merged)
        }
        _ => over.value.clone(),
    };
    Node { value, mark: over.mark.clone() }
}

fn mount_target(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => {
            let mut parts = text.split(':');
            let first = parts.next()?;
            Some(parts.next().unwrap_or(first).to_owned())
        }
        _ => node.get("target").or_else(|| node.get("source")).and_then(Node::scalar),
    }
}

/// Turns the list form of keys that have both forms into their mapping form.
fn as_mapping(key: &str, node: &Node) -> Node {
    let Value::List(items) = &node.value else { return node.clone() };
    let null = |item: &Node| Node { value: Value::Null, mark: item.mark.clone() };
    let entry = |item: &Node| -> Option<(Key, Node)> {
        let text = item.scalar()?;
        let (name, value) = match text.split_once('=').filter(|_| PAIRS.contains(&key)) {
            Some((name, value)) => (
                name.to_owned(),
                Node { value: Value::Text(value.to_owned()), mark: item.mark.clone() },
            ),
            None => (text, null(item)),
        };
        Some((Key { name, mark: item.mark.clone() }, value))
    };
    if !(PAIRS.contains(&key) || NAMES.contains(&key)) {
        return node.clone();
    }
    match items.iter().map(entry).collect::<Option<Vec<_>>>() {
        Some(entries) => Node { value: Value::Map(entries), mark: node.mark.clone() },
        None => node.clone(),
    }
}
