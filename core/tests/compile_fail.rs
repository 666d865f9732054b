//! What must not compile: going round the bus, forging what it stamps, and looking into the things
//! of a tenant without having one.
//!
//! After a change of compiler, `TRYBUILD=overwrite cargo test -p genie-core --test compile_fail`
//! writes the expected messages anew; what matters is that each file is refused for its own reason.

use genie_core::Tenant;
use genie_core::governed::Governed;
use genie_core::message::Message;
use genie_core::principal::{Authority, Principal};
use serde::de::DeserializeOwned;

#[test]
fn what_the_bus_stamps_cannot_be_made_nor_a_store_asked_without_a_tenant() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}

/// Two implementations for a type that can be read, one for any other: `unreadable` is ambiguous,
/// and does not compile, for a type that can be read. (A file of its own would show the compiler's
/// list of all types that can, which changes with every dependency.)
trait Unreadable<Marker> {
    fn unreadable() {}
}

impl<T> Unreadable<()> for T {}

struct Readable;

impl<T: DeserializeOwned> Unreadable<Readable> for T {}

#[test]
fn nothing_that_the_bus_stamps_can_be_read_from_a_request() {
    <Principal as Unreadable<_>>::unreadable();
    <Authority as Unreadable<_>>::unreadable();
    <Message as Unreadable<_>>::unreadable();
    <Governed as Unreadable<_>>::unreadable();
    <Tenant as Unreadable<_>>::unreadable();
}
