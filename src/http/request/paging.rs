//! `limit` and `cursor` of a list.

use super::query::QueryParameters;
use crate::http::problem::Problem;
use crate::projections::read::PageRequest;

/// Which page of a list is asked for.
pub struct Paging {
    pub limit: usize,
    pub cursor: Option<String>,
}

/// Most entries of a page, and how many there are where the caller does not say.
pub const MOST: usize = 1_000;
pub const USUAL: usize = 100;

impl Paging {
    pub fn read(query: &mut QueryParameters) -> Result<Self, Problem> {
        Ok(Self { limit: query.limit(USUAL, MOST)?, cursor: query.take("cursor")? })
    }

    pub fn request(&self) -> PageRequest<'_> {
        PageRequest { limit: self.limit, cursor: self.cursor.as_deref() }
    }
}
