//! What comes in: looked through, held back, and put together.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::web::{Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::Stream;

/// Frames that are a little shorter than the longest come with what follows them.
const SLACK: usize = 16 * 1024;
/// Bytes that a waiting text counts for beside its length, so that many short ones are bounded.
const UNREAD_BYTES: usize = 64;

/// How much of a client's input is being held, so that no more is read. The framework by itself
/// reads all there is before it looks at the first frame.
#[derive(Clone)]
pub(super) struct Meter(Rc<RefCell<Held>>);

struct Held {
    bytes: usize,
    most: usize,
    reader: Option<Waker>,
    /// Told `true` when reading stops, and `false` when it goes on.
    on_pause: Box<dyn Fn(bool)>,
}

impl Meter {
    /// Holds a frame of that length, and not much more.
    pub(super) fn new(longest_frame: usize, on_pause: impl Fn(bool) + 'static) -> Self {
        let (most, on_pause) = (longest_frame + SLACK, Box::new(on_pause));
        Self(Rc::new(RefCell::new(Held { bytes: 0, most, reader: None, on_pause })))
    }

    /// A frame with that much in it was taken out.
    pub(super) fn taken(&self, payload: usize) {
        self.0.borrow_mut().release(payload + header_length(payload));
    }

    /// A text waits to be acted on: it is held until what this returns is dropped.
    pub(super) fn unread(&self, text: ByteString) -> Unread {
        let bytes = text.len() + UNREAD_BYTES;
        self.0.borrow_mut().bytes += bytes;
        Unread { text, _held: Hold { meter: self.clone(), bytes } }
    }
}

impl Held {
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

/// A text that waits to be acted on.
pub(super) struct Unread {
    pub(super) text: ByteString,
    _held: Hold,
}

struct Hold {
    meter: Meter,
    bytes: usize,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.meter.0.borrow_mut().release(self.bytes);
    }
}

/// What a client's frame has before its payload: two bytes, the length where it is long, the mask.
fn header_length(payload: usize) -> usize {
    match payload {
        0..126 => 6,
        126..0x1_0000 => 8,
        _ => 14,
    }
}

/// A client's input as far as it is frames that may be looked at; read no faster than they are
/// taken out. After a fault all the rest is thrown away: the connection is to be closed, and what
/// is not read when it is would have the system take back what the client is told.
pub(super) struct Intake<S, F> {
    input: S,
    meter: Meter,
    /// None after a fault.
    scanner: Option<Scanner>,
    on_fault: F,
}

impl<S, F: Fn(Fault)> Intake<S, F> {
    /// Of frames of at most so many bytes. Told of the first fault.
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
            // Broken off is as good as ended.
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
            // Others get their turn before more is thrown away.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        held.bytes += frames.len();
        Poll::Ready(Some(Ok(frames.freeze())))
    }
}

/// Why input is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A frame is longer than one may be.
    TooLong,
    /// It is not a client's WebSocket frame.
    Malformed(&'static str),
}

/// Finds where frames begin, and checks their heads (RFC 6455, section 5.2), so that what is
/// handed on never fails to be decoded.
struct Scanner {
    longest: usize,
    /// Of a frame whose head is not complete.
    head: Vec<u8>,
    /// What is still to come of the frame before.
    payload: usize,
}

impl Scanner {
    fn new(longest: usize) -> Self {
        Self { longest, head: Vec::new(), payload: 0 }
    }

    /// Hands whole heads on, and what follows them.
    fn scan(&mut self, mut chunk: &[u8], frames: &mut BytesMut) -> Result<(), Fault> {
        while let Some((first, rest)) = chunk.split_first() {
            if self.payload > 0 {
                let (payload, next) = chunk.split_at(self.payload.min(chunk.len()));
                frames.extend_from_slice(payload);
                self.payload -= payload.len();
                chunk = next;
                continue;
            }
            self.head.push(*first);
            chunk = rest;
            if let Some(payload) = self.check_head()? {
                frames.extend_from_slice(&self.head);
                self.head.clear();
                self.payload = payload;
            }
        }
        Ok(())
    }

    /// The length of the payload, once the head is complete.
    fn check_head(&self) -> Result<Option<usize>, Fault> {
        use Fault::{Malformed, TooLong};
        let [first, second, extended @ ..] = &self.head[..] else { return Ok(None) };
        let (is_last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        let is_control = opcode & 0x08 != 0;
        if reserved != 0 {
            return Err(Malformed("reserved bits are set"));
        }
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Err(Malformed("the kind of frame is not known"));
        }
        if second & 0x80 == 0 {
            return Err(Malformed("clients' frames must be masked"));
        }
        let (wide, length) = match second & 0x7f {
            126 => (2, None),
            127 => (8, None),
            short => (0, Some(usize::from(short))),
        };
        if is_control && (!is_last || length.is_none()) {
            return Err(Malformed("a control frame must be whole, and at most 125 bytes"));
        }
        let Some(extended) = extended.get(..wide) else { return Ok(None) };
        let length = length.unwrap_or_else(|| {
            let number = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            usize::try_from(extended.iter().fold(0, number)).unwrap_or(usize::MAX)
        });
        if length > self.longest {
            return Err(TooLong);
        }
        let minimal = header_length(length);
        if wide + 6 != minimal {
            return Err(Malformed("a length must be as short as it can"));
        }
        Ok((self.head.len() == minimal).then_some(length))
    }
}

