//! What an application looks like to somebody with a set of roles, made once for each set.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lru::LruCache;
use stoa_model::access::Access;
use stoa_model::application::Manifest;
use stoa_model::model::{Model, RoleId};
use stoa_model::query::Selection;
use stoa_odata::json::{Content, Plan};
use stoa_odata::metadata::{Document, Metadata};
use stoa_odata::negotiate::Format;
use stoa_odata::openapi::{self, About};
use stoa_odata::url::{OptionName, Url};

use crate::environment::SERVICE_PATH;

/// Payload plans kept for a set of roles, in shapes of answers.
const PLANS: usize = 1024;

/// Sets of roles kept. Few applications have as many that are in use at once.
const VIEWS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Rules of a set of roles, and what follows from them.
pub(crate) struct View {
    pub(crate) access: Access,
    metadata: OnceLock<Metadata>,
    open_api: OnceLock<Document>,
    plans: Mutex<LruCache<PlanKey, Arc<Plan>>>,
}

/// What a payload plan depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PlanKey {
    entity: u32,
    select: Option<String>,
    expand: Option<String>,
    format: Format,
    references: bool,
}

impl View {
    fn new(model: &Arc<Model>, roles: &[RoleId]) -> Self {
        let access = Access::new(model, roles);
        // Not zero by its definition.
        let plans = NonZeroUsize::new(PLANS).unwrap_or(NonZeroUsize::MIN);
        Self {
            access,
            metadata: OnceLock::new(),
            open_api: OnceLock::new(),
            plans: Mutex::new(LruCache::new(plans)),
        }
    }

    /// The model as these roles see it: what requests are resolved against.
    pub(crate) fn model(&self) -> &Arc<Model> {
        self.access.view()
    }

    /// The service in OData's own words, made when somebody asks for it: few requests do.
    pub(crate) fn metadata(&self) -> &Metadata {
        self.metadata.get_or_init(|| Metadata::new(self.model()))
    }

    /// The service in OpenAPI, made when somebody asks for it.
    pub(crate) fn open_api(&self, manifest: &Manifest) -> &Document {
        self.open_api.get_or_init(|| {
            let about = About {
                title: &manifest.label,
                description: manifest.description.as_deref(),
                version: manifest.version.as_deref(),
                server: SERVICE_PATH,
            };
            openapi::document(self.model(), &about)
        })
    }

    /// The payload plan of a selection, made once for what the URL selects and expands.
    pub(crate) fn plan(
        &self,
        url: &Url,
        selection: &Selection,
        format: Format,
        content: Content,
    ) -> Arc<Plan> {
        let key = PlanKey {
            entity: selection.entity.0,
            select: url.options.text(OptionName::Select).map(str::to_owned),
            expand: url.options.text(OptionName::Expand).map(str::to_owned),
            format,
            references: content == Content::References,
        };
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(plans.get_or_insert(key, || {
            Arc::new(Plan::new(self.model(), selection, format, content))
        }))
    }
}

/// The views of an application, made when they are first asked for.
pub(crate) struct Views {
    model: Arc<Model>,
    views: Mutex<LruCache<Arc<[RoleId]>, Arc<View>>>,
}

impl Views {
    pub(crate) fn new(model: Arc<Model>) -> Self {
        Self {
            model,
            views: Mutex::new(LruCache::new(VIEWS)),
        }
    }

    /// The view of a sorted set of roles.
    pub(crate) fn of(&self, roles: &Arc<[RoleId]>) -> Arc<View> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(roles) {
            return Arc::clone(view);
        }
        // Made under the lock: a second request with these roles waits instead of doing the same work.
        let view = Arc::new(View::new(&self.model, roles));
        views.put(Arc::clone(roles), Arc::clone(&view));
        view
    }
}
