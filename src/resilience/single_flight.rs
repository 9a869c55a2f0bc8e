//! One load of a key at a time: concurrent callers of the same key share its result.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Loads under way, by key. Cheap to clone.
pub struct SingleFlight<K, V>(Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>);

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Removes the load from the map when it has ended, also if it panicked.
struct FlightGuard<K: Hash + Eq, V>(SingleFlight<K, V>, K);

impl<K: Hash + Eq, V> Drop for FlightGuard<K, V> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl<K, V> SingleFlight<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone + Send + 'static, V: Clone + Send + Sync + 'static> SingleFlight<K, V> {
    /// What the load of `key` that is under way brings, or the one that `load` begins. It goes on if who asked gives up. `None`: it
    /// panicked.
    pub async fn join<F>(&self, key: K, load: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut landed = {
            let mut flights = self.lock();
            match flights.entry(key) {
                Entry::Occupied(flight) => flight.get().clone(),
                Entry::Vacant(place) => {
                    let (land, landed) = watch::channel(None);
                    let landing = FlightGuard(self.clone(), place.key().clone());
                    place.insert(landed.clone());
                    let load = load();
                    tokio::spawn(async move {
                        let value = load.await;
                        // Removed first: a later caller finds what was loaded where it is kept, or loads again.
                        drop(landing);
                        land.send_replace(Some(value));
                    });
                    landed
                }
            }
        };
        let value = landed.wait_for(Option::is_some).await.ok()?;
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn all_who_ask_meanwhile_get_what_one_load_brings() {
        let (flights, loads, go) =
            (SingleFlight::<u8, u32>::default(), Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let ask = |key| {
            let (flights, loads, go) = (flights.clone(), loads.clone(), go.clone());
            tokio::spawn(async move {
                flights
                    .join(key, || async move {
                        go.notified().await;
                        loads.fetch_add(1, Ordering::Relaxed)
                    })
                    .await
            })
        };
        let waiting: Vec<_> = (0..50).map(|_| ask(1)).collect();
        let given_up = ask(1);
        while flights.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        given_up.abort();
        // All have had their turn before the one that is woken loads.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        for asked in waiting {
            assert_eq!(asked.await.unwrap(), Some(0));
        }
        assert!(flights.lock().is_empty());
        go.notify_one();
        assert_eq!(ask(1).await.unwrap(), Some(1), "the next one is loaded anew");
    }

    #[tokio::test]
    async fn a_load_that_panics_is_told_and_does_not_stay() {
        let flights = SingleFlight::<u8, u32>::default();
        assert_eq!(flights.join(1, || async { panic!("as it should") }).await, None);
        assert_eq!(flights.join(1, || async { 2 }).await, Some(2));
    }
}
