// SPDX-License-Identifier: MIT
//! Finds libvmtally, in VMTALLY_LIB_DIR or else by pkg-config. README.md has the variables that it looks at.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const HINT: &str = "Install vmtally with its headers and pkg-config files (or set PKG_CONFIG_PATH to where vmtally.pc \
    is; of a build that is not installed, to its directory meson-uninstalled), or set VMTALLY_LIB_DIR to the directory \
    of the library";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let missing = match link() {
        Ok(()) => String::new(),
        Err(why) => {
            // A file that is never there: look again the next time, when it may have been installed.
            println!("cargo:rerun-if-changed={}", out.join("never").display());
            compile_error(&why)
        }
    };
    fs::write(out.join("missing.rs"), missing).expect("OUT_DIR can be written");
}

/// Code that the compiler's assembler refuses with these words.
fn compile_error(why: &str) -> String {
    let words: Vec<&str> = why.split_whitespace().collect();
    let plain = words.join(" ").replace(['"', '\\'], "'").replace(['{', '}'], "");
    format!("core::arch::global_asm!(\".error \\\"{plain}\\\"\");\n")
}

/// Tell cargo what to link.
fn link() -> Result<(), String> {
    let linked_in = env::var_os("CARGO_FEATURE_STATIC").is_some();
    let mut libraries = vec!["vmtally"];
    if env::var_os("CARGO_FEATURE_EXPORT").is_some() {
        libraries.insert(0, "vmtally-export");
    }
    let mut flags = Vec::new();
    let dir = variable("VMTALLY_LIB_DIR").map(PathBuf::from);
    if let Some(dir) = &dir {
        require_libraries(dir, &libraries, linked_in)?;
        flags.push(format!("-L{}", dir.display()));
    }
    if dir.is_none() || linked_in {
        flags.extend(pkg_config(&libraries, linked_in, dir.map(|dir| dir.join("pkgconfig")))?);
    } else {
        flags.extend(libraries.iter().map(|library| format!("-l{library}")));
    }
    for flag in flags {
        if let Some(dir) = flag.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={dir}");
        } else if flag == "-pthread" {
            println!("cargo:rustc-link-lib=dylib=pthread");
        } else if let Some(library) = flag.strip_prefix("-l") {
            let ours = linked_in && libraries.contains(&library);
            let kind = if ours { "static" } else { "dylib" };
            println!("cargo:rustc-link-lib={kind}={library}");
        }
    }
    Ok(())
}

fn require_libraries(dir: &Path, libraries: &[&str], linked_in: bool) -> Result<(), String> {
    let suffix = if linked_in { "a" } else { "so" };
    for library in libraries {
        let path = dir.join(format!("lib{library}.{suffix}"));
        if !path.exists() {
            let why = "VMTALLY_LIB_DIR must be set to the directory of the library";
            return Err(format!("{} was not found: {why}, or not at all", path.display()));
        }
    }
    Ok(())
}

/// The flags to link with, as pkg-config gives them; dir is looked in first.
fn pkg_config(libraries: &[&str], linked_in: bool, dir: Option<PathBuf>) -> Result<Vec<String>, String> {
    let program = pkg_config_program();
    let mut command = Command::new(&program);
    for name in ["PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR"] {
        let mut value = variable(name);
        if let ("PKG_CONFIG_PATH", Some(dir)) = (name, &dir) {
            value = Some(format!("{}:{}", dir.display(), value.unwrap_or_default()));
        }
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    if linked_in {
        // rustc looks for a .a itself, and does not know the linker's own directories.
        command.arg("--static").env("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1");
    }
    let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    command.args(["--libs", "--print-errors"]);
    command.args(libraries.iter().map(|library| format!("{library} >= {version}")));
    let done = command.output().map_err(|error| {
        format!("libvmtally was not found: {program} could not be run ({error}), install it. {HINT}")
    })?;
    if done.status.success() {
        Ok(words(&String::from_utf8_lossy(&done.stdout)))
    } else {
        Err(format!(
            "lib{} was not found: {HINT}. ({program}: {})",
            libraries[0],
            String::from_utf8_lossy(&done.stderr)
        ))
    }
}

/// Where another machine is built for, Debian has a pkg-config with that machine's name before it.
fn pkg_config_program() -> String {
    if let Some(program) = variable("PKG_CONFIG") {
        return program;
    }
    let (host, target) = (
        env::var("HOST").unwrap_or_default(),
        env::var("TARGET").unwrap_or_default(),
    );
    let told = ["PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR", "PKG_CONFIG_ALLOW_CROSS"];
    if host == target || told.iter().any(|name| variable(name).is_some()) {
        return "pkg-config".to_string();
    }
    let machine = target
        .replace("-unknown-", "-")
        .replace("armv7-", "arm-")
        .replace("riscv64gc-", "riscv64-");
    format!("{machine}-pkg-config")
}

/// A variable of the environment; that for the target alone (NAME_aarch64-unknown-linux-gnu, or '_' for '-') first.
fn variable(name: &str) -> Option<String> {
    let target = env::var("TARGET").unwrap_or_default();
    let names = [
        format!("{name}_{target}"),
        format!("{name}_{}", target.replace('-', "_")),
        name.to_string(),
    ];
    for name in &names {
        println!("cargo:rerun-if-env-changed={name}");
    }
    names
        .iter()
        .find_map(|name| env::var(name).ok())
        .filter(|value| !value.is_empty())
}

/// What pkg-config printed, split at spaces that have no backslash before them.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut letters = text.trim().chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => words.last_mut().expect("never empty").extend(letters.next()),
            _ if letter.is_whitespace() => words.push(String::new()),
            _ => words.last_mut().expect("never empty").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
