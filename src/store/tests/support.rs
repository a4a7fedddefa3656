//! Rows to fill a state with, and directories that hold one.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::model::{Address, Epoch, Keepalive, NatType, Origin, PeerInput, Relay, UtcOffset};
use tempfile::TempDir;

use crate::core::{
    AddressKey, ChoiceRecord, CredentialRecord, Done, IntentRecord, MemberRecord, OpKind, Owner,
    PartyRecord, PinRecord, Proof, Receipt, ReceiptRecord, RelayRecord, Request, RequestKey,
    RequestKind, ServerKey, TokenHash, TokenRecord, User, Write,
};
use crate::store::{self, Database, Layout, OpenError, OpenOptions, Recovery, Rows, Sizes, open};

/// A directory of its own, in memory where there is a place for that: a process that is killed
/// leaves the same there as on a disk, and what is refused by the system is refused there too.
pub(super) fn temp_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(super) fn parse<T: FromStr<Err: std::fmt::Debug>>(text: impl Display) -> T {
    text.to_string().parse().unwrap()
}

/// A time in whole microseconds, all that is kept of it.
pub(super) fn time(microseconds: i64) -> Timestamp {
    Timestamp::from_duration(SignedDuration::from_micros(microseconds)).unwrap()
}

pub(super) fn noon() -> Timestamp {
    parse("2026-11-22T17:18:35Z")
}

pub(super) fn party(id: impl Display, seq: u64) -> PartyRecord {
    PartyRecord {
        origin: Origin::Local,
        address: None,
        party_id: parse(id),
        name: parse(format!("Fête \u{1f3ae} {seq}")),
        host_id: parse("host"),
        created_at: time(1_795_367_915_123_456),
        seq,
    }
}

/// The address of a client.
pub(super) fn an_address() -> Option<AddressKey> {
    Some(parse("2001:db8:0:7::"))
}

/// A party that lives on a control server.
pub(super) fn remote_party(id: impl Display, seq: u64) -> PartyRecord {
    PartyRecord { origin: Origin::Remote, ..party(id, seq) }
}

/// A member that differs in every field by `variant`.
pub(super) fn member(peer_id: impl Display, variant: u16) -> MemberRecord {
    let keepalives = [Keepalive::Connection, Keepalive::Daemon, Keepalive::Manual];
    let addresses = ["unknown", "203.0.113.7", "2001:db8::1"];
    MemberRecord {
        info: PeerInput {
            peer_id: parse(peer_id),
            name: parse(format!("peer {variant}")),
            public_key: parse(format!("key/{variant}+=")),
            nat_type: NatType::ALL[usize::from(variant) % 6],
            public_ip: parse::<Address>(addresses[usize::from(variant) % 3]),
            public_port: variant,
            local_ip: parse::<Address>(addresses[usize::from(variant / 3) % 3]),
            local_port: u16::MAX - variant,
        },
        virtual_ip: (0x0a42_0000 + u32::from(variant)).into(),
        owner: Owner::User(User(u32::MAX - u32::from(variant))),
        utc_offset: None,
        address: None,
        keepalive: keepalives[usize::from(variant) % 3],
        last_seen: time(i64::from(variant) * 1_000_003),
    }
}

pub(super) fn relay(id: impl Display, variant: u16) -> RelayRecord {
    RelayRecord {
        relay: Relay {
            relay_id: parse(id),
            public_ip: parse(["198.51.100.1", "2001:db8::2"][usize::from(variant) % 2]),
            port: variant,
            region: parse(format!("region {variant}")),
            capacity: u32::MAX - u32::from(variant),
            registered_at: time(-i64::from(variant)),
        },
        owner: Owner::User(User(u32::from(variant))),
    }
}

/// An owner of each kind, in turn.
pub(super) fn owner(variant: u16) -> Owner {
    match variant % 3 {
        0 => Owner::User(User(u32::from(variant))),
        1 => Owner::Peer(parse(format!("owner-{variant}"))),
        _ => Owner::RelayKey,
    }
}

