//! Probes: what a client of the migrated system would see.

use belay_plan::{
    catalogue::{Finding, SignalSpec, no_signal_findings},
    comparison,
    shape::{Field, Shape, duration, field, filled_list, integer, object, one_of, pattern, text, words},
};
use serde_json::Value;

/// What `http`, `tcp`, `dns` and `prometheus` take.
pub fn signal_specs() -> [SignalSpec; 4] {
    [http(), tcp(), dns(), prometheus()]
}

fn timeout() -> Field {
    field("timeout", duration(), "How long to wait for the answer.").or("5s")
}

fn http() -> SignalSpec {
    let status = || integer(100, 599);
    SignalSpec {
        key: "http",
        summary: "What a URL answers.",
        value: object([
            field(
                "url",
                pattern("an http or https URL, such as `https://www.example.com/health`", "^https?://[^\\s/]+.*$"),
                "The URL to get.",
            ),
            field(
                "status",
                one_of("a status, or a list of them", [status(), filled_list(status())]),
                "The healthy ones.",
            )
            .or(200),
            field("body_contains", text("a text"), "What the body has to contain.").optional(),
            timeout(),
        ]),
        siblings: Vec::new(),
        check: |spec| positive(&spec["http"], "/http/timeout"),
        remarks: no_signal_findings,
    }
}

fn tcp() -> SignalSpec {
    SignalSpec {
        key: "tcp",
        summary: "Whether a port accepts connections.",
        value: object([field("address", address(), "Where to connect to."), timeout()]),
        siblings: Vec::new(),
        check: |spec| {
            let mut findings = positive(&spec["tcp"], "/tcp/timeout");
            let port = spec["tcp"]["address"].as_str().and_then(|address| address.rsplit(':').next());
            if port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..))) {
                findings.push(Finding::new("/tcp/address", "there is no such port").help("ports go from 1 to 65535"));
            }
            findings
        },
        remarks: no_signal_findings,
    }
}

fn address() -> Shape {
    pattern("HOST:PORT", "^([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}$")
}

fn dns() -> SignalSpec {
    let server = pattern(
        "the address of a DNS server",
        "^([A-Za-z0-9._-]+|[0-9A-Fa-f:.]+|\\[[0-9A-Fa-f:.]+\\]:[0-9]{1,5}|[A-Za-z0-9._-]+:[0-9]{1,5})$",
    );
    SignalSpec {
        key: "dns",
        summary: "What a name resolves to.",
        value: object([
            field("name", text("a DNS name"), "The name to ask for."),
            field("type", words(["A", "AAAA", "CNAME", "MX", "NS", "TXT"]), "The type to ask for."),
            field("answers_any", filled_list(text("an answer")), "One of these has to be among the answers."),
            field("server", server, "Whom to ask; left out: the system's resolver.").optional(),
        ]),
        siblings: Vec::new(),
        check: no_signal_findings,
        remarks: no_signal_findings,
    }
}

fn positive(value: &Value, pointer: &str) -> Vec<Finding> {
    match value["timeout"].as_str() {
        Some("0s") => vec![Finding::new(pointer, "a timeout of 0s never sees an answer")],
        _ => Vec::new(),
    }
}

fn prometheus() -> SignalSpec {
    SignalSpec {
        key: "prometheus",
        summary: "What a query yields, against a threshold.",
        value: object([
            field("url", text("a URL"), "The server."),
            field("query", text("a query"), "The query."),
            timeout(),
        ]),
        siblings: vec![field("healthy", pattern("a comparison", comparison::PATTERN), "What a healthy value is.")],
        check: no_signal_findings,
        remarks: no_signal_findings,
    }
}
