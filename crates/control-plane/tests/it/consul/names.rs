//! Names over DNS, asked by a client of our own and by `dig`.

use std::process::Command;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::Target;
use crate::server::LIMIT;

pub(super) async fn suite(target: &Target) {
    passing_instances_are_answered_by_name_and_tag(target).await;
    srv_records_say_port_weight_and_target(target).await;
    only_what_passes_is_answered(target).await;
    nodes_and_addresses_have_names(target).await;
    what_is_not_there_is_told_from_what_has_no_such_record(target).await;
    many_instances_are_cut_over_udp_and_whole_over_tcp(target).await;
    dig_reads_the_answers(target).await;
}

async fn passing_instances_are_answered_by_name_and_tag(target: &Target) {
    for (id, address, tag) in [("w1", "10.0.0.1", "Blue"), ("w2", "10.0.0.2", "v1.2")] {
        let body = format!(
            r#"{{"name":"web","id":"{id}","address":"{address}","port":80,"tags":["{tag}"]}}"#
        );
        target.done("/v1/agent/service/register", &body).await;
    }
    let six = r#"{"name":"web","id":"w6","address":"2001:db8::1","port":81}"#;
    target.done("/v1/agent/service/register", six).await;
    target
        .until("/v1/catalog/service/web", |all| all.as_array().is_some_and(|all| all.len() == 3))
        .await;
    for (name, kind, wanted) in [
        ("web.service.consul.", RecordType::A, &["10.0.0.1", "10.0.0.2"][..]),
        ("WEB.Service.dc1.Consul.", RecordType::A, &["10.0.0.1", "10.0.0.2"]),
        ("web.service.consul.", RecordType::AAAA, &["2001:db8::1"]),
        ("blue.web.service.consul.", RecordType::A, &["10.0.0.1"]),
        ("v1.2.web.service.consul.", RecordType::A, &["10.0.0.2"]),
        ("_web._tcp.service.consul.", RecordType::A, &["10.0.0.1", "10.0.0.2"]),
        ("_web._blue.service.consul.", RecordType::A, &["10.0.0.1"]),
    ] {
        let answer = ask(target, name, kind).await;
        assert_eq!(addresses(&answer), wanted, "{name}");
        assert!(answer.authoritative);
        // The question's own spelling.
        assert!(answer.answers.iter().all(|record| record.name.to_ascii() == name));
        assert!(answer.answers.iter().all(|record| record.ttl == 0));
    }
}

async fn srv_records_say_port_weight_and_target(target: &Target) {
    let body = r#"{"name":"srv","id":"s1","address":"10.0.0.3","port":83,
        "weights":{"passing":7,"warning":1}}"#;
    target.done("/v1/agent/service/register", body).await;
    target.done("/v1/agent/service/register", r#"{"name":"bare","port":84}"#).await;
    let host = r#"{"name":"host","address":"db.example.org","port":85}"#;
    target.done("/v1/agent/service/register", host).await;
    target.until("/v1/catalog/service/host", |found| found[0].is_object()).await;
    let answer = ask(target, "_srv._tcp.service.consul.", RecordType::SRV).await;
    let RData::SRV(srv) = &answer.answers[0].data else { panic!("{answer}") };
    assert_eq!((srv.priority, srv.weight, srv.port), (1, 7, 83));
    assert_eq!(srv.target.to_ascii(), "0a000003.addr.dc1.consul.");
    assert_eq!(answer.additionals[0].name, srv.target);
    let along = ask(target, "0a000003.addr.dc1.consul.", RecordType::A).await;
    assert_eq!(addresses(&along), ["10.0.0.3"]);
    let answer = ask(target, "bare.service.consul.", RecordType::SRV).await;
    let RData::SRV(srv) = &answer.answers[0].data else { panic!("{answer}") };
    assert_eq!(srv.target.to_ascii(), format!("{}.node.dc1.consul.", target.node));
    let answer = ask(target, "host.service.consul.", RecordType::SRV).await;
    let RData::SRV(srv) = &answer.answers[0].data else { panic!("{answer}") };
    assert_eq!(srv.target.to_ascii(), "db.example.org.");
    let answer = ask(target, "host.service.consul.", RecordType::A).await;
    let RData::CNAME(alias) = &answer.answers[0].data else { panic!("{answer}") };
    assert_eq!(alias.0.to_ascii(), "db.example.org.");
}

async fn only_what_passes_is_answered(target: &Target) {
    let body = r#"{"name":"sick","address":"10.0.0.4","check":{"ttl":"1h","status":"passing"}}"#;
    target.done("/v1/agent/service/register", body).await;
    target.until("/v1/health/service/sick?passing", |found| found[0].is_object()).await;
    let answer = ask(target, "sick.service.consul.", RecordType::A).await;
    assert_eq!(addresses(&answer), ["10.0.0.4"]);
    target.done("/v1/agent/check/fail/service:sick", "").await;
    target.until("/v1/health/service/sick?passing", |found| found[0].is_null()).await;
    let answer = ask(target, "sick.service.consul.", RecordType::A).await;
    assert_eq!((answer.response_code, answer.answers.len()), (ResponseCode::NXDomain, 0));
}

