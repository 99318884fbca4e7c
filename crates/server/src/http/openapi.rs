//! `/openapi.json`: what each handler says of itself, and what is true of all of them.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use strum::VariantArray;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        AllOfBuilder, Components, ContentBuilder, HeaderBuilder, Info, Object, ObjectBuilder, OpenApi, OpenApiBuilder,
        Ref, RefOr, Required, Response, ResponseBuilder, SecurityRequirement, Type,
        link::Link,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
        schema::SchemaType,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{idempotency, kind::Kind, problem::Document};

const SCHEME: &str = "token";

/// `open` is what everybody may ask, `guarded` what takes a token where the daemon has `tokens`.
pub(super) fn document(mut open: OpenApi, mut guarded: OpenApi, tokens: bool) -> OpenApi {
    each_operation(&mut guarded, |path, method, operation| {
        refusals(operation, &[StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE]);
        if tokens {
            refusals(operation, &[StatusCode::UNAUTHORIZED]);
            operation.security = Some(vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]);
        }
        if method == "post" {
            acts(operation);
        }
        operation.tags = path.split('/').nth(2).map(|tag| vec![tag.to_owned()]);
    });
    open.merge(guarded);
    each_operation(&mut open, |path, _, operation| {
        refusals(operation, &[StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, StatusCode::INTERNAL_SERVER_ERROR]);
        if operation.parameters.is_some() {
            refusals(operation, &[StatusCode::UNPROCESSABLE_ENTITY]);
        }
        if path == "/v1/events" {
            // Its query may name a migration that is not there, or a place in another journal.
            refusals(operation, &[StatusCode::NOT_FOUND, StatusCode::CONFLICT]);
        }
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            refusals(operation, &[StatusCode::NOT_FOUND]);
            operation.parameters.get_or_insert_default().push(RefOr::T(in_path(name)));
        }
    });
    link(&mut open);
    let mut components = open.components.take().unwrap_or_default();
    describe_problems(&mut components);
    components.parameters.insert("IdempotencyKey".to_owned(), RefOr::T(key()));
    if tokens {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme(SCHEME, SecurityScheme::Http(bearer));
    }
    let mut info = Info::new("Belay", env!("CARGO_PKG_VERSION"));
    info.description =
        Some("The safety net of a migration: watching, rolling back, and what people can do about it.".to_owned());
    OpenApiBuilder::new().info(info).paths(open.paths).components(Some(components)).build()
}

fn each_operation(of: &mut OpenApi, mut change: impl FnMut(&str, &str, &mut Operation)) {
    for (path, item) in &mut of.paths.paths {
        let PathItem { get, post, .. } = item;
        for (method, operation) in [("get", get), ("post", post)] {
            if let Some(operation) = operation {
                change(path, method, operation);
            }
        }
    }
}

/// Lists, and what begins a run, lead to what can be done with what they name.
fn link(described: &mut OpenApi) {
    let name = |operation: &Operation| operation.operation_id.clone();
    let mut about: Vec<(String, String)> = Vec::new();
    each_operation(described, |path, _, operation| about.extend(name(operation).map(|name| (path.to_owned(), name))));
    let sources = [
        ("/v1/migrations", "get", "200", "/v1/migrations/{migration}", "migration", "$response.body#/items/0/name"),
        ("/v1/incidents", "get", "200", "/v1/incidents/{incident}", "incident", "$response.body#/items/0/id"),
        ("/v1/runs", "get", "200", "/v1/runs/{run}", "run", "$response.body#/items/0/id"),
        ("/v1/migrations/{migration}/rollback", "post", "202", "/v1/runs/{run}", "run", "$response.body#/run"),
    ];
    for (from, method, status, to, parameter, value) in sources {
        each_operation(described, |path, of, operation| {
            let answer = operation.responses.responses.get_mut(status);
            let (true, Some(RefOr::T(answer))) = ((path, of) == (from, method), answer) else { return };
            for (_, target) in about.iter().filter(|(path, _)| path.starts_with(to)) {
                let link = Link::builder().operation_id(target).parameter(parameter, value).build();
                answer.links.insert(target.clone(), RefOr::T(link));
            }
        });
    }
}

