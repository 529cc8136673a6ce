//! What a URL of a load names: a protocol, a place, and what of it.

use super::usage;
use crate::process::failure::Failure;

use hyper::http::uri::Authority;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Http,
    Smtp,
    Imap,
    OtlpGrpc,
    OtlpHttp,
    LinesTcp,
}

/// How it is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secured {
    No,
    Tls,
    StartTls,
}

/// Schemes: what is spoken, how it is secured, and at which port as a rule.
const SCHEMES: [(&str, Spoken, Secured, Option<u16>); 12] = [
    ("http", Spoken::Http, Secured::No, Some(80)),
    ("https", Spoken::Http, Secured::Tls, Some(443)),
    ("smtp", Spoken::Smtp, Secured::No, Some(25)),
    ("smtps", Spoken::Smtp, Secured::Tls, Some(465)),
    ("smtp+starttls", Spoken::Smtp, Secured::StartTls, Some(587)),
    ("imap", Spoken::Imap, Secured::No, Some(143)),
    ("imaps", Spoken::Imap, Secured::Tls, Some(993)),
    ("otlp+grpc", Spoken::OtlpGrpc, Secured::No, Some(4317)),
    ("otlp+grpcs", Spoken::OtlpGrpc, Secured::Tls, Some(4317)),
    ("otlp+http", Spoken::OtlpHttp, Secured::No, Some(4318)),
    ("otlp+https", Spoken::OtlpHttp, Secured::Tls, Some(4318)),
    ("lines+tcp", Spoken::LinesTcp, Secured::No, None),
];

/// The one scheme without a host.
const FILE: &str = "lines+file:";

/// What a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Place(Place),
    /// A file that lines are appended to.
    File(String),
}

/// Somewhere that can be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub spoken: Spoken,
    pub secured: Secured,
    /// As the URL has it.
    pub host: String,
    pub port: u16,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Path and query, at least `/`.
    pub path: String,
}

impl Place {
    /// `host:port`.
    pub fn at(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Takes a URL apart.
pub(super) fn named(url: &str) -> Result<Named, Failure> {
    let hinted = |why: &str, hint: &str| usage(format!("URL {:?} {why}", hidden(url))).hint(hint);
    let wrong = |why: &str| hinted(why, "as in --url http://127.0.0.1:8080/path");
    if let Some(path) = url.strip_prefix(FILE) {
        return if path.is_empty() {
            Err(wrong("names no file"))
        } else {
            Ok(Named::File(path.to_owned()))
        };
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
    let Some((_, spoken, secured, port)) =
        SCHEMES.iter().copied().find(|(name, ..)| *name == scheme)
    else {
        let known: Vec<&str> =
            SCHEMES.iter().map(|(name, ..)| *name).chain([FILE.trim_end_matches(':')]).collect();
        return Err(wrong(&format!(
            "has scheme {scheme}, of which nothing is known; there are {}",
            known.join(", ")
        )));
    };
    let (authority, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
    let (login, authority) =
        authority.rsplit_once('@').map_or((None, authority), |(login, at)| (Some(login), at));
    let authority: Authority =
        authority.parse().map_err(|e| wrong(&format!("can't be read: {e}")))?;
    if authority.host().is_empty() {
        return Err(wrong("names no host"));
    }
    let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
        Some(text) => {
            Some(text.parse().map_err(|_| wrong(&format!("has port {text:?}, which is none")))?)
        }
        None => port,
    };
    let port = port.filter(|p| *p > 0);
    let port = port.ok_or_else(|| {
        hinted("names no port", &format!("as in --url {scheme}://127.0.0.1:5170"))
    })?;
    if path.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Err(wrong("has a path with spaces, or a fragment"));
    }
    if path != "/" && matches!(spoken, Spoken::Smtp | Spoken::OtlpGrpc | Spoken::LinesTcp) {
        return Err(wrong(&format!("has a path, which {scheme} knows nothing of")));
    }
    let login = match login.map(|text| text.split_once(':').unwrap_or((text, ""))) {
        Some(_) if !matches!(spoken, Spoken::Smtp | Spoken::Imap) => {
            return Err(hinted("names a user", "with HTTP state --header \"Authorization: …\""));
        }
        Some((user, password)) => {
            let read = |text| {
                decoded(text).ok_or_else(|| {
                    hinted("has a user or password with a % that is no escape", "write it as %25")
                })
            };
            Some((read(user)?, read(password)?))
        }
        None if spoken == Spoken::Imap => {
            return Err(hinted(
                "names no user",
                "as in --url imap://alice:PASSWORD@127.0.0.1:143/INBOX",
            ));
        }
        None => None,
    };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Named::Place(Place {
        spoken,
        secured,
        host: authority.host().to_owned(),
        port,
        login,
        path,
    }))
}

/// A URL without its password.
fn hidden(url: &str) -> String {
    let secret = url.split_once("://").and_then(|(scheme, rest)| {
        let (login, place) = rest.rsplit_once('@')?;
        Some(format!("{scheme}://{}:…@{place}", login.split_once(':')?.0))
    });
    secret.unwrap_or_else(|| url.to_owned())
}

/// A text with `%41` and the like replaced by what they stand for.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place {
        match named(url) {
            Ok(Named::Place(place)) => place,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        let at = |url: &str| (place(url).at(), place(url).path);
        assert_eq!(
            at("http://127.0.0.1:8080/a?b={n}"),
            ("127.0.0.1:8080".into(), "/a?b={n}".into())
        );
        assert_eq!(at("http://localhost"), ("localhost:80".into(), "/".into()));
        assert_eq!(at("https://[::1]?q=1"), ("[::1]:443".into(), "/?q=1".into()));
        assert_eq!(at("otlp+grpc://127.0.0.1").0, "127.0.0.1:4317");
        let mailbox = place("imap://alice@mail.test:a%3Ab%40c@127.0.0.1/INBOX");
        assert_eq!(mailbox.login, Some(("alice@mail.test".into(), "a:b@c".into())));
        assert_eq!(
            (mailbox.spoken, mailbox.port, mailbox.path.as_str()),
            (Spoken::Imap, 143, "/INBOX")
        );
        let mail = place("smtp+starttls://localhost");
        assert_eq!((mail.secured, mail.port, mail.login), (Secured::StartTls, 587, None));
        assert_eq!(named("lines+file:/tmp/x.log").ok(), Some(Named::File("/tmp/x.log".into())));
    }

    #[test]
    fn what_can_not_be_driven_is_said() {
        let cases = [
            ("", "no scheme"),
            ("127.0.0.1:80", "no scheme"),
            ("ftp://127.0.0.1/", "scheme ftp"),
            ("http:///a", ""),
            ("http://u:p@127.0.0.1/", "names a user"),
            ("http://127.0.0.1/a b", "spaces"),
            ("imap://127.0.0.1/INBOX", "names no user"),
            ("imap://a:100%@127.0.0.1/", "no escape"),
            ("smtp://127.0.0.1/inbox", "has a path"),
            ("lines+tcp://127.0.0.1", "no port"),
            ("http://127.0.0.1:0/", "no port"),
            ("http://127.0.0.1:99999/", "port \"99999\""),
            ("https://[::1]:/", "port \"\""),
            ("lines+file:", "no file"),
        ];
        for (url, part) in cases {
            let error = named(url).expect_err(url).to_string();
            assert!(error.contains(part) && error.contains("hint:"), "{url}: {error}");
        }
        let error = named("imap://a:hush-hush@127.0.0.1:x/").expect_err("port").to_string();
        assert!(!error.contains("hush"), "{error}");
    }
}
