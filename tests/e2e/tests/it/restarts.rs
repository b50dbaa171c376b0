//! Instances that stop as asked, or are killed, while others serve: callers notice nothing.

use std::time::Duration;

use nix::sys::signal::Signal;
use regatta_e2e::{Caller, System, Traffic};
use serde_json::{Value, json};

const SERVICES: [&str; 3] = ["user-service", "order-service", "payment-service"];

/// The pause between two calls of a caller: steady load that two cores carry.
const PAUSE: Duration = Duration::from_millis(10);

#[tokio::test]
async fn a_rolling_restart_of_every_instance_fails_no_request() {
    let system = replicated();
    let load = Load::start(&system, Orders::Plain).await;
    for instance in SERVICES.iter().flat_map(|service| system.instances(service).unwrap()) {
        system.replace(&instance, Signal::SIGTERM).await.unwrap();
        load.goes_on().await;
    }
    load.has_not_failed().await;
}

#[tokio::test]
async fn of_two_replicas_one_may_be_killed_and_what_is_safe_to_repeat_does_not_fail() {
    let system = replicated();
    let load = Load::start(&system, Orders::Keyed).await;
    for service in SERVICES {
        let instance = system.part(service).unwrap();
        system.replace(&instance, Signal::SIGKILL).await.unwrap();
        load.goes_on().await;
    }
    load.has_not_failed().await;
}

/// Whether orders carry a key that makes them safe to repeat.
#[derive(Clone, Copy, PartialEq)]
enum Orders {
    Plain,
    Keyed,
}

/// Traffic through all services: each order asks user-service and is paid by payment-service.
struct Load {
    orders: Traffic,
    reads: Traffic,
    /// Only where no request may be lost: a sign-up cannot be repeated.
    sign_ups: Option<Traffic>,
}

impl Load {
    async fn start(system: &System, kind: Orders) -> Self {
        let anyone = Caller::new(&system.url("gateway").unwrap()).unwrap();
        let caller = anyone.clone().with_token(&system.token("1", &["user"]).unwrap());
        let ada = anyone.post("/user-service/users", &user("ada")).await.unwrap();
        assert_eq!(ada.status, 201, "{}", ada.text);
        let id = ada.json()["user_id"].clone();

        let (reader, path) = (caller.clone(), format!("/user-service/users/{id}"));
        let reads = Traffic::start(2, PAUSE, move |_| {
            let (reader, path) = (reader.clone(), path.clone());
            async move { reader.get(&path).await }
        });
        let orders = Traffic::start(2, PAUSE, move |number| {
            let (buyer, order) = (caller.clone(), json!({"user_id": id, "amount": 1}));
            async move {
                match kind {
                    Orders::Plain => buyer.post("/order-service/orders", &order).await,
                    Orders::Keyed => {
                        let key = format!("order-{number}");
                        buyer.post_once("/order-service/orders", &key, &order).await
                    }
                }
            }
        });
        let sign_ups = (kind == Orders::Plain).then(|| {
            Traffic::start(2, PAUSE, move |number| {
                let (anyone, user) = (anyone.clone(), user(&format!("u{number}")));
                async move { anyone.post("/user-service/users", &user).await }
            })
        });
        let load = Self { orders, reads, sign_ups };
        load.goes_on().await;
        load
    }

    /// Waits for answers to calls that were made from now on.
    async fn goes_on(&self) {
        self.orders.more(40).await.unwrap();
        self.reads.more(40).await.unwrap();
        if let Some(sign_ups) = &self.sign_ups {
            sign_ups.more(40).await.unwrap();
        }
    }

    async fn has_not_failed(self) {
        for (what, traffic, expected) in [
            ("orders", Some(self.orders), 201),
            ("reads", Some(self.reads), 200),
            ("sign-ups", self.sign_ups, 201),
        ] {
            let Some(traffic) = traffic else { continue };
            let report = traffic.stop().await;
            let failed = report.others(&[expected]);
            assert_eq!(failed, 0, "{what}: {:?} {:?}", report.statuses, report.examples);
        }
    }
}

fn user(name: &str) -> Value {
    json!({"name": "U", "email": format!("{name}@example.com")})
}

/// The reference system with two instances of each service and no rate limit.
fn replicated() -> System {
    let change = |manifest: String| {
        let manifest = manifest.replace("per_client: 60/min", "per_client: none");
        manifest.replace("    database: true", "    database: true\n    replicas: 2")
    };
    System::start_changed(change).unwrap()
}
