// SPDX-License-Identifier: MIT
//! A directory in memory for the segments of one test, and reading them.
#![allow(dead_code)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use vmtally::{Reader, Segment, SegmentBuilder, Snapshot};

/// Longer than any machine takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // In the one that whoever runs the tests removes, should they be killed.
        let parent = env::var_os("VMTALLY_DIR").map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
        let dir = parent.join(format!("vmtally-test-rust.{}.{number}", process::id()));
        fs::create_dir(&dir).unwrap();
        Directory(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn builder(&self) -> SegmentBuilder {
        Segment::builder().name("test-1").dir(&self.0).max_bytes(4 << 20)
    }

    pub fn segment(&self) -> Segment {
        self.builder().create().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// As another process would see it.
pub fn snapshot(segment: &Segment) -> Snapshot {
    Snapshot::of(&mut Reader::attach(segment.path()).unwrap()).unwrap()
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}
