//! What a request is about, as far as its line tells: for dispatch and for metrics.

use http::Method;
use stoa_runtime::environment::OPEN_API_PATH;

/// Root of the data service.
pub(crate) const DATA: &str = "/odata";
/// Root of the product's own pages.
pub(crate) const PAGES: &str = "/-";
/// Root of the health checks.
pub(crate) const HEALTH: &str = "/health";

/// Kinds of requests, as labelled in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    ServiceDocument,
    Metadata,
    OpenApi,
    Batch,
    CollectionRead,
    KeyRead,
    Write,
    Pages,
    Health,
    Static,
}

impl Route {
    pub(crate) const ALL: [Self; 10] = [
        Self::ServiceDocument,
        Self::Metadata,
        Self::OpenApi,
        Self::Batch,
        Self::CollectionRead,
        Self::KeyRead,
        Self::Write,
        Self::Pages,
        Self::Health,
        Self::Static,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::ServiceDocument => "service_document",
            Self::Metadata => "metadata",
            Self::OpenApi => "open_api",
            Self::Batch => "batch",
            Self::CollectionRead => "collection_read",
            Self::KeyRead => "key_read",
            Self::Write => "write",
            Self::Pages => "pages",
            Self::Health => "health",
            Self::Static => "static",
        }
    }

    pub(crate) fn of(method: &Method, path: &str) -> Self {
        if let Some(resource) = below(path, DATA) {
            return Self::of_data(method, resource);
        }
        if path == OPEN_API_PATH {
            Self::OpenApi
        } else if below(path, PAGES).is_some() {
            Self::Pages
        } else if below(path, HEALTH).is_some() {
            Self::Health
        } else {
            Self::Static
        }
    }

    /// A key read names one row: its last segment ends in a key, or the navigation goes on from one. What only
    /// the model could tell is counted as a collection.
    fn of_data(method: &Method, resource: &str) -> Self {
        let resource = resource.trim_start_matches('/');
        match resource {
            "" => return Self::ServiceDocument,
            "$metadata" => return Self::Metadata,
            "$batch" => return Self::Batch,
            _ => {}
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Self::Write;
        }
        let last = resource.rsplit('/').next().unwrap_or_default();
        if last.ends_with(')') || last.ends_with("%29") {
            Self::KeyRead
        } else {
            Self::CollectionRead
        }
    }
}

/// What follows `root` in a path, if the path is the root or lies below it.
fn below<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(root)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        for (method, path, route) in [
            (Method::GET, "/", Route::Static),
            (Method::GET, "/odatax", Route::Static),
            (Method::GET, "/odata", Route::ServiceDocument),
            (Method::GET, "/odata/", Route::ServiceDocument),
            (Method::GET, "/odata/$metadata", Route::Metadata),
            (Method::POST, "/odata/$batch", Route::Batch),
            (Method::GET, "/odata/Orders", Route::CollectionRead),
            (Method::GET, "/odata/Orders(1)/Lines", Route::CollectionRead),
            (Method::GET, "/odata/Orders/$count", Route::CollectionRead),
            (Method::GET, "/odata/Orders(1)", Route::KeyRead),
            (Method::HEAD, "/odata/Orders%281%29", Route::KeyRead),
            (Method::POST, "/odata/Orders", Route::Write),
            (Method::PATCH, "/odata/Orders(1)", Route::Write),
            (Method::GET, "/health/live", Route::Health),
            (Method::GET, "/healthy", Route::Static),
            (Method::GET, "/openapi.json", Route::OpenApi),
            (Method::GET, "/-/sign-in", Route::Pages),
            (Method::GET, "/-", Route::Pages),
            (Method::GET, "/-a", Route::Static),
        ] {
            assert_eq!(Route::of(&method, path), route, "{method} {path}");
        }
    }
}
