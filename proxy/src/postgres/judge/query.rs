//! A Query string: all of its statements, judged whole.

use sallyport_policy::decide::DeniedBy;

use super::understand::reject;
use super::unfold::Unfolding;
use super::{Act, Context, Plan, Step, understand};
use crate::command::Kind;
use crate::postgres::frame::Head;
use crate::postgres::names::{Names, Stated};
use crate::postgres::script::Text;

/// Understands a Query string. Names that its statements change are known to the later ones, until
/// [`Names::settle`].
pub fn query(context: &Context<'_>, names: &mut Names, head: Head, text: &Text) -> Plan {
    let mut plan = Plan::default();
    let mut parts = Vec::new();
    let mut unfolding = Unfolding::default();
    let uncounted = text.script.uncounted();
    for index in 0..text.script.statements.len() {
        let stated = Stated {
            text: text.text.clone(),
            script: text.script.clone(),
            index,
        };
        let mut understood = understand(&unfolding.context(context), names, &stated, &[], &unfolding);
        unfolding.add(context, &understood);
        if let Some(change) = &understood.change {
            names.expect(change.clone());
        }
        let mut asked = std::mem::take(&mut understood.asked);
        if let Some(words) = uncounted {
            reject(&mut asked, Kind::Denied, DeniedBy::Limit, words.to_owned());
        }
        plan.asked.push(asked);
        parts.push(understood);
    }
    let command = (!plan.asked.is_empty()).then_some(0);
    plan.steps.push(Step {
        head,
        command,
        act: Act::Query(parts),
    });
    plan
}
