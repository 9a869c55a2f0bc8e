//! Authenticated encryption as all of sealing uses it: XChaCha20-Poly1305 with a random nonce before the ciphertext.
//!
//! A nonce of 24 random bytes never repeats in practice under one key (2^80 messages for a chance of one in 2^32), so no
//! counter has to be kept.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

use crate::security::random;

pub const KEY: usize = 32;
pub const NONCE: usize = 24;
pub const TAG: usize = 16;

/// A key that is erased from memory when it is dropped and never printed.
pub struct Cipher(XChaCha20Poly1305);

impl Cipher {
    pub fn new(key: &[u8; KEY]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Appends `nonce ‖ ciphertext ‖ tag` to `out`. `bound` is not kept: it must be the same to open.
    pub fn seal_onto(&self, out: &mut Vec<u8>, plain: &[u8], bound: &[u8]) {
        // Room for everything at once: a vector that grows leaves clear text behind.
        out.reserve_exact(NONCE + plain.len() + TAG);
        let nonce = random::bytes::<NONCE>();
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(plain);
        let nonce: &XNonce = (&nonce).into();
        let tag = self
            .0
            .encrypt_inout_detached(nonce, bound, (&mut out[start..]).into())
            .expect("a text is far below the cipher's limit of 256 GiB");
        out.extend_from_slice(&tag);
    }

    /// `None` where key, text or `bound` are not those of sealing.
    pub fn open(&self, sealed: &[u8], bound: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
        let (text, tag) = rest.split_last_chunk::<TAG>()?;
        let mut plain = Zeroizing::new(text.to_vec());
        let (nonce, tag): (&XNonce, &Tag) = (nonce.into(), tag.into());
        self.0.decrypt_inout_detached(nonce, bound, plain.as_mut_slice().into(), tag).ok()?;
        Some(plain)
    }

    /// The key inside of `sealed`, which must hold exactly one.
    pub fn open_key(&self, sealed: &[u8], bound: &[u8]) -> Option<Cipher> {
        let plain = self.open(sealed, bound)?;
        let key: &[u8; KEY] = plain.as_slice().try_into().ok()?;
        Some(Cipher::new(key))
    }

    /// A new random key, sealed under this one.
    pub fn make_key(&self, bound: &[u8]) -> (Cipher, Vec<u8>) {
        let mut key = random::bytes::<KEY>();
        let made = Cipher::new(&key);
        let mut sealed = Vec::new();
        self.seal_onto(&mut sealed, &key, bound);
        key.zeroize();
        (made, sealed)
    }
}

/// Names a use of a key and the things it is bound to, so that no two uses and no two lists of things give the same bytes:
/// each part goes in with its length before it.
pub fn bound(purpose: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(cipher: &Cipher, plain: &[u8], bound: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        cipher.seal_onto(&mut out, plain, bound);
        out
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_key_and_binding_only() {
        let cipher = Cipher::new(&[7; KEY]);
        let text = sealed(&cipher, b"hello", b"here");
        assert_eq!(text.len(), NONCE + 5 + TAG);
        assert_eq!(cipher.open(&text, b"here").unwrap().as_slice(), b"hello");
        assert!(cipher.open(&text, b"there").is_none());
        assert!(Cipher::new(&[8; KEY]).open(&text, b"here").is_none());
    }

    #[test]
    fn a_changed_bit_anywhere_or_a_missing_end_is_noticed() {
        let cipher = Cipher::new(&[7; KEY]);
        let text = sealed(&cipher, b"hello", b"");
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            assert!(cipher.open(&changed, b"").is_none(), "byte {at}");
            assert!(cipher.open(&text[..at], b"").is_none(), "{at} bytes");
        }
    }

    #[test]
    fn the_same_text_never_seals_to_the_same_bytes() {
        let cipher = Cipher::new(&[7; KEY]);
        assert_ne!(sealed(&cipher, b"hello", b""), sealed(&cipher, b"hello", b""));
    }

    #[test]
    fn bindings_of_different_parts_differ() {
        assert_ne!(bound("p", &[b"ab", b"c"]), bound("p", &[b"a", b"bc"]));
        assert_ne!(bound("p", &[b"ab"]), bound("p", &[b"ab", b""]));
        assert_ne!(bound("p", &[b"a"]), bound("q", &[b"a"]));
    }

    #[test]
    fn a_made_key_comes_back_from_its_sealed_form() {
        let master = Cipher::new(&[1; KEY]);
        let (key, wrapped) = master.make_key(b"id");
        let again = master.open_key(&wrapped, b"id").unwrap();
        let text = sealed(&key, b"hello", b"");
        assert_eq!(again.open(&text, b"").unwrap().as_slice(), b"hello");
        assert!(master.open_key(&wrapped, b"other id").is_none());
        assert!(master.open_key(&sealed(&master, b"too short", b"id"), b"id").is_none());
    }

    /// Draft draft-irtf-cfrg-xchacha-03, A.3.1.
    #[test]
    fn the_cipher_is_the_one_of_the_draft() {
        let key: [u8; KEY] = std::array::from_fn(|i| 0x80 + i as u8);
        let bound = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let nonce: [u8; NONCE] = std::array::from_fn(|i| 0x40 + i as u8);
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
            sunscreen would be it.";
        let mut bytes = text.to_vec();
        let nonce: &XNonce = (&nonce).into();
        let tag = Cipher::new(&key).0.encrypt_inout_detached(nonce, &bound, bytes.as_mut_slice().into()).unwrap();
        assert_eq!(bytes[..8], [0xbd, 0x6d, 0x17, 0x9d, 0x3e, 0x83, 0xd4, 0x3b]);
        assert_eq!(tag[..4], [0xc0, 0x87, 0x59, 0x24]);
    }
}
