/*
 * audit/landlock.h - the kernel's own list of files and ports of a thread: landlock(7). Files and
 * folders are those that are there when they are allowed, wherever they are moved to.
 */
#ifndef AUDIT_LANDLOCK_H
#define AUDIT_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum landlock_access {
    LANDLOCK_READS = 1,  /* files are read, folders listed */
    LANDLOCK_WRITES = 2, /* files and folders are made, written, moved and removed */
};

/*
 * What the kernel can hold a thread to; 0: it has no Landlock, it is switched off, or it is that of
 * before Linux 5.19, which refuses to move files between folders that are allowed.
 */
int landlock_version(void);

/* From that version on: files are moved between folders. */
#define LANDLOCK_VERSION_MOVES 2

/* From that version on: connections and ports of TCP. */
#define LANDLOCK_VERSION_PORTS 4

/*
 * An empty list: no file, and no port to listen on; of connections too if `connects`. A descriptor
 * of the caller's, or -1 with errno set.
 */
int landlock_new(int version, bool connects);

/*
 * Adds a file, or a folder and what is below it. 0, or an errno; ENOENT or another of open(2) where
 * it cannot be opened.
 */
int landlock_allow_path(int list, int version, const char *path, unsigned access);

/* Adds a port of TCP to connect to or to listen on (0: any free one). 0, or an errno. */
int landlock_allow_port(int list, uint16_t port, bool listens);

/*
 * The calling thread, and those that it starts from then on, are held to the list; for good. It
 * needs no_new_privs. 0, or an errno.
 */
int landlock_install(int list);

#endif
