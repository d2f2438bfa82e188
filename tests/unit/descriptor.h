/* SPDX-License-Identifier: MIT */
/* A descriptor sent over a socket (SCM_RIGHTS). In children, too: a failure is by REQUIRE. */
#ifndef TESTS_UNIT_DESCRIPTOR_H
#define TESTS_UNIT_DESCRIPTOR_H

#include <sys/socket.h>

#include "tests/unit/parts.h"

union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
};

static inline void send_descriptor(int socket, int fd)
{
    char byte = 0;
    union control control = { .header = { CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS } };
    struct msghdr m = { .msg_iov = &(struct iovec){ &byte, 1 },
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof(control) };

    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    REQUIRE(sendmsg(socket, &m, 0) == 1);
}

static inline int receive_descriptor(int socket)
{
    char byte;
    union control control;
    struct msghdr m = { .msg_iov = &(struct iovec){ &byte, 1 },
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof(control) };
    int fd;

    REQUIRE(recvmsg(socket, &m, MSG_CMSG_CLOEXEC) == 1 && m.msg_controllen == CMSG_SPACE(sizeof(fd)));
    memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
    return fd;
}

#endif
