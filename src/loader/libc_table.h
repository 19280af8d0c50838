/*
 * loader/libc_table.h - the glibc names that this program answers for loaded libraries.
 *
 * The table itself, sorted, with the reason for each wrapper, is loader/libc_names.def. Pure; any
 * thread.
 */
#ifndef LOADER_LIBC_TABLE_H
#define LOADER_LIBC_TABLE_H

#include <stddef.h>

/* The function or variable that stands for glibc's of that name; NULL if the table lacks it. */
void *libc_symbol(const char *name);

/* For tests: the number of names, and the name at an index below that. */
size_t libc_name_count(void);
const char *libc_name(size_t index);

#endif
