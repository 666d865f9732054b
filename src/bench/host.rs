//! What the operating system says of processes; Linux only, absent elsewhere.

/// One mebibyte.
pub(super) const MIB: f64 = 1_048_576.0;

/// Resident memory in bytes.
pub(super) fn resident_bytes() -> Option<f64> {
    status("self", "VmRSS:")
}

/// The most resident memory that this process ever had, in bytes.
pub(super) fn resident_peak_bytes() -> Option<f64> {
    status("self", "VmHWM:")
}

/// Resident memory of another process, in bytes.
pub(super) fn resident_bytes_of(process: u32) -> Option<f64> {
    status(&process.to_string(), "VmRSS:")
}

fn status(process: &str, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024.0)
}
