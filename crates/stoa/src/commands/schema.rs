//! `stoa schema`.

use stoa_model::application::schema;

use super::print;
use crate::Result;
use crate::command_line::{Schema, SchemaOf};

pub(crate) fn run(arguments: &Schema) -> Result<()> {
    let schema = match arguments.of {
        SchemaOf::App => schema::application(),
        SchemaOf::Model => schema::model(),
    };
    print(&format!("{schema:#}"));
    Ok(())
}
