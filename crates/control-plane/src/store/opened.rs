//! Opens the one store: its log, the registry in it, the keys in it.

use std::path::Path;

use crate::kv::{Defragmenter, Identity, LogError, Options, Store, Writer, open};
use crate::registry::{Delta, Limits, State, bootstrap};

use super::Engine;

/// The index that everything begins with. A client that asks to be told of what is later than index
/// 1 means to be answered at once, as Consul does, whose own records take the first few.
const FIRST_INDEX: u64 = 10;

/// The one store, opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) writer: Writer,
    pub(crate) defragmenter: Defragmenter,
}

/// Who the control plane is in its own catalog.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) node: String,
    pub(crate) address: String,
}

/// Opens the store in a folder, and puts the control plane itself into its registry. Reads and
/// writes files, so it is not for the runtime's threads.
pub(crate) fn open_store(
    folder: &Path,
    options: Options,
    limits: Limits,
    own: &Own,
    observer: impl Fn(&Delta) + Send + Sync + 'static,
) -> Result<Opened, LogError> {
    let now = tokio::time::Instant::now().into_std();
    let fresh = Identity {
        cluster: rand::random_range(1..=u64::MAX),
        member: rand::random_range(1..=u64::MAX),
        term: 0,
    };
    let (store, mut writer, defragmenter) = open(folder, options, now, fresh, rand::random())?;
    let id = uuid::Uuid::new_v4().to_string();
    let first = |state: &State, index: u64| bootstrap(state, &own.node, &own.address, &id, index);
    let published = writer.serve_registry(limits, observer, FIRST_INDEX, first)?;
    let engine = Engine::new(published, store.clone());
    Ok(Opened { engine, store, writer, defragmenter })
}
