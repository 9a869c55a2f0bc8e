//! The role `relay`: what copies the log to Kafka, where Kafka is configured.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::BoxFuture;

use super::services::Services;
use crate::config::PersonalInTopic;
use crate::events::envelope::Envelope;
use crate::events::relay::Relay;
use crate::events::relay::personal::{EventOpener, PersonalPolicy};
use crate::events::sealed::PersonalFields;
use crate::ids::TenantId;
use crate::resilience::fault_injection::FaultInjector;
use crate::resilience::{Backoff, BreakerPolicy};
use crate::security::sealing::{MasterKeys, SealedPlace, Sealer};

/// A session of the relay that cannot begin is a failure; few in a row are enough.
const BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 3,
    window: Duration::from_secs(60),
    open: Backoff::new(Duration::from_secs(1), Duration::from_secs(10)),
    trials: 1,
};

pub fn relay(services: &Services) -> anyhow::Result<Option<Relay>> {
    let Services { config, pool, log, source, window, metrics, breakers, .. } = services;
    if !config.roles.relay || config.kafka.brokers.is_none() {
        return Ok(None);
    }
    let personal = match config.kafka.personal {
        PersonalInTopic::Sealed => PersonalPolicy::Sealed,
        PersonalInTopic::Omitted => PersonalPolicy::Omitted,
        PersonalInTopic::Clear => {
            let masters = MasterKeys::configured(&config.keys).context("the master keys cannot be used")?;
            PersonalPolicy::Clear(Arc::new(SealerOpener(Sealer::new(pool.clone(), masters))))
        }
    };
    let breaker = breakers.around("kafka", BREAKER);
    let relay =
        Relay::new(log.clone(), &config.kafka, personal, metrics.clone(), breaker, FaultInjector::new(config.fault));
    // A window that takes its events from the topic has none that the topic lacks.
    let follows = !source.is_topic() && (config.roles.api || config.roles.projector);
    Ok(relay.map(|relay| if follows { relay.reading_from(window.clone()) } else { relay }))
}

/// Opens personal fields with the keys of their people.
struct SealerOpener(Sealer);

impl EventOpener for SealerOpener {
    fn open<'a>(&'a self, events: &'a [&'a Envelope]) -> BoxFuture<'a, Result<Vec<Option<PersonalFields>>, String>> {
        Box::pin(async move {
            let mut by_tenant: BTreeMap<&TenantId, Vec<_>> = BTreeMap::new();
            for event in events {
                by_tenant.entry(&event.tenant).or_default().extend(&event.sealed);
            }
            let mut keys = BTreeMap::new();
            for (tenant, sealed) in by_tenant {
                let loaded = self.0.load_keys(tenant, sealed).await.map_err(|error| error.to_string())?;
                keys.insert(tenant, loaded);
            }
            let open = |event: &&Envelope| {
                let place = SealedPlace { tenant: &event.tenant, room: event.room, room_version: event.room_version };
                keys.get(&event.tenant)?.open(&place, event.sealed.as_ref()?)
            };
            Ok(events.iter().map(open).collect())
        })
    }
}
