//! How much memory this process may use: the base of the limits that are shares of it.
//!
//! It reads what the kernel says once, at the start, and guesses low where the kernel says nothing.

/// Bytes of memory that the process may use: the cgroup's limit where it has one, else the machine's memory.
pub fn memory_limit() -> usize {
    /// What is assumed where nothing can be read.
    const FALLBACK: usize = 1 << 30;
    let cgroup = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<usize>().ok());
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib * 1024)
    });
    match (cgroup, machine) {
        (Some(cgroup), Some(machine)) => cgroup.min(machine),
        (Some(bytes), None) | (None, Some(bytes)) => bytes,
        (None, None) => FALLBACK,
    }
}
