//! A small identity provider: its two documents over https, and one long-lived token of `alice`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::process::{Background, done, free_address, listening};
use super::stage::certify;

/// The audience of the doors.
pub(super) const AUDIENCE: &str = "sallyport";

/// A provider that answers.
pub(super) struct Issuer {
    pub(super) url: String,
    home: PathBuf,
    _process: Background,
}

// === impl Issuer ===

impl Issuer {
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let home = directory.join("issuer");
        fs::create_dir_all(home.join(".well-known"))?;
        certify(directory, &home.join("server"))?;
        let address = free_address()?;
        let url = format!("https://localhost:{}", address.port());
        done(
            Command::new("openssl")
                .args(["genrsa", "-out"])
                .arg(home.join("signing.key"))
                .arg("2048"),
        )?;
        let key = json!({
            "kty": "RSA", "kid": "bench", "use": "sig", "alg": "RS256", "n": base64url(&modulus(&home)?), "e": "AQAB",
        });
        let discovery = json!({ "issuer": url, "jwks_uri": format!("{url}/certs") });
        fs::write(home.join(".well-known/openid-configuration"), response(&discovery))?;
        fs::write(home.join("certs"), response(&json!({ "keys": [key] })))?;
        let log = directory.join("issuer.log");
        // It serves files as they are, heads included.
        let mut serve = Command::new("openssl");
        serve
            .current_dir(&home)
            .args(["s_server", "-HTTP", "-quiet", "-accept", &address.to_string()])
            .args(["-cert", "server.crt", "-key", "server.key"]);
        let process = Background::start(&mut serve, &log)?;
        listening(address, "the issuer", &log)?;
        Ok(Self {
            url,
            home,
            _process: process,
        })
    }

    /// A token of `alice`, an engineer, good for a day.
    pub(super) fn token(&self) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "iss": self.url, "sub": "alice-1", "aud": [AUDIENCE], "iat": now, "nbf": now, "exp": now + 86_400,
            "auth_time": now, "jti": "bench", "preferred_username": "alice", "groups": ["engineers"],
        });
        let head = json!({ "alg": "RS256", "typ": "JWT", "kid": "bench" });
        let signed = [&head, &claims]
            .map(|part| base64url(part.to_string().as_bytes()))
            .join(".");
        let (text, signature) = (self.home.join("signed"), self.home.join("signature"));
        fs::write(&text, &signed)?;
        let mut sign = Command::new("openssl");
        sign.args(["dgst", "-sha256", "-sign"])
            .arg(self.home.join("signing.key"))
            .arg("-out")
            .arg(&signature)
            .arg(&text);
        done(&mut sign)?;
        Ok(format!("{signed}.{}", base64url(&fs::read(signature)?)))
    }
}

fn response(body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn modulus(home: &Path) -> Result<Vec<u8>> {
    let said = done(
        Command::new("openssl")
            .args(["rsa", "-noout", "-modulus", "-in"])
            .arg(home.join("signing.key")),
    )?;
    let hex = said
        .trim()
        .strip_prefix("Modulus=")
        .context("openssl gave no modulus")?;
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.context("openssl gave no modulus")?;
    let pair = |pair: &[u32]| u8::try_from(pair.iter().fold(0, |sum, digit| sum * 16 + digit));
    Ok(digits.chunks(2).map(pair).collect::<Result<_, _>>()?)
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
