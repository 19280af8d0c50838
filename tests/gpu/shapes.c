/*
 * Features that only some of the real libraries use: relative relocations as bits (RELR, if the
 * linker supports it), indirect functions, and names that nobody defines.
 */
#include <stddef.h>

#define CHECK(name) __attribute__((visibility("default"))) const char *name(void)

static int one(void)
{
    return 1;
}

static int two(void)
{
    return 2;
}

/* Many pointers, some far apart: words and bitmaps of RELR. */
static int (*volatile const table[])(void) = { one, two, NULL, one, two, one, NULL, NULL, two };
static int numbers[600];
static int *far_apart[200] = { [0] = &numbers[0], [64] = &numbers[64], [199] = &numbers[199] };

CHECK(pointers)
{
    if (table[0]() != 1 || table[4]() != 2 || table[2] != NULL || table[8]() != 2)
        return "a table of functions";
    for (size_t i = 0; i < 200; i++)
        if (far_apart[i] != (i == 0 || i == 64 || i == 199 ? &numbers[i] : NULL))
            return "a table of addresses";
    return NULL;
}

#ifdef WITH_INDIRECT
static int (*choose(void))(void)
{
    return table[0] == NULL ? one : two; /* other relocations have been done */
}
__attribute__((ifunc("choose"), visibility("default"))) int chosen(void);
__attribute__((ifunc("choose"))) static int chosen_here(void);
int (*chosen_pointer)(void) = chosen;

CHECK(indirect)
{
    if (chosen() != 2 || chosen_here() != 2 || chosen_pointer() != 2)
        return "another function";
    return NULL;
}

/* Visible, so that the resolver reaches it through a symbolic relocation. */
__attribute__((visibility("default"))) int number_to_choose = 2;

static int (*choose_by_symbol(void))(void)
{
    return number_to_choose == 2 ? two : one;
}
__attribute__((ifunc("choose_by_symbol"), visibility("default"))) int chosen_by_symbol(void);
int (*chosen_by_symbol_pointer)(void) = chosen_by_symbol;

CHECK(indirect_by_symbol)
{
    return chosen_by_symbol() == 2 && chosen_by_symbol_pointer() == 2 ? NULL : "another function";
}
#endif

/* Its relocation follows those that call the resolver: glibc crashes, this loader does not. */
#ifdef WITH_RESOLVER_THAT_CALLS
__attribute__((visibility("default"), noinline)) int called_by_resolver(void);
int called_by_resolver(void)
{
    return 2;
}

static int (*choose_by_call(void))(void)
{
    return called_by_resolver() == 2 ? two : one;
}
__attribute__((ifunc("choose_by_call"), visibility("default"))) int chosen_by_call(void);
int (*chosen_by_call_pointer)(void) = chosen_by_call;

CHECK(indirect_by_call)
{
    return chosen_by_call() == 2 && chosen_by_call_pointer() == 2 ? NULL : "another function";
}
#endif

#ifdef MISSING_FUNCTION
void no_such_function_of_glibc(void);
__asm__(".type no_such_function_of_glibc, @function");
CHECK(call_missing)
{
    no_such_function_of_glibc();
    return "came back";
}
#endif

#ifdef MISSING_VARIABLE
extern int no_such_variable_of_glibc;
__asm__(".type no_such_variable_of_glibc, @object");
CHECK(read_missing)
{
    return no_such_variable_of_glibc ? "1" : "0";
}
#endif

extern int no_such_weak_variable __attribute__((weak));
void no_such_weak_function(void) __attribute__((weak));
CHECK(weak_ones)
{
    return &no_such_weak_variable == NULL && no_such_weak_function == NULL ? NULL : "not NULL";
}
