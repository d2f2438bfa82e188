/* SPDX-License-Identifier: MIT */
/* Whoever does not read a terminal (a slow link, Ctrl-S, a hung terminal emulator) must not hold us up: samples would
 * be missed, and no signal be answered. How to know that it does not read, as found on Linux:
 * - TIOCOUTQ says 0 for a pseudo-terminal, always: it counts only what serial drivers hold.
 * - poll() for POLLOUT is right for both, Ctrl-S included, but says only that there is some room; a blocking write()
 *   then waits for the rest. A pseudo-terminal takes 8 to 16 KB, which is less than a large frame.
 * - O_NONBLOCK on standard output would be set for the shell too, and all else that shares it.
 * So the terminal is opened once more, which has flags of its own. curses can't write there (where there is no room it
 * would try again at once, for ever): it writes to a file in memory, and what is there is sent as far as it goes. While
 * something is left no further frame is made: at most one is ever kept. What sshd and the network hold behind a
 * pseudo-terminal nobody can see from here.
 * Reading is the same: poll() says that there is input, somebody else (tcflush(), a second reader) takes it, and read()
 * would wait, with all signals held. So what is read is opened once more too.
 */
#include "cli/top/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define VAIN_MAX 1000
#define PIECE_BYTES 4096
#define TEXT_BYTES 256
#define GIVE_BACK_MS 500
#define MEMFD_NOEXEC 8U /* newer than <sys/mman.h>: some systems want it, older ones don't know it */

struct text {
    char bytes[TEXT_BYTES];
    size_t size;
};

static struct text ours;
static struct text back;      /* of size 0 while it is not ours */
static struct text back_made; /* the same, to be put there */
static struct termios modes_before;
static struct termios modes_ours;
static int have_modes;

static int stream_fd = -1;
static int kept_fd = -1;            /* file in memory, the same as stream_fd's from terminal_keep() on */
static int alone_fd = -1;           /* the terminal, which never waits; -1: it could not be opened again */
static int input_fd = STDIN_FILENO; /* to read from, the same where it could be opened again */
static off_t sent;                  /* of what is kept */
static int keeping;

static int input_gone;
static int readable_in_vain;
static sigset_t mask_before;
static sigset_t mask_waiting; /* what is let in while waiting */
static volatile sig_atomic_t asked_to_end;
static volatile sig_atomic_t happened; /* enum terminal_event */

/* ---- signals ---- */

static void on_end(int sig)
{
    (void)sig;
    asked_to_end = 1;
}

static void on_event(int sig)
{
    happened |= sig == SIGTSTP ? TERMINAL_STOP : sig == SIGCONT ? TERMINAL_CONTINUED : TERMINAL_RESIZED;
}

/* Give the terminal back with nothing but system calls. The signal is held until we return, and then ends us. */
static void on_crash(int sig)
{
    ssize_t n = write(alone_fd >= 0 ? alone_fd : STDOUT_FILENO, back.bytes, back.size);

    (void)n;
    if (have_modes && back.size)
        tcsetattr(STDOUT_FILENO, TCSANOW, &modes_before);
    raise(sig);
}

static void handle(int sig, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

    sigfillset(&action.sa_mask); /* one at a time: they change the same variables */
    sigaction(sig, &action, NULL);
}

/* SIGBUS is not among the crashes: the guard of mapped segments has it. */
static void handle_signals(void)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    static const int events[] = { SIGTSTP, SIGCONT, SIGWINCH };
    static const int crashes[] = { SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGQUIT, SIGTRAP, SIGSYS };
    sigset_t held;

    sigemptyset(&held);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        handle(ends[i], on_end, 0);
        sigaddset(&held, ends[i]);
    }
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        handle(events[i], on_event, 0);
        sigaddset(&held, events[i]);
    }
    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
        handle(crashes[i], on_crash, (int)SA_RESETHAND);
    handle(SIGPIPE, SIG_IGN, 0);
    sigprocmask(SIG_BLOCK, &held, &mask_before);
    mask_waiting = mask_before;
    for (int sig = 1; sig < NSIG; sig++) {
        if (sigismember(&held, sig) == 1)
            sigdelset(&mask_waiting, sig);
    }
}

/* ---- files ---- */

