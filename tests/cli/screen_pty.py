# SPDX-License-Identifier: MIT
"""kvmtop's screen (screen_probe) on pseudo-terminals: what it sends, whom it waits for, what it leaves behind.
screen_pty.py PROBE; prints TAP."""
import fcntl, os, re, signal, struct, sys, termios, time

from screen_terminal import COLUMNS, PATIENCE_S, ROWS, Terminal, check, failures, known


def colors(output):
    """The kinds of colours that were set: 8, 16, 256."""
    kinds = set()
    for parameters in re.findall(rb"\033\[([0-9;:]*)m", output):
        p = [int(n or 0) for n in re.split(b"[;:]", parameters)]
        while p:
            n = p.pop(0)
            if n in (38, 48):
                kinds.add(256 if p[0] == 5 else "direct")
                p = p[2:]
            elif 30 <= n <= 37 or 40 <= n <= 47:
                kinds.add(8)
            elif 90 <= n <= 97 or 100 <= n <= 107:
                kinds.add(16)
    return kinds


def shown(output, rows=ROWS, columns=COLUMNS):
    """The screen that output leaves on a vt100."""
    screen = [[" "] * columns for _ in range(rows)]
    y = x = 0
    for text, parameters, final in re.findall(r"([^\033]|\033[^\[])|\033\[([0-9;?]*)([@-~])", output):
        n = [int(i) if i.isdigit() else 0 for i in parameters.split(";")]
        if final == "H":
            y, x = max(1, n[0]) - 1, max(1, n[1] if len(n) > 1 else 1) - 1
        elif final in "ABCD" and final:
            by = max(1, n[0])
            y = min(max(y + {"A": -by, "B": by}.get(final, 0), 0), rows - 1)
            x = min(max(x + {"C": by, "D": -by}.get(final, 0), 0), columns - 1)
        elif final == "K":
            for i in range(0 if n[0] else x, x + 1 if n[0] == 1 else columns):
                screen[y][i] = " "
        elif final == "J":
            for i in range(y * columns + x, rows * columns):
                screen[i // columns][i % columns] = " "
        elif text == "\r":
            x = 0
        elif text == "\n":
            y = min(y + 1, rows - 1)
        elif text == "\b":
            x = max(x - 1, 0)
        elif len(text) == 1 and text >= " ":
            if x == columns:  # the last column does not wrap before something follows
                y, x = min(y + 1, rows - 1), 0
            screen[y][x] = text
            x += 1
    return ["".join(row) for row in screen]


# ---- what is sent ----

with Terminal() as t:
    whole = len(t.quiet())
    t.send(b"t")
    t.hear("drawn")
    one = t.quiet()
    check(0 < len(one) <= 24, "where one cell changes, no more than that is sent", f"{len(one)} bytes: {one!r}")
    t.send(b"r")
    t.hear("drawn")
    check(len(t.quiet()) > 1000 and whole > 1000, "where all change, all is")
    check(not fcntl.fcntl(t.slave, fcntl.F_GETFL) & os.O_NONBLOCK, "the terminal waits for others as it did before")

for name, args, env, term, expected in (
    ("256 colours", [], {}, "xterm-256color", {256}),
    ("256 colours in tmux", [], {}, "tmux-256color", {256}),
    ("8 colours", [], {}, "xterm", {8}),
    ("8 colours on the console", [], {}, "linux", {8}),
    ("8 colours in screen", [], {}, "screen", {8}),
    ("16 colours", [], {}, "xterm-16color", {8, 16}),
    ("of more than 256 the first 8", [], {}, "xterm-direct", {8}),
    ("none where the terminal has none", [], {}, "vt100", set()),
    ("NO_COLOR: none", [], {"NO_COLOR": "1"}, "xterm-256color", set()),
    ("an empty NO_COLOR counts for nothing", [], {"NO_COLOR": ""}, "xterm-256color", {256}),
    ("--color=never: none", ["--color=never"], {}, "xterm-256color", set()),
    ("--color=always beats NO_COLOR", ["--color=always"], {"NO_COLOR": "1"}, "xterm-256color", {256}),
):
    if not known(term):
        print(f"ok - {name} # SKIP no {term} here")
        continue
    with Terminal(*args, term=term, **env) as t:
        output = t.quiet()
        # A terminal with 16 colours or more may get the first 8 in their short form.
        kinds = colors(output) - ({8} if 256 in expected else set())
        check(kinds == expected, name, f"{kinds} {output[:600]!r}")
        if not expected:
            bold, reverse = (rb"\033\[([0-9;]*;)?%d(;[0-9;]*)?m" % n for n in (1, 7))
            check(re.search(bold, output) and re.search(reverse, output), f"{name}, but bold and reversed",
                  output[:600])

# ---- keys ----

COMMON = [(b"a", "a"), (b"Z", "Z"), (b" ", "Space"), (b"\t", "Tab"), (b"\r", "Enter"), (b"\n", "Enter"),
          (b"\x7f", "Backspace"), (b"\x08", "Backspace"), (b"\x01", "Ctrl-A"), (b"\x12", "Ctrl-R"),
          ("\u00e4".encode(), "\u00e4"),
          ("\u6f22".encode(), "\u6f22"), (b"\033", "Esc"), (b"\033[99;99z", "Other"), (b"\033[1;5D", "Other")]
CURSOR = [(b"\033[A", "Up"), (b"\033OB", "Down"), (b"\033[C", "Right"), (b"\033OD", "Left")]
EDITING = [(b"\033[2~", "Insert"), (b"\033[3~", "Delete"), (b"\033[5~", "PageUp"), (b"\033[6~", "PageDown"),
           (b"\033[1~", "Home"), (b"\033[4~", "End"), (b"\033[Z", "Backtab")]
SHIFTED = [(b"\033[1;2D", "Shift-Left"), (b"\033[1;2C", "Shift-Right")]
F_KEYS = [(b"\033O" + bytes([b]), f"F{i + 1}") for i, b in enumerate(b"PQRS")] + [
    (b"\033[%d~" % n, f"F{i + 5}") for i, n in enumerate((15, 17, 18, 19, 20, 21, 23, 24))]
for term, keys in (("xterm-256color", COMMON + CURSOR + EDITING + SHIFTED + F_KEYS),
                   ("tmux-256color", COMMON + CURSOR + EDITING + SHIFTED + F_KEYS),
                   ("screen", COMMON + CURSOR + EDITING + SHIFTED + F_KEYS),
                   ("linux", COMMON + CURSOR + EDITING + F_KEYS[4:] + [(b"\033[[A", "F1"), (b"\033[[E", "F5")]),
                   ("vt100", COMMON[:8] + CURSOR)):
    with Terminal(term=term) as t:
        t.quiet()
        for i, (keys_sent, _) in enumerate(keys):
            t.send(keys_sent)
            if not t.hear("key ", times=i + 1):
                break
        t.take(0.1)
        names = re.findall(r"^key (.*)$", t.said.decode(), re.M)
        pairs = zip(keys, names + [None] * len(keys))
        wrong = [f"{sent!r}: not {name} but {got}" for (sent, name), got in pairs if name != got]
        check(not wrong and len(names) == len(keys), f"{term}: keys", "\n".join(wrong))

with Terminal() as t:
    t.quiet()
    t.send(b"\033[A" * 50 + b"j\033q")
    t.hear("key q")
    check(t.said.count(b"key Up\n") == 50 and b"key j\nkey Esc\nkey q\n" in t.said,
          "many keys at once, and Esc before one", t.said)

with Terminal() as t:
    t.quiet()
    t.send(b"\xff\xc3\xe6\xbc\033[Aj\xc3\xc3\xa4\x80k")
    t.hear("key k")
    check(t.said == "key Up\nkey j\nkey \u00e4\nkey k\n".encode(), "characters by half, and keys behind them", t.said)
    t.said = b""
    t.send(b"\xe6\xbc")
    time.sleep(0.06)
    t.send(b"k\033[1;")
    time.sleep(0.06)
    t.send(b"k\033[1;\033[A")
    t.hear("key Up")
    check(t.said == b"key k\nkey Other\nkey k\nkey Other\nkey Up\n", "and sequences by half", t.said)

# ---- the mouse ----

MOUSE_ON, MOUSE_OFF = b"\033[?1000h\033[?1006h", b"\033[?1006l\033[?1000l"
MOUSES = [term for term in ("xterm-256color", "screen", "tmux-256color", "linux") if known(term)]

for term in MOUSES:
    with Terminal("--mouse", term=term) as t:
        output = t.quiet()
        check(output.count(MOUSE_ON) == 1 and MOUSE_OFF not in output, f"{term}: the mouse is switched on",
              output[:300])
        t.send(b"\033[<0;11;6M\033[<0;11;6m")
        t.hear("mouse click 5 10\n")
        t.send(b"\033[<0;11;6M\033[<0;11;6m")
        check(t.hear("mouse double-click 5 10\n"), f"{term}: a click, and a double click", t.said)
        t.send(b"\033[<0;11;6M\033[<0;11;6m")
        t.hear("mouse click 5 10\n", times=2)
        t.send(b"\033[<64;3;4M")
        t.send(b"\033[<65;3;4M")
        check(t.hear("mouse wheel-up 3 2\n") and t.hear("mouse wheel-down 3 2\n"), f"{term}: the wheel", t.said)
        check(t.said.count(b" click 5 10\n") == 2 and t.said.count(b"double-click") == 1,
              f"{term}: a third click is a first one", t.said)
        t.send(b"\033[<0;200;1M\033[<16;201;1M")
        check(t.hear("mouse click 0 199\n") and t.hear("mouse click 0 200\n"), f"{term}: far to the right", t.said)
        t.send(b"\033[M" + bytes([32, 32 + 11, 32 + 6]) + b"\033[M" + bytes([35, 32 + 11, 32 + 6]))
        t.send(b"\033[M" + bytes([32, 127, 32 + 6]) + b"\033[M" + bytes([32, 255, 32 + 2]) + b"k")
        check(t.hear("key k\n") and t.said.count(b"click ") == 8 and b"mouse double-click 5 10\n" in t.said and
              b"mouse click 5 94\nkey Mouse\nmouse click 1 222\nkey k\n" in t.said,
              f"{term}: as older terminals say it", t.said)
with Terminal() as t:
    check(b"\033[?1000" not in t.quiet() and b"1006" not in t.output, "without mouse it is left alone")
with Terminal("--mouse", term="vt100") as t:
    t.send(b"\033[<0;11;6M")
    check(t.hear("mouse click 5 10\n"), "a mouse that the terminal's description does not mention", t.said)

# What has no meaning here. Some of it stops halfway: the key that comes next is one all the same.
NOTHING = (
    ("a button let go", b"\033[<0;3;3m"), ("the right button", b"\033[<2;3;3M\033[<2;3;3m"),
    ("the middle button", b"\033[<1;3;3M\033[<1;3;3m"), ("a wheel to the side", b"\033[<66;3;3M"),
    ("a wheel let go", b"\033[<64;3;3m"), ("a fourth button", b"\033[<128;3;3M"), ("moves", b"\033[<32;3;3M"),
    ("places that there are not", b"\033[<0;0;3M\033[<0;3;0M"), ("no place", b"\033[<M\033[<0M\033[<;;M\033[<0;3M"),
    ("too many numbers", b"\033[<0;3;3;3M"), ("a large number", b"\033[<0;4294967299;3M"),
    ("an older terminal's ups", b"\033[M#!!\033[M\042!!"), ("an older one's places", b"\033[M   \033[M !\040"),
    ("a beginning", b"\033[<"), ("half an event", b"\033[<0;3"), ("all but its end", b"\033[<0;3;3"),
    ("an older beginning", b"\033[M"), ("half an older event", b"\033[M !"),
)


def resize(t, columns):
    fcntl.ioctl(t.master, termios.TIOCSWINSZ, struct.pack("4H", ROWS, columns, 0, 0))


for term in MOUSES[:2]:
    with Terminal("--mouse", term=term) as t:
        for name, event in NOTHING:
            t.said = b""
            t.send(event)
            time.sleep(0.06)
            resize(t, COLUMNS + 1)
            resized = t.hear(f"size {ROWS} {COLUMNS + 1}\n") and t.said.count(b"key ") == 1
            resize(t, COLUMNS)
            resized = resized and t.hear(f"size {ROWS} {COLUMNS}\n") and t.said.count(b"key ") == 2
            check(resized, f"{term}: {name}: nothing, and it goes on", t.said)
            t.said = b""
            t.send(event)
            time.sleep(0.06)
            t.send(b"k")
            check(t.hear("key k\n") and t.said == b"key k\n", f"{term}: {name}: then a key", t.said)
            t.said = b""
            t.send(event + b"\033[Ak")
            check(t.hear("key k\n") and t.said == b"key Up\nkey k\n", f"{term}: {name}: keys at once", t.said)
    for name, event in NOTHING:
        with Terminal("--mouse", term=term) as t:
            t.send(event)
            time.sleep(0.06)
            before = time.monotonic()
            os.kill(t.pid, signal.SIGTERM)
            status = t.reported(rb"end (-?\d+)\n", 3)
            check(status == b"0", f"{term}: {name}: SIGTERM ends it", status)

with Terminal("--mouse") as t:
    for tries in range(20):  # where the machine is busy, later than is waited for
        t.send(b"\033[<0;1")
        time.sleep(0.005)
        t.send(b"2;7M")
        t.send(b"z")
        if not t.hear("key z", times=tries + 1) or b"click 6 11\n" in t.said:
            break
    check(b"click 6 11\n" in t.said, "an event that comes in two parts", t.said)
    t.quiet()
    for _ in range(200):
        t.send(b"\033[<0;3;3m" * 20)
    t.send(b"k")
    check(t.hear("key k\n") and t.said == b"key k\n", "many at once", t.said[:300])
    sizes = []
    for behind in (b"", b"\033[<0;3;3m"):
        t.quiet()
        t.send(b"r" + behind)
        t.hear("drawn")
        sizes.append(len(t.quiet()))
    check(min(sizes) > 0.9 * max(sizes) > 1000, "a frame is sent whole though there is input behind its key", sizes)

# ---- who does not read ----


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        text = f.read()
    return sum(int(re.search(rf"{name}:\s+(\d+)", text).group(1)) for name in ("RssAnon", "RssShmem"))


def flood(name, **how):
    rows, columns = 100, 250  # a frame is more than the kernel takes
    with Terminal("--flood=2", term="vt100", wait=False, size=(rows, columns), **how) as t:
        if t.reported(rb"(end) 127\n", 0.3):
            print(f"ok - {name} # SKIP the probe can't be started there")
            return
        time.sleep(0.3)
        kib = memory_kib(t.pid)
        t.hear("flood", read=False)
        words = t.said.split(b"flood ")[-1].split()
        check(len(words) == 2 and int(words[0]) > 20, f"{name}: nobody reads, and it goes on", t.said)
        check(len(words) == 2 and float(words[1]) < 1000, f"{name}: no frame waits", t.said)
        grown = memory_kib(t.pid) - kib
        check(grown < 512, f"{name}: no frames are kept", f"{grown} KiB more")
        output = t.quiet()
        check(0 < len(output) < 120000, f"{name}: what comes late is little", len(output))
        t.send(b"z")
        t.hear("key z")
        screen = shown((output + t.quiet()).decode(), rows, columns)
        frames = int(words[0])
        expected = ["".join(chr(ord("a") + (x + 3 * y + frames * (7 * x + y)) % 26) for x in range(columns))
                    for y in range(20, rows)]
        check(screen[20:] == expected and screen[0].startswith("0 250x100 <z>"), f"{name}: and in the end all is there",
              "\n".join(screen))
        t.send(b"q")
        t.hear("end\n")


flood("a terminal that is not read")
flood("one that can't be opened again", shut=True)

with Terminal("--flood=1", wait=False) as t:
    t.send(b"\x13")
    check(t.hear("flood"), "Ctrl-S holds nothing up but the screen", t.said)
    t.said = b""
    t.send(b"\x11z")
    check(t.hear("key z") and t.quiet() is not None, "and Ctrl-Q goes on", t.said)

with Terminal("--flood=60", wait=False) as t:
    time.sleep(0.5)
    before = time.monotonic()
    os.kill(t.pid, signal.SIGTERM)
    status = t.reported(rb"end (-?\d+)\n")
    took = time.monotonic() - before
    check(status == b"0" and took < 3, "SIGTERM ends it though nobody reads", f"status {status}, {took:.1f} s")
    check(t.modes() == t.before, "and the modes are as they were")

# ---- what is left behind ----

LEFT = (b"\033[?1049l", b"\033[?1l", b"\033[?25h", b"\033[?1006l", b"\033[?1000l")
ENTERED = (b"\033[?1049h", b"\033[?1h", b"\033[?25l", b"\033[?1006h", b"\033[?1000h")


def given_back(t, output):
    missing = [s for s in LEFT if output.rfind(s) < 0 or output.rfind(s) < output.rfind(s[:-1] + b"h" if s[-1:] == b"l"
                                                                                     else s[:-1] + b"l")]
    return "" if t.modes() == t.before and not missing else f"modes {t.modes() == t.before}, missing {missing}"


for name, status, how in (
    ("q", 0, b"q"), ("SIGTERM", 0, signal.SIGTERM), ("SIGINT", 0, signal.SIGINT), ("SIGHUP", 0, signal.SIGHUP),
    ("Ctrl-C", 0, b"\x03"), ("SIGSEGV", -signal.SIGSEGV, signal.SIGSEGV), ("abort()", -signal.SIGABRT, b"x"),
    ("SIGFPE", -signal.SIGFPE, signal.SIGFPE), ("Ctrl-\\", -signal.SIGQUIT, b"\x1c"),
):
    with Terminal("--mouse") as t:
        t.quiet()
        changed = t.modes() != t.before
        if isinstance(how, bytes):
            t.send(how)
        else:
            os.kill(t.pid, how)
        ended = t.ends()
        check(ended == status, f"{name}: it ends", f"status {ended}")
        why = given_back(t, t.output)
        check(changed and not why, f"{name}: the terminal is given back", f"{why} {t.output!r}")

with Terminal("--mouse") as t:
    t.quiet()
    ours = t.modes()
    for round, how in enumerate(("Ctrl-Z", "SIGTSTP")):
        if round == 0:
            t.send(b"\x1a")
        else:
            os.kill(t.pid, signal.SIGTSTP)
        stopped = t.reported(rb"(stopped)\n")
        output = t.take(0.1)
        why = given_back(t, output)
        check(stopped and not why, f"{how} gives the terminal back and stops", f"{stopped} {why} {output!r}")
        t.quiet()
        fcntl.ioctl(t.master, termios.TIOCSWINSZ, struct.pack("4H", 20 + round, 70, 0, 0))
        os.write(t.orders_to, b"c")
        fits = t.hear(f"size 2{round} 70")
        output = t.quiet()
        missing = [s for s in ENTERED if s not in output]
        whole = output.count(b"\033[H\033[2J")
        check(fits and not missing and t.modes() == ours and len(output) > 1000 and whole == 1,
              f"{how}: continued, it is back whole, as large as the terminal is by now",
              f"{fits} {missing} {whole} {output!r}")
        t.send(b"\033OA")
        check(t.hear("key Up") and b"\033[2J" not in t.quiet(), f"{how}: and gets keys", t.said)

    os.kill(t.pid, signal.SIGSTOP)
    t.reported(rb"(stopped)\n")
    termios.tcsetattr(t.slave, termios.TCSANOW, t.before)
    os.write(t.orders_to, b"c")
    end = time.monotonic() + PATIENCE_S
    while t.modes() != ours and time.monotonic() < end:
        time.sleep(0.01)
    output = t.quiet()
    missing = [s for s in ENTERED if s not in output]
    check(not missing and t.modes() == ours and len(output) > 1000,
          "after SIGSTOP and SIGCONT the terminal is ours again", f"{missing} {output!r}")

with Terminal(job=False) as t:
    t.quiet()
    t.send(b"\x1a")
    time.sleep(0.3)
    t.send(b"k")
    check(t.hear("key k"), "where no shell could continue it, Ctrl-Z does not stop it", t.said)

with Terminal() as t:
    t.quiet()
    fcntl.ioctl(t.master, termios.TIOCSWINSZ, struct.pack("4H", 10, 40, 0, 0))
    check(t.hear("size 10 40") and b" 40x10 " in t.quiet(), "a resize is a key, and drawn", t.said)

t = Terminal(job=False)
master, t.master = t.master, os.open("/dev/null", os.O_RDWR)
os.close(t.slave)
t.slave = os.dup(t.master)
os.close(master)
ended, status = 0, None
end = time.monotonic() + PATIENCE_S
while not ended and time.monotonic() < end:
    time.sleep(0.02)
    ended, status = os.waitpid(t.leader, os.WNOHANG)
check(ended and status == 0, "where the terminal is gone, it ends", status)
if not ended:
    t.close()

# ---- terminals that won't do ----

for term, text in (("no-such-terminal", b"'no-such-terminal' is not known"),
                   ("dumb", b"'dumb' can't place its cursor")):
    with Terminal(term=term, wait=False) as t:
        ended = t.ends()
        check(ended == 1 and text in t.output and t.modes() == t.before, f"TERM={term} is refused",
              f"{ended} {t.output!r}")
for term in ("vt100", "linux", "xterm", "screen", "tmux-256color", "xterm-mono", "ansi"):
    with Terminal(term=term) as t:
        text = re.sub(rb"\033\[[0-9;?]*[ -/]*[@-~]|\033[()][0-9A-B]|[\016\017]", b"", t.quiet())
        check(b"0 80x24 <>" in text and b"<header>" in text, f"TERM={term} works", text[:300])
sys.exit(bool(failures))
