//! English plurals, for the default names of collections. Words that it does not know follow the rules;
//! where English does not, the model says `collection`. (The crates for it compile a hundred regular
//! expressions at start, which takes longer than loading a model.)

/// Whole last words whose plural follows no rule.
const IRREGULAR: &[(&str, &str)] = &[
    ("child", "children"),
    ("criterion", "criteria"),
    ("foot", "feet"),
    ("goose", "geese"),
    ("index", "indices"),
    ("matrix", "matrices"),
    ("medium", "media"),
    ("mouse", "mice"),
    ("ox", "oxen"),
    ("person", "people"),
    ("phenomenon", "phenomena"),
    ("quiz", "quizzes"),
    ("tooth", "teeth"),
    ("vertex", "vertices"),
];

/// Whole last words that are their own plural.
const SAME: &[&str] = &[
    "advice",
    "aircraft",
    "cash",
    "data",
    "equipment",
    "feedback",
    "fish",
    "furniture",
    "hardware",
    "information",
    "luggage",
    "means",
    "media",
    "metadata",
    "money",
    "news",
    "people",
    "series",
    "sheep",
    "software",
    "species",
    "staff",
];

/// Last words in `f` or `fe` that end in `ves` (others, like `roof`, do not).
const VES: &[&str] = &[
    "calf", "half", "knife", "leaf", "life", "loaf", "self", "shelf", "thief", "wife", "wolf",
];

/// Last words in `o` that take `es`.
const OES: &[&str] = &[
    "echo", "embargo", "hero", "potato", "tomato", "torpedo", "veto",
];

/// Last words in `man` that are no kind of man.
const NOT_MEN: &[&str] = &["german", "human", "ottoman", "roman", "shaman", "talisman"];

/// The plural of a name in any letter case; capitals stay as they are: `URL`, `URLs`.
pub(crate) fn plural(name: &str) -> String {
    let (before, word) = name.split_at(last_word(name));
    let lower = word.to_lowercase();
    if SAME.contains(&lower.as_str()) {
        return name.to_owned();
    }
    if let Some((_, plural)) = IRREGULAR.iter().find(|(singular, _)| *singular == lower) {
        // As much of the word as both have in common keeps its letters, its first capital above all.
        let common = plural
            .bytes()
            .zip(lower.bytes())
            .take_while(|(left, right)| left == right)
            .count();
        let rest = &plural[common..];
        let rest = if word == word.to_uppercase() {
            rest.to_uppercase()
        } else {
            rest.to_owned()
        };
        return format!("{before}{}{rest}", word.get(..common).unwrap_or(word));
    }
    let (cut, ending) = ending(&lower);
    // Endings are cut by whole ASCII characters only, whatever lower case does to the rest.
    let kept = name.len().saturating_sub(cut);
    format!("{}{ending}", name.get(..kept).unwrap_or(name))
}

/// Bytes to cut off the word, and what to put there.
fn ending(word: &str) -> (usize, &'static str) {
    let ends = |endings: &[&str]| endings.iter().any(|ending| word.ends_with(ending));
    let before = |count: usize| word.chars().rev().nth(count).unwrap_or(' ');
    if VES.contains(&word) {
        return (if word.ends_with("fe") { 2 } else { 1 }, "ves");
    }
    if word.ends_with("man") && !NOT_MEN.contains(&word) {
        return (2, "en");
    }
    if word.ends_with('y') && word.len() > 1 && !matches!(before(1), 'a' | 'e' | 'i' | 'o' | 'u') {
        return (1, "ies");
    }
    if word.len() > 3 && ends(&["sis", "xis"]) {
        return (2, "es");
    }
    if ends(&["s", "x", "z", "ch", "sh"]) && word.len() > 1 || OES.contains(&word) {
        return (0, "es");
    }
    (0, "s")
}

/// Where the last word of a name in camel or snake case begins.
fn last_word(name: &str) -> usize {
    let mut start = 0;
    let mut previous = ' ';
    for (at, character) in name.char_indices() {
        if previous == '_' || (character.is_uppercase() && previous.is_lowercase()) {
            start = at;
        }
        previous = character;
    }
    start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::plural;

    #[test]
    fn plurals_are_english() {
        let names = [
            "Order",
            "OrderLine",
            "Category",
            "Day",
            "SalesPerson",
            "Address",
            "Status",
            "Box",
            "Branch",
            "Dish",
            "Shelf",
            "Roof",
            "Employee",
            "Analysis",
            "Basis",
            "Axis",
            "Hero",
            "Photo",
            "Salesman",
            "Human",
            "News",
            "Staff",
            "MasterData",
            "Data",
            "URL",
            "A",
            "Index",
            "Child",
            "order_line",
            "tax_index",
            "Größe",
            "Quiz",
            "Country",
            "Bus",
            "Tax",
            "Invoice",
            "Medium",
            "Person",
            "PERSON",
        ];
        let plurals: Vec<String> = names.into_iter().map(plural).collect();
        insta::assert_snapshot!(plurals.join(" "), @r#"
        Orders OrderLines Categories Days SalesPeople Addresses Statuses Boxes Branches Dishes Shelves Roofs Employees Analyses Bases Axes Heroes Photos Salesmen Humans News Staff MasterData Data URLs As Indices Children order_lines tax_indices Größes Quizzes Countries Buses Taxes Invoices Media People PEOPLE
        "#);
    }

    proptest! {
        #[test]
        fn any_name_has_a_plural(name in "\\PC{1,20}") {
            prop_assert!(!plural(&name).is_empty());
        }
    }
}
