//! `/v1/runs/{run}/report`

use axum::http::StatusCode;
use serde_json::json;

use crate::world::armed;

const REASON: &str = r#"{"reason": "<b>customers</b> cannot pay"}"#;

#[tokio::test(start_paused = true)]
async fn a_run_is_reported_in_each_format_while_it_goes_on_and_when_it_is_over() {
    let test = armed().await;
    let started = test.post("/v1/migrations/checkout/rollback", REASON).await.expect(StatusCode::ACCEPTED);
    let run = format!("/v1/runs/{}", started["run"].as_str().unwrap());
    test.until(&run, |run| run["steps"]["by_hand"]["phase"] == "awaiting_approval").await;
    let open = test.get(&format!("{run}/report")).await.expect(StatusCode::OK);
    assert_eq!((&open["over"], &open["state"], &open["run"]), (&json!(false), &json!("running"), &started["run"]));

    let body = r#"{"answer": "approve", "reason": "it is done"}"#;
    test.post(&format!("{run}/steps/by_hand/approve"), body).await.expect(StatusCode::OK);
    test.until(&run, |run| run["state"] == "rolled_back").await;
    let json = test.get(&format!("{run}/report?format=json")).await;
    assert_eq!(json.headers["content-type"], "application/json");
    assert!(!json.headers.contains_key("content-security-policy"));
    assert_eq!((&json.body["over"], &json.body["steps"][1]["phase"]), (&json!(true), &json!("done")));

    let markdown = test.get(&format!("{run}/report?format=md")).await;
    assert_eq!(markdown.headers["content-type"], "text/markdown; charset=utf-8");
    let text = markdown.expect(StatusCode::OK).as_str().unwrap().to_owned();
    assert!(text.starts_with("# Report of run ") && text.contains(r"\<b>customers\</b> cannot pay"), "{text}");

    let page = test.get(&format!("{run}/report?format=html")).await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
    assert_eq!(page.headers["content-security-policy"], policy);
    let text = page.expect(StatusCode::OK).as_str().unwrap().to_owned();
    assert!(text.starts_with("<!doctype html>") && text.contains("&lt;b&gt;customers&lt;&#x2f;b&gt;"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_has_nothing_to_measure_or_to_check() {
    let test = armed().await;
    let body = r#"{"reason": "rehearsal", "dry_run": true}"#;
    let started = test.post("/v1/migrations/checkout/rollback", body).await.expect(StatusCode::ACCEPTED);
    let report = format!("/v1/runs/{}/report", started["run"].as_str().unwrap());
    let found = test.get(&report).await.expect(StatusCode::OK);
    for part in ["measures", "goals", "checklist", "steps"] {
        assert_eq!(found[part], json!([]), "{part}");
    }
    assert!(found["summary"][0].as_str().unwrap().contains("it changed nothing"), "{:#}", found["summary"]);
    let text = test.get(&format!("{report}?format=md")).await.expect(StatusCode::OK);
    assert!(text.as_str().unwrap().contains("there is nothing to check"), "{text}");
    test.get(&format!("{report}?format=html")).await.expect(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_wrongly_is_refused() {
    let test = armed().await;
    let run = test.roll_back().await;
    let unknown = test.get("/v1/runs/000000000000/report").await.expect_problem(404, "not_found");
    assert_eq!(unknown["detail"], "there is no run 000000000000");
    let format = test.get(&format!("{run}/report?format=pdf")).await.expect_problem(422, "invalid_request");
    let detail = format["detail"].as_str().unwrap();
    assert!(detail.contains("pdf") && detail.contains("`html`"), "{detail}");
    test.get(&format!("{run}/report?as=html")).await.expect_problem(422, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn the_document_describes_the_report_in_each_format() {
    let test = armed().await;
    let document = test.get("/openapi.json").await.expect(StatusCode::OK);
    let get = &document["paths"]["/v1/runs/{run}/report"]["get"];
    let content = get["responses"]["200"]["content"].as_object().unwrap();
    let kinds: Vec<&str> = content.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["application/json", "text/markdown", "text/html"]);
    let schemas = &document["components"]["schemas"];
    assert_eq!(content["application/json"]["schema"]["$ref"], "#/components/schemas/RunReport");
    assert!(schemas["RunReport"]["properties"]["timeline"].is_object(), "{schemas:#}");
    assert_eq!(schemas["ReportText"]["type"], "string", "{:#}", schemas["ReportText"]);
    assert!(schemas["ReportText"]["pattern"].is_string(), "{:#}", schemas["ReportText"]);
    let format = get["parameters"].as_array().unwrap().iter().find(|parameter| parameter["name"] == "format").unwrap();
    assert_eq!(format["schema"]["enum"], json!(["json", "md", "html"]), "{format:#}");
}
