use super::Scene;

#[test]
fn relays_are_registered_and_listed() {
    Scene::of(&["alice", "bob"]).play("relays_are_registered_and_listed");
}

#[test]
fn bodies_of_relays() {
    Scene::of(&["alice"]).play("bodies_of_relays");
}
