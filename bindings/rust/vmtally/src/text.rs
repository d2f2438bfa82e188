// SPDX-License-Identifier: MIT
//! Strings of the C library.

use crate::error::{errno, Error, Result};
use std::ffi::{CStr, CString, OsStr};
use std::os::raw::c_char;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A string that the library has made fit to show; "" for NULL.
///
/// # Safety
///
/// s is NULL or a C string that is there, and does not change, for 'a.
pub(crate) unsafe fn of<'a>(s: *const c_char) -> &'a str {
    if s.is_null() {
        return "";
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(s) }.to_str().unwrap_or("\u{fffd}")
}

/// The same of a path, which may have any bytes.
///
/// # Safety
///
/// As of().
pub(crate) unsafe fn path_of<'a>(s: *const c_char) -> &'a Path {
    let bytes = if s.is_null() {
        &[]
    } else {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(s) }.to_bytes()
    };
    Path::new(OsStr::from_bytes(bytes))
}

/// What the library wrote into a buffer, up to its NUL.
pub(crate) fn of_buffer(buffer: &[u8]) -> String {
    String::from_utf8_lossy(buffer.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

/// For the library. EINVAL where it has a NUL inside.
pub(crate) fn to_c(s: impl AsRef<OsStr>, context: impl FnOnce() -> String) -> Result<CString> {
    CString::new(s.as_ref().as_bytes())
        .map_err(|_| Error::new(errno::EINVAL, context()).because("a NUL inside of a string"))
}

/// NULL, or its pointer.
pub(crate) fn pointer(s: &Option<CString>) -> *const c_char {
    s.as_ref().map_or(std::ptr::null(), |s| s.as_ptr())
}
