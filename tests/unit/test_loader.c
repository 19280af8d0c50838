/* loader: libraries made by hand are mapped, loaded with their dependencies, or refused. */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descriptors.h"
#include "loader/libc_private.h"
#include "loading.h"

/* --- mapping -------------------------------------------------------------------------------- */

static void segments_are_aligned_as_they_ask(void **state)
{
    int before = open_descriptors();
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "aligned-%u.so", i);
        library_begin(&lib, NULL);
        lib.image.parts[0].p_align = 1u << 20;
        const struct loader_lib *loaded = write_and_load(name);
        assert_int_equal((uintptr_t)loaded->base % (1u << 20), 0);
        assert_memory_equal(loaded->base, &lib.image, LIBRARY_PAGE);
        assert_int_equal(word(loaded, LIBRARY_END - 8), 0);
    }
    assert_int_equal(open_descriptors(), before);
}

/* This process's address space. */
static size_t address_space_bytes(void)
{
    char text[64];
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    return strtoul(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* What had to be reserved to get an aligned address is given back, before it and behind it. */
static void alignment_takes_no_room(void **state)
{
    enum { LIBRARIES = 4 };
    (void)state;
    size_t before = address_space_bytes();
    for (unsigned i = 0; i < LIBRARIES; i++) {
        char name[32];
        snprintf(name, sizeof name, "sparse-%u.so", i);
        library_begin(&lib, NULL);
        lib.image.parts[0].p_align = ELF_ALIGN_MAX;
        assert_int_equal((uintptr_t)write_and_load(name)->base % ELF_ALIGN_MAX, 0);
    }
    assert_true(address_space_bytes() - before < ELF_ALIGN_MAX / 16);
}

/* A segment that ends within a page of the file: what follows there is not its own. */
static void memory_beyond_the_file_is_zero(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    memset(lib.image.rest, 0xff, sizeof lib.image.rest);
    lib.image.parts[2].p_filesz = LIBRARY_AT(rest) + 16 - LIBRARY_AT(dynamic);
    const struct loader_lib *loaded = write_and_load("tail.so");
    assert_int_equal(word(loaded, LIBRARY_AT(rest) + 8), UINT64_MAX);
    for (uint64_t at = LIBRARY_AT(rest) + 16; at < LIBRARY_END; at += 8)
        assert_int_equal(word(loaded, at), 0);
}

/* What follows in the file is there, too, and nothing is written to what is only read. */
static void a_segment_ends_within_a_page(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    library_symbol(&lib, "reads", STT_FUNC, STB_GLOBAL, library_code_read(&lib, LIBRARY_DATA(0)));
    lib.image.data[0] = 5;
    lib.image.parts[1].p_filesz = lib.image.parts[1].p_memsz = 200;
    struct loader_lib *loaded = write_and_load("part-of-a-page.so");
    uint64_t (*reads)(void);
    void *address = loader_symbol(loaded, "reads");
    memcpy(&reads, &address, sizeof reads);
    assert_int_equal(reads(), 5);
}

static void what_cannot_be_loaded_as_a_library(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    library_dynamic(&lib, DT_TEXTREL, 0);
    write_lib("textrel.so");
    fails("textrel.so", ERR_INPUT, "it has relocations in its code");
    library_begin(&lib, NULL);
    library_dynamic(&lib, DT_FLAGS_1, 0x08000000); /* DF_1_PIE */
    write_lib("program.so");
    fails("program.so", ERR_INPUT, "it is a program, not a library");
    fails("not-there.so", ERR_CONFIG, "it cannot be opened: No such file");
    assert_int_equal(mkdir(in_folder("folder.so"), 0700), 0);
    fails("folder.so", ERR_CONFIG, "it is not a regular file");
    assert_int_equal(mkfifo(in_folder("fifo.so"), 0600), 0); /* is not waited for */
    fails("fifo.so", ERR_CONFIG, "it is not a regular file");
    FILE *empty = fopen(in_folder("empty.so"), "w");
    assert_true(empty != NULL && fclose(empty) == 0);
    fails("empty.so", ERR_INPUT, "it is empty");
}

/* --- thread-local storage ------------------------------------------------------------------- */

/* Relocations of all kinds for offset 8 of a block, from DATA(at) on. */
static void relocate_thread_local(unsigned at, unsigned symbol, uint64_t addend)
{
    library_relocate(&lib, LIBRARY_DATA(at), LIBRARY_THREAD_MODULE, symbol, 0);
    library_relocate(&lib, LIBRARY_DATA(at + 1), LIBRARY_THREAD_PLACE, symbol, addend);
    library_relocate(&lib, LIBRARY_DATA(at + 2), LIBRARY_THREAD_OFFSET, symbol, addend);
    library_relocate(&lib, LIBRARY_DATA(at + 3), LIBRARY_THREAD_DESCRIPTOR, symbol, addend);
}

/* Checks them, and returns this thread's variable. */
static uint64_t *thread_variable(const struct loader_lib *loaded, unsigned at, unsigned id)
{
    const uint64_t which[] = { word(loaded, LIBRARY_DATA(at)), word(loaded, LIBRARY_DATA(at + 1)) };
    assert_int_equal(which[0], id);
    assert_int_equal(which[1], 8);
    char *variable = thread_storage_get_addr(which);
    uint64_t offset = (uint64_t)(variable - (char *)__builtin_thread_pointer());
    assert_int_equal(word(loaded, LIBRARY_DATA(at + 2)), offset);
    assert_int_equal(word(loaded, LIBRARY_DATA(at + 3)), (uintptr_t)&thread_storage_descriptor);
    assert_int_equal(word(loaded, LIBRARY_DATA(at + 4)), offset);
    return (uint64_t *)(void *)variable;
}

static struct loader_lib *user;

static void *use_in_thread(void *unused)
{
    uint64_t *variable = loader_symbol(user, "of_all_threads");
    *(bool *)unused = *variable == 22;
    *variable = 99;
    return variable;
}

static void a_thread_local_variable_of_another_library(void **state)
{
    pthread_t thread;
    bool is_fresh = false;
    void *other;
    (void)state;
    library_begin(&lib, NULL);
    library_thread_local(&lib, 11, 22);
    library_symbol(&lib, "of_all_threads", STT_TLS, STB_GLOBAL, 8);
    write_lib("owner.so");
    library_begin(&lib, NULL);
    library_need(&lib, "owner.so");
    library_thread_local(&lib, 33, 44);
    relocate_thread_local(
        0, library_symbol(&lib, "of_all_threads", STT_TLS, STB_GLOBAL, LIBRARY_UNDEFINED), 0);
    relocate_thread_local(5, 0, 8); /* its own */
    user = write_and_load("user.so");
    const struct loader_lib *owner = find_lib("owner.so");
    assert_int_not_equal(owner->storage_id, 0);
    assert_int_not_equal(owner->storage_id, user->storage_id);
    uint64_t *theirs = thread_variable(user, 0, owner->storage_id);
    uint64_t *own = thread_variable(user, 5, user->storage_id);
    assert_int_equal(*theirs, 22);
    assert_int_equal(*own, 44);
    assert_ptr_equal(loader_symbol(user, "of_all_threads"), theirs);
    assert_int_equal(pthread_create(&thread, NULL, use_in_thread, &is_fresh), 0);
    assert_int_equal(pthread_join(thread, &other), 0);
    assert_true(is_fresh);
    assert_ptr_not_equal(other, theirs);
    assert_int_equal(*theirs, 22);
}

/* A thread that enters before a library is loaded, and ends when it is told to. */
struct early {
    pthread_t thread;
    pthread_barrier_t entered, go_on;
    bool is_of_library; /* started as by a library, which enters for it */
    bool is_filled;     /* with the library's storage */
};

static void *enter_early(void *argument)
{
    struct early *early = argument;
    uint64_t value = 0;
    if (!early->is_of_library)
        loader_enter();
    pthread_barrier_wait(&early->entered);
    pthread_barrier_wait(&early->go_on);
    if (user != NULL)
        memcpy(&value, (char *)__builtin_thread_pointer() + thread_storage_offset(user->storage_id),
               sizeof value);
    early->is_filled = value == 77;
    return NULL;
}

static void start_early(struct early *early)
{
    pthread_barrier_init(&early->entered, NULL, 2);
    pthread_barrier_init(&early->go_on, NULL, 2);
    if (early->is_of_library)
        assert_int_equal(libc_thread_create(&early->thread, NULL, enter_early, early), 0);
    else
        assert_int_equal(pthread_create(&early->thread, NULL, enter_early, early), 0);
    pthread_barrier_wait(&early->entered);
}

static bool end_early(struct early *early)
{
    pthread_barrier_wait(&early->go_on);
    assert_int_equal(pthread_join(early->thread, NULL), 0);
    pthread_barrier_destroy(&early->entered);
    pthread_barrier_destroy(&early->go_on);
    return early->is_filled;
}

/* Others have ended before it is loaded, in another order than they came. */
static void threads_that_were_there_before_the_library(void **state)
{
    struct early early[4] = { { .is_filled = false } };
    (void)state;
    user = NULL;
    for (size_t i = 0; i < COUNT(early); i++) {
        early[i].is_of_library = i >= 2;
        start_early(&early[i]);
    }
    assert_false(end_early(&early[0]));
    assert_false(end_early(&early[2]));
    library_begin(&lib, NULL);
    library_thread_local(&lib, 77, 0);
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_THREAD_OFFSET, 0, 0);
    user = write_and_load("late.so");
    assert_true(end_early(&early[1]));
    assert_true(end_early(&early[3]));
}

/* As CUDA's libraries have it: whole pages, and only reached by asking for the address. */
static void a_block_of_pages_is_filled_when_a_thread_asks_for_it(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    library_thread_local(&lib, 5, 6);
    Elf64_Phdr *block = &lib.image.parts[lib.part_count - 1];
    block->p_align = ELF_TLS_ALIGN_MAX;
    block->p_memsz = 2 * ELF_TLS_ALIGN_MAX;
    lib.image.parts[2].p_memsz = 4 * ELF_TLS_ALIGN_MAX;
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_THREAD_MODULE, 0, 0);
    const struct loader_lib *loaded = write_and_load("pages.so");
    const uint64_t which[] = { word(loaded, LIBRARY_DATA(0)), 0 };
    const uint64_t *variable = thread_storage_get_addr(which);
    assert_int_equal((uintptr_t)variable % ELF_TLS_ALIGN_MAX,
                     loaded->head.tls->p_vaddr % ELF_TLS_ALIGN_MAX);
    assert_int_equal(variable[0], 5);
    assert_int_equal(variable[1], 6);
    assert_int_equal(variable[2], 0);
}

