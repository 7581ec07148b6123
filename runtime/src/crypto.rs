//! The one cryptographic provider of a process.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// Installs aws-lc-rs as the provider of the process. Safe to call more than once; the first call counts, and every program
/// makes it in the first lines of `main`, before a library can ask for a default.
pub fn install() {
    // An error only means that a provider stands already, which can be no other: only aws-lc-rs is compiled in.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The provider, for configurations that name it instead of asking for the process's default.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .clone()
}
