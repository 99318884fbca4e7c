//! `/problems`: what each kind of problem means and what to do about it. `type` of a problem leads here.

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use pulldown_cmark::{Options, Parser};

use super::{body::At, kind::Kind, problem::Problem};

const TEXT: &str = include_str!("../../PROBLEMS.md");

/// Nothing of it runs, and nothing is fetched from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = "body{font:1rem/1.5 system-ui;max-width:44rem;margin:2rem auto;padding:0 1rem}\
                     td,th{text-align:left;padding-right:1rem}";

/// What kinds of problems there are
#[utoipa::path(get, path = "/problems", operation_id = "list_problems", responses((status = 200, description = "A page",
    content((String = "text/markdown"), (String = "text/html")))))]
pub(super) async fn all(headers: HeaderMap) -> Response {
    answer(&headers, "Problems", TEXT)
}

/// What a kind of problem means, and what to do about it
#[utoipa::path(get, path = "/problems/{kind}", operation_id = "show_problem", responses((status = 200,
    description = "A page", content((String = "text/markdown"), (String = "text/html")))))]
pub(super) async fn one(At(word): At<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let kind: Kind = word.parse().map_err(|_| {
        Problem::not_found(format!("there is no kind of problem {word}")).help("GET /problems tells of all")
    })?;
    let text = section(kind).unwrap_or(TEXT);
    Ok(answer(&headers, kind.title(), text))
}

/// What the page says of a kind, from its heading on.
fn section(kind: Kind) -> Option<&'static str> {
    let heading = format!("\n## {}\n", kind.word());
    let from = TEXT.find(&heading)? + 1;
    let rest = &TEXT[from..];
    Some(rest.split_once("\n## ").map_or(rest, |(section, _)| section))
}

/// HTML for browsers, Markdown for everybody else.
fn answer(headers: &HeaderMap, title: &str, markdown: &str) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accepts.contains("text/html") {
        return ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], markdown.to_owned()).into_response();
    }
    let mut body = String::new();
    pulldown_cmark::html::push_html(&mut body, Parser::new_ext(markdown, Options::ENABLE_TABLES));
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title} - Belay</title><style>{STYLE}</style>{body}</html>"
    );
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, page).into_response()
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn code_and_page_tell_of_the_same_problems() {
        let told: Vec<&str> = TEXT.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let known: Vec<&str> = Kind::VARIANTS.iter().map(|kind| kind.word()).collect();
        assert_eq!(told, known);
        for kind in Kind::VARIANTS {
            let section = section(*kind).unwrap();
            let line = format!("\n*{}. {}.*\n", kind.status().as_u16(), kind.title());
            assert!(section.contains(&line), "{} should say {line}", kind.word());
            assert!(section.contains("\n**What to do:** "), "{} does not say what to do", kind.word());
        }
    }
}
