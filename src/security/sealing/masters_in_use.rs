//! Which master keys the database needs (`convoke.master_keys`), checked before the first key is made.

use super::cipher::{Cipher, bound};
use super::{KeyError, Sealer};

const PROOF: &[u8] = b"convoke";

/// How often the table is read again after another process wrote to it first.
const ATTEMPTS: usize = 3;

impl Sealer {
    /// Whether this process holds every master key that wraps something in the database, with the bytes it had then; notes
    /// the newest as in use. Done once: what is already known is not asked again.
    pub async fn check_masters(&self) -> Result<(), KeyError> {
        self.checked.get_or_try_init(|| self.check_and_note()).await.map(drop)
    }

    async fn check_and_note(&self) -> Result<(), KeyError> {
        let (newest, key) = self.masters.newest();
        for _ in 0..ATTEMPTS {
            let in_use: Vec<(String, Vec<u8>)> = sqlx::query_as(
                "SELECT
                    id,
                    proof
                 FROM convoke.master_keys",
            )
            .fetch_all(&self.pool)
            .await?;
            for (id, proof) in &in_use {
                if self.masters.get(id)?.open(proof, &proof_bound(id)).is_none_or(|proof| proof.as_slice() != PROOF) {
                    return Err(KeyError::ChangedMaster { id: id.clone() });
                }
            }
            if in_use.iter().any(|(id, _)| id == newest) {
                return Ok(());
            }
            sqlx::query("INSERT INTO convoke.master_keys (id, proof) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
                .bind(newest)
                .bind(proof(newest, key))
                .execute(&self.pool)
                .await?;
        }
        Err(KeyError::Contended)
    }
}

fn proof_bound(id: &str) -> Vec<u8> {
    bound("convoke master key proof 1", &[id.as_bytes()])
}

fn proof(id: &str, key: &Cipher) -> Vec<u8> {
    let mut proof = Vec::new();
    key.seal_onto(&mut proof, PROOF, &proof_bound(id));
    proof
}
