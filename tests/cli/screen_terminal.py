# SPDX-License-Identifier: MIT
"""A pseudo-terminal with a program on it, screen_probe above all, as a shell would start it."""
import fcntl, os, re, select, signal, struct, subprocess, sys, termios, time

PROBE = sys.argv[1]
PATIENCE_S = 10
ROWS, COLUMNS = 24, 80
OURS = ("NO_COLOR", "COLORTERM", "LINES", "COLUMNS", "ESCDELAY")
SETTINGS = {name: value for name, value in os.environ.items() if name not in OURS and not name.startswith("NCURSES")}
failures = []


def check(good, name, why=""):
    print(("ok - " if good else "not ok - ") + name, flush=True)
    if not good:
        failures.append(name)
        for line in str(why).splitlines():
            print("# " + line, flush=True)


def lead(argv, env, reports, orders):
    """What a shell does for a job: start it in front, say when it stops and ends, continue it when told so."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execve(argv[0], argv, env)
    os.write(reports, b"%d\n" % child)
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            os.write(reports, b"end %d\n" % os.waitstatus_to_exitcode(status))
            os._exit(0)
        os.tcsetpgrp(0, os.getpid())
        os.write(reports, b"stopped\n")
        os.read(orders, 1)
        os.tcsetpgrp(0, child)
        os.kill(child, signal.SIGCONT)


class Terminal:
    """A terminal with a probe on it. In job, as a shell would start it; or as the only process, of nobody's."""

    def __init__(self, *args, term="xterm-256color", job=True, wait=True, shut=False, size=(ROWS, COLUMNS), **env):
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", *size, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.output = b""
        self.said = b""
        self.log, log = os.pipe()
        orders, self.orders_to = os.pipe()
        self.reports, reports = os.pipe()
        self.report = b""
        argv = [PROBE, *args]
        env = {**SETTINGS, "TERM": term, "LC_ALL": "C.UTF-8", **env}
        self.leader = os.fork()
        if self.leader == 0:
            os.setsid()
            if not shut:
                fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            reports, orders = os.dup2(reports, 100, False), os.dup2(orders, 101, False)
            os.dup2(log, 3)
            os.closerange(4, 100)
            if shut:  # no way to open the terminal again
                os.fchmod(0, 0)
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
            try:
                if job and not shut:
                    lead(argv, env, reports, orders)
                os.write(reports, b"%d\n" % os.getpid())
                os.execve(argv[0], argv, env)
            finally:
                os.write(reports, b"end 127\n")
                os._exit(127)
        for fd in (log, orders, reports):
            os.close(fd)
        self.pid = int(self.reported(rb"(\d+)\n"))
        if wait:
            self.hear("open")

    def reported(self, pattern, patience_s=PATIENCE_S):
        """What the leader reports next; None: nothing in time."""
        end = time.monotonic() + patience_s
        while not (found := re.match(pattern, self.report)):
            if not select.select([self.reports], [], [], max(0, end - time.monotonic()))[0]:
                return None
            more = os.read(self.reports, 4096)
            if not more:
                return None
            self.report += more
        self.report = self.report[found.end():]
        return found.group(1)

    def take(self, seconds=0.0):
        """Read what comes within so many seconds."""
        end = time.monotonic() + seconds
        while select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
            try:
                self.output += os.read(self.master, 65536)
            except OSError:
                break
        return self.output

    def hear(self, word, read=True, times=1):
        """Until the probe has said word so many times; False: it did not."""
        end = time.monotonic() + PATIENCE_S
        while self.said.count(word.encode()) < times:
            left = end - time.monotonic()
            ready = select.select([self.log] + ([self.master] if read else []), [], [], max(0, left))[0]
            if not ready:
                return False
            if self.master in ready:
                try:
                    self.output += os.read(self.master, 65536)
                except OSError:
                    read = False
            if self.log in ready:
                more = os.read(self.log, 4096)
                if not more:
                    return False
                self.said += more
        return True

    def send(self, keys):
        os.write(self.master, keys)

    def quiet(self):
        """Read on until nothing comes any more; what came since last time is forgotten."""
        while len(self.output) != len(self.take(0.1)):
            pass
        output, self.output, self.said = self.output, b"", b""
        return output

    def ends(self):
        """Its exit status, negative: the signal. None: it does not end."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.take(0.02)
            if select.select([self.reports], [], [], 0)[0]:
                break
        self.take(0.05)
        status = self.reported(rb"end (-?\d+)\n")
        return None if status is None else int(status)

    def modes(self):
        return termios.tcgetattr(self.slave)

    def close(self):
        for pid in (self.pid, self.leader):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.leader, 0)
        for fd in (self.master, self.slave, self.log, self.orders_to, self.reports):
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def known(term):
    return subprocess.run(["infocmp", term], capture_output=True, check=False).returncode == 0
