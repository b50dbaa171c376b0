//! Keys from one etcd to another, of which either may be ours.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::auth_client::AuthClient;
use regatta_proto::etcdserverpb::kv_client::KvClient;
use regatta_proto::etcdserverpb::request_op::Request;
use regatta_proto::mvccpb::KeyValue;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Code, Status};

use super::plan::Step;
use super::{Endpoint, Report, Transfer, TransferError};
use crate::client_tls::Pems;
use crate::kv::KeyRange;

/// Keys in one answer: with values as large as they may be, still no endless message.
const PAGE: i64 = 500;
/// Puts in one transaction: under etcd's limit of 128.
const PUTS: usize = 100;
/// Bytes in one transaction: under etcd's limit of 1.5 MiB for a request.
const PUT_BYTES: usize = 1 << 20;
/// How long a server may take to accept a connection, and to answer one request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);

/// One server.
struct Server {
    endpoint: Endpoint,
    kv: KvClient<Channel>,
    token: Option<MetadataValue<Ascii>>,
    /// Whether it has answered once, as an etcd does.
    has_answered: AtomicBool,
}

pub(super) async fn copy(transfer: &Transfer) -> Result<Report, TransferError> {
    let from = Server::connect(transfer, &transfer.from).await?;
    let to = Server::connect(transfer, &transfer.to).await?;
    let range = KeyRange::prefix(transfer.prefix.clone().into());
    let end = range.end().cloned().unwrap_or(Bytes::from_static(b"\0"));
    // An empty key is no key; the first that there can be is one zero byte.
    let mut next = match transfer.prefix.is_empty() {
        true => Bytes::from_static(b"\0"),
        false => range.start().clone(),
    };
    let (mut report, mut revision, mut puts) = (Report::default(), 0, Puts::default());
    loop {
        let page = from.page(next.clone(), end.clone(), revision).await?;
        // Every page shows the same moment.
        if let (0, Some(header)) = (revision, page.header) {
            revision = header.revision;
        }
        let Some(last) = page.kvs.last() else { break };
        let there = to.values(next, after(&last.key), &page.kvs).await?;
        next = after(&last.key);
        for kv in page.kvs {
            if kv.lease != 0 {
                report.leave();
                continue;
            }
            let step = report.keys.decide(&kv.value, there.get(&kv.key), transfer.keep);
            if step == Step::Write && !transfer.dry_run {
                if !puts.has_room(&kv) {
                    to.write(puts.take()).await?;
                }
                puts.add(kv);
            }
        }
        if !page.more {
            break;
        }
    }
    if !puts.operations.is_empty() {
        to.write(puts.take()).await?;
    }
    Ok(report)
}

