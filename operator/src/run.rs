//! Wiring: every flag is used here, every task begins here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client, Config};
use prometheus::Registry;
use sallyport_policy::issuer::Issuers;
use sallyport_runtime::vitals::Vitals;
use sallyport_runtime::workload::Credential;
use sallyport_runtime::{admin, shutdown};
use tokio_util::sync::CancellationToken;

use crate::access_request::admission::Admission;
use crate::access_request::since;
use crate::api::server::Leading;
use crate::args::Args;
use crate::audiences::{Audiences, OwnToken};
use crate::audit_sink::ledger::Ledger;
use crate::audit_sink::witness::{self, Sights};
use crate::columns::Lists;
use crate::context::Context;
use crate::controller::{Pace, drive};
use crate::enforce::{Fleet, Programs, ticker};
use crate::guards::shipped::{self, Shipped};
use crate::issuers::Files;
use crate::keys::{Keys, rotation, store};
use crate::leader::fence::fenced;
use crate::leader::{Candidate, Heard};
use crate::metrics::Metrics;
use crate::notify::{self, Notifier};
use crate::schema::Schema;
use crate::settings::Settings;
use crate::shared::apply::Applier;
use crate::world::queue::{Receivers, queues};
use crate::{access_request, api, audit_sink, census, connection, endpoint, rule, world};

/// Runs until a signal comes or the Lease is lost.
///
/// # Errors
/// When the operator cannot start, or lost the Lease: then the process ends and starts over.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        namespace,
        pod_name,
        pod_ip,
        service,
        lease,
        ..
    } = args.clone();
    let end = shutdown::on_signals().context("signals")?;
    let registry = Registry::new();
    let metrics = Metrics::new(&registry)?;
    let (heard, vitals) = (Heard::default(), Vitals::default());
    serve_admin(&args, registry, &heard, &vitals)?;

    let config = Config::infer().await.context("no way to the API server")?;
    let own_token = OwnToken::of(&config);
    let client = Client::try_from(config).context("no way to the API server")?;
    let secrets = Api::<Secret>::namespaced(client.clone(), &namespace);
    Keys::load_or_make(&secrets).await?;
    // Standing by is being ready: a rollout must not wait for the Lease.
    heard.now();

    let mut candidate = Candidate::new(client.clone(), &namespace, &lease, &pod_name, heard);
    tracing::info!(lease, "waiting to lead");
    if !candidate.win(&end).await {
        return Ok(());
    }
    tracing::info!("leading");
    metrics.leader.set(1);
    // From here on nothing is written but by this client.
    let client = fenced(client, candidate.lead());
    let begun = Arc::new(AtomicBool::new(false));
    let leading: Leading = {
        let (begun, lead) = (begun.clone(), candidate.lead());
        Arc::new(move || begun.load(Ordering::Acquire) && lead.holds())
    };
    let lead = end.child_token();
    let work = async {
        let secrets = Api::<Secret>::namespaced(client.clone(), &namespace);
        let keys = keys(&secrets, &vitals, (&lead, &end)).await?;
        let settings = settings(&args, &keys)?;
        let audiences = audiences(&client, own_token, &vitals, &lead).await?;
        let files = Files::new(&args.issuers, audiences);
        let parts = (&vitals, &lead, leading);
        begin(&args, &client, files, keys, settings, metrics.clone(), parts).await?;
        if let Some(address) = pod_ip {
            let port = args.api_address.port();
            endpoint::publish(&client, &namespace, &service, address, port)
                .await
                .context("the EndpointSlice of the Service")?;
        }
        begun.store(true, Ordering::Release);
        anyhow::Ok(())
    };
    // The Lease is renewed while everything is read, too, which may take longer than it lasts.
    let held = tokio::select! {
        held = candidate.hold(&end) => held.map_err(anyhow::Error::from),
        Err(failed) = work => Err(failed),
    };
    metrics.leader.set(0);
    lead.cancel();
    held
}

