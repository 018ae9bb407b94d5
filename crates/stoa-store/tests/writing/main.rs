//! Writes on both databases: the same change has the same effect and the same faults.

mod changes;
mod database;
mod faults;
mod loading;
