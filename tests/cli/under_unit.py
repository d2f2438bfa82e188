# SPDX-License-Identifier: MIT
"""Run a service as systemd would, where there is none: under_unit.py UNIT LOG [--socket] [NAME=VALUE...]

What a unit says of user, capabilities, file system, network, system calls, address families and memory is put in force
as systemd does it, as far as that is possible; then ExecStart runs, with a socket on a free port of 127.0.0.1
(--socket) and in an environment of NAME=VALUE. LOG gets a line for each thing that happens: "pid N", "port N", what the service
notifies, "status N". SIGTERM and SIGHUP are passed on. Ends as the service does.
"""
import ctypes, os, re, shlex, signal, socket, struct, subprocess, sys, tempfile

UID = 61184  # systemd's first of dynamic users
libc = ctypes.CDLL(None, use_errno=True)
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
seccomp.seccomp_init.argtypes = [ctypes.c_uint32]
seccomp.seccomp_load.argtypes = [ctypes.c_void_p]

PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_SET_KEEPCAPS = 38, 24, 47, 8
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
# What a mount has must not be taken from it in a container.
KEPT = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
ALLOW, EPERM, ENOSYS, EAFNOSUPPORT = 0x7fff0000, 0x50000 | 1, 0x50000 | 38, 0x50000 | 97
EQUAL, AT_LEAST, MASKED_EQ = 4, 5, 7
CAPABILITIES = {"CAP_DAC_READ_SEARCH": 2, "CAP_SYS_PTRACE": 19}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}


def settings(unit):
    """Of the section Service: a list of values each."""
    found, section = {}, None
    with open(unit) as f:
        for line in f.read().replace("\\\n", " ").splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif section == "Service" and re.match(r"\w+=", line):
                key, value = line.split("=", 1)
                found.setdefault(key, []).append(value)
    return found


def good(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno() or -result, what)


def members(group, known={}):
    """The system calls in one of systemd's groups."""
    if group not in known:
        known[group] = set()
        text = subprocess.run(["systemd-analyze", "syscall-filter", group], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=True, text=True).stdout
        for name in (line.strip() for line in text.splitlines()[1:]):
            if name and not name.startswith("#"):
                known[group] |= members(name) if name.startswith("@") else {name}
    return known[group]


def is_on(unit, key):
    return unit.get(key, ["no"])[-1] == "yes"


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def rule(context, action, call, *comparisons):
    array = (Comparison * max(1, len(comparisons)))(*comparisons)
    number = seccomp.seccomp_syscall_resolve_name(call.encode())
    if number != -1:
        seccomp.seccomp_rule_add_array(ctypes.c_void_p(context), ctypes.c_uint32(action), number, len(comparisons),
                                       array)


def load_filter(default, rules):
    context = seccomp.seccomp_init(default)
    for action, call, *comparisons in rules:
        rule(context, action, call, *comparisons)
    good(seccomp.seccomp_load(context), "seccomp")


def filter_calls(unit):
    allowed = set()
    for line in unit.get("SystemCallFilter", []):
        names = set()
        for word in line.lstrip("~").split():
            names |= members(word) if word.startswith("@") else {word}
        allowed = allowed - names if line.startswith("~") else allowed | names
    if allowed:
        allowed |= members("@default")
        load_filter(ENOSYS, [(ALLOW if n in allowed else EPERM, n) for n in members("@known") | allowed])


def filter_families(unit):
    families = {FAMILIES[w] for line in unit.get("RestrictAddressFamilies", []) for w in line.split()}
    if families:
        most = max(families)
        load_filter(ALLOW, [(EAFNOSUPPORT, "socket", Comparison(0, AT_LEAST, most + 1, 0))] +
                    [(EAFNOSUPPORT, "socket", Comparison(0, EQUAL, n, 0)) for n in range(most) if n not in families])


def filter_memory(unit):
    if is_on(unit, "MemoryDenyWriteExecute"):
        load_filter(ALLOW, [(EPERM, "mmap", Comparison(2, MASKED_EQ, 6, 6)),
                            (EPERM, "mprotect", Comparison(2, MASKED_EQ, 4, 4)),
                            (EPERM, "pkey_mprotect", Comparison(2, MASKED_EQ, 4, 4)),
                            (EPERM, "shmat", Comparison(2, MASKED_EQ, 0o100000, 0o100000))])


def mount(source, target, kind, flags, data=None):
    good(libc.mount(source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), data), target)


