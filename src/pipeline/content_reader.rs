//! A content of a source as a thread reads a file: from its beginning, and again from an earlier place, without a copy
//! of it anywhere.
//!
//! What was read last is kept in memory; going farther back opens the content again.
//!
//! **Invariants.** Memory is bounded by [`KEPT_BYTES`], whatever the size of the content. Whoever has read to the end, and
//! has not [opened it again](ContentReader::was_opened_again), has read the content of the descriptor. When the future is
//! dropped, reading fails.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use tokio::sync::{mpsc, oneshot};

use super::byte_channel::{StreamReader, read_stream};
use crate::content::{Content, Error, Result};

/// How far back costs nothing: more than the compressed bytes of a sample, so that what is recognised at once is
/// fetched once.
const KEPT_BYTES: usize = 2 << 20;
const PIECE_BYTES: usize = 64 << 10;

/// Asks for the content from an offset on.
struct Opening {
    offset: u64,
    answer: oneshot::Sender<Result<StreamReader>>,
}

pub(super) struct ContentReader {
    size_bytes: u64,
    openings: mpsc::Sender<Opening>,
    stream: Option<StreamReader>,
    /// The bytes of the stream up to `read_to`, as far as they are kept.
    kept: Vec<u8>,
    read_to: u64,
    /// Of the next byte to be handed out: among those that are kept, or the next of the stream.
    position: u64,
    openings_count: usize,
    error: Option<Error>,
}

/// Hands a content to a thread: the reader is for that, and the future is to be awaited beside it.
pub(super) fn read_content(content: Content) -> (ContentReader, impl Future<Output = ()> + Send) {
    let (openings, mut asked) = mpsc::channel::<Opening>(1);
    let reader = ContentReader {
        size_bytes: content.descriptor().size,
        openings,
        stream: None,
        kept: Vec::new(),
        read_to: 0,
        position: 0,
        openings_count: 0,
        error: None,
    };
    let feeding = async move {
        while let Some(Opening { offset, answer }) = asked.recv().await {
            match content.open(offset).await {
                Ok(stream) => {
                    let (reader, feeding) = read_stream(stream);
                    // Whoever asked may have gone; then nothing is fed either.
                    if answer.send(Ok(reader)).is_ok() {
                        feeding.await;
                    }
                }
                Err(error) => drop(answer.send(Err(error))),
            }
        }
    };
    (reader, feeding)
}

impl ContentReader {
    /// Reads what was not read yet, to the end, so that all of the content is proven.
    pub(super) fn read_out(&mut self) -> io::Result<()> {
        self.position = self.read_to;
        io::copy(self, &mut io::sink()).map(drop)
    }

    /// Whether the content was fetched more than once: then only what was read last is proven to be that of its digest.
    pub(super) fn was_opened_again(&self) -> bool {
        self.openings_count > 1
    }

    /// The error of the source that ended the reading, if one did.
    pub(super) fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    fn open(&mut self) -> io::Result<StreamReader> {
        self.openings_count += 1;
        let (answer, opened) = oneshot::channel();
        let opening = Opening {
            offset: self.read_to,
            answer,
        };
        let sent = self.openings.blocking_send(opening);
        // Not `Interrupted`, upon which readers try again.
        sent.map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
        match opened.blocking_recv() {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                self.error = Some(error);
                Err(unreadable())
            }
            Err(_) => Err(unreadable()),
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.kept.len() + bytes.len() > 2 * KEPT_BYTES {
            let surplus = self.kept.len().saturating_sub(KEPT_BYTES);
            self.kept.drain(..surplus);
        }
        self.kept.extend_from_slice(bytes);
        self.read_to += bytes.len() as u64;
    }

    fn kept_from(&self) -> u64 {
        self.read_to - self.kept.len() as u64
    }

    fn read_kept(&self, buffer: &mut [u8]) -> usize {
        let from = usize::try_from(self.position - self.kept_from()).unwrap_or(usize::MAX);
        let kept = self.kept.get(from..).unwrap_or_default();
        let count = kept.len().min(buffer.len());
        buffer[..count].copy_from_slice(&kept[..count]);
        count
    }

    fn read_stream(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open()?,
        };
        let length = buffer.len().min(PIECE_BYTES);
        let read = stream.read(&mut buffer[..length]);
        if let Some(error) = stream.take_error() {
            self.error = Some(error);
        }
        self.stream = Some(stream);
        let count = read?;
        self.keep(&buffer[..count]);
        Ok(count)
    }
}

fn unreadable() -> io::Error {
    io::Error::other("the content could not be read")
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.position < self.read_to {
            true => self.read_kept(buffer),
            false => self.read_stream(buffer)?,
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for ContentReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
            SeekFrom::End(distance) => self.size_bytes.checked_add_signed(distance),
        };
        let target = target.filter(|it| *it <= self.size_bytes);
        self.position = target.ok_or(ErrorKind::InvalidInput)?;
        if self.position < self.kept_from() || self.position > self.read_to {
            self.stream = None;
            self.kept.clear();
            self.read_to = self.position;
        }
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::content::{Memory, Source};
    use crate::oci::{Descriptor, Repository};

    const REPOSITORY: &str = "apps/web";

    /// Bytes of which none in a row are like others.
    fn bytes(count: usize) -> Vec<u8> {
        let number = |it: usize| (it as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let byte = |it| u8::try_from(number(it)).unwrap_or_default();
        (0..count).map(byte).collect()
    }

    /// What `work` makes of a reader of `held`, which calls itself `described`.
    async fn reading<T: Send + 'static>(
        held: &[u8],
        described: &[u8],
        work: impl FnOnce(&mut ContentReader) -> T + Send + 'static,
    ) -> (T, Option<Error>) {
        let memory = Memory::new();
        let repository: Repository = REPOSITORY.parse().unwrap();
        let descriptor = Descriptor::of("application/octet-stream", described);
        memory.put_blob(&repository, "", descriptor.digest.clone(), held.to_vec());
        let source: Arc<dyn Source> = Arc::new(memory);
        let (mut reader, feeding) = read_content(Content::new(source, repository, descriptor));
        let working = tokio::task::spawn_blocking(move || (work(&mut reader), reader.take_error()));
        let ((), worked) = tokio::join!(feeding, working);
        worked.unwrap()
    }

    #[tokio::test]
    async fn reads_again_from_wherever_it_is_set() {
        let content = bytes(3 * KEPT_BYTES + 17);
        let expected = content.clone();
        let size = content.len() as u64;
        let (places, error) = reading(&content, &content, move |reader| {
            let places = [0, 5, size - 3, 1, size - 100, size];
            let read = |place| {
                let mut found = Vec::new();
                reader.seek(SeekFrom::Start(place)).unwrap();
                reader.read_to_end(&mut found).unwrap();
                found == expected[usize::try_from(place).unwrap()..]
            };
            places.map(read)
        })
        .await;
        assert_eq!(places, [true; 6]);
        assert!(error.is_none());
    }

    #[tokio::test]
    async fn does_not_end_well_where_the_content_is_another() {
        let content = bytes(100_000);
        let mut other = content.clone();
        other[99_999] ^= 1;
        let reading = reading(&other, &content, |reader| reader.read_out().is_ok());
        let (read, error) = reading.await;
        assert!(!read);
        let error = error.expect("the source is at fault");
        assert_eq!(error.kind(), crate::content::ErrorKind::Unverified);
    }
}
