//! The whole way on both databases.

mod build;
mod changes;
mod ddl;
mod property;
mod refusals;
mod together;
