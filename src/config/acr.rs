//! Pipelines of Azure's ACR Transfer, read from what `az` and ARM show of them. Pure.
//!
//! Both forms are understood: ARM resources, whose properties are below `properties`, and the flat ones that `az`
//! prints; alone, in a list, or in a template's `resources`.
//! Specification: `Microsoft.ContainerRegistry/registries/exportPipelines` and `importPipelines`,
//! API version 2023-01-01-preview.

use std::collections::BTreeSet;

use serde_json::Value;

/// One pipeline of ACR Transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcrPipeline {
    pub direction: AcrDirection,
    pub name: String,
    /// The registry's name; its host is `NAME.azurecr.io`.
    pub registry: String,
    /// The storage container's URL.
    pub container: String,
    /// The key vault's secret that holds the SAS; with managed identity there is none.
    pub key_vault: Option<String>,
    /// Of an import: whether it starts when a blob appears.
    pub has_source_trigger: bool,
    pub options: BTreeSet<AcrOption>,
}

/// What a pipeline may be told beside where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AcrOption {
    OverwriteBlobs,
    OverwriteTags,
    ContinueOnErrors,
    DeleteSourceBlobOnSuccess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcrDirection {
    Export,
    Import,
}

/// Why a text is no list of pipelines, and which part of it is at fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidAcr {
    #[error("this is no JSON: {0}")]
    Json(String),
    #[error(
        "there is neither an export pipeline nor an import pipeline of a container registry in it"
    )]
    Nothing,
    #[error("the pipeline `{name}` has no `{field}`")]
    Missing { name: String, field: &'static str },
    #[error(
        "the pipeline `{name}` has the expression `{text}` as its `{field}`, which only a deployment resolves"
    )]
    Expression {
        name: String,
        field: &'static str,
        text: String,
    },
    #[error(
        "the container's URL of the pipeline `{name}` has a query, which may be a signature; a configuration file names a secret by `credential`"
    )]
    Query { name: String },
    #[error("the pipeline `{name}` has the option `{option}`, which is not known")]
    Option { name: String, option: String },
}

const EXPORT_TYPE: &str = "microsoft.containerregistry/registries/exportpipelines";
const IMPORT_TYPE: &str = "microsoft.containerregistry/registries/importpipelines";

/// Reads all pipelines that a document has, in its order.
pub fn parse_acr(text: &str) -> Result<Vec<AcrPipeline>, InvalidAcr> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| InvalidAcr::Json(error.to_string()))?;
    let resources = match &document {
        Value::Array(resources) => resources.iter().collect(),
        Value::Object(object) => match object.get("resources").or_else(|| object.get("value")) {
            Some(Value::Array(resources)) => resources.iter().collect(),
            _ => vec![&document],
        },
        _ => Vec::new(),
    };
    let pipelines: Vec<AcrPipeline> = resources
        .into_iter()
        .filter_map(parse_resource)
        .collect::<Result<_, _>>()?;
    match pipelines.is_empty() {
        true => Err(InvalidAcr::Nothing),
        false => Ok(pipelines),
    }
}

/// One resource; `None` where it is of another type.
fn parse_resource(resource: &Value) -> Option<Result<AcrPipeline, InvalidAcr>> {
    let kind = resource.get("type")?.as_str()?.to_ascii_lowercase();
    let direction = match kind.as_str() {
        EXPORT_TYPE => AcrDirection::Export,
        IMPORT_TYPE => AcrDirection::Import,
        _ => return None,
    };
    Some(parse_pipeline(resource, direction))
}

fn parse_pipeline(resource: &Value, direction: AcrDirection) -> Result<AcrPipeline, InvalidAcr> {
    let full_name = resource.get("name").and_then(Value::as_str).unwrap_or("?");
    let (parent, name) = match full_name.split_once('/') {
        Some((registry, name)) => (Some(registry), name),
        None => (None, full_name),
    };
    let reading = Reading {
        name,
        properties: resource.get("properties").unwrap_or(resource),
    };
    reading.plain("name", full_name)?;
    let id = resource.get("id").and_then(Value::as_str);
    let registry = parent.or_else(|| registry_of(id?));
    let end = match direction {
        AcrDirection::Export => "target",
        AcrDirection::Import => "source",
    };
    let end_of = |field: &str| {
        let end = reading.properties.get(end)?;
        end.get(field)?.as_str().map(str::to_owned)
    };
    let pipeline = AcrPipeline {
        direction,
        name: name.to_owned(),
        registry: reading.require("id", registry.map(str::to_owned))?,
        container: reading.require("uri", end_of("uri"))?,
        key_vault: end_of("keyVaultUri").filter(|uri| !uri.is_empty()),
        has_source_trigger: reading.has_source_trigger(),
        options: reading.read_options()?,
    };
    if pipeline.container.contains(['?', '#']) {
        let name = name.to_owned();
        return Err(InvalidAcr::Query { name });
    }
    if let Some(uri) = &pipeline.key_vault {
        reading.plain("keyVaultUri", uri)?;
    }
    Ok(pipeline)
}

/// The registry in `/subscriptions/…/registries/NAME/exportPipelines/…`.
fn registry_of(id: &str) -> Option<&str> {
    let mut parts = id.split('/');
    parts.find(|part| part.eq_ignore_ascii_case("registries"))?;
    parts.next()
}

