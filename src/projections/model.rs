//! The trait of a read model: its tables and its fold.

use super::decoded_event::DecodedEvent;
use super::rows::{AnyWorkingSet, ModelTable};

/// A read model. A fresh value knows no rows.
///
/// For a batch: [`ReadModel::need`] of every event, as often as rows are still missing; then [`ReadModel::fold`] of every
/// event, in order; then the sets are written. A fold cannot fail: what is in the log has happened, and an event that makes
/// no sense in the present state changes nothing but the room's version.
pub trait ReadModel: Default + Send + 'static {
    /// In `convoke.projections`, on the command line and in metrics.
    const NAME: &'static str;

    /// Counts up whenever the rows that the same events lead to change: the model then stops until it is rebuilt.
    const SHAPE: u16;

    const TABLES: &'static [&'static ModelTable];

    /// Names the rows that the event touches, as far as is known from the rows in hand.
    fn need(&mut self, entry: &DecodedEvent);

    fn fold(&mut self, entry: &DecodedEvent);

    /// The rows in hand, in the order of [`ReadModel::TABLES`].
    fn sets(&mut self) -> Vec<&mut dyn AnyWorkingSet>;
}

/// What is known of a read model without its rows.
#[derive(Clone, Copy, Debug)]
pub struct ModelInfo {
    pub name: &'static str,
    pub shape: u16,
    pub tables: &'static [&'static ModelTable],
}

impl ModelInfo {
    pub const fn of<M: ReadModel>() -> Self {
        Self { name: M::NAME, shape: M::SHAPE, tables: M::TABLES }
    }

    pub fn table_names(&self) -> Vec<&'static str> {
        self.tables.iter().map(|table| table.name).collect()
    }
}
