//! The service's OpenAPI document, and what every service adds to its own.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The title that utoipa-axum gives a document whose author gave none.
const UNTITLED: &str = "utoipa-axum";

/// Problem details, as every error of the service is told.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read by the derive only: the schema is the use")]
#[schema(as = Problem)]
pub(crate) struct ProblemSchema {
    /// `about:blank`; the code tells problems apart.
    #[schema(example = "about:blank")]
    r#type: String,
    /// Does not change from case to case.
    #[schema(example = "Not found")]
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 404)]
    status: u16,
    /// What happened in this case and what to do.
    detail: String,
    /// Stable and machine-readable.
    #[schema(example = "not_found")]
    code: String,
    /// Short text.
    #[schema(example = "Not found")]
    error: String,
    /// The trace in which it happened.
    trace_id: Option<String>,
}

/// Completes the author's document: its own name and version where it has none, the security
/// scheme `bearer`, and the schema `Problem`.
pub(crate) fn complete(mut document: OpenApi, name: &str, version: &str) -> OpenApi {
    let info = &mut document.info;
    if info.title == UNTITLED || info.title.is_empty() {
        info.title = name.to_owned();
        info.version = version.to_owned();
        (info.description, info.license, info.contact) = (None, None, None);
    }
    let components = document.components.get_or_insert_with(Components::new);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components
        .security_schemes
        .entry("bearer".to_owned())
        .or_insert(SecurityScheme::Http(bearer).into());
    let schema: RefOr<Schema> = ProblemSchema::schema();
    components.schemas.entry("Problem".to_owned()).or_insert(schema);
    document
}

#[cfg(test)]
mod tests {
    use utoipa_axum::router::OpenApiRouter;

    use super::*;

    #[test]
    fn an_untitled_document_gets_the_services_name_and_not_the_librarys() {
        let untitled = OpenApiRouter::<()>::new().into_openapi();
        let document = complete(untitled, "user-service", "1.2.3").to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(
            document["info"],
            serde_json::json!({"title": "user-service", "version": "1.2.3"})
        );
        assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
        let problem = &document["components"]["schemas"]["Problem"];
        assert_eq!(problem["properties"]["status"]["maximum"], 599);
        assert!(!problem["required"].as_array().unwrap().contains(&"trace_id".into()));
    }

    #[test]
    fn what_the_author_wrote_stays() {
        let own = utoipa::openapi::InfoBuilder::new().title("Users").version("7").build();
        let own = utoipa::openapi::OpenApiBuilder::new().info(own).build();
        let document = complete(own, "user-service", "1.2.3");
        assert_eq!((document.info.title.as_str(), document.info.version.as_str()), ("Users", "7"));
    }
}
