//! etcd's service Watch: one task a stream, any number of watches on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::watch_create_request::FilterType;
use regatta_proto::etcdserverpb::watch_request::RequestUnion;
use regatta_proto::etcdserverpb::watch_server::Watch;
use tokio::sync::{Notify, mpsc};
use tonic::{Request, Response, Status, Streaming};

use super::access::Caller;
use super::app::App;
use super::fragment::fragments;
use super::wire;
use crate::access::Level;
use crate::kv::{At, Feed, KeyRange, Step, Wanted};

/// Answers that wait for a slow client; more wait in the store's history, where they cost nothing.
const ANSWERS: usize = 16;
/// The id of an answer that is for no watch, or for all.
const NO_WATCH: i64 = -1;

/// Follows keys.
#[derive(Clone, Debug)]
pub(crate) struct WatchService(pub(crate) App);

#[tonic::async_trait]
impl Watch for WatchService {
    type WatchStream = BoxStream<'static, Result<pb::WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let caller = self.0.caller(&request)?;
        let (out, answers) = mpsc::channel(ANSWERS);
        let session = Session {
            app: self.0.clone(),
            caller,
            out,
            wake: Arc::default(),
            watches: BTreeMap::new(),
            next_id: 0,
        };
        // Ends with its client or with the drain.
        self.0.tasks.spawn(session.run(request.into_inner()));
        Ok(Response::new(tokio_stream::wrappers::ReceiverStream::new(answers).boxed()))
    }
}

/// One stream.
struct Session {
    app: App,
    /// Who opened the stream. What they may is judged as each watch begins, and again for all when
    /// the rules change.
    caller: Caller,
    out: mpsc::Sender<Result<pb::WatchResponse, Status>>,
    /// Notified when one of the watches has something to read.
    wake: Arc<Notify>,
    watches: BTreeMap<i64, Watched>,
    next_id: i64,
}

struct Watched {
    feed: Feed,
    /// Whether a large answer may come in parts.
    fragment: bool,
    /// Whether it is told from time to time that nothing happened.
    progress: bool,
    /// Whether it was told something since the last time.
    is_fresh: bool,
}

/// The client is gone.
struct Gone;

impl App {
    /// Watches a range, unless there are as many watches as there may be.
    pub(crate) fn follow(
        &self,
        range: KeyRange,
        wanted: Wanted,
        from: Option<i64>,
        wake: Arc<Notify>,
    ) -> Result<(Feed, i64), Status> {
        if self.store.watchers() >= self.bounds.watchers {
            let text = "etcdserver: too many watchers; raise `etcd.max_watchers`";
            return Err(Status::resource_exhausted(text));
        }
        Ok(self.store.watch(range, wanted, from, wake))
    }
}

/// Why a watch is refused, as etcd's clients know it: the text of the error that their library makes.
fn reason(denied: &Status) -> String {
    format!("rpc error: code = {:?} desc = {}", denied.code(), denied.message())
}

