// SPDX-License-Identifier: MIT
//! Attaching by name, and where nothing of that name is. A test binary of its own: it sets $VMTALLY_DIR.

mod common;

use common::Directory;
use std::env;
use std::fs;
use vmtally::{ErrorKind, Found, Segment, Snapshot};

#[test]
fn a_name_is_of_one_vm_or_an_error() {
    let dir = Directory::new();
    let path = |file: &str| dir.path().join(file);
    let create = || {
        let builder = Segment::builder().name("web").dir(dir.path()).max_bytes(1 << 20);
        builder.create().unwrap()
    };
    env::set_var("VMTALLY_DIR", dir.path());
    let none = vmtally::attach("web").unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
    assert_eq!(none.context(), format!("attach web in {}", dir.path().display()));
    assert_eq!(vmtally::find(None, "web").unwrap(), []);
    let nowhere = vmtally::find(Some(&path("none")), "web").unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    assert_eq!(nowhere.context(), format!("look for web in {}", path("none").display()));
    assert_eq!(vmtally::find(None, "a\0b").unwrap_err().kind(), ErrorKind::InvalidInput);

    let _first = create();
    fs::rename(path("web.vmt"), path("a.vmt")).unwrap();
    assert_eq!(
        vmtally::attach("web").unwrap().path(),
        path("a.vmt"),
        "its name stands in it"
    );
    let _second = create();
    assert_eq!(
        vmtally::attach("web").unwrap().path(),
        path("web.vmt"),
        "the file's name"
    );
    fs::rename(path("web.vmt"), path("b.vmt")).unwrap();
    let several = vmtally::attach("web").unwrap_err();
    assert_eq!(several.kind(), ErrorKind::Ambiguous);
    assert_eq!(
        several.to_string(),
        format!(
            "attach web: {}, {}: several VMs have this name: attach to a path",
            path("a.vmt").display(),
            path("b.vmt").display()
        )
    );
    let names = |found: Vec<Found>| found.into_iter().map(|found| found.name).collect::<Vec<_>>();
    assert_eq!(names(vmtally::find(Some(dir.path()), "web").unwrap()), ["a", "b"]);
    fs::rename(path("b.vmt"), path("web~1.vmt")).unwrap();
    assert_eq!(
        vmtally::attach("web").unwrap().path(),
        path("a.vmt"),
        "that one was set aside"
    );
    let aside = |name| {
        let snapshot = Snapshot::of(&mut vmtally::attach(name).unwrap()).unwrap();
        snapshot.segment().is_set_aside()
    };
    assert!(aside("web~1") && !aside("web"));
}
