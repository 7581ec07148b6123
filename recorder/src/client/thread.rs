//! One thread for all ways to recorders of a process.

use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle};

static THREAD: Mutex<Option<Handle>> = Mutex::new(None);

/// A runtime with one thread of its own, started at the first call: what goes to a recorder and comes back passes through
/// several tasks, and on one thread none of them has to wake another thread for the next.
///
/// # Errors
/// When the system gives no thread.
pub fn thread() -> io::Result<Handle> {
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*thread {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("evidence".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(thread.insert(handle).clone())
}
