//! The child: bounds itself, and answers what it is asked until its parent is gone.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::super::limits::CHUNK_PLAIN_BYTES_MAX;
use super::bounds::{Bounds, Purpose};
use super::frame::{Answer, Request};
use super::prediction::{Analysis, Recreation};

/// Works corrections out for the process that started this one as a [`super::Corrector`], over the socket that its
/// standard input is, until that is closed.
///
/// It bounds the memory and the time of the whole process, which must do nothing else, and go away afterwards.
/// Fails if the standard input is no socket, or the process cannot be bounded.
pub fn serve_corrections() -> io::Result<()> {
    serve_within(Bounds::default())
}

pub(in super::super) fn serve_within(bounds: Bounds) -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?;
    bounds.apply()?;
    let service = Service {
        bounds,
        plain_bytes: 0,
        work: Work::None,
    };
    service.run(&mut BufReader::new(&socket), &mut BufWriter::new(&socket))
}

struct Service {
    bounds: Bounds,
    /// The plain text of all chunks so far.
    plain_bytes: u64,
    work: Work,
}

enum Work {
    None,
    Analysis(Box<Analysis>),
    Recreation(Box<Recreation>),
}

impl Service {
    fn run(mut self, input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
        while let Some(request) = Request::read(input)? {
            let answer = match request {
                Request::BeginAnalysis => {
                    self.work = Work::Analysis(Box::new(Analysis::new()));
                    continue;
                }
                Request::BeginRecreation => {
                    self.work = Work::Recreation(Box::new(Recreation::new()));
                    continue;
                }
                Request::Analyse { compressed } => self.analyse(&compressed)?,
                Request::Recreate { plain, corrections } => self.recreate(&plain, &corrections)?,
            };
            // What answered "no" may have been left in any state.
            if matches!(answer, Answer::No | Answer::NoMemory) {
                self.work = Work::None;
            }
            answer.write(output)?;
            output.flush()?;
        }
        Ok(())
    }

    fn analyse(&mut self, compressed: &[u8]) -> io::Result<Answer> {
        let Work::Analysis(analysis) = &mut self.work else {
            return Ok(Answer::No);
        };
        let plain_bytes_max = self.plain_bytes + CHUNK_PLAIN_BYTES_MAX as u64;
        self.bounds.allow(Purpose::Export, plain_bytes_max)?;
        let answer = analysis.take(compressed);
        if let Answer::Predicted(predicted) = &answer {
            self.plain_bytes += predicted.plain.len() as u64;
        }
        Ok(answer)
    }

    fn recreate(&mut self, plain: &[u8], corrections: &[u8]) -> io::Result<Answer> {
        let Work::Recreation(recreation) = &mut self.work else {
            return Ok(Answer::No);
        };
        self.plain_bytes += plain.len() as u64;
        self.bounds.allow(Purpose::Import, self.plain_bytes)?;
        Ok(recreation.recreate(plain, corrections))
    }
}
