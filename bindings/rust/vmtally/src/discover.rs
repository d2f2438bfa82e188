// SPDX-License-Identifier: MIT
//! Finding segments, judging and removing them.

use crate::error::{self, errno, Error, Result};
use crate::reader::{Reader, State};
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

    /// # Safety
    ///
    /// host is NULL or one that is there.
    pub(crate) unsafe fn named(host: *mut sys::vmt_host, dir: Option<&Path>, name: &str) -> Result<Vec<Found>> {
        let context = || format!("look for {name} in {}", places(dir));
        let c_dir = dir.map(|dir| text::to_c(dir, context)).transpose()?;
        let c_name = text::to_c(name, context)?;
        let mut found = ptr::null_mut();
        // SAFETY: all it is given is there.
        let result =
            unsafe { sys::vmt_host_find(host, text::pointer(&c_dir), c_name.as_ptr(), ptr::null(), &mut found) };
        // SAFETY: that is what it gave.
        unsafe { Found::list(result, found, context) }
    }
}

/// All segments in dir, or (None) in `$VMTALLY_DIR`, or where that is not set in /run/vmtally,
/// `$XDG_RUNTIME_DIR/vmtally` and /dev/shm/vmtally-UID; sorted by name. Nothing is opened yet.
///
/// Errors: EACCES, ENOMEM, and what opendir gives for a dir that was named (ENOENT, ...).
pub fn discover(dir: Option<&Path>) -> Result<Vec<Found>> {
    let context = || format!("look for segments in {}", places(dir));
    let c_dir = dir.map(|dir| text::to_c(dir, context)).transpose()?;
    let mut found = ptr::null_mut();
    // SAFETY: all it is given is there.
    let result = unsafe { sys::vmt_discover(text::pointer(&c_dir), &mut found) };
    // SAFETY: that is what it gave.
    unsafe { Found::list(result, found, context) }
}

/// The VMs that this name means, among what [`discover`] finds: those whose file is called so, else those in which that
/// name stands. A file of somebody who [may not give names there](crate::SegmentInfo::is_foreign), or that can't be read,
/// is taken only where there is no other. More than one: all fit equally well.
///
/// Errors: those of [`discover`].
pub fn find(dir: Option<&Path>, name: &str) -> Result<Vec<Found>> {
    // SAFETY: there is no host.
    unsafe { Found::named(ptr::null_mut(), dir, name) }
}

/// Attach to the segment that [`find`] finds in the usual directories. Errors: ENOENT, ENOTUNIQ (several have that name:
/// attach to a path), and those of [`find`] and [`Reader::attach`].
pub fn attach(name: &str) -> Result<Reader> {
    match &find(None, name)?[..] {
        [] => Err(Error::new(errno::ENOENT, format!("attach {name} in {}", places(None)))),
        [one] => one.attach(),
        several => {
            let paths: Vec<_> = several.iter().map(|found| found.path.to_string_lossy()).collect();
            Err(Error::new(
                errno::ENOTUNIQ,
                format!("attach {name}: {}", paths.join(", ")),
            ))
        }
    }
}

/// Where discover() looks, in words.
fn places(dir: Option<&Path>) -> String {
    let c_dir = dir.and_then(|dir| text::to_c(dir, String::new).ok());
    let mut words = [0u8; 4096];
    // SAFETY: all it is given is there.
    unsafe { sys::vmt_discover_places(text::pointer(&c_dir), words.as_mut_ptr().cast(), words.len()) };
    text::of_buffer(&words)
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
    Ok((State::from_raw(state as sys::vmt_state), text::of_buffer(&why)))
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