static void more_thread_local_storage_than_there_is(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    library_thread_local(&lib, 1, 2);
    lib.image.parts[lib.part_count - 1].p_memsz = THREAD_STORAGE_BYTES + 1;
    lib.image.parts[2].p_memsz = 2 * THREAD_STORAGE_BYTES;
    write_lib("large.so");
    fails("large.so", ERR_LIMIT, "bytes of thread-local storage, which do not fit");
    /* The whole pool, of which others have taken some. */
    lib.image.parts[lib.part_count - 1].p_memsz = THREAD_STORAGE_BYTES;
    write_lib("full.so");
    fails("full.so", ERR_LIMIT, "bytes of thread-local storage, which do not fit");
}

static void more_libraries_with_thread_local_storage_than_there_may_be(void **state)
{
    Elf64_Phdr segment = { .p_type = PT_TLS, .p_filesz = 4, .p_memsz = 8, .p_align = 8 };
    unsigned before = thread_storage_count();
    struct err err = { 0 };
    (void)state;
    for (unsigned i = before; i < THREAD_STORAGE_LIBS_MAX; i++)
        assert_int_equal(thread_storage_reserve(&segment, "one", &err), i + 1);
    assert_int_equal(thread_storage_reserve(&segment, "one", &err), ERR_LIMIT);
    assert_string_equal(err.text, "more than 64 libraries have thread-local storage");
    const uint64_t last[] = { THREAD_STORAGE_LIBS_MAX, 0 };
    assert_string_equal(thread_storage_get_addr(last), "one");
    thread_storage_unreserve(before);
    assert_int_equal(thread_storage_count(), before);
    segment.p_align = 2 * ELF_TLS_ALIGN_MAX;
    assert_int_equal(thread_storage_reserve(&segment, "one", &err), ERR_LIMIT);
    assert_int_equal(thread_storage_count(), before);
}

