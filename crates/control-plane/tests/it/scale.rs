//! A thousand services with ten instances each.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_services_with_ten_instances_are_registered_and_found() {
    let server = Arc::new(Server::start().await);
    let start = tokio::time::Instant::now();
    let tasks = TaskTracker::new();
    let clients: Vec<_> = (0..50)
        .map(|client| {
            let server = Arc::clone(&server);
            tasks.spawn(async move {
                for number in (client..10_000).step_by(50) {
                    let body = format!(
                        r#"{{"name":"s{}","id":"s-{number}","address":"10.0.0.1","port":80}}"#,
                        number / 10
                    );
                    server.done("/v1/agent/service/register", &body).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    println!("10,000 registrations by 50 clients in {:?}", start.elapsed());
    let names = server.get("/v1/catalog/services").await.json();
    assert_eq!(names.as_object().unwrap().len(), 1001);
    let start = tokio::time::Instant::now();
    for service in [0, 500, 999] {
        assert_eq!(server.passing(&format!("s{service}")).await.len(), 10);
    }
    println!("three passing queries in {:?}", start.elapsed());
}
