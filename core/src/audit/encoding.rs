//! Numbers and hashes as checkpoints and receipts write them; each has exactly one spelling.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::journal::chain::Hash;

/// Bytes as padded base64 (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes behind padded base64 without spare bits.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The hash behind 44 base64 characters.
pub(super) fn hash_from_base64(text: &str) -> Option<Hash> {
    from_base64(text)?.try_into().ok().map(Hash)
}

/// The number behind decimal digits without sign or leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}