/// It is no parameter of each operation: whoever makes up requests from this document would send few keys with many bodies,
/// and be refused as they should.
const KEY_HELP: &str = "Takes the header `Idempotency-Key` (`components.parameters`): a request that is sent again with the \
                        same key within 24 hours is answered, and not done again. A refusal for the state of things (409) and \
                        a failure are not kept: the request is tried again.";

fn key() -> Parameter {
    let key = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(idempotency::KEY_CHARS_MAX))
        .pattern(Some("^[!-~]+$"));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("One for each request that is meant, as a fresh UUID. With another body: 422."))
        .schema(Some(key))
        .build()
}

/// What is true of everything that acts.
fn acts(operation: &mut Operation) {
    let refused = [
        StatusCode::BAD_REQUEST,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::CONFLICT,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNPROCESSABLE_ENTITY,
    ];
    refusals(operation, &refused);
    operation.description = Some(KEY_HELP.to_owned());
    let replayed = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"]))))
        .description(Some("The answer is that of an earlier request with this key."))
        .build();
    for answer in operation.responses.responses.values_mut() {
        if let RefOr::T(answer) = answer {
            answer.headers.insert("Idempotency-Replayed".to_owned(), RefOr::T(replayed.clone()));
        }
    }
}

fn in_path(name: &str) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    let schema = match name {
        "kind" => text.enum_values(Some(Kind::VARIANTS.iter().map(|kind| kind.word()))),
        _ => text,
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(schema))
        .build()
}

/// The operation may be refused with these. What it says itself of a status stands.
fn refusals(operation: &mut Operation, with: &[StatusCode]) {
    for status in with {
        let refusal = RefOr::Ref(Ref::from_response_name(response_name(*status)));
        operation.responses.responses.entry(status.as_str().to_owned()).or_insert(refusal);
    }
}

fn response_name(status: StatusCode) -> String {
    format!("Problem{}", status.as_str())
}

/// One response for each status, with the kinds of problems that have it.
fn describe_problems(components: &mut Components) {
    let mut schemas = vec![(Document::name().into_owned(), Document::schema())];
    Document::schemas(&mut schemas);
    components.schemas.extend(schemas);
    let mut by_status: BTreeMap<StatusCode, Vec<Kind>> = BTreeMap::new();
    for kind in Kind::VARIANTS {
        by_status.entry(kind.status()).or_default().push(*kind);
    }
    for (status, kinds) in by_status {
        components.responses.insert(response_name(status), RefOr::T(refusal(status, &kinds)));
    }
}

fn refusal(status: StatusCode, kinds: &[Kind]) -> Response {
    let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
    let one_of = |values: Vec<serde_json::Value>| -> Object {
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).enum_values(Some(values)).build()
    };
    let narrowed = ObjectBuilder::new()
        .property("type", one_of(kinds.iter().map(|kind| kind.path().into()).collect()))
        .property("title", one_of(kinds.iter().map(|kind| kind.title().into()).collect()))
        .property("status", one_of(vec![status.as_u16().into()]));
    let problem = AllOfBuilder::new().item(Ref::from_schema_name(Document::name())).item(narrowed);
    let content = ContentBuilder::new().schema(Some(problem)).build();
    let response = ResponseBuilder::new().description(words.join(", ")).content("application/problem+json", content);
    match status {
        StatusCode::UNAUTHORIZED => {
            let bearer = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["Bearer"]));
            response.header("WWW-Authenticate", HeaderBuilder::new().schema(Some(bearer)).build()).build()
        }
        _ => response.build(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{GUARDED, OPEN};

    /// Of two types whose schemas have one name, the document would describe one only.
    #[test]
    fn the_name_of_a_schema_is_that_of_one_type() {
        let mut schemas = BTreeMap::new();
        for (name, schema) in OPEN.iter().chain(GUARDED).flat_map(|route| route().0) {
            let schema = serde_json::to_value(schema).expect("a schema is JSON");
            let known = schemas.entry(name.clone()).or_insert_with(|| schema.clone());
            assert_eq!(*known, schema, "{name} is the name of two schemas: give one `#[schema(as = ...)]`");
        }
        assert!(schemas.len() > 50, "{}", schemas.len());
    }
}
