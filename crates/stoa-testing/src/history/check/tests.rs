//! Histories made by hand, each with one thing wrong: a checker that cannot fail is worth nothing.

use std::time::Duration;

use super::*;

const DONE: Outcome = Outcome::Done { status: 200 };

fn refused() -> Outcome {
    Outcome::Refused {
        status: 412,
        error: String::new(),
    }
}

fn failed() -> Outcome {
    Outcome::Failed {
        status: 502,
        error: String::new(),
    }
}

fn no_answer() -> Outcome {
    Outcome::NoAnswer {
        error: "reset".to_owned(),
    }
}

fn not_sent() -> Outcome {
    Outcome::NotSent {
        error: "refused".to_owned(),
    }
}

/// Operations of one user on the row `a`, one after the other.
fn history(operations: &[(Kind, u64, Outcome)]) -> History {
    let operations = operations
        .iter()
        .zip(1..)
        .map(|((kind, value, outcome), second)| Operation {
            user: 7,
            kind: *kind,
            tag: Some("a".to_owned()),
            value: Some(*value),
            due: Duration::from_secs(second),
            start: Duration::from_secs(second),
            end: Duration::from_secs(second) + Duration::from_millis(5),
            attempts: 1,
            outcome: outcome.clone(),
            answered_by: None,
        })
        .collect();
    History {
        operations,
        marks: Vec::new(),
    }
}

fn row(value: u64, writes: u64) -> Row {
    Row {
        tag: "a".to_owned(),
        value,
        writes: Some(writes),
    }
}

fn faults(operations: &[(Kind, u64, Outcome)], rows: &[Row]) -> Vec<Fault> {
    let report = check(&history(operations), rows);
    assert_eq!(report.require_no_fault().is_ok(), report.faults.is_empty());
    report.faults
}

fn tag() -> String {
    "a".to_owned()
}

#[test]
fn all_is_well() {
    let operations = [
        (Kind::Create, 0, DONE),
        (Kind::Update, 1, DONE),
        (Kind::ReadBack, 1, DONE),
        (Kind::Update, 2, DONE),
    ];
    let report = check(&history(&operations), &[row(2, 3)]);
    report.require_no_failure().unwrap();
    assert_eq!((report.requests, report.acknowledged), (4, 3));
}

#[test]
fn an_acknowledged_row_is_not_there() {
    let lost = vec![Fault::RowLost { tag: tag() }];
    assert_eq!(faults(&[(Kind::Create, 0, DONE)], &[]), lost);
    // The creator heard nothing, found the row, and changed it.
    let operations = [(Kind::Create, 0, no_answer()), (Kind::Update, 1, DONE)];
    assert_eq!(faults(&operations, &[]), lost);
}

#[test]
fn a_row_is_there_twice() {
    let twice = vec![Fault::RowTwice {
        tag: tag(),
        times: 2,
    }];
    for outcome in [DONE, no_answer()] {
        assert_eq!(
            faults(&[(Kind::Create, 0, outcome)], &[row(0, 1), row(0, 1)]),
            twice
        );
    }
}

#[test]
fn without_an_answer_a_row_may_be_there_or_not() {
    for outcome in [no_answer(), failed()] {
        assert_eq!(faults(&[(Kind::Create, 0, outcome.clone())], &[]), []);
        let report = check(&history(&[(Kind::Create, 0, outcome)]), &[row(0, 1)]);
        report.require_no_fault().unwrap();
        assert!(report.require_no_failure().is_err());
        assert_eq!((report.unknown, report.unknown_applied), (1, 1));
    }
}

#[test]
fn a_row_is_there_that_was_refused_or_never_asked_for() {
    let unasked = vec![Fault::RowUnasked { tag: tag() }];
    for outcome in [refused(), not_sent()] {
        assert_eq!(faults(&[(Kind::Create, 0, outcome)], &[row(0, 1)]), unasked);
    }
    assert_eq!(faults(&[], &[row(0, 1)]), unasked);
}

#[test]
fn an_acknowledged_update_is_lost() {
    let operations = [
        (Kind::Create, 0, DONE),
        (Kind::Update, 1, no_answer()),
        (Kind::Update, 2, DONE),
    ];
    assert_eq!(faults(&operations, &[row(2, 3)]), []);
    // The first copy of the earlier one came late and won.
    assert_eq!(
        faults(&operations, &[row(1, 3)]),
        [Fault::UpdateLost {
            tag: tag(),
            acknowledged: 2,
            found: 1
        }]
    );
}

