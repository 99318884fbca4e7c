//! `/v1/incidents/{incident}/evidence`

use axum::http::StatusCode;
use serde_json::json;

use crate::world::{CHECKOUT, Ground};

#[tokio::test(start_paused = true)]
async fn evidence_is_shown_with_the_sources_that_could_not_be_asked() {
    let plan =
        CHECKOUT.replace("triggers:\n", "evidence: { cloudtrail: 30m, xray: shop, devops_guru: true }\ntriggers:\n");
    let ground = Ground::new(&[("checkout.yaml", &plan)]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    test.ground.world.cut_over();
    let open = test.until("/v1/incidents", |list| !list["items"][0].is_null()).await;
    let id = open["items"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/incidents/{id}/evidence");
    let found = test.until(&path, |evidence| evidence["missing"] == json!([])).await;
    assert_eq!((&found["incident"], &found["migration"]), (&json!(id), &json!("checkout")));
    let nobody = json!(["there is nobody to ask here"]);
    let source = |source: &str| json!({ "source": source, "findings": [], "notes": nobody });
    let mut sources = found["sources"].as_array().expect("a list").clone();
    sources.sort_by_key(|one| one["source"].to_string());
    let expected = ["alarm_history", "cloudtrail", "cloudtrail_later", "devops_guru", "xray"].map(source);
    assert_eq!(sources, expected);
    test.get("/v1/incidents/nope/evidence").await.expect_problem(404, "not_found");
}
