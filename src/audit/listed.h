/*
 * audit/listed.h - the list of audit/landlock.h, looked at without the kernel: what it would let a
 * thread do, where nothing is to be refused. Filled in first, then read by any thread.
 */
#ifndef AUDIT_LISTED_H
#define AUDIT_LISTED_H

#include <stdbool.h>
#include <stdint.h>

/* As landlock_allow_path: 0, or an errno. What does not fit is left out. */
int listed_add_path(const char *path, unsigned access);

/* A port to connect to. */
void listed_add_port(uint16_t port);
bool listed_port(uint16_t port);

/*
 * What may be done with that file or folder, as enum landlock_access of audit/landlock.h. 0, or -1
 * with errno set where it is not there. Takes 16 KiB of stack.
 */
int listed_access(const char *path, unsigned *access);

/* The same of the folder that it is in, or would be. */
int listed_folder_access(const char *path, unsigned *access);

#endif
