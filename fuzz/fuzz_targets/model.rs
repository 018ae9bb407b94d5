//! Any model file is judged: no panic, no unbounded time or memory, and faults can be shown.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use stoa_model::application::load_from_sources;

fuzz_target!(|text: &str| {
    let sources = vec![
        ("app.toml".to_owned(), "name = \"shop\"\n".to_owned()),
        ("model/fuzz.toml".to_owned(), text.to_owned()),
    ];
    if let Err(faults) = load_from_sources(Path::new(""), sources) {
        assert!(faults.has_errors());
        let _ = faults.render(true);
        let _ = faults.to_json();
    }
});
