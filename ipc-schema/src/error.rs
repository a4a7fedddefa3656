//! Errors on the wire. Clients match `data.code`; the number and the message are for humans.

use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal, retryable $retryable:literal, $hint:literal;)*) => {
        /// Error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl ErrorCode {
            /// All error codes.
            pub const ALL: &'static [ErrorCode] = &[$(Self::$name),*];

            /// Returns the JSON-RPC error number.
            pub const fn number(self) -> i32 {
                match self { $(Self::$name => $number),* }
            }

            /// Returns the text of `data.code`, which clients match.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// True if the same request may succeed later.
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => $retryable),* }
            }

            /// Returns the code with the given text, if it is known.
            pub fn of_text(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }

            /// Usual remedy.
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint),* }
            }
        }
    };
}

error_codes! {
    /// The line is no JSON text.
    ParseError = -32700 "parse_error", retryable false, "send one JSON object per line, in UTF-8, nested at most 64 deep";
    /// The line is JSON, but no JSON-RPC 2.0 request.
    InvalidRequest = -32600 "invalid_request", retryable false, "send {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"…\",\"params\":{…}}, the id a string or a number";
    /// The method does not exist.
    UnknownMethod = -32601 "unknown_method", retryable false, "rpc.discover lists the methods";
    /// A field is missing or breaks its rule.
    InvalidParams = -32602 "invalid_params", retryable false, "correct the field that the message names; rpc.discover describes it";
    /// The daemon failed internally.
    Internal = -32603 "internal", retryable true, "see the daemon's log";
    /// Client and daemon have no common protocol version.
    UnsupportedProtocol = -32001 "unsupported_protocol", retryable false, "this daemon speaks protocol 1";
    /// The caller has no permission.
    PermissionDenied = -32002 "permission_denied", retryable false, "act as the user who owns it, or as an admin";
    /// A rate or size limit is reached.
    RateLimited = -32003 "rate_limited", retryable true, "try again a little later";
    /// The connection has too many requests in flight.
    TooManyInFlight = -32004 "too_many_in_flight", retryable true, "wait for a reply before the next request";
    /// The request timed out.
    Timeout = -32005 "timeout", retryable true, "it may have been done all the same: look before you repeat it";
    /// The daemon is stopping.
    ShuttingDown = -32006 "shutting_down", retryable true, "connect again when it is back";
    /// A message exceeds the size limit.
    FrameTooLarge = -32007 "frame_too_large", retryable false, "send or ask for less at a time; hello tells the limits";
    /// The party does not exist.
    PartyNotFound = -32010 "party_not_found", retryable false, "party.list shows the parties that there are";
    /// The party id is in use.
    PartyExists = -32011 "party_exists", retryable false, "choose another party_id, or leave it out";
    /// The party has its maximum number of members.
    PartyFull = -32012 "party_full", retryable true, "wait until somebody leaves";
    /// The peer is not in the party.
    PeerNotFound = -32013 "peer_not_found", retryable false, "peer.list shows the party's peers";
    /// The acting peer is not a member of the party.
    NotAMember = -32014 "not_a_member", retryable false, "join the party first";
    /// The method needs the control server, which is unreachable.
    Offline = -32020 "offline", retryable true, "wait until the connection is back";
    /// The control server refused the request.
    ServerRejected = -32021 "server_rejected", retryable false, "see the message";
    /// The state cannot be written at present.
    StoreUnavailable = -32022 "store_unavailable", retryable true, "nothing was changed; free space or mend the disk, then try again";
}

/// `error` of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[error("{message}")]
pub struct RpcError {
    /// JSON-RPC error number of `data.code`.
    pub code: i32,
    /// Human-readable message.
    pub message: String,
    /// Machine-readable part.
    pub data: ErrorData,
}

/// Machine-readable part of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorData {
    /// Error code.
    pub code: ErrorCode,
    /// True if the same request may succeed later.
    pub retryable: bool,
    /// Usual remedy.
    pub hint: String,
    /// Path of the invalid parameter, such as `host.public_port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl RpcError {
    /// Returns an error with the default hint of its code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let data = ErrorData {
            code,
            retryable: code.retryable(),
            hint: code.hint().to_owned(),
            field: None,
        };
        Self { code: code.number(), message: message.into(), data }
    }

    /// Returns an error for a parameter that is missing or breaks its rule.
    pub fn invalid_params(field: impl Into<String>, rule: impl std::fmt::Display) -> Self {
        let field = field.into();
        let mut error = Self::new(ErrorCode::InvalidParams, format!("{field}: {rule}"));
        error.data.field = Some(field);
        error
    }

    /// Replaces the hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.data.hint = hint.into();
        self
    }
}
