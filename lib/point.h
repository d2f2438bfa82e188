/* SPDX-License-Identifier: MIT */
/* Named points between the steps of structural changes. Tests build the library once more with VMT_POINTS and a
 * vmt_point() of their own, which stops or kills the writer there; in all other builds a point is nothing.
 */
#ifndef LIB_POINT_H
#define LIB_POINT_H

#ifdef VMT_POINTS
void vmt_point(const char *name);
#define POINT(name) vmt_point(name)
#else
#define POINT(name) ((void)0)
#endif

#endif