async fn nodes_and_addresses_have_names(target: &Target) {
    let body = r#"{"node":"Ext-1","address":"10.9.9.9","nodemeta":{"k":"v"},
        "service":{"service":"ext","port":1}}"#;
    target.done("/v1/catalog/register", body).await;
    for name in ["ext-1.node.consul.", "EXT-1.node.dc1.consul."] {
        assert_eq!(addresses(&ask(target, name, RecordType::A).await), ["10.9.9.9"]);
    }
    let texts = ask(target, "ext-1.node.consul.", RecordType::TXT).await;
    assert_eq!(texts.answers[0].data.to_string(), "k=v");
    let reverse = ask(target, "9.9.9.10.in-addr.arpa.", RecordType::PTR).await;
    let RData::PTR(name) = &reverse.answers[0].data else { panic!("{reverse}") };
    assert_eq!(name.0.to_ascii(), "Ext-1.node.dc1.consul.");
    let soa = ask(target, "consul.", RecordType::SOA).await;
    assert_eq!(soa.answers[0].record_type(), RecordType::SOA);
}

async fn what_is_not_there_is_told_from_what_has_no_such_record(target: &Target) {
    for name in [
        "none.service.consul.",
        "green.web.service.consul.",
        "none.node.consul.",
        "web.service.dc2.consul.",
        "web.nonsense.consul.",
        "service.consul.",
    ] {
        let answer = ask(target, name, RecordType::A).await;
        assert_eq!(answer.response_code, ResponseCode::NXDomain, "{name}");
        assert_eq!(answer.authorities[0].record_type(), RecordType::SOA, "{name}");
    }
    let answer = ask(target, "srv.service.consul.", RecordType::AAAA).await;
    assert_eq!((answer.response_code, answer.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(answer.authorities[0].record_type(), RecordType::SOA);
    let answer = ask(target, "example.org.", RecordType::A).await;
    assert_eq!((answer.response_code, answer.answers.len()), (ResponseCode::Refused, 0));
}

async fn many_instances_are_cut_over_udp_and_whole_over_tcp(target: &Target) {
    for number in 1..=60 {
        let body = format!(
            r#"{{"name":"big","id":"b{number}","address":"10.1.0.{number}","port":{number}}}"#
        );
        target.done("/v1/agent/service/register", &body).await;
    }
    target
        .until("/v1/catalog/service/big", |all| all.as_array().is_some_and(|all| all.len() == 60))
        .await;
    let question = question("big.service.consul.", RecordType::A, None);
    let plain = over_udp(&target.dns, &question).await;
    assert!(plain.len() <= 512, "{}", plain.len());
    let whole = Message::from_vec(&over_tcp(&target.dns, &question).await).unwrap();
    assert_eq!((whole.answers.len(), whole.truncation), (60, false));
    let again = Message::from_vec(&over_tcp(&target.dns, &question).await).unwrap();
    assert_ne!(whole.answers, again.answers, "sixty are shuffled alike once in 10^81 times");
}

async fn dig_reads_the_answers(target: &Target) {
    let (host, port) = target.dns.rsplit_once(':').unwrap();
    let dig = |arguments: &[&str]| {
        let mut command = Command::new("dig");
        command.arg(format!("@{host}")).args(["-p", port, "+short", "+tries=1"]).args(arguments);
        let output = command.output().expect("dig is installed; `apt-get install bind9-dnsutils`");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(dig(&["web.service.consul"]), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(dig(&["srv.service.consul", "SRV"]), ["1 7 83 0a000003.addr.dc1.consul."]);
    assert_eq!(dig(&["big.service.consul", "+tcp"]).len(), 60);
    // Cut over UDP, dig asks again over TCP by itself.
    assert!(!dig(&["big.service.consul", "+bufsize=512"]).is_empty());
    assert_eq!(dig(&["-x", "10.9.9.9"]), ["Ext-1.node.dc1.consul."]);
}

async fn ask(target: &Target, name: &str, kind: RecordType) -> Message {
    let question = question(name, kind, Some(1232));
    Message::from_vec(&over_udp(&target.dns, &question).await).unwrap()
}

fn question(name: &str, kind: RecordType, size: Option<u16>) -> Vec<u8> {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if let Some(size) = size {
        let mut edns = Edns::new();
        edns.set_max_payload(size);
        message.set_edns(edns);
    }
    message.to_vec().unwrap()
}

async fn over_udp(server: &str, question: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(question, server).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let received = tokio::time::timeout(LIMIT, socket.recv(&mut buffer)).await;
    buffer.truncate(received.expect("an answer in time").unwrap());
    buffer
}

async fn over_tcp(server: &str, question: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_u16(u16::try_from(question.len()).unwrap()).await.unwrap();
    stream.write_all(question).await.unwrap();
    let length = tokio::time::timeout(LIMIT, stream.read_u16()).await.expect("in time").unwrap();
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

fn addresses(answer: &Message) -> Vec<String> {
    let mut found: Vec<_> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    found.sort();
    found
}
