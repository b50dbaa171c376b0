//! The file: a head, the store's own snapshot, a checksum.

use std::fs::File;
use std::io::{self, BufReader, Read};

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use bytes::Bytes;
use tokio::io::AsyncReadExt;

use crate::copies::Outlet;

/// Begins each file; the number is the format's.
pub(super) const HEAD: &[u8] = b"regatta backup 2\n";
/// SHA-256 of all before it.
pub(super) const SUM: usize = SHA256_OUTPUT_LEN;
/// What is sent at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// Sends the file whose middle is this snapshot; ends early when nobody takes it.
pub(crate) async fn stream(snapshot: File, out: Outlet<io::Result<Bytes>>) {
    if let Err(error) = send(snapshot, &out).await {
        // Cut rather than ended: the client sees that it is not whole.
        out.cut(Err(error));
    }
}

async fn send(snapshot: File, out: &Outlet<io::Result<Bytes>>) -> io::Result<()> {
    let mut sum = Context::new(&SHA256);
    sum.update(HEAD);
    out.send(Ok(Bytes::from_static(HEAD))).await?;
    let mut snapshot = tokio::fs::File::from_std(snapshot);
    loop {
        let mut chunk = vec![0; CHUNK];
        let length = snapshot.read(&mut chunk).await?;
        if length == 0 {
            break;
        }
        chunk.truncate(length);
        sum.update(&chunk);
        out.send(Ok(chunk.into())).await?;
    }
    out.send(Ok(Bytes::copy_from_slice(sum.finish().as_ref()))).await
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) &'static str);

/// Checks a file and hands its snapshot to `each`, in parts; how many bytes the snapshot has.
pub(super) fn read(
    file: File,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Result<u64, Wrong>> {
    let length = file.metadata()?.len();
    let around = (HEAD.len() + SUM) as u64;
    let Some(mut left) = length.checked_sub(around) else {
        return Ok(Err(Wrong("it is too short")));
    };
    let mut file = BufReader::with_capacity(CHUNK, file);
    let mut sum = Context::new(&SHA256);
    let mut head = [0; HEAD.len()];
    file.read_exact(&mut head)?;
    if head != *HEAD {
        return Ok(Err(Wrong("it does not begin as one of this version does")));
    }
    sum.update(&head);
    let mut chunk = vec![0; CHUNK];
    let snapshot_bytes = left;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
        let part = &mut chunk[..most];
        file.read_exact(part)?;
        sum.update(part);
        each(part)?;
        left -= most as u64;
    }
    let mut written = [0; SUM];
    file.read_exact(&mut written)?;
    match sum.finish().as_ref() == written {
        true => Ok(Ok(snapshot_bytes)),
        false => Ok(Err(Wrong("its checksum is not that of its content"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use futures::StreamExt;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        file
    }

    async fn backup(snapshot: &[u8]) -> Vec<u8> {
        let (out, chunks) = Outlet::new();
        let (chunks, ()) = tokio::join!(chunks.collect::<Vec<_>>(), stream(file(snapshot), out));
        chunks.into_iter().flat_map(Result::unwrap).collect()
    }

    fn content(file: File) -> Result<Vec<u8>, Wrong> {
        let mut content = Vec::new();
        let read = read(file, |part| {
            content.extend(part);
            Ok(())
        });
        read.unwrap().map(|_| content)
    }

    #[tokio::test]
    async fn what_was_streamed_is_read() {
        let snapshot: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        assert_eq!(content(file(&backup(&snapshot).await)), Ok(snapshot));
        assert_eq!(content(file(&backup(&[]).await)), Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_flipped_bit_or_a_cut_anywhere_is_seen() {
        let whole = backup(b"snapshot").await;
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(content(file(&flipped)).is_err(), "bit of byte {at}");
            assert!(content(file(&whole[..at])).is_err(), "cut at {at}");
        }
    }
}
