//! Tokens of people, and what the operator signs.

use sallyport_audit::Time;
use sallyport_policy::carrier;
use sallyport_proxy::door::Verifier;
use sallyport_proxy::identity::{Identities, Pace};

use super::common::door::Given;
use super::{ROUNDS, corpus, fuzz};

#[test]
fn tokens_and_carriers() {
    sallyport_runtime::crypto::install();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let identities = Identities::new(runtime.handle().clone(), None, Pace::default());
    let mut seeds = corpus::of("tokens");
    seeds.push(serde_json::to_vec(&Given::cases().carrier(1, 1)).unwrap());
    fuzz("tokens", ROUNDS, &seeds, |bytes, _| {
        let verified = runtime.block_on(identities.verify(bytes, Time::now()));
        assert!(verified.is_err(), "nobody's token is taken");
        assert!(
            carrier::verify(bytes, &[vec![7; 32]]).is_err(),
            "nobody's carrier is taken"
        );
    });
}
