//! Read models: folds of the log, with the queries that read them.
