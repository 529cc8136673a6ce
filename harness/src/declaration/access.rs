//! How the servers of roles are asked, by what the declaration states of them.

use super::Role;
use crate::backend::{Access, Kept, Login, Scheme};
use std::path::Path;

/// File that holds a declaration.
pub const DECLARATION: &str = "firedrill.yaml";

impl Role {
    /// How it is asked at this port of 127.0.0.1: its declaration and the files that that names are
    /// in `folder`, and the certificate of the run's authority is the file `authority`.
    pub fn access(&self, port: u16, folder: &Path, authority: &Path) -> Access {
        let stated = |key: &str, value: &Option<String>| {
            value.as_ref().map(|value| Kept::Declared {
                file: folder.join(DECLARATION),
                service: self.service.clone(),
                port: self.port,
                key: key.to_owned(),
                value: Some(value.clone()),
            })
        };
        let of_file = |file: &Option<String>| file.as_ref().map(|f| Kept::File(folder.join(f)));
        let variable = |name: &Option<String>| name.clone().map(Kept::Variable);
        let password = stated("password", &self.password)
            .or_else(|| of_file(&self.password_file))
            .or_else(|| variable(&self.password_env));
        let token = stated("token", &self.token)
            .or_else(|| of_file(&self.token_file))
            .or_else(|| variable(&self.token_env));
        let https = self.scheme == Scheme::Https;
        Access {
            scheme: self.scheme,
            host: self.server_name().to_ascii_lowercase(),
            port,
            prefix: self
                .path_prefix
                .as_deref()
                .unwrap_or_default()
                .trim_end_matches('/')
                .to_owned(),
            trusts: https.then(|| match &self.ca_file {
                Some(file) => folder.join(file),
                None => authority.to_owned(),
            }),
            login: match (token, &self.user) {
                (Some(token), _) => Login::Bearer { token },
                (None, Some(user)) => Login::Basic { user: user.clone(), password },
                (None, None) => Login::None,
            },
        }
    }

    /// How it is asked at this port of 127.0.0.1 where neither a folder nor an authority is known.
    pub fn access_at(&self, port: u16) -> Access {
        self.access(port, Path::new(""), Path::new(""))
    }

    /// The name that its certificate is for.
    pub fn server_name(&self) -> &str {
        self.server_name.as_deref().unwrap_or(&self.service)
    }
}
