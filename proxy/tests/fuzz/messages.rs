//! What clients send, and what stands in messages of either side.

use sallyport_proxy::postgres::frame::{self, Body};
use sallyport_proxy::postgres::unit::{Collector, Found};
use sallyport_proxy::postgres::{auth, call, errors, judge, message, oauthbearer, startup};

use super::dice::Dice;
use super::{ROUNDS, corpus, fuzz};

/// The units of a stream that arrives in pieces, or the error at which it ends.
fn units(stream: &[u8], dice: &mut Dice) -> (Vec<String>, bool) {
    let (mut buffer, mut collector, mut found) = (Vec::new(), Collector::default(), Vec::new());
    let mut rest = stream;
    loop {
        loop {
            match collector.next(&buffer) {
                Err(_) => return (found, true),
                Ok(None) => break,
                Ok(Some(unit)) => {
                    assert!(!unit.is_empty() && unit.len() <= buffer.len());
                    if let Found::Pipeline(heads, _) = &unit {
                        let _ = judge::sent(&buffer[..unit.len()], heads);
                    }
                    found.push(format!("{unit:?}"));
                    buffer.drain(..unit.len());
                }
            }
        }
        if rest.is_empty() {
            return (found, false);
        }
        let n = 1 + dice.below(rest.len());
        buffer.extend_from_slice(&rest[..n]);
        rest = &rest[n..];
    }
}

#[test]
fn frames_and_units() {
    fuzz("client", ROUNDS, &corpus::of("client"), |bytes, dice| {
        let (one, other) = (units(bytes, dice), units(bytes, dice));
        assert_eq!(one, other, "units do not depend on how bytes arrive");
    });
}

#[test]
fn bodies_of_messages() {
    let messages = corpus::of("client");
    let bodies = messages.iter().filter_map(|message| message.get(frame::HEADER..));
    let mut seeds: Vec<Vec<u8>> = bodies.map(<[u8]>::to_vec).collect();
    seeds.extend(corpus::of("bodies"));
    fuzz("bodies", ROUNDS, &seeds, |bytes, _| {
        let body = Body::new(bytes);
        let _ = (
            message::query(body).is_ok(),
            message::parse(body).is_ok(),
            message::bind(body).is_ok(),
            message::function_call(body).is_ok_and(|called| call::unit(&called).is_some()),
        );
        let _ = (
            message::named(body).is_ok(),
            message::execute(body).is_ok(),
            message::ready(body).is_ok(),
        );
        let _ = (
            message::row_description(body).is_ok(),
            message::parameter_status(body).is_ok(),
        );
        let _ = (message::key_data(body).is_ok(), message::notification(body).is_ok());
        let _ = (
            message::command_complete(body).is_ok(),
            message::copy_response(body).is_ok(),
        );
        let _ = (
            message::parameter_description(body).is_ok(),
            errors::fields(body).is_ok(),
        );
        let _ = (
            auth::password(body).is_ok(),
            oauthbearer::initial(body).is_ok(),
            oauthbearer::acknowledged(body).is_ok(),
        );
        let _ = (
            frame::head(bytes, frame::client_cap).is_ok(),
            frame::head(bytes, frame::stream_cap).is_ok(),
        );
    });
}

#[test]
fn startup_packets() {
    fuzz("startup", ROUNDS, &corpus::of("startup"), |bytes, _| {
        drop(startup::read(bytes))
    });
}
