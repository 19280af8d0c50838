/* loader/libc_heap: blocks keep their bytes, are aligned, are used again, and mix with musl's. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loader/libc_private.h"

enum { SLOTS = 200, ROUNDS = 3000, THREADS = 4, LARGE = 5 << 20 };
enum { PAGE_BYTES = 4096, BLOCKS = 24, BLOCK_BYTES = 3 << 20 };

static uint32_t roll(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Most are small, some of each doubling up to a few that are musl's. */
static size_t some_size(uint32_t *state)
{
    uint32_t kind = roll(state) % 1000;
    if (kind == 0)
        return LARGE;
    return roll(state) % (kind < 800 ? 300 : (size_t)1 << (9 + kind % 10));
}

struct slot {
    unsigned char *memory;
    size_t size;
    unsigned char mark;
};

static void fill(struct slot *slot, uint32_t *state)
{
    slot->mark = (unsigned char)roll(state);
    memset(slot->memory, slot->mark, slot->size);
}

static bool is_whole(const unsigned char *memory, size_t size, unsigned char mark)
{
    for (size_t i = 0; i < size; i++)
        if (memory[i] != mark)
            return false;
    return true;
}

/* One step with a slot; false when something is wrong. */
static bool step(struct slot *slot, uint32_t *state)
{
    size_t before = slot->size, size = some_size(state), align = (size_t)8 << roll(state) % 12;
    if (slot->memory != NULL && !is_whole(slot->memory, before, slot->mark))
        return false;
    uint32_t what = roll(state) % 4;
    if (slot->memory != NULL && what == 0 && size > 0) {
        slot->memory = libc_realloc(slot->memory, size);
        slot->size = size;
        return slot->memory != NULL &&
               is_whole(slot->memory, size < before ? size : before, slot->mark) &&
               (fill(slot, state), true);
    }
    libc_free(slot->memory);
    *slot = (struct slot){ .size = size };
    if (what == 1) {
        slot->memory = libc_calloc(1, size);
        if (slot->memory == NULL || !is_whole(slot->memory, size, 0))
            return false;
    } else if (what == 2) {
        void *memory = NULL;
        if (libc_posix_memalign(&memory, align, size) != 0 || (uintptr_t)memory % align != 0)
            return false;
        slot->memory = memory;
    } else {
        slot->memory = libc_malloc(size);
    }
    if (slot->memory == NULL || (uintptr_t)slot->memory % 16 > 0)
        return what == 2 && align < 16 && slot->memory != NULL;
    fill(slot, state);
    return true;
}

/* NULL, or what was wrong. */
static void *work(void *seed)
{
    static char wrong[] = "a block has lost its bytes or its alignment";
    struct slot slots[SLOTS] = { 0 };
    uint32_t state = *(uint32_t *)seed;
    for (int i = 0; i < ROUNDS; i++)
        if (!step(&slots[roll(&state) % SLOTS], &state))
            return wrong;
    for (int i = 0; i < SLOTS; i++)
        libc_free(slots[i].memory);
    return NULL;
}

static void before_it_is_open_all_is_musls(void **state)
{
    (void)state;
    void *memory = libc_malloc(100);
    assert_non_null(memory);
    free(memory);
    memory = libc_aligned_alloc(64, 128);
    assert_non_null(memory);
    free(memory);
    libc_heap_open();
}

static void blocks_keep_their_bytes(void **state)
{
    (void)state;
    uint32_t seed = 1;
    assert_null(work(&seed));
}

static void free_neighbours_become_one_block(void **state)
{
    enum { COUNT = 1000 };
    static void *blocks[COUNT];
    (void)state;
    for (int i = 0; i < COUNT; i++)
        blocks[i] = libc_malloc((size_t)i * 7);
    void *first = blocks[0];
    for (int i = 0; i < COUNT; i += 2)
        libc_free(blocks[i]);
    for (int i = 1; i < COUNT; i += 2)
        libc_free(blocks[i]);
    void *all = libc_malloc(3000000);
    assert_ptr_equal(all, first);
    libc_free(all);
}

static void what_is_musls_stays_so(void **state)
{
    (void)state;
    char *text = strdup("of musl");
    text = libc_realloc(text, 5000);
    assert_string_equal(text, "of musl");
    libc_free(text);
    assert_null(libc_realloc(libc_malloc(10), 0));
    libc_free(NULL);
}

