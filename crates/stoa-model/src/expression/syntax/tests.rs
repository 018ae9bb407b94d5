use proptest::prelude::*;

use super::{Kind, Limits, Literal, Search, parse};

/// Parses an expression, and prints it with all its parentheses or tells the fault.
fn check(text: &str) -> String {
    match parse(text, Limits::default()) {
        Ok(node) => node.to_string(),
        Err(error) => format!("{}: {error}", error.kind.code()),
    }
}

#[test]
fn precedence() {
    insta::assert_snapshot!(check("a or b and not c eq d add e mul -f"), @"(a or (b and ((not (c)) eq (d add (e mul (- (f)))))))");
    insta::assert_snapshot!(check("a and b and c or d or e"), @"((a and b and c) or d or e)");
    insta::assert_snapshot!(check("a sub b sub c"), @"((a sub b) sub c)");
    insta::assert_snapshot!(check("a eq b lt c"), @"(a eq (b lt c))");
    insta::assert_snapshot!(check("not contains(a,'b') and not (c)"), @"((not (contains(a,'b'))) and (not (c)))");
    insta::assert_snapshot!(check("Name in ('a','b') or Size in [1,2]"), @"((Name in ('a','b')) or (Size in [1,2]))");
    insta::assert_snapshot!(check("a AND(b) Or c EQ d"), @"((a and b) or (c eq d))");
}

#[test]
fn literals() {
    insta::assert_snapshot!(check("'O''Neil' eq null and TRUE"), @"(('O''Neil' eq null) and true)");
    insta::assert_snapshot!(check("1.5m add 5L add 2f add 1.5d add -3 add +4 add 1e3"), @"((((((1.5 add 5) add 2) add 1.5) add -3) add 4) add 1000.0)");
    insta::assert_snapshot!(check("date'2024-02-29' eq 2024-02-29"), @"(2024-02-29 eq 2024-02-29)");
    insta::assert_snapshot!(check("datetime'2024-02-29T12:00' lt 2024-02-29T12:00+01:00"), @"(2024-02-29T12:00:00Z lt 2024-02-29T11:00:00Z)");
    insta::assert_snapshot!(check("duration'-P1DT2.5S' eq 12:30"), @"(duration'-P1DT2.5S' eq 12:30:00)");
    insta::assert_snapshot!(check("binary'Zm9v' eq guid'A1234567-89ab-cdef-0123-456789abcdef'"), @"(binary'Zm9v' eq a1234567-89ab-cdef-0123-456789abcdef)");
    insta::assert_snapshot!(check("A.B'C,D' eq a1234567-89ab-cdef-0123-456789abcdef"), @"(A.B'C,D' eq a1234567-89ab-cdef-0123-456789abcdef)");
    insta::assert_snapshot!(check("INF eq -INF or NaN eq 9999999999999999999999999999999999999"), @"((INF eq -INF) or (NaN eq 9999999999999999999999999999999999999))");
    insta::assert_snapshot!(check("9223372036854775808 eq 9223372036854775807"), @"(9223372036854775808.0 eq 9223372036854775807)");
}

#[test]
fn faults_tell_the_position() {
    insta::assert_snapshot!(check(""), @"MalformedExpression: the text ends too early at position 0; expected a property, a literal or a function");
    insta::assert_snapshot!(check(" true"), @"MalformedExpression: a blank cannot stand here at position 0; expected a property, a literal or a function");
    insta::assert_snapshot!(check("true "), @"MalformedExpression: a blank cannot stand here at position 4; expected an operator or the end");
    insta::assert_snapshot!(check("a eq"), @"MalformedExpression: the text ends too early at position 4; expected a blank behind the operator");
    insta::assert_snapshot!(check("a eq 'b"), @"MalformedExpression: the text that starts here has no closing quote at position 5; expected '");
    insta::assert_snapshot!(check("a equals b"), @"MalformedExpression: 'equals' cannot stand here at position 2; expected an operator or the end; did you mean 'eq'?");
    insta::assert_snapshot!(check("a eq b)"), @"MalformedExpression: ')' cannot stand here at position 6; expected an operator or the end");
    insta::assert_snapshot!(check("(a eq b"), @"MalformedExpression: the text ends too early at position 7; expected an operator or ')'");
    insta::assert_snapshot!(check("a eq \"b\""), @"MalformedExpression: text stands in single quotes at position 5; expected '…'");
    insta::assert_snapshot!(check("length(a,b) eq 1"), @"MalformedExpression: 'length' takes 1 argument(s), not 2 at position 0");
    insta::assert_snapshot!(check("x/any(y)"), @"MalformedExpression: ')' cannot stand here at position 7; expected ':'");
    insta::assert_snapshot!(check("a eq 2024-02-30"), @"MalformedExpression: this is no date at position 5");
    insta::assert_snapshot!(check("a eq 12abc"), @"MalformedExpression: 'abc' cannot stand here at position 7; expected the end of the literal");
    insta::assert_snapshot!(check("$i/Name eq 1"), @"MalformedExpression: '$i' is no variable at position 0; expected $it, $this, $root or $user; did you mean '$it'?");
    insta::assert_snapshot!(check("a in (b,c)"), @"MalformedExpression: ',' cannot stand here at position 7; expected ',' between literals, or ')'");
    insta::assert_snapshot!(check("a eq 'x\0'"), @"MalformedExpression: text cannot hold the character U+0000 at position 7");
}

