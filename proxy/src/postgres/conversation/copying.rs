//! COPY from the client: its data goes to the target as it is, counted and hashed.

use sallyport_audit::record::EndCause;

use super::{Conversation, Over};
use crate::postgres::frame::{self, HEADER, copy_cap};
use crate::postgres::wire::FLUSH_AT;

impl Conversation {
    /// Passes on what has arrived of a COPY from the client. Its data is framed anew, piece by piece, so that no message is
    /// ever held, and none stands half sent when the target ends the COPY.
    pub(super) fn copy_from_client(&mut self) -> Result<(), Over> {
        while self.state.copy_in.as_ref().is_some_and(|copy| copy.open) && self.target.pending() < FLUSH_AT {
            if self.copy_rest > 0 {
                if !self.pass_copy_data() {
                    return Ok(());
                }
                continue;
            }
            let head = frame::head(self.client.arrived(), copy_cap).map_err(Over::client_broke)?;
            let Some(head) = head else { return Ok(()) };
            if head.tag == b'd' {
                self.client.consume(HEADER);
                self.copy_rest = head.len - HEADER;
                continue;
            }
            let Some(bytes) = self.client.arrived().get(..head.len) else {
                return Ok(());
            };
            let Some(copy) = self.state.copy_in.as_mut() else {
                return Ok(());
            };
            match head.tag {
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
                tag => return Err(Over::client_broke(frame::FrameError::Tag(tag))),
            }
            self.client.consume(head.len);
        }
        Ok(())
    }

    /// A piece of the CopyData that is under way; `false` while none of it is there.
    fn pass_copy_data(&mut self) -> bool {
        let Some(copy) = self.state.copy_in.as_mut() else {
            return false;
        };
        let arrived = self.client.arrived();
        let piece = arrived.get(..self.copy_rest.min(arrived.len())).unwrap_or_default();
        let done = piece.len();
        if done == 0 {
            return false;
        }
        copy.tally.add(piece);
        frame::put(&mut self.target.out, b'd', |out| out.extend_from_slice(piece));
        self.client.consume(done);
        self.copy_rest -= done;
        true
    }

    /// Throws away what is left of a CopyData whose COPY the target has ended.
    pub(super) fn drop_copy_rest(&mut self) {
        let done = self.copy_rest.min(self.client.arrived().len());
        self.client.consume(done);
        self.copy_rest -= done;
    }
}
