// SPDX-License-Identifier: MIT
//! Finding segments, judging and removing them.

use crate::error::{self, errno, Error, Result};
use crate::reader::{Reader, State};
use crate::snapshot::Snapshot;
use crate::text;
use std::path::{Path, PathBuf};
use std::ptr;
use vmtally_sys as sys;

/// One file that may be a segment, or (of a [`Host`](crate::Host)) a process that has VMs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// The VM's name: the file's name without its suffix.
    pub name: String,
}

impl Found {
    /// As [`Reader::attach`].
    pub fn attach(&self) -> Result<Reader> {
        Reader::attach(&self.path)
    }

    /// # Safety
    ///
    /// result and found are what one of the library's functions gave.
    pub(crate) unsafe fn list(
        result: i64,
        found: *mut sys::vmt_found,
        context: impl FnOnce() -> String,
    ) -> Result<Vec<Found>> {
        let count = error::check(result, context)?;
        let list = (0..count as usize).map(|i| {
            // SAFETY: there are so many.
            let one = unsafe { &*found.add(i) };
            // SAFETY: its strings are there until they are freed below.
            unsafe {
                Found {
                    path: text::path_of(one.path).to_owned(),
                    name: text::of(one.name).to_owned(),
                }
            }
        });
        let list = list.collect();
        // SAFETY: it is the caller's, and nothing points into it any more.
        unsafe { sys::vmt_found_free(found, result as _) };
        Ok(list)
    }
}

/// All segments in dir, or (None) in `$VMTALLY_DIR`, or where that is not set in /run/vmtally,
/// `$XDG_RUNTIME_DIR/vmtally` and /dev/shm/vmtally-UID; sorted by name. Nothing is opened yet.
///
/// Errors: EACCES, ENOMEM, and what opendir gives for a dir that was named (ENOENT, ...).
pub fn discover(dir: Option<&Path>) -> Result<Vec<Found>> {
    let context = || match dir {
        Some(dir) => format!("look for segments in {}", dir.display()),
        None => "look for segments".into(),
    };
    let c_dir = dir.map(|dir| text::to_c(dir, context)).transpose()?;
    let mut found = ptr::null_mut();
    // SAFETY: all it is given is there.
    let result = unsafe { sys::vmt_discover(text::pointer(&c_dir), &mut found) };
    // SAFETY: that is what it gave.
    unsafe { Found::list(result, found, context) }
}

/// Attach to the segment of this name in the usual directories: by the file's name, else by the name that stands in it.
/// A file of somebody who [may not give names there](crate::SegmentInfo::is_foreign) is taken only where there is no
/// other. Errors: ENOENT, ENOTUNIQ (several have that name: attach to a path), and those of [`discover`] and
/// [`Reader::attach`].
pub fn attach(name: &str) -> Result<Reader> {
    let (named, others): (Vec<Found>, Vec<Found>) = discover(None)?.into_iter().partition(|found| found.name == name);
    let mut chosen = sure(&named, name);
    if chosen.is_empty() {
        chosen = sure(&others, name);
    }
    if chosen.is_empty() {
        chosen = named.iter().collect();
    }
    match chosen[..] {
        [] => Err(Error::new(errno::ENOENT, format!("attach {name} in {}", places()))),
        [one] => one.attach(),
        _ => {
            let paths: Vec<_> = chosen.iter().map(|found| found.path.to_string_lossy()).collect();
            Err(Error::new(
                errno::ENOTUNIQ,
                format!("attach {name}: {}", paths.join(", ")),
            ))
        }
    }
}

/// Those that are called so for sure. A file that was set aside (NAME~1.vmt) says a name that is another's by now.
fn sure<'a>(found: &'a [Found], name: &str) -> Vec<&'a Found> {
    let aside = |found: &Found| {
        let number = found.name.rsplit_once('~').map(|(_, number)| number);
        number.map_or(false, |number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let is_sure = |found: &&Found| {
        let snapshot = found.attach().and_then(|mut reader| Snapshot::of(&mut reader));
        snapshot.map_or(false, |snapshot| {
            let info = snapshot.segment();
            !info.is_foreign() && (found.name == name || (info.name() == name && !aside(found)))
        })
    };
    found.iter().filter(is_sure).collect()
}

/// Where discover() looks, in words.
fn places() -> String {
    std::env::var("VMTALLY_DIR")
        .ok()
        .filter(|dir| !dir.is_empty())
        .unwrap_or_else(|| "/run/vmtally, $XDG_RUNTIME_DIR/vmtally and /dev/shm/vmtally-UID".into())
}

/// The verdict on one file, every block of it looked at, and in one line what is wrong ("" if nothing). Takes 0.6 s
/// where a change is under way. Errors: those of [`Reader::attach`] where there is no segment to judge.
pub fn check(path: impl AsRef<Path>) -> Result<(State, String)> {
    let path = path.as_ref();
    let context = || format!("check {}", path.display());
    let c_path = text::to_c(path, context)?;
    let mut why = [0u8; 512];
    // SAFETY: all it is given is there.
    let result = unsafe { sys::vmt_check(c_path.as_ptr(), why.as_mut_ptr().cast(), why.len()) };
    let state = error::check(result, context)?;
    let why = String::from_utf8_lossy(why.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned();
    Ok((State::from_raw(state as sys::vmt_state), why))
}

/// Remove the segment file at path if its writer is gone. Errors, where it is left alone: EBUSY (somebody writes it),
/// ENODATA (it may be about to become a segment), EMEDIUMTYPE (not a segment), EBADMSG and EPROTONOSUPPORT (not ours to
/// judge), EAGAIN (replaced meanwhile), and what open and unlink give.
pub fn remove_dead(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let context = || format!("remove {}", path.display());
    let c_path = text::to_c(path, context)?;
    // SAFETY: it is there.
    error::check(unsafe { sys::vmt_remove_dead(c_path.as_ptr(), 0) }, context).map(drop)
}
