//! What an installation says of itself.

use super::serving::Place;

#[test]
fn whoever_has_a_key_learns_what_runs_here() {
    let place = Place::new();
    let server = place.start();
    let user = server.make_key(server.key(), "asha", &["user"]);
    let system = server.get("/v1/system", &user).json();
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&system["storage"], &system["transport"], &system["limits"]),
        (&"sqlite".into(), &"in_process".into(), &"in_process".into())
    );
    assert!(system["disclosure"].as_str().unwrap().contains("automated"), "{system:#}");
    assert_eq!(system["policy_set"].as_str().unwrap().len(), 12);
    let key = system["checkpoint_keys"][0].as_str().unwrap();
    assert!(key.starts_with("genie/"), "{key}");
    // The verifier key, never the one that signs.
    let secret = std::fs::read_to_string(place.data().join("checkpoint.key")).unwrap();
    assert!(!system.to_string().contains(secret.trim()), "{system:#}");
    let later = server.get("/v1/system", &user).json();
    assert!(later["uptime_ms"].as_u64().unwrap() >= system["uptime_ms"].as_u64().unwrap());
    server.kill();
    let server = place.start_in_memory("disclosure = \"A robot.\"\n");
    let system = server.get("/v1/system", server.key()).json();
    assert_eq!((&system["storage"], &system["disclosure"]), (&"memory".into(), &"A robot.".into()));
    assert_eq!(system["checkpoint_keys"], serde_json::json!([]));
}
