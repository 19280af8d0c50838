/*
 * A CUDA driver whose calls are functions of this program: a library made by hand (library.h) names
 * them by their addresses. It remembers what it was asked for, and fails where it is told to. Its
 * two devices share a little memory; the kernel rp_check computes what the fitness check's does.
 */
#ifndef TESTS_DRIVER_H
#define TESTS_DRIVER_H

#include <stdbool.h>
#include <stddef.h>

struct driver {
    const char *failing; /* the call, as cuda.h names it, that ends with `result`; NULL: none */
    unsigned passes;     /* so often it goes well before */
    int result;
    const char *lacking;                            /* a call that it does not have */
    enum { REFUSES, STAYS_SILENT, MISLEADS } lacks; /* how it says so */
    bool hangs, crashes;                            /* when it is started */
    bool spoils_memory, spoils_results;
    int version, devices;
    float elapsed_ms;
};
extern struct driver driver; /* all 0: driver_begin sets version and devices */

/*
 * Writes libcuda.so.1 into the folder, and sets `driver` to one without fault. is_older: it has the
 * first version of cuGetProcAddress only, and cannot set what a pool keeps.
 */
void driver_begin(const char *folder, bool is_older);

/* What it was asked for since the last time, each call with a semicolon. */
const char *driver_said(void);

#endif
