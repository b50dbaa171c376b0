//! How long a call weighs on its instance.

use regatta_client::Client;

use crate::fleet::{Does, Fleet, client, options};

#[tokio::test]
async fn a_call_is_in_flight_until_its_body_has_ended_or_is_left() {
    let fleet = Fleet::new();
    fleet.serve(Does::HangInBody).await;
    let client = client(&fleet.registry, options());
    let users = client.service("user-service").unwrap();
    let mut open = Vec::new();
    for count in 1..=3 {
        open.push(users.get("/").send().await.unwrap());
        assert_eq!(in_flight(&client), count);
    }
    drop(open);
    assert_eq!(in_flight(&client), 0);
}

#[tokio::test]
async fn an_answer_that_was_read_is_in_flight_no_more() {
    let fleet = Fleet::new();
    fleet.serve(Does::Answer(200)).await;
    let client = client(&fleet.registry, options());
    let users = client.service("user-service").unwrap();
    let answer = users.get("/").send().await.unwrap();
    assert_eq!(in_flight(&client), 1);
    answer.bytes().await.unwrap();
    assert_eq!(in_flight(&client), 0);
}

fn in_flight(client: &Client) -> u32 {
    client.clusters()[0].instances[0].in_flight
}
