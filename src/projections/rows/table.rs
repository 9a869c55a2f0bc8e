//! A table of a read model and the struct of its rows, declared together by [`read_model_table!`].

use std::hash::Hash;

use super::field::{BadField, SqlType};
use super::tuples::{RowFields, TupleWriter};

#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: SqlType,
}

/// A table in the schema `convoke`. Its first columns are its key, on which it has a unique index `<name>_key`; the other
/// columns and indexes are in the migrations.
#[derive(Debug)]
pub struct ModelTable {
    pub name: &'static str,
    pub columns: &'static [Column],
    /// How many columns form the key.
    pub key: usize,
}

impl ModelTable {
    /// The names of the columns, `prefix` before each, with commas between.
    pub fn list(&self, prefix: &str) -> String {
        list(self.columns, prefix)
    }

    pub fn key_columns(&self) -> &'static [Column] {
        &self.columns[..self.key]
    }

    pub fn key_list(&self, prefix: &str) -> String {
        list(self.key_columns(), prefix)
    }
}

fn list(columns: &[Column], prefix: &str) -> String {
    columns.iter().map(|column| format!("{prefix}{}", column.name)).collect::<Vec<_>>().join(", ")
}

/// For how long rows stay in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionPolicy {
    /// For the batch that touches them.
    ForBatch,
    /// For as long as events may touch them. No event asks for others.
    Unsettled,
    /// Until the model says that their time has passed ([`WorkingSet::pass`](super::WorkingSet::evict)). Events that
    /// come late ask for others.
    UntilEvicted,
}

/// A row, as the folds handle it.
pub trait ModelRow: Clone + PartialEq + Send + Sync + 'static {
    type Key: Clone + Eq + Hash + Send + Sync;
    /// The same by reference: a key to look for, whose parts need not be cloned. Hashes as [`ModelRow::Key`] does.
    type KeyRef<'a>: Copy + Hash;
    const TABLE: &'static ModelTable;
    const RETENTION: RetentionPolicy;

    fn key_ref(&self) -> Self::KeyRef<'_>;

    fn own(key: Self::KeyRef<'_>) -> Self::Key;

    fn same(key: Self::KeyRef<'_>, other: &Self::Key) -> bool;

    fn put(&self, row: &mut TupleWriter<'_>);

    fn put_key(key: &Self::Key, row: &mut TupleWriter<'_>);

    fn get<'a>(fields: &mut RowFields<'a, impl Iterator<Item = Option<&'a [u8]>>>) -> Result<Self, BadField>;

    /// No later event touches it: what it says itself.
    fn settled(&self) -> bool;

    /// Bytes that it takes in memory beyond itself, at most.
    fn heap_bytes(&self) -> usize;
}

/// Declares the rows of a table: the fields of the key, then the others, in the order in which they are written.
///
/// `kept while EXPRESSION`: rows for which it holds stay in memory between batches, and no event asks for others.
/// `kept until passed`: rows stay until the model says so, and events that come late ask for others.
/// `not kept`: none stay.
macro_rules! read_model_table {
    (
        $(#[$about:meta])*
        $visible:vis struct $name:ident in $table:literal, $($kept:ident)+ $(($row:ident: $unsettled:expr))? {
            key { $($(#[$key_about:meta])* $key:ident: $key_type:ty,)+ }
            $($(#[$field_about:meta])* $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        $visible struct $name {
            $($(#[$key_about])* pub $key: $key_type,)+
            $($(#[$field_about])* pub $field: $type,)*
        }

        impl $crate::projections::rows::ModelRow for $name {
            type Key = ($($key_type,)+);
            type KeyRef<'a> = ($(&'a $key_type,)+);

            const TABLE: &'static $crate::projections::rows::ModelTable = &$crate::projections::rows::ModelTable {
                name: $table,
                columns: &[
                    $($crate::projections::rows::Column {
                        name: stringify!($key),
                        kind: <$key_type as $crate::projections::rows::Field>::KIND,
                    },)+
                    $($crate::projections::rows::Column {
                        name: stringify!($field),
                        kind: <$type as $crate::projections::rows::Field>::KIND,
                    },)*
                ],
                key: [$(stringify!($key)),+].len(),
            };

            const RETENTION: $crate::projections::rows::RetentionPolicy = $crate::projections::rows::read_model_table!(@keep $($kept)+);

            fn key_ref(&self) -> Self::KeyRef<'_> {
                ($(&self.$key,)+)
            }

            fn own(key: Self::KeyRef<'_>) -> Self::Key {
                let ($($key,)+) = key;
                ($($key.clone(),)+)
            }

            fn same(key: Self::KeyRef<'_>, other: &Self::Key) -> bool {
                let ($($key,)+) = other;
                key == ($($key,)+)
            }

            fn put(&self, row: &mut $crate::projections::rows::TupleWriter<'_>) {
                $(row.put(&self.$key);)+
                $(row.put(&self.$field);)*
            }

            fn put_key(key: &Self::Key, row: &mut $crate::projections::rows::TupleWriter<'_>) {
                let ($($key,)+) = key;
                $(row.put($key);)+
            }

            fn get<'a>(
                fields: &mut $crate::projections::rows::RowFields<'a, impl Iterator<Item = Option<&'a [u8]>>>,
            ) -> Result<Self, $crate::projections::rows::BadField> {
                Ok(Self {
                    $($key: fields.take()?,)+
                    $($field: fields.take()?,)*
                })
            }

            fn heap_bytes(&self) -> usize {
                use $crate::projections::rows::Field as _;
                0 $(+ self.$key.heap_bytes())+ $(+ self.$field.heap_bytes())*
            }

            fn settled(&self) -> bool {
                $(
                    let $row = self;
                    if $unsettled {
                        return false;
                    }
                )?
                !matches!(Self::RETENTION, $crate::projections::rows::RetentionPolicy::UntilEvicted)
            }
        }
    };
    (@keep kept while) => { $crate::projections::rows::RetentionPolicy::Unsettled };
    (@keep kept until passed) => { $crate::projections::rows::RetentionPolicy::UntilEvicted };
    (@keep not kept) => { $crate::projections::rows::RetentionPolicy::ForBatch };
}
pub(crate) use read_model_table;
