//! The tokens of a session: JWTs (RFC 7519) that this installation signs with Ed25519.
//!
//! An access token opens routes for some minutes, a refresh token renews both once. Neither says
//! what its bearer may do: that is read from the account at every request. What is accepted is one
//! algorithm, one key and one type for each use; the header of a token decides nothing.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use genie_core::clock::Timestamp;
use genie_core::identity::accounts::{AccountId, Session, SessionId};
use genie_core::journal::chain::Hash;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Who signs, and for whom.
const ISSUER: &str = "genie";
const AUDIENCE: &str = "genie/v1";
/// Longest token that is read, in bytes.
const LEN_MAX: usize = 2_048;
/// How far the clocks of processes that share a key may differ, in seconds.
const LEEWAY_S: i64 = 5;
/// What stands before the seed of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

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
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    sub: AccountId,
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
}

/// What signs and reads tokens.
pub(crate) struct Tokens {
    kid: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Tokens {
    /// Signs with the key that has this seed.
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let public = SigningKey::from_bytes(seed).verifying_key().to_bytes();
        let pkcs8 = Zeroizing::new([&PKCS8[..], seed].concat());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // The time is the port's, not that of the library.
        validation.validate_exp = false;
        Self {
            kid: Hash::of(&public).to_string().chars().take(16).collect(),
            encoding: EncodingKey::from_ed_der(&pkcs8),
            decoding: DecodingKey::from_ed_der(&public),
            validation,
        }
    }

    /// A token of a session; `None` if the key does not sign.
    pub(crate) fn made(
        &self,
        of: Use,
        session: &Session,
        id: Uuid,
        (now, lasts): (Timestamp, Duration),
    ) -> Option<String> {
        let seconds = |at: Timestamp| at.as_micros() / 1_000_000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: session.account,
            jti: id,
            iat: seconds(now),
            nbf: seconds(now),
            exp: seconds(now.plus(lasts).min(session.expires_at)),
            sid: session.id,
            generation: session.generation,
        };
        encode(&self.header(of), &claims, &self.encoding).ok()
    }

    fn header(&self, of: Use) -> Header {
        let mut header = Header::new(Algorithm::EdDSA);
        (header.typ, header.kid) = (Some(of.kind().to_owned()), Some(self.kid.clone()));
        header
    }

    /// What a token says, if it is one of ours, for this use, and of this moment.
    pub(crate) fn read(&self, of: Use, text: &str, now: Timestamp) -> Result<Claims, Refusal> {
        let header = decode_header(text).ok().filter(|_| text.len() <= LEN_MAX);
        if header != Some(self.header(of)) {
            return Err(Refusal::Invalid);
        }
        let read = decode::<Claims>(text, &self.decoding, &self.validation);
        let claims = read.map_err(|_| Refusal::Invalid)?.claims;
        let now = now.as_micros() / 1_000_000;
        if claims.nbf > now + LEEWAY_S {
            return Err(Refusal::Invalid);
        }
        if claims.exp <= now { Err(Refusal::Expired) } else { Ok(claims) }
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

    fn made(of: Use) -> String {
        let lasts = Duration::from_mins(15);
        Tokens::new(&SEED).made(of, &session(), Uuid::from_u128(4), (at(100), lasts)).unwrap()
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
        json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": Tokens::new(&SEED).kid })
    }

    #[test]
    fn a_token_is_read_for_its_use_and_in_its_time() {
        let tokens = Tokens::new(&SEED);
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
    fn no_other_algorithm_key_or_claim_is_taken() {
        let tokens = Tokens::new(&SEED);
        let check = |token: &str, what: &str| {
            assert_eq!(tokens.read(Use::Access, token, at(500)), Err(Refusal::Invalid), "{what}");
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
        (confused.typ, confused.kid) = (Some("at+jwt".into()), Some(tokens.kid.clone()));
        let claims = tokens.read(Use::Access, &made(Use::Access), at(500)).unwrap();
        let hs256 = encode(&confused, &claims, &EncodingKey::from_secret(&public)).unwrap();
        check(&hs256, "HS256 over the public key");
        let other = Tokens::new(&[8; 32]);
        let lasts = (at(100), Duration::from_mins(15));
        let foreign = other.made(Use::Access, &session(), Uuid::nil(), lasts).unwrap();
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
