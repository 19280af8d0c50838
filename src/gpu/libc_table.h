/*
 * gpu/libc_table.h - glibc's names, answered by this program.
 *
 * The table itself, sorted, with each wrapper's reason, is gpu/libc_names.def.
 */
#ifndef GPU_LIBC_TABLE_H
#define GPU_LIBC_TABLE_H

#include <stddef.h>

/* Address of the function or variable that stands for glibc's of that name; NULL: not in the table. Pure. */
void *libc_symbol(const char *name);

/* How many names there are, and one of them, for tests of the table. */
size_t libc_name_count(void);
const char *libc_name(size_t index);

#endif
