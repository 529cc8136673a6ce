//! Relative paths of a file become absolute right after it was read, before files are merged: each
//! is relative to the file that it stands in.

use crate::engine::volume::is_bind;
use config::yaml::{Node, Typed, Value};
use std::path::{Component, Path, PathBuf};

/// Makes the relative paths of a whole file absolute.
pub(super) fn absolutize(file: &mut Node, base: &Path) {
    if let Some(Value::Map(services)) = file.get_mut("services").map(|node| &mut node.value) {
        for (_, service) in services {
            absolutize_service(service, base);
        }
    }
    if let Some(Value::Map(volumes)) = file.get_mut("volumes").map(|node| &mut node.value) {
        for options in volumes.iter_mut().filter_map(|(_, volume)| volume.get_mut("driver_opts")) {
            if options.get("o").and_then(Node::text_of_value).is_some_and(|o| is_bind(&o)) {
                path_at(options, "device", base);
            }
        }
    }
    for group in ["configs", "secrets"] {
        if let Some(Value::Map(entries)) = file.get_mut(group).map(|node| &mut node.value) {
            for (_, entry) in entries {
                path_at(entry, "file", base);
            }
        }
    }
}

fn absolutize_service(service: &mut Node, base: &Path) {
    if let Some(Value::List(volumes)) = service.get_mut("volumes").map(|node| &mut node.value) {
        for volume in volumes {
            let binds = volume.get("type").and_then(Node::text_of_value).as_deref() == Some("bind");
            match volume.typed() {
                Typed::Text(text) => {
                    if let Some((source, rest)) = text.split_once(':')
                        && is_path(source)
                    {
                        volume.set_text(format!("{}:{rest}", absolute(source, base).display()));
                    }
                }
                Typed::Map(_) if binds => path_at(volume, "source", base),
                _ => {}
            }
        }
    }
    path_at(service, "env_file", base);
    if let Some(Value::List(files)) = service.get_mut("env_file").map(|node| &mut node.value) {
        for file in files {
            make_absolute(file, base);
            path_at(file, "path", base);
        }
    }
    if let Some(extends) = service.get_mut("extends") {
        path_at(extends, "file", base);
    }
}

fn path_at(node: &mut Node, key: &str, base: &Path) {
    if let Some(child) = node.get_mut(key) {
        make_absolute(child, base);
    }
}

fn make_absolute(node: &mut Node, base: &Path) {
    if let Typed::Text(text) = node.typed() {
        node.set_text(absolute(text, base).to_string_lossy());
    }
}

/// Whether the source of a mount in short form is a path, and not a volume's name.
pub(super) fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
}

/// An absolute path without `.` and `..`, of text relative to `base`.
pub fn absolute(text: &str, base: &Path) -> PathBuf {
    let joined = match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => base.join(text),
    };
    let mut out = PathBuf::new();
    for component in joined.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn paths_are_relative_to_their_own_file() {
        let text = "services:\n  a:\n    env_file: [a.env, {path: b.env}]\n    volumes: ['./c:/c:ro', 'data:/d', '/abs:/e', '../f:/f']\n    extends: {service: b, file: base.yml}\nconfigs:\n  g: {file: ./g.txt}\nvolumes:\n  v: {driver_opts: {type: none, o: 'bind,ro', device: ./v}}\n  w: {driver_opts: {type: nfs, o: addr=h, device: ':/w'}}\n";
        let mut tree = yaml::tree(Path::new("x.yml"), text).expect("reads");
        absolutize(&mut tree, Path::new("/p/q"));
        let shown = format!("{tree:?}");
        for wanted in [
            "/p/q/a.env",
            "/p/q/b.env",
            "/p/q/c:/c:ro",
            "\"data:/d\"",
            "\"/abs:/e\"",
            "/p/f:/f",
            "/p/q/base.yml",
            "/p/q/g.txt",
            "/p/q/v\"",
            "\":/w\"",
        ] {
            assert!(shown.contains(wanted), "{wanted} in {shown}");
        }
    }
}
