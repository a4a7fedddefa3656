use std::collections::{BTreeMap, BTreeSet};

use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Keepalive, Origin, PeerId};

use super::super::rules::Verdict;
use super::super::{
    InFlight, InFlightKind, Intent, LocalMember, LocalParty, MemberOutcome, Occasion, OpBody,
    PartyOutcome, ReconcileInput, ServerParty, reconcile,
};
use super::{id, peer, there};
use crate::core::command::{Caller, ConnectionId, Principal};
use crate::core::record::{OpKind, User};
use Occasion::{Gone, News, Return};

/// Both sides of a comparison.
struct Case {
    server: Option<ServerParty>,
    copy: Option<LocalParty>,
    intents: BTreeMap<PeerId, OpKind>,
    in_flight: Vec<InFlight>,
    known_as_ours: BTreeSet<PeerId>,
}

impl Case {
    fn new(server: &[&str], origin: Origin, copy: &[&str]) -> Self {
        let is_ours = |text: &str| !text.starts_with('x');
        let member = |text: &&str| {
            let is_ours = is_ours(text);
            (id(text), LocalMember { info: peer(text), is_ours, live: is_ours })
        };
        Self {
            server: (!server.is_empty()).then(|| there(server)),
            copy: (!copy.is_empty()).then(|| LocalParty {
                name: "lan".parse().unwrap(),
                host_id: id(copy[0]),
                origin,
                members: copy.iter().map(member).collect(),
            }),
            intents: BTreeMap::new(),
            in_flight: Vec::new(),
            known_as_ours: server.iter().filter(|text| is_ours(text)).map(|t| id(t)).collect(),
        }
    }

    /// Returns a case with a copy of a server's party.
    fn copy(server: &[&str], copy: &[&str]) -> Self {
        Self::new(server, Origin::Remote, copy)
    }

    fn local(server: &[&str], copy: &[&str]) -> Self {
        Self::new(server, Origin::Local, copy)
    }

    fn intends(mut self, kind: OpKind, peer: &str) -> Self {
        self.intents.insert(id(peer), kind);
        self
    }

    fn passes(mut self, peer: &str, what: InFlightKind) -> Self {
        self.in_flight.push(InFlight { peer_id: id(peer), what });
        self
    }

    fn silent(mut self, peer: &str) -> Self {
        self.here(peer).live = false;
        self
    }

    fn here(&mut self, peer: &str) -> &mut LocalMember {
        self.copy.as_mut().unwrap().members.get_mut(&id(peer)).unwrap()
    }

    fn verdict(&self, occasion: Occasion) -> Verdict {
        reconcile(&ReconcileInput {
            server: self.server.as_ref(),
            copy: self.copy.as_ref(),
            intents: &self.intents,
            in_flight: &self.in_flight,
            known_as_ours: &self.known_as_ours,
            occasion,
        })
    }
}

fn acts(verdict: &Verdict) -> Vec<String> {
    let line = |body: &OpBody| format!("{:?} {}", body.kind(), body.peer_id());
    verdict.acts.iter().map(line).collect()
}

fn intents(verdict: &Verdict) -> Vec<(String, Intent)> {
    verdict.intents.iter().map(|(id, intent)| (id.to_string(), *intent)).collect()
}

/// Returns the outcome of each member of a followed party.
fn places(verdict: &Verdict) -> Vec<String> {
    let PartyOutcome::Follows(places) = &verdict.outcome else { panic!("{verdict:?}") };
    let line = |(id, place): (&PeerId, &MemberOutcome)| match place {
        MemberOutcome::Theirs(_) => format!("{id} theirs"),
        MemberOutcome::Ours(_) => format!("{id} ours"),
        MemberOutcome::OursAhead => format!("{id} ahead"),
        MemberOutcome::OursAlone => format!("{id} alone"),
    };
    places.iter().map(line).collect()
}

fn stays(peer: &str) -> (String, Intent) {
    (peer.to_owned(), Intent::Stays)
}

const REMOVED: PartyOutcome = PartyOutcome::Goes(RemovalReason::Removed);

fn enters(id: &str) -> InFlightKind {
    let principal = Principal::User { user: User(1), admin: false };
    let caller = Caller { principal, connection: ConnectionId(1), address: None };
    InFlightKind::Enters { caller, keepalive: Keepalive::Daemon, registers: false, info: peer(id) }
}

