//! Waiting for a condition, with a limit.

use std::time::Duration;

/// Time between two looks: short beside anything a test waits for, long beside the look itself.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until `condition` answers true, looking every 20 ms.
///
/// # Panics
///
/// After `limit`, naming `what` it waited for.
///
/// # Cancel safety
///
/// As cancel safe as `condition`.
pub async fn wait_until(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + limit;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "waited {limit:?} for {what} in vain");
        tokio::time::sleep(PAUSE).await;
    }
}

/// [`wait_until`] for tests without a runtime.
///
/// # Panics
///
/// After `limit`, naming `what` it waited for.
pub fn wait_until_blocking(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let mut waited = Duration::ZERO;
    while !condition() {
        assert!(waited < limit, "waited {limit:?} for {what} in vain");
        std::thread::sleep(PAUSE);
        waited += PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_once_the_condition_holds() {
        let mut looks = 0;
        wait_until_blocking("three looks", Duration::from_secs(5), || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }

    #[test]
    fn names_what_it_waited_for_in_vain() {
        let waiting = || wait_until_blocking("godot", Duration::ZERO, || false);
        let panic = std::panic::catch_unwind(waiting).unwrap_err();
        assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains("godot")));
    }

    #[tokio::test]
    async fn looks_again_until_the_condition_holds() {
        let mut looks = 0;
        wait_until("three looks", Duration::from_secs(5), async || {
            looks += 1;
            looks == 3
        })
        .await;
        assert_eq!(looks, 3);
    }
}