def hide(path, *needed):
    """An empty directory over it, unless what the test itself needs lies there."""
    if os.path.isdir(path) and not any(os.path.realpath(n).startswith(path + "/") for n in needed):
        mount("tmpfs", path, "tmpfs", 0, b"mode=0755")


def confine_files(unit, *needed):
    good(libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    if is_on(unit, "ProtectHome"):
        for path in ("/home", "/root", "/run/user"):
            hide(path, *needed)
    if is_on(unit, "PrivateTmp"):
        for path in ("/tmp", "/var/tmp"):
            hide(path, *needed)
    if unit.get("ProtectSystem", [""])[-1] == "strict":
        with open("/proc/self/mountinfo") as f:
            points = [line.split()[4:6] for line in f]
        for point, options in points:
            point = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), point)
            if not re.match(r"/(dev|proc|sys|tmp|var/tmp)(/|$)", point) and os.path.exists(point):
                kept = sum(bit for word, bit in KEPT.items() if word in options.split(","))
                mount("none", point, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def become(unit):
    """Another user, with the ambient capabilities only."""
    bounding = {CAPABILITIES[w] for line in unit["CapabilityBoundingSet"] for w in line.split()}
    ambient = {CAPABILITIES[w] for line in unit["AmbientCapabilities"] for w in line.split()}
    with open("/proc/sys/kernel/cap_last_cap") as f:
        last = int(f.read())
    for n in range(last + 1):
        if n not in bounding:
            libc.prctl(PR_CAPBSET_DROP, n, 0, 0, 0)
    good(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    mask = sum(1 << n for n in ambient)
    header = struct.pack("Ii", 0x20080522, 0)
    good(libc.capset(header, struct.pack("6I", mask, mask, mask, 0, 0, 0)), "capset")
    for n in ambient:
        good(libc.prctl(PR_CAP_AMBIENT, 2, n, 0, 0), "ambient capability")


def run(unit, command, environment, listener, needed):
    if is_on(unit, "PrivateNetwork"):
        good(libc.unshare(CLONE_NEWNET), "unshare")
    confine_files(unit, *needed)
    if listener:
        os.dup2(listener.fileno(), 3)
        environment.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
    environment["WATCHDOG_PID"] = str(os.getpid())
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.umask(int(unit.get("UMask", ["0022"])[-1], 8))
    become(unit)
    if is_on(unit, "NoNewPrivileges"):
        good(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    filter_families(unit)
    filter_memory(unit)
    filter_calls(unit)  # the last: the others are loaded with what it may forbid
    os.execve(command[0], command, environment)


def command_of(unit, variables):
    words = []
    for word in shlex.split(unit["ExecStart"][-1]):
        words += variables.get(word[1:], "").split() if word.startswith("$") else [word]
    return words


def main():
    unit, log = settings(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
    variables = dict(a.split("=", 1) for a in sys.argv[3:] if "=" in a)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64) if "--socket" in sys.argv[3:] else None
    for group in ("@known", "@default"):
        members(group)  # asked before the child can't
    notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    # A name that PrivateTmp does not hide, as systemd's own is.
    path = os.path.join(tempfile.mkdtemp(dir="/dev/shm", prefix="vmtally-test."), "notify")
    notes.bind(path)
    os.chmod(path, 0o777)
    os.chmod(os.path.dirname(path), 0o755)
    usec = str(int(float(variables.pop("WATCHDOG", unit["WatchdogSec"][-1])) * 1e6))
    environment = {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": path, "WATCHDOG_USEC": usec, "LC_ALL": "C.UTF-8",
                   **variables}
    command = command_of(unit, variables)
    pid = os.fork()
    if pid == 0:
        try:
            run(unit, command, environment, listener, [command[0], variables.get("VMTALLY_DIR", "/")])
        except BaseException as error:
            print(f"under_unit: {error!r}", file=sys.stderr, flush=True)
        os._exit(126)
    print(f"pid {pid}", file=log)
    if listener:
        print(f"port {listener.getsockname()[1]}", file=log)
        listener.close()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, frame: os.kill(pid, n))
    notes.settimeout(0.05)
    status = None
    while status is None:
        try:
            print(notes.recv(4096).decode().replace("\n", " "), file=log)
        except TimeoutError:
            ended, how = os.waitpid(pid, os.WNOHANG)
            status = os.waitstatus_to_exitcode(how) if ended else None
    print(f"status {status}", file=log)
    os.unlink(path)
    os.rmdir(os.path.dirname(path))
    sys.exit(status if status >= 0 else 128 - status)


main()