/* The same terminal as fd_before, or -1. By its file where we may open that, else as the one that controls us. */
static int open_again(int fd_before, const char *path, int mode)
{
    const char *const paths[] = { path, "/dev/tty" };
    unsigned device, other;

    if (ioctl(fd_before, TIOCGDEV, &device) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        int fd = open(paths[i], mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

        if (fd >= 0 && ioctl(fd, TIOCGDEV, &other) == 0 && other == device)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

static int open_memory(void)
{
    int fd = memfd_create("screen", MFD_CLOEXEC | MEMFD_NOEXEC);

    return fd < 0 && errno == EINVAL ? memfd_create("screen", MFD_CLOEXEC) : fd;
}

int terminal_open(FILE **output_ret, FILE **input_ret)
{
    FILE *stream, *input;
    int fd;

    have_modes = tcgetattr(STDOUT_FILENO, &modes_before) == 0;
    modes_ours = modes_before;
    input_gone = !isatty(STDIN_FILENO);
    alone_fd = open_again(STDOUT_FILENO, "/proc/self/fd/1", O_WRONLY);
    kept_fd = open_memory();
    stream_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    stream = stream_fd < 0 ? NULL : fdopen(stream_fd, "w");
    if (!stream)
        return -1;
    fd = open_again(STDIN_FILENO, "/proc/self/fd/0", O_RDONLY);
    input = fd < 0 ? NULL : fdopen(fd, "r");
    input_fd = input ? fd : STDIN_FILENO;
    *output_ret = stream;
    *input_ret = input ? input : stdin;
    handle_signals();
    return 0;
}

void terminal_keep(void)
{
    if (have_modes)
        tcgetattr(STDOUT_FILENO, &modes_ours);
    /* Where there is no such file the stream goes on straight to the terminal, and may wait for it. */
    keeping = kept_fd >= 0 && dup3(kept_fd, stream_fd, O_CLOEXEC) >= 0;
}

/* ---- output ---- */

static void copy_text(struct text *text, const char *bytes, size_t size)
{
    text->size = 0; /* first: a crash in between writes nothing by halves */
    if (size <= sizeof(text->bytes)) {
        memcpy(text->bytes, bytes, size);
        text->size = size;
    }
}

void terminal_texts(const char *ours_bytes, size_t ours_size, const char *back_bytes, size_t back_size)
{
    copy_text(&ours, ours_bytes, ours_size);
    copy_text(&back_made, back_bytes, back_size);
    back = back_made;
}

static int output(void) { return alone_fd >= 0 ? alone_fd : STDOUT_FILENO; }

/* Wait for room; 1: there is. */
static int await_room(int ms)
{
    struct pollfd p = { .fd = output(), .events = POLLOUT };

    if (poll(&p, 1, ms) <= 0)
        return 0;
    if (p.revents & (POLLERR | POLLHUP | POLLNVAL))
        asked_to_end = 1;
    return (p.revents & POLLOUT) != 0;
}

static void forget_kept(void)
{
    sent = 0;
    if (keeping) /* what is there is written over; it never gets larger than the largest frame */
        lseek(stream_fd, 0, SEEK_SET);
}

/* A part of what is kept; 0: there was no room, or nothing to send. */
static int send_part(off_t end)
{
    char piece[PIECE_BYTES];
    /* On a handle that others share, one that may wait, room is known of one byte only. */
    size_t most = alone_fd >= 0 ? sizeof(piece) : 1;
    ssize_t n;

    if (end - sent < (off_t)most)
        most = (size_t)(end - sent);
    if (most == 0 || (alone_fd < 0 && !await_room(0)))
        return 0;
    n = pread(kept_fd, piece, most, sent);
    if (n > 0)
        n = write(output(), piece, (size_t)n);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        asked_to_end = 1; /* the terminal hung up */
    sent += n > 0 ? n : 0;
    return n > 0;
}

/* 1: nothing is left. */
static int send_kept(void)
{
    off_t end = keeping ? lseek(stream_fd, 0, SEEK_CUR) : 0;

    while (send_part(end)) {
    }
    if (sent < end)
        return 0;
    forget_kept();
    return 1;
}

int terminal_send(void) { return send_kept() && await_room(0); }

static void write_text(const struct text *text)
{
    ssize_t n = write(stream_fd, text->bytes, text->size);

    (void)n;
}

long terminal_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void terminal_give_back(void)
{
    long end = terminal_now_ms() + GIVE_BACK_MS;
    long left;

    if (keeping || await_room(GIVE_BACK_MS)) {
        forget_kept(); /* an escape sequence that was sent by half ends where the next one begins */
        write_text(&back);
    }
    while (!send_kept() && !asked_to_end && (left = end - terminal_now_ms()) > 0)
        await_room((int)left);
    forget_kept();
    back.size = 0;
    if (have_modes)
        tcsetattr(STDOUT_FILENO, TCSANOW, &modes_before);
}

void terminal_take(void)
{
    if (have_modes)
        tcsetattr(STDOUT_FILENO, TCSANOW, &modes_ours);
    back = back_made;
    forget_kept();
    write_text(&ours);
}

/* ---- waiting ---- */

/* With SIGTSTP's own effect, which is none where nobody could continue us (an orphaned process group). */
void terminal_stop(void)
{
    sigset_t both;

    sigemptyset(&both);
    sigaddset(&both, SIGTSTP);
    sigaddset(&both, SIGCONT);
    handle(SIGTSTP, SIG_DFL, 0);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &both, NULL);
    /* Stopped here. */
    sigprocmask(SIG_BLOCK, &both, NULL);
    handle(SIGTSTP, on_event, 0);
    happened &= ~TERMINAL_CONTINUED; /* of that we know */
}

unsigned terminal_wait(double seconds, int room)
{
    struct pollfd p[] = { { .fd = input_gone ? -1 : input_fd, .events = POLLIN },
                          { .fd = output(), .events = room ? POLLOUT : 0 } };
    struct timespec timeout = { .tv_sec = (time_t)seconds };
    unsigned events;
    int r;

    timeout.tv_nsec = (long)((seconds - (double)timeout.tv_sec) * 1e9);
    r = ppoll(p, 2, &timeout, &mask_waiting);
    events = (unsigned)happened; /* signals are held again */
    happened = 0;
    if (r <= 0)
        return events;
    if ((p[0].revents | p[1].revents) & (POLLERR | POLLHUP | POLLNVAL))
        asked_to_end = 1;
    if (p[1].revents & POLLOUT)
        events |= TERMINAL_ROOM;
    if (p[0].revents & POLLIN) {
        events |= TERMINAL_INPUT;
        if (++readable_in_vain > VAIN_MAX) /* and never a key */
            asked_to_end = 1;
    }
    return events;
}

int terminal_await_input(long ms)
{
    struct pollfd p = { .fd = input_fd, .events = POLLIN };

    return ms > 0 && poll(&p, 1, (int)ms) > 0 && (p.revents & POLLIN);
}

void terminal_got_key(void) { readable_in_vain = 0; }

int terminal_size(int *rows, int *columns)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
        return 0;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 1;
}

int terminal_ended(void) { return asked_to_end; }

void terminal_close(void) { sigprocmask(SIG_SETMASK, &mask_before, NULL); }
