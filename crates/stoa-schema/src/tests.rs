//! The whole way on both databases.

mod build;
mod changes;
mod ddl;
mod models;
mod privileges;
mod property;
mod refusals;
mod together;
