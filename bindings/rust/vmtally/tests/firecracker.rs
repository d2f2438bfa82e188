// SPDX-License-Identifier: MIT
//! The example in the shape of Firecracker's metrics writes Firecracker's lines.
#![cfg(feature = "export")]

mod common;

use common::Directory;
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Beside the tests, where cargo has built it.
fn example() -> PathBuf {
    let mut path = env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.join("examples/firecracker")
}

fn lines() -> Vec<String> {
    let dir = Directory::new();
    let output = Command::new(example())
        .env("VMTALLY_DIR", dir.path())
        .output()
        .expect("cargo builds the examples with all tests");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "its segment is gone");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// A group of a line: what is between its braces. None: there is none.
fn group<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("\"{name}\":{{");
    let inside = &line[line.find(&start)? + start.len()..];
    let mut depth = 1;
    let end = inside.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    Some(&inside[..end.expect("braces are closed")])
}

/// A number of a group, as "name" or "latency/name".
fn metric(line: &str, in_group: &str, name: &str) -> u64 {
    let found = group(line, in_group).unwrap_or_else(|| panic!("no group {in_group} in {line}"));
    let (found, name) = match name.split_once('/') {
        Some((latency, name)) => (
            group(found, latency).unwrap_or_else(|| panic!("no {latency} in {found}")),
            name,
        ),
        None => (found, name),
    };
    let start = format!("\"{name}\":");
    let at = found.find(&start).unwrap_or_else(|| panic!("no {name} in {found}")) + start.len();
    found[at..].split(',').next().unwrap().parse().unwrap()
}

#[test]
fn the_example_writes_firecrackers_lines() {
    let lines = lines();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert!(
            line.starts_with("{\"utc_timestamp_ms\":") && line.ends_with('}'),
            "{line}"
        );
        for name in [
            "api_server",
            "balloon",
            "block",
            "i8042",
            "latencies_us",
            "net",
            "seccomp",
            "vcpu",
            "vsock",
        ] {
            assert!(
                group(line, name).is_some(),
                "all of Firecracker's groups are in it: {name}"
            );
        }
    }
    let sum = |group, name| lines.iter().map(|line| metric(line, group, name)).sum::<u64>();

    // Stored metrics are as they are, counters what was counted since the line before.
    assert!(lines
        .iter()
        .all(|line| metric(line, "api_server", "process_startup_time_us") > 0));
    assert_eq!(metric(&lines[0], "vcpu", "exit_io_out"), 0);
    assert_eq!(metric(&lines[1], "vcpu", "exit_io_out"), 150);
    assert_eq!(metric(&lines[2], "vcpu", "exit_io_out"), 0);
    assert_eq!(sum("get_api_requests", "instance_info_count"), 1);

    // Signals, counted in their handlers.
    let signals = |name| {
        lines
            .iter()
            .map(|line| metric(line, "signals", name))
            .collect::<Vec<_>>()
    };
    assert_eq!(signals("sigpipe"), [0, 1, 0]);
    assert_eq!(signals("sighup"), [0, 0, 1]);

    // Devices each for themselves and together, one that is unplugged with them.
    assert_eq!(metric(&lines[1], "block_rootfs", "read_count"), 150);
    assert_eq!(metric(&lines[1], "block_rootfs", "queue_event_count"), 150);
    assert_eq!(metric(&lines[1], "block_scratch", "write_bytes"), 100);
    assert_eq!(metric(&lines[1], "block", "write_bytes"), 150 * 512 + 100);
    assert_eq!(group(&lines[2], "block_scratch"), None);
    assert_eq!(metric(&lines[2], "block", "write_bytes"), 11);
    assert_eq!(metric(&lines[2], "block_rootfs", "no_avail_buffer"), 1);
    assert_eq!(sum("block", "invalid_reqs_count"), 1);
    let (min, max) = (
        metric(&lines[1], "vcpu", "exit_mmio_write_agg/min_us"),
        metric(&lines[1], "vcpu", "exit_mmio_write_agg/max_us"),
    );
    assert!(
        min <= max && metric(&lines[1], "vcpu", "exit_mmio_write_agg/sum_us") >= max,
        "{min} to {max}"
    );
}
