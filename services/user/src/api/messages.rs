//! Messages to other services: `user.created`, `user.updated`, `user.deleted`.

use regatta::Events;
use regatta::events::CloudEvent;
use serde_json::json;

use crate::domain::UserEvent;

/// What is told of what happened, in the trace of the request that made it. Messages about one user
/// keep their order.
///
/// # Panics
///
/// Never: types and keys fit.
pub fn of(events: &Events, event: &UserEvent) -> CloudEvent {
    let (event_type, id, data) = match event {
        UserEvent::Created(user) | UserEvent::Updated(user) => {
            let event_type = match event {
                UserEvent::Created(_) => "user.created",
                _ => "user.updated",
            };
            let data = json!({ "user_id": user.id.number(), "email": user.email.as_str() });
            (event_type, user.id, data)
        }
        UserEvent::Deleted(id) => ("user.deleted", *id, json!({ "user_id": id.number() })),
    };
    let message = events.event(event_type).expect("the type is a constant that fits");
    let key = format!("user-{}", id.number());
    let message = message.with_extension(CloudEvent::PARTITION_KEY, key);
    message.expect("the key is a constant and a number").with_json(data)
}
