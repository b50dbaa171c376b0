//! Routes that are guarded.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response, StatusCode, header};
use regatta_auth::{AuthLayer, Claims, Grant, RequireRole, now};
use serde_json::Value;
use tower::ServiceExt;

use crate::support::{genuine, secret_issuer, with_secret};

#[tokio::test]
async fn a_request_without_a_token_is_challenged() {
    let (response, body) = get_with("/users/1", &[]).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], r#"Bearer realm="api""#);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(body["error"], "Missing token");
    assert_eq!(body["status"], 401);
}

#[tokio::test]
async fn a_bad_or_old_token_says_so() {
    let bad = format!("Bearer {}x", fresh("user"));
    // Issued in 2027 by the tests' own clock: over or not yet begun by the real one.
    let old = secret_issuer()
        .issue(
            &Grant::new("1"),
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000),
        )
        .unwrap();
    for (value, error) in [(bad, "Invalid token"), (format!("Bearer {old}"), "Token expired")] {
        let (response, body) = get_with("/users/1", &[&value]).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(body["error"], error);
        let challenge = response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
    }
}

#[tokio::test]
async fn a_caller_with_the_role_reaches_the_handler_which_knows_him() {
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let (response, body) =
            get_with("/users/1", &[&format!("{scheme} {}", fresh("user"))]).await;
        assert_eq!((response.status(), &body), (StatusCode::OK, &Value::from("7")));
    }
}

#[tokio::test]
async fn a_caller_without_the_role_is_refused() {
    let value = format!("Bearer {}", fresh("user"));
    let (response, body) = get_with("/admin/users", &[&value]).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(body["error"], "Insufficient permissions");
    assert!(
        response.headers()[header::WWW_AUTHENTICATE]
            .to_str()
            .unwrap()
            .contains("insufficient_scope")
    );
    let (response, _) = get_with("/admin/users", &[&format!("Bearer {}", fresh("admin"))]).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn two_tokens_are_refused_even_if_one_is_good() {
    let good = format!("Bearer {}", fresh("user"));
    let (response, body) = get_with("/users/1", &[&good, "Bearer x"]).await;
    assert_eq!(
        (response.status(), &body["error"]),
        (StatusCode::UNAUTHORIZED, &"Invalid token".into())
    );
}

#[tokio::test]
async fn a_public_route_knows_who_calls_if_he_says_so_and_refuses_a_bad_token() {
    let (_, body) = get_with("/public", &[]).await;
    assert_eq!(body, "nobody");
    let (_, body) = get_with("/public", &[&format!("Bearer {}", fresh("user"))]).await;
    assert_eq!(body, "7");
    let (response, _) = get_with("/public", &["Bearer x.y.z"]).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_role_without_a_layer_that_verifies_is_a_401_and_never_a_pass() {
    let router: Router =
        Router::new().route("/", get(|| async { "in" })).layer(RequireRole::new("user"));
    let request = Request::get("/").header("authorization", format!("Bearer {}", genuine()));
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nobody_has_one_of_no_roles() {
    let claims = Claims::for_test("1", &["user", ""]);
    assert!(RequireRole::any([]).check(Some(&claims)).is_err());
    assert!(RequireRole::any(["admin", "user"]).check(Some(&claims)).is_ok());
}

#[tokio::test]
async fn over_grpc_a_rejection_is_a_status_and_no_body() {
    for (path, token, code) in
        [("/users/1", None, "16"), ("/admin/users", Some(fresh("user")), "7")]
    {
        let mut request = Request::get(path).header("content-type", "application/grpc+proto");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], code);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert!(http_body::Body::is_end_stream(response.body()));
    }
}

fn router() -> Router {
    let verifier = with_secret().build().unwrap();
    let guarded = Router::new()
        .route("/admin/users", get(|| async { "\"all\"" }).layer(RequireRole::new("admin")))
        .route(
            "/users/{id}",
            get(|claims: Claims| async move { format!("{:?}", claims.user_id()) }),
        )
        .layer(AuthLayer::required(verifier.clone()));
    let public = Router::new()
        .route(
            "/public",
            get(|claims: Option<Claims>| async move {
                format!("{:?}", claims.as_ref().map_or("nobody", Claims::user_id))
            }),
        )
        .layer(AuthLayer::optional(verifier));
    guarded.merge(public)
}

/// A token for user 7 that is valid by the real clock.
fn fresh(role: &str) -> String {
    secret_issuer().issue(&Grant::new("7").role(role), now()).unwrap()
}

async fn get_with(path: &str, authorization: &[&str]) -> (Response<()>, Value) {
    let mut request = Request::get(path);
    for value in authorization {
        request = request.header("authorization", *value);
    }
    let response = router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (Response::from_parts(parts, ()), serde_json::from_slice(&bytes).unwrap())
}
