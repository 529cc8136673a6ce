//! Reads the alerts out of a mail.

use super::text;
use mail_parser::MessageParser;
use verdict::history::alert::NotifiedAlert;

/// The alerts of a mail as Alertmanager writes it; the error says what can't be understood.
pub(crate) fn read(message: &[u8]) -> Result<Vec<NotifiedAlert>, String> {
    let mail = MessageParser::default().parse(message).ok_or("it is no mail: no headers")?;
    let subject = mail.subject().and_then(text::subject);
    let resolved = subject.as_ref().is_some_and(|s| s.resolved);
    let mut alerts = Vec::new();
    for part in mail.text_bodies().chain(mail.html_bodies()) {
        let body = part.text_contents().unwrap_or_default();
        alerts = if part.is_text_html() {
            text::alerts(&lines_of(body), resolved)
        } else {
            text::alerts(body, resolved)
        };
        alerts.retain(|a| a.labels.contains_key("alertname"));
        if !alerts.is_empty() {
            break;
        }
    }
    if alerts.is_empty()
        && let Some(name) = subject.and_then(|s| s.name)
    {
        alerts.push(NotifiedAlert { resolved, labels: [("alertname".to_owned(), name)].into() });
    }
    if alerts.is_empty() { Err("no alert could be recovered from it".into()) } else { Ok(alerts) }
}

/// HTML as lines of text: each tag that ends a line does, other tags vanish.
fn lines_of(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start].replace(['\n', '\r'], " "));
        let Some(end) = rest[start..].find('>') else { break };
        let tag = rest[start + 1..start + end].trim_start_matches('/');
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        if !["a", "b", "i", "em", "span", "font", "code"]
            .contains(&name.to_ascii_lowercase().as_str())
        {
            text.push('\n');
        }
        rest = &rest[start + end + 1..];
    }
    text.push_str(rest);
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#43;", "+"),
        ("&nbsp;", " "),
    ];
    entities.iter().fold(text, |text, (entity, is)| text.replace(entity, is)).replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTML: &str = "Subject: [FIRING:1] PostfixDown postfix (critical mail)\r\nTo: mail-team@ops.test\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n\
        <html><head><style>a { x: y }</style></head><body><table><tr><td><strong>[1] Firing</strong></td></tr><tr><td>\r\n\
        <strong>Labels</strong><br />\r\nalertname = PostfixDown<br />\r\ninstance = a&#43;b<br />\r\n<strong>Annotations</strong><br />\r\n\
        summary = Postfix is down<br />\r\n<a href=\"http://p\">Source</a><br />\r\n</td></tr><tr><td><strong>[1] Resolved</strong></td></tr>\
        <tr><td><strong>Labels</strong><br />alertname = Other<br /></td></tr></table></body></html>\r\n--b--\r\n";

    #[test]
    fn reads_alertmanagers_html() {
        let alerts = read(HTML.as_bytes()).unwrap();
        let seen: Vec<_> =
            alerts.iter().map(|a| (a.resolved, a.labels["alertname"].as_str())).collect();
        assert_eq!(seen, [(false, "PostfixDown"), (true, "Other")]);
        assert_eq!(alerts[0].labels["instance"], "a+b");
        assert_eq!(alerts[0].labels.len(), 2);
    }

    #[test]
    fn a_plain_text_body_and_a_bare_subject() {
        let plain = "Subject: [RESOLVED] A\r\n\r\nAlerts Resolved:\r\nLabels:\r\n - alertname = A\r\n - severity = warning\r\n";
        let alerts = read(plain.as_bytes()).unwrap();
        assert!(alerts[0].resolved && alerts[0].labels["severity"] == "warning");
        let bare = read(b"Subject: [FIRING:1] OnlyName x\r\n\r\nsee the page\r\n").unwrap();
        assert_eq!(bare[0].labels["alertname"], "OnlyName");
        assert!(read(b"Subject: lunch?\r\n\r\nat one\r\n").is_err());
    }
}