/// A member of a server: one that is its own, and whose wall clock shows.
pub(super) fn own_member(peer_id: impl Display, variant: u16) -> MemberRecord {
    let member = member(peer_id, variant);
    let minutes = (variant % 105).cast_signed() * 15 - 720;
    let utc_offset = Some(UtcOffset::from_minutes(minutes).unwrap());
    MemberRecord { owner: Owner::Peer(member.info.peer_id.clone()), utc_offset, ..member }
}

/// A member that a control server told of.
pub(super) fn member_elsewhere(peer_id: impl Display, variant: u16) -> MemberRecord {
    MemberRecord { owner: Owner::Elsewhere, ..member(peer_id, variant) }
}

pub(super) fn owned_relay(id: impl Display, variant: u16) -> RelayRecord {
    RelayRecord { owner: owner(variant), ..relay(id, variant) }
}

/// A token that differs in every field by `variant`, but for whose it is.
pub(super) fn token(hash: u8, peer_id: impl Display, variant: u16) -> TokenRecord {
    let issued_at = time(i64::from(variant) * 1_000_003);
    TokenRecord {
        hash: TokenHash([hash; 32]),
        peer_id: parse(peer_id),
        issued_at,
        expires_at: time(253_402_207_200_999_999 - i64::from(variant)),
        address: None,
        claim: None,
    }
}

/// A request that a receipt may be for.
pub(super) fn request(variant: u16) -> Option<Request> {
    let kinds = [RequestKind::Register, RequestKind::Join, RequestKind::Signal];
    Some(Request {
        kind: kinds[usize::from(variant) % 3],
        party_id: (!variant.is_multiple_of(3)).then(|| parse(format!("party-{variant}"))),
        body: format!("body-{variant}").into(),
    })
}

/// A receipt that differs in every field by `variant`, of whatever can be done.
pub(super) fn receipt(peer_id: impl Display, key: &str, variant: u16) -> ReceiptRecord {
    let done = match variant % 5 {
        0 => Done::Entered {
            party_id: parse(format!("party-{variant}")),
            virtual_ip: (0x0a42_0000 + u32::from(variant)).into(),
        },
        1 => Done::Left { party_deleted: true },
        2 => Done::Left { party_deleted: false },
        3 => Done::Updated,
        _ => Done::Queued,
    };
    let epoch = parse(format!("epoch-{variant}"));
    ReceiptRecord {
        peer_id: parse(peer_id),
        key: RequestKey(key.into()),
        at: time(i64::from(variant) * -1_000_003),
        request: None,
        receipt: Receipt { epoch, seq: u64::MAX - u64::from(variant), done },
    }
}

pub(super) fn server(variant: u16) -> ServerKey {
    let all = ["http://localhost:8080", "https://lan.example.org/base", "https://[2001:db8::3]"];
    ServerKey(all[usize::from(variant) % all.len()].into())
}

/// A pin that differs in every field by `variant`, but for what it is about.
pub(super) fn pin(party_id: impl Display, peer_id: impl Display, variant: u16) -> PinRecord {
    PinRecord {
        party_id: parse(party_id),
        peer_id: parse(peer_id),
        public_key: parse(format!("key '{variant}'")),
        replaced_by: (variant % 2 == 1).then(|| parse(format!("other {variant}"))),
        at: time(i64::from(variant) * 1_000_003),
    }
}

/// An intent that differs in every field by `variant`, but for what it is about.
pub(super) fn intent(party_id: impl Display, peer_id: impl Display, variant: u16) -> IntentRecord {
    let deeds = [OpKind::Register, OpKind::Join, OpKind::Update, OpKind::Leave];
    IntentRecord {
        party_id: parse(party_id),
        peer_id: parse(peer_id),
        kind: deeds[usize::from(variant) % 4],
        key: RequestKey(format!("request '{variant}'").into()),
        at: time(i64::from(variant) * 1_000_003),
        // Fixtures of old versions have none.
        owner: (variant > 3).then_some(User(u32::from(variant))),
    }
}

/// Prefix of every secret that is kept for a control server.
pub(super) const TOKEN: &str = "eyJhbGciOi";

/// True if a text shows a token, or its bytes.
pub(super) fn shows_token(text: &str) -> bool {
    let bytes = format!("{:?}", TOKEN.as_bytes());
    text.contains(TOKEN) || text.contains(bytes.trim_matches(['[', ']']))
}

