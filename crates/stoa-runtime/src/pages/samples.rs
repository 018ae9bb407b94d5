//! Every page with something in every place: what templates are tried with when they are loaded.

use minijinja::{Value, context};

/// Template and context of every page, in both states of what can be there or not.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    let mut pages = Vec::new();
    for is_full in [true, false] {
        for area in ["user", "administration"] {
            for (template, page) in of(is_full) {
                pages.push((template, context! { ..page, ..frame(is_full, area) }));
            }
        }
    }
    pages
}

fn frame(is_full: bool, area: &str) -> Value {
    let fault = context! { field => "name", text => "Fault" };
    let other = context! { field => (), text => "Fault" };
    context! {
        application => "Application",
        area => area,
        page => "users",
        title => "Title",
        person => is_full.then_some("ada"),
        token => "token",
        notice => is_full.then_some("Notice"),
        faults => if is_full { vec![fault, other] } else { Vec::new() },
    }
}

fn of(is_full: bool) -> Vec<(&'static str, Value)> {
    let optional = |text: &'static str| is_full.then_some(text);
    let list = |value: Value| if is_full { vec![value] } else { Vec::new() };
    let moment = context! { machine => "2026-01-01T00:00:00Z", text => "2026-01-01 00:00 UTC" };
    let session = context! {
        id => "id",
        device => optional("Firefox"),
        address => optional("192.0.2.1"),
        provider => optional("company"),
        since => moment.clone(),
        last_used => moment.clone(),
        is_this => is_full,
    };
    let user = context! {
        id => "id",
        name => "ada",
        full_name => optional("Ada Lovelace"),
        email => optional("ada@example.com"),
        roles => vec!["Sales"],
        kind => "Employee",
        active => is_full,
        has_password => is_full,
        created => moment.clone(),
    };
    let added = context! {
        name => "ada", full_name => "", email => "", roles => vec!["Sales"], user => "ada", days => "90",
        can_write => is_full,
    };
    vec![
        (
            "sign-in.html",
            context! {
                action => "/-/sign-in",
                return_to => "/",
                name => "ada",
                is_signed_in => is_full,
                providers => list(context! { address => "/-/oidc/start", label => "Company" }),
                demonstration => is_full.then(|| context! {
                    password => "many columns",
                    users => list(context! { name => "ada", role => "Sales" }),
                }),
            },
        ),
        (
            "sign-out.html",
            context! { action => "/-/sign-out", return_to => "/" },
        ),
        (
            "signed-out.html",
            context! { provider_address => optional("https://login.example.com/end"), return_to => "/" },
        ),
        (
            "account.html",
            context! {
                root => "/-/account",
                name => "ada",
                full_name => optional("Ada Lovelace"),
                email => optional("ada@example.com"),
                has_password => is_full,
                sessions => vec![session.clone(), session.clone()],
            },
        ),
        (
            "password.html",
            context! { root => "/-/account", name => "ada", return_to => "/", is_forced => is_full },
        ),
        (
            "link.html",
            context! { action => "/-/link/secret", name => "ada" },
        ),
        (
            "message.html",
            context! { message => optional("Message"), return_to => optional("/") },
        ),
        (
            "admin-users.html",
            context! {
                search => "",
                users => list(user.clone()),
                more => optional("?after=ada"),
                roles => list(Value::from("Sales")),
                added => added.clone(),
            },
        ),
        (
            "admin-user.html",
            context! {
                action => "/-/admin/users/id",
                user => user,
                roles => list(Value::from("Sales")),
                sessions => list(session),
                secret => optional("https://example.com/-/link/secret"),
            },
        ),
        (
            "admin-tokens.html",
            context! {
                tokens => list(context! {
                    id => "id",
                    name => "Report",
                    user => "ada",
                    read_only => is_full,
                    roles => is_full.then_some(vec!["Sales"]),
                    expires => moment.clone(),
                    last_used => is_full.then_some(moment.clone()),
                }),
                roles => list(Value::from("Sales")),
                added => added,
                secret => optional("stoa_secret"),
            },
        ),
        (
            "admin-audit.html",
            context! {
                actor => "",
                entries => list(context! {
                    at => moment,
                    kind => "sign-in",
                    actor => optional("ada"),
                    address => optional("192.0.2.1"),
                    entity => optional("Order"),
                    key => optional("1"),
                    detail => optional("{}"),
                    before => optional("{}"),
                    after => optional("{}"),
                }),
                more => optional("?at=1"),
                is_later => is_full,
                start => "/-/admin/audit",
            },
        ),
    ]
}