#[test]
fn party_registered_offline_with_a_taken_id() {
    let case = Case::local(&["x1", "a"], &["b"]).intends(OpKind::Register, "b");
    for occasion in [Return, News] {
        let verdict = case.verdict(occasion);
        assert_eq!(acts(&verdict), ["Leave a", "Register b"]);
        assert_eq!(
            (verdict.outcome.clone(), intents(&verdict)),
            (PartyOutcome::Stays, vec![stays("b")])
        );
    }
}

#[test]
fn other_party_under_the_id_of_a_copy() {
    for occasion in [Occasion::Return, Occasion::News] {
        let verdict = Case::copy(&["x2", "a"], &["x1", "a", "b"]).verdict(occasion);
        assert_eq!(verdict.outcome, PartyOutcome::Goes(RemovalReason::Removed));
        assert_eq!(acts(&verdict), ["Leave a"]);
        assert_eq!(intents(&verdict), [("a".to_owned(), Intent::New(OpKind::Leave))]);
    }
    let asked = Case::copy(&["x2", "a"], &["x1", "a"]).passes("a", enters("a"));
    assert_eq!(places(&asked.verdict(Occasion::News)), ["a ours", "x2 theirs"]);
}

#[test]
fn absent_party_registered_offline_is_registered() {
    let case =
        Case::local(&[], &["a", "b"]).intends(OpKind::Register, "a").intends(OpKind::Join, "b");
    for occasion in [Return, News, Gone(RemovalReason::Left)] {
        let verdict = case.verdict(occasion);
        assert_eq!(acts(&verdict), ["Register a"], "guests join after the registration");
        assert_eq!(intents(&verdict), [stays("a"), stays("b")]);
        assert_eq!(verdict.outcome, PartyOutcome::Stays);
    }
}

#[test]
fn absent_party_of_this_daemon_stays() {
    for occasion in [Return, News, Gone(RemovalReason::Left)] {
        assert_eq!(Case::local(&[], &["a"]).verdict(occasion), Verdict::default());
        assert_eq!(Case::copy(&[], &[]).verdict(occasion), Verdict::default());
    }
}

#[test]
fn absent_party_with_a_local_host_is_registered_again() {
    let verdict = Case::copy(&[], &["a", "b", "c", "x1"]).silent("c").verdict(Return);
    assert_eq!(acts(&verdict), ["Register a"]);
    let new = |peer: &str, kind| (peer.to_owned(), Intent::New(kind));
    assert_eq!(intents(&verdict), [new("a", OpKind::Register), new("b", OpKind::Join)]);
    assert_eq!(verdict.outcome, PartyOutcome::Loses([id("c")].into()));
}

#[test]
fn absent_party_with_local_guests_is_joined() {
    for host in ["x1", "a"] {
        let mut case = Case::copy(&[], &[host, "b", "c"]).silent("c");
        if host == "a" {
            case = case.silent("a");
        }
        let verdict = case.verdict(Return);
        assert_eq!(acts(&verdict), ["Join b"]);
        assert_eq!(
            verdict.outcome,
            PartyOutcome::Loses([id("c")].into()),
            "and never its host alone"
        );
    }
    // An intent counts even without a keepalive.
    let case = Case::copy(&[], &["x1", "b"]).silent("b").intends(OpKind::Join, "b");
    assert_eq!(acts(&case.verdict(Return)), ["Join b"]);
    assert_eq!(intents(&case.verdict(Return)), [stays("b")]);
}

#[test]
fn absent_party_without_local_peers_or_ended_is_removed() {
    let left = Case::copy(&[], &["x1"]).intends(OpKind::Leave, "a").verdict(Return);
    assert_eq!((left.outcome.clone(), acts(&left), intents(&left)), (REMOVED, vec![], vec![]));
    assert_eq!(Case::copy(&[], &["x1", "a"]).silent("a").verdict(Return).outcome, REMOVED);
    let case = Case::copy(&[], &["a", "b"]);
    for reason in [RemovalReason::Left, RemovalReason::Expired] {
        let gone = case.verdict(Gone(reason));
        assert_eq!((gone.outcome.clone(), acts(&gone)), (PartyOutcome::Goes(reason), vec![]));
    }
    assert_eq!(case.verdict(News).outcome, REMOVED);
}

