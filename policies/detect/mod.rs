//! Detectors over plain text: what it says about people, and what it tries on a model.
//!
//! They know nothing of messages, policies or verdicts: text in, ranges out. What a hit means is
//! decided by the checks that call them.

mod aadhaar;
mod address;
mod card;
mod context;
mod digits;
mod fold;
mod iban;
pub mod injection;
mod pan;
mod phone;
pub mod pii;
