//! Whether it makes sense how a server is to be asked.

use super::Checked;
use crate::backend::{Access, Client, Login, Redirects, Scheme};
use crate::declaration::{GRAFANA_FILES, Role};
use crate::stack::Stack;
use std::path::Path;

impl Stack {
    /// How the server of a role is to be asked: `path` is the role's place.
    pub(super) fn access(&self, path: &[&str], role: &Role) -> Checked {
        let refuse = |key: &str, what: String, hint: &str| {
            let below: Vec<&str> = path.iter().copied().chain(key.split('.')).collect();
            Err(self.error(&below, format!("{}.{key}: {what}", path.join(".")), hint))
        };
        if role.kind == GRAFANA_FILES {
            return asked_by_nobody(role, &refuse);
        }
        tls(role, &refuse)?;
        address(role, &refuse)?;
        login(role, &refuse)?;
        self.certificate(role, &refuse)?;
        self.files_of_access(role, &refuse)
    }

    /// A certificate is put where nothing is mounted: what is mounted may be the owner's.
    fn certificate(&self, role: &Role, refuse: &impl Fn(&str, String, &str) -> Checked) -> Checked {
        let Some(certificate) = &role.certificate else { return Ok(()) };
        let files = [
            ("certificate.cert_file", &certificate.cert_file),
            ("certificate.key_file", &certificate.key_file),
        ];
        let service = self.project.services.get(&role.service);
        for (key, file) in files {
            if !file.starts_with('/') || file.ends_with('/') {
                return refuse(
                    key,
                    format!("seen `{file}`, wanted a file inside the container"),
                    "write its whole path, as /etc/firedrill/cert.pem",
                );
            }
            let mounts = service.iter().flat_map(|service| &service.volumes);
            let mut targets = mounts.map(|volume| volume.target.as_str());
            if let Some(target) = targets.find(|target| Path::new(file).starts_with(target)) {
                return refuse(
                    key,
                    format!("{file} is in what {} mounts at {target}", role.service),
                    "name a place where nothing is mounted, as /etc/firedrill/cert.pem",
                );
            }
        }
        if certificate.cert_file == certificate.key_file {
            return refuse(
                "certificate.key_file",
                "the certificate is to be there".into(),
                "name another file",
            );
        }
        Ok(())
    }

    /// The files that it takes to ask a server must be there.
    fn files_of_access(
        &self,
        role: &Role,
        refuse: &impl Fn(&str, String, &str) -> Checked,
    ) -> Checked {
        let access = role.access(role.port, &self.folder, Path::new(""));
        if role.ca_file.is_some() {
            let anybody = Access { login: Login::None, ..access.clone() };
            if let Err(why) = Client::new(&anybody, Redirects::Told) {
                return refuse(
                    "ca_file",
                    why.what,
                    "name a file with the certificate of its authority (PEM), relative to firedrill.yaml",
                );
            }
        }
        for (key, file) in
            [("password_file", &role.password_file), ("token_file", &role.token_file)]
        {
            if file.is_none() {
                continue;
            }
            if let Err(why) = access.login.secret() {
                return refuse(
                    key,
                    why.what,
                    "name a file that holds it and nothing else, relative to firedrill.yaml",
                );
            }
        }
        Ok(())
    }

    /// Whether all that the declared logins are kept in is there, variables too: whoever only reads
    /// a stack needs none.
    ///
    /// # Errors
    /// One is missing.
    pub fn logins_are_there(&self) -> Checked {
        for (name, stated) in self.declaration.roles.stated() {
            for (at, role) in stated.iter().enumerate() {
                let access = role.access(role.port, &self.folder, Path::new(""));
                let Err(why) = access.login.secret() else { continue };
                let key = if role.token_env.is_some() { "token_env" } else { "password_env" };
                let at = at.to_string();
                let path: Vec<&str> = ["roles", name]
                    .into_iter()
                    .chain((stated.len() > 1).then_some(at.as_str()))
                    .chain([key])
                    .collect();
                let what = format!("{}: {}", path.join("."), why.what);
                return Err(self.error(&path, what, why.hints.join("; ")));
            }
        }
        Ok(())
    }
}

