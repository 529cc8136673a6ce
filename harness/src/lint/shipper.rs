//! Filebeat: inputs that share their state, and fields whose type depends on where they come from.

use super::{Findings, LintContext, Severity};
use config::yaml::{Document, Node, Place, Typed};
use std::collections::BTreeMap;

/// Nothing else can stand where one is.
const OBJECT: &str = "an object";

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    for shipper in &subject.config.shippers {
        let inputs: Vec<(&Document, &Node)> = shipper
            .files
            .iter()
            .flat_map(|doc| inputs_of(&doc.root).into_iter().map(move |node| (doc, node)))
            .filter(|(_, node)| node.get_non_null("enabled").and_then(Node::text) != Some("false"))
            .collect();
        ids(&inputs, findings);
        // Which index a document goes to behind another program no file of the shipper tells.
        let Some(pattern) = index(&shipper.files) else { continue };
        let mut by_index: BTreeMap<String, Vec<(&Document, &Node)>> = BTreeMap::new();
        for (doc, input) in inputs {
            by_index.entry(index_of(input, pattern)).or_default().push((doc, input));
        }
        by_index.values().for_each(|inputs| types(inputs, findings));
    }
}

/// The pattern by which documents are put into indices; empty for Filebeat's own. None if they don't
/// go to Elasticsearch from here.
fn index<'a>(files: impl IntoIterator<Item = &'a Document>) -> Option<&'a str> {
    let mut elsewhere = false;
    for doc in files {
        let of = |name: &str| {
            let nested = doc.root.get_non_null("output").and_then(|node| node.get_non_null(name));
            doc.root.get_non_null(&format!("output.{name}")).or(nested)
        };
        if let Some(output) = of("elasticsearch") {
            return Some(text(output, "index"));
        }
        elsewhere |= ["logstash", "kafka", "redis", "file"].iter().any(|name| of(name).is_some());
    }
    (!elsewhere).then_some("")
}

/// The index of an input's documents: its own, or the pattern with the fields that it sets.
fn index_of(input: &Node, pattern: &str) -> String {
    let own = text(input, "index");
    let mut index = if own.is_empty() { pattern } else { own }.to_owned();
    let beneath = if text(input, "fields_under_root") == "true" { "" } else { "fields." };
    for (key, value) in input.get_non_null("fields").map(Node::entries).unwrap_or_default() {
        if let Some(value) = value.text() {
            index = index.replace(&format!("%{{[{beneath}{}]}}", key.name), value);
        }
    }
    index
}

fn inputs_of(root: &Node) -> Vec<&Node> {
    let nested = root.get_non_null("filebeat").and_then(|node| node.get_non_null("inputs"));
    let lists = [root.get_non_null("filebeat.inputs"), nested, Some(root)];
    lists.into_iter().flatten().flat_map(Node::items).collect()
}

fn text<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get_non_null(key).and_then(Node::text).unwrap_or_default()
}

/// Inputs of one id share what they know of files: lines come twice or never.
fn ids(inputs: &[(&Document, &Node)], findings: &mut Findings) {
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    for (doc, input) in inputs.iter().filter(|(_, input)| text(input, "type") == "filestream") {
        let (id, at) = (text(input, "id"), doc.place_of(input, ""));
        let Some(first) = seen.get(id) else {
            seen.insert(id, at);
            continue;
        };
        let what = if id.is_empty() {
            format!(
                "this filestream input has no `id`, as the one in {first}: they share their state, so lines are sent again, or never"
            )
        } else {
            format!(
                "this filestream input has the id `{id}`, as the one in {first}: they share their state, so lines are sent again, or never"
            )
        };
        findings.error("input-id", &at, what, "give each input an `id` of its own");
    }
}

/// Elasticsearch takes one type for a field of an index, the first that comes.
fn types(inputs: &[(&Document, &Node)], findings: &mut Findings) {
    let mut seen: BTreeMap<String, (&'static str, Place)> = BTreeMap::new();
    for (doc, input) in inputs {
        let root = text(input, "fields_under_root") == "true";
        for (key, node) in input.get_non_null("fields").map(Node::entries).unwrap_or_default() {
            let field = if root { key.name.clone() } else { format!("fields.{}", key.name) };
            let (kind, at) = (kind(node), doc.place_of(node, ""));
            match seen.get(&field) {
                Some((first, place)) if *first != kind => findings.add(
                    if [*first, kind].contains(&OBJECT) {
                        Severity::Error
                    } else {
                        Severity::Warning
                    },
                    "field-of-two-types",
                    &at,
                    format!("field `{field}` is {kind} here and {first} in {place}: Elasticsearch takes what comes first and drops the other lines"),
                    "give the two fields names of their own",
                ),
                Some(_) => {}
                None => drop(seen.insert(field, (kind, at))),
            }
        }
    }
    // What applications write is in their lines only.
    let bare = |input: &Node| {
        let parsers = input.get_non_null("parsers").map(Node::items).unwrap_or_default();
        parsers.iter().any(|parser| {
            parser.get_non_null("ndjson").is_some_and(|json| text(json, "target").is_empty())
        })
    };
    let open: Vec<_> = inputs.iter().filter(|(_, input)| bare(input)).collect();
    if let [(_, _), (doc, second), ..] = open.as_slice() {
        findings.note(
            "field-of-two-types",
            &doc.place_of(second, ""),
            format!("{} inputs put the fields of their lines at the top of one index: a field that is a text here and an object there is refused, and its lines are lost", open.len()),
            "give each a `target` of its own, or an index of its own",
        );
    }
}

fn kind(node: &Node) -> &'static str {
    match node.typed() {
        Typed::Map(_) => OBJECT,
        Typed::Bool(_) => "a truth value",
        Typed::Int(_) | Typed::Float(_) => "a number",
        _ => "a text",
    }
}
