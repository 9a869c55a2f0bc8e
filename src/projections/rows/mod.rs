//! What every read model's tables have in common: rows declared once, held in memory through a batch, written in one
//! statement a table, and summed up in a digest. Knows nothing of events.

mod digest;
mod field;
mod store;
mod table;
mod tuples;
mod working_set;

pub use digest::Digest;
pub use field::{BadField, Field, HeapBytes, Json, Kind, Word};
pub use store::{Space, StoreError, columns, copy};
pub(crate) use table::read_model_table;
pub use table::{Column, Keep, Row, Table};
pub use tuples::{BadCopy, COPY_HEADER, COPY_TRAILER, Fields, Splitter, Tuple, TupleWriter, Tuples};
pub use working_set::{AnySet, Capacity, Changes, WorkingSet};
