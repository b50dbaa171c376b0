//! etcd's service KV.

use prost::Message;
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::kv_server::Kv;
use tonic::{Request, Response, Status};

use super::app::App;
use super::status::{failed, rejected, too_large};
use super::wire;
use crate::access::Level;
use crate::kv::{At, Operation, Reply, StoreError};

/// Reads and writes keys.
#[derive(Clone, Debug)]
pub(crate) struct KvService(pub(crate) App);

impl KvService {
    fn check_size(&self, request: &impl Message) -> Result<(), Status> {
        match request.encoded_len() > self.0.bounds.request_bytes {
            true => Err(too_large()),
            false => Ok(()),
        }
    }

    async fn operation(&self, operation: Operation) -> Result<Reply, StoreError> {
        let done = self.0.store.write(move |transition| transition.operation(operation)).await?;
        Ok(done.value)
    }
}

#[tonic::async_trait]
impl Kv for KvService {
    async fn range(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<pb::RangeResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let query = wire::query(request.into_inner()).map_err(rejected)?;
        self.0.check_range(&caller, &query.range, Level::Read)?;
        let At { revision, value } = self.0.store.query(&query).map_err(rejected)?;
        Ok(Response::new(wire::range_response(self.0.header(revision), value)))
    }

    async fn put(
        &self,
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        self.check_size(request.get_ref())?;
        let caller = self.0.caller(&request)?;
        let put = Operation::Put(wire::put(request.into_inner()).map_err(rejected)?);
        self.0.check_operation(&caller, &put)?;
        match self.operation(put).await.map_err(failed)? {
            Reply::Put { revision, previous } => {
                Ok(Response::new(wire::put_response(self.0.header(revision), previous)))
            }
            _ => unreachable!("a put is answered as a put"),
        }
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let delete = Operation::Delete(wire::delete(request.into_inner()).map_err(rejected)?);
        self.0.check_operation(&caller, &delete)?;
        match self.operation(delete).await.map_err(failed)? {
            Reply::Delete { revision, deleted, previous } => {
                let header = self.0.header(revision);
                Ok(Response::new(wire::delete_response(header, deleted, previous)))
            }
            _ => unreachable!("a deletion is answered as a deletion"),
        }
    }

    async fn txn(
        &self,
        request: Request<pb::TxnRequest>,
    ) -> Result<Response<pb::TxnResponse>, Status> {
        self.check_size(request.get_ref())?;
        let caller = self.0.caller(&request)?;
        let txn = wire::txn(request.into_inner()).map_err(rejected)?;
        self.0.check_txn(&caller, &txn)?;
        let done = self.0.store.write(move |transition| transition.txn(&txn)).await;
        let reply = done.map_err(failed)?.value;
        let header = self.0.header(reply.revision);
        Ok(Response::new(wire::txn_response(header, reply)))
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        // Ends the past of everybody's keys.
        self.0.check_management(&self.0.caller(&request)?)?;
        // What is dropped is dropped before the answer, whether `physical` asks for it or not.
        let revision = request.into_inner().revision;
        let done = self.0.store.write(move |transition| transition.compact(revision)).await;
        let header = self.0.header(done.map_err(failed)?.revision);
        Ok(Response::new(pb::CompactionResponse { header }))
    }
}
