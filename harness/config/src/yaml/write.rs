//! From tree to text, in block style.

use super::tree::{Node, Scalar, Value};

pub(super) fn to_yaml(root: &Node) -> String {
    let mut out = String::new();
    match &root.value {
        Value::Scalar(scalar) => {
            out.push_str(&scalar_text(scalar));
            out.push('\n');
        }
        _ if is_empty(root) => {
            out.push_str(if matches!(root.value, Value::List(_)) { "[]\n" } else { "{}\n" })
        }
        _ => write_block(root, 0, &mut out),
    }
    out
}

fn is_empty(node: &Node) -> bool {
    node.entries().is_empty() && node.items().is_empty()
}

fn write_block(node: &Node, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match &node.value {
        Value::Scalar(_) => {}
        Value::List(items) => {
            for item in items {
                out.push_str(&pad);
                out.push('-');
                if matches!(item.value, Value::Scalar(_)) || is_empty(item) {
                    write_inline(item, out);
                } else {
                    // The first entry stands on the dash's own line, the others below it.
                    let mut inner = String::new();
                    write_block(item, indent + 2, &mut inner);
                    out.push(' ');
                    out.push_str(&inner[indent + 2..]);
                }
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                out.push_str(&pad);
                out.push_str(&quoted(&key.name, key.plain));
                out.push(':');
                if matches!(value.value, Value::Scalar(_)) || is_empty(value) {
                    write_inline(value, out);
                } else {
                    out.push('\n');
                    write_block(value, indent + 2, out);
                }
            }
        }
    }
}

fn write_inline(node: &Node, out: &mut String) {
    out.push(' ');
    match &node.value {
        Value::Scalar(scalar) => out.push_str(&scalar_text(scalar)),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
    out.push('\n');
}

fn scalar_text(scalar: &Scalar) -> String {
    if scalar.is_null() { "null".into() } else { quoted(scalar.text(), scalar.is_plain()) }
}

/// The text, in quotes unless it stood without.
fn quoted(written: &str, plain: bool) -> String {
    if plain {
        return written.to_owned();
    }
    let mut text = String::with_capacity(written.len() + 2);
    text.push('"');
    for letter in written.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                text.push_str(&format!("\\u{:04x}", letter as u32))
            }
            letter if letter.is_control() => text.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}
