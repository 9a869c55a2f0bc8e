//! A certificate that nobody vouches for but the test, of servers on this machine.

use std::path::PathBuf;

use super::{Folder, folder};

/// For `localhost` and 127.0.0.1. Its files, in PEM, are gone with the value.
pub struct Certificate {
    folder: Folder,
}

impl Certificate {
    pub fn new() -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
        let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
        let made = Self { folder: folder() };
        std::fs::write(made.certificate(), &certificate).unwrap();
        std::fs::write(made.key(), &key).unwrap();
        std::fs::write(made.both(), key + &certificate).unwrap();
        made
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    /// The key, then the certificate.
    pub fn both(&self) -> PathBuf {
        self.folder.join("both.pem")
    }
}
