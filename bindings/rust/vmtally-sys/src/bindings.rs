// SPDX-License-Identifier: MIT
//! What the public headers declare, \<vmtally/export.h> aside. Made by bindings/generate.py: don't edit.

use std::os::raw::{c_char, c_int, c_long, c_uint, c_void};

pub const VMT_NAME_SIZE: u32 = 48;
pub const VMT_TYPE_MASK: u32 = 15;
pub const VMT_TYPE_CUMULATIVE: u32 = 0;
pub const VMT_TYPE_INSTANT: u32 = 1;
pub const VMT_TYPE_PEAK: u32 = 2;
pub const VMT_TYPE_LINEAR_HIST: u32 = 3;
pub const VMT_TYPE_LOG_HIST: u32 = 4;
pub const VMT_TYPE_MAX: u32 = 4;
pub const VMT_UNIT_MASK: u32 = 240;
pub const VMT_UNIT_NONE: u32 = 0;
pub const VMT_UNIT_BYTES: u32 = 16;
pub const VMT_UNIT_SECONDS: u32 = 32;
pub const VMT_UNIT_CYCLES: u32 = 48;
pub const VMT_UNIT_BOOLEAN: u32 = 64;
pub const VMT_UNIT_MAX: u32 = 64;
pub const VMT_BASE_MASK: u32 = 3840;
pub const VMT_BASE_POW10: u32 = 0;
pub const VMT_BASE_POW2: u32 = 256;
pub const VMT_BASE_MAX: u32 = 256;
pub const VMT_AGGREGATION_MASK: u32 = 251658240;
pub const VMT_AGGREGATION_TYPE: u32 = 0;
pub const VMT_AGGREGATION_SUM: u32 = 16777216;
pub const VMT_AGGREGATION_MIN: u32 = 33554432;
pub const VMT_AGGREGATION_MAX: u32 = 50331648;
pub const VMT_AGGREGATION_AVERAGE: u32 = 67108864;
pub const VMT_AGGREGATION_COUNT_ZERO: u32 = 83886080;
pub const VMT_AGGREGATION_LAST: u32 = 83886080;
pub const VMT_SIGNED: u32 = 268435456;
pub const VMT_SLOTS_MAX: u32 = 4096;
pub const VMT_DESCRIPTORS_MAX: u32 = 1024;
pub const VMT_SCHEMAS_MAX: u32 = 256;
pub const VMT_DEPTH_MAX: u32 = 8;
pub const VMT_HELP_MAX: u32 = 1024;
pub const VMT_SOURCES_MAX: u32 = 1048576;
pub const VMT_FLAGS_NONE: u32 = 0;
pub const VMT_FLAGS_BYTES: u32 = 272;
pub const VMT_FLAGS_KIBIBYTES: u32 = 272;
pub const VMT_FLAGS_MEBIBYTES: u32 = 272;
pub const VMT_FLAGS_SECONDS: u32 = 32;
pub const VMT_FLAGS_MILLISECONDS: u32 = 32;
pub const VMT_FLAGS_MICROSECONDS: u32 = 32;
pub const VMT_FLAGS_NANOSECONDS: u32 = 32;
pub const VMT_FLAGS_CYCLES: u32 = 48;
pub const VMT_FLAGS_BOOL: u32 = 64;
pub const VMT_EXPONENT_NONE: i16 = 0;
pub const VMT_EXPONENT_BYTES: i16 = 0;
pub const VMT_EXPONENT_KIBIBYTES: i16 = 10;
pub const VMT_EXPONENT_MEBIBYTES: i16 = 20;
pub const VMT_EXPONENT_SECONDS: i16 = 0;
pub const VMT_EXPONENT_MILLISECONDS: i16 = -3;
pub const VMT_EXPONENT_MICROSECONDS: i16 = -6;
pub const VMT_EXPONENT_NANOSECONDS: i16 = -9;
pub const VMT_EXPONENT_CYCLES: i16 = 0;
pub const VMT_EXPONENT_BOOL: i16 = 0;
pub const VMT_SAMPLE_LEAVING: u32 = 1;
pub const VMT_SAMPLE_UNCONFIRMED: u32 = 2;
pub const VMT_SAMPLE_TORN: u32 = 4;
pub const VMT_SAMPLE_ABSENT: u32 = 8;
pub const VMT_ENTRY_KERNEL: u32 = 2147483648;
pub const VMT_SNAPSHOT_PARTIAL: u32 = 1;
pub const VMT_SNAPSHOT_UNLINKED: u32 = 2;
pub const VMT_SNAPSHOT_MAPPED: u32 = 4;
pub const VMT_SNAPSHOT_FOREIGN: u32 = 8;
pub const VMT_SNAPSHOT_SET_ASIDE: u32 = 16;
pub const VMT_FROM_SEGMENT: u32 = 1;
pub const VMT_FROM_FDS: u32 = 2;
pub const VMT_FROM_DEBUGFS: u32 = 4;
pub const VMT_FROM_COPIES: u32 = 8;
pub const VMT_TITLE_SIZE: u32 = 320;
pub const VMT_CHANGE_NEW: u32 = 1;
pub const VMT_CHANGE_RESET: u32 = 2;
pub const VMT_HOST_TROUBLE_DENIED: u32 = 1;
pub const VMT_HOST_TROUBLE_NO_DEBUGFS: u32 = 2;
pub const VMT_HOST_TROUBLE_DEBUGFS_DENIED: u32 = 4;
pub const VMT_HOST_TROUBLE_NAMESPACE: u32 = 8;
/// struct kvm_stats_header: 24 bytes, at the start of a statistics file and of a schema block.
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vmt_kvm_header {
    /// 0
    pub flags: u32,
    pub name_size: u32,
    pub num_desc: u32,
    pub id_offset: u32,
    pub desc_offset: u32,
    pub data_offset: u32,
}

/// struct kvm_stats_desc with its name: 16 + VMT_NAME_SIZE bytes.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_kvm_desc {
    pub flags: u32,
    pub exponent: i16,
    /// how many u64
    pub size: u16,
    /// bytes from data_offset
    pub offset: u32,
    /// width of a bucket, linear histograms only
    pub bucket_size: u32,
    pub name: [c_char; 48usize],
}

impl Default for vmt_kvm_desc {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

pub const VMT_LEVEL_INFO: vmt_level = 0;
pub const VMT_LEVEL_DIAGNOSTIC: vmt_level = 1;
pub const VMT_LEVEL_DEBUG: vmt_level = 2;
/// How much a statistic matters to someone who looks (Varnish's levels).
pub type vmt_level = c_uint;
/// its lock is held
pub const VMT_STATE_LIVE: vmt_state = 0;
/// it said goodbye
pub const VMT_STATE_CLOSED: vmt_state = 1;
/// the kernel dropped its lock, and it had not said goodbye
pub const VMT_STATE_DIED: vmt_state = 2;
/// as above, while sources or schemas were being changed
pub const VMT_STATE_DIED_MID_CHANGE: vmt_state = 3;
/// its lock is held, but its heartbeat is overdue or a change does not end
pub const VMT_STATE_STALLED: vmt_state = 4;
/// the bytes contradict themselves, or the file shrank
pub const VMT_STATE_DAMAGED: vmt_state = 5;
/// written by a version that this one can't read
pub const VMT_STATE_OTHER_VERSION: vmt_state = 6;
pub const VMT_STATE_COUNT: vmt_state = 7;
/// What the writer of a segment is doing, as far as can be told (promise 11).
pub type vmt_state = c_uint;
/// One statistic. On the writer's side static data; on the reader's parsed from a segment and checked.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_descriptor {
    /// shorter than VMT_NAME_SIZE; printable ASCII without space
    pub name: *const c_char,
    /// UTF-8, one line, shorter than VMT_HELP_MAX; "" where there is none
    pub help: *const c_char,
    /// VMT_TYPE_ | VMT_UNIT_ | VMT_BASE_ | VMT_AGGREGATION_ | VMT_SIGNED
    pub flags: u32,
    /// its first slot
    pub slot: u32,
    /// of a linear histogram, else 0
    pub bucket_size: u32,
    /// value \* base^exponent is in the unit; >= 0, for seconds <= 0
    pub exponent: i16,
    /// slots: 1, or the buckets of a histogram
    pub size: u16,
    /// not 0: changes together with the others of the schema that have this number
    pub group: u16,
    /// not 0: 1 + index of the descriptor from which this one is subtracted to give a level;
    /// a reader sums this one first, so the difference is never below 0
    pub minuend: u16,
    /// enum vmt_level
    pub level: u8,
    pub reserved: [u8; 3usize],
}

