//! An API server in memory, which can fall silent: objects that it lists and gives, and watches that never say anything.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// The API server.
#[derive(Clone, Default)]
pub(crate) struct ApiServer {
    state: Arc<Mutex<State>>,
    silent: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
}

impl ApiServer {
    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let serve = move |request: Request<Body>| server.clone().serve(request);
        Client::new(tower::service_fn(serve), "default")
    }

    /// Puts an object at a path such as `/api/v1/namespaces/doors/secrets/x`. No watch shows what is put after its list.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let parts: Vec<&str> = path.rsplit('/').collect();
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let metadata = &mut object["metadata"];
        (metadata["name"], metadata["namespace"]) = (json!(parts[0]), json!(parts[2]));
        metadata["uid"] = json!(format!("uid-{}", parts[0]));
        metadata["resourceVersion"] = json!(state.version.to_string());
        state.objects.insert(path.to_owned(), object);
    }

    /// Somebody changes an object.
    pub(crate) fn touch(&self, path: &str) {
        let object = self.state.lock().unwrap().objects[path].clone();
        self.put(path, object);
    }

    /// From now on nobody gets an answer, or everybody does again who asks anew.
    pub(crate) fn is_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    async fn serve(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let query = request.uri().query().unwrap_or_default();
        if query.contains("watch=") || self.silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let answer = self.state.lock().unwrap().answer(request.uri().path(), query);
        Ok(Response::new(Body::from(serde_json::to_vec(&answer).unwrap())))
    }
}

impl State {
    /// An object, or what is in a collection.
    fn answer(&self, path: &str, query: &str) -> Value {
        if let Some(object) = self.objects.get(path) {
            return object.clone();
        }
        let wanted = query
            .split_once("metadata.name%3D")
            .and_then(|(_, rest)| rest.split('&').next());
        let inside = |object: &str| {
            let name = object.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'));
            name.is_some_and(|name| !name.contains('/') && wanted.is_none_or(|wanted| wanted == name))
        };
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(path, _)| inside(path))
            .map(|(_, object)| object)
            .collect();
        json!({
            "apiVersion": "v1", "kind": "List", "items": items,
            "metadata": { "resourceVersion": self.version.to_string() },
        })
    }
}
