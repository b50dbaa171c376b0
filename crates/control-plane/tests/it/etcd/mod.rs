//! etcd's interface: one suite, run against the embedded store and against a real etcd.

pub(crate) mod client;
mod config_center;
mod crash;
mod etcdctl;
mod health;
mod history;
mod json;
mod keys;
mod leases;
mod limits;
mod maintenance;
mod python;
mod queues;
mod restart;
mod txns;
mod watches;

use client::Client;
use regatta_testkit::Etcd;

use super::server::Server;

/// A server with etcd's interface on a free port.
pub(crate) async fn server() -> Server {
    Server::with(|settings| settings.etcd.listen = Some(([127, 0, 0, 1], 0).into())).await
}

macro_rules! on_both {
    ($($name:ident: $suite:path;)+) => {
        mod embedded {
            use super::{health, keys, leases, maintenance, queues, txns, watches};

            $(
                #[tokio::test]
                async fn $name() {
                    let server = super::server().await;
                    $suite(&super::Client::connect(&server.etcd_endpoint()).await).await;
                }
            )+
        }

        mod real_etcd {
            use super::{health, keys, leases, maintenance, queues, txns, watches};

            $(
                #[tokio::test]
                async fn $name() {
                    let server = super::Etcd::start().await.unwrap_or_else(|error| panic!("{error}"));
                    $suite(&super::Client::connect(&server.endpoint()).await).await;
                }
            )+
        }
    };
}

on_both! {
    ranges_find_sort_and_limit: keys::ranges;
    puts_and_deletions_count_revisions: keys::writes;
    compaction_ends_the_past: keys::compaction;
    transactions_are_judged_first_and_whole: txns::suite;
    watches_lose_and_repeat_nothing: watches::suite;
    leases_end_with_their_keys: leases::suite;
    operators_see_what_is_there: maintenance::suite;
    a_page_and_a_service_say_whether_it_is_healthy: health::suite;
    locks_and_elections_go_in_turn: queues::suite;
}
