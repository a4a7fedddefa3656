//! Checks of the headers of a client's frames, before a frame is decoded.

/// Fault of rejected input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A frame exceeds the size limit.
    TooLong,
    /// It is not a client's WebSocket frame.
    Malformed(&'static str),
}

/// Returns the length of the frame that the input starts with, its header included, or `None` if
/// the header is incomplete. After these checks (RFC 6455, section 5.2) a whole frame can be
/// decoded.
///
/// # Errors
/// The fault of the header, as soon as it shows.
pub(super) fn frame_length(input: &[u8], longest: usize) -> Result<Option<usize>, Fault> {
    use Fault::{Malformed, TooLong};
    let [first, second, extended @ ..] = input else { return Ok(None) };
    let (is_last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
    let is_control = opcode & 0x08 != 0;
    if reserved != 0 {
        return Err(Malformed("reserved bits are set"));
    }
    if !matches!(opcode, 0..=2 | 8..=10) {
        return Err(Malformed("unknown opcode"));
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
    if length > longest {
        return Err(TooLong);
    }
    // Two bytes, the extended length, the mask.
    let header = wide + 6;
    let shortest = match length {
        0..126 => 6,
        126..0x1_0000 => 8,
        _ => 14,
    };
    if header != shortest {
        return Err(Malformed("a length must be encoded in as few bytes as possible"));
    }
    Ok((input.len() >= header).then_some(header + length))
}
