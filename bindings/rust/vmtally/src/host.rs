// SPDX-License-Identifier: MIT
//! All VMs of this host, and what the kernel counts of them.

use crate::discover::Found;
use crate::error::{check, Result};
use crate::reader::{sealed, Attached, Attachment, ReaderOptions, State};
use crate::sample::Sample;
use crate::text;
use std::cell::Cell;
use std::ffi::CString;
use std::fmt;
use std::marker::PhantomData;
use std::mem::size_of;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use vmtally_sys as sys;

/// How to look at the host.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    proc: Option<PathBuf>,
    debugfs: Option<PathBuf>,
    pid: u32,
    once: bool,
}

impl HostOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the proc file system is; else /proc.
    pub fn proc(mut self, proc: impl AsRef<Path>) -> Self {
        self.proc = Some(proc.as_ref().to_owned());
        self
    }

    /// Where debugfs is; else /sys/kernel/debug.
    pub fn debugfs(mut self, debugfs: impl AsRef<Path>) -> Self {
        self.debugfs = Some(debugfs.as_ref().to_owned());
        self
    }

    /// This process only.
    pub fn pid(mut self, pid: u32) -> Self {
        self.pid = pid;
        self
    }

    /// It is looked at once only; nothing of another process is held open after that.
    pub fn once(mut self, once: bool) -> Self {
        self.once = once;
        self
    }

    /// Errors: EINVAL, ENOMEM.
    pub fn open(&self) -> Result<Host> {
        let context = || "look at the host".to_owned();
        let c = |path: &Option<PathBuf>| path.as_deref().map(|path| text::to_c(path, context)).transpose();
        let (proc, debugfs): (Option<CString>, Option<CString>) = (c(&self.proc)?, c(&self.debugfs)?);
        let options = sys::vmt_host_options {
            struct_size: size_of::<sys::vmt_host_options>(),
            proc: text::pointer(&proc),
            debugfs: text::pointer(&debugfs),
            pid: self.pid,
            once: self.once.into(),
        };
        let mut raw = ptr::null_mut();
        // SAFETY: all it is given is there.
        check(unsafe { sys::vmt_host_new(&options, &mut raw) }, context)?;
        // SAFETY: it was just made.
        Ok(Host {
            raw: unsafe { NonNull::new_unchecked(raw) },
            one_thread: PhantomData,
        })
    }
}

/// All VMs of this host, whether their VMM embeds vmtally or has never heard of it: segments, and beside or instead of
/// them what the kernel counts (provider `kvm`). An open statistics fd keeps a VM alive: [`Host::drop_ended`], or the
/// next look, closes those whose process has ended.
///
/// ```no_run
/// # fn main() -> vmtally::Result<()> {
/// let host = vmtally::Host::new()?;
/// let mut snapshot = vmtally::Snapshot::new()?;
/// host.look()?; // again before each round of snapshots
/// for found in host.discover(None)? {
///     snapshot.take(&mut host.attach(&found.path)?)?;
///     println!("{}: {} sources", found.name, snapshot.len());
/// }
/// # Ok(())
/// # }
/// ```
///
/// One thread at a time uses it and all readers opened with it.
pub struct Host {
    raw: NonNull<sys::vmt_host>,
    one_thread: PhantomData<Cell<()>>,
}

// SAFETY: one thread at a time; while a reader borrows it it stays where it is.
unsafe impl Send for Host {}

impl Host {
    /// With the default options. Looks at nothing yet.
    pub fn new() -> Result<Host> {
        HostOptions::new().open()
    }

    /// Find what is new, let go of what has gone, and read all that the kernel counts. What can't be read is left out:
    /// see [`Host::trouble`]. Errors: ENOMEM, EALREADY (a second look with [`HostOptions::once`]).
    pub fn look(&self) -> Result<()> {
        // SAFETY: it is there.
        check(unsafe { sys::vmt_host_look(self.raw.as_ptr()) }, || {
            "look at the host".into()
        })
        .map(drop)
    }

