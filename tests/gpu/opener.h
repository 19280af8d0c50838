/*
 * tests/gpu/opener.h - opens libraries: with the loader of src/loader in a static program on musl,
 * or with dlopen on glibc (-DON_GLIBC), so that one source makes both programs of a comparison.
 */
#ifndef TESTS_GPU_OPENER_H
#define TESTS_GPU_OPENER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef ON_GLIBC
#include <dlfcn.h>
#else
#include "base/log.h"
#include "loader/loader.h"
#endif

static void die(const char *what)
{
    printf("%s\n", what);
    exit(1);
}

#ifdef ON_GLIBC
typedef void library;
static library *try_open(const char *path)
{
    library *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (lib == NULL)
        printf("%s\n", dlerror());
    return lib;
}
static void *symbol(library *lib, const char *name)
{
    return dlsym(lib, name);
}
static void enter(void)
{
}
#else
typedef struct loader_lib library;
static library *try_open(const char *path)
{
    struct err err;
    library *lib = NULL;
    if (loader_open(path, &lib, &err) != 0) {
        printf("%d %s\n", err.code, err.text);
        return NULL;
    }
    return lib;
}
static void *symbol(library *lib, const char *name)
{
    return loader_symbol(lib, name);
}
static void enter(void)
{
    loader_enter();
}
#endif

static library *open_library(const char *path)
{
    library *lib = try_open(path);
    if (lib == NULL)
        exit(1);
    return lib;
}

/* Puts a symbol's address into a function pointer of any type. */
#define WANT(lib, name, function)            \
    do {                                     \
        void *at = symbol(lib, name);        \
        if (at == NULL)                      \
            die("no " name);                 \
        memcpy(&(function), &at, sizeof at); \
    } while (0)

#endif
