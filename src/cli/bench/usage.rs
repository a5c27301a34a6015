//! What a process has used, as the kernel counts it: CPU time and resident memory, from `/proc`.
//!
//! Looks from outside: the server measured does nothing for it.

use std::fs;
use std::time::Duration;

/// A process whose use is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(u32);

impl Process {
    /// The process with this id.
    pub(super) const fn new(id: u32) -> Self {
        Self(id)
    }

    /// This process.
    pub(super) fn own() -> Self {
        Self(std::process::id())
    }

    /// CPU time in user and system mode; `None` where the kernel does not tell.
    pub(super) fn cpu(self) -> Option<Duration> {
        let ticks = cpu_ticks(&self.file("stat")?)?;
        let per_second = rustix::param::clock_ticks_per_second();
        Some(Duration::from_secs(ticks) / u32::try_from(per_second).ok()?)
    }

    /// Bytes of resident memory; `None` where the kernel does not tell.
    pub(super) fn resident(self) -> Option<u64> {
        resident_bytes(&self.file("status")?)
    }

    fn file(self, name: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.0)).ok()
    }
}

/// The sum of the 14th and 15th field; the second is the program's name in brackets, which may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_whatever_the_program_is_called() {
        let stat = "42 (a) 1 2 (b) S 1 42 42 0 -1 4194560 100 0 0 0 37 5 0 0 20 0 3 0 1234 5678 90";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("42 (a) S 1"), None);
        let status = "Name:\tVmRSS: 1 kB\nVmHWM:\t   12 kB\nVmRSS:\t    2048 kB\nThreads:\t3\n";
        assert_eq!(resident_bytes(status), Some(2 << 20));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
