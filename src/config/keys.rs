//! Tables of the file by their keys, and the types of values.

use super::duration;
use serde::{Serialize, Serializer};
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::DeValue;

/// Defines a table of the file by its keys: the struct, its defaults and the schema that reads it.
///
/// `KEY: TYPE = METHOD(ARGUMENTS),` reads the key by that method of [`Table`]. The arguments may
/// name the keys above it, and arguments of the schema from outside of the table. The defaults get
/// the value after `or`.
macro_rules! keys {
    (
        $(#[$about:meta])*
        pub(crate) struct $name:ident $(($outside:ident: $outsider:ty, or $or:expr))? {
            $($(#[$note:meta])* $key:ident: $kind:ty = $read:ident($($argument:expr),* $(,)?),)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        pub(crate) struct $name {
            $(
                $(#[$note])*
                #[serde(serialize_with = "crate::config::keys::Shown::shown")]
                pub(crate) $key: $kind,
            )*
        }

        impl $name {
            pub(in crate::config) fn read(
                table: &mut crate::config::reader::Table<'_>
                $(, $outside: $outsider)?
            ) -> Self {
                $(let $key = table.$read(stringify!($key), $($argument),*);)*
                Self { $($key),* }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::read(&mut crate::config::reader::Table::empty() $(, $or)?)
            }
        }
    };
}
pub(super) use keys;

/// Value of a key, which is serialized in the form of the file.
pub(super) trait Shown: Serialize {
    /// Serializes the value for the file.
    fn shown<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }
}

impl Shown for bool {}
impl Shown for usize {}
impl Shown for String {}
impl Shown for ipnet::Ipv4Net {}
impl<T: Serialize> Shown for Option<T> {}
impl<T: Serialize> Shown for Vec<T> {}

impl Shown for Duration {
    fn shown<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written())
    }
}

/// Value that has a range.
pub(super) trait Ranged: Copy + PartialOrd {
    /// Reads the value, within `range`.
    fn parse(value: &DeValue<'_>, range: &RangeInclusive<Self>) -> Result<Self, String>;

    /// Formats the value for messages.
    fn written(&self) -> String;
}

impl Ranged for Duration {
    fn parse(value: &DeValue<'_>, range: &RangeInclusive<Self>) -> Result<Self, String> {
        let duration = value
            .as_str()
            .and_then(duration::parse)
            .ok_or("is not a duration: write it as \"250ms\", \"5s\" or \"5m\"")?;
        in_range(Duration::try_from(duration).ok(), range)
    }

    fn written(&self) -> String {
        duration::short(*self)
    }
}

/// Implements the trait for whole numbers.
macro_rules! ranged {
    ($($number:ty),*) => {$(
        impl Ranged for $number {
            fn parse(value: &DeValue<'_>, range: &RangeInclusive<Self>) -> Result<Self, String> {
                let integer = value.as_integer().ok_or("is not a whole number")?;
                let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
                in_range(number.and_then(|number| Self::try_from(number).ok()), range)
            }

            fn written(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
ranged!(usize, u32);

fn in_range<T: Ranged>(value: Option<T>, range: &RangeInclusive<T>) -> Result<T, String> {
    value.filter(|value| range.contains(value)).ok_or_else(|| {
        let (least, most) = (range.start().written(), range.end().written());
        format!("is out of range: it must be from {least} to {most}")
    })
}