#[test]
fn an_update_without_an_answer_may_have_been_done() {
    let operations = [(Kind::Create, 0, DONE), (Kind::Update, 1, no_answer())];
    assert_eq!(faults(&operations, &[row(0, 1)]), []);
    assert_eq!(faults(&operations, &[row(1, 2)]), []);
}

#[test]
fn a_refused_update_was_done() {
    let operations = [(Kind::Create, 0, DONE), (Kind::Update, 1, refused())];
    assert_eq!(faults(&operations, &[row(0, 1)]), []);
    let found = faults(&operations, &[row(1, 1)]);
    assert_eq!(
        found,
        [Fault::UpdateUnasked {
            tag: tag(),
            found: 1
        }]
    );
}

#[test]
fn a_copy_that_was_refused_says_nothing_of_the_one_before() {
    let mut history = history(&[(Kind::Create, 0, DONE), (Kind::Update, 1, refused())]);
    history.operations[1].attempts = 2;
    for row in [row(0, 1), row(1, 2)] {
        check(&history, &[row]).require_no_fault().unwrap();
    }
}

#[test]
fn an_update_was_applied_twice() {
    let operations = [(Kind::Create, 0, DONE), (Kind::Update, 1, DONE)];
    let miscounted = |unknown, found| {
        vec![Fault::WritesMiscounted {
            tag: tag(),
            acknowledged: 2,
            unknown,
            found,
        }]
    };
    assert_eq!(faults(&operations, &[row(1, 3)]), miscounted(0, 3));
    assert_eq!(faults(&operations, &[row(1, 1)]), miscounted(0, 1));
    let operations = [
        (Kind::Create, 0, DONE),
        (Kind::Update, 1, failed()),
        (Kind::Update, 2, DONE),
    ];
    assert_eq!(faults(&operations, &[row(2, 2)]), []);
    assert_eq!(faults(&operations, &[row(2, 4)]), miscounted(1, 4));
}

#[test]
fn a_read_goes_back_in_time() {
    let operations = |seen| {
        [
            (Kind::Create, 0, DONE),
            (Kind::Update, 2, DONE),
            (Kind::ReadBack, seen, DONE),
        ]
    };
    assert_eq!(faults(&operations(2), &[row(2, 2)]), []);
    let backwards = vec![Fault::ReadBackwards {
        tag: tag(),
        known: 2,
        seen: Some(1),
    }];
    assert_eq!(faults(&operations(1), &[row(2, 2)]), backwards);
    // What was read once stays, even if its writer heard nothing.
    let operations = [
        (Kind::Create, 0, DONE),
        (Kind::Update, 1, no_answer()),
        (Kind::ReadBack, 1, DONE),
        (Kind::ReadBack, 0, DONE),
    ];
    let backwards = vec![Fault::ReadBackwards {
        tag: tag(),
        known: 1,
        seen: Some(0),
    }];
    assert_eq!(faults(&operations, &[row(1, 2)]), backwards);
    // A row that is no longer found.
    let mut history = history(&[(Kind::Create, 0, DONE), (Kind::ReadBack, 0, DONE)]);
    history.operations[1].value = None;
    let report = check(&history, &[row(0, 1)]);
    assert!(
        matches!(report.faults[..], [Fault::ReadBackwards { seen: None, .. }]),
        "{report}"
    );
}

#[test]
fn somebody_is_signed_out() {
    let operations = [
        (Kind::Create, 0, DONE),
        (Kind::Update, 1, Outcome::SignedOut { status: 401 }),
    ];
    assert_eq!(
        faults(&operations, &[row(0, 1)]),
        [Fault::SignedOut {
            user: 7,
            kind: Kind::Update,
            status: 401
        }]
    );
}

#[test]
fn content_is_wrong() {
    let operations = [(
        Kind::Static,
        0,
        Outcome::Wrong {
            error: "digest".to_owned(),
        },
    )];
    assert_eq!(
        faults(&operations, &[]),
        [Fault::WrongAnswer {
            user: 7,
            kind: Kind::Static,
            error: "digest".to_owned()
        }]
    );
}

#[test]
fn failures_are_counted_by_kind_and_reason() {
    let operations = [
        (Kind::Read, 0, no_answer()),
        (Kind::Read, 0, no_answer()),
        (Kind::Static, 0, failed()),
        (Kind::Read, 0, not_sent()),
    ];
    let report = check(&history(&operations), &[]);
    assert_eq!(report.failures(), 4);
    let listed = report.require_no_failure().unwrap_err().to_string();
    for line in [
        "2 × Read: no answer: reset",
        "1 × Read: not sent: refused",
        "1 × Static: status 502",
    ] {
        assert!(listed.contains(line), "{listed}");
    }
}
