/* SPDX-License-Identifier: MIT */
#ifndef LIB_TITLE_H
#define LIB_TITLE_H

#include <stdint.h>

/* VMT_SNAPSHOT_SET_ASIDE where the file at path has a name as shm_file_set_aside() gives them, NAME~N.vmt; else 0. No name
 * that a writer chooses has a '~'. */
uint32_t title_set_aside(const char *path);

#endif
