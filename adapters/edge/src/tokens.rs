//! The tokens of a session: JWTs (RFC 7519) that this installation signs with Ed25519.
//!
//! An access token opens routes for some minutes, a refresh token renews both once. Neither says
//! what its bearer may do: that is read from the account at every request. What is accepted is one
//! algorithm and one type for each use, by that of the held keys which `kid` names; the header of a
//! token decides nothing else. Keys may be rotated while they are in use: the first signs, the
//! former ones are there to read.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use genie_core::clock::Timestamp;
use genie_core::identity::accounts::{AccountId, Session, SessionId};
use genie_core::journal::chain::Hash;
use genie_core::tasks::Tasks;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Who signs, and for whom.
const ISSUER: &str = "genie";
const AUDIENCE: &str = "genie/v1";
/// Domain separation for the ids of tokens.
const TOKEN_DOMAIN: &str = "genie/token-id/v1\n";
/// Longest token that is read, in bytes.
const LEN_MAX: usize = 2_048;
/// How far the clocks of processes that share a key may differ, in seconds.
const LEEWAY_S: i64 = 5;
/// What stands before the seed of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// How often the keys are read again.
const READ_EVERY: Duration = Duration::from_secs(5);
/// How soon they are read again for a token that names another.
const READ_AGAIN: Duration = Duration::from_millis(100);

/// The seed of an Ed25519 key.
pub type Seed = Zeroizing<[u8; 32]>;

/// Gives the seeds of the keys that tokens are good by, as they are now: the first signs. It may
/// read a file.
pub type Seeds = Arc<dyn Fn() -> Result<Vec<Seed>, String> + Send + Sync>;

/// What a token calls the key with this seed.
#[must_use]
pub fn key_id(seed: &Seed) -> String {
    id_of(&SigningKey::from_bytes(seed).verifying_key().to_bytes())
}

fn id_of(public: &[u8; 32]) -> String {
    Hash::of(public).to_string().chars().take(16).collect()
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// To open routes.
    Access,
    /// To renew both.
    Refresh,
}

impl Use {
    /// The type in the header; the first is that of RFC 9068.
    fn kind(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "genie-refresh+jwt",
        }
    }

    /// The id of the one token for this use that a session has between two renewals: a UUID of
    /// version 8 (RFC 9562) over all that tells it from others.
    fn id(self, account: AccountId, session: SessionId, generation: u64) -> Uuid {
        let named = format!("{TOKEN_DOMAIN}{} {account} {session} {generation}", self.kind());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Hash::of(named.as_bytes()).0[..16]);
        Uuid::new_v8(bytes)
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    /// The account.
    pub(crate) sub: AccountId,
    jti: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
    /// The session.
    pub(crate) sid: SessionId,
    /// How often the session had been renewed.
    pub(crate) generation: u64,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Invalid,
    Expired,
    /// It names a key that is not held.
    UnknownKey,
}

/// A key that is held.
struct Key {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Key {
    fn of(seed: &Seed) -> Self {
        let public = SigningKey::from_bytes(seed).verifying_key().to_bytes();
        let pkcs8 = Zeroizing::new([&PKCS8[..], &seed[..]].concat());
        Self {
            id: id_of(&public),
            encoding: EncodingKey::from_ed_der(&pkcs8),
            decoding: DecodingKey::from_ed_der(&public),
        }
    }

    fn header(&self, of: Use) -> Header {
        let mut header = Header::new(Algorithm::EdDSA);
        (header.typ, header.kid) = (Some(of.kind().to_owned()), Some(self.id.clone()));
        header
    }
}

/// What signs and reads tokens.
pub(crate) struct Tokens {
    seeds: Seeds,
    /// The first signs.
    keys: RwLock<Arc<[Key]>>,
    read_at: tokio::sync::Mutex<Option<Instant>>,
    validation: Validation,
}

impl Tokens {
    /// Signs with the first of these keys.
    pub(crate) fn new(seeds: Seeds) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // The time is the port's, not that of the library.
        validation.validate_exp = false;
        let tokens = Self {
            seeds,
            keys: RwLock::new(Arc::new([])),
            read_at: tokio::sync::Mutex::default(),
            validation,
        };
        tokens.renew();
        tokens
    }

