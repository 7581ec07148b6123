//! A real API server with our definitions and admission, and everybody who speaks to it: the door, the operator, approvers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use sallyport_crds::{AccessRequest, AccessRequestStatus};
use sallyport_e2e_apiserver::ApiServer;
use sallyport_policy::carrier::Carrier;
use sallyport_policy::seal::seal;
use serde_json::{Value, json};

/// How long anything may take before a test fails: whoever else works on the machine may take it for many seconds.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Who vouches for bob and carol.
pub const ISSUER: &str = "https://idp.example/realms/bank";
const OPERATOR: &str = "system:serviceaccount:sallyport-system:sallyport-operator";
const DOOR: &str = "system:serviceaccount:doors:door-bank";

/// The API server, and the policy that everybody has.
pub struct Cluster {
    server: ApiServer,
    /// By whom they speak as: a handshake for each request would take longer than the request.
    clients: Mutex<BTreeMap<String, Client>>,
    /// The policy.
    pub carrier: Carrier,
}

impl Cluster {
    /// Starts it, with everything that ships.
    pub fn start(carrier: Carrier) -> Self {
        let server = ApiServer::start().unwrap();
        let config = |name: &str| format!("{}/../config/{name}", env!("CARGO_MANIFEST_DIR"));
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": "doors", "labels": { "sallyport.dev/enabled": "true" } },
        });
        server
            .admin(&["apply", "--server-side", "-k", &config("crd")], "")
            .unwrap();
        server
            .admin(
                &["wait", "--for=condition=Established", "crd", "--all", "--timeout=120s"],
                "",
            )
            .unwrap();
        server.admin(&["apply", "-f", "-"], &namespace.to_string()).unwrap();
        let binding = [
            "create",
            "clusterrolebinding",
            "everybody",
            "--clusterrole=cluster-admin",
        ];
        let users = [OPERATOR, DOOR, "oidc:alice", "oidc:bob", "oidc:carol"].map(|user| format!("--user={user}"));
        let arguments: Vec<&str> = binding.into_iter().chain(users.iter().map(String::as_str)).collect();
        server.admin(&arguments, "").unwrap();
        server
            .admin(&["apply", "--server-side", "-k", &config("admission")], "")
            .unwrap();
        Self {
            server,
            clients: Mutex::default(),
            carrier,
        }
    }

    /// A client that speaks as somebody, as the API server would have authenticated them. It lives on the runtime that asked for it
    /// first.
    pub async fn client(&self, user: &str, uid: &str, groups: &[&str], extra: &[(&str, &str)]) -> Client {
        let who = format!("{user} {uid} {groups:?} {extra:?}");
        if let Some(known) = self.clients.lock().unwrap().get(&who) {
            return known.clone();
        }
        let kubeconfig = Kubeconfig::read_from(self.server.kubeconfig()).unwrap();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        let mut header = |name: &str, value: &str| config.headers.push((name.parse().unwrap(), value.parse().unwrap()));
        header("Impersonate-User", user);
        if !uid.is_empty() {
            header("Impersonate-Uid", uid);
        }
        groups.iter().for_each(|group| header("Impersonate-Group", group));
        extra
            .iter()
            .for_each(|(key, value)| header(&format!("Impersonate-Extra-{}", key.replace('/', "%2f")), value));
        let client = Client::try_from(config).unwrap();
        self.clients.lock().unwrap().insert(who, client.clone());
        client
    }

    /// The door, from one of its Pods.
    pub async fn door(&self, pod: &str) -> Client {
        let uid = format!("{pod}-uid");
        let extra = [
            ("authentication.kubernetes.io/pod-name", pod),
            ("authentication.kubernetes.io/pod-uid", uid.as_str()),
        ];
        self.client(DOOR, "door-uid", &["system:serviceaccounts"], &extra).await
    }

    /// What somebody does with requests.
    pub async fn requests(&self, client: Client) -> Api<AccessRequest> {
        Api::namespaced(client, "doors")
    }

    /// A request.
    pub async fn get(&self, name: &str) -> AccessRequest {
        let client = self.client(OPERATOR, "", &[], &[]).await;
        self.requests(client).await.get(name).await.unwrap()
    }

    /// Deletes one, as the operator does.
    pub async fn delete(&self, name: &str) {
        let client = self.client(OPERATOR, "", &[], &[]).await;
        self.requests(client)
            .await
            .delete(name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
    }

    async fn patch(&self, client: Client, name: &str, patch: Value) {
        let patch = Patch::<AccessRequest>::Json(serde_json::from_value(patch).unwrap());
        self.requests(client)
            .await
            .patch_status(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// What the operator writes.
    pub async fn operate(&self, name: &str, patch: Value) {
        let client = self.client(OPERATOR, "", &[], &[]).await;
        self.patch(client, name, patch).await;
    }

    /// What the operator does first: who may approve.
    pub async fn require(&self, name: &str) {
        let request = self.get(name).await;
        let requirement = json!({
            "askedBy": request.spec.asked_by[0], "required": 1, "approvers": [{ "kind": "Group", "name": "oidc:dba" }],
        });
        let status = json!({ "requirements": [requirement], "approvals": [], "conditions": [], "progress": "0/1" });
        self.operate(name, json!([{ "op": "add", "path": "/status", "value": status }]))
            .await;
    }

    /// A database administrator answers, by the documented patch.
    pub async fn answer(&self, who: &str, name: &str, decision: &str) {
        let request = self.get(name).await;
        let (user, uid) = (format!("oidc:{who}"), format!("{who}-sub"));
        let client = self
            .client(&user, &uid, &["oidc:dba"], &[("sallyport.dev/issuer", ISSUER)])
            .await;
        let entry = json!({
            "user": user, "decision": decision, "requestUID": request.metadata.uid, "issuer": ISSUER, "subject": uid,
            "digest": request.spec.command.map(|command| command.digest), "groups": ["oidc:dba"], "reason": "looked at it",
        });
        self.patch(
            client,
            name,
            json!([{ "op": "add", "path": "/status/approvals/-", "value": entry }]),
        )
        .await;
    }

    /// What the operator says by now, with its seal.
    pub async fn say(&self, name: &str, change: impl Fn(&mut AccessRequestStatus)) {
        let operator = self.client(OPERATOR, "", &[], &[]).await;
        let requests = self.requests(operator).await;
        loop {
            let mut request = self.get(name).await;
            change(request.status.get_or_insert_with(AccessRequestStatus::default));
            let seal = seal(&request, &operator_key());
            request.status.as_mut().unwrap().seal = seal;
            match requests.replace_status(name, &PostParams::default(), &request).await {
                Ok(_) => return,
                Err(kube::Error::Api(answer)) if answer.is_conflict() => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What the operator derives from the answers.
    pub async fn derive(&self, name: &str, condition: &str) {
        let condition = Condition {
            type_: condition.to_owned(),
            status: "True".to_owned(),
            reason: "Test".to_owned(),
            message: String::new(),
            last_transition_time: Time(jiff::Timestamp::now()),
            observed_generation: None,
        };
        self.say(name, |status| status.conditions.push(condition.clone())).await;
    }

    /// All of it.
    pub async fn approve(&self, name: &str) {
        self.require(name).await;
        self.answer("bob", name, "Approve").await;
        self.derive(name, "Approved").await;
    }
}

/// By which the operator seals what it says.
pub fn operator_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

/// What doors believe.
pub fn operator_keys() -> Vec<Vec<u8>> {
    vec![operator_key().public_key().as_ref().to_vec()]
}

/// Waits until something holds.
pub async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}: waited in vain"));
}

/// Labels, for looking at what was made.
pub fn labels(request: &AccessRequest) -> BTreeMap<String, String> {
    request.metadata.labels.clone().unwrap_or_default()
}
