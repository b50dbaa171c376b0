//! An idle control plane's answers, for the fuzz target of packets.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::{Found, Transport, Zone, respond};
use crate::access::Rules;
use crate::registry::{State, bootstrap};

/// Answers a packet as the DNS interface of an idle control plane would.
#[must_use]
pub fn answer_idle(packet: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
    let mut state = State::default();
    let rows = bootstrap(&state, "node", "127.0.0.1", "id", 1);
    state.apply(&rows, 1);
    let zone = Zone { datacenter: "dc1".to_owned(), node: "node".to_owned() };
    let transport = if over_tcp { Transport::Tcp } else { Transport::Udp };
    let mut random = SmallRng::seed_from_u64(7);
    respond(packet, transport, |query| {
        let question = (query.name(), query.query_type());
        let rules = Rules::management();
        let found = Found::find(&state, &zone.asked(query.name()), &zone.node, &rules);
        zone.reply(found, question, 1, transport.most_records(), &mut random)
    })
}
