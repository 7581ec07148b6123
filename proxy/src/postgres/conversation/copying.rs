//! COPY from the client: its data goes to the target as it is, counted and hashed.

use sallyport_audit::record::EndCause;

use super::{Conversation, Over};
use crate::postgres::frame::{self, Body, client_cap};
use crate::postgres::wire::FLUSH_AT;

impl Conversation {
    /// Passes on what has arrived of a COPY from the client.
    pub(super) fn copy_from_client(&mut self) -> Result<(), Over> {
        while self.state.copy_in.as_ref().is_some_and(|copy| copy.open) && self.target.pending() < FLUSH_AT {
            let whole = self.client.whole(client_cap).map_err(|_| Over::client_broke())?;
            let Some((head, bytes)) = whole else { return Ok(()) };
            let Some(copy) = self.state.copy_in.as_mut() else {
                return Ok(());
            };
            match head.tag {
                b'd' => {
                    copy.tally.add(Body::of(bytes).rest());
                    self.target.out.extend_from_slice(bytes);
                }
                b'c' | b'f' => {
                    copy.open = false;
                    self.target.out.extend_from_slice(bytes);
                    if copy.extended {
                        // The target answers only when it is asked to, and the client's Sync is yet to come.
                        frame::put(&mut self.target.out, b'H', |_| {});
                    }
                }
                // PostgreSQL ignores them here, for clients that sent them before they knew that this is a COPY.
                b'H' | b'S' => {}
                b'X' => return Err(Over::quietly(EndCause::ClientClosed)),
                _ => return Err(Over::client_broke()),
            }
            self.client.consume(head.len);
        }
        Ok(())
    }
}
