//! An API server in memory: as much of it as reconcilers touch. It keeps objects, refuses what the real one refuses (double
//! creation, an old resourceVersion, a foreign uid), and remembers what was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// The API server.
#[derive(Clone, Default)]
pub struct ApiServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    forbidden: BTreeSet<String>,
    broken: BTreeSet<String>,
    writes: Vec<String>,
    version: u64,
}

/// What the operator lists by itself.
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1/";

impl ApiServer {
    /// A client of this server.
    pub fn client(&self) -> Client {
        let server = self.clone();
        Client::new(
            tower::service_fn(move |request| server.clone().answer(request)),
            "default",
        )
    }

    /// Puts an object at a path such as `/api/v1/namespaces/doors/secrets/x`.
    pub fn put(&self, path: &str, object: Value) {
        self.0.lock().unwrap().keep(path, object);
    }

    /// Takes an object away.
    pub fn delete(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    /// From now on nothing may be done at a path.
    pub fn forbid(&self, path: &str) {
        self.0.lock().unwrap().forbidden.insert(path.to_owned());
    }

    /// Whether every request at a path fails from now on, as where a webhook does not answer.
    pub fn fail(&self, path: &str, fails: bool) {
        let broken = &mut self.0.lock().unwrap().broken;
        match fails {
            true => broken.insert(path.to_owned()),
            false => broken.remove(path),
        };
    }

    /// The object at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// The objects of a collection.
    pub fn list(&self, collection: &str) -> Vec<Value> {
        let state = self.0.lock().unwrap();
        let inside = |path: &str| {
            path.strip_prefix(collection)
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|name| !name.contains('/'))
        };
        state
            .objects
            .iter()
            .filter(|(path, _)| inside(path))
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// What was written since the last call, as `PATCH /path`.
    pub fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        // Nothing is kept of a dry run; what reconcilers try by one is what admission refuses.
        let dry = parts.uri.query().unwrap_or_default().contains("dryRun=All");
        let (status, answer) = match dry {
            true => denied(),
            false => self.0.lock().unwrap().answer(&parts.method, parts.uri.path(), body),
        };
        Ok(Response::builder()
            .status(status)
            .body(Body::from(serde_json::to_vec(&answer).unwrap()))
            .unwrap())
    }
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        if *method != Method::GET {
            self.writes.push(format!("{method} {path}"));
        }
        if self.forbidden.contains(path) {
            return refused(StatusCode::FORBIDDEN);
        }
        if self.broken.contains(path) {
            return refused(StatusCode::INTERNAL_SERVER_ERROR);
        }
        match *method {
            Method::GET => match self.objects.get(path) {
                Some(found) => (StatusCode::OK, found.clone()),
                None if path.starts_with(ADMISSION) => {
                    let inside = |object: &str| object.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
                    let found = self.objects.iter().filter(|(object, _)| inside(object));
                    let items: Vec<&Value> = found.map(|(_, object)| object).collect();
                    (
                        StatusCode::OK,
                        json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": items }),
                    )
                }
                None => refused(StatusCode::NOT_FOUND),
            },
            Method::POST => {
                let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or("generated"));
                if self.objects.contains_key(&path) {
                    return exists();
                }
                (StatusCode::CREATED, self.keep(&path, body))
            }
            Method::PATCH | Method::PUT => match path.strip_suffix("/status") {
                Some(object) => self.status(object, &body, *method == Method::PUT),
                None => (StatusCode::OK, self.keep(path, body)),
            },
            Method::DELETE => match self.objects.remove(path) {
                Some(gone) => (StatusCode::OK, gone),
                None => refused(StatusCode::NOT_FOUND),
            },
            _ => refused(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn status(&mut self, path: &str, body: &Value, replace: bool) -> (StatusCode, Value) {
        let Some(found) = self.objects.get(path).cloned() else {
            return refused(StatusCode::NOT_FOUND);
        };
        let (ours, theirs) = (&found["metadata"], &body["metadata"]);
        let other_uid = theirs["uid"].is_string() && theirs["uid"] != ours["uid"];
        if other_uid || (replace && theirs["resourceVersion"] != ours["resourceVersion"]) {
            return refused(StatusCode::CONFLICT);
        }
        let mut changed = found;
        changed["status"] = body["status"].clone();
        (StatusCode::OK, self.keep(path, changed))
    }

    fn keep(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let before = self.objects.get(path);
        let uid = before.map_or_else(
            || json!(format!("uid-{}", self.version)),
            |before| before["metadata"]["uid"].clone(),
        );
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = uid;
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if path.contains("/services/") && object["spec"]["clusterIP"].is_null() {
            object["spec"]["clusterIP"] = json!("10.96.4.2");
        }
        self.objects.insert(path.to_owned(), object.clone());
        object
    }
}

fn denied() -> (StatusCode, Value) {
    let message = "ValidatingAdmissionPolicy 'sallyport-request-answers' with binding 'sallyport-request-answers' denied request: no";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    (
        status,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422, "message": message }),
    )
}

fn exists() -> (StatusCode, Value) {
    let (status, mut answer) = refused(StatusCode::CONFLICT);
    answer["reason"] = json!("AlreadyExists");
    (status, answer)
}

fn refused(status: StatusCode) -> (StatusCode, Value) {
    let reason = match status {
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::CONFLICT => "Conflict",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::INTERNAL_SERVER_ERROR => "InternalError",
        _ => "MethodNotAllowed",
    };
    (
        status,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status.as_u16() }),
    )
}