/// Begins to see and to reconcile.
async fn begin(
    args: &Args,
    client: &Client,
    files: Files,
    keys: Arc<Keys>,
    settings: Settings,
    metrics: Metrics,
    (vitals, lead, leading): (&Vitals, &CancellationToken, Leading),
) -> anyhow::Result<()> {
    let (queues, receivers) = queues();
    let applier = Arc::new(Applier::new(client.clone()));
    let issuers: Arc<ArcSwap<Issuers>> = Arc::default();
    issuers.store(Arc::new(files.read().issuers));
    let schema = Schema::default();
    schema
        .look(client)
        .await
        .context("the definitions of our kinds cannot be read: is the ClusterRole of this version bound?")?;
    metrics.schema_mismatch.set(i64::from(schema.fault().is_some()));
    let (world, watches) = world::namespaces::open(client, &queues, &applier);
    let context = Arc::new(Context {
        client: client.clone(),
        world,
        queues,
        applier,
        columns: Lists::new(client.clone(), keys.clone()),
        keys,
        settings,
        issuers: issuers.clone(),
        programs: Arc::new(Programs::default()),
        fleet: Arc::new(Fleet::new()),
        admission: Admission::default(),
        schema,
        sights: Arc::new(Sights::default()),
        events: Recorder::new(
            client.clone(),
            Reporter {
                controller: "sallyport-operator".to_owned(),
                instance: Some(args.pod_name.clone()),
            },
        ),
        notifier: Notifier::new(metrics.notifications.clone()),
        metrics,
    });
    for watch in watches {
        tokio::spawn(vitals.keep("watching", lead.clone(), watch));
    }
    tokio::time::timeout(Duration::from_secs(60), context.world.wait_until_ready())
        .await
        .context("the API server does not list our kinds: are the CRDs installed and the ClusterRole bound?")??;

    follow_admission(&context, vitals, lead).await?;
    follow_schema(&context, lead);
    let credential = own_credential(&context.keys, lead)?;
    spawn_api(args, &credential, &context, leading, lead);
    spawn_issuers(files, &context, issuers, lead);
    let ledger = Ledger::open(client, &args.namespace)
        .await
        .context("the ledger of logs")?;
    let witnessing = witness::run(context.clone(), credential, ledger, lead.clone());
    tokio::spawn(vitals.keep("witnessing logs", lead.clone(), witnessing));
    tokio::spawn(vitals.keep(
        "looking at doors",
        lead.clone(),
        ticker::run(context.clone(), lead.clone()),
    ));
    tokio::spawn(vitals.keep(
        "counting objects",
        lead.clone(),
        census::run(context.clone(), lead.clone()),
    ));
    let reading = notify::webhooks::follow(args.notifications.clone(), context.notifier.hooks(), lead.clone());
    tokio::spawn(vitals.keep("reading webhooks", lead.clone(), reading));
    let forging = access_request::forgery::run(context.clone(), lead.clone());
    tokio::spawn(vitals.keep("trying forgeries", lead.clone(), forging));
    spawn_reconcilers(&context, receivers, vitals, lead);
    context.queues.everything(&context.world);
    Ok(())
}

/// The keys as they are now that this process leads, and no other writes them; replaced authorities end it by `end`.
async fn keys(
    secrets: &Api<Secret>,
    vitals: &Vitals,
    (lead, end): (&CancellationToken, &CancellationToken),
) -> anyhow::Result<Arc<Keys>> {
    let secret = match rotation::advance(secrets, Timestamp::now()).await {
        Ok((secret, _)) => secret,
        Err(error) => {
            tracing::error!(%error, "authorities cannot be replaced; those that are there go on");
            secrets.get(store::SECRET).await?
        }
    };
    let following = rotation::follow(secrets.clone(), end.clone());
    tokio::spawn(vitals.keep("replacing authorities", lead.clone(), following));
    Ok(Arc::new(Keys::read(&secret)?))
}

