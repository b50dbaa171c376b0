//! Users over REST, through the whole service.

use regatta::http::Method;
use serde_json::{Value, json};

use crate::running::UserService;

#[tokio::test]
async fn a_user_is_created_read_changed_and_deleted() {
    let service = UserService::start().await;
    let created = service.post("/users", &ada()).await;
    assert_eq!((created.status().as_u16(), created.header("location")), (201, "users/1"));
    assert_eq!(created.json(), service.get("/users/1").await.json());
    assert_eq!(created.json()["name"], "Ada");
    assert!(created.json()["created_at"].as_str().unwrap().ends_with('Z'));

    let put = json!({ "name": " Eve ", "email": "eve@example.org" }).to_string();
    let put = service.send(Method::PUT, "/users/1", "user", &put).await;
    assert_eq!((put.status().as_u16(), &put.json()["name"]), (200, &json!("Eve")));
    let patch = service.send(Method::PATCH, "/users/1", "user", r#"{"name":"Bob"}"#).await;
    assert_eq!(patch.json()["name"], "Bob");
    assert_eq!(patch.json()["email"], "eve@example.org");
    assert_eq!(service.get("/users/1").await.json(), patch.json());

    for status in [204, 404] {
        let deleted = service.send(Method::DELETE, "/users/1", "user", "").await;
        assert_eq!(deleted.status(), status);
    }
    assert_eq!(service.get("/users/1").await.json()["code"], "user_not_found");
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_conflict() {
    let service = UserService::start().await;
    service.post("/users", &ada()).await;
    service.post("/users", &json!({ "name": "Bob", "email": "bob@example.org" })).await;
    let again = service.post("/users", &ada()).await;
    assert_eq!((again.status().as_u16(), &again.json()["code"]), (409, &json!("email_taken")));
    let patch = r#"{"email":"ADA@example.org"}"#;
    let patch = service.send(Method::PATCH, "/users/2", "user", patch).await;
    assert_eq!(patch.status(), 409);
}

#[tokio::test]
async fn bad_input_is_told_field_by_field() {
    let service = UserService::start().await;
    let both = service.post("/users", &json!({ "name": " ", "email": "ada" })).await;
    assert_eq!((both.status().as_u16(), &both.json()["code"]), (400, &json!("invalid_argument")));
    assert_eq!(pointers(&both.json()), ["/name", "/email"]);
    for (body, pointer) in [
        (json!({ "name": "a".repeat(101), "email": "ada@example.org" }), "/name"),
        (json!({ "name": "Ada", "email": format!("{}@example.org", "a".repeat(90)) }), "/email"),
        (json!({ "name": 7, "email": "ada@example.org" }), "/name"),
        (json!({ "name": "Ada" }), ""),
    ] {
        let answer = service.post("/users", &body).await;
        assert_eq!(answer.status(), 400, "{body}");
        if !pointer.is_empty() {
            assert_eq!(pointers(&answer.json()), [pointer], "{body}");
        }
    }
    let unknown = json!({ "name": "Ada", "email": "ada@example.org", "role": "admin" });
    let unknown = service.post("/users", &unknown).await;
    assert_eq!(unknown.status(), 400);
    assert!(unknown.text().contains("role"), "{}", unknown.text());
}

#[tokio::test]
async fn a_patch_of_null_is_refused_and_an_empty_one_changes_nothing() {
    let service = UserService::start().await;
    let ada = service.post("/users", &ada()).await.json();
    for null in [r#"{"name":null}"#, r#"{"email":null}"#, r#"{"nickname":"A"}"#, "7", "{"] {
        let patch = service.send(Method::PATCH, "/users/1", "user", null).await;
        assert_eq!(patch.status(), 400, "{null}");
    }
    let empty = service.send(Method::PATCH, "/users/1", "user", "{}").await;
    assert_eq!((empty.status().as_u16(), empty.json()), (200, ada));
}

#[tokio::test]
async fn an_id_that_is_none_is_a_problem() {
    let service = UserService::start().await;
    for id in ["0", "-1", "2147483648", "99999999999999999999", "one"] {
        let answer = service.get(&format!("/users/{id}")).await;
        assert_eq!(answer.status(), 400, "{id}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert_eq!(service.get("/users/2147483647").await.status(), 404);
}

#[tokio::test]
async fn the_list_is_paged_and_for_administrators() {
    let service = UserService::start().await;
    for number in 0..5 {
        let user = json!({ "name": "Ada", "email": format!("ada{number}@example.org") });
        assert_eq!(service.post("/users", &user).await.status(), 201);
    }
    let mut path = "/admin/users?limit=2".to_owned();
    let mut sizes = Vec::new();
    loop {
        let page = service.send(Method::GET, &path, "admin", "").await;
        assert_eq!(page.status(), 200);
        sizes.push(page.json()["users"].as_array().unwrap().len());
        let Some(next) = page.json()["next"].as_str().map(str::to_owned) else { break };
        let query = next.trim_start_matches("/admin/users");
        assert_eq!(page.header("link"), format!("<{query}>; rel=\"next\""));
        path = next;
    }
    assert_eq!(sizes, [2, 2, 1]);
    for query in ["limit=0", "limit=101", "limit=many", "after=0", "page=1"] {
        let answer = service.send(Method::GET, &format!("/admin/users?{query}"), "admin", "").await;
        assert_eq!(answer.status(), 400, "{query}");
    }
}

#[tokio::test]
async fn roles_are_asked_for() {
    let service = UserService::start().await;
    assert_eq!(service.running.get("/users/1").await.status(), 401);
    assert_eq!(service.running.get("/admin/users").await.status(), 401);
    let forbidden = service.get("/admin/users").await;
    assert_eq!(forbidden.status(), 403);
    assert_eq!(forbidden.json()["error"], "Insufficient permissions");
    assert_eq!(service.send(Method::GET, "/users/1", "admin", "").await.status(), 403);
}

#[tokio::test]
async fn the_interface_describes_itself() {
    let service = UserService::start().await;
    let document = service.running.get("/openapi.json").await.json();
    assert_eq!(document["info"]["title"], "user-service");
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(paths, ["/admin/users", "/users", "/users/{id}"]);
    assert_eq!(document["paths"]["/users/{id}"]["get"]["security"][0]["token"][0], "user");
}

fn ada() -> Value {
    json!({ "name": "Ada", "email": "ada@example.org" })
}

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap();
    errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}
