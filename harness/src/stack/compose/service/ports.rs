//! Published ports, in short and long form.

use crate::stack::compose::fields::{Fields, items, port, text, wanted};
use crate::stack::compose::model::Port;
use config::yaml::{ConfigError, Mark, Value};

pub(super) fn read(fields: &mut Fields, path: &str) -> Result<Vec<Port>, ConfigError> {
    let path = format!("{path}.ports");
    let Some(node) = fields.take("ports") else { return Ok(Vec::new()) };
    let mut ports = Vec::new();
    for item in items(node, &path)? {
        if let Value::Map(_) = item.value {
            let mut inner = Fields::new(item, path.clone())?;
            for ignored in ["mode", "name", "app_protocol"] {
                inner.take(ignored);
            }
            let target = inner.text("target")?.ok_or_else(|| wanted(item, &path, "a target"))?;
            let published = inner.text("published")?;
            let host_ip = inner.text("host_ip")?;
            let protocol = inner.text("protocol")?.unwrap_or_else(|| "tcp".into());
            inner.finish(&[])?;
            let range = |text: &str| range(text, &item.mark, &path);
            push_ports(
                &mut ports,
                range(&target)?,
                published.as_deref().map(range).transpose()?,
                host_ip,
                &protocol,
                &item.mark,
                &path,
            )?;
        } else {
            let all = text(item, &path)?;
            let (spec, protocol) = all.split_once('/').unwrap_or((&all, "tcp"));
            let mut parts: Vec<&str> = spec.rsplitn(3, ':').collect();
            parts.reverse();
            let (host_ip, host, container) = match parts.as_slice() {
                [container] => (None, None, *container),
                [host, container] => (None, Some(*host), *container),
                [ip, host, container] => {
                    (Some(*ip), Some(*host).filter(|host| !host.is_empty()), *container)
                }
                _ => return Err(wanted(item, &path, "[address:][host port:]port")),
            };
            let range = |text: &str| range(text, &item.mark, &path);
            let host_ip = host_ip.map(|ip| ip.trim_matches(['[', ']']).to_owned());
            push_ports(
                &mut ports,
                range(container)?,
                host.map(range).transpose()?,
                host_ip,
                protocol,
                &item.mark,
                &path,
            )?;
        }
    }
    Ok(ports)
}

fn range(text: &str, mark: &Mark, path: &str) -> Result<Vec<u16>, ConfigError> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (port(from, mark, path)?, port(to, mark, path)?);
    if from > to {
        return Err(ConfigError::at(
            mark,
            format!("{path}: `{text}` runs backwards"),
            "write the smaller port first",
        ));
    }
    Ok((from..=to).collect())
}

fn push_ports(
    ports: &mut Vec<Port>,
    container: Vec<u16>,
    host: Option<Vec<u16>>,
    host_ip: Option<String>,
    protocol: &str,
    mark: &Mark,
    path: &str,
) -> Result<(), ConfigError> {
    let udp = match protocol {
        "tcp" => false,
        "udp" => true,
        other => {
            return Err(ConfigError::at(
                mark,
                format!("{path}: seen protocol `{other}`, wanted tcp or udp"),
                "write \"8080:80/udp\", or leave it out for tcp",
            ));
        }
    };
    if let Some(host) = &host
        && host.len() != container.len()
    {
        return Err(ConfigError::at(
            mark,
            format!("{path}: the two ranges of ports differ in length"),
            "give both ranges the same number of ports",
        ));
    }
    for (at, inside) in container.into_iter().enumerate() {
        let host = host.as_ref().and_then(|host| host.get(at).copied());
        ports.push(Port {
            container: inside,
            host,
            host_ip: host_ip.clone(),
            udp,
            mark: mark.clone(),
        });
    }
    Ok(())
}
