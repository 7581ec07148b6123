//! The operator's own program against a real API server, under its own ServiceAccount and all of admission. There is no
//! kubelet: Pods never run, so Connections have no replicas unless a scene is about children alone.

#![expect(
    clippy::indexing_slicing,
    reason = "JSON that is not as expected fails the test, as it should"
)]

mod askers;
mod deleting;
mod events;
mod guards;
mod issuers;
mod leading;
mod many;
mod namesakes;
mod orders;
mod requests;
mod scenes;
mod stage;
mod volumes;

use anyhow::Result;
use stage::Stage;

/// One life of an installation, scene after scene: a server costs seconds to start.
#[test]
fn a_life_of_an_installation() -> Result<()> {
    let mut stage = Stage::open()?;
    namesakes::a_log_was_seen(&stage)?;
    stage.start("operator-1")?;
    scenes::what_is_applied_is_made(&stage)?;
    scenes::applying_again_changes_nothing(&stage)?;
    scenes::a_restart_writes_nothing(&mut stage)?;
    scenes::losing_a_rule_closes(&stage)?;
    scenes::a_part_that_is_refused_is_said(&stage)?;
    namesakes::a_rule_of_another_namespace_selects_nobody(&stage)?;
    namesakes::a_log_has_ended_whose_sink_is_gone(&stage)?;
    issuers::none_but_the_admins_count(&stage)?;
    scenes::a_bad_object_stops_no_other(&stage)?;
    askers::a_question_ends_with_its_asker(&stage)?;
    scenes::a_rule_that_does_not_compile_closes_what_it_selects(&stage)?;
    scenes::older_definitions_hold_what_was_accepted(&stage)?;
    volumes::a_volume_grows_by_its_claim(&stage)?;
    volumes::a_volume_that_goes_with_its_claim_is_told(&stage)?;
    scenes::an_api_server_that_was_away_is_seen_again(&mut stage)?;
    leading::another_leads_when_the_first_is_stopped(&mut stage)?;
    requests::a_request_outlives_its_operators(&mut stage)?;
    requests::what_was_asked_before_admission_changed_is_over(&stage)?;
    requests::a_status_that_was_rewritten_is_no_witness(&mut stage)?;
    guards::a_guard_that_is_weakened_is_noticed(&stage)?;
    deleting::a_namespace_that_is_withdrawn_keeps_evidence_alone(&stage)?;
    deleting::deleting_leaves_nothing_but_evidence(&stage)?;
    namesakes::a_sink_that_is_made_again_has_a_log_of_its_own(&stage)?;
    deleting::in_any_order(&stage)?;
    orders::that_nobody_means(&mut stage)?;
    guards::without_admission_nothing_is_approved(&mut stage)
}

/// `SALLYPORT_CONNECTIONS=1000` makes a bench of it, as `make bench` does: the figures are printed, none is asserted.
#[test]
fn many_connections() -> Result<()> {
    let count = std::env::var("SALLYPORT_CONNECTIONS").map_or(Ok(40), |text| text.parse())?;
    many::many_connections(count)
}
