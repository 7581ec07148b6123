//! The log as those see it who write to it, on a volume in memory.

mod crash;
mod damage;
mod fence;
mod first;
mod gone;
mod kept;
mod records;
mod room;
mod syncs;

use super::*;
use crate::testing::{
    MemoryDisk, Pen, block_on, checked, command, config, door, end, kinds, open, read, start, wait_for,
};

fn submit(log: &Log, leaf: &[u8]) -> Result<Receipt, LogError> {
    log.append(checked(leaf), None).blocking_recv().unwrap()
}

fn close(log: &Log) {
    block_on(log.close("test"));
}

fn standing(log: &Log, pen: &Pen, echo: Option<Head>) -> Result<Standing, LogError> {
    let (connection, pod) = (
        pen.origin.connection.as_deref().cloned().unwrap(),
        (*pen.origin.pod).clone(),
    );
    block_on(log.attach(pen.origin.instance.clone(), connection, pod, echo, None))
}
