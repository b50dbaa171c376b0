//! The user-service, over gRPC.

use async_trait::async_trait;
use regatta::client::Channel;
use regatta_proto::userservice::GetUserRequest;
use regatta_proto::userservice::user_service_client::UserServiceClient;
use tonic::Code;

use crate::domain::{Directory, PeerError, UserId};

const NAME: &str = "user-service";

/// The user-service as a directory of users.
#[derive(Clone)]
pub struct UserService {
    client: UserServiceClient<Channel>,
}

impl UserService {
    /// Asks over this channel.
    pub fn new(channel: Channel) -> Self {
        // It only reads.
        Self { client: UserServiceClient::new(channel.idempotent()) }
    }
}

#[async_trait]
impl Directory for UserService {
    async fn knows(&self, user: UserId) -> Result<bool, PeerError> {
        let mut client = self.client.clone();
        match client.get_user(GetUserRequest { user_id: user.number() }).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(match status.code() {
                Code::Unavailable
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                | Code::Aborted
                | Code::Cancelled => {
                    PeerError::Unavailable { service: NAME, source: status.into() }
                }
                _ => PeerError::Broken { service: NAME, source: status.into() },
            }),
        }
    }
}
