//! Reassembly of fragmented messages.

/// Reassembles a message that comes in fragments.
pub(super) struct Assembly {
    pieces: Option<Vec<u8>>,
    /// True if a fragment of the current message was lost.
    lost: bool,
    most: usize,
}

/// Fault of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// The message exceeds the size limit.
    TooLong,
    /// The fragment continues no message, or begins one before the other ended.
    OutOfPlace,
}

impl Assembly {
    /// Creates an assembly of messages of at most that many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { pieces: None, lost: false, most }
    }

    /// Drops a message of which a fragment is lost: the remaining ones would make another message.
    pub(super) fn drop_message(&mut self, is_last: bool) {
        self.pieces = None;
        self.lost = !is_last;
    }

    /// Takes the first fragment.
    pub(super) fn begin(&mut self, piece: &[u8]) -> Result<(), Misfit> {
        if self.pieces.is_some() {
            return Err(Misfit::OutOfPlace);
        }
        self.lost = false;
        self.pieces = Some(Vec::new());
        self.append(piece)
    }

    /// Takes a fragment that is neither the first nor the last.
    pub(super) fn append(&mut self, piece: &[u8]) -> Result<(), Misfit> {
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

    /// Takes the last fragment. Returns the whole message, unless a part of it is lost.
    pub(super) fn end(&mut self, piece: &[u8]) -> Result<Option<Vec<u8>>, Misfit> {
        self.append(piece)?;
        self.lost = false;
        Ok(self.pieces.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_reassembled_up_to_the_size_limit() {
        let mut assembly = Assembly::new(6);
        assert_eq!(assembly.append(b"x"), Err(Misfit::OutOfPlace));
        assert_eq!(assembly.begin(b"ab"), Ok(()));
        assert_eq!(assembly.begin(b"ab"), Err(Misfit::OutOfPlace));
        assert_eq!(assembly.append(b"cd"), Ok(()));
        assert_eq!(assembly.end(b"ef"), Ok(Some(b"abcdef".to_vec())));
        assert_eq!(assembly.end(b""), Err(Misfit::OutOfPlace));
        assert_eq!(assembly.begin(b"abcdef"), Ok(()));
        assert_eq!(assembly.end(b"g"), Err(Misfit::TooLong));
    }

    #[test]
    fn message_with_a_lost_fragment_is_dropped() {
        for lost in 0..3 {
            let mut assembly = Assembly::new(6);
            for n in 0..3 {
                match n {
                    n if n == lost => assembly.drop_message(n == 2),
                    0 => assert_eq!(assembly.begin(b"a"), Ok(())),
                    1 => assert_eq!(assembly.append(b"b"), Ok(())),
                    _ => assert_eq!(assembly.end(b"c"), Ok(None)),
                }
            }
            assert_eq!(assembly.begin(b"d"), Ok(()), "after {lost}");
            assert_eq!(assembly.end(b"e"), Ok(Some(b"de".to_vec())), "after {lost}");
        }
    }
}
