/*
 * Options of the sanitizers in the tests' workers (tests/sanitize.mk), whose environment is the
 * tests' own: a handler that crashes on purpose dies of its signal, as in the worker that ships.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigfpe=0:"
           "allocator_may_return_null=1";
}