/// What the API server accepts, known before any door is told anything, and followed.
async fn audiences(
    client: &Client,
    token: Option<OwnToken>,
    vitals: &Vitals,
    lead: &CancellationToken,
) -> anyhow::Result<Audiences> {
    let audiences = Audiences::default();
    let Some(token) = token else {
        tracing::warn!(
            "the operator has no token of its own here: doors refuse only the API server's audiences that names.yaml and authentication.yaml name"
        );
        return Ok(audiences);
    };
    audiences
        .look(client, &token)
        .await
        .context("the API server's audiences")?;
    let following = audiences.clone().follow(client.clone(), token);
    tokio::spawn(vitals.keep("following the API server's audiences", lead.clone(), following));
    Ok(audiences)
}

fn spawn_reconcilers(context: &Arc<Context>, receivers: Receivers, vitals: &Vitals, lead: &CancellationToken) {
    let Receivers {
        connections,
        masking_rules,
        approval_policies,
        audit_sinks,
        access_requests,
    } = receivers;
    let pace = Pace {
        debounce: Duration::from_millis(50),
        side_by_side: 16,
    };
    // Somebody sits at a prompt and waits.
    let prompt = Pace {
        debounce: Duration::ZERO,
        side_by_side: 16,
    };
    let world = &context.world;
    let until = |work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        tokio::spawn(vitals.keep("reconciling", lead.clone(), work));
    };
    until(Box::pin(drive(
        "MaskingRule",
        world.masking_rules.clone(),
        masking_rules,
        context.clone(),
        pace,
        rule::reconcile::reconcile,
    )));
    until(Box::pin(drive(
        "ApprovalPolicy",
        world.approval_policies.clone(),
        approval_policies,
        context.clone(),
        pace,
        rule::reconcile::reconcile,
    )));
    until(Box::pin(drive(
        "AuditSink",
        world.audit_sinks.clone(),
        audit_sinks,
        context.clone(),
        pace,
        audit_sink::reconcile,
    )));
    until(Box::pin(drive(
        "Connection",
        world.connections.clone(),
        connections,
        context.clone(),
        pace,
        connection::reconcile,
    )));
    until(Box::pin(drive(
        "AccessRequest",
        world.access_requests.clone(),
        access_requests,
        context.clone(),
        prompt,
        access_request::reconcile,
    )));
}

fn spawn_api(args: &Args, credential: &Credential, context: &Arc<Context>, leading: Leading, lead: &CancellationToken) {
    let (address, credential, context, lead) = (args.api_address, credential.clone(), context.clone(), lead.clone());
    tokio::spawn(async move {
        if let Err(error) = api::server::serve(address, &credential, context, leading, lead).await {
            // Without the API no door gets a certificate: better to start over than to look alive.
            tracing::error!(%error, "the API cannot be served");
            std::process::exit(1);
        }
    });
}

/// A change of the admission objects concerns every request that is open, and what Connections say of their guards.
async fn follow_admission(context: &Arc<Context>, vitals: &Vitals, lead: &CancellationToken) -> anyhow::Result<()> {
    let own_name = shipped::own_name(&context.client).await.context(
        "the operator's own name at the API server cannot be asked: is the ClusterRole of this version bound?",
    )?;
    let shipped = Arc::new(Shipped::read(&own_name, &context.settings.image)?);
    let (admission, client) = (context.admission.clone(), context.client.clone());
    let mark = since::open(&client, &context.settings.namespace).await;
    admission.mark(mark.context("since when admission stands")?);
    let noting = since::keep(context.clone(), lead.clone());
    tokio::spawn(vitals.keep("noting since when admission stands", lead.clone(), noting));
    let (context, lead) = (context.clone(), lead.clone());
    let changed = move || {
        context.queues.all_access_requests(&context.world);
        context.queues.all_connections(&context.world);
    };
    tokio::spawn(async move {
        lead.run_until_cancelled(admission.follow(client, shipped, changed))
            .await
    });
    Ok(())
}

