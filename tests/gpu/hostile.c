/*
 * A library with a table of every kind and no code that runs when it is loaded: tests damage the
 * contents of its tables and load the result.
 */
#define SHOWN __attribute__((visibility("default")))

SHOWN int shown = 1;
SHOWN _Thread_local int of_each_thread = 3;
extern int nobody __attribute__((weak)); /* searched for in every hash table */
extern _Thread_local int nobody_of_each_thread __attribute__((weak));
static int number;
static int *const addresses[] = { &number, &number };

SHOWN int *use(int i);
int *use(int i)
{
    switch (i) {
    case 0: return &shown;
    case 1: return &nobody;
    case 2: return &of_each_thread;
    case 3: return &nobody_of_each_thread;
    default: return addresses[i & 1];
    }
}
