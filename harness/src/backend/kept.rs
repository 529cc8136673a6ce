//! Where a secret is kept.

use crate::process::failure::Advice;
use crate::{secret, yaml};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A secret, by where it is kept: this may be written down, the secret not.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// All that is in a file, without blanks around it.
    File(PathBuf),
    /// The value of a variable of this process.
    Variable(String),
    /// Under a key of the role that a declaration states for a server.
    Declared {
        /// The declaration.
        file: PathBuf,
        service: String,
        /// Port inside the stack's network.
        port: u16,
        key: String,
        /// What stands there, where it was read already.
        #[serde(skip)]
        value: Option<String>,
    },
    /// Somewhere that can't be told; it is never written down.
    #[serde(skip)]
    Given(String),
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({self})")
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kept::File(file) => write!(f, "file {}", file.display()),
            Kept::Variable(name) => write!(f, "variable {name}"),
            Kept::Declared { file, service, key, .. } => {
                write!(f, "`{key}` of {service} in {}", file.display())
            }
            Kept::Given(_) => f.write_str("…"),
        }
    }
}

impl Kept {
    /// The secret, of a field of this name. Nobody is shown it from then on.
    ///
    /// # Errors
    /// It is not there.
    pub fn read(&self, field: &str) -> Result<String, Advice> {
        let missing = |what: String, hint: String| Advice::from(what).hint(hint);
        let value = match self {
            Kept::File(file) => {
                let text = std::fs::read_to_string(file).map_err(|e| {
                    missing(
                        format!("{field}: {}: {e}", file.display()),
                        "check the path and its permissions".into(),
                    )
                })?;
                text.trim().to_owned()
            }
            Kept::Variable(name) => std::env::var(name).map_err(|_| {
                missing(
                    format!("{field}: the variable {name} is not set"),
                    format!("export {name} with the {field}"),
                )
            })?,
            Kept::Declared { value: Some(value), .. } | Kept::Given(value) => value.clone(),
            Kept::Declared { file, service, port, key, value: None } => {
                declared(file, service, *port, key)?.ok_or_else(|| {
                    missing(
                        format!("{field}: there is no {self} any more"),
                        "state it there again".into(),
                    )
                })?
            }
        };
        if value.is_empty() && matches!(self, Kept::File(_) | Kept::Variable(_)) {
            return Err(missing(
                format!("{field}: nothing is in {self}"),
                format!("put the {field} there"),
            ));
        }
        secret::learn_value(field, &value);
        Ok(value)
    }
}

/// What a declaration states under a key of the role of a server.
fn declared(file: &Path, service: &str, port: u16, key: &str) -> Result<Option<String>, Advice> {
    let tree = yaml::tree(file, &yaml::text(file)?)?;
    let roles = tree.get("roles").map(|roles| roles.entries()).unwrap_or_default();
    let servers = roles.iter().flat_map(|(_, stated)| match stated.items() {
        [] => vec![stated],
        all => all.iter().collect(),
    });
    let text = |server: &config::yaml::Node, key: &str| {
        server.get(key).and_then(|node| node.text()).map(str::to_owned)
    };
    let same = |server: &&config::yaml::Node| {
        text(server, "service").as_deref() == Some(service)
            && text(server, "port").as_deref() == Some(&port.to_string())
    };
    let mut servers = servers;
    Ok(servers.find(same).and_then(|server| text(server, key)))
}
