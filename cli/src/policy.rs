//! Policies without running anything: what would a command get (`explain`), do manifests say what their authors mean
//! (`test`), what would other manifests have said to what people really ran (`simulate`).
//!
//! Reading order: `manifests` (objects, from files or a cluster, compiled as the door compiles them), `target` (what names seem to
//! mean), `judge` (one text, judged), then the three commands.

pub mod explain;
mod judge;
mod manifests;
pub mod simulate;
mod target;
pub mod test;