    /// Close the statistics fds of processes that have ended.
    pub fn drop_ended(&self) {
        // SAFETY: as above.
        unsafe { sys::vmt_host_drop(self.raw.as_ptr()) };
    }

    /// As [`discover`](crate::discover()), and the processes that have VMs but no segment there: their path is
    /// /proc/PID, their name QEMU's -name, Firecracker's --id, else the command.
    pub fn discover(&self, dir: Option<&Path>) -> Result<Vec<Found>> {
        let context = || "look for VMs".to_owned();
        let c_dir = dir.map(|dir| text::to_c(dir, context)).transpose()?;
        let mut found = ptr::null_mut();
        // SAFETY: all it is given is there.
        let result = unsafe { sys::vmt_host_discover(self.raw.as_ptr(), text::pointer(&c_dir), &mut found) };
        // SAFETY: that is what it gave.
        unsafe { Found::list(result, found, context) }
    }

    /// As [`find`](crate::find()), and of the processes that have VMs but no segment there those of that name; a number
    /// is a pid, where no segment is called so.
    pub fn find(&self, dir: Option<&Path>, name: &str) -> Result<Vec<Found>> {
        // SAFETY: it is there.
        unsafe { Found::named(self.raw.as_ptr(), dir, name) }
    }

    /// As [`Reader::attach`](crate::Reader::attach), also to /proc/PID; snapshots have what the kernel had counted at
    /// the newest look. Errors also: ESRCH (no such process has a VM).
    pub fn attach(&self, path: impl AsRef<Path>) -> Result<HostReader<'_>> {
        self.attach_with(path, &ReaderOptions::new())
    }

    /// The same with options.
    pub fn attach_with(&self, path: impl AsRef<Path>, options: &ReaderOptions) -> Result<HostReader<'_>> {
        let path = path.as_ref();
        let context = || format!("attach {}", path.display());
        let c_path = text::to_c(path, context)?;
        let mut raw = ptr::null_mut();
        // SAFETY: all it is given is there.
        let result = unsafe { sys::vmt_reader_open_host(self.raw.as_ptr(), c_path.as_ptr(), &options.raw(), &mut raw) };
        check(result, context)?;
        // SAFETY: it was just opened.
        Ok(HostReader {
            attachment: unsafe { Attachment::new(raw, None) },
            host: PhantomData,
        })
    }

    /// What could not be read at the newest look, of the VM at path or (None) of all, in one line for people with what
    /// to do; "" if nothing.
    pub fn trouble(&self, path: Option<&Path>) -> String {
        let c_path = path.and_then(|path| text::to_c(path, String::new).ok());
        let mut line = [0u8; 512];
        // SAFETY: all it is given is there.
        unsafe {
            sys::vmt_host_trouble(
                self.raw.as_ptr(),
                text::pointer(&c_path),
                line.as_mut_ptr().cast(),
                line.len(),
            )
        };
        text::of_buffer(&line)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: this is its one handle, and no reader borrows it.
        unsafe { sys::vmt_host_free(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// A reader of a [`Host`]: of a segment with what the kernel counts beside, or of a process. It stays on the host's
/// thread.
pub struct HostReader<'h> {
    attachment: Attachment,
    host: PhantomData<&'h Host>,
}

impl HostReader<'_> {
    /// A segment's file, or /proc/PID.
    pub fn path(&self) -> &Path {
        self.attachment.path()
    }

    /// As [`Reader::state`](crate::Reader::state).
    pub fn state(&mut self) -> State {
        self.attachment.state()
    }

    /// As [`Reader::sample`](crate::Reader::sample).
    pub fn sample(&mut self, sample: &Sample<'_>, values: &mut [u64]) -> Result<bool> {
        self.attachment.sample(sample, values)
    }
}

impl sealed::Sealed for HostReader<'_> {
    fn attachment(&mut self) -> &mut Attachment {
        &mut self.attachment
    }
}

impl Attached for HostReader<'_> {}

impl fmt::Debug for HostReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostReader").field(&self.path()).finish()
    }
}
