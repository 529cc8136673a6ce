//! How Compose lays one service over another (`extends`): mappings by key, lists one after the
//! other, commands replaced.

use config::yaml::{Key, Node, Typed, Value};

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
    let value = match (base.typed(), over.typed()) {
        (_, Typed::Null) => base.value.clone(),
        (Typed::Map(below), Typed::Map(above)) => {
            let mut merged: Vec<(Key, Node)> = below.to_vec();
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
        (Typed::List(below), Typed::List(above)) => {
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
                if !merged.iter().any(|known| is_one(known, node)) {
                    merged.push(node.clone());
                }
            }
            Value::List(merged)
        }
        _ => over.value.clone(),
    };
    Node::new(value).standing_at(&over.mark)
}

/// Whether two nodes are one that came by two ways: they mean the same, and what is in them stands
/// at the same places.
pub(super) fn is_one(a: &Node, b: &Node) -> bool {
    match (a.typed(), b.typed()) {
        (Typed::List(a), Typed::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.mark == b.mark && is_one(a, b))
        }
        (Typed::Map(a), Typed::Map(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|((key, a), (other, b))| {
                    (&key.name, &key.mark, &a.mark) == (&other.name, &other.mark, &b.mark)
                        && is_one(a, b)
                })
        }
        (a, b) => a == b,
    }
}

fn mount_target(node: &Node) -> Option<String> {
    match node.typed() {
        Typed::Text(text) => {
            let mut parts = text.split(':');
            let first = parts.next()?;
            Some(parts.next().unwrap_or(first).to_owned())
        }
        _ => node.get("target").or_else(|| node.get("source")).and_then(Node::text_of_value),
    }
}

/// Turns the list form of keys that have both forms into their mapping form.
fn as_mapping(key: &str, node: &Node) -> Node {
    let Value::List(items) = &node.value else { return node.clone() };
    let entry = |item: &Node| -> Option<(Key, Node)> {
        let text = item.text_of_value()?;
        let (name, value) = match text.split_once('=').filter(|_| PAIRS.contains(&key)) {
            Some((name, value)) => (name.to_owned(), Node::string(value)),
            None => (text, Node::plain("null")),
        };
        Some((Key::new(name, item.mark.clone()), value.standing_at(&item.mark)))
    };
    if !(PAIRS.contains(&key) || NAMES.contains(&key)) {
        return node.clone();
    }
    match items.iter().map(entry).collect::<Option<Vec<_>>>() {
        Some(entries) => Node::new(Value::Map(entries)).standing_at(&node.mark),
        None => node.clone(),
    }
}
