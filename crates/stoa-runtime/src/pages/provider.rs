//! Signing in and out by way of an OpenID provider.

use http::header::SET_COOKIE;
use http::{Response, StatusCode};
use minijinja::{Value, context};

use super::Pages;
use super::page::see_other;
use super::problem::Problem;
use super::return_path;
use super::sign_in::welcome;
use super::visit::{Area, Visit, cookie, set_cookie};
use crate::body::Body;
use crate::identity::SignInError;
use crate::identity::external::Unknown;
use crate::identity::session::ProviderSession;
use crate::single_sign_on::flow::{Flow, SECONDS};
use crate::single_sign_on::{Provider, SingleSignOnError};

/// Where providers send people back to.
const CALLBACK: &str = "/-/oidc/callback";
/// Characters of a state that are part of its cookie's name: several tabs may sign in at once.
const MARK: usize = 8;
/// Longest code that is passed on.
const CODE_BYTES: usize = 4096;

impl Pages {
    /// The providers that a sign-in page offers.
    pub(super) fn providers(&self, area: Area, return_to: &str) -> Vec<Value> {
        let providers = self.single_sign_on.iter().flat_map(|all| all.providers());
        providers
            .filter(|provider| is_for(provider, area))
            .map(|provider| {
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.append_pair("provider", &provider.settings().name);
                query.append_pair("return", return_to);
                if area == Area::Administration {
                    query.append_pair("for", "administration");
                }
                context! {
                    address => format!("/-/oidc/start?{}", query.finish()),
                    label => &provider.settings().label,
                }
            })
            .collect()
    }

    fn provider(&self, name: &str, area: Area) -> Result<&Provider, Problem> {
        self.single_sign_on
            .as_ref()
            .and_then(|all| all.provider(name))
            .filter(|provider| is_for(provider, area))
            .ok_or(Problem::NotFound)
    }

    /// Away to the provider.
    pub(super) async fn provider_start(&self, visit: &Visit) -> Result<Response<Body>, Problem> {
        let area = match visit.option("for") {
            Some("administration") => Area::Administration,
            _ => Area::User,
        };
        let provider = self.provider(visit.option("provider").unwrap_or_default(), area)?;
        let return_to = return_path::or(visit.option("return"), area.home());
        let start = provider
            .start(redirect(visit)?, return_to, area == Area::Administration)
            .await
            .map_err(|error| failed(provider, &error))?;
        let mut response = see_other(&start.address)?;
        let name = cookie_name(visit, &start.flow.state).ok_or(Problem::Internal)?;
        let cookie =
            set_cookie(visit.cookies, &name, &start.sealed, SECONDS).ok_or(Problem::Internal)?;
        response.headers_mut().append(SET_COOKIE, cookie);
        Ok(response)
    }

    /// Back from the provider.
    pub(super) async fn provider_callback(&self, visit: &Visit) -> Result<Response<Body>, Problem> {
        let state = visit.option("state").unwrap_or_default();
        let name = cookie_name(visit, state);
        let sealed = name
            .as_deref()
            .and_then(|name| cookie(visit.headers(), name));
        let flow = sealed.and_then(|sealed| self.open(sealed)).filter(|flow| {
            // The state of the cookie, whole: its name has only a part.
            flow.state.len() == state.len()
                && bool::from(subtle::ConstantTimeEq::ct_eq(
                    flow.state.as_bytes(),
                    state.as_bytes(),
                ))
        });
        let Some(flow) = flow else {
            tracing::info!(
                "somebody came back from a provider without having gone there from here"
            );
            return Err(Problem::Provider {
                title: "provider_failed",
                text: "provider_failed_text",
                status: StatusCode::BAD_REQUEST,
            });
        };
        let outcome = self.provider_finish(visit, &flow).await;
        // Used, whatever came of it.
        let used = name.and_then(|name| set_cookie(visit.cookies, &name, "", 0));
        let area = area_of(&flow);
        let mut response = outcome.unwrap_or_else(|problem| self.problem(&problem, area));
        if let Some(used) = used {
            response.headers_mut().append(SET_COOKIE, used);
        }
        Ok(response)
    }

