//! Text from outside is text in every format.

use belay_report::{html, markdown, report};

use crate::story::{HOSTILE, over};

#[test]
fn text_from_outside_is_no_markup_and_moves_nothing() {
    let story = over();
    assert!(story.stage.journal.iter().any(|record| format!("{:?}", record.event).contains("<script>")), "{HOSTILE}");
    let report = report(&story.stage.journal, &story.run).unwrap().unwrap();
    let (page, text, data) = (html(&report), markdown(&report), serde_json::to_string(&report).unwrap());
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    assert!(!text.contains("](https://") && text.contains(r"\<script>alert(1)\</script> \| \[x\](https\:"), "{text}");
    for rendered in [&page, &text, &data] {
        assert!(!rendered.contains(['\u{1b}', '\u{202e}']), "{rendered}");
        assert!(rendered.contains("␛[31m") || rendered.contains(r"␛\[31m"), "{rendered}");
    }
}

#[test]
fn a_page_asks_for_nothing_and_runs_nothing() {
    let story = over();
    let page = html(&report(&story.stage.journal, &story.run).unwrap().unwrap());
    for part in
        ["<script", "<link", "<img", "<iframe", "<form", "<a ", "src=", "url(", "@import", "onload", "javascript:"]
    {
        assert!(!page.contains(part), "{part}");
    }
    // Every tag that is opened is closed.
    for tag in ["table", "tr", "td", "ul", "li", "section", "dl", "svg", "text", "span"] {
        let (opened, closed) = (
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count(),
            page.matches(&format!("</{tag}>")).count(),
        );
        assert_eq!(opened, closed, "{tag}");
    }
}