/// Whether the server did not answer in time.
fn is_late(status: &Status) -> bool {
    let mut next = std::error::Error::source(status);
    while let Some(error) = next {
        if error.is::<tonic::TimeoutExpired>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The first key that can come after this one.
fn after(key: &Bytes) -> Bytes {
    [key, &b"\0"[..]].concat().into()
}

fn size(kv: &KeyValue) -> usize {
    kv.key.len() + kv.value.len()
}

/// Puts that are not sent yet.
#[derive(Default)]
struct Puts {
    operations: Vec<pb::RequestOp>,
    bytes: usize,
}

impl Puts {
    fn add(&mut self, kv: KeyValue) {
        self.bytes += size(&kv);
        let put = pb::PutRequest { key: kv.key, value: kv.value, ..<_>::default() };
        self.operations.push(pb::RequestOp { request: Some(Request::RequestPut(put)) });
    }

    /// A large one goes alone.
    fn has_room(&self, kv: &KeyValue) -> bool {
        let is_small = self.operations.len() < PUTS && self.bytes + size(kv) <= PUT_BYTES;
        self.operations.is_empty() || is_small
    }

    fn take(&mut self) -> Vec<pb::RequestOp> {
        self.bytes = 0;
        std::mem::take(&mut self.operations)
    }
}

impl Server {
    async fn connect(transfer: &Transfer, endpoint: &Endpoint) -> Result<Self, TransferError> {
        let unreachable = |source: tonic::transport::Error| TransferError::Unreachable {
            endpoint: endpoint.to_string(),
            source: source.into(),
        };
        let mut channel = Channel::from_shared(endpoint.url())
            .map_err(|error| TransferError::Unreachable {
                endpoint: endpoint.to_string(),
                source: error.into(),
            })?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT);
        if endpoint.has_tls() {
            let mut config = ClientTlsConfig::new();
            let Pems { ca, identity } = transfer.tls.read()?;
            if let Some(pem) = ca {
                config = config.ca_certificate(Certificate::from_pem(pem));
            }
            if let Some(own) = identity {
                config = config.identity(Identity::from_pem(own.certificate, own.key));
            }
            channel = channel.tls_config(config).map_err(unreachable)?;
        }
        let channel = channel.connect().await.map_err(unreachable)?;
        let kv = KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
        let mut server = Self {
            endpoint: endpoint.clone(),
            kv,
            token: None,
            has_answered: AtomicBool::new(false),
        };
        if let Some(secret) = &endpoint.secret {
            server.token = Some(server.log_in(channel, secret.expose()).await?);
        }
        Ok(server)
    }

    /// A user and a password give a token; without a user, the secret is one.
    async fn log_in(
        &self,
        channel: Channel,
        secret: &str,
    ) -> Result<MetadataValue<Ascii>, TransferError> {
        let token = match self.endpoint.user.as_str() {
            "" => secret.to_owned(),
            name => {
                let (name, password) = (name.to_owned(), secret.to_owned());
                let request = pb::AuthenticateRequest { name, password };
                let answer = AuthClient::new(channel).authenticate(request).await;
                answer.map_err(|status| self.refused("log in", &status))?.into_inner().token
            }
        };
        let invalid = |_| self.refused("log in", &Status::internal("its token is no text"));
        token.parse().map_err(invalid)
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }

    fn refused(&self, action: &'static str, status: &Status) -> TransferError {
        let endpoint = self.endpoint.to_string();
        match status.code() {
            Code::Unavailable => {
                TransferError::Unreachable { endpoint, source: status.clone().into() }
            }
            // It came from the connection, not from a server.
            Code::Cancelled | Code::Unknown | Code::Internal
                if std::error::Error::source(status).is_some()
                    && !is_late(status)
                    && !self.endpoint.has_tls()
                    && !self.has_answered.load(Ordering::Relaxed) =>
            {
                TransferError::NoEtcd { endpoint, source: status.clone().into() }
            }
            _ => TransferError::Refused { endpoint, action, reason: status.message().to_owned() },
        }
    }

    async fn page(
        &self,
        key: Bytes,
        range_end: Bytes,
        revision: i64,
    ) -> Result<pb::RangeResponse, TransferError> {
        let range = pb::RangeRequest { key, range_end, revision, limit: PAGE, ..<_>::default() };
        let answer = self.kv.clone().range(self.request(range)).await;
        let answer = answer.map_err(|status| self.refused("list keys", &status))?;
        // Only a hint for errors; nothing is read by it.
        self.has_answered.store(true, Ordering::Relaxed);
        Ok(answer.into_inner())
    }

    /// What is there under these keys.
    async fn values(
        &self,
        mut key: Bytes,
        range_end: Bytes,
        wanted: &[KeyValue],
    ) -> Result<HashMap<Bytes, Bytes>, TransferError> {
        let mut values = HashMap::with_capacity(wanted.len());
        loop {
            let page = self.page(key, range_end.clone(), 0).await?;
            let last = page.kvs.last().map(|last| after(&last.key));
            values.extend(page.kvs.into_iter().map(|kv| (kv.key, kv.value)));
            match last {
                Some(last) if page.more => key = last,
                _ => break,
            }
        }
        Ok(values)
    }

    async fn write(&self, success: Vec<pb::RequestOp>) -> Result<(), TransferError> {
        let txn = pb::TxnRequest { success, ..<_>::default() };
        let answer = self.kv.clone().txn(self.request(txn)).await;
        answer.map(|_| ()).map_err(|status| self.refused("write keys", &status))
    }
}
