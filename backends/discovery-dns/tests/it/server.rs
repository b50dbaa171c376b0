//! A name server with the records that a test gives it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio_util::task::TaskTracker;

/// A name server on a free port; stops answering when the test's runtime ends.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    records: Vec<Record>,
    mode: Mode,
    along: bool,
    questions: Vec<(String, RecordType)>,
}

/// How questions are answered.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Mode {
    #[default]
    Answers,
    Fails,
    IsSilent,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: socket.local_addr().unwrap(), zone: Arc::default() };
        let zone = Arc::clone(&server.zone);
        TaskTracker::new().spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let answer = zone.lock().unwrap().answer(question);
                if let Some(answer) = answer {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        server
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.zone.lock().unwrap().mode = mode;
    }

    /// Sends the addresses of targets along with SRV records, as Consul does.
    pub(crate) fn send_along(&self) {
        self.zone.lock().unwrap().along = true;
    }

    pub(crate) fn add(&self, name: &str, ttl: u32, data: RData) {
        let record = Record::from_rdata(Name::from_str(name).unwrap(), ttl, data);
        self.zone.lock().unwrap().records.push(record);
    }

    pub(crate) fn remove(&self, name: &str, data: &RData) {
        let name = Name::from_str(name).unwrap();
        let mut zone = self.zone.lock().unwrap();
        zone.records.retain(|record| record.name != name || record.data != *data);
    }

    pub(crate) fn questions(&self) -> Vec<(String, RecordType)> {
        self.zone.lock().unwrap().questions.clone()
    }
}

impl Zone {
    fn answer(&mut self, question: Message) -> Option<Vec<u8>> {
        let query = question.queries[0].clone();
        self.questions.push((query.name().to_string(), query.query_type()));
        let mut answer = question;
        answer.metadata.message_type = MessageType::Response;
        answer.additionals.clear();
        match self.mode {
            Mode::IsSilent => return None,
            Mode::Fails => answer.metadata.response_code = ResponseCode::ServFail,
            Mode::Answers => {
                let is_asked = |record: &&Record| {
                    record.name == *query.name() && record.record_type() == query.query_type()
                };
                let found: Vec<Record> = self.records.iter().filter(is_asked).cloned().collect();
                if !self.records.iter().any(|record| record.name == *query.name()) {
                    answer.metadata.response_code = ResponseCode::NXDomain;
                }
                if self.along && query.query_type() == RecordType::SRV {
                    let others =
                        self.records.iter().filter(|it| it.record_type() != RecordType::SRV);
                    answer.additionals = others.cloned().collect();
                }
                answer.answers = found;
            }
        }
        Some(answer.to_vec().unwrap())
    }
}

pub(crate) fn ip(address: &str) -> RData {
    match address.parse().unwrap() {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    }
}

pub(crate) fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData {
    let target = Name::from_str(target).unwrap();
    RData::SRV(SRV::new(priority, weight, port, target))
}