/* Of a library that says that it has one, but has no storage. */
static void a_thread_local_variable_without_storage(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    library_symbol(&lib, "of_no_thread", STT_TLS, STB_GLOBAL, 8);
    assert_null(loader_symbol(write_and_load("no-storage.so"), "of_no_thread"));
}

/* A resolver of a library that then fails to load may have used its block. */
static void what_a_failed_load_has_used_is_fresh_again(void **state)
{
    const Elf64_Phdr segment = { .p_type = PT_TLS, .p_filesz = 4, .p_memsz = 64, .p_align = 8 };
    unsigned before = thread_storage_count();
    struct err err = { 0 };
    (void)state;
    assert_true(before > 0);
    uint64_t *other = thread_storage_get_addr((const uint64_t[]){ 1, 8 }), kept = ++*other;
    int id = thread_storage_reserve(&segment, "one", &err);
    assert_int_equal(id, before + 1);
    const uint64_t which[] = { (uint64_t)id, 0 };
    char *block = thread_storage_get_addr(which);
    assert_string_equal(block, "one");
    block[40] = 7;
    thread_storage_unreserve(before);
    assert_int_equal(thread_storage_reserve(&segment, "two", &err), id);
    assert_ptr_equal(thread_storage_get_addr(which), block);
    assert_string_equal(block, "two");
    for (size_t i = 4; i < 64; i++)
        assert_int_equal(block[i], 0);
    thread_storage_unreserve(before);
    assert_int_equal(thread_storage_count(), before);
    assert_ptr_equal(thread_storage_get_addr((const uint64_t[]){ 1, 8 }), other);
    assert_int_equal(*other, kept);
}

static void a_failed_load_gives_back_what_it_has_taken(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    library_thread_local(&lib, 1, 2);
    lib.image.parts[lib.part_count - 1].p_memsz = THREAD_STORAGE_BYTES / 2;
    lib.image.parts[2].p_memsz = 2 * THREAD_STORAGE_BYTES;
    unsigned nobody = library_symbol(&lib, "nobody5", STT_FUNC, STB_GLOBAL, LIBRARY_UNDEFINED);
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_GLOBAL, nobody, 0);
    library_relocate(&lib, LIBRARY_AT(code), LIBRARY_GLOBAL, 0, 0);
    write_lib("gives-back.so");
    for (int i = 0; i < 4; i++)
        fails("gives-back.so", ERR_INPUT, "outside its writable segments");
}

/* --- graphs --------------------------------------------------------------------------------- */

static void libraries_that_need_each_other(void **state)
{
    (void)state;
    size_t before = count_libs();
    write_definer("ring-a.so", "ring_a", "ring-b.so");
    write_definer("ring-b.so", "ring_b", "ring-a.so");
    struct loader_lib *a = load("ring-a.so"), *b = load("ring-b.so");
    assert_int_equal(symlink("ring-a.so", in_folder("ring-link.so")), 0);
    assert_ptr_equal(load("ring-link.so"), a);
    assert_int_equal(count_libs(), before + 2);
    assert_ptr_equal(loader_symbol(a, "ring_b"), b->base + LIBRARY_DATA(20));
    assert_ptr_equal(loader_symbol(b, "ring_a"), a->base + LIBRARY_DATA(20));
}

