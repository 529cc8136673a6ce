//! How a server is reached and asked.

use super::Kept;
use crate::process::failure::Advice;
use reqwest::{Certificate, Url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a server is reached and asked. It may be written down: of a login it then holds where it is
/// kept, and never what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Access {
    pub scheme: Scheme,
    /// With https, the name that its certificate has to be for.
    pub host: String,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// What stands before each path, without a slash at its end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// With https, the file with the certificates of the authorities that may vouch for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusts: Option<PathBuf>,
    /// As whom it is asked.
    #[serde(default, skip_serializing_if = "Login::is_none")]
    pub login: Login,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    #[default]
    Http,
    /// It has to prove itself by a certificate.
    Https,
}

/// As whom a server is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// As anybody.
    #[default]
    None,
    /// By basic authentication.
    Basic { user: String, password: Option<Kept> },
    /// By a bearer token.
    Bearer { token: Kept },
}

impl Login {
    /// What it is proved by, if it is.
    ///
    /// # Errors
    /// It is not where it is kept.
    pub fn secret(&self) -> Result<Option<String>, Advice> {
        match self {
            Login::None => Ok(None),
            Login::Basic { password, .. } => {
                password.as_ref().map(|kept| kept.read("password")).transpose()
            }
            Login::Bearer { token } => token.read("token").map(Some),
        }
    }

    fn is_none(&self) -> bool {
        *self == Login::None
    }
}

impl Access {
    /// Of whoever answers anybody over plain HTTP, on this port of 127.0.0.1.
    pub fn plain(port: u16) -> Access {
        Access {
            scheme: Scheme::Http,
            host: "127.0.0.1".into(),
            port,
            prefix: String::new(),
            trusts: None,
            login: Login::None,
        }
    }

    /// The same server for paths that are written whole.
    pub fn of_whole_paths(&self) -> Access {
        Access { prefix: String::new(), ..self.clone() }
    }

    /// Whether it takes no more than an address.
    pub fn is_plain(&self) -> bool {
        self.scheme == Scheme::Http && self.login.is_none()
    }

    /// Where it is, without a path. Over http it is at an address of this machine and nobody looks
    /// at its name.
    pub(super) fn base(&self) -> Result<Url, Advice> {
        let (scheme, host) = match self.scheme {
            Scheme::Http => ("http", "127.0.0.1"),
            Scheme::Https => ("https", self.host.as_str()),
        };
        Url::parse(&format!("{scheme}://{host}:{}/", self.port))
            .map_err(|e| format!("{host} is no host name: {e}").into())
    }

    /// The authorities that may vouch for it.
    pub(super) fn authorities(&self) -> Result<Vec<Certificate>, Advice> {
        let Some(file) = &self.trusts else {
            return Err(Advice::from(format!("nobody vouches for {}", self.host))
                .hint("name the file with its authority's certificate as `ca_file` of its role"));
        };
        let pem = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
        certificates(&pem).map_err(|what| format!("{}: {what}", file.display()).into())
    }
}

/// The certificates of a PEM file.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    match Certificate::from_pem_bundle(pem) {
        Ok(all) if all.is_empty() => Err("no certificate (PEM) is in it".into()),
        Ok(all) => Ok(all),
        Err(e) => Err(format!("it can't be read as certificates (PEM): {}", super::innermost(&e))),
    }
}
