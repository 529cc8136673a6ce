//! What a service mounts: volumes in short and long form, memory, configs and secrets.

use crate::stack::compose::fields::{Fields, items, text, texts, wanted, whole};
use crate::stack::compose::model::{ContentMount, ServiceVolume, VolumeSource};
use crate::stack::compose::{paths, quantity};
use config::yaml::{ConfigError, Mark, Node, Typed, Value};
use std::path::PathBuf;

pub(super) fn volumes(fields: &mut Fields, path: &str) -> Result<Vec<ServiceVolume>, ConfigError> {
    let mut volumes = Vec::new();
    let where_ = format!("{path}.volumes");
    if let Some(node) = fields.take("volumes") {
        for item in items(node, &where_)? {
            volumes.push(match &item.value {
                Value::Map(_) => long_volume(item, &where_)?,
                _ => short_volume(&text(item, &where_)?, &item.mark, &where_)?,
            });
        }
    }
    let where_ = format!("{path}.tmpfs");
    if let Some(node) = fields.take("tmpfs") {
        for line in texts(node, &where_)? {
            let (target, options) = line.split_once(':').unwrap_or((&line, ""));
            let (mut size, mut mode) = (None, None);
            for option in options.split(',').filter(|option| !option.is_empty()) {
                let wrong = |what: String| {
                    ConfigError::at(
                        &node.mark,
                        format!("{where_}: {what}"),
                        "options are size= and mode=",
                    )
                };
                match option.split_once('=') {
                    Some(("size", value)) => size = Some(quantity::bytes(value).map_err(wrong)?),
                    Some(("mode", value)) => {
                        let bits = u32::from_str_radix(value, 8);
                        mode = Some(
                            bits.map_err(|_| wrong(format!("`{value}` are no permission bits")))?,
                        );
                    }
                    _ if ["rw", "noexec", "nosuid", "nodev", "exec"].contains(&option) => {}
                    _ => return Err(wrong(format!("unsupported option `{option}`"))),
                }
            }
            let source = VolumeSource::Tmpfs { size, mode };
            volumes.push(ServiceVolume {
                source,
                target: target.to_owned(),
                read_only: false,
                mark: node.mark.clone(),
            });
        }
    }
    Ok(volumes)
}

fn short_volume(text: &str, mark: &Mark, path: &str) -> Result<ServiceVolume, ConfigError> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => {
            return Err(ConfigError::at(
                mark,
                format!("{path}: seen `{text}`, wanted source:target[:options]"),
                "for example ./config:/etc/app:ro",
            ));
        }
    };
    if !target.starts_with('/') {
        return Err(ConfigError::at(
            mark,
            format!("{path}: target `{target}` is no absolute path"),
            "begin it with /",
        ));
    }
    let (mut read_only, mut no_copy, mut propagation) = (false, false, None);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            "nocopy" => no_copy = true,
            "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" => {
                propagation = Some(option.to_owned())
            }
            other => {
                return Err(ConfigError::at(
                    mark,
                    format!("{path}: unsupported option `{other}` of `{text}`"),
                    "options are ro, rw, nocopy, and propagation such as rslave",
                ));
            }
        }
    }
    let source = match source {
        None => VolumeSource::Anonymous,
        Some(path) if paths::is_path(path) => {
            VolumeSource::Bind { path: PathBuf::from(path), create: true, propagation }
        }
        Some(name) => VolumeSource::Named { name: name.to_owned(), no_copy },
    };
    Ok(ServiceVolume { source, target: target.to_owned(), read_only, mark: mark.clone() })
}

fn long_volume(node: &Node, path: &str) -> Result<ServiceVolume, ConfigError> {
    let mut fields = Fields::new(node, path)?;
    let kind = fields.text("type")?.unwrap_or_else(|| "volume".into());
    let source = fields.text("source")?;
    let target = fields.text("target")?.ok_or_else(|| wanted(node, path, "a target"))?;
    let read_only = fields.flag("read_only")?.unwrap_or(false);
    fields.take("consistency");
    let mut no_copy = false;
    let (mut create, mut propagation) = (false, None);
    let (mut size, mut mode) = (None, None);
    if let Some(inner) = fields.take("volume") {
        let mut inner = Fields::new(inner, format!("{path}.volume"))?;
        no_copy = inner.flag("nocopy")?.unwrap_or(false);
        inner.finish(&[])?;
    }
    if let Some(inner) = fields.take("bind") {
        let mut inner = Fields::new(inner, format!("{path}.bind"))?;
        create = inner.flag("create_host_path")?.unwrap_or(false);
        propagation = inner.text("propagation")?;
        inner.take("selinux");
        inner.finish(&[])?;
    }
    if let Some(inner) = fields.take("tmpfs") {
        let mut inner = Fields::new(inner, format!("{path}.tmpfs"))?;
        size = inner.bytes("size")?;
        mode = inner.whole("mode")?.and_then(|mode| u32::try_from(mode).ok());
        inner.finish(&[])?;
    }
    fields.finish(&[])?;
    let source = match (kind.as_str(), source) {
        ("bind", Some(source)) => {
            VolumeSource::Bind { path: PathBuf::from(source), create, propagation }
        }
        ("volume", Some(name)) => VolumeSource::Named { name, no_copy },
        ("volume", None) => VolumeSource::Anonymous,
        ("tmpfs", None) => VolumeSource::Tmpfs { size, mode },
        ("bind", None) => return Err(wanted(node, path, "a source for a bind mount")),
        (other, _) => {
            return Err(ConfigError::at(
                &node.mark,
                format!("{path}: unsupported type `{other}`"),
                "types are bind, volume, tmpfs",
            ));
        }
    };
    Ok(ServiceVolume { source, target, read_only, mark: node.mark.clone() })
}

pub(super) fn contents(
    fields: &mut Fields,
    path: &str,
    group: &'static str,
) -> Result<Vec<ContentMount>, ConfigError> {
    let path = format!("{path}.{group}");
    let Some(node) = fields.take(group) else { return Ok(Vec::new()) };
    let default = |source: &str| {
        if group == "configs" { format!("/{source}") } else { format!("/run/secrets/{source}") }
    };
    items(node, &path)?
        .iter()
        .map(|item| {
            let Value::Map(_) = item.value else {
                let source = text(item, &path)?;
                let target = default(&source);
                return Ok(ContentMount {
                    source,
                    target,
                    uid: 0,
                    gid: 0,
                    mode: 0o444,
                    mark: item.mark.clone(),
                });
            };
            let mut inner = Fields::new(item, path.clone())?;
            let source = inner.text("source")?.ok_or_else(|| wanted(item, &path, "a source"))?;
            let target = inner.text("target")?.unwrap_or_else(|| default(&source));
            let target = if target.starts_with('/') { target } else { default(&target) };
            let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
            let mount = ContentMount {
                source,
                target,
                uid: number(inner.whole("uid")?).unwrap_or(0),
                gid: number(inner.whole("gid")?).unwrap_or(0),
                mode: match inner.take("mode") {
                    None => 0o444,
                    Some(mode) => match mode.typed() {
                        Typed::Text(octal) => {
                            u32::from_str_radix(octal.trim_start_matches("0o"), 8)
                                .map_err(|_| wanted(mode, &path, "permission bits such as 0444"))?
                        }
                        _ => u32::try_from(whole(mode, &path)?)
                            .map_err(|_| wanted(mode, &path, "permission bits"))?,
                    },
                },
                mark: item.mark.clone(),
            };
            inner.finish(&[])?;
            Ok(mount)
        })
        .collect()
}
