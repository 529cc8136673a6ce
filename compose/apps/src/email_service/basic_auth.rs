//! Who asks: HTTP Basic, user names are full addresses.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::settings::Accounts;

/// The account, if its address and password are right.
pub(super) fn authenticate(accounts: &Accounts, headers: &HeaderMap) -> Option<String> {
    let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(BASE64.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = credentials.split_once(':')?;
    let user = accounts.find(user)?;
    same(password.as_bytes(), accounts.mail_password.as_bytes()).then_some(user)
}

/// Compares without telling by its duration where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn asked(header: &str) -> Option<String> {
        let accounts =
            Accounts { mail_domain: "mail.test".into(), mail_password: "pass:word".into() };
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        authenticate(&accounts, &headers)
    }

    #[test]
    fn only_the_right_password_of_an_account_is_let_in() {
        let basic = |text: &str| format!("Basic {}", BASE64.encode(text));
        assert_eq!(asked(&basic("alice@mail.test:pass:word")).as_deref(), Some("alice@mail.test"));
        assert_eq!(
            asked(&basic("alice@mail.test:pass:word").replace("Basic", "basic")).as_deref(),
            Some("alice@mail.test")
        );
        for text in [
            "alice@mail.test:wrong",
            "alice@mail.test:",
            "alice@mail.test",
            "alice:pass:word",
            "mallory@mail.test:pass:word",
        ] {
            assert_eq!(asked(&basic(text)), None, "{text:?}");
        }
        assert_eq!(asked("Bearer x"), None);
        assert_eq!(asked("Basic !"), None);
        assert_eq!(
            authenticate(
                &Accounts { mail_domain: "a".into(), mail_password: "b".into() },
                &HeaderMap::new()
            ),
            None
        );
    }
}
