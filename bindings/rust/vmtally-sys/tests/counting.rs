// SPDX-License-Identifier: MIT
//! What is counted through these declarations is read through them.

use std::ffi::CString;
use std::os::raw::c_char;
use std::ptr;
use vmtally_sys::*;

fn vcpu_0() -> *const c_char {
    b"vcpu-0\0".as_ptr().cast()
}

/// A segment of one vCPU that has exited 3 times, and a snapshot of it.
unsafe fn with_snapshot(name: &str, test: unsafe fn(*mut vmt_snapshot)) {
    let name = CString::new(format!("{name}-{}", std::process::id())).unwrap();
    let options = vmt_segment_options {
        struct_size: std::mem::size_of::<vmt_segment_options>(),
        name: name.as_ptr(),
        ..Default::default()
    };
    let (mut segment, mut source) = (ptr::null_mut(), ptr::null_mut());
    let (mut reader, mut snapshot) = (ptr::null_mut(), ptr::null_mut());

    assert_eq!(vmt_segment_create(&options, &mut segment), 0);
    assert_eq!(
        vmt_source_add(segment, &vmt_schema_vcpu, ptr::null_mut(), vcpu_0(), &mut source),
        0
    );
    let shard = vmt_shard_acquire(source);
    assert_ne!(shard, vmt_scratch_shard());
    vmt_add_ext(shard, VMT_VCPU_EXITS, 2);
    vmt_count(source, VMT_VCPU_EXITS, 1);
    vmt_latency_ext(shard, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 1000);

    assert_eq!(vmt_reader_open(vmt_segment_path(segment), ptr::null(), &mut reader), 0);
    assert_eq!(vmt_snapshot_new(&mut snapshot), 0);
    assert_eq!(vmt_snapshot_take(snapshot, reader), 0);
    test(snapshot);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_shard_release(shard);
    vmt_segment_close(segment);
}

#[test]
fn what_is_counted_is_read() {
    unsafe fn test(snapshot: *mut vmt_snapshot) {
        let sample = &*vmt_snapshot_find(snapshot, vcpu_0());
        let schema = &*sample.schema;
        let values = std::slice::from_raw_parts(sample.values, schema.slots as usize);
        assert_eq!(values[VMT_VCPU_EXITS as usize], 3);

        let histogram = &*vmt_schema_find(schema, b"io_latency_hist\0".as_ptr().cast());
        let (mut low, mut high) = (0, 0);
        assert_eq!(histogram.exponent, VMT_EXPONENT_NANOSECONDS);
        assert_eq!(
            vmt_quantile(histogram, &values[histogram.slot as usize], 0.5, &mut low, &mut high),
            0
        );
        assert!(low <= 1000 && 1000 <= high);
    }
    unsafe { with_snapshot("sys-read", test) }
}

#[cfg(feature = "export")]
#[test]
fn what_is_counted_is_exported() {
    unsafe fn test(snapshot: *mut vmt_snapshot) {
        let mut buffer = vmt_buffer::default();
        assert_eq!(vmt_json_encode(snapshot, 0, &mut buffer), 0);
        assert!(buffer.size <= VMT_BUFFER_MAX);
        let json = std::slice::from_raw_parts(buffer.data.cast(), buffer.size);
        assert!(std::str::from_utf8(json).unwrap().contains("io_latency_hist"));
        vmt_buffer_free(&mut buffer);
    }
    unsafe { with_snapshot("sys-exported", test) }
}

#[test]
fn ready_made_schemas_have_as_many_slots_as_their_constants_say() {
    let schemas = unsafe {
        [
            (&vmt_schema_segment, VMT_SEGMENT_SLOTS),
            (&vmt_schema_vm, VMT_VM_SLOTS),
            (&vmt_schema_vcpu, VMT_VCPU_SLOTS),
            (&vmt_schema_block, VMT_BLOCK_SLOTS),
            (&vmt_schema_net, VMT_NET_SLOTS),
            (&vmt_schema_vsock, VMT_VSOCK_SLOTS),
            (&vmt_schema_balloon, VMT_BALLOON_SLOTS),
            (&vmt_schema_program, VMT_PROGRAM_SLOTS),
            (&vmt_schema_request, VMT_REQUEST_SLOTS),
            (&vmt_schema_storage, VMT_STORAGE_SLOTS),
        ]
    };
    for (schema, slots) in schemas {
        assert_eq!(schema.slots, slots);
    }
}