/* Both names are new to the loader: they are looked at before anything is published. */
static void a_library_that_is_needed_by_two_names(void **state)
{
    (void)state;
    size_t before = count_libs();
    write_definer("twice.so", "twice", NULL);
    assert_int_equal(symlink("twice.so", in_folder("twice-link.so")), 0);
    library_begin(&lib, NULL);
    library_need(&lib, in_folder("twice.so"));
    library_need(&lib, in_folder("twice-link.so"));
    const struct loader_lib *loaded = write_and_load("needs-twice.so");
    assert_int_equal(loaded->needed_count, 2);
    assert_ptr_equal(loaded->needed[0], loaded->needed[1]);
    assert_int_equal(count_libs(), before + 2);
}

/* As linkers write it: what is needed comes first. */
static void the_first_entry_names_a_library(void **state)
{
    (void)state;
    write_definer("is-needed.so", "is_needed", NULL);
    library_begin(&lib, NULL);
    library_need(&lib, "is-needed.so");
    Elf64_Dyn *entries = lib.image.dynamic, *needed = &entries[lib.dynamic_count - 1];
    Elf64_Dyn before = entries[0];
    entries[0] = *needed;
    *needed = before;
    assert_int_equal(write_and_load("needs-first.so")->needed_count, 1);
}

static void *try_to_lock(void *rc)
{
    *(int *)rc = pthread_mutex_trylock(&loader_lock);
    if (*(int *)rc == 0)
        pthread_mutex_unlock(&loader_lock);
    return NULL;
}

