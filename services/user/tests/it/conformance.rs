//! What every store of users must do.

use user_service::domain::{Change, Email, Error, Name, NewUser, PageSize, UserId, Users};

/// Runs every check, each on an empty store.
pub(crate) async fn all<S: Users + ?Sized>(store: impl AsyncFn() -> std::sync::Arc<S>) {
    keeps_what_it_is_given(&*store().await).await;
    knows_no_user_that_was_not_created(&*store().await).await;
    changes_only_what_is_said(&*store().await).await;
    no_two_users_have_the_same_address(&*store().await).await;
    forgets_once_and_never_gives_a_number_again(&*store().await).await;
    pages_follow_each_other(&*store().await).await;
    keeps_the_longest_values(&*store().await).await;
    of_many_with_one_address_one_is_kept(&*store().await).await;
}

async fn keeps_what_it_is_given(users: &(impl Users + ?Sized)) {
    let ada = users.create(user("Ada", "ada@example.org")).await.unwrap();
    assert_eq!((ada.name.as_str(), ada.email.as_str()), ("Ada", "ada@example.org"));
    assert!(ada.created_at.year() >= 2024);
    assert_eq!(users.get(ada.id).await.unwrap(), Some(ada));
}

async fn knows_no_user_that_was_not_created(users: &(impl Users + ?Sized)) {
    for id in [id(1), id(i64::from(i32::MAX))] {
        assert_eq!(users.get(id).await.unwrap(), None);
        assert_eq!(users.update(id, name("Ada")).await.unwrap(), None);
        assert!(!users.delete(id).await.unwrap());
    }
    assert!(users.page(None, PageSize::default()).await.unwrap().is_empty());
}

async fn changes_only_what_is_said(users: &(impl Users + ?Sized)) {
    let ada = users.create(user("Ada", "ada@example.org")).await.unwrap();
    let bob = users.create(user("Bob", "bob@example.org")).await.unwrap();
    let king = users.update(ada.id, name("Ada King")).await.unwrap().unwrap();
    assert_eq!((king.name.as_str(), king.email.as_str()), ("Ada King", "ada@example.org"));
    assert_eq!(king.created_at, ada.created_at);
    let same = users.update(ada.id, Change::default()).await.unwrap().unwrap();
    assert_eq!(same, king);
    let all = users.update(ada.id, user("Eve", "eve@example.org").into()).await.unwrap().unwrap();
    assert_eq!((all.name.as_str(), all.email.as_str()), ("Eve", "eve@example.org"));
    assert_eq!(users.get(ada.id).await.unwrap(), Some(all));
    assert_eq!(users.get(bob.id).await.unwrap(), Some(bob));
}

async fn no_two_users_have_the_same_address(users: &(impl Users + ?Sized)) {
    let ada = users.create(user("Ada", "ada@example.org")).await.unwrap();
    let bob = users.create(user("Bob", "bob@example.org")).await.unwrap();
    for taken in ["ada@example.org", "ADA@Example.Org"] {
        let created = users.create(user("Eve", taken)).await;
        assert!(matches!(created, Err(Error::EmailTaken)), "{created:?}");
        let changed = users.update(bob.id, user("Bob", taken).into()).await;
        assert!(matches!(changed, Err(Error::EmailTaken)), "{changed:?}");
    }
    assert_eq!(users.get(bob.id).await.unwrap(), Some(bob));
    // Its own address is not another user's; its spelling may change.
    let own = users.update(ada.id, user("Ada", "Ada@example.org").into()).await.unwrap().unwrap();
    assert_eq!(own.email.as_str(), "Ada@example.org");
}

async fn forgets_once_and_never_gives_a_number_again(users: &(impl Users + ?Sized)) {
    let ada = users.create(user("Ada", "ada@example.org")).await.unwrap();
    assert!(users.delete(ada.id).await.unwrap());
    assert!(!users.delete(ada.id).await.unwrap());
    assert_eq!(users.get(ada.id).await.unwrap(), None);
    let again = users.create(user("Ada", "ada@example.org")).await.unwrap();
    assert!(again.id > ada.id);
}

async fn pages_follow_each_other(users: &(impl Users + ?Sized)) {
    let mut created = Vec::new();
    for number in 0..5 {
        let user = user("Ada", &format!("ada{number}@example.org"));
        created.push(users.create(user).await.unwrap());
    }
    let two = PageSize::try_new(2).unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = users.page(after, two).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page);
    }
    assert_eq!(seen, created);
}

async fn keeps_the_longest_values(users: &(impl Users + ?Sized)) {
    let email = format!("{}@{}.example.org", "a".repeat(64), "b".repeat(23));
    let long = users.create(user(&"ü".repeat(100), &email)).await.unwrap();
    assert_eq!(users.get(long.id).await.unwrap().unwrap().name.as_str(), "ü".repeat(100));
}

async fn of_many_with_one_address_one_is_kept(users: &(impl Users + ?Sized)) {
    let (a, b, c, d) = tokio::join!(
        users.create(user("Ada", "ada@example.org")),
        users.create(user("Ada", "ADA@example.org")),
        users.create(user("Ada", "ada@EXAMPLE.org")),
        users.create(user("Ada", "ada@example.org")),
    );
    let kept = [a, b, c, d].into_iter().filter(Result::is_ok).count();
    assert_eq!(kept, 1);
    assert_eq!(users.page(None, PageSize::default()).await.unwrap().len(), 1);
}

pub(crate) fn user(name: &str, email: &str) -> NewUser {
    NewUser { name: Name::try_new(name).unwrap(), email: Email::try_new(email).unwrap() }
}

fn name(name: &str) -> Change {
    Change { name: Some(Name::try_new(name).unwrap()), email: None }
}

fn id(number: i64) -> UserId {
    UserId::try_new(number).unwrap()
}
