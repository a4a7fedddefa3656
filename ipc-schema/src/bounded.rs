//! JSON texts of bounded length. Encoding stops at the bound, so a long value costs no more.

use std::io;

use serde::Serialize;

/// JSON text of a value, possibly truncated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Encoded {
    /// The whole text.
    Whole(String),
    /// Prefix of a text that exceeds the bound. It has the bound's length, or up to three bytes
    /// less.
    Cut(String),
}

/// Encodes a value and stops after `most` bytes.
///
/// # Errors
/// An error if the value has no JSON text.
pub(crate) fn encode(value: &impl Serialize, most: usize) -> serde_json::Result<Encoded> {
    let mut writer = Writer { bytes: Vec::new(), most, is_cut: false };
    let encoded = serde_json::to_writer(&mut writer, value);
    let Writer { bytes, is_cut, .. } = writer;
    if !is_cut {
        encoded?;
    }
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        // Truncation within a character is the only cause of invalid UTF-8 here.
        let end = error.utf8_error().valid_up_to();
        let mut bytes = error.into_bytes();
        bytes.truncate(end);
        String::from_utf8(bytes).unwrap_or_default()
    });
    Ok(if is_cut { Encoded::Cut(text) } else { Encoded::Whole(text) })
}

struct Writer {
    bytes: Vec<u8>,
    most: usize,
    is_cut: bool,
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        OFFERED.set(OFFERED.get() + bytes.len());
        let room = self.most - self.bytes.len();
        let kept = &bytes[..bytes.len().min(room)];
        self.bytes.extend_from_slice(kept);
        if kept.len() < bytes.len() {
            self.is_cut = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
thread_local! {
    /// Number of bytes encoded on this thread.
    pub(crate) static OFFERED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_text_is_whole_up_to_the_bound() {
        let value = ["ab", "é"];
        let text = serde_json::to_string(&value).expect("encodes");
        assert_eq!(encode(&value, text.len()).ok(), Some(Encoded::Whole(text.clone())));
        for most in 0..text.len() {
            let Ok(Encoded::Cut(cut)) = encode(&value, most) else { panic!("{most}") };
            assert!(text.starts_with(&cut) && cut.len() + 3 >= most, "{cut:?} of {most}");
        }
    }

    /// Value that counts its encodings.
    struct Counted<'a>(&'a Cell<usize>);

    impl Serialize for Counted<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.set(self.0.get() + 1);
            serializer.serialize_str("0123456789")
        }
    }

    #[test]
    fn work_ends_at_the_bound() {
        let count = Cell::new(0);
        let value: Vec<_> = (0..100_000).map(|_| Counted(&count)).collect();
        assert!(matches!(encode(&value, 1000), Ok(Encoded::Cut(_))));
        assert!(count.get() <= 100, "{} entries were encoded", count.get());
    }
}
