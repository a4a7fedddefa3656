//! The methods: one table, from which requests, replies, roles, validation and the OpenRPC document
//! are generated.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::error::{ErrorCode, RpcError};
use crate::model::Connection;
use crate::new_values::NewValue as _;
use crate::params::*;
use crate::results::*;

/// Method of the protocol.
pub trait Method {
    /// Name on the wire.
    const NAME: &'static str;
    /// `params` of the method.
    type Params: Serialize + DeserializeOwned;
    /// `result` of the method.
    type Result: Serialize + DeserializeOwned;
}

/// Description of a method.
#[derive(Debug, Clone, Copy)]
pub struct MethodInfo {
    /// Name on the wire.
    pub name: &'static str,
    /// One-sentence summary.
    pub summary: &'static str,
    /// Least privileged role that may call it.
    pub role: Role,
    /// Specific errors, in addition to [`COMMON_ERRORS`].
    pub errors: &'static [ErrorCode],
}

/// Errors that any method may return.
pub const COMMON_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidParams,
    ErrorCode::Internal,
    ErrorCode::PermissionDenied,
    ErrorCode::TooManyInFlight,
    ErrorCode::Timeout,
    ErrorCode::ShuttingDown,
    ErrorCode::FrameTooLarge,
];

macro_rules! methods {
    ($($summary:literal $name:literal $variant:ident($params:ty $(, new $($new:ident)+)?) -> $result:ty, $role:ident, [$($error:ident),*];)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $summary)]
            #[derive(Debug, Clone, Copy)]
            pub struct $variant;

            impl Method for $variant {
                const NAME: &'static str = $name;
                type Params = $params;
                type Result = $result;
            }
        )*

        /// Decoded and validated request.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Request {
            $(#[doc = concat!("`", $name, "`: ", $summary)] $variant($params),)*
        }

        /// `result` of a successful reply.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Reply {
            $(#[doc = concat!("Of `", $name, "`.")] $variant($result),)*
        }

        /// All methods.
        pub const METHODS: &[MethodInfo] = &[
            $(MethodInfo {
                name: $name,
                summary: $summary,
                role: Role::$role,
                errors: &[$(ErrorCode::$error),*],
            },)*
        ];

        impl Request {
            /// Decodes the `params` of `method`.
            ///
            /// # Errors
            /// `unknown_method`, or `invalid_params` naming the field.
            pub fn decode(method: &str, params: &str) -> Result<Self, RpcError> {
                let request = match method {
                    $($name => decode::<$params>(params).map(Self::$variant),)*
                    _ => Err(unknown_method(method)),
                };
                let request = request?;
                request.check_new()?;
                Ok(request)
            }

            /// Checks the rules for new values.
            fn check_new(&self) -> Result<(), RpcError> {
                match self {
                    $(Self::$variant(_params) => {
                        $($(_params.$new.check_new_at(stringify!($new))?;)+)?
                        Ok(())
                    })*
                }
            }

            /// Returns the description of the request's method.
            pub fn info(&self) -> &'static MethodInfo {
                let name = match self { $(Self::$variant(_) => $name,)* };
                method_info(name).unwrap_or(&METHODS[0])
            }

            /// Encodes the `params`.
            ///
            /// # Errors
            /// Never for values of these types.
            pub fn encode_params(&self) -> serde_json::Result<Box<RawValue>> {
                match self { $(Self::$variant(params) => serde_json::value::to_raw_value(params),)* }
            }
        }

        impl Reply {
            /// Decodes the `result` of `method`.
            ///
            /// # Errors
            /// `unknown_method`, or `internal` for a result of the wrong type.
            pub fn decode(method: &str, result: &str) -> Result<Self, RpcError> {
                match method {
                    $($name => serde_json::from_str::<$result>(result)
                        .map(Self::$variant)
                        .map_err(|error| RpcError::new(ErrorCode::Internal, error.to_string())),)*
                    _ => Err(unknown_method(method)),
                }
            }
        }

        /// Returns the JSON Schemas of a method's `params` and `result`.
        #[cfg(feature = "schema")]
        pub(crate) fn schemas(
            method: &MethodInfo,
            params: &mut schemars::SchemaGenerator,
            results: &mut schemars::SchemaGenerator,
        ) -> (schemars::Schema, schemars::Schema) {
            match method.name {
                $($name => {
                    (params.subschema_for::<$params>(), results.subschema_for::<$result>())
                })*
                _ => Default::default(),
            }
        }
    };
}