struct Reading<'a> {
    name: &'a str,
    properties: &'a Value,
}

impl Reading<'_> {
    fn require(&self, field: &'static str, value: Option<String>) -> Result<String, InvalidAcr> {
        let value = value.ok_or_else(|| InvalidAcr::Missing {
            name: self.name.to_owned(),
            field,
        })?;
        self.plain(field, &value)?;
        Ok(value)
    }

    /// Refuses what a template computes.
    fn plain(&self, field: &'static str, value: &str) -> Result<(), InvalidAcr> {
        if !value.starts_with('[') {
            return Ok(());
        }
        Err(InvalidAcr::Expression {
            name: self.name.to_owned(),
            field,
            text: value.to_owned(),
        })
    }

    /// It starts by itself unless that was disabled.
    fn has_source_trigger(&self) -> bool {
        let status = self.properties.pointer("/trigger/sourceTrigger/status");
        let status = status.and_then(Value::as_str).unwrap_or("Enabled");
        !status.eq_ignore_ascii_case("disabled")
    }

    fn read_options(&self) -> Result<BTreeSet<AcrOption>, InvalidAcr> {
        let options = self.properties.get("options").and_then(Value::as_array);
        let options = options.into_iter().flatten().filter_map(Value::as_str);
        let known = options.map(|option| match option.to_ascii_lowercase().as_str() {
            "overwriteblobs" => Ok(AcrOption::OverwriteBlobs),
            "overwritetags" => Ok(AcrOption::OverwriteTags),
            "continueonerrors" => Ok(AcrOption::ContinueOnErrors),
            "deletesourceblobonsuccess" => Ok(AcrOption::DeleteSourceBlobOnSuccess),
            _ => Err(InvalidAcr::Option {
                name: self.name.to_owned(),
                option: option.to_owned(),
            }),
        });
        known.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAT: &str = r#"[{
        "id": "/subscriptions/0/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/acme/importPipelines/in",
        "name": "in", "type": "Microsoft.ContainerRegistry/registries/importPipelines",
        "options": ["OverwriteTags", "DeleteSourceBlobOnSuccess"],
        "source": { "type": "AzureStorageBlobContainer", "uri": "https://a.blob.core.windows.net/drop",
                    "keyVaultUri": "https://v.vault.azure.net/secrets/sas" },
        "trigger": { "sourceTrigger": { "status": "Disabled" } }
    }]"#;

    const TEMPLATE: &str = r#"{ "resources": [
        { "type": "Microsoft.Storage/storageAccounts", "name": "a" },
        { "type": "Microsoft.ContainerRegistry/registries/exportPipelines", "name": "acme/out",
          "properties": { "target": { "uri": "https://a.blob.core.windows.net/drop", "storageAccessMode": "ManagedIdentity" },
                          "options": ["OverwriteBlobs", "ContinueOnErrors"] } } ] }"#;

    #[test]
    fn a_signature_in_a_url_is_refused_and_not_shown() {
        let signed = FLAT.replace("/drop\"", "/drop?sv=1&sig=SECRET\"");
        let refused = parse_acr(&signed).expect_err("a signature");
        assert!(matches!(refused, InvalidAcr::Query { .. }));
        assert!(!refused.to_string().contains("SECRET"));
    }

    #[test]
    fn what_az_prints_and_what_arm_has_mean_the_same() {
        let import = &parse_acr(FLAT).expect("az's form")[0];
        assert_eq!(
            (import.name.as_str(), import.registry.as_str()),
            ("in", "acme")
        );
        assert_eq!(
            import.key_vault.as_deref(),
            Some("https://v.vault.azure.net/secrets/sas")
        );
        let options = [
            AcrOption::OverwriteTags,
            AcrOption::DeleteSourceBlobOnSuccess,
        ];
        assert_eq!(import.options, options.into());
        assert!(!import.has_source_trigger);
        let export = &parse_acr(TEMPLATE).expect("ARM's form")[0];
        assert_eq!(export.direction, AcrDirection::Export);
        assert_eq!(
            (export.name.as_str(), export.registry.as_str()),
            ("out", "acme")
        );
        let options = [AcrOption::OverwriteBlobs, AcrOption::ContinueOnErrors];
        assert_eq!(
            (&export.options, &export.key_vault),
            (&options.into(), &None)
        );
    }

    #[test]
    fn what_cannot_be_carried_over_is_named() {
        assert_eq!(parse_acr("{}"), Err(InvalidAcr::Nothing));
        assert!(matches!(parse_acr("nothing"), Err(InvalidAcr::Json(_))));
        let other = FLAT.replace("OverwriteTags", "Sing");
        assert!(matches!(parse_acr(&other), Err(InvalidAcr::Option { .. })));
        let computed =
            TEMPLATE.replace("https://a.blob.core.windows.net/drop", "[variables('uri')]");
        assert!(matches!(
            parse_acr(&computed),
            Err(InvalidAcr::Expression { .. })
        ));
        let without = TEMPLATE.replace("acme/out", "out");
        assert!(matches!(
            parse_acr(&without),
            Err(InvalidAcr::Missing { field: "id", .. })
        ));
    }
}
