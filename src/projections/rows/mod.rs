//! Shared code of the read models' tables: declares rows, buffers them during a batch, writes each table with one statement, and
//! computes the digest. It does not know events.

mod digest;
mod field;
mod store;
mod table;
mod tuples;
mod working_set;

pub use digest::Digest;
pub use field::{BadField, EnumText, Field, HeapBytes, JsonText, SqlType};
pub use store::{StoreError, TableSet, columns, copy};
pub(crate) use table::read_model_table;
pub use table::{Column, ModelRow, ModelTable, RetentionPolicy};
pub use tuples::{BadCopy, COPY_HEADER, COPY_TRAILER, CopySplitter, RowFields, Tuple, TupleWriter, Tuples};
pub use working_set::{AnyWorkingSet, SetCapacity, TableChanges, WorkingSet};
