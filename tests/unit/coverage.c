/* SPDX-License-Identifier: MIT */
/* Coverage builds: children of tests end by _exit(), which writes no counts. Here it does. */
#include <gcov.h>
#include <sys/syscall.h>
#include <unistd.h>

void _exit(int status)
{
    __gcov_dump();
    for (;;)
        syscall(SYS_exit_group, status);
}
