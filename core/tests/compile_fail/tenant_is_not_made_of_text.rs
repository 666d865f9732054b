//! No text becomes a tenant: neither as a literal, nor by a constructor, nor by a conversion.

use genie_core::Tenant;

fn main() {
    let _ = Tenant("acme".into());
    let _ = Tenant::new("acme");
    let _ = Tenant::on_record("acme");
    let _ = Tenant::default();
    let _: Tenant = "acme".into();
}
