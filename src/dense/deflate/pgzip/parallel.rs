//! Blocks on several threads: they are handed out as they are read, and written in their order.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::TAIL_BYTES;
use crate::dense::deflate::DeflateEncoder;
use crate::dense::deflate::klauspost::{Family, KlauspostEncoder};

/// How many blocks are under way for each thread: one at work, and one that waits for it.
const BLOCKS_PER_THREAD: usize = 2;

/// A block to be encoded.
struct Block {
    plain: Vec<u8>,
    dictionary: Vec<u8>,
    is_last: bool,
    /// The output of an earlier block, to be used again.
    encoded: Vec<u8>,
    done: SyncSender<Encoded>,
}

/// A block that was encoded, with the memory of what it was made of.
struct Encoded {
    bytes: Vec<u8>,
    plain: Vec<u8>,
}

/// See [`super::encode_pgzip`].
pub(super) fn encode(
    input: &mut (dyn Read + Send),
    output: &mut dyn Write,
    family: Family,
    block_size_bytes: usize,
    threads: NonZeroUsize,
) -> io::Result<u64> {
    assert!(
        block_size_bytes > TAIL_BYTES,
        "a block has more than its tail"
    );
    let (sender, receiver) = channel();
    let blocks = Mutex::new(receiver);
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| encode_blocks(&blocks, family));
        }
        // Dropping the sender, however this returns, ends the threads.
        let sender = sender;
        distribute(
            input,
            output,
            block_size_bytes,
            threads.get() * BLOCKS_PER_THREAD,
            &sender,
        )
    })
}

/// Encodes blocks until there are no more.
fn encode_blocks(blocks: &Mutex<Receiver<Block>>, family: Family) {
    let mut stream = KlauspostEncoder::new(family);
    loop {
        let next = blocks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut block) = next else { return };
        stream.restart(&block.dictionary);
        stream.encode(&block.plain, &mut block.encoded);
        stream.flush(&mut block.encoded);
        if block.is_last {
            stream.finish(&mut block.encoded);
        }
        // Nobody waits for it when the output has failed.
        let _ = block.done.send(Encoded {
            bytes: block.encoded,
            plain: block.plain,
        });
    }
}

/// Reads blocks, sends them to the threads and writes what comes back.
fn distribute(
    input: &mut (dyn Read + Send),
    output: &mut dyn Write,
    block_size_bytes: usize,
    most_under_way: usize,
    threads: &Sender<Block>,
) -> io::Result<u64> {
    let mut under_way = VecDeque::<Receiver<Encoded>>::new();
    let mut dictionary = Vec::new();
    let mut total_bytes = 0;
    let mut is_last = false;
    while !is_last {
        let mut spare = Encoded {
            bytes: Vec::new(),
            plain: Vec::new(),
        };
        if under_way.len() == most_under_way {
            spare = write_first(&mut under_way, output)?;
        }
        let Encoded {
            bytes: mut encoded,
            mut plain,
        } = spare;
        encoded.clear();
        plain.clear();
        input
            .take(block_size_bytes as u64)
            .read_to_end(&mut plain)?;
        total_bytes += plain.len() as u64;
        is_last = plain.len() < block_size_bytes;
        let tail = plain[plain.len().saturating_sub(TAIL_BYTES)..].to_vec();
        let dictionary = std::mem::replace(&mut dictionary, tail);
        let (done, result) = sync_channel(1);
        let block = Block {
            plain,
            dictionary,
            is_last,
            encoded,
            done,
        };
        threads.send(block).map_err(|_| thread_failed())?;
        under_way.push_back(result);
    }
    while !under_way.is_empty() {
        write_first(&mut under_way, output)?;
    }
    Ok(total_bytes)
}

/// Waits for the block that was sent first and writes it.
fn write_first(
    under_way: &mut VecDeque<Receiver<Encoded>>,
    output: &mut dyn Write,
) -> io::Result<Encoded> {
    let first = under_way
        .pop_front()
        .and_then(|block| block.recv().ok())
        .ok_or_else(thread_failed)?;
    output.write_all(&first.bytes)?;
    Ok(first)
}

fn thread_failed() -> io::Error {
    io::Error::other("a thread that encodes blocks has failed")
}
