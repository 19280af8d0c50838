/*
 * audit/refused_call.h - a system call that is not among what --audit prints, and the line on it.
 */
#ifndef AUDIT_REFUSED_CALL_H
#define AUDIT_REFUSED_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/signal_line.h"

#define REFUSED_CALL_HINT "; --audit prints what is allowed"
#define REFUSED_CALL_HINT_FILE "; --confine-read and --confine-write allow more files"
#define REFUSED_CALL_HINT_CHANGE "; --confine-write allows more files, if their folder's mode does"

/* What the arguments of a call are: a path first, a folder and a path, a socket and an address. */
enum call_form { FORM_OTHER, FORM_PATH, FORM_AT, FORM_ADDRESS };

struct call_kind {
    uint16_t number;
    uint8_t form; /* enum call_form */
    char name[13];
};

struct refused_call {
    int number;
    bool is_foreign; /* of another kind of processor: the number means something else */
    long arguments[6];
    const struct call_kind *kind; /* NULL: none of those with a name; number and is_foreign say */
};

/* Fills in the kind. Async-signal-safe, as are all others here. */
void refused_call_name(struct refused_call *call);

bool refused_call_has_path(const struct refused_call *call);

/* The address of the path of one that has_path. */
uintptr_t refused_call_path(const struct refused_call *call);

/* The descriptor of the folder that it begins at. */
int refused_call_folder(const struct refused_call *call);

/* It opens a file, with these flags. */
bool refused_call_is_open(const struct refused_call *call);
int refused_call_open_flags(const struct refused_call *call);

/* The kernel's O_ACCMODE: musl's has O_PATH in it. With both bits a file is for ioctl(2) alone. */
#define REFUSED_CALL_ACCMODE 3

/* What such flags ask of the file's mode: R_OK, W_OK or both. To empty a file is to write it. */
int refused_call_open_mode(int flags);

/* Adds its name, and of those that have one the path (NULL: none) or port (negative: none). */
void refused_call_put(struct signal_line *line, const struct refused_call *call, const char *path,
                      int port);

#endif
