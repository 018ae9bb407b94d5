//! The whole way on both databases.

mod build;
mod changes;
mod ddl;
mod models;
mod property;
mod refusals;
mod together;
