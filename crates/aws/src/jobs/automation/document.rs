//! The document of an automation, as far as it can be held against the plan beforehand.

use aws_sdk_ssm::{
    Client,
    types::{DocumentDescription, DocumentStatus, DocumentType},
};
use serde::{Deserialize, Serialize};

use super::{DESCRIBE_DOCUMENT, With};
use crate::{errors, jobs::plain};

/// What a look before a run finds of the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Document {
    There {
        kind: String,
        status: String,
        parameters: Vec<Parameter>,
    },
    Missing,
    NoSuchVersion,
    /// It is not needed to start the automation, so that stands against nothing.
    Unreadable {
        why: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Parameter {
    name: String,
    required: bool,
}

impl Document {
    pub(super) async fn read(client: &Client, with: &With) -> Self {
        let asked = client.describe_document().name(&with.document).set_document_version(with.version.clone());
        match asked.send().await {
            Ok(answer) => answer.document().map_or(Self::Missing, Self::of),
            Err(error) => match errors::code(&error).map(plain) {
                Some("InvalidDocument") => Self::Missing,
                Some("InvalidDocumentVersion") => Self::NoSuchVersion,
                _ => Self::Unreadable { why: errors::read(error, DESCRIBE_DOCUMENT, &with.document).why },
            },
        }
    }

    fn of(found: &DocumentDescription) -> Self {
        let parameters = found.parameters().iter().filter_map(|parameter| {
            let required = parameter.default_value().is_none();
            Some(Parameter { name: parameter.name()?.to_owned(), required })
        });
        Self::There {
            kind: found.document_type().map(DocumentType::as_str).unwrap_or_default().to_owned(),
            status: found.status().map(DocumentStatus::as_str).unwrap_or_default().to_owned(),
            parameters: parameters.collect(),
        }
    }

    /// Why the automation could not be started with what the plan gives it.
    pub(super) fn problem(&self, with: &With) -> Option<String> {
        let name = &with.document;
        match self {
            Self::Missing => Some(format!("there is no document {name} in this account and region")),
            Self::NoSuchVersion => {
                let version = with.version.as_deref().unwrap_or("$DEFAULT");
                Some(format!("the document {name} has no version {version}"))
            }
            Self::There { kind, .. } if !kind.is_empty() && kind != "Automation" => {
                Some(format!("{name} is a document of the type {kind}, and no automation"))
            }
            Self::There { status, .. } if matches!(status.as_str(), "Deleting" | "Failed") => {
                Some(format!("the document {name} is in the state {status}"))
            }
            Self::There { parameters, .. } => parameter_problem(name, parameters, with),
            Self::Unreadable { .. } => None,
        }
    }
}

fn parameter_problem(name: &str, declared: &[Parameter], with: &With) -> Option<String> {
    if let Some(unknown) = with.parameters.keys().find(|given| declared.iter().all(|one| one.name != **given)) {
        let known: Vec<&str> = declared.iter().map(|one| one.name.as_str()).collect();
        return Some(format!(
            "the document {name} has no parameter {unknown}; its parameters are: {}",
            known.join(", ")
        ));
    }
    let missing = declared.iter().find(|one| one.required && !with.parameters.contains_key(&one.name))?;
    Some(format!("the document {name} needs the parameter {}: give it in `parameters`", missing.name))
}
