//! Data sources from provisioning files.

use super::{Place, listed};
use crate::dashboards::DataSource;
use config::yaml::{ConfigError, Mark, Node, Typed};
use reqwest::Url;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A data source with what it takes to ask it.
#[derive(Debug, Clone, PartialEq)]
pub struct Provisioned {
    /// As dashboards refer to it.
    pub source: DataSource,
    /// Where it is, inside the stack's network; none if it has no URL.
    pub address: Option<Address>,
    /// User and password.
    pub login: Option<Login>,
    /// Headers that each request carries.
    pub headers: Vec<Header>,
    /// Where its URL stands, or it itself.
    pub mark: Mark,
}

/// An address inside the stack's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host, in lower case.
    pub host: String,
    pub port: u16,
    /// What stands before each path: empty, or with a slash at its end.
    pub prefix: String,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// User and password for basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: Option<String>,
}

/// A header, whose value may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: String,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Header({}: …)", self.name)
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(…)")
    }
}

/// Reads the data sources of a file.
pub(super) fn read(
    file: &Node,
    place: &Place,
    into: &mut Vec<Provisioned>,
) -> Result<(), ConfigError> {
    for node in listed(file, "datasources")? {
        let new = source(node, place)?;
        if let Some(same) =
            into.iter().find(|s| s.source.uid == new.source.uid || s.source.name == new.source.name)
        {
            let word = if same.source.name == new.source.name {
                &new.source.name
            } else {
                &new.source.uid
            };
            return Err(ConfigError::at(
                &node.mark,
                format!(
                    "data source {word} stands at {}:{} too",
                    same.mark.file.display(),
                    same.mark.line
                ),
                "give each a name and a uid of its own",
            ));
        }
        into.push(new);
    }
    Ok(())
}

fn source(node: &Node, place: &Place) -> Result<Provisioned, ConfigError> {
    let text = |node: &Node, key: &str| {
        node.get(key).filter(|n| !n.is_null()).map(|n| place.filled(n)).transpose()
    };
    let wanted = |key: &str| -> Result<String, ConfigError> {
        let found = text(node, key)?.filter(|t| !t.is_empty());
        found.ok_or_else(|| {
            ConfigError::at(
                &node.mark,
                format!("a data source without `{key}`"),
                format!("add `{key}:`"),
            )
        })
    };
    let (name, kind) = (wanted("name")?, wanted("type")?);
    let uid = text(node, "uid")?.filter(|u| !u.is_empty()).unwrap_or_else(|| uid_of(&name));
    let mut json_data =
        node.get("jsonData").map(|n| json(n, place)).transpose()?.unwrap_or_default();
    // Before it had a setting of its own, the index was the database.
    if let (true, Some(database)) =
        (json_data["index"].is_null(), text(node, "database")?.filter(|d| !d.is_empty()))
    {
        if !json_data.is_object() {
            json_data = serde_json::json!({});
        }
        json_data["index"] = database.into();
    }
    let is_default = node.get("isDefault").is_some_and(|n| n.typed() == Typed::Bool(true));
    let url = node.get("url").filter(|n| !n.is_null());
    let mark = url.unwrap_or(node).mark.clone();
    let (address, in_url) =
        match url.map(|n| place.filled(n)).transpose()?.filter(|u| !u.is_empty()) {
            Some(url) => {
                address(&url).map(|(address, login)| (Some(address), login)).ok_or_else(|| {
                    ConfigError::at(
                        &mark,
                        format!("data source {name}: its url has no host that is known"),
                        "write it as http://service:port",
                    )
                })?
            }
            None => (None, None),
        };
    let secret = |key: &str| {
        node.get("secureJsonData").map(|n| text(n, key)).transpose().map(Option::flatten)
    };
    let login = match node.get("basicAuth").is_some_and(|n| n.typed() == Typed::Bool(true)) {
        true => {
            let password = secret("basicAuthPassword")?
                .map_or_else(|| text(node, "basicAuthPassword"), |s| Ok(Some(s)))?;
            Some(Login { user: text(node, "basicAuthUser")?.unwrap_or_default(), password })
        }
        false => in_url,
    };
    let mut headers = Vec::new();
    for at in 1.. {
        let Some(name) = json_data[format!("httpHeaderName{at}")].as_str().map(str::to_owned)
        else {
            break;
        };
        headers.push(Header {
            name,
            value: secret(&format!("httpHeaderValue{at}"))?.unwrap_or_default(),
        });
    }
    Ok(Provisioned {
        source: DataSource { uid, name, r#type: kind, is_default, json_data },
        address,
        login,
        headers,
        mark,
    })
}

/// The uid that Grafana gives a data source whose file states none.
fn uid_of(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(8).fold("P".to_owned(), |uid, byte| format!("{uid}{byte:02X}"))
}

/// Where a URL leads, and as whom.
fn address(url: &str) -> Option<(Address, Option<Login>)> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let url = Url::parse(&url).ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    let prefix = url.path().trim_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let login = Some(url.username()).filter(|user| !user.is_empty());
    let login = login
        .map(|user| Login { user: user.to_owned(), password: url.password().map(str::to_owned) });
    Some((
        Address { host, port: url.port_or_known_default()?, prefix, tls: url.scheme() == "https" },
        login,
    ))
}

fn json(node: &Node, place: &Place) -> Result<Value, ConfigError> {
    Ok(match node.typed() {
        Typed::Null => Value::Null,
        Typed::Bool(b) => b.into(),
        Typed::Int(i) => i.into(),
        Typed::Float(f) => f.into(),
        Typed::Text(_) => place.filled(node)?.into(),
        Typed::List(items) => {
            Value::Array(items.iter().map(|n| json(n, place)).collect::<Result<_, _>>()?)
        }
        Typed::Map(entries) => {
            let fields = entries.iter().map(|(key, n)| Ok((key.name.clone(), json(n, place)?)));
            Value::Object(fields.collect::<Result<_, ConfigError>>()?)
        }
    })
}