/// A key, and whether it is stated.
type Stated = (&'static str, bool);

fn of_tls(role: &Role) -> [Stated; 3] {
    [
        ("ca_file", role.ca_file.is_some()),
        ("certificate", role.certificate.is_some()),
        ("server_name", role.server_name.is_some()),
    ]
}

fn passwords(role: &Role) -> [Stated; 3] {
    [
        ("password", role.password.is_some()),
        ("password_file", role.password_file.is_some()),
        ("password_env", role.password_env.is_some()),
    ]
}

fn tokens(role: &Role) -> [Stated; 3] {
    [
        ("token", role.token.is_some()),
        ("token_file", role.token_file.is_some()),
        ("token_env", role.token_env.is_some()),
    ]
}

fn first(of: &[Stated]) -> Option<&'static str> {
    of.iter().find(|(_, is)| *is).map(|(key, _)| *key)
}

fn asked_by_nobody(role: &Role, refuse: &impl Fn(&str, String, &str) -> Checked) -> Checked {
    let others =
        [("scheme", role.scheme == Scheme::Https), ("path_prefix", role.path_prefix.is_some())];
    let stated = [&others[..], &of_tls(role), &passwords(role), &tokens(role)].concat();
    first(&stated)
        .map_or(Ok(()), |key| refuse(key, "files are asked by nobody".into(), "remove it"))
}

fn tls(role: &Role, refuse: &impl Fn(&str, String, &str) -> Checked) -> Checked {
    let https = role.scheme == Scheme::Https;
    if let Some(key) = first(&of_tls(role)).filter(|_| !https) {
        return refuse(key, "is of https".into(), "add `scheme: https`, or remove it");
    }
    match (&role.ca_file, &role.certificate) {
        (None, None) if https => refuse(
            "scheme",
            "https, and nobody vouches for the server".into(),
            "name the file with its authority's certificate as `ca_file`, or `certificate` for one that the run issues",
        ),
        (Some(_), Some(_)) => {
            refuse("certificate", "the server has another by `ca_file`".into(), "state one of them")
        }
        _ => Ok(()),
    }
}

fn address(role: &Role, refuse: &impl Fn(&str, String, &str) -> Checked) -> Checked {
    if let Some(name) = role.server_name.as_ref().filter(|name| !is_host_name(name)) {
        return refuse(
            "server_name",
            format!("seen `{name}`, wanted a host name"),
            "write the name that its certificate is for, without scheme and port",
        );
    }
    if let Some(prefix) = role.path_prefix.as_ref().filter(|prefix| !is_prefix(prefix)) {
        return refuse(
            "path_prefix",
            format!("seen `{prefix}`, wanted a path"),
            "write it as /prometheus, as it stands behind the port",
        );
    }
    Ok(())
}

fn login(role: &Role, refuse: &impl Fn(&str, String, &str) -> Checked) -> Checked {
    let (passwords, tokens) = (passwords(role), tokens(role));
    for of in [&passwords, &tokens] {
        let mut stated = of.iter().filter(|(_, is)| *is).map(|(key, _)| *key);
        if let (Some(one), Some(other)) = (stated.next(), stated.next()) {
            return refuse(other, format!("`{one}` states it too"), "state one of them");
        }
    }
    match (first(&tokens), first(&passwords), &role.user) {
        (Some(token), Some(other), _) => {
            return refuse(
                other,
                format!("it is asked by `{token}`"),
                "state a token, or user and password",
            );
        }
        (Some(token), None, Some(_)) => {
            return refuse(
                "user",
                format!("it is asked by `{token}`"),
                "state a token, or user and password",
            );
        }
        (None, Some(password), None) => {
            return refuse(password, "`user` is missing".into(), "add `user:`, or state a token");
        }
        _ => {}
    }
    for (key, name) in [("password_env", &role.password_env), ("token_env", &role.token_env)] {
        if let Some(name) = name.as_ref().filter(|name| !is_variable(name)) {
            return refuse(
                key,
                format!("seen `{name}`, wanted the name of a variable"),
                "write it as MONITORING_PASSWORD, without $",
            );
        }
    }
    Ok(())
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    name.split('.').all(label) && name.parse::<std::net::IpAddr>().is_err()
}

fn is_prefix(prefix: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\');
    prefix.starts_with('/') && prefix.chars().all(plain) && !prefix.contains("//")
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
