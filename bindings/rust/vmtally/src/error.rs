// SPDX-License-Identifier: MIT
//! Errors: an errno, and what was being done to which segment or source.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// What the calls of this crate give.
pub type Result<T> = std::result::Result<T, Error>;

/// Linux's numbers, of those that are told apart here.
pub(crate) mod errno {
    pub const ENOENT: i32 = 2;
    pub const EIO: i32 = 5;
    pub const ENOMEM: i32 = 12;
    pub const EACCES: i32 = 13;
    pub const EPERM: i32 = 1;
    pub const EBUSY: i32 = 16;
    pub const EEXIST: i32 = 17;
    pub const ENODEV: i32 = 19;
    pub const EINVAL: i32 = 22;
    pub const ENFILE: i32 = 23;
    pub const EFBIG: i32 = 27;
    pub const ENOSPC: i32 = 28;
    pub const ECHILD: i32 = 10;
    pub const ENAMETOOLONG: i32 = 36;
    pub const ELOOP: i32 = 40;
    pub const ENODATA: i32 = 61;
    pub const EBADMSG: i32 = 74;
    pub const EPROTONOSUPPORT: i32 = 93;
    pub const ENOTSUP: i32 = 95;
    pub const EALREADY: i32 = 114;
    pub const ESTALE: i32 = 116;
    pub const EDQUOT: i32 = 122;
    pub const ENOTUNIQ: i32 = 76;
    pub const EXDEV: i32 = 18;
    pub const EISDIR: i32 = 21;
    pub const EMEDIUMTYPE: i32 = 124;
}

/// What went wrong, for who has to decide what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such file, directory or source.
    NotFound,
    /// Not allowed.
    PermissionDenied,
    /// The name or id is taken, or was attached already.
    AlreadyExists,
    /// A name, option or argument that makes no sense, or is too long.
    InvalidInput,
    /// The file begins with other bytes than a segment.
    NotASegment,
    /// The file is empty or not yet published: try again soon.
    NotPublished,
    /// The bytes contradict themselves, or the file shrank.
    Damaged,
    /// Written by a version, or in a byte order, that this one can't read.
    OtherVersion,
    /// The segment is closed (or was handed over).
    Closed,
    /// The call makes no sense in a child of fork().
    Forked,
    /// The source has gone meanwhile.
    Gone,
    /// No room: entries, file system, quota, limit of file sizes or memory.
    NoRoom,
    /// Somebody has it in use.
    Busy,
    /// Several have that name.
    Ambiguous,
    /// Where it is, or as it is, that can't be done.
    NotSupported,
    /// Any other: see [`Error::errno`].
    Other,
}

/// An error. Its text names the segment or source: `attach /run/vmtally/web-1.vmt: not a segment`. [`fmt::Debug`] shows
/// the same reason, for a `main` that returns one.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    errno: i32,
    context: String,
    /// What went wrong, where that is known better than by the number.
    why: Option<Cow<'static, str>>,
}

impl Error {
    pub(crate) fn new(errno: i32, context: impl Into<String>) -> Self {
        Error {
            errno,
            context: context.into(),
            why: None,
        }
    }

    /// It with this for its reason.
    pub(crate) fn because(self, why: impl Into<Cow<'static, str>>) -> Self {
        Error {
            why: Some(why.into()),
            ..self
        }
    }

    /// The errno value of the C library, positive.
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// What was being done, to what.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        use errno::*;
        match self.errno {
            ENOENT => ErrorKind::NotFound,
            EACCES | EPERM => ErrorKind::PermissionDenied,
            EEXIST | EALREADY => ErrorKind::AlreadyExists,
            EINVAL | ENAMETOOLONG => ErrorKind::InvalidInput,
            EMEDIUMTYPE => ErrorKind::NotASegment,
            ENODATA => ErrorKind::NotPublished,
            EBADMSG => ErrorKind::Damaged,
            EPROTONOSUPPORT => ErrorKind::OtherVersion,
            ENODEV => ErrorKind::Closed,
            ECHILD => ErrorKind::Forked,
            ESTALE => ErrorKind::Gone,
            ENFILE | ENOSPC | EDQUOT | EFBIG | ENOMEM => ErrorKind::NoRoom,
            EBUSY => ErrorKind::Busy,
            ENOTUNIQ => ErrorKind::Ambiguous,
            ENOTSUP | ELOOP => ErrorKind::NotSupported,
            _ => ErrorKind::Other,
        }
    }

    /// What the number means for what was being done, and what to do; by the first word of the context.
    fn advice(&self) -> Option<&'static str> {
        use errno::*;
        let doing = self.context.split(' ').next()?;
        Some(match (doing, self.errno) {
            ("create", EINVAL) => {
                "a name is 1 to 63 of [A-Za-z0-9._:@+-] without a '.' first, a label \"key=value\"; or max_bytes or \
                 fixed_bytes have no room for max_sources, or are beyond all limits; or two options exclude each other"
            }
            ("create", ENAMETOOLONG) => {
                "too long: a name has at most 63 bytes, all labels together less than 1 KiB, a path less than 4 KiB"
            }
            ("create", EEXIST) => "another process writes it (choose another name), or the file is not empty",
            ("create", ENOTSUP) => "not on a memory file system (tmpfs): choose another directory",
            ("add", EINVAL | ENAMETOOLONG) => "an id is 1 to 47 printable characters without '/' and space",
            ("add", EEXIST) => "its parent has one of that id",
            ("add", ENFILE) => "the segment is full: create it with more max_sources",
            ("add", ELOOP) => "sources are at most 8 levels deep",
            ("attach" | "check", ELOOP) => "a symbolic link: name the segment file itself",
            ("attach" | "check", EINVAL | EISDIR) => "not a regular file",
            ("attach" | "check", ENOTSUP) => "on a file system where reading may hang: segments belong on a tmpfs",
            ("attach" | "check", EXDEV) => "something is mounted over it",
            ("attach", ENOTUNIQ) => "several VMs have this name: attach to a path",
            _ => return None,
        })
    }

    /// In words.
    pub(crate) fn reason(&self) -> Cow<'_, str> {
        if let Some(why) = &self.why {
            return Cow::Borrowed(why);
        }
        if let Some(advice) = self.advice() {
            return advice.into();
        }
        match self.kind() {
            ErrorKind::NotASegment => "not a segment".into(),
            ErrorKind::NotPublished => "empty, or not yet a segment".into(),
            ErrorKind::Damaged => "damaged: check() says where".into(),
            ErrorKind::OtherVersion => "of a version or byte order that can't be read".into(),
            ErrorKind::Closed => "the segment is closed".into(),
            ErrorKind::Forked => "not in a child of fork()".into(),
            ErrorKind::Gone => "has gone".into(),
            _ => io::Error::from_raw_os_error(self.errno).to_string().into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.context, self.reason())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("context", &self.context)
            .field("reason", &self.reason())
            .field("kind", &self.kind())
            .field("errno", &self.errno)
            .finish()
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    /// The same kind, with the [`Error`] inside.
    fn from(error: Error) -> io::Error {
        io::Error::new(io::Error::from_raw_os_error(error.errno).kind(), error)
    }
}

/// What a C function returned, which is a count or a negative errno.
pub(crate) fn check(result: impl Into<i64>, context: impl FnOnce() -> String) -> Result<i64> {
    let result = result.into();
    if result < 0 {
        Err(Error::new(-result as i32, context()))
    } else {
        Ok(result)
    }
}