impl Default for vmt_descriptor {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

/// A schema. Immutable.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_schema {
    /// shorter than 24, as the two below
    pub name: *const c_char,
    /// who counts: "vmm", "kvm", ...
    pub provider: *const c_char,
    /// what kind of thing is counted: "vm", "vcpu", "block", ...
    pub target: *const c_char,
    pub descriptors: *const vmt_descriptor,
    /// of descriptors
    pub count: u32,
    /// of values; the descriptors cover 0 .. slots-1 densely, in order
    pub slots: u32,
}

impl Default for vmt_schema {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    /// The descriptor of that name, or NULL. Any thread.
    pub fn vmt_schema_find(schema: *const vmt_schema, name: *const c_char) -> *const vmt_descriptor;

    /// Bounds of bucket i of a histogram, in the descriptor's unit: \*low <= value < \*high (<= for the last, open bucket,
    /// whose \*high is UINT64_MAX). i < d->size. KVM's rules: linear min(value / bucket_size, size-1), logarithmic
    /// min(fls64(value), size-1), that is {0} {1} \[2,4) \[4,8) ... Any thread.
    pub fn vmt_bucket_bounds(d: *const vmt_descriptor, i: u32, low: *mut u64, high: *mut u64);

    /// The quantile q (0 to 1) of a histogram whose d->size buckets are at buckets: a bound \*low <= quantile <= \*high.
    /// Returns 0, or -ENODATA where nothing was recorded. Any thread.
    pub fn vmt_quantile(d: *const vmt_descriptor, buckets: *const u64, q: f64, low: *mut u64, high: *mut u64) -> c_int;
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_source {
    _unused: [u8; 0],
}

/// The values of one source as written by one execution context. Lives in the segment.
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vmt_shard {
    pub header_: [u64; 16usize],
    /// as many as the schema has slots
    pub value_: [u64; 1usize],
}

extern "C" {
    /// Private memory that any number of threads may count into; nobody reads it. A static initialiser.
    pub static mut vmt_scratch: [u64; 4112usize];

    /// CLOCK_MONOTONIC in nanoseconds.
    pub fn vmt_clock_ns() -> u64;
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_timer {
    pub shard: *mut vmt_shard,
    pub slot: u32,
    pub buckets: u32,
    pub start_ns: u64,
}

impl Default for vmt_timer {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    /// A rare event, from any thread and any signal handler at any time: one locked add into the source's shared shard.
    /// source may be NULL (nothing is counted). Never mixed with vmt_add on one shard. source must not be removed yet.
    pub fn vmt_count(source: *mut vmt_source, slot: u32, n: u64);

    /// Add n to a cumulative slot, or (n may be negative, as uint64_t) to an instant that is a sum.
    pub fn vmt_add_ext(sh: *mut vmt_shard, slot: u32, n: u64);

    /// Set an instant. Where several shards of a source set the same slot, readers show the sum.
    pub fn vmt_set_ext(sh: *mut vmt_shard, slot: u32, value: u64);

    /// Raise a peak to value, if that is higher. Unsigned.
    pub fn vmt_peak_ext(sh: *mut vmt_shard, slot: u32, value: u64);

    /// Lower a minimum to value, if that is lower. Unsigned.
    pub fn vmt_minimum_ext(sh: *mut vmt_shard, slot: u32, value: u64);

    /// The same for slots declared signed.
    pub fn vmt_peak_signed_ext(sh: *mut vmt_shard, slot: u32, value: i64);

    pub fn vmt_minimum_signed_ext(sh: *mut vmt_shard, slot: u32, value: i64);

    /// Count value in a logarithmic histogram of that many buckets at slot. buckets > 0.
    pub fn vmt_record_log_ext(sh: *mut vmt_shard, slot: u32, buckets: u32, value: u64);

    /// Count value in a linear histogram. buckets > 0, bucket_size > 0.
    pub fn vmt_record_linear_ext(sh: *mut vmt_shard, slot: u32, buckets: u32, bucket_size: u32, value: u64);

    /// What changes between these two is seen by readers all or not at all, or flagged. Two plain adds. May nest in
    /// signal handlers. Nothing in between may leave by return, longjmp, exception or cancellation.
    pub fn vmt_begin_ext(sh: *mut vmt_shard);

    pub fn vmt_end_ext(sh: *mut vmt_shard);

    /// One latency of value (nanoseconds, if the schema says so) into the five statistics of a LATENCY row, as a group.
    pub fn vmt_latency_ext(sh: *mut vmt_shard, slot: u32, buckets: u32, value: u64);
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_segment {
    _unused: [u8; 0],
}

/// How to create a segment. All zeros but struct_size is a good choice.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_segment_options {
    /// sizeof(struct vmt_segment_options)
    pub struct_size: usize,
    /// the VM's name, 1 to 63 of \[A-Za-z0-9._:@+-], no '.' first; NULL: program name and pid
    pub name: *const c_char,
    /// where; NULL: $VMTALLY_DIR, else /run/vmtally where it may be written (as all that follow,
    /// a memory file system), else $XDG_RUNTIME_DIR/vmtally, else /dev/shm/vmtally-UID
    pub dir: *const c_char,
    /// an existing empty file, used in place: neither renamed nor unlinked
    pub path: *const c_char,
    /// \> 0: the same, already open O_RDWR (one handed over with .name, and .dir: as if made by
    /// name); the caller's to close: not before
    /// vmt_segment_close(), unless fixed_bytes is set; and first thing in a child of fork(),
    /// which holds the writer's lock as long as it has it
    pub fd: c_int,
    /// at most; 0: 16384, or what fixed_bytes leaves room for
    pub max_sources: u32,
    /// the file's size at most, and address space reserved; 0: 256 MiB; halved while it is
    /// not to be had
    pub max_bytes: u64,
    /// not 0: jail mode. All memory is allocated and mapped now; later calls but
    /// vmt_segment_close() and those of kvm.h make no system call but private futex wait and
    /// wake; vmtally(3) has them all.
    pub fixed_bytes: u64,
    /// "key=value" strings, NULL-terminated; NULL: none
    pub labels: *const *const c_char,
    /// not 0: vmt_segment_heartbeat() will be called at least this often
    pub heartbeat_interval_ns: u64,
    /// of the file, 0: 0640
    pub mode: u32,
    /// not 0: vmt_segment_close() leaves the file, for vmtally gc to remove
    pub keep: u32,
    /// not 0: allow other than tmpfs, ramfs and memfd (writeback stalls counting)
    pub any_filesystem: u32,
    /// not 0: go on in the segment of this name, or at .path or .fd, that an earlier
    /// writer left: vmt_segment_ready() tells how
    pub resume: u32,
    /// filled with one line that says why what was found could not be gone on with, "" if
    /// it could or there was nothing; NULL: don't
    pub why: *mut c_char,
    pub why_size: usize,
}

impl Default for vmt_segment_options {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    /// Create a segment, or with .resume go on in one; this process is its one writer until vmt_segment_close(). \*ret is the
    /// caller's.
    /// 0; -EINVAL (name, option, label), -EBADF (.fd below 0), -EEXIST (a live writer has that name, or path is not empty, or
    /// what was found can't be set aside), -ENAMETOOLONG, -ENOTSUP (not a memory file system), -ENOSPC, -EFBIG (RLIMIT_FSIZE),
    /// -ENOMEM, or what open, fcntl and mmap give. Nothing is left behind on failure.
    /// Without .resume a file of the same name whose writer is gone is replaced. With it, the file found is checked as if an
    /// enemy had written it; .fixed_bytes must be as it was (0 or not), the sizes are those it was made with, if .max_bytes,
    /// .fixed_bytes and .max_sources (or their defaults) allow as much. What can't be gone on with (damaged, larger, of another version) is
    /// left as it is: by .name it is renamed to NAME~1.vmt (to NAME~9.vmt, then -EEXIST) and a new segment is made, also
    /// where it is another user's, or others may write it; by .path and .fd it is refused: -EMEDIUMTYPE (not a segment),
    /// -EBADMSG, -EPROTONOSUPPORT, or -EBUSY (a reader keeps a lock on it).
    pub fn vmt_segment_create(options: *const vmt_segment_options, ret: *mut *mut vmt_segment) -> c_int;

    /// Say goodbye: readers see "closed". Sources need not be removed before. The file made for .name is unlinked, unless
    /// .keep. Shards still held stay valid, as private memory. NULL is allowed.
    pub fn vmt_segment_close(segment: *mut vmt_segment);

    /// After a restart: all sources of this VMM have been added. With .resume, what an earlier writer left is found again by
    /// adding it: vmt_source_add() with equal id, parent and schema (but for help texts) goes on with that source, its
    /// counts and its shards (with another schema it is removed, and made anew). Until it is added again it is shown to
    /// readers as it was, and vmt_source_find() does not know it. This call removes all that was not added again: their
    /// parents keep what they had counted. NULL is allowed; without .resume there is nothing to do.
    pub fn vmt_segment_ready(segment: *mut vmt_segment);

    /// Stop being the writer without saying goodbye, for another program to go on at once with .fd and .resume: by exec, or
    /// sent over a socket (SCM_RIGHTS). Readers see it live all the while. Stop counting first: from here on what is counted
    /// reaches nobody. All of its sources are gone, and the handle is good for vmt_segment_close() only, which then does
    /// nothing; shards still held stay valid, as private memory.
    /// Returns a descriptor without O_CLOEXEC, the caller's, that keeps the writer's lock (give it to one only); -ENODEV,
    /// -ECHILD, -EMFILE, -EBADF (the .fd has been closed): then nothing has changed.
    pub fn vmt_segment_hand_over(segment: *mut vmt_segment) -> c_int;

    /// The file's path ("" for .fd) and the VM's name; valid until close. NULL gives "".
    pub fn vmt_segment_path(segment: *const vmt_segment) -> *const c_char;

    pub fn vmt_segment_name(segment: *const vmt_segment) -> *const c_char;

    /// Tell readers that the VMM's own loop turns: one plain store of the time. NULL is allowed. Any thread.
    pub fn vmt_segment_heartbeat(segment: *mut vmt_segment);

    /// What the child's fork handler does, for children made without it (raw clone, _Fork): first thing in the child.
    pub fn vmt_child_after_fork();

    /// Source 0, the segment itself: parent of all that have no other. Never removed. NULL gives NULL.
    pub fn vmt_segment_root(segment: *mut vmt_segment) -> *mut vmt_source;

    /// Add a source called id (1 to 47 bytes, printable ASCII, no '/' or space) under parent (NULL: source 0). Its full id
    /// is its parents' ids and its own, joined with '/'. The schema is copied into the segment at its first use; it must
    /// stay valid as long as the segment. \*ret is valid until vmt_source_remove().
    /// 0; -ENODEV (segment NULL), -EINVAL (id, schema), -EEXIST (the parent has a live child of this id), -ENAMETOOLONG,
    /// -ENFILE (max_sources), -ENOSPC (file system or fixed_bytes), -EDQUOT, -EFBIG, -ENOMEM, -ELOOP (deeper than
    /// VMT_DEPTH_MAX), -ESTALE (parent is being removed). Where there was no room it is counted in source 0's
    /// dropped_sources.
    pub fn vmt_source_add(
        segment: *mut vmt_segment,
        schema: *const vmt_schema,
        parent: *mut vmt_source,
        id: *const c_char,
        ret: *mut *mut vmt_source,
    ) -> c_int;

    pub fn vmt_source_addf(
        segment: *mut vmt_segment,
        schema: *const vmt_schema,
        parent: *mut vmt_source,
        ret: *mut *mut vmt_source,
        format: *const c_char,
        ...
    ) -> c_int;

    /// Remove a source: its parent keeps what it had counted. The handle is gone. While shards of it are held or it has
    /// children it is leaving: still counted, folded into its parent by the last release or removal; its id may be added
    /// again at once. NULL is allowed.
    pub fn vmt_source_remove(source: *mut vmt_source);

    /// The live source with this full id. 0, -ENODEV, -ENOENT, -ECHILD. The walk is under RCU; \*ret stays valid as long as
    /// nobody removes it. Any thread.
    pub fn vmt_source_find(segment: *mut vmt_segment, id: *const c_char, ret: *mut *mut vmt_source) -> c_int;

    /// A shard of source, for one execution context at a time (a thread, a queued job, a guest machine, whoever holds a
    /// lock L). Handing it to another context needs no call: order it by whatever hands the work over. Never NULL: where
    /// there is no memory, or source is NULL, it is private scratch memory, and source 0's dropped_shards counts it.
    /// It goes on from where its last owner stopped; its memory is placed on the caller's NUMA node when it is new (not in
    /// jail mode).
    pub fn vmt_shard_acquire(source: *mut vmt_source) -> *mut vmt_shard;

    /// The same, for the calling thread only: when the thread ends without vmt_shard_release() (which then only it may
    /// call), the kernel says so and the next acquire takes the shard over. In jail mode the same as vmt_shard_acquire().
    pub fn vmt_shard_acquire_thread(source: *mut vmt_source) -> *mut vmt_shard;

    /// n shards at once, one for each context that will touch source: shards\[i] for context i.
    pub fn vmt_shards_acquire(source: *mut vmt_source, n: usize, shards: *mut *mut vmt_shard);

    /// Give a shard back, from any thread, once its writer has stopped. The next acquire may have it at once. Instants that
    /// are sums become 0. Once for each acquire: scratch memory is freed. VMT_SCRATCH and NULL are allowed. The array form
    /// sets each to VMT_SCRATCH.
    pub fn vmt_shard_release(shard: *mut vmt_shard);

    pub fn vmt_shards_release(n: usize, shards: *mut *mut vmt_shard);

    /// Once for each VM and vCPU. kvm_fd: what KVM_CREATE_VM or KVM_CREATE_VCPU gave; it stays the caller's. source: what
    /// the VMM counts that VM or vCPU in. Opens KVM's statistics fd (KVM_GET_STATS_FD, Linux 5.14) and publishes its
    /// number in the segment, as the child "kvm-fd" of source: a reader that may (ptrace(2), PTRACE_MODE_ATTACH)
    /// duplicates it and reads the kernel's counters itself. That costs this process nothing. The fd is closed by
    /// vmt_source_remove() of source, by vmt_segment_close() and vmt_segment_hand_over(), which then need no other call,
    /// and first thing in a child of fork(). A vCPU must not be in KVM_RUN meanwhile: KVM would wait for it, this call for
    /// KVM, and a fork() for this call. 0; -ENODEV (source NULL), -EINVAL (no KVM fd of source's kind; source is of
    /// neither target "vm" nor "vcpu"), -ENOTTY (KVM is too old), -EEXIST (source has one, or a child "kvm-fd"), -EMFILE,
    /// -EIO (another process's VM), and what vmt_source_add() gives. In jail mode call it before the system calls are
    /// limited: what was added once may be removed and added again in there, with ioctl(KVM_GET_STATS_FD), fcntl(F_SETFD),
    /// pread and close.
    pub fn vmt_kvm_add(source: *mut vmt_source, kvm_fd: c_int) -> c_int;

    /// Copy what the kernel counts now into the segment, for readers without that permission: the child "kvm" of each
    /// source of vmt_kvm_add(), with the kernel's own schema. Of all of them; the first call adds those children, and from
    /// then on vmt_kvm_add() does so. One pread each. For VMMs that have a timer of their own.
    /// A copy's counts never fall, and nothing is counted twice: what is added is what the kernel counted since the last
    /// time. So a source that is removed leaves its copy's counts to its parent, and a vCPU that is added again goes on
    /// from there; and after a restart (.resume) a new VM's counts come on top of what the earlier writer's copy had, if
    /// the first call comes before vmt_segment_ready(). What can't be read any more stays as it was. segment may be NULL.
    /// 0, -ENODEV, -ECHILD, and what vmt_source_add() gives for the first that failed.
    pub fn vmt_kvm_sample(segment: *mut vmt_segment) -> c_int;

    /// The same now, and every interval_ns (at least 1 ms) by a thread that the library starts for it, until
    /// vmt_segment_close(), vmt_segment_hand_over(), or this call with 0, which end it; then copies stay as they are. The
    /// thread blocks all signals; a child of fork() has none. segment may be NULL. 0; -EINVAL, -ENODEV, -ECHILD, -ENOTSUP
    /// (jail mode: call vmt_kvm_sample() yourself), what pthread_create gives.
    pub fn vmt_kvm_sample_every(segment: *mut vmt_segment, interval_ns: u64) -> c_int;
}

pub const VMT_SEGMENT_DROPPED_SOURCES: u32 = 0;
pub const VMT_SEGMENT_DROPPED_SHARDS: u32 = 1;
pub const VMT_SEGMENT_SOURCES_ADDED: u32 = 2;
pub const VMT_SEGMENT_SOURCES_REMOVED: u32 = 3;
pub const VMT_SEGMENT_SHARDS_CREATED: u32 = 4;
pub const VMT_SEGMENT_SHARDS_TORN: u32 = 5;
pub const VMT_SEGMENT_SLOTS: u32 = 6;
extern "C" {
    pub static vmt_schema_segment: vmt_schema;
}

pub const VMT_VM_VCPUS: u32 = 0;
pub const VMT_VM_MEMORY_BYTES: u32 = 1;
pub const VMT_VM_PROCESS_STARTUP_TIME_US: u32 = 2;
pub const VMT_VM_PROCESS_STARTUP_TIME_CPU_US: u32 = 3;
pub const VMT_VM_PANIC_COUNT: u32 = 4;
pub const VMT_VM_INTERRUPTS_TRIGGERS: u32 = 5;
pub const VMT_VM_INTERRUPTS_CONFIG_UPDATES: u32 = 6;
pub const VMT_VM_SECCOMP_NUM_FAULTS: u32 = 7;
pub const VMT_VM_FULL_CREATE_SNAPSHOT: u32 = 8;
pub const VMT_VM_DIFF_CREATE_SNAPSHOT: u32 = 9;
pub const VMT_VM_LOAD_SNAPSHOT: u32 = 10;
pub const VMT_VM_PAUSE_VM: u32 = 11;
pub const VMT_VM_RESUME_VM: u32 = 12;
pub const VMT_VM_VMM_FULL_CREATE_SNAPSHOT: u32 = 13;
pub const VMT_VM_VMM_DIFF_CREATE_SNAPSHOT: u32 = 14;
pub const VMT_VM_VMM_LOAD_SNAPSHOT: u32 = 15;
pub const VMT_VM_VMM_PAUSE_VM: u32 = 16;
pub const VMT_VM_VMM_RESUME_VM: u32 = 17;
pub const VMT_VM_SIGBUS: u32 = 18;
pub const VMT_VM_SIGSEGV: u32 = 19;
pub const VMT_VM_SIGXFSZ: u32 = 20;
pub const VMT_VM_SIGXCPU: u32 = 21;
pub const VMT_VM_SIGPIPE: u32 = 22;
pub const VMT_VM_SIGHUP: u32 = 23;
pub const VMT_VM_SIGILL: u32 = 24;
pub const VMT_VM_SLOTS: u32 = 25;
extern "C" {
    pub static vmt_schema_vm: vmt_schema;
}

pub const VMT_VCPU_EXITS: u32 = 0;
pub const VMT_VCPU_EXIT_HLT: u32 = 1;
pub const VMT_VCPU_EXIT_INTR: u32 = 2;
pub const VMT_VCPU_EXIT_IRQ_WINDOW: u32 = 3;
pub const VMT_VCPU_EXIT_OTHER: u32 = 4;
pub const VMT_VCPU_RUN_TIME: u32 = 5;
pub const VMT_VCPU_IO_LATENCY: u32 = 6;
pub const VMT_VCPU_HALT_TIME: u32 = 50;
pub const VMT_VCPU_EXIT_IO_IN: u32 = 51;
pub const VMT_VCPU_EXIT_IO_OUT: u32 = 52;
pub const VMT_VCPU_EXIT_MMIO_READ: u32 = 53;
pub const VMT_VCPU_EXIT_MMIO_WRITE: u32 = 54;
pub const VMT_VCPU_FAILURES: u32 = 55;
pub const VMT_VCPU_KVMCLOCK_CTRL_FAILS: u32 = 56;
pub const VMT_VCPU_EXIT_IO_IN_AGG: u32 = 57;
pub const VMT_VCPU_EXIT_IO_OUT_AGG: u32 = 101;
pub const VMT_VCPU_EXIT_MMIO_READ_AGG: u32 = 145;
pub const VMT_VCPU_EXIT_MMIO_WRITE_AGG: u32 = 189;
pub const VMT_VCPU_SLOTS: u32 = 233;
pub const VMT_VCPU_IO_LATENCY_BUCKETS: u32 = 40;
pub const VMT_VCPU_EXIT_IO_IN_AGG_BUCKETS: u32 = 40;
pub const VMT_VCPU_EXIT_IO_OUT_AGG_BUCKETS: u32 = 40;
pub const VMT_VCPU_EXIT_MMIO_READ_AGG_BUCKETS: u32 = 40;
pub const VMT_VCPU_EXIT_MMIO_WRITE_AGG_BUCKETS: u32 = 40;
extern "C" {
    pub static vmt_schema_vcpu: vmt_schema;
}

pub const VMT_BLOCK_ACTIVATE_FAILS: u32 = 0;
pub const VMT_BLOCK_CFG_FAILS: u32 = 1;
pub const VMT_BLOCK_NO_AVAIL_BUFFER: u32 = 2;
pub const VMT_BLOCK_EVENT_FAILS: u32 = 3;
pub const VMT_BLOCK_EXECUTE_FAILS: u32 = 4;
pub const VMT_BLOCK_INVALID_REQS_COUNT: u32 = 5;
pub const VMT_BLOCK_FLUSH_COUNT: u32 = 6;
pub const VMT_BLOCK_QUEUE_EVENT_COUNT: u32 = 7;
pub const VMT_BLOCK_RATE_LIMITER_EVENT_COUNT: u32 = 8;
pub const VMT_BLOCK_UPDATE_COUNT: u32 = 9;
pub const VMT_BLOCK_UPDATE_FAILS: u32 = 10;
pub const VMT_BLOCK_READ_BYTES: u32 = 11;
pub const VMT_BLOCK_WRITE_BYTES: u32 = 12;
pub const VMT_BLOCK_READ_COUNT: u32 = 13;
pub const VMT_BLOCK_WRITE_COUNT: u32 = 14;
pub const VMT_BLOCK_READ_AGG: u32 = 15;
pub const VMT_BLOCK_WRITE_AGG: u32 = 59;
pub const VMT_BLOCK_RATE_LIMITER_THROTTLED_EVENTS: u32 = 103;
pub const VMT_BLOCK_IO_ENGINE_THROTTLED_EVENTS: u32 = 104;
pub const VMT_BLOCK_REMAINING_REQS_COUNT: u32 = 105;
pub const VMT_BLOCK_SLOTS: u32 = 106;
pub const VMT_BLOCK_READ_AGG_BUCKETS: u32 = 40;
pub const VMT_BLOCK_WRITE_AGG_BUCKETS: u32 = 40;
extern "C" {
    pub static vmt_schema_block: vmt_schema;
}

pub const VMT_NET_ACTIVATE_FAILS: u32 = 0;
pub const VMT_NET_CFG_FAILS: u32 = 1;
pub const VMT_NET_NO_RX_AVAIL_BUFFER: u32 = 2;
pub const VMT_NET_NO_TX_AVAIL_BUFFER: u32 = 3;
pub const VMT_NET_EVENT_FAILS: u32 = 4;
pub const VMT_NET_RX_QUEUE_EVENT_COUNT: u32 = 5;
pub const VMT_NET_RX_EVENT_RATE_LIMITER_COUNT: u32 = 6;
pub const VMT_NET_RX_RATE_LIMITER_THROTTLED: u32 = 7;
pub const VMT_NET_RX_TAP_EVENT_COUNT: u32 = 8;
pub const VMT_NET_RX_BYTES_COUNT: u32 = 9;
pub const VMT_NET_RX_PACKETS_COUNT: u32 = 10;
pub const VMT_NET_RX_FAILS: u32 = 11;
pub const VMT_NET_RX_COUNT: u32 = 12;
pub const VMT_NET_TAP_READ_FAILS: u32 = 13;
pub const VMT_NET_TAP_WRITE_FAILS: u32 = 14;
pub const VMT_NET_TAP_WRITE_AGG: u32 = 15;
pub const VMT_NET_TX_BYTES_COUNT: u32 = 59;
pub const VMT_NET_TX_MALFORMED_FRAMES: u32 = 60;
pub const VMT_NET_TX_FAILS: u32 = 61;
pub const VMT_NET_TX_COUNT: u32 = 62;
pub const VMT_NET_TX_PACKETS_COUNT: u32 = 63;
pub const VMT_NET_TX_QUEUE_EVENT_COUNT: u32 = 64;
pub const VMT_NET_TX_RATE_LIMITER_EVENT_COUNT: u32 = 65;
pub const VMT_NET_TX_RATE_LIMITER_THROTTLED: u32 = 66;
pub const VMT_NET_TX_SPOOFED_MAC_COUNT: u32 = 67;
pub const VMT_NET_TX_REMAINING_REQS_COUNT: u32 = 68;
pub const VMT_NET_SLOTS: u32 = 69;
pub const VMT_NET_TAP_WRITE_AGG_BUCKETS: u32 = 40;
extern "C" {
    pub static vmt_schema_net: vmt_schema;
}

pub const VMT_VSOCK_ACTIVATE_FAILS: u32 = 0;
pub const VMT_VSOCK_CFG_FAILS: u32 = 1;
pub const VMT_VSOCK_RX_QUEUE_EVENT_FAILS: u32 = 2;
pub const VMT_VSOCK_TX_QUEUE_EVENT_FAILS: u32 = 3;
pub const VMT_VSOCK_EV_QUEUE_EVENT_FAILS: u32 = 4;
pub const VMT_VSOCK_MUXER_EVENT_FAILS: u32 = 5;
pub const VMT_VSOCK_CONN_EVENT_FAILS: u32 = 6;
pub const VMT_VSOCK_RX_QUEUE_EVENT_COUNT: u32 = 7;
pub const VMT_VSOCK_TX_QUEUE_EVENT_COUNT: u32 = 8;
pub const VMT_VSOCK_RX_BYTES_COUNT: u32 = 9;
pub const VMT_VSOCK_TX_BYTES_COUNT: u32 = 10;
pub const VMT_VSOCK_RX_PACKETS_COUNT: u32 = 11;
pub const VMT_VSOCK_TX_PACKETS_COUNT: u32 = 12;
pub const VMT_VSOCK_CONNS_ADDED: u32 = 13;
pub const VMT_VSOCK_CONNS_KILLED: u32 = 14;
pub const VMT_VSOCK_CONNS_REMOVED: u32 = 15;
pub const VMT_VSOCK_KILLQ_RESYNC: u32 = 16;
pub const VMT_VSOCK_TX_FLUSH_FAILS: u32 = 17;
pub const VMT_VSOCK_TX_WRITE_FAILS: u32 = 18;
pub const VMT_VSOCK_RX_READ_FAILS: u32 = 19;
pub const VMT_VSOCK_SLOTS: u32 = 20;
extern "C" {
    pub static vmt_schema_vsock: vmt_schema;
}

pub const VMT_BALLOON_ACTIVATE_FAILS: u32 = 0;
pub const VMT_BALLOON_INFLATE_COUNT: u32 = 1;
pub const VMT_BALLOON_STATS_UPDATES_COUNT: u32 = 2;
pub const VMT_BALLOON_STATS_UPDATE_FAILS: u32 = 3;
pub const VMT_BALLOON_DEFLATE_COUNT: u32 = 4;
pub const VMT_BALLOON_EVENT_FAILS: u32 = 5;
pub const VMT_BALLOON_FREE_PAGE_REPORT_COUNT: u32 = 6;
pub const VMT_BALLOON_FREE_PAGE_REPORT_FREED: u32 = 7;
pub const VMT_BALLOON_FREE_PAGE_REPORT_FAILS: u32 = 8;
pub const VMT_BALLOON_FREE_PAGE_HINT_COUNT: u32 = 9;
pub const VMT_BALLOON_FREE_PAGE_HINT_FREED: u32 = 10;
pub const VMT_BALLOON_FREE_PAGE_HINT_FAILS: u32 = 11;
pub const VMT_BALLOON_SLOTS: u32 = 12;
extern "C" {
    pub static vmt_schema_balloon: vmt_schema;
}

pub const VMT_PROGRAM_LIVE_UPDATES: u32 = 0;
pub const VMT_PROGRAM_LIVE_UPDATE_TRANSFER_BYTES: u32 = 1;
pub const VMT_PROGRAM_RESERVATION_TIME: u32 = 2;
pub const VMT_PROGRAM_RESERVATION_TIMEOUTS: u32 = 3;
pub const VMT_PROGRAM_BINARY_SIZE: u32 = 4;
pub const VMT_PROGRAM_PROGRAM_NOTFOUND: u32 = 5;
pub const VMT_PROGRAM_PROGRAM_EXCEPTION: u32 = 6;
pub const VMT_PROGRAM_PROGRAM_TIMEOUT: u32 = 7;
pub const VMT_PROGRAM_PROGRAM_STATUS_4XX: u32 = 8;
pub const VMT_PROGRAM_PROGRAM_STATUS_5XX: u32 = 9;
pub const VMT_PROGRAM_CPU_TIME: u32 = 10;
pub const VMT_PROGRAM_FETCH_TIME: u32 = 11;
pub const VMT_PROGRAM_SELF_REQUESTS: u32 = 12;
pub const VMT_PROGRAM_SELF_REQUESTS_FAILED: u32 = 13;
pub const VMT_PROGRAM_SLOTS: u32 = 14;
extern "C" {
    pub static vmt_schema_program: vmt_schema;
}

pub const VMT_REQUEST_INVOCATIONS: u32 = 0;
pub const VMT_REQUEST_RESETS: u32 = 1;
pub const VMT_REQUEST_RESETS_FULL: u32 = 2;
pub const VMT_REQUEST_EXCEPTIONS: u32 = 3;
pub const VMT_REQUEST_EXCEPTION_OOM: u32 = 4;
pub const VMT_REQUEST_EXCEPTION_MEM: u32 = 5;
pub const VMT_REQUEST_TIMEOUTS: u32 = 6;
pub const VMT_REQUEST_RESERVATION_TIME: u32 = 7;
pub const VMT_REQUEST_RESET_TIME: u32 = 8;
pub const VMT_REQUEST_REQUEST_CPU_TIME: u32 = 9;
pub const VMT_REQUEST_EXCEPTION_CPU_TIME: u32 = 10;
pub const VMT_REQUEST_INPUT_BYTES: u32 = 11;
pub const VMT_REQUEST_OUTPUT_BYTES: u32 = 12;
pub const VMT_REQUEST_STATUS_2XX: u32 = 13;
pub const VMT_REQUEST_STATUS_3XX: u32 = 14;
pub const VMT_REQUEST_STATUS_4XX: u32 = 15;
pub const VMT_REQUEST_STATUS_5XX: u32 = 16;
pub const VMT_REQUEST_VM_ADDRESS_SPACE: u32 = 17;
pub const VMT_REQUEST_VM_MAIN_MEMORY: u32 = 18;
pub const VMT_REQUEST_VM_BANK_CAPACITY: u32 = 19;
pub const VMT_REQUEST_VM_BANK_HIGHEST: u32 = 20;
pub const VMT_REQUEST_VM_BANK_CURRENT: u32 = 21;
pub const VMT_REQUEST_TASKS_QUEUED: u32 = 22;
pub const VMT_REQUEST_SLOTS: u32 = 23;
extern "C" {
    pub static vmt_schema_request: vmt_schema;
}

pub const VMT_STORAGE_INVOCATIONS: u32 = 0;
pub const VMT_STORAGE_RESETS: u32 = 1;
pub const VMT_STORAGE_RESETS_FULL: u32 = 2;
pub const VMT_STORAGE_EXCEPTIONS: u32 = 3;
pub const VMT_STORAGE_EXCEPTION_OOM: u32 = 4;
pub const VMT_STORAGE_EXCEPTION_MEM: u32 = 5;
pub const VMT_STORAGE_TIMEOUTS: u32 = 6;
pub const VMT_STORAGE_RESERVATION_TIME: u32 = 7;
pub const VMT_STORAGE_RESET_TIME: u32 = 8;
pub const VMT_STORAGE_REQUEST_CPU_TIME: u32 = 9;
pub const VMT_STORAGE_EXCEPTION_CPU_TIME: u32 = 10;
pub const VMT_STORAGE_INPUT_BYTES: u32 = 11;
pub const VMT_STORAGE_OUTPUT_BYTES: u32 = 12;
pub const VMT_STORAGE_STATUS_2XX: u32 = 13;
pub const VMT_STORAGE_STATUS_3XX: u32 = 14;
pub const VMT_STORAGE_STATUS_4XX: u32 = 15;
pub const VMT_STORAGE_STATUS_5XX: u32 = 16;
pub const VMT_STORAGE_VM_ADDRESS_SPACE: u32 = 17;
pub const VMT_STORAGE_VM_MAIN_MEMORY: u32 = 18;
pub const VMT_STORAGE_VM_BANK_CAPACITY: u32 = 19;
pub const VMT_STORAGE_VM_BANK_HIGHEST: u32 = 20;
pub const VMT_STORAGE_VM_BANK_CURRENT: u32 = 21;
pub const VMT_STORAGE_TASKS_QUEUED: u32 = 22;
pub const VMT_STORAGE_TASKS_INSCHEDULE: u32 = 23;
pub const VMT_STORAGE_SLOTS: u32 = 24;
extern "C" {
    pub static vmt_schema_storage: vmt_schema;
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_reader {
    _unused: [u8; 0],
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_snapshot {
    _unused: [u8; 0],
}

/// One file that may be a segment.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_found {
    pub path: *mut c_char,
    /// the file's name without its suffix
    pub name: *mut c_char,
}

impl Default for vmt_found {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    /// All segments in dir, or (dir NULL) in $VMTALLY_DIR, or where that is not set in all of /run/vmtally,
    /// $XDG_RUNTIME_DIR/vmtally and /dev/shm/vmtally-UID; sorted by name. Nothing is opened yet. \*ret is the caller's, free
    /// with vmt_found_free(). Returns how many (0 where a directory does not exist); -EACCES, -ENOMEM, and what opendir
    /// gives for a dir that was named. At most 65,536 files a directory are looked at. /dev/shm/vmtally-UID counts only if it
    /// is the caller's own: everybody may make it.
    pub fn vmt_discover(dir: *const c_char, ret: *mut *mut vmt_found) -> c_long;

    /// In the same way, the temporary files of segments that were about to be made; most are so at this moment, some were
    /// left by a creator that died. name is that of the segment. For vmt_remove_dead().
    pub fn vmt_discover_leftovers(dir: *const c_char, ret: *mut *mut vmt_found) -> c_long;

    pub fn vmt_found_free(found: *mut vmt_found, count: c_long);

    /// Where vmt_discover(dir) looks, for people: "/run/vmtally, /dev/shm/vmtally-1000", into buf (of n bytes, cut to them; 4096
    /// is enough but for paths that long). Returns buf.
    pub fn vmt_discover_places(dir: *const c_char, buf: *mut c_char, n: usize) -> *mut c_char;

    /// Remove the segment file at path if its writer is gone (closed or died), holding a read lock meanwhile so that no
    /// restarter takes it over; or a temporary file that is locked by nobody and more than a minute old, whatever there is
    /// of it. dry_run not 0: only say. 0 removed (or would be); -EBUSY (somebody writes it, or makes it), -ENODATA
    /// (empty or not yet published: it may be about to become a segment), -EMEDIUMTYPE (not a segment), -EBADMSG or
    /// -EPROTONOSUPPORT (not ours to judge), -EAGAIN (replaced meanwhile), and what open and unlink give: in all these cases the file is left alone.
    pub fn vmt_remove_dead(path: *const c_char, dry_run: c_int) -> c_int;

    /// The verdict on one file, every block of it looked at. \*why (of why_size bytes) says in one line what is wrong, "" if
    /// nothing. Takes 0.6 s where a change is under way, to tell a stall from a moment. Returns enum vmt_state, or what
    /// vmt_reader_open() gives where there is no segment to judge: -EMEDIUMTYPE (not a segment), -ENODATA, -ENOENT, ...
    pub fn vmt_check(path: *const c_char, why: *mut c_char, why_size: usize) -> c_int;
}

/// pread into private memory: no signal handler, no SIGBUS. The default.
pub const VMT_READ_COPY: vmt_read_mode = 0;
/// mapped, some ten times faster; takes the process's SIGBUS handler (a chain: faults elsewhere
/// go to the handler that was there), falls back to COPY when that has been replaced or
/// SIGBUS is blocked.
pub const VMT_READ_GUARDED: vmt_read_mode = 1;
pub type vmt_read_mode = c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_reader_options {
    pub struct_size: usize,
    pub mode: vmt_read_mode,
    pub reserved: u32,
    /// of a file that is read at most, 0: 256 MiB; what lies behind is not seen (partial)
    pub max_bytes: u64,
}

impl Default for vmt_reader_options {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    /// Attach to the segment at path, read-only; needs read permission only. options may be NULL. \*ret is the caller's.
    /// 0; -ENOENT, -EACCES, ... of open; -ELOOP (symbolic link), -EISDIR, -EINVAL (neither directory nor regular file),
    /// -ENOTSUP (a file system on which a read may hang), -EXDEV (something is mounted over it), -ENODATA (empty or not yet published), -EMEDIUMTYPE (not a segment:
    /// it begins with other bytes), -EBADMSG (damaged), -EPROTONOSUPPORT (another version, or byte order), -ENOMEM.
    pub fn vmt_reader_open(path: *const c_char, options: *const vmt_reader_options, ret: *mut *mut vmt_reader)
        -> c_int;

    /// A reader of a segment of this very process: mapped, under RCU, no guard. Close it before the segment. -ENODEV.
    pub fn vmt_reader_open_segment(segment: *mut vmt_segment, ret: *mut *mut vmt_reader) -> c_int;

    /// Detach. NULL is allowed. Snapshots taken stay valid.
    pub fn vmt_reader_close(reader: *mut vmt_reader);

    pub fn vmt_reader_path(reader: *const vmt_reader) -> *const c_char;

    /// What the writer is doing now. Some system calls; two looks some time apart are needed to say "stalled".
    pub fn vmt_reader_state(reader: *mut vmt_reader) -> vmt_state;

    /// "live", "closed", "died", "died mid-change", "stalled", "damaged", "other version".
    pub fn vmt_state_name(state: vmt_state) -> *const c_char;
}

/// One shard of a source; only with vmt_snapshot_want_shards().
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_shard_sample {
    /// schema->slots
    pub values: *const u64,
    /// thread id in the writer's PID namespace, 0 not known
    pub owner: u32,
    /// 1: held, 0: nobody's at the moment, 2: the shared one (vmt_count)
    pub held: u32,
    /// VMT_SAMPLE_UNCONFIRMED, VMT_SAMPLE_TORN
    pub flags: u32,
    /// the same in all snapshots, of the same shard of the same incarnation of its source, and another one
    /// for each of its shards; never 0. In a hostile file, or past its first 512 GiB, two may have one
    pub id: u32,
}

impl Default for vmt_shard_sample {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

/// What all descendants of one source with one schema have counted: those that live and those that departed. (Of what
/// is read from the kernel, host.h, only those that live.)
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_total {
    pub schema: *const vmt_schema,
    /// schema->slots; average and count of zeros are over live ones
    pub values: *const u64,
    /// schema->slots; the part of those that departed (0 for instants)
    pub departed: *const u64,
    /// live ones
    pub sources: u32,
    /// VMT_SAMPLE_ABSENT: never a guess
    pub flags: u32,
}

impl Default for vmt_total {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

/// One source.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_sample {
    /// "vm/vcpu-2"; "" for source 0
    pub id: *const c_char,
    /// its last part; for source 0 the segment's name
    pub name: *const c_char,
    /// there, at the same address, as long as its reader is, or any snapshot of it
    pub schema: *const vmt_schema,
    /// schema->slots sums over its shards
    pub values: *const u64,
    pub totals: *const vmt_total,
    pub shards: *const vmt_shard_sample,
    /// with entry: this incarnation of the source in this segment
    pub generation: u64,
    /// CLOCK_REALTIME
    pub created_ns: u64,
    pub entry: u32,
    /// index in this snapshot; UINT32_MAX for source 0
    pub parent: u32,
    /// 0 for source 0
    pub depth: u32,
    pub total_count: u32,
    /// of shards, 0 without vmt_snapshot_want_shards()
    pub shard_count: u32,
    /// VMT_SAMPLE_
    pub flags: u32,
}

impl Default for vmt_sample {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

/// The segment as of the snapshot. Of a process without one (host.h): path "/proc/PID", its pid as seen by the reader, no
/// labels, version 0.0, file_bytes and created_ns 0; it is live, or closed once it has gone.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_segment_info {
    pub path: *const c_char,
    pub name: *const c_char,
    /// "key=value", NULL-terminated
    pub labels: *const *const c_char,
    pub identity: [u8; 16usize],
    pub boot_id: [u8; 16usize],
    /// of the segment: how many writers it has had
    pub incarnation: u64,
    /// CLOCK_REALTIME
    pub created_ns: u64,
    pub pid_start: u64,
    /// CLOCK_MONOTONIC before the first load
    pub begin_ns: u64,
    /// CLOCK_MONOTONIC after the last validated load
    pub end_ns: u64,
    /// CLOCK_REALTIME at begin_ns
    pub realtime_ns: u64,
    /// CLOCK_REALTIME, 0 unless closed
    pub closed_ns: u64,
    /// CLOCK_MONOTONIC of the last heartbeat, 0: none
    pub heartbeat_ns: u64,
    pub file_bytes: u64,
    /// in the writer's PID namespace
    pub pid: u32,
    /// who owns the file; the kernel says so, not the file
    pub uid: u32,
    pub major: u16,
    pub minor: u16,
    pub state: vmt_state,
    /// VMT_SNAPSHOT_
    pub flags: u32,
    /// VMT_FROM_: where the values of this snapshot come from
    pub from: u32,
}

impl Default for vmt_segment_info {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    /// What people see and may ask for (vmt_host_find()): the segment's name; of a file that was set aside the file's, without
    /// its suffix; and where it is foreign behind that whose it is, " (uid 1001)". No segment's name has a space: an owner can be
    /// neither feigned nor left out. Into buf; of less than VMT_TITLE_SIZE bytes the name gets what the owner leaves. Returns how
    /// many bytes are the name; what follows is the owner, or nothing.
    pub fn vmt_segment_info_title(info: *const vmt_segment_info, buf: *mut c_char, n: usize) -> usize;

    /// Memory for snapshots. \*ret is the caller's. 0 or -ENOMEM.
    pub fn vmt_snapshot_new(ret: *mut *mut vmt_snapshot) -> c_int;

    /// NULL is allowed.
    pub fn vmt_snapshot_free(snapshot: *mut vmt_snapshot);

    /// From the next vmt_snapshot_take() on, keep the values of each shard too (1) or not (0).
    pub fn vmt_snapshot_want_shards(snapshot: *mut vmt_snapshot, want: c_int);

    /// Take a snapshot; what was in it before is gone. Allocates only while the segment outgrows it, or more threads than
    /// before do so at once. Returns 0, or 1 where it is partial and says so. On error the snapshot has no sources, but info
    /// (name, state) as far as it is known: -EBADMSG (damaged), -EPROTONOSUPPORT, -ENOMEM, -EIO.
    pub fn vmt_snapshot_take(snapshot: *mut vmt_snapshot, reader: *mut vmt_reader) -> c_int;

    /// The following are valid until the next take or free of the same snapshot.
    pub fn vmt_snapshot_segment(snapshot: *const vmt_snapshot) -> *const vmt_segment_info;

    /// Sources: parents before their children, number 0 is the segment itself.
    pub fn vmt_snapshot_count(snapshot: *const vmt_snapshot) -> usize;

    pub fn vmt_snapshot_source(snapshot: *const vmt_snapshot, i: usize) -> *const vmt_sample;

    /// The source with this full id (not leaving, if there are two), or NULL.
    pub fn vmt_snapshot_find(snapshot: *const vmt_snapshot, id: *const c_char) -> *const vmt_sample;

    /// The total of one statistic over all descendants of sample and over all schemas that have it with the same name, type
    /// and unit, into values\[d->size] by d's aggregation. 0, -ENOENT (no schema has it), -ENODATA (absent).
    pub fn vmt_sample_total(sample: *const vmt_sample, d: *const vmt_descriptor, values: *mut u64) -> c_int;

    /// The sums of one source only, without times and state: for those who read one source very often. sample is from an
    /// earlier snapshot of this reader, values has room for sample->schema->slots. In VMT_READ_GUARDED mode SIGBUS and its
    /// handler must be as they were at the last vmt_snapshot_take().
    /// 0, 1 (a group is unconfirmed), -ESTALE (the source has gone), -ENODATA (VMT_SAMPLE_ABSENT: not known), -EBADMSG
    /// (damaged), -ENOMEM (more threads than before read at once).
    pub fn vmt_reader_sample(reader: *mut vmt_reader, sample: *const vmt_sample, values: *mut u64) -> c_int;
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_delta {
    _unused: [u8; 0],
}

/// The change of one source, or of one of its totals.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_change {
    pub schema: *const vmt_schema,
    /// schema->slots; cumulative and histogram slots: newer - older; others: 0
    pub values: *const u64,
    /// VMT_CHANGE_
    pub flags: u32,
    pub reserved: u32,
}

impl Default for vmt_change {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    pub fn vmt_delta_new(ret: *mut *mut vmt_delta) -> c_int;

    pub fn vmt_delta_free(delta: *mut vmt_delta);

    /// Compare; both snapshots must stay as they are while the delta is used. older may be NULL: all is RESET. Sources are
    /// matched by entry and generation, so an id that was removed and added again is NEW. 0 or -ENOMEM.
    pub fn vmt_delta_compute(delta: *mut vmt_delta, older: *const vmt_snapshot, newer: *const vmt_snapshot) -> c_int;

    /// Seconds between the two, 0 where they can't be compared.
    pub fn vmt_delta_seconds(delta: *const vmt_delta) -> f64;

    /// Source i of the newer snapshot.
    pub fn vmt_delta_source(delta: *const vmt_delta, i: usize) -> *const vmt_change;

    /// Total t of source i of the newer snapshot.
    pub fn vmt_delta_total(delta: *const vmt_delta, i: usize, t: usize) -> *const vmt_change;

    /// Change of a slot per second; 0 where there is none.
    pub fn vmt_change_rate(delta: *const vmt_delta, change: *const vmt_change, slot: u32) -> f64;
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_host {
    _unused: [u8; 0],
}

/// All zeros but struct_size, and NULL instead of it, is a good choice.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_host_options {
    pub struct_size: usize,
    /// where the proc file system is; NULL: /proc
    pub proc: *const c_char,
    /// NULL: /sys/kernel/debug
    pub debugfs: *const c_char,
    /// not 0: this process only
    pub pid: u32,
    /// not 0: it is looked at once only; nothing of another process is held open after that
    pub once: u32,
}

impl Default for vmt_host_options {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    /// \*ret is the caller's. options may be NULL. Looks at nothing yet. 0, -EINVAL, -ENOMEM.
    pub fn vmt_host_new(options: *const vmt_host_options, ret: *mut *mut vmt_host) -> c_int;

    /// Close all readers opened with it before. NULL is allowed.
    pub fn vmt_host_free(host: *mut vmt_host);

    /// Have a process of its own do all the looking from here on, with the permissions that the caller has now; the caller may
    /// then give up its own, and reads what that one found in shared memory. Forks: call it while there is one thread, before
    /// the first look. In that process prepare(arg) is called (NULL: nothing is), which may give up all permissions but those
    /// of reading other processes; all it has open by then are standard input, output and error, and what it needs. It ends when
    /// the host is freed or the caller ends. 0; -EALREADY (was split, or has looked), what fork, socketpair and memfd_create
    /// give. A child that the caller forks later has no use of the host.
    pub fn vmt_host_split(
        host: *mut vmt_host,
        prepare: Option<unsafe extern "C" fn(arg: *mut c_void)>,
        arg: *mut c_void,
    ) -> c_int;

    /// Find what is new, let go of what has gone, and read all that the kernel counts. What can't be read is left out, and
    /// vmt_host_trouble() says so. 0; -ENOMEM; -EALREADY (a second look with .once); of a host that was split also
    /// -ETIMEDOUT (no answer within 2 s: the next look may have one), -EPIPE (that process has ended) and -EFBIG (the limit of
    /// files, ulimit -f, is too low for its shared memory); then what the last look found is as it was, without those that
    /// ended.
    pub fn vmt_host_look(host: *mut vmt_host) -> c_int;

    /// Becomes readable (poll) when a process whose statistics fds this process holds has ended: call vmt_host_drop(), which
    /// closes them. -1 where none is ever held, as after vmt_host_split().
    pub fn vmt_host_fd(host: *const vmt_host) -> c_int;

    pub fn vmt_host_drop(host: *mut vmt_host);

    /// As vmt_discover(), and the processes that have VMs but no segment in these directories: their path is "/proc/PID", their
    /// name QEMU's -name, Firecracker's --id, else the command.
    pub fn vmt_host_discover(host: *mut vmt_host, dir: *const c_char, ret: *mut *mut vmt_found) -> c_long;

    /// As vmt_reader_open(), also of "/proc/PID": -ESRCH where no such process has a VM. Snapshots have what the kernel counted
    /// at the newest look. host may be NULL: then it is vmt_reader_open().
    pub fn vmt_reader_open_host(
        host: *mut vmt_host,
        path: *const c_char,
        options: *const vmt_reader_options,
        ret: *mut *mut vmt_reader,
    ) -> c_int;

    /// The VMs that name means, among those that vmt_host_discover() finds (host NULL: vmt_discover()): those that are called so
    /// (vmt_found.name); where there are none, segments in which that name stands (in jail mode a file may be called anything),
    /// unless they were set aside. What is foreign (VMT_SNAPSHOT_FOREIGN), or can't be read to find out whose it is, never takes
    /// the place of these, but is meant where there is nothing else; what is foreign also by its title
    /// (vmt_segment_info_title()). Where no segment is called so for sure, a number means the process with that pid that has a
    /// VM but no segment. name is no path: what a '/' in it means is the caller's to say.
    ///
    /// One snapshot is taken of each that is called so, and of each other only where none of those is the VM for sure; options
    /// (may be NULL) say how. \*ret is the caller's, free with vmt_found_free(). Returns how many fit equally well: 0 where
    /// nothing does; 1: it is that. Errors of vmt_host_discover(); -EINVAL (options).
    pub fn vmt_host_find(
        host: *mut vmt_host,
        dir: *const c_char,
        name: *const c_char,
        options: *const vmt_reader_options,
        ret: *mut *mut vmt_found,
    ) -> c_long;

    /// What could not be read at the newest look, as bits; and in buf (NULL: don't) in one line for people, with what to do:
    /// "" if nothing. path NULL: of all VMs; "": of those that may not be looked into, of which nobody knows the names; else of
    /// the VM at that path, a segment's or "/proc/PID". Of a segment whose process is not known, snapshots know whether its VMM
    /// has kernel counters open (vmt_kvm_add()): it is among them if one was taken since that look.
    pub fn vmt_host_trouble(host: *const vmt_host, path: *const c_char, buf: *mut c_char, n: usize) -> u32;

    /// The number of the process that writes the segment, as this host sees it, where it knows that process; else what the segment
    /// says, which is in the writer's PID namespace. Of a process without a segment, its own.
    pub fn vmt_snapshot_pid(snapshot: *const vmt_snapshot) -> u32;

    /// Number of the source that source i of the snapshot speaks of: its parent, where it is another provider's view of the
    /// same thing (it has the same target as its parent, and another provider); else i.
    pub fn vmt_snapshot_subject(snapshot: *const vmt_snapshot, i: usize) -> usize;
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_recorded {
    _unused: [u8; 0],
}

extern "C" {
    /// \*ret is the caller's. 0 or -ENOMEM.
    pub fn vmt_recorded_new(ret: *mut *mut vmt_recorded) -> c_int;

    /// NULL is allowed. Snapshots made with it stay valid.
    pub fn vmt_recorded_free(recorded: *mut vmt_recorded);

    /// A checked copy of schema, \*ret, for the samples that are made into snapshots; there as long as recorded is, and any
    /// snapshot made with it. What is the same schema to the byte need not, but may, have one address. 0; -EBADMSG (it
    /// breaks the rules of a schema block in shm/FORMAT.md); -ENOSPC (more than the 256 that a segment may have); -ENOMEM.
    pub fn vmt_recorded_schema(
        recorded: *mut vmt_recorded,
        schema: *const vmt_schema,
        ret: *mut *const vmt_schema,
    ) -> c_int;

    /// Bytes of memory that it and its schemas take, about; those of schemas that others have, too, are counted by each.
    pub fn vmt_recorded_bytes(recorded: *const vmt_recorded) -> usize;

    /// Make snapshot, as vmt_snapshot_take() does, of copies of all that info and the samples point to: values, totals
    /// (values, departed) and shards too, text made fit to show. Of each sample these are looked at: id, schema (from
    /// vmt_recorded_schema() of recorded), values (NULL: absent), totals, total_count, shards, shard_count, generation,
    /// created_ns, entry, parent, flags; name and depth follow from those. Of info all but path, name and labels may be
    /// zero. Deltas (delta.h) between two snapshots made with one recorded are as between two of one reader; but that the
    /// kernel's counters were not read anew in between is not known of them, then they have not changed. 0; -EINVAL: no
    /// source, source 0 has a parent, or another source's parent is not before it, is deeper than VMT_DEPTH_MAX allows, or
    /// a schema is not recorded's; then the snapshot is empty. -ENOMEM.
    pub fn vmt_snapshot_rebuild(
        snapshot: *mut vmt_snapshot,
        recorded: *mut vmt_recorded,
        info: *const vmt_segment_info,
        samples: *const vmt_sample,
        count: usize,
    ) -> c_int;

    /// Make to the same as from, which it does not depend on afterwards: to compare with later, while from is reused.
    /// Memory of to is reused; a copy of one that has no shards needs about what from has in use. 0 or -ENOMEM, then to is
    /// empty.
    pub fn vmt_snapshot_copy(to: *mut vmt_snapshot, from: *const vmt_snapshot) -> c_int;
}
