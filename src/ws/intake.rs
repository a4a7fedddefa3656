//! Input of a WebSocket, read no faster than its frames are processed.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::web::{Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::Stream;

use super::scanner::{Fault, Scanner, header_length};

/// Slack of the input bound: frames just below the longest arrive together with following bytes.
const SLACK: usize = 16 * 1024;
/// Bytes that a waiting text counts for beside its length, so that many short ones are bounded.
const UNREAD_BYTES: usize = 64;

/// Meter of a client's held input; a full meter pauses reading. The framework alone reads all
/// available input before it processes the first frame.
#[derive(Clone)]
pub(super) struct Meter(Rc<RefCell<MeterState>>);

struct MeterState {
    bytes: usize,
    most: usize,
    reader: Option<Waker>,
    /// Called with `true` when reading pauses, and with `false` when it resumes.
    on_pause: Box<dyn Fn(bool)>,
}

impl Meter {
    /// Creates a meter that holds one frame of that length, and little more.
    pub(super) fn new(longest_frame: usize, on_pause: impl Fn(bool) + 'static) -> Self {
        let (most, on_pause) = (longest_frame + SLACK, Box::new(on_pause));
        Self(Rc::new(RefCell::new(MeterState { bytes: 0, most, reader: None, on_pause })))
    }

    /// Notes that a frame with a payload of that length was taken out.
    pub(super) fn taken(&self, payload: usize) {
        self.0.borrow_mut().release(payload + header_length(payload));
    }

    /// Counts a text that waits to be processed, until the returned guard is dropped.
    pub(super) fn unread(&self, text: ByteString) -> Unread {
        let bytes = text.len() + UNREAD_BYTES;
        self.0.borrow_mut().bytes += bytes;
        Unread { text, _held: HeldBytes { meter: self.clone(), bytes } }
    }
}

impl MeterState {
    fn release(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.bytes < self.most
            && let Some(reader) = self.reader.take()
        {
            (self.on_pause)(false);
            reader.wake();
        }
    }
}

/// Text that waits to be processed.
pub(super) struct Unread {
    pub(super) text: ByteString,
    _held: HeldBytes,
}

struct HeldBytes {
    meter: Meter,
    bytes: usize,
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.meter.0.borrow_mut().release(self.bytes);
    }
}

/// Stream of a client's checked frames, read no faster than they are taken out. After a fault the
/// remaining input is read and dropped. Closing a socket with unread input would make the system
/// discard the error that the client is sent.
pub(super) struct Intake<S, F> {
    input: S,
    meter: Meter,
    /// `None` after a fault.
    scanner: Option<Scanner>,
    on_fault: F,
}

impl<S, F: Fn(Fault)> Intake<S, F> {
    /// Creates an intake of frames up to that size. It calls back on the first fault.
    pub(super) fn new(input: S, meter: Meter, longest: usize, on_fault: F) -> Self {
        Self { input, meter, scanner: Some(Scanner::new(longest)), on_fault }
    }
}

impl<S, F, E> Stream for Intake<S, F>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    F: Fn(Fault) + Unpin,
{
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut held = this.meter.0.borrow_mut();
        if held.bytes >= held.most {
            if held.reader.replace(cx.waker().clone()).is_none() {
                (held.on_pause)(true);
            }
            return Poll::Pending;
        }
        let chunk = match Pin::new(&mut this.input).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => chunk,
            // A broken connection counts as a closed one.
            Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let mut frames = BytesMut::with_capacity(chunk.len());
        if let Some(scanner) = &mut this.scanner
            && let Err(fault) = scanner.scan(&chunk, &mut frames)
        {
            this.scanner = None;
            (this.on_fault)(fault);
        }
        if frames.is_empty() {
            // Other tasks run before more input is dropped.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        held.bytes += frames.len();
        Poll::Ready(Some(Ok(frames.freeze())))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use futures_util::stream;
    use futures_util::task::noop_waker_ref;

    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
            long => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes
    }

    /// Collects the input that comes through in chunks, until it ends or is held.
    fn read(input: impl IntoIterator<Item = Vec<u8>>, meter: &Meter) -> (usize, Option<Fault>) {
        let chunks = input.into_iter().map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk)));
        let fault = Rc::new(Cell::new(None));
        let told = fault.clone();
        let on_fault = move |fault| assert_eq!(told.replace(Some(fault)), None, "told twice");
        let mut intake = Intake::new(stream::iter(chunks), meter.clone(), 1000, on_fault);
        let (mut got, mut cx) = (0, Context::from_waker(noop_waker_ref()));
        loop {
            let held = meter.0.borrow().bytes >= meter.0.borrow().most;
            match Pin::new(&mut intake).poll_next(&mut cx) {
                Poll::Ready(Some(Ok(bytes))) => got += bytes.len(),
                Poll::Pending if !held => {}
                Poll::Ready(None) | Poll::Pending => return (got, fault.get()),
            }
        }
    }

    #[test]
    fn full_intake_pauses_reading_until_frames_are_taken() {
        let paused = Rc::new(Cell::new(false));
        let told = paused.clone();
        let meter = Meter::new(1000, move |is_paused| told.set(is_paused));
        let endless = || std::iter::repeat_with(|| frame(0x89, b""));
        let (got, fault) = read(endless(), &meter);
        assert_eq!((got, fault), ((1000 + SLACK).next_multiple_of(6), None));
        assert!(paused.get());
        for _ in 0..10 {
            meter.taken(0);
        }
        assert!(!paused.get());
        assert_eq!(read(endless(), &meter), (60, None));
    }

    #[test]
    fn unread_text_counts_until_it_is_dropped() {
        let meter = Meter::new(1000, |_| ());
        let texts: Vec<_> = (0..4).map(|_| meter.unread("x".repeat(1000).into())).collect();
        let held = texts.len() * (1000 + UNREAD_BYTES);
        assert_eq!(meter.0.borrow().bytes, held);
        drop(texts);
        assert_eq!(meter.0.borrow().bytes, 0);
    }

    #[test]
    fn intake_passes_whole_frames_for_any_chunk_size() {
        let bytes = [frame(0x81, b"text"), frame(0x01, &[7; 126]), frame(0x80, &[7; 1000])];
        let bytes = bytes.concat();
        for size in [1, 2, 3, 7, 200, bytes.len()] {
            let chunks = bytes.chunks(size).map(<[u8]>::to_vec);
            assert_eq!(read(chunks, &Meter::new(1000, |_| ())), (bytes.len(), None), "in {size}s");
        }
    }

    #[test]
    fn intake_drops_input_from_the_first_invalid_frame_on() {
        use Fault::{Malformed, TooLong};
        let good = frame(0x81, b"good");
        for (bad, expected) in [
            (frame(0x81, &[0; 1001]), TooLong),
            (vec![0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], TooLong),
            (frame(0xc1, b""), Malformed("reserved bits are set")),
            (frame(0x83, b""), Malformed("unknown opcode")),
            (vec![0x81, 0x00], Malformed("clients' frames must be masked")),
            (frame(0x09, b""), Malformed("a control frame must be whole, and at most 125 bytes")),
            (
                frame(0x89, &[0; 126]),
                Malformed("a control frame must be whole, and at most 125 bytes"),
            ),
            (
                vec![0x81, 0xfe, 0, 125, 0, 0, 0, 0],
                Malformed("a length must be encoded in as few bytes as possible"),
            ),
        ] {
            let input = [good.clone(), bad.clone(), good.clone(), good.clone()];
            assert_eq!(
                read(input, &Meter::new(1000, |_| ())),
                (good.len(), Some(expected)),
                "{bad:?}"
            );
        }
    }
}
