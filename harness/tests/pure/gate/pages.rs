//! What every page keeps to: readable without network, without eyes and without colours.

use regex::Regex;
use std::path::Path;

fn all<'a>(page: &'a str, pattern: &str) -> Vec<&'a str> {
    Regex::new(pattern).expect("a pattern").find_iter(page).map(|m| m.as_str()).collect()
}

/// Asserts it.
pub fn is_readable(page: &str) {
    for foreign in ["src=", "<link", "@import", "url(", "<script", "NaN", "&lt;svg"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for address in all(page, r#"https?://[^\s"'<)]+"#) {
        // The name of the language is no address, and a target that was loaded is text.
        assert!(
            address == "http://www.w3.org/2000/svg" || !page.contains(&format!("=\"{address}")),
            "{address}"
        );
    }
    assert!(
        page.contains("<html lang=\"en\">")
            && page.contains("prefers-color-scheme")
            && page.contains("<main>")
    );
    assert_eq!(all(page, "<h1").len(), 1, "one heading of the page");
    for table in all(page, "<table>(?s:.*?)</table>") {
        assert!(table.contains("<th scope="), "a table without headings: {table}");
        assert_eq!(
            all(table, "<th[ >]").len(),
            all(table, "<th scope=").len(),
            "a heading of nothing: {table}"
        );
    }
    for picture in all(page, "<svg(?s:.*?)</svg>") {
        let named = picture.contains("role=\"img\"")
            && (picture.contains("<desc") || picture.contains("aria-label=\""));
        // Those of a key are shown beside their words, which are read instead.
        assert!(named || picture.len() < 200, "a picture without words: {}", &picture[..200]);
    }
    let ids = all(page, r#" id="[^"]+""#);
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "an id that is there twice: {ids:?}");
}

/// Asserts that what a page leads to is there.
pub fn links_lead_somewhere(page: &str, folder: &Path) {
    let links = all(page, r#"href="[^"]+""#);
    assert!(!links.is_empty());
    for link in links {
        let to = link.trim_start_matches("href=\"").trim_end_matches('"').replace("&#x2f;", "/");
        assert!(folder.join(&to).is_file(), "{to} is not there");
    }
}