/* After loads that went well, and one that did not. */
static void another_thread_may_load_afterwards(void **state)
{
    pthread_t thread;
    int rc = -1;
    (void)state;
    fails("not-there.so", ERR_CONFIG, "it cannot be opened");
    assert_int_equal(pthread_create(&thread, NULL, try_to_lock, &rc), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(rc, 0);
}

static void constructors_run_once_and_needed_ones_first(void **state)
{
    (void)state;
    library_begin(&lib, "called-something-else.so");
    library_symbol(&lib, "counter", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(0));
    library_constructor(&lib, library_code_count(&lib, LIBRARY_DATA(0)));
    write_lib("counts.so");
    library_begin(&lib, NULL);
    library_need(&lib, "counts.so");
    library_relocate(&lib, LIBRARY_DATA(1), LIBRARY_GLOBAL,
                     library_symbol(&lib, "counter", STT_OBJECT, STB_GLOBAL, LIBRARY_UNDEFINED), 0);
    library_constructor(&lib, library_code_copy(&lib, LIBRARY_DATA(1), LIBRARY_DATA(0)));
    const struct loader_lib *loaded = write_and_load("copies.so");
    const struct loader_lib *counts = find_lib("called-something-else.so");
    assert_int_equal(word(loaded, LIBRARY_DATA(0)), 1);
    load("counts.so");
    load("copies.so");
    assert_int_equal(word(counts, LIBRARY_DATA(0)), 1);
}

static void a_constructor_outside_the_code_does_not_run(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    library_constructor(&lib, LIBRARY_DATA(0));
    write_and_load("no-code.so");
}

static void a_library_that_is_not_there(void **state)
{
    (void)state;
    write_definer("needs-none.so", "needs_none", "no-such-library.so");
    fails("needs-none.so", ERR_CONFIG, "needs no-such-library.so");
    write_definer("needs-bad.so", "needs_bad", "bad.so");
    library_begin(&lib, NULL);
    library_thread_local(&lib, 1, 2);
    lib.image.ehdr.e_type = ET_REL;
    write_lib("bad.so");
    fails("needs-bad.so", ERR_INPUT, "bad.so");
    lib.image.ehdr.e_type = ET_DYN;
    lib.image.ehdr.e_machine = EM_386;
    write_lib("bad.so");
    fails("needs-bad.so", ERR_CONFIG, "needs bad.so: no bad.so in ");
}

/* The file of one is called otherwise than it calls itself, and one that it needs needs it. */
static void a_library_is_known_by_its_own_name(void **state)
{
    (void)state;
    library_begin(&lib, "libits-name.so.1");
    library_need(&lib, "needs-its-name.so");
    write_lib("its-file.so");
    write_definer("needs-its-name.so", "needs_its_name", "libits-name.so.1");
    const struct loader_lib *loaded = load("its-file.so");
    assert_ptr_equal(find_lib("needs-its-name.so")->needed[0], loaded);
}

static void folders_that_a_library_names(void **state)
{
    static const struct {
        int64_t tag;
        const char *list;
    } lists[] = {
        { DT_RUNPATH, "/no/such:$ORIGIN/deep" },
        { DT_RPATH, "${ORIGIN}/deep/../deep" },
        { DT_RUNPATH, "$ORIGIN/deep:$LIB" },
    };
    char name[32];
    (void)state;
    assert_int_equal(mkdir(in_folder("deep"), 0700), 0);
    for (size_t i = 0; i < COUNT(lists); i++) {
        snprintf(name, sizeof name, "deep/in-folder-%zu.so", i);
        write_definer(name, "in_folder", NULL);
        library_begin(&lib, NULL);
        library_need(&lib, name + strlen("deep/"));
        library_run_path(&lib, lists[i].tag, lists[i].list);
        snprintf(name, sizeof name, "names-folder-%zu.so", i);
        assert_non_null(loader_symbol(write_and_load(name), "in_folder"));
    }
    assert_int_equal(mkdir(in_folder("$odd"), 0700), 0);
    write_definer("$odd/in-odd-folder.so", "in_odd_folder", NULL);
    library_begin(&lib, NULL);
    library_need(&lib, "in-odd-folder.so");
    library_run_path(&lib, DT_RUNPATH, "$ORIGIN/$odd");
    assert_non_null(loader_symbol(write_and_load("names-odd-folder.so"), "in_odd_folder"));
    assert_int_equal(mkdir(in_folder("other"), 0700), 0); /* in which none has been loaded from */
    write_definer("other/not-found.so", "not_found", NULL);
    library_begin(&lib, NULL);
    library_need(&lib, "not-found.so");
    library_run_path(&lib, DT_RUNPATH, "/no/such");
    library_run_path(&lib, DT_RPATH, "$ORIGIN/other"); /* is not looked at beside the other */
    write_lib("names-no-folder.so");
    fails("names-no-folder.so", ERR_CONFIG, "needs not-found.so: no not-found.so in ");
    library_begin(&lib, NULL);
    library_dynamic(&lib, DT_RUNPATH, sizeof lib.image.strings);
    write_lib("damaged-list.so");
    fails("damaged-list.so", ERR_INPUT, "its list of folders lies outside its names");
}

/* Opened by a path without a folder, as --libcuda may have it: beside it is in the current one. */
static void a_library_of_the_current_folder(void **state)
{
    struct loader_lib *loaded = NULL;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(mkdir(in_folder("here"), 0700), 0);
    assert_int_equal(mkdir(in_folder("here/below"), 0700), 0);
    write_definer("here/beside-it.so", "beside_it", NULL);
    write_definer("here/below/below-it.so", "below_it", NULL);
    library_begin(&lib, NULL);
    library_need(&lib, "beside-it.so");
    library_need(&lib, "below-it.so");
    library_run_path(&lib, DT_RUNPATH, "$ORIGIN/below");
    write_lib("here/plain.so");
    assert_int_equal(chdir(in_folder("here")), 0);
    int rc = loader_open("plain.so", &loaded, &err);
    assert_int_equal(chdir("/"), 0);
    if (rc != 0)
        fail_msg("%s", err.text);
    assert_string_equal(loaded->name, "plain.so");
    assert_non_null(loader_symbol(loaded, "beside_it"));
    assert_non_null(loader_symbol(loaded, "below_it"));
}

/* libstdc++ and libgcc_s, which an empty image lacks: an error only if something is of them. */
static void a_missing_runtime_of_a_compiler(void **state)
{
    (void)state;
    write_definer("runs-without.so", "runs_without", "libstdc++.so.96");
    load("runs-without.so");
    write_definer("runs-without-too.so", "runs_without_too", "libgcc_s.so.96");
    load("runs-without-too.so");
    write_definer("wants-other.so", "wants_other", "libstdc--.so.6");
    fails("wants-other.so", ERR_CONFIG, "needs libstdc--.so.6");
    library_begin(&lib, NULL);
    library_need(&lib, "libstdc++.so.96");
    library_relocate(
        &lib, LIBRARY_DATA(0), LIBRARY_GLOBAL,
        library_symbol(&lib, "_ZSt9nowheresv", STT_FUNC, STB_GLOBAL, LIBRARY_UNDEFINED), 0);
    write_lib("uses-it.so");
    fails("uses-it.so", ERR_CONFIG,
          "it uses _ZSt9nowheresv, probably from libstdc++.so.96, which was not found");
}

/* Memory that is made read-only after relocation: the kernel cannot write to it either. */
static bool can_write(const struct loader_lib *loaded, uint64_t address)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], loaded->base + address, 1), 1);
    ssize_t got = read(ends[0], loaded->base + address, 1);
    assert_true(got == 1 || errno == EFAULT);
    close(ends[0]);
    close(ends[1]);
    return got == 1;
}

/* The pages that RELRO begins in and lies in are read-only; the one that it ends within is not. */
static void relocated_memory_becomes_read_only(void **state)
{
    static const uint64_t ends[] = { LIBRARY_BEYOND, LIBRARY_BEYOND + 0x400 };
    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        char name[32];
        uint64_t bytes = ends[i] - LIBRARY_DATA(0);
        snprintf(name, sizeof name, "relro-%zu.so", i);
        library_begin(&lib, NULL);
        library_part(&lib, (Elf64_Phdr){ PT_GNU_RELRO, PF_R, LIBRARY_DATA(0), LIBRARY_DATA(0),
                                         LIBRARY_DATA(0), bytes, bytes, 1 });
        library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_RELATIVE, 0, 5);
        const struct loader_lib *loaded = write_and_load(name);
        assert_int_equal(word(loaded, LIBRARY_DATA(0)), address_in(loaded, 5));
        assert_false(can_write(loaded, LIBRARY_DATA(0)));
        assert_false(can_write(loaded, LIBRARY_AT(dynamic)));
        assert_true(can_write(loaded, LIBRARY_BEYOND));
        assert_false(can_write(loaded, LIBRARY_AT(code)));
    }
}

