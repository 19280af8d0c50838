/*
 * tests/unit/loading.h - what the loader's tests share: libraries made by hand (library.h) are
 * written into a folder of the test, loaded from there and examined. A helper that fails ends the
 * test.
 */
#ifndef TESTS_UNIT_LOADING_H
#define TESTS_UNIT_LOADING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "library.h"
#include "loader/loader.h"
#include "loader/loader_private.h"
#include "loader/thread_storage.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char folder[] = "/tmp/loader-XXXXXX";
static struct library lib; /* the one being made */

static inline const char *in_folder(const char *name)
{
    static char paths[4][64];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline void write_lib(const char *name)
{
    library_write(&lib, in_folder(name));
}

static inline struct loader_lib *load(const char *name)
{
    struct loader_lib *loaded = NULL;
    struct err err = { 0 };
    if (loader_open(in_folder(name), &loaded, &err) != 0)
        fail_msg("%s: %d %s", name, err.code, err.text);
    return loaded;
}

static inline struct loader_lib *write_and_load(const char *name)
{
    write_lib(name);
    return load(name);
}

static inline uint64_t word(const struct loader_lib *loaded, uint64_t address)
{
    uint64_t value;
    memcpy(&value, loaded->base + address, sizeof value);
    return value;
}

static inline uint64_t address_in(const struct loader_lib *loaded, uint64_t address)
{
    return (uint64_t)(uintptr_t)(loaded->base + address);
}

static inline size_t count_libs(void)
{
    size_t count = 0;
    for (const struct loader_lib *each = loader_libs; each != NULL; each = each->next)
        count++;
    return count;
}

static inline bool is_mapped(const char *name)
{
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        found |= strstr(line, name) != NULL;
    fclose(maps);
    return found;
}

/* Loading it fails with such an error, which names a file, and leaves no trace. */
static inline void fails(const char *name, int code, const char *text)
{
    struct loader_lib *loaded = NULL;
    struct err err = { 0 };
    size_t libs = count_libs(), stubs = loader_missing_count();
    unsigned blocks = thread_storage_count();
    int rc = loader_open(in_folder(name), &loaded, &err);
    if (rc != code || err.code != code || strstr(err.text, text) == NULL)
        fail_msg("%s: %d (%d) %s\nnot %d %s", name, rc, err.code, err.text, code, text);
    assert_non_null(strstr(err.text, folder));
    assert_false(is_mapped(in_folder(name)));
    assert_int_equal(count_libs(), libs);
    assert_int_equal(loader_missing_count(), stubs);
    assert_int_equal(thread_storage_count(), blocks);
}

/* A library that defines the name as its DATA(20). */
static inline void write_definer(const char *file, const char *name, const char *needed)
{
    library_begin(&lib, NULL);
    library_symbol(&lib, name, STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(20));
    if (needed != NULL)
        library_need(&lib, needed);
    write_lib(file);
}

static inline struct loader_lib *find_lib(const char *name)
{
    struct loader_lib *each = loader_libs;
    while (each != NULL && strcmp(each->name, name) != 0)
        each = each->next;
    if (each == NULL)
        fail_msg("%s is not loaded", name);
    return each;
}

static inline int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static inline int remove_folder(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

#endif
