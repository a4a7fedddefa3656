use super::Scene;

#[test]
fn relays_are_registered_and_listed_as_recorded() {
    Scene::of(&["alice", "bob"]).play("relays_are_registered_and_listed_as_recorded");
}

#[test]
fn post_relays_with_invalid_bodies_answers_as_recorded() {
    Scene::of(&["alice"]).play("post_relays_with_invalid_bodies_answers_as_recorded");
}