/* That of whole pages, and no page before them; what needs the library is bound behind it. */
static void a_page_of_relocated_memory_becomes_read_only(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    library_part(&lib, (Elf64_Phdr){ PT_GNU_RELRO, PF_R, LIBRARY_BEYOND, LIBRARY_BEYOND,
                                     LIBRARY_BEYOND, LIBRARY_PAGE, LIBRARY_PAGE, 1 });
    write_lib("relro-page.so");
    library_begin(&lib, NULL);
    library_need(&lib, "relro-page.so");
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_RELATIVE, 0, 5);
    const struct loader_lib *user_of_it = write_and_load("needs-relro-page.so");
    assert_int_equal(word(user_of_it, LIBRARY_DATA(0)), address_in(user_of_it, 5));
    const struct loader_lib *loaded = find_lib("relro-page.so");
    assert_true(can_write(loaded, LIBRARY_BEYOND - 1));
    assert_false(can_write(loaded, LIBRARY_BEYOND));
    assert_false(can_write(loaded, LIBRARY_END - 1));
}

/* --- dlopen and its family ------------------------------------------------------------------ */

static void handles_and_symbols(void **state)
{
    (void)state;
    write_definer("opened.so", "opened_name", NULL);
    const char *path = in_folder("opened.so");
    assert_null(libc_dlopen(path, RTLD_NOW | RTLD_NOLOAD));
    assert_non_null(strstr(libc_dlerror(), "opened.so is not loaded"));
    assert_null(libc_dlerror());
    struct loader_lib *opened = libc_dlopen(path, RTLD_NOW);
    assert_non_null(opened);
    assert_ptr_equal(libc_dlopen(path, RTLD_NOW | RTLD_NOLOAD), opened);
    assert_ptr_equal(libc_dlmopen(0, "opened.so", RTLD_NOW), opened);
    void *address = opened->base + LIBRARY_DATA(20);
    assert_ptr_equal(libc_dlsym(opened, "opened_name"), address);
    assert_ptr_equal(libc_dlvsym(opened, "opened_name", "V1"), address);
    assert_null(libc_dlsym(RTLD_DEFAULT, "opened_name"));
    assert_string_equal(libc_dlerror(), "undefined symbol: opened_name");
    assert_null(libc_dlsym(&address, "opened_name"));
    assert_non_null(strstr(libc_dlerror(), "invalid handle"));
    assert_int_equal(libc_dlclose(opened), 0);
    assert_ptr_equal(libc_dlopen(path, RTLD_NOW | RTLD_GLOBAL), opened);
    assert_ptr_equal(libc_dlsym(RTLD_DEFAULT, "opened_name"), address);
    assert_ptr_equal(libc_dlsym(libc_dlopen("libc.so.6", RTLD_NOW), "opened_name"), address);
    assert_ptr_equal(libc_dlopen(NULL, RTLD_NOW), libc_dlopen("libm.so.6", RTLD_NOW));
    write_definer("beside.so", "beside_name", NULL); /* found in the folder of the others */
    struct loader_lib *beside = libc_dlopen("beside.so", RTLD_NOW);
    assert_ptr_equal(beside, find_lib("beside.so"));
    assert_null(libc_dlopen("no-such-library.so", RTLD_NOW));
    assert_non_null(strstr(libc_dlerror(), "no no-such-library.so in "));
}

/* With what it needs, as often as one likes; a variable of each thread has no address for all. */
static void a_global_library_serves_all(void **state)
{
    (void)state;
    write_definer("served.so", "served", NULL);
    library_begin(&lib, NULL);
    library_need(&lib, "served.so");
    library_thread_local(&lib, 1, 2);
    library_symbol(&lib, "of_each_thread", STT_TLS, STB_GLOBAL, 0);
    const struct loader_lib *loaded = write_and_load("serves.so");
    void *address = find_lib("served.so")->base + LIBRARY_DATA(20);
    assert_null(libc_dlsym(RTLD_DEFAULT, "served"));
    for (int i = 0; i < 2; i++) {
        assert_ptr_equal(libc_dlopen(in_folder("serves.so"), RTLD_NOW | RTLD_GLOBAL), loaded);
        assert_ptr_equal(libc_dlsym(RTLD_DEFAULT, "served"), address);
        assert_ptr_equal(libc_dlsym(RTLD_NEXT, "served"), address);
        assert_null(libc_dlsym(RTLD_DEFAULT, "of_each_thread"));
    }
}

/* Every library depends on the C library, whatever is global. On glibc the table has only names. */
static void functions_of_the_c_library_have_an_address(void **state)
{
    (void)state;
#ifdef __GLIBC__
    skip();
#endif
    write_definer("needs-c.so", "needs_c", NULL);
    assert_int_equal((uintptr_t)libc_dlsym(load("needs-c.so"), "strlen"), (uintptr_t)strlen);
    assert_int_equal((uintptr_t)libc_dlsym(RTLD_DEFAULT, "strlen"), (uintptr_t)strlen);
}

