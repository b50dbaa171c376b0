//! Cuts a large answer of a watch into parts.

use prost::Message;
use regatta_proto::etcdserverpb::WatchResponse;

/// Cuts an answer into parts of at most so many bytes, or of one event. All but the last say that
/// more follows.
pub(crate) fn fragments(response: WatchResponse, most: usize) -> Vec<WatchResponse> {
    if response.events.len() < 2 || response.encoded_len() <= most {
        return vec![response];
    }
    let WatchResponse { header, watch_id, events, .. } = response;
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for event in events {
        let size = event.encoded_len();
        if !part.is_empty() && bytes + size > most {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.push(event);
    }
    parts.push(part);
    let last = parts.len() - 1;
    let parts = parts.into_iter().enumerate().map(|(index, events)| WatchResponse {
        header,
        watch_id,
        events,
        fragment: index < last,
        ..<_>::default()
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use regatta_proto::mvccpb::{Event, KeyValue};

    use super::*;

    fn response(sizes: &[usize]) -> WatchResponse {
        let event = |size: &usize| {
            let kv = Some(KeyValue { value: vec![0; *size].into(), ..KeyValue::default() });
            Event { kv, ..Event::default() }
        };
        let events = sizes.iter().map(event).collect();
        WatchResponse { watch_id: 7, events, ..WatchResponse::default() }
    }

    fn shape(sizes: &[usize], most: usize) -> Vec<(usize, bool)> {
        let parts = fragments(response(sizes), most);
        assert!(parts.iter().all(|part| part.watch_id == 7));
        parts.iter().map(|part| (part.events.len(), part.fragment)).collect()
    }

    #[test]
    fn what_fits_stays_whole() {
        assert_eq!(shape(&[10, 10], 100), [(2, false)]);
        assert_eq!(shape(&[], 1), [(0, false)]);
    }

    #[test]
    fn what_is_large_comes_in_parts_of_which_the_last_says_so() {
        assert_eq!(shape(&[40, 40, 40], 100), [(2, true), (1, false)]);
        assert_eq!(shape(&[200, 10, 200], 100), [(1, true), (1, true), (1, false)]);
    }
}
