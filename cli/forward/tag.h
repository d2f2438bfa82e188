/* SPDX-License-Identifier: MIT */
/* tag.h: tags of records, made from a template: "vmtally.{target}", with {vm}, {target}, {provider}, {source} and
 * {label:KEY}. */
#ifndef CLI_FORWARD_TAG_H
#define CLI_FORWARD_TAG_H

#include <stddef.h>

#include <vmtally/reader.h>

#define TAG_DEFAULT "vmtally.{target}"
#define STATUS_TAG "vmtally.forward" /* of what the forwarder says of itself, and of nothing else */

/* 0, or -1: it can't be used, why says so. */
int tag_check(const char *template, char *why, size_t size);

/* The tag of what schema counts at source i of the snapshot of the VM named vm. What stands for a placeholder is of
 * letters, digits, '_' and '-', all else is '_': collectors match tags part by part, at the dots. Only the '/' of
 * {source} is a '.'. What is empty is "none", and {source} of the segment itself "segment". What
 * would be STATUS_TAG has one '_' more. Cut to fit. Returns how long it is. */
size_t tag_make(const char *template, const char *vm, const struct vmt_snapshot *snapshot, size_t i,
                const struct vmt_schema *schema, char *buf, size_t size);

#endif
