//! A daemon that may have few files open.

use serde_json::json;

use crate::harness::{
    Daemon, OtherUser, Setup, crowd, end_of, peer, system_setup, with_file_descriptors,
};

#[test]
fn connections_of_a_user_leave_descriptors_to_the_store() {
    // One user may have all connections.
    let setup = Setup::new().config("[limits]\nconnections_per_uid = 256\n");
    let command = with_file_descriptors(&setup, 160);
    let mut daemon = Daemon::launch(setup, command);
    daemon.await_ready();
    let warning = "the limit of open files is 160: limits.connections is ";
    assert!(daemon.setup.log().contains(warning), "{}", daemon.setup.log());
    let mut admitted: Vec<_> = (0..20).map(|_| daemon.client()).collect();
    for client in &mut admitted {
        client.call("ping", json!({}));
    }
    let mut first = admitted.swap_remove(0);
    // All others wait for the daemon at once.
    daemon.freeze();
    let _crowd: Vec<_> = (0..200).map(|_| daemon.client()).collect();
    daemon.thaw();
    let registered = first.call("party.register", json!({"name": "LAN", "host": peer("ann")}));
    assert_eq!(registered["party"]["host_id"], "ann");
    first.call("state.backup", json!({"path": daemon.setup.path("copy.db")}));
    assert!(!daemon.setup.log().contains("Too many open files"), "{}", daemon.setup.log());
}

#[test]
fn connections_of_an_operator_leave_room_where_few_fit() {
    let [greedy, honest] = [60_100, 60_101];
    let Some(setup) = system_setup(&[greedy, honest], "") else { return };
    let command = with_file_descriptors(&setup, 160);
    let mut daemon = Daemon::launch(setup, command);
    daemon.await_ready();
    let _crowd = crowd(&daemon.setup.socket(), greedy, 40);
    // It is admitted after those that connected before.
    let other = OtherUser::new(&daemon.setup.socket(), honest);
    other.connect().call("party.list", json!({}));
    let warning = "limits.connections_per_uid is ";
    assert!(daemon.setup.log().contains(warning), "{}", daemon.setup.log());
}

#[test]
fn limit_without_room_for_clients_is_an_error() {
    let setup = Setup::new();
    let expected = "the limit of open files is 70, which leaves too few for connections: raise it";
    assert_eq!(end_of(&mut with_file_descriptors(&setup, 70)).code(), Some(1));
    assert!(setup.log().contains(expected), "{}", setup.log());
    let status = end_of(with_file_descriptors(&setup, 70).arg("--check-config"));
    assert_eq!(status.code(), Some(2));
}
