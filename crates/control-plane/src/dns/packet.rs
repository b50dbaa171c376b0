//! Questions as bytes to answers as bytes, of bounded size.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Record, RecordType};

use super::Reply;
use super::zone::Answer;

/// A message's head (RFC 1035, 4.1.1).
const HEAD: usize = 12;
/// The largest answer over UDP to a question that names no size (RFC 1035, 2.3.4).
const PLAIN_UDP: usize = 512;
/// The largest answer over UDP that is sent to whoever asks for more: what loopback and most
/// networks carry, if in fragments. Consul's resolver library has the same.
const MOST_UDP: usize = 4096;
/// What TCP's two bytes of length can say.
const MOST_TCP: usize = 65_535;
/// No record is encoded in less: a pointer, type, class, time to live, length.
const LEAST_RECORD: usize = 12;

/// How a question came, which bounds its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    /// More records than fit, so that what is left out is told.
    pub(crate) fn most_records(self) -> usize {
        match self {
            Self::Udp => MOST_UDP / LEAST_RECORD + 1,
            Self::Tcp => MOST_TCP / LEAST_RECORD + 1,
        }
    }
}

/// Answers one packet; none if it is no question, so that two servers never talk to each other.
pub(crate) fn respond(
    packet: &[u8],
    transport: Transport,
    answer: impl FnOnce(&Query) -> Reply,
) -> Option<Vec<u8>> {
    let head = packet.first_chunk::<HEAD>()?;
    let (id, is_answer) = (u16::from_be_bytes([head[0], head[1]]), head[2] & 0x80 != 0);
    if is_answer {
        return None;
    }
    let op_code = OpCode::from_u8((head[2] >> 3) & 0x0f);
    let refuse = |code| Message::error_msg(id, op_code, code).to_vec().ok();
    if op_code != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    // Before the decoder, which makes room for as many as the head claims.
    let counts = [4, 6, 8, 10].map(|at| u16::from_be_bytes([head[at], head[at + 1]]));
    if counts[0] != 1 || counts[1] != 0 || counts[2] != 0 || counts[3] > 2 {
        return refuse(ResponseCode::FormErr);
    }
    let Ok(question) = Message::from_vec(packet) else { return refuse(ResponseCode::FormErr) };
    let Some(query) = question.queries.first() else { return refuse(ResponseCode::FormErr) };
    let reply = match (question.version(), query.query_class(), query.query_type()) {
        (1.., _, _) => Reply::refused(ResponseCode::BADVERS),
        (_, _, RecordType::AXFR | RecordType::IXFR) => Reply::refused(ResponseCode::Refused),
        (_, DNSClass::IN | DNSClass::ANY, _) => answer(query),
        _ => Reply::refused(ResponseCode::Refused),
    };
    let most = match transport {
        Transport::Udp => usize::from(question.max_payload()).clamp(PLAIN_UDP, MOST_UDP),
        Transport::Tcp => MOST_TCP,
    };
    encode(&question, reply, most)
}

/// The reply in at most so many bytes: addresses that go along are left out first, then answers, of
/// which the truncation bit tells.
fn encode(question: &Message, reply: Reply, most: usize) -> Option<Vec<u8>> {
    let mut message = Message::response(question.id, OpCode::Query);
    message.metadata.message_type = MessageType::Response;
    message.metadata.response_code = reply.code;
    message.metadata.recursion_desired = question.recursion_desired;
    message.metadata.authoritative =
        [ResponseCode::NoError, ResponseCode::NXDomain].contains(&reply.code);
    message.add_queries(question.queries.iter().cloned());
    message.add_authorities(reply.authority);
    if question.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(u16::try_from(MOST_UDP).unwrap_or(u16::MAX));
        message.set_edns(edns);
    }
    let all = reply.answers.len();
    let mut sized = |count: usize, is_along: bool| {
        let answers = &reply.answers[..count];
        message.answers = answers.iter().map(|answer| answer.record.clone()).collect();
        message.additionals = if is_along { along(answers) } else { Vec::new() };
        message.metadata.truncation = count < all;
        message.to_vec().ok().filter(|bytes| bytes.len() <= most)
    };
    let whole =
        (all <= most / LEAST_RECORD).then(|| sized(all, true).or_else(|| sized(all, false)));
    if let Some(whole) = whole.flatten() {
        return Some(whole);
    }
    // The most that fit, by halving: how well names are compressed is not known before.
    let (mut fits, mut too_many) = (0, all.min(most / LEAST_RECORD) + 1);
    let mut best = sized(0, false);
    while too_many - fits > 1 {
        let middle = fits.midpoint(too_many);
        match sized(middle, false) {
            Some(bytes) => (fits, best) = (middle, Some(bytes)),
            None => too_many = middle,
        }
    }
    best
}