#[test]
fn member_that_left_offline_leaves_there() {
    let verdict = Case::copy(&["x1", "a", "b"], &["x1", "b"]).intends(OpKind::Leave, "a");
    let verdict = verdict.verdict(Return);
    // It has a fresh key: the server may have let it in again after the leave under the old key.
    let again = ("a".to_owned(), Intent::New(OpKind::Leave));
    assert_eq!((acts(&verdict), intents(&verdict)), (vec!["Leave a".into()], vec![again.clone()]));
    assert_eq!(places(&verdict), ["b ours", "x1 theirs"]);
    let verdict = Case::copy(&["x1", "a", "b"], &["x1", "b"]).intends(OpKind::Leave, "a");
    assert_eq!(intents(&verdict.verdict(News)), [stays("a")]);
    // The last local member: the copy stays until its leave is sent.
    let verdict = Case::copy(&["x1", "a"], &["x1"]).intends(OpKind::Leave, "a").verdict(Return);
    assert_eq!(places(&verdict), ["x1 theirs"]);
    // The host: the party does not exist here, and nothing of it is taken over.
    let verdict = Case::copy(&["a", "x1", "b"], &[]).intends(OpKind::Leave, "a");
    let verdict = verdict.intends(OpKind::Leave, "b").verdict(Return);
    assert_eq!((acts(&verdict), &verdict.outcome), (vec!["Leave a".into()], &PartyOutcome::Stays));
    assert_eq!(intents(&verdict), [again, stays("b")], "kept until all leaves are done");
    // A member that rejoined has an intent to join.
    let case = Case::copy(&["x1", "a"], &["x1", "a"]).intends(OpKind::Join, "a");
    assert_eq!((acts(&case.verdict(Return)), intents(&case.verdict(Return))), (vec![], vec![]));
}

#[test]
fn local_description_of_a_member_is_sent() {
    let mut case = Case::copy(&["x1", "a"], &["x1", "a"]);
    case.here("a").info.public_port = 2;
    for occasion in [Return, News] {
        let verdict = case.verdict(occasion);
        assert_eq!(acts(&verdict), ["Update a"]);
        assert_eq!(intents(&verdict), [("a".to_owned(), Intent::New(OpKind::Update))]);
        assert_eq!(places(&verdict), ["a ahead", "x1 theirs"]);
    }
    // While its entry is in flight, the server's description is not corrected.
    let verdict = case.passes("a", enters("a")).verdict(News);
    assert_eq!((acts(&verdict), places(&verdict)[0].as_str()), (vec![], "a ours"));
}

#[test]
fn local_member_that_did_not_ask_leaves() {
    for occasion in [Return, News] {
        let verdict = Case::copy(&["x1", "a", "b"], &["x1", "b"]).verdict(occasion);
        assert_eq!((acts(&verdict), intents(&verdict)), (vec!["Leave a".to_owned()], vec![]));
        assert_eq!(places(&verdict), ["b ours", "x1 theirs"]);
    }
    // A member whose leave is in flight does not return.
    let verdict = Case::copy(&["x1", "a", "b"], &["x1", "b"]).passes("a", InFlightKind::Leaves);
    assert_eq!(places(&verdict.verdict(News)), ["b ours", "x1 theirs"]);
}

#[test]
fn party_without_a_request_is_not_followed() {
    for copy in [&[][..], &["b"]] {
        for occasion in [Return, News] {
            let verdict = Case::local(&["x1", "a", "b"], copy).verdict(occasion);
            let leaves = vec!["Leave a".to_owned(), "Leave b".to_owned()];
            assert_eq!((acts(&verdict), intents(&verdict)), (leaves, vec![]));
            assert_eq!(verdict.outcome, PartyOutcome::Stays);
        }
    }
    // A member whose leave is in flight does not leave twice.
    let leaving = Case::copy(&["x1", "a"], &[]).passes("a", InFlightKind::Leaves);
    assert_eq!(leaving.verdict(News), Verdict::default());
    let asked = Case::copy(&["x1", "a"], &[]).passes("a", enters("a"));
    assert_eq!(places(&asked.verdict(News)), ["a ours", "x1 theirs"]);
}

#[test]
fn entering_member_has_the_requested_description() {
    let mut case = Case::copy(&["x1", "a"], &["x1"]).passes("a", enters("a"));
    let server = case.server.as_mut().unwrap();
    server.members.get_mut("a").unwrap().info.public_key = "stolen".parse().unwrap();
    let PartyOutcome::Follows(places) = case.verdict(News).outcome else { panic!("not followed") };
    assert_eq!(places[&id("a")], MemberOutcome::Ours(peer("a")));
}

