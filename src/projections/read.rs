//! Queries of the read models: under the tenant's role, by an index, in pages.
//!
//! Every query runs in a transaction under the role of the tenant. Row-level security hides the rows of other tenants even if a
//! query omits the condition. The queries are next to their models.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::postgres::PgRow;
use sqlx::query::Query;
use sqlx::{Execute as _, Postgres};

use super::replicas::{ChosenReplica, Replicas};
use super::rows::{BadField, Field, ModelRow, RowFields, Tuple, TupleWriter, Tuples, columns};
use crate::database::pool::Pool;
use crate::database::tenant;
use crate::ids::TenantId;
use crate::telemetry::metrics::Metrics;

/// The read models, to be asked. Cheap to clone.
#[derive(Clone)]
pub struct ReadModels {
    /// The primary.
    pool: Pool,
    /// Asked in its place, while it answers.
    replica: Option<(Replicas, ChosenReplica)>,
    /// Told who answered.
    metrics: Option<Metrics>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It was not made by this list.
    #[error("not a cursor of this list: take `next_cursor` of its last page")]
    BadCursor,
    #[error("the database does not answer: {0}")]
    Unavailable(#[from] sqlx::Error),
    #[error(transparent)]
    Damaged(#[from] BadField),
}

/// Which part of a list.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<'a> {
    /// Most items, 1 or more.
    pub limit: usize,
    /// [`ModelPage::next_cursor`] of the page before.
    pub cursor: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ModelPage<T> {
    pub items: Vec<T>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

impl<T> ModelPage<T> {
    pub fn map<U>(self, item: impl FnMut(T) -> U) -> ModelPage<U> {
        ModelPage { items: self.items.into_iter().map(item).collect(), next_cursor: self.next_cursor }
    }
}

/// Which list a cursor belongs to: its first byte. No number is used again (5 was another list's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum ListKind {
    Rooms = 1,
    Participants = 2,
    Waiting = 3,
    Sessions = 4,
    Messages = 6,
    NewestMessages = 7,
    Activity = 8,
    Usage = 9,
    Attendance = 10,
}

/// The end of a page: the key of its last item.
pub(super) trait CursorKey: Sized {
    fn put(&self, fields: &mut TupleWriter<'_>);
    fn take<'a>(fields: &mut RowFields<'a, Tuple<'a>>) -> Result<Self, BadField>;
}

impl<A: Field> CursorKey for (A,) {
    fn put(&self, fields: &mut TupleWriter<'_>) {
        fields.put(&self.0);
    }

    fn take<'a>(fields: &mut RowFields<'a, Tuple<'a>>) -> Result<Self, BadField> {
        Ok((fields.take()?,))
    }
}

impl<A: Field, B: Field> CursorKey for (A, B) {
    fn put(&self, fields: &mut TupleWriter<'_>) {
        fields.put(&self.0);
        fields.put(&self.1);
    }

    fn take<'a>(fields: &mut RowFields<'a, Tuple<'a>>) -> Result<Self, BadField> {
        Ok((fields.take()?, fields.take()?))
    }
}

impl ListKind {
    /// The cursor of a page of this list that ended with `key`.
    pub(super) fn cursor(self, key: &impl CursorKey) -> String {
        let mut tuples = Tuples::default();
        // The count of fields, which a tuple begins with, is the list's number here.
        tuples.push(self as usize, |fields| key.put(fields));
        URL_SAFE_NO_PAD.encode(tuples.bytes())
    }
}

pub(super) fn decode<K: CursorKey>(list: ListKind, cursor: Option<&str>) -> Result<Option<K>, ReadError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| ReadError::BadCursor)?;
    if !bytes.starts_with(&(list as u16).to_be_bytes()) {
        return Err(ReadError::BadCursor);
    }
    let mut fields = RowFields(Tuple::of(&bytes));
    let key = K::take(&mut fields).map_err(|_| ReadError::BadCursor)?;
    // Only what this list would have written itself is one of its cursors.
    (list.cursor(&key) == cursor).then_some(Some(key)).ok_or(ReadError::BadCursor)
}

type Statement<'q> = Query<'q, Postgres, sqlx::postgres::PgArguments>;

impl ReadModels {
    /// Over a pool whose connections act as `convoke_system`.
    pub fn new(pool: Pool) -> Self {
        Self { pool, replica: None, metrics: None }
    }

    /// The same, counting who answers.
    pub fn counting(self, metrics: Metrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// The same, read from a replica.
    pub fn on(&self, replicas: &Replicas, chosen: ChosenReplica) -> Self {
        Self { replica: Some((replicas.clone(), chosen)), ..self.clone() }
    }

    pub(super) async fn rows(&self, tenant: &TenantId, mut statement: Statement<'_>) -> Result<Vec<PgRow>, ReadError> {
        let arguments = statement.take_arguments().map_err(sqlx::Error::Encode)?.unwrap_or_default();
        let sql = statement.sql();
        if let Some((replicas, chosen)) = &self.replica {
            let again = sqlx::query_with(sql.clone(), arguments.clone());
            let asked = replicas.ask(chosen, |pool| async move { rows_of(&pool, tenant, again).await });
            if let Some(rows) = asked.await {
                self.answered_by("replica");
                return Ok(rows);
            }
        }
        let rows = rows_of(&self.pool, tenant, sqlx::query_with(sql, arguments)).await?;
        self.answered_by("primary");
        Ok(rows)
    }

    fn answered_by(&self, who: &str) {
        if let Some(metrics) = &self.metrics {
            metrics.read_from(who);
        }
    }

    /// A page of rows of one table; the statement asks for one more than `limit`, which tells whether there is a next page.
    pub(super) async fn page<R: ModelRow, K: CursorKey>(
        &self,
        tenant: &TenantId,
        statement: Statement<'_>,
        limit: usize,
        list: ListKind,
        key: impl Fn(&R) -> K,
    ) -> Result<ModelPage<R>, ReadError> {
        let rows = self.rows(tenant, statement).await?;
        let items: Result<Vec<R>, BadField> =
            rows.iter().take(limit).map(|row| R::get(&mut RowFields(columns(row)))).collect();
        let items = items?;
        let more = rows.len() > limit;
        let next_cursor = items.last().filter(|_| more).map(|last| list.cursor(&key(last)));
        Ok(ModelPage { items, next_cursor })
    }
}

async fn rows_of(pool: &Pool, tenant: &TenantId, statement: Statement<'_>) -> sqlx::Result<Vec<PgRow>> {
    let mut transaction = tenant::begin(pool, tenant).await?;
    let rows = statement.fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// One more than the limit, as PostgreSQL takes it.
pub(super) fn fetch(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Identity;

    #[test]
    fn a_cursor_is_taken_by_its_own_list_only() {
        let key = (Identity::new("ann").unwrap(),);
        let cursor = ListKind::Participants.cursor(&key);
        assert_eq!(decode(ListKind::Participants, Some(&cursor)).unwrap(), Some(key));
        assert!(decode::<(Identity,)>(ListKind::Waiting, Some(&cursor)).is_err());
        assert!(decode::<(u64,)>(ListKind::Participants, Some(&cursor)).is_err());
        for bad in ["", "!", "AAAA", &cursor[1..], &format!("{cursor}AA")] {
            assert!(decode::<(Identity,)>(ListKind::Participants, Some(bad)).is_err(), "{bad}");
        }
    }
}
