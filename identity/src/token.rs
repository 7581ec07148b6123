//! One OIDC token: which issuer it names, whether its signature, audience and times hold.

use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use sallyport_audit::Time;
use sallyport_policy::issuer::Issuer;
use serde_json::{Map, Value};

use super::Refused;
use super::claims::{Claims, seconds};

/// The longest token that is looked at: PostgreSQL's own limit for a password message, and more than any provider mints.
pub(super) const MAX_TOKEN: usize = 65_535;
/// How long a token counts beyond its end, or beyond the age that is allowed: clocks differ, and logins take their time.
const LEEWAY: Duration = Duration::from_secs(30);
/// How far an issuer's clock may be ahead of ours. It makes no token live longer: `exp` was counted by the same clock.
const AHEAD: Duration = Duration::from_secs(60);
/// What is ever taken. No symmetric algorithm: whoever knows the public key could mint.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What a token says of itself before anything is verified: enough to choose a key, and nothing more is done with it.
pub(super) struct Unverified<'a> {
    pub(super) raw: &'a str,
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// Read again after the signature was verified.
    pub(super) claims: Claims,
}

// === impl Unverified ===

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::TooLong);
        }
        let raw = std::str::from_utf8(token).map_err(|_| Refused::Malformed)?.trim();
        let mut parts = raw.split('.');
        let (Some(header), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::Malformed);
        };
        let (header, claims) = (object(header)?, object(payload)?);
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Refused::Algorithm)?;
        let algorithm = Algorithm::from_str(algorithm).map_err(|_| Refused::Algorithm)?;
        if !ALGORITHMS.contains(&algorithm) {
            return Err(Refused::Algorithm);
        }
        check_header(&header)?;
        let kid = match header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(Refused::Header)?.to_owned()),
        };
        Ok(Self {
            raw,
            algorithm,
            kid,
            claims,
        })
    }

    /// `iss`, as claimed.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Verifies the signature with one of `keys`, and issuer, audience and end. Gives the claims as signed; [`check_times`] is
    /// still to come.
    pub(super) fn verify(&self, issuer: &Issuer, keys: &[DecodingKey]) -> Result<Claims, Refused> {
        let mut validation = Validation::new(self.algorithm);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        validation.set_issuer(&[&issuer.url]);
        validation.set_audience(&issuer.audiences);
        validation.leeway = LEEWAY.as_secs();
        let mut last = Refused::UnknownKey;
        for key in keys {
            match jsonwebtoken::decode::<Claims>(self.raw, key, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) => last = reason(error.kind()),
            }
            // Another key can only mend a signature; any other fault is the token's own.
            if last != Refused::Signature {
                break;
            }
        }
        Err(last)
    }
}

/// What the door asks of a genuine token beyond what every verifier asks.
pub(super) fn check_claims(
    claims: &Claims,
    issuer: &Issuer,
    api_audiences: &[String],
    max_age: Duration,
    now: Time,
) -> Result<(), Refused> {
    check_api_audience(claims, api_audiences)?;
    check_times(claims, max_age, now)?;
    for (claim, value) in &issuer.required_claims {
        if claims.get(claim).and_then(Value::as_str) != Some(value) {
            return Err(Refused::RequiredValue(claim.clone()));
        }
    }
    Ok(())
}

/// A token that the API server takes as well must not be handed to a door.
pub(super) fn check_api_audience(claims: &Claims, api_audiences: &[String]) -> Result<(), Refused> {
    let is_api = |value: &Value| {
        value
            .as_str()
            .is_some_and(|name| api_audiences.iter().any(|api| api == name))
    };
    let found = match claims.get("aud") {
        Some(Value::Array(many)) => many.iter().any(is_api),
        Some(one) => is_api(one),
        None => false,
    };
    if found { Err(Refused::ApiAudience) } else { Ok(()) }
}

/// `iat` must be there, not in the future and not too long ago; `nbf`, if it is there, not in the future.
pub(super) fn check_times(claims: &Claims, max_age: Duration, now: Time) -> Result<(), Refused> {
    let since = |name: &str| -> Result<i64, Refused> {
        let time = seconds(claims, name).ok_or_else(|| Refused::Claim(name.to_owned()))?;
        Ok(now.unix_micros().div_euclid(1_000_000).saturating_sub(time))
    };
    let limit = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    let age = since("iat")?;
    let valid = if claims.contains_key("nbf") { since("nbf")? } else { age };
    if age.min(valid) < -limit(AHEAD) {
        return Err(Refused::NotYetValid);
    }
    if age > limit(max_age).saturating_add(limit(LEEWAY)) {
        return Err(Refused::TooOld);
    }
    Ok(())
}

fn check_header(header: &Map<String, Value>) -> Result<(), Refused> {
    // RFC 7515, 4.1.11: extensions that are critical and not understood must be refused. We understand none.
    if header.contains_key("crit") {
        return Err(Refused::Header);
    }
    // RFC 8725, 3.11: a logout token or a client's own assertion must not serve as a login.
    match header.get("typ") {
        None => Ok(()),
        Some(typ) => {
            let typ = typ.as_str().ok_or(Refused::Header)?.to_ascii_lowercase();
            let typ = typ.strip_prefix("application/").unwrap_or(&typ);
            if matches!(typ, "jwt" | "at+jwt") {
                Ok(())
            } else {
                Err(Refused::Header)
            }
        }
    }
}

fn object(part: &str) -> Result<Map<String, Value>, Refused> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Refused::Malformed)
}

fn reason(kind: &ErrorKind) -> Refused {
    match kind {
        ErrorKind::InvalidSignature => Refused::Signature,
        ErrorKind::ExpiredSignature => Refused::Expired,
        ErrorKind::InvalidAudience => Refused::Audience,
        ErrorKind::InvalidIssuer => Refused::UnknownIssuer,
        ErrorKind::MissingRequiredClaim(claim) => Refused::Claim(claim.clone()),
        ErrorKind::InvalidClaimFormat(claim) => Refused::Claim(claim.clone()),
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            Refused::Algorithm
        }
        ErrorKind::InvalidRsaKey(_)
        | ErrorKind::InvalidEcdsaKey
        | ErrorKind::InvalidEddsaKey
        | ErrorKind::InvalidKeyFormat => Refused::UnknownKey,
        _ => Refused::Malformed,
    }
}
