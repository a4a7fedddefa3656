use super::*;
use crate::config::Secret;

fn relay(id: &str, region: &str) -> Value {
    json!({"relay_id": id, "public_ip": "198.51.100.7", "port": "51820", "region": region})
}

#[actix::test]
async fn relays_are_listed_by_region_then_id() {
    let server = Server::start();
    let (ann, ben) = (server.token("ann").await, server.token("ben").await);
    assert_eq!(server.get("/relays", &ann).await.expect(200), json!({"relays": []}));
    for (id, region) in [("r3", "eu"), ("r1", "us"), ("r2", "eu")] {
        let reply = server.call("POST", "/relays", &ann, Some(relay(id, region))).await;
        assert_eq!(reply.expect(200), json!({"status": "registered", "relay_id": id}));
    }
    let ids = async |path: &str| {
        let relays = server.get(path, &ann).await.expect(200);
        let relays = relays["relays"].as_array().unwrap();
        relays.iter().map(|relay| relay["relay_id"].as_str().unwrap().to_owned()).collect()
    };
    let all: Vec<String> = ids("/relays").await;
    assert_eq!(all, ["r2", "r3", "r1"]);
    for (region, expected) in [("eu", 2), ("EU", 0), ("%00", 0), ("mars", 0)] {
        let found: Vec<String> = ids(&format!("/relays/{region}")).await;
        assert_eq!(found.len(), expected, "{region}");
    }
    let taken = server.call("POST", "/relays", &ben, Some(relay("r1", "us"))).await;
    taken.refuses(403, "relay r1 belongs to somebody else");
    let all_wrong = server.call("POST", "/relays", &ann, Some(json!({}))).await.expect(422);
    assert_eq!(all_wrong["detail"].as_array().unwrap().len(), 3);
}

#[actix::test]
async fn relay_registration_needs_the_configured_relay_key() {
    let relay_key = Some(Secret::new("hunter2").unwrap());
    let auth = Auth { relay_key, ..Auth::default() };
    let server = Server::with(HttpSettings { auth, ..settings() });
    let ann = server.token("ann").await;
    let post =
        async |token: &str| server.call("POST", "/relays", token, Some(relay("r1", "eu"))).await;
    post("").await.refuses(401, "Missing authorization header");
    post("hunter").await.refuses(401, "Invalid or expired token");
    post(&ann).await.refuses(403, "Registering a relay needs the relay key");
    post("hunter2").await.expect(200);
    server.get("/relays", "hunter2").await.refuses(401, "Invalid or expired token");
    assert_eq!(server.get("/relays", &ann).await.expect(200)["relays"][0]["relay_id"], "r1");
}