/// Other definitions concern everything.
fn follow_schema(context: &Arc<Context>, lead: &CancellationToken) {
    let (schema, client) = (context.schema.clone(), context.client.clone());
    let (context, lead) = (context.clone(), lead.clone());
    let changed = move || {
        let mismatch = context.schema.fault().is_some();
        context.metrics.schema_mismatch.set(i64::from(mismatch));
        context.queues.everything(&context.world);
    };
    tokio::spawn(async move { lead.run_until_cancelled(schema.follow(client, changed)).await });
}

fn spawn_issuers(files: Files, context: &Arc<Context>, issuers: Arc<ArcSwap<Issuers>>, lead: &CancellationToken) {
    let changed = {
        let context = context.clone();
        move |read: &crate::issuers::Read| {
            context
                .metrics
                .issuer_problems
                .set(i64::try_from(read.problems.len()).unwrap_or(i64::MAX));
            context
                .metrics
                .issuer_warnings
                .set(i64::try_from(read.issuers.warnings.len()).unwrap_or(i64::MAX));
            context.queues.everything(&context.world);
        }
    };
    tokio::spawn(files.follow(issuers, changed, lead.clone()));
}

/// The operator's own workload certificate, made in memory and replaced in time.
fn own_credential(keys: &Arc<Keys>, end: &CancellationToken) -> anyhow::Result<Credential> {
    let (certificate, key) = api::certificates::own(&keys.workload)?;
    let credential = Credential::from_pem(
        certificate.as_bytes(),
        key.as_bytes(),
        keys.workload.bundle().as_bytes(),
    )?;
    let (keys, renewed, end) = (keys.clone(), credential.clone(), end.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(api::certificates::OWN_RENEWAL) => {}
            }
            let bundle = keys.workload.bundle().as_bytes();
            let replaced = api::certificates::own(&keys.workload)
                .map_err(anyhow::Error::from)
                .and_then(|(certificate, key)| Ok(renewed.replace(certificate.as_bytes(), key.as_bytes(), bundle)?));
            if let Err(error) = replaced {
                tracing::error!(%error, "the operator's own certificate could not be renewed");
            }
        }
    });
    Ok(credential)
}

/// Alive while every part goes on; ready while the API server answers, whether this process leads or stands by.
fn serve_admin(args: &Args, registry: Registry, heard: &Heard, vitals: &Vitals) -> anyhow::Result<()> {
    let heard = heard.clone();
    let readiness: admin::Probe = Arc::new(move || heard.answers());
    admin::serve(args.admin_address, registry, vitals.probe(), readiness).context("the admin port")?;
    Ok(())
}

fn settings(args: &Args, keys: &Keys) -> anyhow::Result<Settings> {
    let keep: sallyport_crds::Duration = args
        .keep_finished_requests
        .parse()
        .context("--keep-finished-requests")?;
    Ok(Settings {
        namespace: args.namespace.clone(),
        image: args.image.clone(),
        image_pull_policy: args.image_pull_policy.clone(),
        operator_url: format!("https://{}.{}.svc:8443", args.service, args.namespace),
        workload_bundle: keys.workload.bundle().to_owned(),
        permit_key: keys.witness.permit_verifier(),
        witness_key: keys.witness.verifier(),
        carrier_keys: keys.carrier.public_base64(),
        door_bundle: keys.door.bundle().to_owned(),
        cluster_domain: args.cluster_domain.clone(),
        denied_cidrs: args.denied_cidrs.clone(),
        api_server_cidrs: args.api_server_cidrs.clone(),
        keep_finished_seconds: i64::try_from(keep.get().as_secs()).unwrap_or(i64::MAX),
    })
}
