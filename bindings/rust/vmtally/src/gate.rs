// SPDX-License-Identifier: MIT
//! A segment may be closed while other threads call the library with handles of it: who calls passes this gate, which
//! closing shuts, and then waits for those inside. Without a lock, so that counting stays possible in signal handlers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const SHUT: usize = 1 << (usize::BITS - 1);

#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicUsize);

/// Who is inside.
pub(crate) struct Inside<'a>(&'a Gate);

impl Gate {
    /// None once it is shut.
    #[inline]
    pub fn enter(&self) -> Option<Inside<'_>> {
        // Who comes too late is not counted: shut() would wait for ever for a crowd of them to be all outside at once.
        if self.0.load(Ordering::Relaxed) & SHUT != 0 {
            return None;
        }
        // All is in one variable, whose changes have one order: either this one is before that of shut(), which then
        // waits to see the one of drop() (release, with the acquire in shut()), or it sees SHUT. Acquire: pairs with
        // the release in reopen(); what follows is not done before.
        let before = self.0.fetch_add(1, Ordering::Acquire);
        let inside = Inside(self);
        (before & SHUT == 0).then_some(inside)
    }

    /// Let nobody in any more, and wait for those inside. False where it was shut already; then it does not wait.
    pub fn shut(&self) -> bool {
        let before = self.0.fetch_or(SHUT, Ordering::AcqRel);
        if before & SHUT != 0 {
            return false;
        }
        let mut tries = 0;
        // Acquire: pairs with the release of who leaves.
        while self.0.load(Ordering::Acquire) & !SHUT != 0 {
            tries += 1;
            if tries < 100 {
                thread::yield_now();
            } else {
                thread::sleep(Duration::from_micros(100));
            }
        }
        true
    }

    /// After shut() that was for nothing.
    pub fn reopen(&self) {
        self.0.fetch_and(!SHUT, Ordering::Release);
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0 .0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn nobody_enters_a_shut_gate() {
        let gate = Gate::default();
        assert!(gate.enter().is_some());
        assert!(gate.shut());
        assert!(gate.enter().is_none());
        assert!(!gate.shut(), "only the first one shuts it");
        gate.reopen();
        assert!(gate.enter().is_some());
    }

    /// Else many of them could keep shut() waiting for ever.
    #[test]
    fn who_knocks_at_a_shut_gate_is_not_counted() {
        let gate = Gate::default();
        let stop = AtomicBool::new(false);
        assert!(gate.shut());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        drop(gate.enter());
                    }
                });
            }
            let seen = (0..1_000_000).find(|_| gate.0.load(Ordering::Relaxed) != SHUT);
            stop.store(true, Ordering::Relaxed);
            assert_eq!(seen, None);
        });
    }

    #[test]
    fn shutting_waits_for_those_inside() {
        let gate = Gate::default();
        let left = AtomicBool::new(false);
        let inside = gate.enter().unwrap();
        thread::scope(|scope| {
            let shutting = scope.spawn(|| {
                gate.shut();
                left.load(Ordering::SeqCst)
            });
            while gate.enter().is_some() {
                thread::yield_now();
            }
            left.store(true, Ordering::SeqCst);
            drop(inside);
            assert!(shutting.join().unwrap(), "it was shut while somebody was inside");
        });
    }
}
