//! The log's key: made by the recorder itself, kept on its volume, seen by nobody else.

use sallyport_audit::note::Signer;

use super::disk::{Disk, put};
use super::error::OpenError;

const KEY: &str = "key.pkcs8";
const ORIGIN: &str = "origin";

/// The key of the log `origin` on this volume; made, durably, before the log's first record.
///
/// A volume whose key is gone is not given another: the log would go on under a key that nobody trusts.
pub(super) fn load_or_make(disk: &dyn Disk, origin: &str) -> Result<Signer, OpenError> {
    match (disk.read(ORIGIN)?, disk.read(KEY)?) {
        (Some(found), _) if found != origin.as_bytes() => Err(OpenError::OtherLog {
            found: String::from_utf8_lossy(&found).into_owned(),
            wanted: origin.to_owned(),
        }),
        (_, Some(key)) => {
            // A crash between the two files left the key alone.
            put(disk, ORIGIN, origin.as_bytes())?;
            Ok(Signer::from_pkcs8(origin, &key)?)
        }
        (Some(_), None) => Err(OpenError::Damaged("the key is missing".to_owned())),
        (None, None) => {
            if !disk.list("wal")?.is_empty() || disk.read("log/checkpoint")?.is_some() {
                return Err(OpenError::Damaged("there are records but no key".to_owned()));
            }
            let (signer, key) = Signer::generate(origin)?;
            put(disk, KEY, &key)?;
            put(disk, ORIGIN, origin.as_bytes())?;
            Ok(signer)
        }
    }
}