#[test]
fn leaving_member_stays_until_the_confirmation() {
    let mut case = Case::copy(&["x1", "a"], &["x1", "a"]).passes("a", InFlightKind::Leaves);
    case.here("a").info.public_port = 2;
    let verdict = case.verdict(News);
    assert_eq!((acts(&verdict), places(&verdict)[0].as_str()), (vec![], "a ahead"));
    // The same with the host: after it has left here, its party does not return.
    let verdict = Case::copy(&["a", "b"], &["a", "b"]).passes("a", InFlightKind::Leaves);
    assert_eq!(places(&verdict.verdict(News)), ["a ahead", "b ours"]);
    let verdict = Case::copy(&["a", "b"], &[]).passes("a", InFlightKind::Leaves);
    assert_eq!(verdict.verdict(News), Verdict::default());
}

#[test]
fn local_member_missing_there_joins_or_is_removed() {
    let case = Case::copy(&["x1", "b"], &["x1", "b", "a"]);
    let back = case.verdict(Return);
    assert_eq!(acts(&back), ["Join a"]);
    assert_eq!(places(&back), ["a alone", "b ours", "x1 theirs"]);
    let news = case.verdict(News);
    assert_eq!((acts(&news), places(&news)), (vec![], vec!["b ours".into(), "x1 theirs".into()]));
    let joined = Case::copy(&["x1"], &["x1", "a"]).silent("a").intends(OpKind::Join, "a");
    for occasion in [Return, News] {
        assert_eq!(acts(&joined.verdict(occasion)), ["Join a"]);
    }
    let silent = Case::copy(&["x1"], &["x1", "a"]).silent("a").verdict(Return);
    assert_eq!((silent.outcome.clone(), acts(&silent)), (REMOVED, vec![]));
}

#[test]
fn members_from_elsewhere_are_taken_over_from_the_server() {
    let verdict = Case::copy(&["x1", "x2", "a"], &["x1", "x3", "a"]).verdict(News);
    assert_eq!(places(&verdict), ["a ours", "x1 theirs", "x2 theirs"]);
    // A party without local members and without a copy is ignored.
    assert_eq!(Case::copy(&["x1"], &[]).verdict(News), Verdict::default());
}

#[test]
fn intent_newer_than_a_request_in_flight_is_kept() {
    // It left while its join was in flight: its absence on the server does not settle the leave.
    let case = Case::copy(&["x1", "b"], &["x1", "b"]).intends(OpKind::Leave, "a");
    assert_eq!(intents(&case.verdict(News)), []);
    let case = case.passes("a", InFlightKind::Comes);
    assert_eq!(
        (acts(&case.verdict(News)), intents(&case.verdict(News))),
        (vec![], vec![stays("a")])
    );
    let came = Case::copy(&["x1", "b", "a"], &["x1", "b"]).intends(OpKind::Leave, "a");
    assert_eq!(acts(&came.passes("a", InFlightKind::Comes).verdict(News)), ["Leave a"]);
    let nothing = Case::copy(&[], &[]).intends(OpKind::Leave, "a").passes("a", InFlightKind::Comes);
    assert_eq!(intents(&nothing.verdict(Return)), [stays("a")]);
    // Its presence on the server settles the join.
    let there = Case::copy(&["x1", "a"], &["x1", "a"]).intends(OpKind::Join, "a");
    assert_eq!(intents(&there.passes("a", InFlightKind::Comes).verdict(News)), []);

    // It rejoined while its leave was in flight: its presence there does not settle the join.
    let joined = |server| Case::copy(server, &["x1", "a"]).intends(OpKind::Join, "a");
    let case = joined(&["x1", "a"]).passes("a", InFlightKind::Leaves);
    assert_eq!(
        (acts(&case.verdict(News)), intents(&case.verdict(News))),
        (vec![], vec![stays("a")])
    );
    let gone = joined(&["x1"]).passes("a", InFlightKind::Leaves).verdict(News);
    assert_eq!((acts(&gone), intents(&gone)), (vec!["Join a".into()], vec![stays("a")]));
    // The leave of the last member is in flight: its copy stays meanwhile.
    let last = Case::copy(&["x1", "a"], &["x1"]).intends(OpKind::Leave, "a");
    assert_eq!(places(&last.passes("a", InFlightKind::Leaves).verdict(News)), ["x1 theirs"]);
}
