//! Random bytes from the operating system: for keys, nonces and ids. The one source of them in this module.

use uuid::Uuid;

use crate::events::time::Timestamp;

/// Fills with random bytes fit for keys.
pub fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes: without them no key may be made");
}

pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// A UUID of version 7: ids made one after another lie close together in an index.
pub fn uuid_v7(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.unix_micros() / 1000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes::<10>()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_differ_from_call_to_call() {
        assert_ne!(bytes::<32>(), bytes::<32>());
        assert_ne!(bytes::<32>(), [0; 32]);
    }

    #[test]
    fn a_random_id_is_a_uuid_of_version_7_that_sorts_by_its_time() {
        let earlier = uuid_v7("2026-01-31T09:30:00Z".parse().unwrap());
        let later = uuid_v7("2026-01-31T09:30:00.001Z".parse().unwrap());
        assert_eq!((earlier.get_version_num(), earlier.get_variant()), (7, uuid::Variant::RFC4122));
        assert!(earlier < later);
    }
}