methods! {
    "Agrees on a protocol version and tells the caller's role and the daemon's limits. Optional: without it a connection speaks protocol 1."
    "hello" Hello(HelloParams) -> HelloResult, Observer, [UnsupportedProtocol];
    "Answers at once."
    "ping" Ping(Empty) -> Done, Observer, [];
    "Returns the document that describes this protocol."
    "rpc.discover" RpcDiscover(Empty) -> OpenRpcDocument, Observer, [];
    "Tells how the daemon is."
    "status.get" StatusGet(Empty) -> StatusResult, Observer, [];
    "Creates a party with its host, who gets the first virtual address."
    "party.register" PartyRegister(PartyRegisterParams, new name host party_id) -> PartyResult, Operator, [PartyExists, RateLimited, PermissionDenied, StoreUnavailable, Offline, ServerRejected];
    "Adds a peer to a party, or updates the member of that id."
    "party.join" PartyJoin(PartyJoinParams, new peer) -> PartyResult, Operator, [PartyNotFound, PartyFull, RateLimited, PermissionDenied, StoreUnavailable, Offline, ServerRejected];
    "Takes a peer out of a party; the party ends with its host."
    "party.leave" PartyLeave(MemberParams) -> LeaveResult, Operator, [PartyNotFound, NotAMember, PermissionDenied, StoreUnavailable, Offline, ServerRejected];
    "Returns a party."
    "party.get" PartyGet(PartyParams) -> PartyResult, Operator, [PartyNotFound];
    "Returns the parties that this daemon knows, by id, page by page. A page may be shorter than asked for, so that it fits a frame."
    "party.list" PartyList(PartyListParams) -> PartyListResult, Operator, [];
    "Returns the parties announced on the local network."
    "party.discover" PartyDiscover(Empty) -> PartyDiscoverResult, Operator, [StoreUnavailable];
    "Changes what a member says of itself."
    "peer.update" PeerUpdate(PeerUpdateParams, new peer) -> PeerResult, Operator, [PartyNotFound, PeerNotFound, PermissionDenied, StoreUnavailable, Offline, ServerRejected];
    "Returns a party's members."
    "peer.list" PeerList(PartyParams) -> PeerListResult, Operator, [PartyNotFound];
    "Returns a member."
    "peer.discover" PeerDiscover(MemberParams) -> PeerResult, Operator, [PartyNotFound, PeerNotFound];
    "Is a member's sign of life."
    "peer.heartbeat" PeerHeartbeat(MemberParams) -> HeartbeatResult, Operator, [PartyNotFound, PeerNotFound, PermissionDenied];
    "Accepts the public key that the control server states of a member from another machine. The caller has a peer in the party, or is an administrator."
    "peer.trust" PeerTrust(PeerTrustParams) -> PeerResult, Operator, [PartyNotFound, PeerNotFound, PermissionDenied, StoreUnavailable];
    "Ends a peer's tokens, claims, connections, memberships and relays, so that its id is nobody's. In a daemon that follows a server, its own peers leave there, and their tokens end."
    "peer.release" PeerRelease(PeerParams) -> PeerReleaseResult, Admin, [StoreUnavailable];
    "Queues a signal for a member. Signals wait in memory only, for as long as hello tells."
    "signal.send" SignalSend(SignalSendParams) -> SignalSendResult, Operator, [PartyNotFound, NotAMember, PeerNotFound, RateLimited, PermissionDenied, Offline, ServerRejected];
    "Returns the signals that wait for a member, oldest first, and takes them out of its queue. What would not fit a frame waits for the next poll."
    "signal.poll" SignalPoll(MemberParams) -> SignalPollResult, Operator, [PartyNotFound, NotAMember, PermissionDenied];
    "Announces a relay, changes it, or tells that it is still there."
    "relay.register" RelayRegister(RelayRegisterParams, new relay_id region) -> RelayResult, Operator, [RateLimited, PermissionDenied, StoreUnavailable, Offline, ServerRejected];
    "Returns the relays."
    "relay.list" RelayList(RelayListParams) -> RelayListResult, Operator, [];
    "Sends what changes from now on to this connection, as `event` notifications."
    "events.subscribe" EventsSubscribe(SubscribeParams) -> SubscribeResult, Operator, [PartyNotFound, FrameTooLarge, RateLimited];
    "Ends a subscription of this connection."
    "events.unsubscribe" EventsUnsubscribe(UnsubscribeParams) -> Done, Operator, [];
    "Tells the state of the connection to the control server."
    "connection.get" ConnectionGet(Empty) -> Connection, Observer, [];
    "Switches between local mode and a control server, and keeps that over a restart. The parties come along: those whose host lives here are registered at the new server; a local copy stays of those of the old one."
    "connection.set" ConnectionSet(ConnectionSetParams) -> Connection, Admin, [StoreUnavailable, InvalidRequest];
    "Tries to reach the control server at once."
    "connection.retry" ConnectionRetry(Empty) -> Connection, Operator, [InvalidRequest];
    "Returns the parties as a document for LANrage."
    "state.export" StateExport(StateExportParams) -> StateExportResult, Operator, [FrameTooLarge];
    "Takes in the parties of a LANrage document."
    "state.import" StateImport(StateImportParams) -> StateImportResult, Admin, [StoreUnavailable];
    "Writes a verified copy of the state while the daemon runs."
    "state.backup" StateBackup(StateBackupParams) -> StateBackupResult, Admin, [StoreUnavailable];
}

