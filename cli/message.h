/* SPDX-License-Identifier: MIT */
/* message.h: what the commands say to people about what went wrong, and that nothing they print harms a terminal. */
#ifndef CLI_MESSAGE_H
#define CLI_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

/* Print "PROGRAM: ...\n" on stderr, in one write; control characters and bytes that are not UTF-8 become '?'. */
void message_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The reason behind a negative errno that vmtally or the system gave for a segment file, and what to do about it:
 * "permission denied; run as root, or join the group that owns the file". Returns buf. */
const char *message_reason(int error, char *buf, size_t n);

/* text with what is not fit to show (control characters, what turns the direction of writing around, bytes that are not
 * UTF-8) as '?'; cut to fit. For names of files, which come from a directory that others write. Returns buf. */
const char *message_printable(const char *text, char *buf, size_t n);

/* A snapshot of the file at path could not be encoded: say so, if it was that file's fault alone. Whether it was. */
bool message_too_large(int error, const char *path);

/* Write to stdout at once, after what is buffered. 0, or 1 as message_finish(). */
int message_write(const char *data, size_t size);

/* Flush stdout at the end. status, or 1 where something could not be written: then says so, but quietly where
 * the reader of a pipe has gone. */
int message_finish(int status);

#endif