/// Puts a message together that comes in pieces.
pub(super) struct Assembly {
    pieces: Option<Vec<u8>>,
    /// Whether a piece was lost of the message that is being sent.
    lost: bool,
    most: usize,
}

/// Why a piece does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// The message is longer than one may be.
    TooLong,
    /// It goes on with what was not begun, or begins before the other ended.
    OutOfPlace,
}

impl Assembly {
    /// Of messages of at most so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { pieces: None, lost: false, most }
    }

    /// A piece is lost, and with it the message: what is left of it would be another one.
    pub(super) fn lose(&mut self, is_last: bool) {
        self.pieces = None;
        self.lost = !is_last;
    }

    /// The first piece.
    pub(super) fn begin(&mut self, piece: &[u8]) -> Result<(), Misfit> {
        if self.pieces.is_some() {
            return Err(Misfit::OutOfPlace);
        }
        self.lost = false;
        self.pieces = Some(Vec::new());
        self.go_on(piece)
    }

    /// One that is neither the first nor the last.
    pub(super) fn go_on(&mut self, piece: &[u8]) -> Result<(), Misfit> {
        if self.lost {
            return Ok(());
        }
        let pieces = self.pieces.as_mut().ok_or(Misfit::OutOfPlace)?;
        if pieces.len() + piece.len() > self.most {
            return Err(Misfit::TooLong);
        }
        pieces.extend_from_slice(piece);
        Ok(())
    }

    /// The last piece: the whole message, unless some of it is lost.
    pub(super) fn end(&mut self, piece: &[u8]) -> Result<Option<Vec<u8>>, Misfit> {
        self.go_on(piece)?;
        self.lost = false;
        Ok(self.pieces.take())
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

    /// What comes through of input in chunks, until there is no more or it waits.
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
    fn no_more_is_read_than_is_taken_out() {
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
    fn texts_that_wait_are_held() {
        let meter = Meter::new(1000, |_| ());
        let texts: Vec<_> = (0..4).map(|_| meter.unread("x".repeat(1000).into())).collect();
        let held = texts.len() * (1000 + UNREAD_BYTES);
        assert_eq!(meter.0.borrow().bytes, held);
        drop(texts);
        assert_eq!(meter.0.borrow().bytes, 0);
    }

    #[test]
    fn frames_come_through_whatever_the_chunks() {
        let bytes = [frame(0x81, b"text"), frame(0x01, &[7; 126]), frame(0x80, &[7; 1000])];
        let bytes = bytes.concat();
        for size in [1, 2, 3, 7, 200, bytes.len()] {
            let chunks = bytes.chunks(size).map(<[u8]>::to_vec);
            assert_eq!(read(chunks, &Meter::new(1000, |_| ())), (bytes.len(), None), "in {size}s");
        }
    }

    #[test]
    fn what_is_no_frame_of_a_client_goes_no_further() {
        use Fault::{Malformed, TooLong};
        let good = frame(0x81, b"good");
        for (bad, expected) in [
            (frame(0x81, &[0; 1001]), TooLong),
            (vec![0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], TooLong),
            (frame(0xc1, b""), Malformed("reserved bits are set")),
            (frame(0x83, b""), Malformed("the kind of frame is not known")),
            (vec![0x81, 0x00], Malformed("clients' frames must be masked")),
            (frame(0x09, b""), Malformed("a control frame must be whole, and at most 125 bytes")),
            (
                frame(0x89, &[0; 126]),
                Malformed("a control frame must be whole, and at most 125 bytes"),
            ),
            (
                vec![0x81, 0xfe, 0, 125, 0, 0, 0, 0],
                Malformed("a length must be as short as it can"),
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

    #[test]
    fn pieces_make_a_message_up_to_its_bound() {
        let mut assembly = Assembly::new(6);
        assert_eq!(assembly.go_on(b"x"), Err(Misfit::OutOfPlace));
        assert_eq!(assembly.begin(b"ab"), Ok(()));
        assert_eq!(assembly.begin(b"ab"), Err(Misfit::OutOfPlace));
        assert_eq!(assembly.go_on(b"cd"), Ok(()));
        assert_eq!(assembly.end(b"ef"), Ok(Some(b"abcdef".to_vec())));
        assert_eq!(assembly.end(b""), Err(Misfit::OutOfPlace));
        assert_eq!(assembly.begin(b"abcdef"), Ok(()));
        assert_eq!(assembly.end(b"g"), Err(Misfit::TooLong));
    }

    #[test]
    fn a_message_that_lost_a_piece_is_none() {
        for lost in 0..3 {
            let mut assembly = Assembly::new(6);
            for n in 0..3 {
                match n {
                    n if n == lost => assembly.lose(n == 2),
                    0 => assert_eq!(assembly.begin(b"a"), Ok(())),
                    1 => assert_eq!(assembly.go_on(b"b"), Ok(())),
                    _ => assert_eq!(assembly.end(b"c"), Ok(None)),
                }
            }
            assert_eq!(assembly.begin(b"d"), Ok(()), "after {lost}");
            assert_eq!(assembly.end(b"e"), Ok(Some(b"de".to_vec())), "after {lost}");
        }
    }
}
