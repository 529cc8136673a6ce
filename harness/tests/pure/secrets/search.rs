//! The search for secrets in what was printed and written: as they are, in base64, in addresses, in
//! JSON and in markup.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

/// A secret's notations.
fn notations(secret: &str) -> Vec<(&'static str, String)> {
    let percent: String = secret
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
        })
        .collect();
    let json = serde_json::to_string(secret).expect("text");
    let html = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    let mut all = vec![
        ("as it is", secret.to_owned()),
        ("in an address", percent.replace("%2D", "-").replace("%5F", "_").replace("%2E", ".")),
        ("in an address", percent),
        ("in JSON", json[1..json.len() - 1].to_owned()),
        ("in markup", html),
    ];
    // What surrounds it decides how it lies: behind `user:` of three lengths.
    for before in ["", "a", "ab"] {
        let text = STANDARD.encode(format!("{before}{secret}"));
        let (from, to) = ((before.len() * 8).div_ceil(6), (before.len() + secret.len()) * 8 / 6);
        all.push(("in base64", text[from..to].to_owned()));
    }
    all.retain(|(_, text)| text.len() >= 6);
    all
}

/// Where a text shows one of these secrets: the line, and which it is.
pub fn shown<'s>(text: &str, secrets: impl IntoIterator<Item = &'s str>) -> Vec<String> {
    let mut found = Vec::new();
    for secret in secrets {
        for (how, notation) in notations(secret) {
            if let Some(at) = text.find(&notation) {
                let line = text[..at].matches('\n').count() + 1;
                let around: String =
                    text.lines().nth(line - 1).unwrap_or_default().chars().take(400).collect();
                found.push(format!("{secret} {how}, line {line}: {around}"));
                break;
            }
        }
    }
    found
}

/// The same for every file of a folder, whatever it is.
pub fn shown_below(folder: &Path, secrets: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(shown_below(&path, secrets));
        } else if let Ok(bytes) = std::fs::read(&path) {
            let here = shown(&String::from_utf8_lossy(&bytes), secrets.iter().copied());
            found.extend(here.into_iter().map(|what| format!("{}: {what}", path.display())));
        }
    }
    found
}

#[test]
fn a_secret_is_found_in_every_notation_and_nowhere_else() {
    let secret = "pa/ss+w<or>d&\"1";
    for text in [
        format!("x {secret} y"),
        STANDARD.encode(format!("user:{secret}@")),
        STANDARD.encode(format!("{secret}, and more")),
        "http://u:pa%2Fss%2Bw%3Cor%3Ed%26%221@h".to_owned(),
        serde_json::json!({ "a": secret }).to_string(),
        "<b>pa/ss+w&lt;or&gt;d&amp;&quot;1</b>".to_owned(),
    ] {
        assert_eq!(shown(&text, [secret]).len(), 1, "{text}");
    }
    assert_eq!(shown("pa/ss+w", [secret]), Vec::<String>::new());
}
