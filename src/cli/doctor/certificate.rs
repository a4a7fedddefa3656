//! Expiry time of a certificate, which no library in use reads.
//!
//! A certificate is DER: each value is a tag, a length and that many bytes. The path to the time is
//! `Certificate` > `tbsCertificate` > `validity` > `notAfter` (RFC 5280, section 4.1).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// Tag of the version, which the oldest certificates do not have.
const EXPLICIT_0: u8 = 0xa0;

/// Returns the expiry time of a certificate; `None` for invalid input.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let certificate = Der(certificate).take(SEQUENCE)?;
    let mut body = Der(Der(certificate).take(SEQUENCE)?);
    if body.0.first() == Some(&EXPLICIT_0) {
        body.take(EXPLICIT_0)?;
    }
    // The serial number, the signature algorithm and the issuer.
    body.take(INTEGER)?;
    body.take(SEQUENCE)?;
    body.take(SEQUENCE)?;
    let mut validity = Der(body.take(SEQUENCE)?);
    validity.time()?;
    validity.time()
}

/// Unread rest of the input.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Reads the next value, if it has that tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (length, rest) = match usize::from(*length) {
            short @ 0..=0x7f => (short, rest),
            // Number of length bytes; no certificate needs more than four.
            long @ 0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
                (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*first == tag).then_some(value)
    }

    /// Reads the next value as a UTC time: `YYMMDDhhmmssZ` up to 2049, and a four-digit year from
    /// then on.
    fn time(&mut self) -> Option<Timestamp> {
        let is_short = self.0.first() == Some(&UTC_TIME);
        let text = self.take(if is_short { UTC_TIME } else { GENERALIZED_TIME })?;
        let text = std::str::from_utf8(text).ok()?;
        let century = match text.get(..2)? {
            _ if !is_short => "",
            year if year < "50" => "20",
            _ => "19",
        };
        let time = DateTime::strptime("%Y%m%d%H%M%SZ", format!("{century}{text}")).ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn made(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(year, 2, 3);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn not_after_is_read_in_both_time_formats() {
        for year in [2026, 2049, 2050, 4096] {
            let expected = format!("{year}-02-03T00:00:00Z").parse().unwrap();
            assert_eq!(not_after(&made(year)), Some(expected));
        }
    }

    #[test]
    fn truncated_certificate_has_no_expiry() {
        let whole = made(2026);
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn not_after_does_not_panic_on_any_bytes(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            not_after(&bytes);
            let mut near = made(2050);
            let at = at.index(near.len());
            near[at] = byte;
            not_after(&near);
        }
    }
}
