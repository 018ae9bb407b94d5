//! `stoa token`.

use serde_json::{Value, json};
use stoa_runtime::identity::TokenId;
use stoa_runtime::identity::token::{NewToken, TokenInfo};

use super::listing::{instant, now, plain, table};
use super::opened::{Opened, failure, with};
use super::print;
use crate::Result;
use crate::command_line::people::{Token, TokenCreate, TokenList, TokenRevoke};

pub(crate) fn run(command: &Token) -> Result<()> {
    match command {
        Token::Create(arguments) => create(arguments),
        Token::List(arguments) => list(arguments),
        Token::Revoke(arguments) => revoke(arguments),
    }
}

fn create(arguments: &TokenCreate) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let user = opened.user(&arguments.user).await?;
        let new = NewToken {
            name: arguments.name.clone(),
            user,
            roles: (!arguments.roles.is_empty()).then(|| arguments.roles.clone()),
            read_only: !arguments.write,
            lifetime: arguments.expires,
            seed: None,
        };
        let (token, secret) = opened
            .identity
            .create_token(new, &opened.actor)
            .await
            .map_err(failure)?;
        if arguments.output.json {
            let mut json = as_json(&token);
            json["secret"] = secret.expose().into();
            print(&format!("{json:#}"));
        } else {
            // The secret alone on stdout, so that it can be piped to where it is kept.
            eprintln!(
                "The token “{}” of {} {} until {}. It is shown this once:",
                plain(&token.name),
                plain(&token.user_name),
                if token.read_only {
                    "reads"
                } else {
                    "reads and writes"
                },
                instant(token.expires_at),
            );
            print(secret.expose());
        }
        Ok(())
    })
}

fn list(arguments: &TokenList) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let user = match &arguments.user {
            Some(name) => Some(opened.user(name).await?),
            None => None,
        };
        let tokens = opened.identity.tokens(user).await.map_err(failure)?;
        if arguments.output.json {
            let tokens: Vec<Value> = tokens.iter().map(as_json).collect();
            print(&format!("{:#}", Value::Array(tokens)));
            return Ok(());
        }
        let now = now();
        let rows: Vec<[String; 7]> = tokens
            .iter()
            .map(|token| {
                [
                    token.id.to_string(),
                    plain(&token.user_name),
                    plain(&token.name),
                    if token.read_only { "reads" } else { "writes" }.to_owned(),
                    plain(
                        &token
                            .roles
                            .as_ref()
                            .map_or_else(|| "all".to_owned(), |roles| roles.join(", ")),
                    ),
                    if token.expires_at <= now {
                        "expired".to_owned()
                    } else {
                        instant(token.expires_at)
                    },
                    token.last_used.map(instant).unwrap_or_default(),
                ]
            })
            .collect();
        print(&table(
            [
                "TOKEN",
                "USER",
                "NAME",
                "MAY",
                "ROLES",
                "EXPIRES",
                "LAST USED",
            ],
            &rows,
        ));
        Ok(())
    })
}

fn as_json(token: &TokenInfo) -> Value {
    json!({
        "id": token.id.to_string(),
        "user": token.user_name,
        "name": token.name,
        "readOnly": token.read_only,
        "roles": token.roles,
        "createdAt": instant(token.created_at),
        "expiresAt": instant(token.expires_at),
        "lastUsed": token.last_used.map(instant),
    })
}

fn revoke(arguments: &TokenRevoke) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        opened
            .identity
            .revoke_token(TokenId(arguments.id), &opened.actor)
            .await
            .map_err(failure)?;
        print("The token works nowhere any more.");
        Ok(())
    })
}
