//! Users over gRPC, as the other services see them.

use std::sync::Arc;

use regatta::Problem;
use regatta_proto::userservice::user_service_server::{UserService, UserServiceServer};
use regatta_proto::userservice::{
    CreateUserRequest, CreateUserResponse, GetUserRequest, GetUserResponse,
};
use tonic::{Request, Response, Status};

use super::problem::{Violations, no_user};
use super::wire::UserFields;
use crate::domain::{UserId, Users};

/// The gRPC service over this store.
pub fn server(users: Arc<dyn Users>) -> UserServiceServer<Server> {
    UserServiceServer::new(Server { users })
}

/// Answers `userservice.UserService`.
pub struct Server {
    users: Arc<dyn Users>,
}

#[tonic::async_trait]
impl UserService for Server {
    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let id = UserId::try_new(request.get_ref().user_id.into()).map_err(Violations::from)?;
        let user = self.users.get(id).await.map_err(Problem::from)?.ok_or_else(|| no_user(id))?;
        Ok(Response::new(GetUserResponse {
            user_id: user.id.number(),
            name: user.name.as_str().to_owned(),
            email: user.email.as_str().to_owned(),
        }))
    }

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let CreateUserRequest { name, email } = request.into_inner();
        let user = UserFields { name, email }.check()?;
        let user = self.users.create(user).await.map_err(Problem::from)?;
        Ok(Response::new(CreateUserResponse {
            user_id: user.id.number(),
            status: "created".to_owned(),
        }))
    }
}
