/*
 * app/memory.h - how much memory this process may still take: what the host has available, or less
 * where a cgroup limits it, as a container's does (version 1 or 2, nested ones too).
 *
 * A cgroup's unused page cache (inactive_file) counts as available, as the kernel takes it
 * back before it kills anybody. Sources: cgroup-v2.rst (memory.max, memory.current, memory.stat),
 * cgroup-v1/memory.rst, proc(5).
 */
#ifndef APP_MEMORY_H
#define APP_MEMORY_H

#include <stdint.h>

#include "base/slice.h"

struct memory_state {
    int64_t available_bytes; /* -1: unknown */
    int64_t limit_bytes; /* of the cgroup that has the least left, where that is less; else -1 */
};

/*
 * Reads /proc and the cgroups below `root` ("" outside tests). Unreadable files are left out.
 * Blocks for as long as the kernel needs to write its tables.
 */
struct memory_state memory_read(const char *root);

/* The value in KiB of a line of /proc/meminfo, such as "MemAvailable"; -1 without one. */
int64_t memory_meminfo_kib(slice meminfo, const char *name);

#endif