static int count_visits(struct dl_phdr_info *info, size_t size, void *data)
{
    assert_true(size >= offsetof(struct dl_phdr_info, dlpi_adds));
    if (strncmp(info->dlpi_name, folder, strlen(folder)) == 0)
        ++*(size_t *)data;
    return 0;
}

static void addresses_and_their_libraries(void **state)
{
    Dl_info info;
    struct libc_dl_found_object found;
    size_t visits = 0;
    (void)state;
    library_begin(&lib, NULL);
    library_symbol(&lib, "addressed_name", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(20));
    library_part(&lib, (Elf64_Phdr){ PT_GNU_EH_FRAME, PF_R, 0x40, 0x40, 0x40, 8, 8, 4 });
    write_lib("addressed.so");
    struct loader_lib *loaded = load("addressed.so");
    char *memory = loaded->dynamic.image.memory;
    assert_int_equal(libc_dladdr(loaded->base + LIBRARY_DATA(20) + 3, &info), 1);
    assert_string_equal(info.dli_sname, "addressed_name");
    assert_ptr_equal(info.dli_saddr, loaded->base + LIBRARY_DATA(20));
    assert_string_equal(info.dli_fname, in_folder("addressed.so"));
    assert_ptr_equal(info.dli_fbase, memory);
    assert_int_equal(libc_dladdr(memory, &info), 1);
    assert_null(info.dli_sname);
    assert_int_equal(libc_dladdr(&visits, &info), 0);
    assert_int_equal(libc_dl_find_object(memory + LIBRARY_END - 1, &found), 0);
    assert_ptr_equal(found.from, memory);
    assert_ptr_equal(found.to, memory + LIBRARY_END);
    assert_ptr_equal(found.unwind_table, loaded->base + 0x40);
    assert_int_equal(libc_dl_find_object(&visits, &found), -1);
    assert_int_equal(libc_dl_iterate(count_visits, &visits), 0);
    assert_int_equal(visits, count_libs());
}

/* glibc's link map, as far as <link.h> tells of it. */
static void what_dlinfo_answers(void **state)
{
    struct link_map *map = NULL;
    char where[64] = "";
    size_t id = 99;
    void *block = &id;
    long namespace = 99;
    (void)state;
    write_definer("asked.so", "asked_name", NULL);
    struct loader_lib *asked = load("asked.so");
    assert_int_equal(libc_dlinfo(asked, 2, &map), 0);
    assert_int_equal(map->l_addr, (uintptr_t)asked->base);
    assert_string_equal(map->l_name, in_folder("asked.so"));
    assert_non_null(map->l_ld);
    assert_ptr_equal(map->l_prev->l_next, map);
    while (map->l_prev != NULL)
        map = map->l_prev;
    assert_string_equal(map->l_name, "");
    assert_int_equal(libc_dlinfo(asked, 6, where), 0);
    assert_string_equal(where, folder);
    assert_int_equal(libc_dlinfo(asked, 1, &namespace), 0);
    assert_int_equal(namespace, 0);
    assert_int_equal(libc_dlinfo(asked, 9, &id), 0);
    assert_int_equal(id, 0);
    assert_int_equal(libc_dlinfo(asked, 10, &block), 0);
    assert_null(block);
    assert_int_equal(libc_dlinfo(asked, 77, &id), -1);
    assert_string_equal(libc_dlerror(), "unsupported dlinfo request");
    assert_int_equal(libc_dlinfo(where, 2, &map), -1);
    assert_non_null(strstr(libc_dlerror(), "invalid handle"));
}

static void dlinfo_of_thread_local_storage(void **state)
{
    size_t id = 0;
    uint64_t *block = NULL;
    (void)state;
    library_begin(&lib, NULL);
    library_thread_local(&lib, 88, 99);
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_THREAD_MODULE, 0, 0);
    struct loader_lib *asked = write_and_load("asked-storage.so");
    assert_int_equal(libc_dlinfo(asked, 9, &id), 0);
    assert_int_equal(id, word(asked, LIBRARY_DATA(0)));
    assert_int_equal(libc_dlinfo(asked, 10, &block), 0);
    assert_int_equal(block[0], 88);
    assert_int_equal(block[1], 99);
}

/* The program itself is the handle of the libc table. */
static void what_is_told_of_the_program(void **state)
{
    void *program = libc_dlopen(NULL, RTLD_NOW);
    const char *slash = strrchr(program_invocation_name, '/');
    struct link_map *map = NULL;
    char where[512] = "";
    size_t id = 99;
    void *block = &id;
    Dl_info info;
    (void)state;
    assert_int_equal(libc_dlinfo(program, 2, &map), 0);
    assert_string_equal(map->l_name, "");
    assert_null(map->l_prev);
    assert_int_equal(libc_dlinfo(program, 6, where), 0);
    assert_int_equal(strlen(where), slash == NULL ? 0 : slash - program_invocation_name);
    assert_int_equal(strncmp(where, program_invocation_name, strlen(where)), 0);
    assert_int_equal(libc_dlinfo(program, 9, &id), 0);
    assert_int_equal(id, 0);
    assert_int_equal(libc_dlinfo(program, 10, &block), 0);
    assert_null(block);
    assert_int_equal(libc_dladdr((void *)(uintptr_t)what_is_told_of_the_program, &info), 1);
    assert_string_equal(info.dli_fname, program_invocation_name);
    assert_non_null(info.dli_fbase);
    assert_null(info.dli_sname);
    assert_ptr_equal(libc_dlopen("", RTLD_NOW), program);
    assert_ptr_equal(libc_dlopen("/any/where/libpthread.so.0", RTLD_NOW), program);
}