/// A credential that differs in every field by `variant`, but for whom it proves to whom. Every
/// fifth is a claim without its answer.
pub(super) fn credential(
    server: ServerKey,
    peer_id: impl Display,
    variant: u16,
) -> CredentialRecord {
    let text = format!("{TOKEN}.{variant}._-\u{1f511}").into();
    let proof = if variant.is_multiple_of(5) { Proof::Claim(text) } else { Proof::Token(text) };
    CredentialRecord {
        server,
        peer_id: parse(peer_id),
        proof,
        renew_at: time(253_402_207_200_999_999 - i64::from(variant)),
        owner: User(u32::MAX - u32::from(variant)),
    }
}

/// A choice of whatever can be chosen, over whatever was configured.
pub(super) fn choice(variant: u16) -> ChoiceRecord {
    let one = |variant: u16| {
        [None, Some(server(1)), Some(server(2)), Some(server(3))][usize::from(variant) % 4].clone()
    };
    let epoch = (variant >= 10).then(|| parse(format!("epoch-{variant}")));
    ChoiceRecord { server: one(variant), configured: one(variant / 4), epoch }
}

/// Rows without their signs of life, which no checksum covers.
pub(super) fn without_seen(mut rows: Vec<Write>) -> Vec<Write> {
    for row in &mut rows {
        if let Write::PutMember(_, member) = row {
            member.last_seen = Timestamp::UNIX_EPOCH;
        }
    }
    rows
}

/// The rows of a party with some members, numbered alike.
pub(super) fn party_of(id: impl Display, members: u16, number: u16) -> Vec<Write> {
    let party = party(id, u64::from(number));
    let party_id = party.party_id.clone();
    let mut rows = vec![Write::PutParty(party)];
    for index in 0..members {
        let member = member(format!("peer-{index}"), number.wrapping_add(index));
        rows.push(Write::PutMember(party_id.clone(), member));
    }
    rows
}

/// An opened state with its rows.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) rows: Vec<Write>,
    pub(super) epoch: Epoch,
    pub(super) recovery: Option<Recovery>,
    pub(super) created: bool,
}

/// The rows of the last reading.
#[derive(Default)]
struct Read {
    rows: Vec<Write>,
    epoch: Option<Epoch>,
}

impl Rows for Read {
    fn begin(&mut self, epoch: &Epoch, sizes: Sizes) {
        self.rows.begin(epoch, sizes);
        self.epoch = Some(epoch.clone());
    }

    fn put(&mut self, row: Write) {
        self.rows.put(row);
    }
}

pub(super) fn try_open(dir: &Path) -> Result<Opened, OpenError> {
    static EPOCHS: AtomicU64 = AtomicU64::new(0);
    let new_epoch = || parse(format!("epoch-{}", EPOCHS.fetch_add(1, Ordering::Relaxed)));
    let options = OpenOptions { now: noon(), layout: Layout::DAEMON, new_epoch: &new_epoch };
    let mut read = Read::default();
    let store::Opened { database, recovery, created } = open(dir, &options, &mut read)?;
    let epoch = read.epoch.expect("rows of an epoch");
    Ok(Opened { database, rows: read.rows, epoch, recovery, created })
}

pub(super) fn open_in(dir: &Path) -> Opened {
    try_open(dir).unwrap()
}

pub(super) fn commit(database: &mut Database, writes: &[Write]) {
    database.commit(writes, &[]).unwrap();
}

/// Copies the files of a state, as a kill at this moment would leave them.
pub(super) fn copy_state(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::create_dir(to.join(path.file_name().unwrap())).unwrap();
            copy_state(&path, &to.join(path.file_name().unwrap()));
        } else {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// Every file of a directory and what is in it, but for the index of the log: that is SQLite's
/// to rewrite.
pub(super) fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file() && !path.ends_with("control.db-shm"));
    files
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
        })
        .collect()
}

/// The names in a directory, sorted.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn database_in(dir: &Path) -> std::path::PathBuf {
    dir.join(Layout::DAEMON.database)
}
