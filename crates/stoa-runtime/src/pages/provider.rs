//! Signing in and out by way of an OpenID provider.

use minijinja::Value;

use super::Pages;
use super::visit::{Area, Visit};
use crate::identity::session::ProviderSession;

impl Pages {
    /// The providers that a sign-in page offers.
    pub(super) fn providers(&self, area: Area, return_to: &str) -> Vec<Value> {
        let _ = (area, return_to);
        Vec::new()
    }

    /// Where to go on to, to sign out at the provider too.
    pub(super) async fn sign_out_at_provider(
        &self,
        visit: &Visit,
        area: Area,
        provider: &ProviderSession,
    ) -> Option<String> {
        let _ = (visit, area, provider);
        None
    }
}