impl Session {
    async fn run(mut self, requests: impl Stream<Item = Result<pb::WatchRequest, Status>>) {
        let mut requests = std::pin::pin!(requests.fuse());
        let wake = Arc::clone(&self.wake);
        let drain = self.app.drain.clone();
        let mut progress = tokio::time::interval(self.app.bounds.progress_interval);
        progress.reset();
        let mut rules = self.app.access.changes();
        // There may have been a change since the caller was identified.
        rules.mark_changed();
        loop {
            let out = self.out.clone();
            let done = tokio::select! {
                // A client may stop asking and go on listening.
                Some(request) = requests.next() => match request {
                    Ok(request) => self.request(request).await,
                    Err(_cut) => Err(Gone),
                },
                () = wake.notified() => self.deliver().await,
                _ = progress.tick() => self.report_progress().await,
                Ok(()) = rules.changed() => self.judge().await,
                () = out.closed() => Err(Gone),
                () = drain.cancelled() => {
                    // Whoever cannot take it is gone anyway.
                    let _full = out.try_send(Err(Status::unavailable("etcdserver: server stopped")));
                    Err(Gone)
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn request(&mut self, request: pb::WatchRequest) -> Result<(), Gone> {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create).await,
            Some(RequestUnion::CancelRequest(cancel)) => self.cancel(cancel.watch_id).await,
            Some(RequestUnion::ProgressRequest(_)) => self.progress().await,
            None => Ok(()),
        }
    }

    async fn create(&mut self, create: pb::WatchCreateRequest) -> Result<(), Gone> {
        let key = if create.key.is_empty() { vec![0].into() } else { create.key.clone() };
        let range = KeyRange::new(key, create.range_end.clone());
        if range.is_empty() {
            return self.refuse("mvcc: watcher range is empty").await;
        }
        if let Err(denied) = self.app.check_range(&self.caller, &range, Level::Read) {
            return self.refuse(&reason(&denied)).await;
        }
        if self.watches.contains_key(&create.watch_id) && create.watch_id != 0 {
            return self.refuse("mvcc: duplicate watch ID provided on the WatchStream").await;
        }
        let filters: Vec<_> = create.filters().collect();
        let wanted = Wanted {
            no_puts: filters.contains(&FilterType::Noput),
            no_deletes: filters.contains(&FilterType::Nodelete),
            previous: create.prev_kv,
        };
        let from = Some(create.start_revision).filter(|from| *from > 0);
        let wake = Arc::clone(&self.wake);
        let (feed, revision) = match self.app.follow(range, wanted, from, wake) {
            Ok(followed) => followed,
            Err(too_many) => return self.refuse(too_many.message()).await,
        };
        let id = self.choose_id(create.watch_id);
        let (fragment, progress) = (create.fragment, create.progress_notify);
        self.watches.insert(id, Watched { feed, fragment, progress, is_fresh: true });
        let header = self.app.header(revision);
        self.send(pb::WatchResponse { header, watch_id: id, created: true, ..<_>::default() }).await
    }

    /// Cancels the watches that the caller may not read any more; ends the stream of one that is not
    /// known any more.
    async fn judge(&mut self) -> Result<(), Gone> {
        match self.app.again(&self.caller) {
            Ok(caller) => self.caller = caller,
            Err(unknown) => {
                // Whoever cannot take it is gone anyway.
                let _full = self.out.try_send(Err(unknown));
                return Err(Gone);
            }
        }
        let mut denied = Vec::new();
        for (id, watched) in &self.watches {
            let range = watched.feed.range();
            if let Err(status) = self.app.check_range(&self.caller, range, Level::Read) {
                denied.push((*id, reason(&status)));
            }
        }
        for (id, reason) in denied {
            self.end(id, reason).await?;
        }
        Ok(())
    }

    /// The one that is asked for, or the next that is free.
    fn choose_id(&mut self, asked: i64) -> i64 {
        if asked != 0 {
            return asked;
        }
        while self.watches.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    async fn refuse(&mut self, reason: &str) -> Result<(), Gone> {
        let refused = pb::WatchResponse {
            header: self.app.header(self.app.store.told()),
            watch_id: NO_WATCH,
            created: true,
            canceled: true,
            cancel_reason: reason.to_owned(),
            ..<_>::default()
        };
        self.send(refused).await
    }

    async fn cancel(&mut self, id: i64) -> Result<(), Gone> {
        match self.watches.contains_key(&id) {
            true => self.end(id, String::new()).await,
            false => Ok(()),
        }
    }

    /// Ends a watch and says so.
    async fn end(&mut self, id: i64, cancel_reason: String) -> Result<(), Gone> {
        self.watches.remove(&id);
        let header = self.app.header(self.app.store.told());
        let ended = pb::WatchResponse { header, watch_id: id, canceled: true, ..<_>::default() };
        self.send(pb::WatchResponse { cancel_reason, ..ended }).await
    }

    /// Answers which revision everything was delivered up to.
    async fn progress(&mut self) -> Result<(), Gone> {
        // Read first: what is told of by then is delivered before the answer.
        let revision = self.app.store.told();
        while self.watches.values().any(|watched| watched.feed.is_before(revision)) {
            self.deliver().await?;
        }
        let header = self.app.header(revision);
        self.send(pb::WatchResponse { header, watch_id: NO_WATCH, ..<_>::default() }).await
    }

    /// Tells the watches that asked for it that nothing happened.
    async fn report_progress(&mut self) -> Result<(), Gone> {
        let revision = self.app.store.told();
        let mut quiet = Vec::new();
        for (id, watched) in &mut self.watches {
            if watched.progress && !watched.is_fresh && !watched.feed.is_ready() {
                quiet.push(*id);
            }
            watched.is_fresh = false;
        }
        for watch_id in quiet {
            let header = self.app.header(revision);
            self.send(pb::WatchResponse { header, watch_id, ..<_>::default() }).await?;
        }
        Ok(())
    }

    /// Sends the next step of every watch that has one.
    async fn deliver(&mut self) -> Result<(), Gone> {
        let ready = self.watches.iter().filter(|(_, watched)| watched.feed.is_ready());
        let ready: Vec<_> = ready.map(|(id, _)| *id).collect();
        for id in ready {
            self.deliver_to(id).await?;
        }
        Ok(())
    }

    async fn deliver_to(&mut self, id: i64) -> Result<(), Gone> {
        let Some(watched) = self.watches.get_mut(&id) else { return Ok(()) };
        let At { revision, value } = self.app.store.step(&mut watched.feed);
        let header = self.app.header(revision);
        match value {
            Step::UpToDate => Ok(()),
            Step::Compacted { revision } => {
                self.watches.remove(&id);
                let canceled = pb::WatchResponse {
                    header,
                    watch_id: id,
                    canceled: true,
                    compact_revision: revision,
                    ..<_>::default()
                };
                self.send(canceled).await
            }
            Step::Events { events, more } => {
                if more {
                    // Others have their turn before the next step.
                    self.wake.notify_one();
                }
                if events.is_empty() {
                    return Ok(());
                }
                watched.is_fresh = true;
                let events = events.into_iter().map(wire::event).collect();
                let response = pb::WatchResponse { header, watch_id: id, events, ..<_>::default() };
                let most =
                    if watched.fragment { self.app.bounds.request_bytes } else { usize::MAX };
                for response in fragments(response, most) {
                    self.send(response).await?;
                }
                Ok(())
            }
        }
    }

    async fn send(&self, response: pb::WatchResponse) -> Result<(), Gone> {
        // A client that reads nothing and asks for nothing is let go when its connection is.
        tokio::select! {
            sent = self.out.send(Ok(response)) => sent.map_err(|_| Gone),
            () = self.app.drain.cancelled() => Err(Gone),
        }
    }
}
