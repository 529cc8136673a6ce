//! The one client of the stack's backends: whoever asks a server over HTTP, or has it reload, does it
//! with this. How a server is reached, whom it has to prove itself to and who asks it is its
//! [`Access`].

mod access;
mod kept;

pub use access::{Access, Login, Scheme};
pub use kept::Kept;

use crate::process::failure::Advice;
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use std::time::Duration;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a server may take to reload.
const RELOAD: Duration = Duration::from_secs(10);

/// What becomes of an answer that leads elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    Followed,
    /// It is the answer.
    Told,
}

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    base: Url,
    prefix: String,
    http: reqwest::Client,
    sent: Sent,
    headers: Vec<(String, String)>,
}

/// What each request is sent with.
#[derive(Clone)]
enum Sent {
    Nothing,
    Basic { user: String, password: Option<String> },
    Bearer { token: String },
}

impl Client {
    /// A client for this access. Bounds of requests are the caller's.
    ///
    /// # Errors
    /// A file that it needs can't be read or holds something else, or a variable is not set.
    pub fn new(access: &Access, redirects: Redirects) -> Result<Client, Advice> {
        let mut http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT);
        if redirects == Redirects::Told {
            http = http.redirect(Policy::none());
        }
        if let (Scheme::Https, host) = (access.scheme, &access.host) {
            http = http.tls_certs_only(access.authorities()?);
            // It is asked by its own name, which its certificate has to be for.
            http = http.resolve(host, ([127, 0, 0, 1], access.port).into());
        }
        let sent = match (&access.login, access.login.secret()?) {
            (Login::Basic { user, .. }, password) => Sent::Basic { user: user.clone(), password },
            (Login::Bearer { .. }, Some(token)) => Sent::Bearer { token },
            (Login::None | Login::Bearer { .. }, _) => Sent::Nothing,
        };
        let http = http.build().map_err(|e| format!("no client can be made: {}", innermost(&e)))?;
        let base = access.base()?;
        Ok(Client { base, prefix: access.prefix.clone(), http, sent, headers: Vec::new() })
    }

    /// With these headers on each request.
    pub fn with(self, headers: Vec<(String, String)>) -> Client {
        Client { headers, ..self }
    }

    /// Where a path leads; it may have a query.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        url.set_path(&format!("{}{path}", self.prefix));
        if !query.is_empty() {
            url.set_query(Some(query));
        }
        url
    }

    /// A request to a path, which may have a query, with more parameters.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> RequestBuilder {
        let mut url = self.url(path);
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let request =
            self.headers.iter().fold(self.http.request(method, url), |request, (name, value)| {
                request.header(name, value)
            });
        match &self.sent {
            Sent::Nothing => request,
            Sent::Basic { user, password } => request.basic_auth(user, password.as_ref()),
            Sent::Bearer { token } => request.bearer_auth(token),
        }
    }

    /// Has the server reload its configuration, by a path, and gives the status and body of its
    /// answer.
    pub async fn reload(&self, path: &str) -> reqwest::Result<(StatusCode, String)> {
        let answer = self.request(Method::POST, path, &[]).timeout(RELOAD).send().await?;
        Ok((answer.status(), answer.text().await.unwrap_or_default()))
    }

    /// Parameters as the body of a form.
    pub fn form(&self, parameters: &[(&str, &str)]) -> String {
        let mut form = self.base.clone();
        form.query_pairs_mut().extend_pairs(parameters);
        form.query().unwrap_or_default().to_owned()
    }
}

/// The innermost reason of a failed request: the outer ones only repeat the address.
pub fn innermost(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(deeper) = inner.source() {
        inner = deeper;
    }
    inner.to_string()
}

/// Whether nobody listens there. A server that does not prove itself fails to connect as well, and
/// is there.
pub fn is_refused(error: &reqwest::Error) -> bool {
    let mut inner: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = inner {
        let refused = std::io::ErrorKind::ConnectionRefused;
        if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == refused) {
            return true;
        }
        inner = error.source();
    }
    false
}

#[cfg(test)]
pub(crate) mod tests;