/// The addresses that go along with these answers, each once.
fn along(answers: &[Answer]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for record in answers.iter().flat_map(|answer| &answer.along) {
        if seen.insert(&record.name) {
            records.push(record.clone());
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name, RData};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_answer_has_its_question_and_is_whole() {
        let answer = ask(&question(None), Transport::Udp, 2).unwrap();
        assert_eq!((answer.id, answer.message_type), (7, MessageType::Response));
        assert_eq!(answer.queries[0].name().to_ascii(), "Web.service.consul.");
        assert_eq!((answer.answers.len(), answer.additionals.len()), (2, 2));
        assert!(answer.authoritative && answer.recursion_desired && !answer.truncation);
        assert!(answer.edns.is_none());
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_told() {
        let length = |packet: &[u8], transport, count| {
            respond(packet, transport, |query| reply(query, count)).unwrap().len()
        };
        for (size, most) in [(None, 512), (Some(1232), 1232), (Some(60_000), MOST_UDP)] {
            let packet = question(size);
            let answer = ask(&packet, Transport::Udp, 1000).unwrap();
            assert!(answer.truncation && answer.additionals.is_empty());
            // An answer takes 16 bytes, or 34 with its name in full; one more would not have fitted.
            let length = length(&packet, Transport::Udp, 1000);
            assert!(length <= most && length + 34 > most, "{length} of {most}");
            assert_eq!(answer.edns.is_some(), size.is_some());
        }
        let answer = ask(&question(None), Transport::Tcp, 1000).unwrap();
        assert_eq!((answer.answers.len(), answer.truncation), (1000, false));
        let answer = ask(&question(None), Transport::Tcp, 10_000).unwrap();
        assert!(answer.truncation && answer.answers.len() > 1900);
        assert!(length(&question(None), Transport::Tcp, 10_000) <= MOST_TCP);
    }

    #[test]
    fn addresses_along_go_before_answers_do() {
        // Twenty answers take 320 bytes, with their addresses 640.
        let answer = ask(&question(None), Transport::Udp, 20).unwrap();
        assert_eq!((answer.answers.len(), answer.additionals.len()), (20, 0));
        assert!(!answer.truncation);
    }

    #[test]
    fn what_is_no_question_is_refused_or_left_unanswered() {
        assert_eq!(respond(&[0; 11], Transport::Udp, |_| unreachable!()), None);
        let mut answered = question(None);
        answered[2] |= 0x80;
        assert_eq!(respond(&answered, Transport::Udp, |_| unreachable!()), None);
        let code = |change: fn(&mut Vec<u8>)| {
            let mut packet = question(None);
            change(&mut packet);
            let answer = respond(&packet, Transport::Udp, |_| unreachable!()).unwrap();
            Message::from_vec(&answer).unwrap().response_code
        };
        assert_eq!(code(|packet| packet[2] |= 0x28), ResponseCode::NotImp);
        assert_eq!(code(|packet| packet[5] = 2), ResponseCode::FormErr);
        assert_eq!(code(|packet| packet[4..6].fill(255)), ResponseCode::FormErr);
        assert_eq!(code(|packet| packet[7] = 1), ResponseCode::FormErr);
        assert_eq!(code(|packet| packet.truncate(20)), ResponseCode::FormErr);
        let last = |packet: &mut Vec<u8>, byte| *packet.last_mut().unwrap() = byte;
        assert_eq!(code(|packet| *packet.last_mut().unwrap() = 3), ResponseCode::Refused);
        let mut transfer = question(None);
        let at = transfer.len() - 3;
        transfer[at] = 252;
        last(&mut transfer, 1);
        let answer = respond(&transfer, Transport::Tcp, |_| unreachable!()).unwrap();
        assert_eq!(Message::from_vec(&answer).unwrap().response_code, ResponseCode::Refused);
    }

    #[test]
    fn a_later_version_of_the_extension_is_told_so() {
        let mut question = Message::from_vec(&question(Some(1232))).unwrap();
        question.edns.as_mut().unwrap().set_version(1);
        let packet = question.to_vec().unwrap();
        let answer = respond(&packet, Transport::Udp, |_| unreachable!()).unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        // The same number means a bad signature where there is one.
        assert_eq!(u16::from(answer.response_code), u16::from(ResponseCode::BADVERS));
    }

    proptest! {
        #[test]
        fn any_packet_is_answered_in_bounds_or_not_at_all(packet: Vec<u8>, head in any::<bool>()) {
            let mut packet = packet;
            if head && packet.len() > HEAD {
                packet[2..HEAD].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            }
            if let Some(answer) = respond(&packet, Transport::Udp, |query| reply(query, 100)) {
                prop_assert!(answer.len() <= MOST_UDP);
                prop_assert_eq!(&answer[..2], &packet[..2]);
            }
        }
    }

    fn ask(packet: &[u8], transport: Transport, count: u32) -> Option<Message> {
        let answer = respond(packet, transport, |query| reply(query, count))?;
        Some(Message::from_vec(&answer).unwrap())
    }

    fn reply(query: &Query, count: u32) -> Reply {
        let record = |name: &Name, n| {
            Record::from_rdata(name.clone(), 0, RData::A(A(Ipv4Addr::from_bits(n))))
        };
        let along = |n: u32| Name::from_ascii(format!("{n}.consul.")).unwrap();
        let answer =
            |n| Answer { record: record(query.name(), n), along: vec![record(&along(n), n)] };
        let answers = (0..count).map(answer).collect();
        Reply { code: ResponseCode::NoError, answers, authority: None }
    }

    /// `Web.service.consul` A, with this size in an extension if there is one.
    fn question(size: Option<u16>) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        let name = Name::from_ascii("Web.service.consul.").unwrap();
        message.add_query(Query::query(name, RecordType::A));
        if let Some(size) = size {
            let mut edns = Edns::new();
            edns.set_max_payload(size);
            message.set_edns(edns);
        }
        message.to_vec().unwrap()
    }
}