#[test]
fn depth_and_size_are_bounded() {
    for text in [
        format!("{}a{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("{}a", "not ".repeat(10_000)),
        format!("{}a", "-".repeat(30_000)),
        format!("a{}", " add a".repeat(200)),
        format!("a{}", " or a".repeat(5_000)),
        "[".repeat(30_000),
        format!("a{}", "/a".repeat(20_000)),
        format!("{}a", "length(".repeat(5_000)),
        format!("{}a", "x/any(y:".repeat(5_000)),
    ] {
        let shown = check(&text);
        assert!(shown.starts_with("ExpressionTooComplex: "), "{shown}");
    }
    let deep = format!("{}a{}", "(".repeat(90), ")".repeat(90));
    assert_eq!(check(&deep), "a");
    assert!(Search::parse(&"(".repeat(10_000), Limits::default()).is_err());
    assert!(Search::parse(&"NOT ".repeat(10_000), Limits::default()).is_err());
}

#[test]
fn searches() {
    let check = |text: &str| match Search::parse(text, Limits::default()) {
        Ok(search) => search.to_string(),
        Err(error) => error.to_string(),
    };
    insta::assert_snapshot!(check("a b OR c AND NOT d \"e f\""), @"((a AND b) OR (c AND (NOT d) AND 'e f'))");
    insta::assert_snapshot!(check("NOT NOT"), @"(NOT NOT)");
    insta::assert_snapshot!(check("(a OR b) c"), @"((a OR b) AND c)");
    insta::assert_snapshot!(check("(a"), @"the text ends too early at position 2; expected a word or ')'");
}

#[test]
fn long_numbers_are_kept_whole() {
    let long = format!("{}e30", "3".repeat(80));
    assert_eq!(check(&long), long);
}

/// Text of an expression.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("Name".to_owned()),
        Just("$it/A/B".to_owned()),
        Just("@p".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[a-z' ]{0,6}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
        Just("2024-02-29T12:30:00.25Z".to_owned()),
        Just("null".to_owned()),
        Just("-1.50".to_owned()),
        Just("x/$count".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(vec![
                    "eq", "ne", "lt", "add", "sub", "mul", "and", "or", "has"
                ]),
                inner.clone()
            )
                .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            (
                inner.clone(),
                prop::sample::select(vec!["and", "or", "add"]),
                inner.clone()
            )
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            inner.clone().prop_map(|inner| format!("not ({inner})")),
            inner.clone().prop_map(|inner| format!("-({inner})")),
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| format!("contains({one},{other})")),
            inner
                .clone()
                .prop_map(|inner| format!("a/b/any(x:{inner})")),
            inner
                .clone()
                .prop_map(|inner| format!("case({inner} : {inner})")),
            inner.clone().prop_map(|inner| format!("Name in [{inner}]")),
            inner.prop_map(|inner| format!("a/$count($filter={inner})")),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again(text in expression()) {
        let limits = Limits { nodes: 10_000, ..Limits::default() };
        let node = match parse(&text, limits) {
            Ok(node) => node,
            Err(error) => panic!("{text}: {error}"),
        };
        let printed = node.to_string();
        let again = parse(&printed, limits).map(|node| node.to_string());
        prop_assert_eq!(again, Ok(printed));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = check(&text);
        let _ = Search::parse(&text, Limits::default());
    }

    #[test]
    fn integers_are_exact(number in any::<i64>()) {
        let node = parse(&number.to_string(), Limits::default()).map(|node| node.kind);
        prop_assert_eq!(node, Ok(Kind::Literal(Literal::Integer(number))));
    }
}
