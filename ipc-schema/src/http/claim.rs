//! The header `Claim`: the claim secret of a registration whose answer may be lost. It equals the
//! field `claim` of a `hello`. It is no part of the URL, because URLs are logged.

use serde_json::Value;

use crate::control::Secret;
use crate::lanrage::input::{Mistake, rules};

/// Name of the header.
pub const CLAIM: &str = "claim";

/// Decodes the header, which may have one value; `None` if it is absent.
///
/// # Errors
/// Rule that the values break. The message does not repeat the value.
pub fn read_claim<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<Secret>, Vec<Mistake>> {
    let mistake = |kind, msg, ctx| {
        let loc = vec!["header".into(), CLAIM.into()];
        vec![Mistake { kind, loc, msg, input: Value::Null, ctx }]
    };
    let mut values = values.into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        let msg = "Claim is there more than once: send one";
        return Err(mistake("value_error", msg.to_owned(), None));
    }
    let value = Value::String(String::from_utf8_lossy(value).into_owned());
    let claim = rules::claim(&value);
    claim.map(Some).map_err(|refusal| mistake(refusal.kind, refusal.msg, refusal.ctx))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_and_a_bad_one_is_not_repeated() {
        let claim = "4dAg.7-claim_of~22-and-more";
        let read = |value: &str| read_claim([value.as_bytes()]);
        assert_eq!(read(claim).unwrap().unwrap().expose(), claim);
        assert_eq!(read_claim([]).unwrap(), None);
        for bad in ["too-short", "", "\"quoted-claim-of-22-and-more\"", &claim.repeat(5)] {
            let mistakes = read(bad).unwrap_err();
            assert_eq!(mistakes[0].loc, ["header".into(), "claim".into()]);
            assert_eq!(mistakes[0].input, Value::Null, "{mistakes:?}");
        }
        assert!(read_claim([claim.as_bytes(), claim.as_bytes()]).is_err());
    }
}
