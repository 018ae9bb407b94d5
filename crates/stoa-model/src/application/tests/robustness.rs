//! Any text is judged: no panic, no runaway time.

use std::path::Path;

use proptest::prelude::*;

use super::super::load_from_sources;

/// A model with a bit of everything, to be damaged.
const SEED: &str = include_str!("seed.toml");

fn judge(text: &str) {
    let sources = vec![
        ("app.toml".to_owned(), "name = \"shop\"\n".to_owned()),
        ("model/a.toml".to_owned(), text.to_owned()),
    ];
    if let Err(faults) = load_from_sources(Path::new(""), sources) {
        assert!(faults.has_errors());
        let _ = faults.render(true);
        let _ = faults.to_json();
    }
}

#[test]
fn the_seed_is_valid() {
    let sources = vec![
        ("app.toml".to_owned(), "name = \"shop\"\n".to_owned()),
        ("model/a.toml".to_owned(), SEED.to_owned()),
    ];
    let loaded = load_from_sources(Path::new(""), sources).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
}

#[test]
fn deep_nesting_is_refused() {
    judge(&format!(
        "x = {}{}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    ));
    judge(&format!("x = {}", "{a=".repeat(100_000)));
    judge(&format!("[{}a]", "a.".repeat(50_000)));
    let rule = format!(
        "[role.R]\n[[entity.A.access]]\nrole = \"R\"\nwhere = \"{}\"",
        "(".repeat(100_000)
    );
    judge(&rule);
}

#[test]
fn long_chains_of_extends_are_refused() {
    let mut text = "[entity.E0]\n".to_owned();
    for index in 1..2000 {
        text.push_str(&format!(
            "[entity.E{index}]\nextends = \"E{}\"\n",
            index - 1
        ));
    }
    judge(&text);
}

/// Large files in which everything is wrong, or everything depends on everything.
#[test]
fn large_files_take_bounded_time() {
    const SIZE: usize = 3000;
    let repeat = |line: &dyn Fn(usize) -> String| (0..SIZE).map(line).collect::<String>();
    let texts = [
        repeat(&|index| format!("[entity.E{index}.attributes]\nA = \"Strin{index}\"\n")),
        repeat(&|index| format!("[entity.E{index}.associations]\nA = {{ to = \"X{index}\" }}\n")),
        repeat(&|index| {
            let next = index + 1;
            format!("[entity.E{index}.associations]\nA = {{ to = \"E{next}\", required = true }}\n")
        }) + &format!("[entity.E{SIZE}]\n"),
        repeat(&|index| {
            let next = (index + 1) % SIZE;
            format!("[entity.E{index}.associations]\nA = {{ to = \"E{next}\", required = true }}\n")
        }),
        repeat(&|index| format!("[entity.E{index}]\nextends = \"E{}\"\n", (index + 1) % SIZE)),
        format!("[entity.E]\nunique = [{}]\n", "[\"x\"],".repeat(SIZE)),
        format!("[enumeration.E]\nvalues = [{}]\n", "\"x\",".repeat(SIZE)),
        "[entity.E]\n".repeat(SIZE),
        "[".repeat(SIZE) + &"\n=".repeat(SIZE),
    ];
    for text in texts {
        let start = std::time::Instant::now();
        judge(&text);
        let elapsed = start.elapsed();
        println!(
            "{} bytes: {elapsed:?}: {:.40}",
            text.len(),
            text.replace('\n', " ")
        );
        assert!(elapsed.as_secs() < 20, "{elapsed:?}: {:.80}", text);
    }
}

fn words() -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = SEED.lines().filter(|line| !line.is_empty()).collect();
    let tokens: Vec<&'static str> = SEED.split_whitespace().collect();
    prop_oneof![
        4 => prop::sample::select(lines).prop_map(|line| format!("{line}\n")),
        4 => prop::sample::select(tokens).prop_map(|token| format!("{token} ")),
        1 => "[\\[\\]{}=\",.'a-zA-Zä0-9 \n\\\\]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_judged(text in "\\PC{0,200}") {
        judge(&text);
    }

    #[test]
    fn toml_like_text_is_judged(parts in prop::collection::vec(words(), 0..40)) {
        judge(&parts.concat());
    }

    #[test]
    fn damaged_models_are_judged(cuts in prop::collection::vec((any::<prop::sample::Index>(), words()), 1..5)) {
        let mut text = SEED.to_owned();
        for (at, replacement) in cuts {
            let mut start = at.index(text.len());
            while !text.is_char_boundary(start) {
                start -= 1;
            }
            let mut end = (start + replacement.len()).min(text.len());
            while !text.is_char_boundary(end) {
                end += 1;
            }
            text.replace_range(start..end, &replacement);
        }
        judge(&text);
    }

    #[test]
    fn models_with_lines_missing_are_judged(keep in prop::collection::vec(prop::bool::weighted(0.93), 80)) {
        let text: String = SEED
            .lines()
            .enumerate()
            .filter(|(index, _)| keep[index % keep.len()])
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        judge(&text);
    }

    #[test]
    fn models_in_another_order_mean_the_same(order in Just((0..6).collect::<Vec<_>>()).prop_shuffle()) {
        let parts: Vec<&str> = SEED.split("# ---\n").collect();
        prop_assert_eq!(parts.len(), order.len());
        let text: String = order.iter().map(|index| parts[*index]).collect();
        judge_valid(&text);
    }
}

fn judge_valid(text: &str) {
    let sources = vec![
        ("app.toml".to_owned(), "name = \"shop\"\n".to_owned()),
        ("model/a.toml".to_owned(), text.to_owned()),
    ];
    if let Err(faults) = load_from_sources(Path::new(""), sources) {
        panic!("{faults}");
    }
}
