//! Connections to the endpoints, and who we are to them.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regatta_config::center::CenterError;
use regatta_core::Secret;
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::auth_client::AuthClient;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Response, Status};

use crate::address::Address;
use crate::status::{self, is_stale_token, is_unavailable};
use crate::{InvalidOptions, Options};

/// Largest answer: the limit of a listing bounds its keys, this its bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Connections to the endpoints; one of them is used until it fails.
#[derive(Debug)]
pub(crate) struct Link {
    channels: Vec<Channel>,
    current: AtomicUsize,
    /// For messages.
    address: String,
    user: Option<(String, Secret)>,
    token: Mutex<Option<AsciiMetadataValue>>,
    request_timeout: Duration,
}

impl Link {
    /// Connects to nothing yet.
    pub(crate) fn try_new(url: &str, options: &Options) -> Result<Self, InvalidOptions> {
        let Address { endpoints, is_tls, user } = Address::parse(url)?;
        for (name, value) in [
            ("connect_timeout", options.connect_timeout),
            ("request_timeout", options.request_timeout),
            ("keep_alive", options.keep_alive),
        ] {
            if value.is_zero() {
                return Err(InvalidOptions::Zero { name });
            }
        }
        let user = match (user, &options.user, &options.password) {
            (Some(user), ..) => Some(user),
            (None, Some(name), Some(password)) => Some((name.clone(), password.clone())),
            (None, None, None) => None,
            (None, ..) => return Err(InvalidOptions::HalfUser),
        };
        let tls = if is_tls { Some(tls(options)?) } else { None };
        let scheme = if is_tls { "https" } else { "http" };
        let mut channels = Vec::new();
        for endpoint in &endpoints {
            let invalid = || InvalidOptions::Endpoint { endpoint: endpoint.to_string() };
            let channel = Endpoint::from_shared(format!("{scheme}://{endpoint}"));
            let mut channel = channel
                .map_err(|_| invalid())?
                .connect_timeout(options.connect_timeout)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(options.keep_alive)
                .keep_alive_timeout(options.keep_alive)
                .keep_alive_while_idle(true);
            if let Some(tls) = &tls {
                channel = channel.tls_config(tls.clone()).map_err(|error| {
                    InvalidOptions::Certificates {
                        message: regatta_core::Chain(&error).to_string(),
                    }
                })?;
            }
            channels.push(channel.connect_lazy());
        }
        let names: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
        Ok(Self {
            channels,
            current: AtomicUsize::new(0),
            address: names.join(","),
            user,
            token: Mutex::default(),
            request_timeout: options.request_timeout,
        })
    }

    /// Where it goes, for messages.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A call whose repetition does no harm: goes on to the next endpoint where one does not answer.
    pub(crate) async fn read<Q: Clone, A, F>(
        &self,
        message: Q,
        asked: u64,
        call: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A, CenterError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.call(message, asked, self.channels.len(), call).await
    }

    /// A call that is made once.
    pub(crate) async fn write<Q: Clone, A, F>(
        &self,
        message: Q,
        call: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A, CenterError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.call(message, 0, 1, call).await
    }

    async fn call<Q: Clone, A, F>(
        &self,
        message: Q,
        asked: u64,
        mut tries: usize,
        call: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A, CenterError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut has_logged_in = false;
        loop {
            let (index, channel) = self.channel();
            let answer = match self.request(&channel, message.clone()).await {
                Ok(request) => self.in_time(call(channel, request)).await,
                Err(status) => Err(status),
            };
            let status = match answer {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => status,
            };
            if is_stale_token(&status) && self.user.is_some() && !has_logged_in {
                // Tokens end with time, and with the member that gave them.
                has_logged_in = true;
                self.forget_token();
                continue;
            }
            tries = tries.saturating_sub(1);
            if is_unavailable(&status) {
                self.go_on(index);
                if tries > 0 {
                    continue;
                }
            }
            return Err(status::error(status, &self.address, asked));
        }
    }

    /// The endpoint in use, and its place among them.
    pub(crate) fn channel(&self) -> (usize, Channel) {
        // Any of them is right, so the order of these reads and writes does not matter.
        let index = self.current.load(Relaxed) % self.channels.len();
        (index, self.channels[index].clone())
    }

    /// Leaves an endpoint, unless another call did already.
    pub(crate) fn go_on(&self, from: usize) {
        let next = (from + 1) % self.channels.len();
        let _raced = self.current.compare_exchange(from, next, Relaxed, Relaxed);
    }

    /// A request that says who we are; logs in where that is needed.
    pub(crate) async fn request<Q>(
        &self,
        channel: &Channel,
        message: Q,
    ) -> Result<Request<Q>, Status> {
        let mut request = Request::new(message);
        if let Some((name, password)) = &self.user {
            let known = self.token().clone();
            let token = match known {
                Some(token) => token,
                None => self.log_in(channel, name, password).await?,
            };
            request.metadata_mut().insert("token", token);
        }
        Ok(request)
    }

    async fn log_in(
        &self,
        channel: &Channel,
        name: &str,
        password: &Secret,
    ) -> Result<AsciiMetadataValue, Status> {
        let (name, password) = (name.to_owned(), password.expose().to_owned());
        let login = pb::AuthenticateRequest { name, password };
        let mut client = AuthClient::new(channel.clone());
        let answer = self.in_time(client.authenticate(login)).await?.into_inner();
        let mut token: AsciiMetadataValue =
            answer.token.parse().map_err(|_| Status::internal("the token is no text"))?;
        token.set_sensitive(true);
        *self.token() = Some(token.clone());
        Ok(token)
    }

    pub(crate) async fn in_time<A>(
        &self,
        call: impl Future<Output = Result<A, Status>>,
    ) -> Result<A, Status> {
        let late = |_| {
            let text = format!("no answer within {:?}", self.request_timeout);
            Err(Status::deadline_exceeded(text))
        };
        tokio::time::timeout(self.request_timeout, call).await.unwrap_or_else(late)
    }

    /// Whether it logs in.
    pub(crate) fn has_user(&self) -> bool {
        self.user.is_some()
    }

    /// Logs in anew with the next call.
    pub(crate) fn forget_token(&self) {
        *self.token() = None;
    }

    fn token(&self) -> MutexGuard<'_, Option<AsciiMetadataValue>> {
        // Replaced as a whole.
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tls(options: &Options) -> Result<ClientTlsConfig, InvalidOptions> {
    let ca = options.ca_pem.as_ref().ok_or(InvalidOptions::NoCa)?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    match (&options.cert_pem, &options.key_pem) {
        (None, None) => Ok(tls),
        (Some(cert), Some(key)) => Ok(tls.identity(Identity::from_pem(cert, key.expose()))),
        _ => Err(InvalidOptions::HalfIdentity),
    }
}