    fn keys(&self) -> Arc<[Key]> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the keys again. Where they cannot be read, those that are held stay.
    fn renew(&self) {
        let seeds = match (self.seeds)() {
            Ok(seeds) => seeds,
            Err(problem) => {
                tracing::warn!(problem, "the keys that sign tokens cannot be read again");
                return;
            }
        };
        let before = self.keys();
        if before.iter().map(|key| &key.id).eq(&seeds.iter().map(key_id).collect::<Vec<_>>()) {
            return;
        }
        let keys: Arc<[Key]> = seeds.iter().map(Key::of).collect();
        if let (Some(key), false) = (keys.first(), before.is_empty()) {
            tracing::info!(key = key.id, held = keys.len(), "the keys that sign tokens changed");
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// A token of a session; `None` if there is no key, or it does not sign.
    pub(crate) fn made(
        &self,
        of: Use,
        session: &Session,
        (now, lasts): (Timestamp, Duration),
    ) -> Option<String> {
        let seconds = |at: Timestamp| at.as_micros() / 1_000_000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: session.account,
            jti: of.id(session.account, session.id, session.generation),
            iat: seconds(now),
            nbf: seconds(now),
            exp: seconds(now.plus(lasts).min(session.expires_at)),
            sid: session.id,
            generation: session.generation,
        };
        let keys = self.keys();
        let key = keys.first()?;
        encode(&key.header(of), &claims, &key.encoding).ok()
    }

    /// What a token says, if it is one of ours, for this use, and of this moment. For a token that
    /// names another key, the keys are read again: another process may have rotated them.
    pub(crate) async fn claims(
        self: &Arc<Self>,
        tasks: &Tasks,
        (of, text): (Use, &str),
        now: Timestamp,
    ) -> Result<Claims, Refusal> {
        match self.read(of, text, now) {
            Err(Refusal::UnknownKey) => {}
            read => return read,
        }
        self.read_again(tasks, READ_AGAIN).await;
        self.read(of, text, now)
    }

    /// Reads the keys again, unless that was done within this time.
    async fn read_again(self: &Arc<Self>, tasks: &Tasks, unless: Duration) {
        let mut read_at = self.read_at.lock().await;
        if read_at.is_some_and(|read_at| read_at.elapsed() < unless) {
            return;
        }
        let tokens = self.clone();
        // An error means that the process stops.
        let _ = tasks.spawn_blocking(move || tokens.renew()).await;
        *read_at = Some(Instant::now());
    }

    fn read(&self, of: Use, text: &str, now: Timestamp) -> Result<Claims, Refusal> {
        let header = decode_header(text).ok().filter(|_| text.len() <= LEN_MAX);
        let header = header.ok_or(Refusal::Invalid)?;
        let keys = self.keys();
        let named = keys.iter().find(|key| Some(&key.id) == header.kid.as_ref());
        let key = named.ok_or(Refusal::UnknownKey)?;
        if header != key.header(of) {
            return Err(Refusal::Invalid);
        }
        let read = decode::<Claims>(text, &key.decoding, &self.validation);
        let claims = read.map_err(|_| Refusal::Invalid)?.claims;
        // It is the token that it says it is, and not that of another use, session or renewal.
        if claims.jti != of.id(claims.sub, claims.sid, claims.generation) {
            return Err(Refusal::Invalid);
        }
        let now = now.as_micros() / 1_000_000;
        if claims.nbf > now + LEEWAY_S {
            return Err(Refusal::Invalid);
        }
        if claims.exp <= now { Err(Refusal::Expired) } else { Ok(claims) }
    }
}

/// Reads the keys again and again, so that a former one that is forgotten opens nothing soon.
pub(crate) async fn watch(tokens: Arc<Tokens>, tasks: Tasks) {
    loop {
        tokio::time::sleep(READ_EVERY).await;
        tokens.read_again(&tasks, Duration::ZERO).await;
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const SEED: [u8; 32] = [7; 32];

    fn session() -> Session {
        Session {
            id: SessionId(Uuid::from_u128(1)),
            account: AccountId(Uuid::from_u128(2)),
            generation: 3,
            created_at: at(0),
            expires_at: at(10_000),
            ended_at: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    /// Tokens by keys with these seeds.
    fn by(seeds: &[[u8; 32]]) -> Tokens {
        let seeds: Vec<Seed> = seeds.iter().map(|seed| Zeroizing::new(*seed)).collect();
        Tokens::new(Arc::new(move || Ok(seeds.clone())))
    }

    fn made(of: Use) -> String {
        let lasts = Duration::from_mins(15);
        by(&[SEED]).made(of, &session(), (at(100), lasts)).unwrap()
    }

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    /// The token with other content, signed anew with the right key.
    fn forged(header: &Value, change: impl Fn(&mut Value)) -> String {
        use ed25519_dalek::Signer;
        let token = made(Use::Access);
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let mut claims: Value = serde_json::from_slice(&claims).unwrap();
        change(&mut claims);
        let signed = format!("{}.{}", part(header), part(&claims));
        let signature = SigningKey::from_bytes(&SEED).sign(signed.as_bytes()).to_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn header() -> Value {
        json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": key_id(&Zeroizing::new(SEED)) })
    }

    #[test]
    fn a_token_is_read_for_its_use_and_in_its_time() {
        let tokens = by(&[SEED]);
        for (of, other) in [(Use::Access, Use::Refresh), (Use::Refresh, Use::Access)] {
            let token = made(of);
            let claims = tokens.read(of, &token, at(500)).unwrap();
            assert_eq!((claims.sid, claims.generation), (session().id, 3));
            assert_eq!(tokens.read(other, &token, at(500)), Err(Refusal::Invalid), "wrong type");
            assert_eq!(tokens.read(of, &token, at(94)), Err(Refusal::Invalid), "not yet");
            assert!(tokens.read(of, &token, at(999)).is_ok());
            assert_eq!(tokens.read(of, &token, at(1_000)), Err(Refusal::Expired));
        }
        // The test's own way to make tokens makes good ones.
        assert!(tokens.read(Use::Access, &forged(&header(), |_| {}), at(500)).is_ok());
    }

    #[test]
    fn a_former_key_reads_and_the_first_signs() {
        let (old, both) = (by(&[SEED]), by(&[[8; 32], SEED]));
        let token = made(Use::Access);
        assert!(both.read(Use::Access, &token, at(500)).is_ok());
        assert_eq!(both.read(Use::Access, &token, at(1_000)), Err(Refusal::Expired));
        let lasts = (at(100), Duration::from_mins(15));
        let newer = both.made(Use::Access, &session(), lasts).unwrap();
        assert!(both.read(Use::Access, &newer, at(500)).is_ok());
        assert_eq!(old.read(Use::Access, &newer, at(500)), Err(Refusal::UnknownKey));
        // The key that a token names is the key that it is read by.
        let wrong =
            json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": key_id(&Zeroizing::new([8; 32])) });
        let forged = forged(&wrong, |_| {});
        assert_eq!(both.read(Use::Access, &forged, at(500)), Err(Refusal::Invalid));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_read_again_for_a_token_of_another_and_not_too_often() {
        use std::sync::Mutex;
        let (held, reads) = (Arc::new(Mutex::new(vec![[9; 32]])), Arc::new(Mutex::new(0)));
        let source: Seeds = {
            let (held, reads) = (held.clone(), reads.clone());
            Arc::new(move || {
                *reads.lock().unwrap() += 1;
                let held = held.lock().unwrap();
                if held.is_empty() {
                    return Err("there is no file".to_owned());
                }
                Ok(held.iter().map(|seed| Zeroizing::new(*seed)).collect())
            })
        };
        let (tokens, tasks) = (Arc::new(Tokens::new(source)), Tasks::default());
        let token = made(Use::Access);
        let claims = async || tokens.claims(&tasks, (Use::Access, &token), at(500)).await;
        for _ in 0..50 {
            assert_eq!(claims().await, Err(Refusal::UnknownKey));
        }
        assert_eq!(*reads.lock().unwrap(), 2, "once at the start and once for all of them");
        *held.lock().unwrap() = vec![SEED, [9; 32]];
        tokio::time::advance(READ_AGAIN).await;
        assert!(claims().await.is_ok());
        // A file that cannot be read takes nothing away, and one without the key does.
        tasks.spawn(watch(tokens.clone(), tasks.clone()));
        held.lock().unwrap().clear();
        let before = *reads.lock().unwrap();
        while *reads.lock().unwrap() < before + 2 {
            tokio::time::sleep(READ_EVERY).await;
        }
        assert!(claims().await.is_ok());
        *held.lock().unwrap() = vec![[9; 32]];
        while claims().await.is_ok() {
            tokio::time::sleep(READ_EVERY).await;
        }
        assert_eq!(claims().await, Err(Refusal::UnknownKey));
        tasks.shut_down().await;
    }

    #[test]
    fn a_token_with_another_id_than_its_own_is_not_taken() {
        let tokens = by(&[SEED]);
        let check = |token: &str, what: &str| {
            assert_eq!(tokens.read(Use::Access, token, at(500)), Err(Refusal::Invalid), "{what}");
        };
        let Session { account, id: sid, .. } = session();
        let id = |of: Use, generation| json!(of.id(account, sid, generation));
        for (key, value) in [
            ("jti", json!("4")),
            ("jti", Value::Null),
            ("jti", json!(Uuid::nil())),
            ("jti", id(Use::Access, 2)),
            ("jti", id(Use::Access, 4)),
            ("jti", id(Use::Refresh, 3)),
            ("jti", json!(Use::Access.id(account, SessionId(Uuid::nil()), 3))),
            ("sid", json!(Uuid::from_u128(9))),
            ("sub", json!(Uuid::from_u128(9))),
            ("generation", json!(2)),
            ("generation", json!(4)),
        ] {
            let token = forged(&header(), |claims| claims[key] = value.clone());
            check(&token, &format!("{key}: {value}"));
        }
        let token = forged(&header(), |claims| {
            claims.as_object_mut().unwrap().remove("jti");
        });
        check(&token, "no jti");
    }

    #[test]
    fn no_other_algorithm_key_or_claim_is_taken() {
        let tokens = by(&[SEED]);
        let check = |token: &str, what: &str| {
            let refusal = tokens.read(Use::Access, token, at(500)).unwrap_err();
            assert!(matches!(refusal, Refusal::Invalid | Refusal::UnknownKey), "{what}");
        };
        let change = |key: &str, value: Value| {
            let mut header = header();
            header[key] = value;
            header
        };
        let unsigned = |header: &Value, signature: &str| {
            let token = made(Use::Access);
            format!("{}.{}.{signature}", part(header), token.split('.').nth(1).unwrap())
        };
        check(&unsigned(&change("alg", json!("none")), ""), "no signature");
        check(&unsigned(&change("alg", json!("NONE")), ""), "no signature, in capitals");
        check(&unsigned(&header(), ""), "an empty signature");
        // HS256 with the public key as its secret, which everybody may know.
        let public = SigningKey::from_bytes(&SEED).verifying_key().to_bytes();
        let mut confused = Header::new(Algorithm::HS256);
        (confused.typ, confused.kid) = (Some("at+jwt".into()), Some(key_id(&Zeroizing::new(SEED))));
        let claims = tokens.read(Use::Access, &made(Use::Access), at(500)).unwrap();
        let hs256 = encode(&confused, &claims, &EncodingKey::from_secret(&public)).unwrap();
        check(&hs256, "HS256 over the public key");
        let other = by(&[[8; 32]]);
        let lasts = (at(100), Duration::from_mins(15));
        let foreign = other.made(Use::Access, &session(), lasts).unwrap();
        check(&foreign, "another installation's");
        for (key, value) in [
            ("kid", json!("0000000000000000")),
            ("kid", Value::Null),
            ("typ", json!("JWT")),
            ("typ", Value::Null),
            ("crit", json!(["exp"])),
            ("jku", json!("https://evil.example/keys")),
            ("jwk", json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" })),
        ] {
            check(&forged(&change(key, value.clone()), |_| {}), &format!("{key}: {value}"));
        }
        for (key, value) in [
            ("iss", json!("evil")),
            ("aud", json!("other/v1")),
            ("exp", Value::Null),
            ("exp", json!("never")),
            ("nbf", Value::Null),
            ("sub", json!("root")),
            ("roles", json!(["admin"])),
        ] {
            let token = forged(&header(), |claims| claims[key] = value.clone());
            check(&token, &format!("{key}: {value}"));
        }
        for text in ["", ".", "..", "a.b.c", &"a".repeat(10_000)] {
            check(text, text);
        }
    }
}
