//! Page that renders the OpenAPI document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Renders `openapi.json` from beside it; loads nothing else.
const PAGE: &str = include_str!("docs.html");

/// Page and its `Content-Security-Policy`, which allows no other host, and no script or style but
/// its own.
pub(crate) fn page() -> (&'static str, String) {
    let hash = |tag| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inside(tag))));
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style"),
    );
    (PAGE, policy)
}

/// Returns the content of the page's only element of this name.
fn inside(tag: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("<{tag}>")).expect("the page has each");
    let (text, _) = rest.split_once(&format!("</{tag}>")).expect("the page closes each");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_policy_allows_its_own_script_and_style_only() {
        let (_, policy) = page();
        let sources = |directive: &str| {
            let found = policy.split("; ").find_map(|part| part.strip_prefix(directive));
            found.expect(directive).trim().to_owned()
        };
        assert_eq!(sources("default-src"), "'none'");
        assert_eq!(sources("connect-src"), "'self'");
        for (directive, tag) in [("script-src", "script"), ("style-src", "style")] {
            let hash = sources(directive);
            let hash = hash.strip_prefix("'sha256-").and_then(|hash| hash.strip_suffix('\''));
            let digest = STANDARD.decode(hash.expect("one hash")).unwrap();
            assert_eq!(digest, Sha256::digest(inside(tag)).as_slice());
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1, "another would be blocked");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    }

    #[test]
    fn docs_page_loads_nothing_from_other_hosts() {
        for word in
            ["http:", "https:", "\"//", "'//", "src=", "@import", "url(", "style=", "onclick="]
        {
            assert!(!PAGE.contains(word), "{word}");
        }
        let script = inside("script");
        for word in ["HTML", "document.write", "eval", "Function(", "setTimeout", ".href ="] {
            assert!(!script.contains(word), "{word}");
        }
    }

    #[test]
    fn docs_page_without_javascript_names_the_document() {
        let (before, _) = PAGE.split_once("<script>").unwrap();
        assert!(before.contains(r#"<a href="openapi.json">"#) && before.contains("<noscript>"));
    }
}