/* To its last byte; a little more or less is had without a copy. */
static void all_that_is_usable_is_the_users(void **state)
{
    enum { COUNT = 64 };
    unsigned char *blocks[COUNT];
    size_t usable[COUNT];
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = libc_malloc(i * 5);
        usable[i] = libc_malloc_usable_size(blocks[i]);
        assert_true(usable[i] >= i * 5 && usable[i] < i * 5 + 32);
        memset(blocks[i], (int)i, usable[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(is_whole(blocks[i], usable[i], (unsigned char)i));
        assert_ptr_equal(libc_realloc(blocks[i], usable[i]), blocks[i]);
        assert_ptr_equal(libc_reallocarray(blocks[i], 1, usable[i] / 2), blocks[i]);
        assert_true(is_whole(blocks[i], usable[i], (unsigned char)i));
        libc_free(blocks[i]);
    }
    char *text = strdup("of musl");
    assert_int_equal(libc_malloc_usable_size(text), malloc_usable_size(text));
    libc_free(text);
}

static void lines_are_read_into_memory_of_either(void **state)
{
    char text[] = "first\nand a second, longer line\n";
    size_t size = 4;
    (void)state;
    FILE *file = fmemopen(text, strlen(text), "r");
    char *line = libc_malloc(size);
    assert_int_equal(libc_getline(&line, &size, file), 6);
    assert_string_equal(line, "first\n");
    assert_int_equal(libc_getdelim(&line, &size, ',', file), 13);
    assert_string_equal(line, "and a second,");
    libc_free(line);
    errno = 0;
    assert_int_equal(libc_getline(NULL, &size, file), -1);
    assert_int_equal(errno, EINVAL);
    fclose(file);
}

static void a_free_block_serves_its_own_size(void **state)
{
    (void)state;
    for (size_t size = 40; size < 100000; size = size * 5 / 4) {
        void *first = libc_malloc(size), *pin = libc_malloc(16);
        libc_free(first);
        void *again = libc_malloc(size);
        assert_ptr_equal(again, first);
        libc_free(again);
        libc_free(pin);
    }
}

/* Of which the rest stays free, and is used next. */
static void a_larger_free_block_serves_a_smaller_size(void **state)
{
    (void)state;
    for (size_t size = 2000; size < 400000; size *= 2) {
        char *first = libc_malloc(size), *pin = libc_malloc(16);
        libc_free(first);
        char *half = libc_malloc(size / 2), *rest = libc_malloc(size / 4);
        assert_ptr_equal(half, first);
        assert_true(rest > half && rest < pin);
        libc_free(half);
        libc_free(rest);
        libc_free(pin);
    }
}

static size_t pages_there(const unsigned char *memory, size_t size)
{
    unsigned char there[BLOCK_BYTES / PAGE_BYTES];
    uintptr_t page = ((uintptr_t)memory + PAGE_BYTES - 1) & ~(uintptr_t)(PAGE_BYTES - 1);
    size_t pages = size / PAGE_BYTES - 1, count = 0;
    assert_int_equal(mincore((void *)page, pages * PAGE_BYTES, there), 0);
    for (size_t i = 0; i < pages; i++)
        count += there[i] & 1;
    return count;
}

/* What lies unused at the end goes back to the system, and nothing of what is used before it. */
static void the_end_goes_back(void **state)
{
    unsigned char *blocks[BLOCKS], *kept = libc_malloc(100000);
    (void)state;
    memset(kept, 77, 100000);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = libc_malloc(BLOCK_BYTES);
        memset(blocks[i], i, BLOCK_BYTES);
    }
    assert_true(pages_there(blocks[BLOCKS - 1], BLOCK_BYTES) > 0);
    for (int i = 0; i < BLOCKS; i++)
        libc_free(blocks[i]);
    assert_int_equal(pages_there(blocks[BLOCKS - 1], BLOCK_BYTES), 0);
    assert_true(is_whole(kept, 100000, 77));
    memset(blocks[0] = libc_malloc(BLOCK_BYTES), 1, BLOCK_BYTES);
    assert_true(is_whole(kept, 100000, 77));
    libc_free(blocks[0]);
    libc_free(kept);
}

static void impossible_requests_fail(void **state)
{
    void *memory = &memory;
    volatile size_t huge = SIZE_MAX / 2;
    (void)state;
    assert_int_equal(libc_posix_memalign(&memory, 24, 8), EINVAL);
    assert_int_equal(libc_posix_memalign(&memory, 4, 8), EINVAL);
    assert_ptr_equal(memory, &memory);
    assert_null(libc_reallocarray(NULL, huge, 3));
    assert_int_equal(errno, ENOMEM);
#ifndef __GLIBC__ /* under AddressSanitizer, which ends the process at such requests */
    assert_null(libc_malloc(huge));
    assert_null(libc_calloc(huge, 3));
    assert_null(libc_aligned_alloc(3, 8));
#endif
}

static void a_second_free_ends_the_process(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        void *memory = libc_malloc(100), *behind = libc_malloc(100);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        libc_free(memory);
        libc_free(memory);
        libc_free(behind);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void threads_share_it(void **state)
{
    pthread_t threads[THREADS];
    uint32_t seeds[THREADS];
    (void)state;
    for (uint32_t i = 0; i < THREADS; i++) {
        seeds[i] = 100 + i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &seeds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_it_is_open_all_is_musls),
        cmocka_unit_test(free_neighbours_become_one_block),
        cmocka_unit_test(blocks_keep_their_bytes),
        cmocka_unit_test(free_neighbours_become_one_block),
        cmocka_unit_test(what_is_musls_stays_so),
        cmocka_unit_test(all_that_is_usable_is_the_users),
        cmocka_unit_test(lines_are_read_into_memory_of_either),
        cmocka_unit_test(a_free_block_serves_its_own_size),
        cmocka_unit_test(a_larger_free_block_serves_a_smaller_size),
        cmocka_unit_test(the_end_goes_back),
        cmocka_unit_test(impossible_requests_fail),
        cmocka_unit_test(a_second_free_ends_the_process),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests_name("libc_heap", tests, NULL, NULL);
}
