//! Enumerations whose values are words on the wire.

/// Defines enumerations whose values are words on the wire. The value after the semicolon stands
/// for unknown words.
macro_rules! words {
    ($(
        $(#[$attribute:meta])*
        $name:ident {
            $($(#[$variant_attribute:meta])* $variant:ident = $word:literal),* $(,)?
            $(; $(#[$other_attribute:meta])* $other:ident)?
        }
    )*) => {$(
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_attribute])* #[serde(rename = $word)] $variant,)*
            $(
                $(#[$other_attribute])*
                #[serde(other, rename = "unknown")]
                #[cfg_attr(feature = "schema", schemars(skip))]
                $other,
            )?
        }

        impl $name {
            /// All known values.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// Words of all known values.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// Returns the word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                    $(Self::$other => "unknown",)?
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                let known = Self::ALL.iter().copied().find(|known| known.as_str() == word);
                known.ok_or_else(|| format!("must be one of {}", Self::WORDS.join(", ")))
            }
        }
    )*};
}
pub(crate) use words;
