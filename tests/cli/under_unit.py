# SPDX-License-Identifier: MIT
"""Run a service as systemd would, where there is none: under_unit.py UNIT LOG [--socket] [--probe] [NAME=VALUE...]

What a unit says of user, capabilities, file system, network, system calls, address families and memory is put in force
as systemd does it, as far as that is possible; then ExecStart runs, with a socket on a free port of 127.0.0.1
(--socket) and in an environment of NAME=VALUE. LOG gets a line for each thing that happens: "pid N", "port N", what the service
notifies, "status N", "reload N" (an exit status), "told N" (processes, to stop). SIGHUP is a reload as the unit has it,
SIGTERM a stop: to whom, KillMode says. What fails is started again as Restart has it, but at once. Ends as the service does.

--probe: instead of it, print what some system calls give there that it needs not.
"""
import ctypes, errno, os, re, resource, shlex, signal, socket, struct, subprocess, sys, tempfile

UID = 61184  # systemd's first of dynamic users
STARTS = 5  # then systemd gives up
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


def amount(text):
    return int(text[:-1]) << " KMG".index(text[-1]) * 10 if text[-1] in "KMG" else int(text)


def limit(unit):
    """Of memory and tasks there is a limit for all processes together, here it is each one's, or the user's."""
    for key, kind in (("MemoryMax", resource.RLIMIT_DATA), ("TasksMax", resource.RLIMIT_NPROC)):
        if key in unit:
            resource.setrlimit(kind, [amount(unit[key][-1])] * 2)


def probe():
    """What would harm nobody, and is not EPERM but where the filter makes it so."""
    calls = {"fchownat": (-1, b"/nonexistent", -1, -1, 0), "keyctl": (0, 0, 0, 0), "mlock": (0, 0), "setuid": (UID,)}
    for name, arguments in calls.items():
        ctypes.set_errno(0)
        libc.syscall(seccomp.seccomp_syscall_resolve_name(name.encode()), *arguments)
        print(name, errno.errorcode.get(ctypes.get_errno(), "works"), flush=True)


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
    limit(unit)
    if is_on(unit, "NoNewPrivileges"):
        good(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    filter_families(unit)
    filter_memory(unit)
    filter_calls(unit)  # the last: the others are loaded with what it may forbid
    if command:
        os.execve(command[0], command, environment)
    probe()


def start(*arguments):
    """Of run() in a child."""
    pid = os.fork()
    if pid == 0:
        try:
            run(*arguments)
            os._exit(0)
        except BaseException as error:
            print(f"under_unit: {error!r}", file=sys.stderr, flush=True)
        os._exit(126)
    return pid


def family(pid):
    """A process and those below it."""
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [pid] + [p for child in f.read().split() for p in family(int(child))]


def command_of(unit, key, variables):
    words = []
    for word in shlex.split(unit[key][-1]):
        words += variables.get(word[1:], "").split() if word.startswith("$") else [word]
    return words


class Service:
    def __init__(self, unit, log, environment, listener, needed, variables):
        self.unit, self.log, self.environment, self.listener = unit, log, environment, listener
        self.needed, self.variables, self.told, self.starts = needed, variables, False, 0
        self.start()

    def start(self):
        self.starts += 1
        self.pid = start(self.unit, command_of(self.unit, "ExecStart", self.variables), self.environment, self.listener,
                         self.needed)
        print(f"pid {self.pid}", file=self.log)

    def stop(self, *_):
        self.told = True
        # Who is left when the first one has ended would be killed; here they end with it.
        pids = [self.pid] if self.unit.get("KillMode", [""])[-1] == "mixed" else family(self.pid)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        print(f"told {len(pids)}", file=self.log)

    def reload(self, *_):
        command = command_of(self.unit, "ExecReload", {"MAINPID": str(self.pid)})
        pid = start(self.unit, command, {"PATH": "/usr/bin:/bin"}, None, self.needed)
        print(f"reload {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}", file=self.log)

    def ended(self):
        """Its exit status where it has ended for good."""
        pid, how = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        status = os.waitstatus_to_exitcode(how)
        print(f"status {status}", file=self.log)
        prevented = [int(w) for line in self.unit.get("RestartPreventExitStatus", []) for w in line.split()]
        restart = self.unit.get("Restart", ["no"])[-1] == "on-failure" and status and status not in prevented
        if self.told or not restart or self.starts == STARTS:
            return status
        self.start()
        return None


def main():
    unit, log = settings(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
    variables = dict(a.split("=", 1) for a in sys.argv[3:] if "=" in a)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64) if "--socket" in sys.argv[3:] else None
    for group in ("@known", "@default"):
        members(group)  # asked before the child can't
    needed = [command_of(unit, "ExecStart", {})[0], variables.get("VMTALLY_DIR", "/")]
    if "--probe" in sys.argv[3:]:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(start(unit, None, {}, None, needed), 0)[1]))
    # A name that PrivateTmp does not hide, as systemd's own is.
    path = os.path.join(tempfile.mkdtemp(dir="/dev/shm", prefix="vmtally-test."), "notify")
    notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notes.bind(path)
    os.chmod(path, 0o777)
    os.chmod(os.path.dirname(path), 0o755)
    notes.settimeout(0.05)
    usec = str(int(float(variables.pop("WATCHDOG", unit["WatchdogSec"][-1])) * 1e6))
    environment = {"PATH": "/usr/bin:/bin", "WATCHDOG_USEC": usec, "LC_ALL": "C.UTF-8", **variables}
    if unit.get("Type", [""])[-1] == "notify":
        environment["NOTIFY_SOCKET"] = path
    if listener:
        print(f"port {listener.getsockname()[1]}", file=log)
    service = Service(unit, log, environment, listener, needed, variables)
    signal.signal(signal.SIGTERM, service.stop)
    signal.signal(signal.SIGHUP, service.reload)
    status = None
    while status is None:
        try:
            print(notes.recv(4096).decode().replace("\n", " "), file=log)
        except TimeoutError:
            status = service.ended()
    os.unlink(path)
    os.rmdir(os.path.dirname(path))
    sys.exit(status if status >= 0 else 128 - status)


main()