/* Ends at the third library of the folder, if it has what the loader knows of it. */
static int end_at_third(struct dl_phdr_info *info, size_t size, void *count)
{
    struct loader_lib *each = loader_libs;
    if (strncmp(info->dlpi_name, folder, strlen(folder)) != 0)
        return 0;
    assert_true(size >= sizeof *info);
    while (each != NULL && (uintptr_t)each->base != info->dlpi_addr)
        each = each->next;
    assert_non_null(each);
    assert_string_equal(info->dlpi_name, each->path);
    assert_ptr_equal(info->dlpi_phdr, each->head.parts);
    assert_int_equal(info->dlpi_phnum, each->head.part_count);
    assert_int_equal(info->dlpi_tls_modid, each->storage_id);
    return ++*(int *)count == 3 ? 33 : 0;
}

static void an_iteration_ends_when_it_is_told_to(void **state)
{
    int count = 0;
    (void)state;
    assert_int_equal(libc_dl_iterate(end_at_third, &count), 33);
    assert_int_equal(count, 3);
}

/* --- limits: last, since what is loaded stays ----------------------------------------------- */

static void needs_more_than_it_may(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    for (unsigned i = 0; i <= LOADER_NEEDED_MAX; i++)
        library_need(&lib, "opened.so");
    write_lib("needy.so");
    fails("needy.so", ERR_LIMIT, "needs more than 32 libraries");
}

/* Chain of `count` libraries, of which each needs the next. */
static void write_chain(size_t count)
{
    char name[32], next[32];
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "chain-%zu.so", i);
        snprintf(next, sizeof next, "chain-%zu.so", i + 1);
        write_definer(name, name, i + 1 < count ? next : NULL);
    }
}

static void a_graph_of_one_library_more_than_the_limit(void **state)
{
    size_t room = LOADER_LIBS_MAX - count_libs();
    (void)state;
    assert_true(room > 1);
    write_chain(room + 1);
    fails("chain-0.so", ERR_LIMIT, "more than 64 libraries");
    write_chain(room);
    load("chain-0.so");
    assert_int_equal(count_libs(), LOADER_LIBS_MAX);
    load("chain-0.so"); /* one that is there takes no room */
    write_definer("one-more.so", "one_more", NULL);
    fails("one-more.so", ERR_LIMIT, "more than 64 libraries");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_aligned_as_they_ask),
        cmocka_unit_test(alignment_takes_no_room),
        cmocka_unit_test(memory_beyond_the_file_is_zero),
        cmocka_unit_test(a_segment_ends_within_a_page),
        cmocka_unit_test(what_cannot_be_loaded_as_a_library),
        cmocka_unit_test(a_thread_local_variable_of_another_library),
        cmocka_unit_test(threads_that_were_there_before_the_library),
        cmocka_unit_test(a_block_of_pages_is_filled_when_a_thread_asks_for_it),
        cmocka_unit_test(more_thread_local_storage_than_there_is),
        cmocka_unit_test(more_libraries_with_thread_local_storage_than_there_may_be),
        cmocka_unit_test(a_thread_local_variable_without_storage),
        cmocka_unit_test(what_a_failed_load_has_used_is_fresh_again),
        cmocka_unit_test(a_failed_load_gives_back_what_it_has_taken),
        cmocka_unit_test(libraries_that_need_each_other),
        cmocka_unit_test(a_library_that_is_needed_by_two_names),
        cmocka_unit_test(the_first_entry_names_a_library),
        cmocka_unit_test(another_thread_may_load_afterwards),
        cmocka_unit_test(constructors_run_once_and_needed_ones_first),
        cmocka_unit_test(a_constructor_outside_the_code_does_not_run),
        cmocka_unit_test(a_library_that_is_not_there),
        cmocka_unit_test(a_library_is_known_by_its_own_name),
        cmocka_unit_test(folders_that_a_library_names),
        cmocka_unit_test(a_missing_runtime_of_a_compiler),
        cmocka_unit_test(relocated_memory_becomes_read_only),
        cmocka_unit_test(a_page_of_relocated_memory_becomes_read_only),
        cmocka_unit_test(handles_and_symbols),
        cmocka_unit_test(a_global_library_serves_all),
        cmocka_unit_test(functions_of_the_c_library_have_an_address),
        cmocka_unit_test(addresses_and_their_libraries),
        cmocka_unit_test(what_dlinfo_answers),
        cmocka_unit_test(dlinfo_of_thread_local_storage),
        cmocka_unit_test(what_is_told_of_the_program),
        cmocka_unit_test(an_iteration_ends_when_it_is_told_to),
        cmocka_unit_test(a_library_of_the_current_folder),
        cmocka_unit_test(needs_more_than_it_may),
        cmocka_unit_test(a_graph_of_one_library_more_than_the_limit),
    };
    return cmocka_run_group_tests_name("loader", tests, make_folder, remove_folder);
}