/// Returns the description of the method with the given name.
pub fn method_info(name: &str) -> Option<&'static MethodInfo> {
    METHODS.iter().find(|method| method.name == name)
}

fn unknown_method(method: &str) -> RpcError {
    let shown: String = method.chars().take(64).collect();
    RpcError::new(ErrorCode::UnknownMethod, format!("there is no method {shown:?}"))
}

fn decode<T: DeserializeOwned>(params: &str) -> Result<T, RpcError> {
    if !params.trim_start().starts_with('{') {
        return Err(RpcError::invalid_params("params", "must be an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(params);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        // The position is relative to `params`, and so useless to the caller.
        let full = error.inner().to_string();
        let rule = full.rsplit_once(" at line ").map_or(full.as_str(), |(rule, _)| rule);
        // Some errors concern a field of the object at `path`, rather than that object.
        let of_field = |prefix| rule.strip_prefix(prefix)?.strip_suffix('`');
        let (field, rule) = match (of_field("missing field `"), of_field("duplicate field `")) {
            (Some(field), _) => (field, "is missing"),
            (_, Some(field)) => (field, "is there twice"),
            (None, None) => ("", rule),
        };
        match (path.as_str(), field) {
            (".", "") => RpcError::invalid_params("params", rule),
            (".", field) => RpcError::invalid_params(field, rule),
            (path, "") => RpcError::invalid_params(path, rule),
            (path, field) => RpcError::invalid_params(format!("{path}.{field}"), rule),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &str, params: &str) -> RpcError {
        Request::decode(method, params).expect_err("must be refused")
    }

    #[test]
    fn a_violation_names_its_field() {
        let peer = |port: &str| {
            format!(
                r#"{{"peer_id":"a","name":"A","public_key":"k","nat_type":"open","public_ip":"unknown","public_port":{port},"local_ip":"10.0.0.1","local_port":1}}"#
            )
        };
        let join = |peer: String| format!(r#"{{"party_id":"p","peer":{peer}}}"#);
        assert!(Request::decode("party.join", &join(peer("65535"))).is_ok());
        for (params, field) in [
            (join(peer("65536")), "peer.public_port"),
            (join(peer("-1")), "peer.public_port"),
            (join(peer("true")), "peer.public_port"),
            (join(peer("1").replace("\"open\"", "\"half\"")), "peer.nat_type"),
            (join(peer("1").replace("unknown", "nowhere")), "peer.public_ip"),
            (join(peer("1").replace("\"name\":\"A\",", "")), "peer.name"),
            ("{}".into(), "party_id"),
            ("[]".into(), "params"),
            (join(r#"["a","A","k","open","unknown",1,"10.0.0.1",1]"#.into()), "peer"),
            (join(r#"{"name":"a","name":"b"}"#.into()), "peer.name"),
            (r#"{"party_id":"a","party_id":"b"}"#.into(), "party_id"),
            (r#"{"party_id":"a b"}"#.into(), "party_id"),
        ] {
            let error = refused("party.join", &params);
            assert_eq!(error.data.code, ErrorCode::InvalidParams);
            assert_eq!(error.data.field.as_deref(), Some(field), "{error}");
        }
    }

    #[test]
    fn null_leaves_out_what_may_be_left_out() {
        for (method, given, left_out) in [
            ("events.subscribe", r#"{"topics":null,"party_id":null,"snapshot":null}"#, "{}"),
            ("hello", r#"{"client":null,"protocol":null,"features":null}"#, "{}"),
            ("party.list", r#"{"cursor":null,"limit":null}"#, "{}"),
            ("relay.list", r#"{"region":null}"#, "{}"),
        ] {
            assert_eq!(Request::decode(method, given), Request::decode(method, left_out));
        }
        let peer = r#"{"peer_id":"a","name":"A","public_key":"k","nat_type":"open","public_ip":"unknown","public_port":1,"local_ip":"unknown","local_port":1}"#;
        let join = |more| format!(r#"{{"party_id":"p","peer":{peer}{more}}}"#);
        let given = Request::decode("party.join", &join(r#","keepalive":null"#));
        assert!(given.is_ok());
        assert_eq!(given, Request::decode("party.join", &join("")));
    }

    #[test]
    fn unknown_fields_are_ignored_and_unknown_methods_named() {
        assert!(Request::decode("ping", r#"{"later":1}"#).is_ok());
        let error = refused("party.fly", "{}");
        assert_eq!(error.to_string(), "there is no method \"party.fly\"");
    }

    #[test]
    fn signal_data_is_kept_letter_for_letter() {
        let params = r#"{"party_id":"p","from_peer_id":"a","to_peer_id":"b","signal_data":{"b": 1.00,"a":1e999}}"#;
        let Ok(Request::SignalSend(send)) = Request::decode("signal.send", params) else {
            panic!("must be taken")
        };
        assert_eq!(send.signal_data.as_json(), r#"{"b": 1.00,"a":1e999}"#);
    }
}