    async fn provider_finish(&self, visit: &Visit, flow: &Flow) -> Result<Response<Body>, Problem> {
        let area = area_of(flow);
        let provider = self.provider(&flow.provider, area)?;
        let settings = provider.settings();
        // RFC 9207: the answer says who gives it.
        if visit
            .option("iss")
            .is_some_and(|issuer| issuer != settings.issuer)
        {
            let error = SingleSignOnError::Invalid("another provider answers".to_owned());
            return Err(failed(provider, &error));
        }
        if let Some(error) = visit.option("error") {
            let known: String = error
                .chars()
                .filter(char::is_ascii_graphic)
                .take(60)
                .collect();
            return Err(failed(provider, &SingleSignOnError::Refused(known)));
        }
        let code = visit
            .option("code")
            .filter(|code| !code.is_empty() && code.len() <= CODE_BYTES)
            .ok_or_else(|| {
                failed(
                    provider,
                    &SingleSignOnError::Invalid("there is no code".to_owned()),
                )
            })?;
        let arrived = provider
            .finish(flow, code, redirect(visit)?)
            .await
            .map_err(|error| failed(provider, &error))?;
        let client = visit.client();
        let signed_in = match area {
            Area::User => {
                self.identity
                    .sign_in_external(&arrived.identity, settings.unknown(), &client)
                    .await
            }
            Area::Administration if arrived.is_administrator => {
                // The claim says that they are one; the name says which.
                self.identity
                    .administrator_sign_in_external(&arrived.identity, Unknown::MatchName, &client)
                    .await
            }
            Area::Administration => Err(SignInError::Failed),
        };
        match signed_in {
            Ok(signed_in) => {
                let return_to = return_path::or(Some(&flow.return_to), area.home());
                welcome(visit, area, &signed_in, return_to)
            }
            Err(SignInError::Failed) => Err(Problem::Provider {
                title: "provider_refused",
                text: "provider_refused_text",
                status: StatusCode::FORBIDDEN,
            }),
            Err(error) => Err(error.into()),
        }
    }

    fn open(&self, sealed: &str) -> Option<Flow> {
        let all = self.single_sign_on.as_ref()?;
        all.providers()
            .iter()
            .find_map(|provider| provider.open(sealed))
    }

    /// Where to go on to, to sign out at the provider too.
    pub(super) async fn sign_out_at_provider(
        &self,
        visit: &Visit,
        area: Area,
        session: &ProviderSession,
    ) -> Option<String> {
        let provider = self.single_sign_on.as_ref()?.provider(&session.provider)?;
        let return_to = format!("{}{}", visit.origin()?, area.sign_out());
        provider
            .sign_out_address(session.id_token.as_deref(), return_to)
            .await
    }
}

fn is_for(provider: &Provider, area: Area) -> bool {
    match area {
        Area::User => provider.settings().users,
        Area::Administration => provider.settings().administrators_claim.is_some(),
    }
}

fn area_of(flow: &Flow) -> Area {
    if flow.is_administrator {
        Area::Administration
    } else {
        Area::User
    }
}

fn redirect(visit: &Visit) -> Result<String, Problem> {
    let origin = visit.origin().ok_or(Problem::NotFound)?;
    Ok(format!("{origin}{CALLBACK}"))
}

/// Name of the cookie of a flow, by its state.
fn cookie_name(visit: &Visit, state: &str) -> Option<String> {
    let mark = state.get(..MARK)?;
    let is_sane = mark
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let prefix = if visit.cookies.are_secure() {
        "__Host-stoa-oidc-"
    } else {
        "stoa-oidc-"
    };
    is_sane.then(|| format!("{prefix}{mark}"))
}

/// What a failed sign-in means to the person; its cause goes to the log.
fn failed(provider: &Provider, error: &SingleSignOnError) -> Problem {
    let name = &provider.settings().name;
    tracing::warn!(provider = name, %error, "somebody could not sign in with a provider");
    match error {
        SingleSignOnError::Unavailable(_) => Problem::Provider {
            title: "provider_failed",
            text: "provider_unavailable_text",
            status: StatusCode::BAD_GATEWAY,
        },
        SingleSignOnError::Refused(_) | SingleSignOnError::Invalid(_) => Problem::Provider {
            title: "provider_failed",
            text: "provider_failed_text",
            status: StatusCode::FORBIDDEN,
        },
    }
}
