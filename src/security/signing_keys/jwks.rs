//! Public keys out of a JWK set (RFC 7517): those that verify RS256, ES256 or EdDSA (Ed25519).
//!
//! A published set may hold keys for other uses and algorithms: they are left out, as the RFC wants. A key that is meant for
//! tokens and is weak, broken, private or without an id is an error: it would be missed later, or worse, not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

/// RSA moduli. Below: can be broken. Above: not supported, and slow to verify.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
const COORDINATE: usize = 32;
const MAX_KID: usize = 128;

/// A public key of a set.
pub struct PublicKey {
    pub kid: String,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

/// What is wrong with a set, fit to be shown to who configures it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadJwks {
    #[error("it is not a JWK set, {{\"keys\":[...]}}")]
    NotASet,
    #[error("it holds no key that verifies RS256, ES256 or EdDSA signatures")]
    Empty,
    #[error("key {number} {problem}")]
    Key {
        /// From 1.
        number: usize,
        problem: &'static str,
    },
}

/// The keys of a set that verify tokens.
pub fn parse(json: &str) -> Result<Vec<PublicKey>, BadJwks> {
    let set: Map<String, Value> = serde_json::from_str(json).map_err(|_| BadJwks::NotASet)?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or(BadJwks::NotASet)?;
    let mut found = Vec::new();
    for (key, number) in keys.iter().zip(1..) {
        let members = key.as_object().ok_or(BadJwks::NotASet)?;
        if let Some(key) = Jwk(members).read().map_err(|problem| BadJwks::Key { number, problem })? {
            found.push(key);
        }
    }
    if found.is_empty() { Err(BadJwks::Empty) } else { Ok(found) }
}

struct Jwk<'a>(&'a Map<String, Value>);

