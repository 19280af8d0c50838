/*
 * Prints when its constructors, destructors and exit handlers run. Built as two libraries, of which
 * one needs the other (NAME is its own function, NEXT the one that it calls in the other).
 */
#include <stdio.h>
#include <stdlib.h>

#define TEXT(name) #name
#define SAY(name, what) puts(TEXT(name) ": " what)

#ifdef NEXT
int NEXT(void);
#else
#define NEXT() 0
#endif

static int started;

static void handler(void)
{
    SAY(NAME, "handler registered by a constructor");
}

static void late_handler(void)
{
    SAY(NAME, "handler registered later");
}

void begin(void);
void end(void);
void begin(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    SAY(NAME, "DT_INIT");
}
void end(void)
{
    SAY(NAME, "DT_FINI");
    fflush(stdout);
}

__attribute__((constructor)) static void construct(int argc, char **argv, char **envp)
{
    started = 1;
    atexit(handler);
    SAY(NAME, "constructor");
    if (argc < 1 || argv[0] == NULL || envp == NULL)
        SAY(NAME, "has not main's arguments");
}

__attribute__((constructor(101))) static void construct_first(void)
{
    SAY(NAME, "first constructor");
}

__attribute__((destructor)) static void destruct(void)
{
    SAY(NAME, "destructor");
}

__attribute__((visibility("default"))) int NAME(void);
int NAME(void)
{
    return started && NEXT() == 0 ? 0 : 1;
}

__attribute__((visibility("default"))) const char *use(void);
const char *use(void)
{
    atexit(late_handler);
    return NAME() == 0 ? NULL : "what it needs was not started before it";
}
