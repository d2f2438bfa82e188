/* SPDX-License-Identifier: MIT */
#include "places.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <vmtally/reader.h>

#include "message.h"
#include "sandbox.h"

const char *places_trouble(const struct options *common, int error, bool before, char *buf, size_t n)
{
    char places[PLACES], reason[256];

    if (error == -ENOMEM) /* that is no place's fault */
        return message_reason(error, buf, n);
    snprintf(buf, n, "%s: %s", vmt_discover_places(common->dir, places, sizeof(places)),
             before && error == -EACCES && strcmp(sandbox_text(), "none") != 0
                 ? "permission denied; was the directory made anew? Then start again: none may be read but those that "
                   "were there"
                 : message_reason(error, reason, sizeof(reason)));
    return buf;
}