impl Jwk<'_> {
    fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member).and_then(Value::as_str)
    }

    fn bytes(&self, member: &str) -> Result<Vec<u8>, &'static str> {
        let text = self.text(member).ok_or("lacks a part of its value (n and e, x and y, or x)")?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| "has a value that is not base64url without padding")
    }

    /// `None`: not for us.
    fn read(&self) -> Result<Option<PublicKey>, &'static str> {
        if self.text("kty") == Some("oct") {
            return Err("is a secret (kty oct): a secret belongs into the signing keys, not into a set of public ones");
        }
        let Some(algorithm) = self.algorithm() else { return Ok(None) };
        if !self.verifies() {
            return Ok(None);
        }
        if ["d", "p", "q", "k"].iter().any(|private| self.0.contains_key(*private)) {
            return Err("is a private key: publish only its public half, and make a new one, since this one was seen");
        }
        let kid = self.text("kid").ok_or("has no id (kid)")?;
        if kid.is_empty() || kid.len() > MAX_KID || !kid.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("has an id (kid) that is not 1 to 128 printable characters of ASCII without spaces");
        }
        let key = match algorithm {
            Algorithm::RS256 => self.rsa()?,
            Algorithm::ES256 => self.p256()?,
            _ => self.ed25519()?,
        };
        // Building the verifier checks that the point lies on the curve; the signature does not matter.
        jsonwebtoken::crypto::verify("", b"", &key, algorithm)
            .map_err(|_| "has a value that is no point of its curve")?;
        Ok(Some(PublicKey { kid: kid.to_owned(), algorithm, key }))
    }

    /// The one algorithm the key is for: by its type, and by `alg` where that is given.
    fn algorithm(&self) -> Option<Algorithm> {
        let (algorithm, names): (_, &[&str]) = match (self.text("kty"), self.text("crv")) {
            (Some("RSA"), _) => (Algorithm::RS256, &["RS256"]),
            (Some("EC"), Some("P-256")) => (Algorithm::ES256, &["ES256"]),
            (Some("OKP"), Some("Ed25519")) => (Algorithm::EdDSA, &["EdDSA", "Ed25519"]),
            _ => return None,
        };
        match self.0.get("alg") {
            None => Some(algorithm),
            Some(named) => named.as_str().is_some_and(|named| names.contains(&named)).then_some(algorithm),
        }
    }

    fn verifies(&self) -> bool {
        let usage = self.0.get("use").is_none_or(|usage| usage == "sig");
        let operations = self.0.get("key_ops").is_none_or(|operations| {
            operations.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
        });
        usage && operations
    }

    fn rsa(&self) -> Result<DecodingKey, &'static str> {
        let (modulus, exponent) = (self.bytes("n")?, self.bytes("e")?);
        let leading = modulus.iter().take_while(|byte| **byte == 0).count();
        let bits = modulus[leading..]
            .first()
            .map_or(0, |first| (modulus.len() - leading) * 8 - first.leading_zeros() as usize);
        if bits < *RSA_BITS.start() {
            return Err("is a weak RSA key: at least 2048 bits are needed");
        }
        if bits > *RSA_BITS.end() {
            return Err("is an RSA key of more than 4096 bits, which is not supported");
        }
        let value = exponent.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        if exponent.len() > 4 || value < 3 || value % 2 == 0 {
            return Err("is an RSA key with an exponent that is not an odd number from 3 to 2^32");
        }
        Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
    }

    fn p256(&self) -> Result<DecodingKey, &'static str> {
        let (x, y) = (self.bytes("x")?, self.bytes("y")?);
        if x.len() != COORDINATE || y.len() != COORDINATE {
            return Err("has coordinates that are not 32 bytes each");
        }
        let point: Vec<u8> = [&[4_u8][..], &x, &y].concat();
        Ok(DecodingKey::from_ec_der(&point))
    }

    fn ed25519(&self) -> Result<DecodingKey, &'static str> {
        let x = self.bytes("x")?;
        if x.len() != COORDINATE {
            return Err("has an x that is not 32 bytes");
        }
        Ok(DecodingKey::from_ed_der(&x))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::test_keys::{ec_public, ed_public, rsa_public, set};
    use super::*;

    fn with(mut key: Value, member: &str, value: Value) -> Value {
        key[member] = value;
        key
    }

    fn problem(key: Value) -> String {
        parse(&set(&[key])).err().expect("the key is refused").to_string()
    }

    #[test]
    fn a_set_gives_each_key_the_algorithm_of_its_type() {
        let keys = parse(&set(&[rsa_public(), ec_public(), ed_public()])).unwrap();
        let read: Vec<_> = keys.iter().map(|key| (key.kid.as_str(), key.algorithm)).collect();
        assert_eq!(read, [("r", Algorithm::RS256), ("e", Algorithm::ES256), ("o", Algorithm::EdDSA)]);
    }

    #[test]
    fn keys_for_other_uses_and_algorithms_are_left_out() {
        let others = [
            with(rsa_public(), "use", json!("enc")),
            with(rsa_public(), "alg", json!("RS512")),
            with(rsa_public(), "alg", json!("none")),
            with(rsa_public(), "alg", json!("HS256")),
            with(rsa_public(), "key_ops", json!(["encrypt"])),
            with(ec_public(), "crv", json!("P-384")),
            with(ed_public(), "crv", json!("X25519")),
            json!({ "kty": "new" }),
        ];
        for other in others {
            assert_eq!(parse(&set(std::slice::from_ref(&other))).err(), Some(BadJwks::Empty), "{other}");
            assert_eq!(parse(&set(&[other, ed_public()])).unwrap().len(), 1);
        }
    }

    #[test]
    fn weak_broken_private_and_nameless_keys_are_refused_and_the_key_is_named() {
        let weak = URL_SAFE_NO_PAD.encode([0xff; 128]);
        let padded: Vec<u8> = [&[0; 128][..], &[0xff; 128]].concat();
        assert!(problem(with(rsa_public(), "n", json!(weak))).contains("key 1 is a weak RSA key"));
        assert!(problem(with(rsa_public(), "n", json!(URL_SAFE_NO_PAD.encode(padded)))).contains("weak"));
        assert!(problem(with(rsa_public(), "n", json!(URL_SAFE_NO_PAD.encode([0xff; 513])))).contains("4096"));
        for exponent in ["AQ", "Ag", "AAAAAAAB", ""] {
            assert!(problem(with(rsa_public(), "e", json!(exponent))).contains("exponent"), "{exponent}");
        }
        assert!(problem(with(rsa_public(), "n", json!("a+b/"))).contains("base64url"));
        assert!(problem(with(rsa_public(), "d", json!("AQAB"))).contains("private"));
        assert!(problem(with(rsa_public(), "kid", Value::Null)).contains("no id"));
        assert!(problem(with(rsa_public(), "kid", json!("a b"))).contains("printable"));
        assert!(problem(with(ec_public(), "x", json!("AAAA"))).contains("32 bytes"));
        assert!(problem(with(ec_public(), "y", ec_public()["x"].clone())).contains("no point"));
        assert!(problem(with(ed_public(), "x", json!("AAAA"))).contains("32 bytes"));
        assert!(problem(json!({ "kty": "oct", "k": "AAAA", "kid": "s" })).contains("secret"));
        assert!(
            parse(&set(&[ed_public(), with(ed_public(), "x", json!("AAAA"))]))
                .is_err_and(|problem| { matches!(problem, BadJwks::Key { number: 2, .. }) })
        );
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[7]}"#, "null"] {
            assert_eq!(parse(text).err(), Some(BadJwks::NotASet), "{text}");
        }
        assert_eq!(parse(r#"{"keys":[]}"#).err(), Some(BadJwks::Empty));
    }
}
