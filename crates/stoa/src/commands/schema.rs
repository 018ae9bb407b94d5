//! `stoa schema`.

use stoa_model::application::schema;

use super::print;
use crate::command_line::{Schema, SchemaOf};
use crate::{Result, site_file};

pub(crate) fn run(arguments: &Schema) -> Result<()> {
    let schema = match arguments.of {
        SchemaOf::App => schema::application(),
        SchemaOf::Model => schema::model(),
        SchemaOf::Site => site_file::schema(),
    };
    print(&format!("{schema:#}"));
    Ok(())
}
