//! Keys and services from one Consul to another, of which either may be ours.

mod server;

mod keys;
mod names;

mod external;
mod form;
mod registered;

use server::Server;

use super::{Report, Transfer, TransferError};

pub(super) async fn copy(transfer: &Transfer) -> Result<Report, TransferError> {
    let from = Server::connect(transfer, &transfer.from).await?;
    let to = Server::connect(transfer, &transfer.to).await?;
    let mut report = Report::default();
    keys::copy(transfer, &from, &to, &mut report).await?;
    // With a prefix, keys are meant.
    if transfer.prefix.is_empty() {
        external::copy(transfer, &from, &to, &mut report).await?;
        registered::copy(transfer, &from, &to, &mut report).await?;
    }
    Ok(report)
}
