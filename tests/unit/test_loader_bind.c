/* loader/bind: relocations of libraries made by hand, and what their names are bound to. */
#include "base/log.h"
#include "loading.h"

/* --- relocations within a library ----------------------------------------------------------- */

static void relative_relocations(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    unsigned symbol = library_symbol(&lib, "in_between", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(20));
    library_relocate(&lib, LIBRARY_END - 8, LIBRARY_RELATIVE, 0, 0xabc);
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_RELATIVE, 0, 0x123);
    library_relocate(&lib, LIBRARY_DATA(7), LIBRARY_GLOBAL, symbol, 0);
    library_relocate(&lib, LIBRARY_AT(dynamic) + 63 * 16, LIBRARY_RELATIVE, 0, 0x321);
    library_relocate(&lib, LIBRARY_BEYOND, LIBRARY_RELATIVE, 0, 0x789);
    library_relocate(&lib, LIBRARY_DATA(8), LIBRARY_GLOBAL, symbol, 0);
    library_relocate(&lib, LIBRARY_DATA(9), LIBRARY_GLOBAL, symbol, 0);
    library_relocate(&lib, LIBRARY_DATA(5), LIBRARY_RELATIVE, 0, 0x456);
    library_relocate(&lib, LIBRARY_DATA(6) + 3, 0, 0, 0); /* of no kind: nothing */
    lib.image.data[1] = 0x1000;
    lib.image.data[2] = 0x2000;
    lib.image.data[4] = 0x4000;
    library_relr(&lib, LIBRARY_DATA(1));
    library_relr(&lib, 1 | 1 << 1 | 1 << 3); /* the words behind it: the first and the third */
    const struct loader_lib *loaded = write_and_load("relative.so");
    assert_true(is_mapped(in_folder("relative.so")));
    assert_int_equal(word(loaded, LIBRARY_DATA(0)), address_in(loaded, 0x123));
    assert_int_equal(word(loaded, LIBRARY_DATA(1)), address_in(loaded, 0x1000));
    assert_int_equal(word(loaded, LIBRARY_DATA(2)), address_in(loaded, 0x2000));
    assert_int_equal(word(loaded, LIBRARY_DATA(3)), 0);
    assert_int_equal(word(loaded, LIBRARY_DATA(4)), address_in(loaded, 0x4000));
    assert_int_equal(word(loaded, LIBRARY_DATA(5)), address_in(loaded, 0x456));
    assert_int_equal(word(loaded, LIBRARY_DATA(6)), 0);
    for (unsigned i = 7; i < 10; i++)
        assert_int_equal(word(loaded, LIBRARY_DATA(i)), address_in(loaded, LIBRARY_DATA(20)));
    assert_int_equal(word(loaded, LIBRARY_AT(dynamic) + 63 * 16), address_in(loaded, 0x321));
    assert_int_equal(word(loaded, LIBRARY_BEYOND), address_in(loaded, 0x789));
    assert_int_equal(word(loaded, LIBRARY_END - 8), address_in(loaded, 0xabc));
}

static void symbolic_relocations(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    unsigned shown = library_symbol(&lib, "shown", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(20));
    unsigned local = library_symbol(&lib, "local", STT_OBJECT, STB_LOCAL, LIBRARY_DATA(21));
    unsigned fixed = library_symbol(&lib, "fixed", STT_NOTYPE, STB_GLOBAL, 0x77);
    unsigned zero = library_symbol(&lib, "zero", STT_NOTYPE, STB_GLOBAL, 0);
    lib.image.symbols[fixed].st_shndx = lib.image.symbols[zero].st_shndx = SHN_ABS;
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_ADDRESS, shown, 16);
    library_relocate(&lib, LIBRARY_DATA(1), LIBRARY_GLOBAL, local, 0);
    library_relocate(&lib, LIBRARY_DATA(2), LIBRARY_ADDRESS, fixed, 1);
    library_relocate(&lib, LIBRARY_DATA(3), LIBRARY_ADDRESS, zero, 0);
    library_relocate(&lib, LIBRARY_DATA(4), LIBRARY_ADDRESS, 0, 0x99); /* no symbol: the addend */
    library_plt_relocate(&lib, LIBRARY_DATA(5), LIBRARY_FUNCTION, shown);
    lib.image.data[3] = 1;
    struct loader_lib *loaded = write_and_load("symbolic.so");
    assert_int_equal(word(loaded, LIBRARY_DATA(0)), address_in(loaded, LIBRARY_DATA(20) + 16));
    assert_int_equal(word(loaded, LIBRARY_DATA(1)), address_in(loaded, LIBRARY_DATA(21)));
    assert_int_equal(word(loaded, LIBRARY_DATA(2)), 0x78);
    assert_int_equal(word(loaded, LIBRARY_DATA(3)), 0);
    assert_int_equal(word(loaded, LIBRARY_DATA(4)), 0x99);
    assert_int_equal(word(loaded, LIBRARY_DATA(5)), address_in(loaded, LIBRARY_DATA(20)));
    assert_ptr_equal(loader_symbol(loaded, "shown"), loaded->base + LIBRARY_DATA(20));
    assert_int_equal((uintptr_t)loader_symbol(loaded, "fixed"), 0x77);
    assert_null(loader_symbol(loaded, "local"));
    assert_null(loader_symbol(loaded, "strlen"));
}

static const struct wrong {
    const char *text;
    uint64_t place;
    unsigned type, symbol; /* 1: "outside", in no segment; 2: an undefined variable */
    uint64_t addend;
    int code;
} wrong[] = {
    { "is of an unknown kind", LIBRARY_DATA(0), 1000, 0, 0, ERR_INPUT },
    { "outside its writable segments", LIBRARY_AT(code), LIBRARY_RELATIVE, 0, 0, ERR_INPUT },
    { "outside its writable segments", LIBRARY_AT(code), LIBRARY_GLOBAL, 0, 0, ERR_INPUT },
    { "outside its writable segments", LIBRARY_END - 7, LIBRARY_RELATIVE, 0, 0, ERR_INPUT },
    { "outside its writable segments", LIBRARY_END - 7, LIBRARY_GLOBAL, 0, 0, ERR_INPUT },
    { "outside its writable segments", LIBRARY_END, LIBRARY_RELATIVE, 0, 0, ERR_INPUT },
    { "outside its writable segments", UINT64_MAX - 3, LIBRARY_RELATIVE, 0, 0, ERR_INPUT },
    { "outside its writable segments", LIBRARY_AT(dynamic) - 1, LIBRARY_RELATIVE, 0, 0, ERR_INPUT },
    { "outside its writable segments", LIBRARY_END - 8, LIBRARY_THREAD_DESCRIPTOR, 0, 0,
      ERR_INPUT },
    { "outside the symbol table", LIBRARY_DATA(0), LIBRARY_GLOBAL, 1u << 30, 0, ERR_INPUT },
    { "outside its segments", LIBRARY_DATA(0), LIBRARY_GLOBAL, 1, 0, ERR_INPUT },
    { "variable nobodys_variable", LIBRARY_DATA(0), LIBRARY_GLOBAL, 2, 0, ERR_CONFIG },
    { "variable nobodys_variable", LIBRARY_DATA(0), LIBRARY_THREAD_OFFSET, 2, 0, ERR_CONFIG },
    { "of another kind", LIBRARY_DATA(0), LIBRARY_THREAD_OFFSET, 3, 0, ERR_INPUT },
    { "a library that has none", LIBRARY_DATA(0), LIBRARY_THREAD_OFFSET, 0, 0, ERR_INPUT },
    { "a resolver outside its code", LIBRARY_DATA(0), LIBRARY_INDIRECT, 0, LIBRARY_DATA(1),
      ERR_INPUT },
    { "a resolver outside its code", LIBRARY_DATA(0), LIBRARY_INDIRECT, 0, LIBRARY_END, ERR_INPUT },
};

static void wrong_relocations_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char name[32];
        snprintf(name, sizeof name, "wrong-%zu.so", i);
        library_begin(&lib, NULL);
        library_symbol(&lib, "outside", STT_FUNC, STB_GLOBAL, LIBRARY_END + 1);
        library_symbol(&lib, "nobodys_variable", STT_OBJECT, STB_GLOBAL, LIBRARY_UNDEFINED);
        library_symbol(&lib, "its_own", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(3));
        library_relocate(&lib, LIBRARY_DATA(5), LIBRARY_RELATIVE, 0, 0); /* is none of them */
        library_relocate(&lib, wrong[i].place, wrong[i].type, wrong[i].symbol, wrong[i].addend);
        write_lib(name);
        fails(name, wrong[i].code, wrong[i].text);
    }
}

static void a_wrong_bit_is_refused(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    library_relr(&lib, LIBRARY_END - 8);
    library_relr(&lib, 1 | 1 << 1);
    write_lib("bit.so");
    fails("bit.so", ERR_INPUT, "outside its writable segments");
}

/* --- what a name is bound to ---------------------------------------------------------------- */

static void needed_libraries_are_searched_breadth_first(void **state)
{
    (void)state;
    write_definer("deep.so", "wide_name", NULL);
    write_definer("left.so", "left_name", "deep.so");
    library_begin(&lib, NULL);
    library_symbol(&lib, "wide_name", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(20));
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_RELATIVE, 0, 0x55);
    write_lib("right.so");
    library_begin(&lib, NULL);
    library_need(&lib, "left.so");
    library_need(&lib, "libm.so.6"); /* glibc's own: no file */
    library_need(&lib, in_folder("right.so"));
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_ADDRESS,
                     library_symbol(&lib, "wide_name", STT_NOTYPE, STB_GLOBAL, LIBRARY_UNDEFINED),
                     4);
    library_relocate(&lib, LIBRARY_DATA(1), LIBRARY_GLOBAL,
                     library_symbol(&lib, "left_name", STT_NOTYPE, STB_GLOBAL, LIBRARY_UNDEFINED),
                     0);
    struct loader_lib *loaded = write_and_load("top.so");
    assert_int_equal(loaded->needed_count, 2);
    assert_int_equal(word(loaded, LIBRARY_DATA(0)),
                     address_in(find_lib("right.so"), LIBRARY_DATA(20) + 4));
    assert_int_equal(word(loaded, LIBRARY_DATA(1)),
                     address_in(find_lib("left.so"), LIBRARY_DATA(20)));
    assert_ptr_equal(loader_symbol(loaded, "wide_name"),
                     find_lib("right.so")->base + LIBRARY_DATA(20));
    assert_int_equal(word(find_lib("right.so"), LIBRARY_DATA(0)),
                     address_in(find_lib("right.so"), 0x55));
    assert_ptr_equal(loader_symbol(find_lib("left.so"), "wide_name"),
                     find_lib("deep.so")->base + LIBRARY_DATA(20));
}

/* One that defines a name which a global library defines too, and binds to it. */
static uint64_t bound_beside_a_global(const char *file, bool symbolic, unsigned visibility)
{
    library_begin(&lib, NULL);
    unsigned name = library_symbol(&lib, "contested", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(20));
    lib.image.symbols[name].st_other = (unsigned char)visibility;
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_GLOBAL, name, 0);
    if (symbolic)
        library_dynamic(&lib, DT_FLAGS, DF_SYMBOLIC);
    const struct loader_lib *loaded = write_and_load(file);
    return word(loaded, LIBRARY_DATA(0)) - (uintptr_t)loaded->base;
}

static void global_libraries_come_before_its_own(void **state)
{
    struct loader_lib *global;
    (void)state;
    write_definer("global.so", "contested", NULL);
    assert_int_equal(bound_beside_a_global("alone.so", false, STV_DEFAULT), LIBRARY_DATA(20));
    struct loader_lib *local = load("global.so");
    assert_int_equal(bound_beside_a_global("local.so", false, STV_DEFAULT), LIBRARY_DATA(20));
    assert_int_equal(loader_load(in_folder("global.so"), true, &global, NULL), 0);
    assert_ptr_equal(global, local);
    uint64_t bound = bound_beside_a_global("plain.so", false, STV_DEFAULT);
    assert_int_equal(bound + (uintptr_t)find_lib("plain.so")->base,
                     address_in(global, LIBRARY_DATA(20)));
    assert_int_equal(bound_beside_a_global("symbolic-too.so", true, STV_DEFAULT), LIBRARY_DATA(20));
    assert_int_equal(bound_beside_a_global("protected.so", false, STV_PROTECTED), LIBRARY_DATA(20));
}

/* Both define the name and bind it to where it lies in DATA(20). */
static void write_with_own(const char *file, unsigned bind, const char *needed)
{
    library_begin(&lib, NULL);
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_GLOBAL,
                     library_symbol(&lib, "shared_name", STT_OBJECT, bind, LIBRARY_DATA(20)), 0);
    if (needed != NULL)
        library_need(&lib, needed);
    write_lib(file);
}

static void what_the_opened_library_defines_replaces_that_of_those_it_needs(void **state)
{
    (void)state;
    write_with_own("inner.so", STB_GLOBAL, NULL);
    write_with_own("outer.so", STB_GLOBAL, "inner.so");
    const struct loader_lib *outer = load("outer.so"), *inner = find_lib("inner.so");
    assert_int_equal(word(outer, LIBRARY_DATA(0)), address_in(outer, LIBRARY_DATA(20)));
    assert_int_equal(word(inner, LIBRARY_DATA(0)), address_in(outer, LIBRARY_DATA(20)));
}

static void a_unique_name_is_that_of_the_library_loaded_first(void **state)
{
    (void)state;
    write_with_own("not-unique.so", STB_GLOBAL, NULL);
    load("not-unique.so");
    write_with_own("unique-1.so", STB_GNU_UNIQUE, NULL);
    write_with_own("unique-2.so", STB_GNU_UNIQUE, NULL);
    const struct loader_lib *first = load("unique-1.so"), *second = load("unique-2.so");
    assert_int_equal(word(first, LIBRARY_DATA(0)), address_in(first, LIBRARY_DATA(20)));
    assert_int_equal(word(second, LIBRARY_DATA(0)), address_in(first, LIBRARY_DATA(20)));
}

/* The one that is not marked, wherever it stands; one that is marked and alone is found too. */
static void of_several_versions_the_present_one_is_bound(void **state)
{
    static const unsigned present[] = { 1, 2, 0 };
    char name[32];
    (void)state;
    for (size_t i = 0; i < COUNT(present); i++) {
        library_begin(&lib, NULL);
        library_symbol(&lib, "versioned", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(20));
        if (present[i] != 0)
            library_symbol(&lib, "versioned", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(21));
        const uint16_t versions[] = { 0, present[i] == 1 ? 3 : 0x8002,
                                      present[i] == 2 ? 3 : 0x8002 };
        memcpy(&lib.image.data[24], versions, sizeof versions);
        library_dynamic(&lib, DT_VERSYM, LIBRARY_DATA(24));
        snprintf(name, sizeof name, "versions-%zu.so", i);
        struct loader_lib *loaded = write_and_load(name);
        assert_ptr_equal(loader_symbol(loaded, "versioned"),
                         loaded->base + LIBRARY_DATA(present[i] == 2 ? 21 : 20));
    }
    library_begin(&lib, NULL);
    library_dynamic(&lib, DT_VERSYM, LIBRARY_END);
    write_lib("no-versions.so");
    fails("no-versions.so", ERR_INPUT, "its table of versions lies outside its segments");
}

static void names_that_nobody_defines(void **state)
{
    static const char *const files[] = { "missing-1.so", "missing-2.so" };
    struct loader_lib *loaded[2];
    size_t before = loader_missing_count();
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        library_begin(&lib, NULL);
        unsigned one = library_symbol(&lib, "nobody", STT_FUNC, STB_GLOBAL, LIBRARY_UNDEFINED);
        unsigned two = library_symbol(&lib, "nobody2", STT_NOTYPE, STB_GLOBAL, LIBRARY_UNDEFINED);
        unsigned weak = library_symbol(&lib, "nobody3", STT_OBJECT, STB_WEAK, LIBRARY_UNDEFINED);
        library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_GLOBAL, one, 0);
        library_relocate(&lib, LIBRARY_DATA(1), LIBRARY_GLOBAL, one, 0);
        library_plt_relocate(&lib, LIBRARY_DATA(2), LIBRARY_FUNCTION, two);
        unsigned thread = library_symbol(&lib, "nobody4", STT_TLS, STB_WEAK, LIBRARY_UNDEFINED);
        library_relocate(&lib, LIBRARY_DATA(3), LIBRARY_GLOBAL, weak, 0);
        library_relocate(&lib, LIBRARY_DATA(4), LIBRARY_THREAD_OFFSET, thread, 0);
        library_relocate(
            &lib, LIBRARY_DATA(5), LIBRARY_GLOBAL,
            library_symbol(&lib, "nobody6", STT_GNU_IFUNC, STB_GLOBAL, LIBRARY_UNDEFINED), 0);
        lib.image.data[3] = lib.image.data[4] = 1;
        loaded[i] = write_and_load(files[i]);
        assert_int_not_equal(word(loaded[i], LIBRARY_DATA(0)), 0);
        assert_int_equal(word(loaded[i], LIBRARY_DATA(0)), word(loaded[i], LIBRARY_DATA(1)));
        assert_int_not_equal(word(loaded[i], LIBRARY_DATA(0)), word(loaded[i], LIBRARY_DATA(2)));
        assert_int_equal(word(loaded[i], LIBRARY_DATA(3)), 0);
        assert_int_equal(word(loaded[i], LIBRARY_DATA(4)), 0);
        assert_int_not_equal(word(loaded[i], LIBRARY_DATA(5)), 0);
    }
    assert_int_not_equal(word(loaded[0], LIBRARY_DATA(0)), word(loaded[1], LIBRARY_DATA(0)));
    assert_int_equal(loader_missing_count(), before + 6);
}

/* Linkers leave the type open where they have not seen the definition: it may be a variable. */
static void undefined_names_that_must_not_become_stubs(void **state)
{
    static const struct {
        const char *name, *text;
        unsigned type;
    } cases[] = {
        { "untyped_name", "it uses the variable untyped_name, which", STT_NOTYPE },
        { "variable_name", "it uses the variable variable_name, which", STT_OBJECT },
        { "_Unwind_Nothing", "it uses _Unwind_Nothing, probably from libgcc_s.so.1", STT_FUNC },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        library_begin(&lib, NULL);
        library_relocate(
            &lib, LIBRARY_DATA(0), LIBRARY_GLOBAL,
            library_symbol(&lib, cases[i].name, cases[i].type, STB_GLOBAL, LIBRARY_UNDEFINED), 0);
        write_lib("no-stub.so");
        fails("no-stub.so", ERR_CONFIG, cases[i].text);
    }
}

/* On glibc (the sanitizers' build) the libc table only has names. */
static void names_of_the_c_library(void **state)
{
    (void)state;
#ifdef __GLIBC__
    skip();
#endif
    library_begin(&lib, NULL);
    library_symbol(&lib, "strlen", STT_FUNC, STB_GLOBAL, LIBRARY_AT(code));
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_GLOBAL, 1, 0);
    const struct loader_lib *loaded = write_and_load("strlen.so");
    assert_int_equal(word(loaded, LIBRARY_DATA(0)), (uintptr_t)strlen);
    library_begin(&lib, NULL);
    library_symbol(&lib, "strlen", STT_TLS, STB_WEAK, LIBRARY_UNDEFINED);
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_THREAD_OFFSET, 1, 0);
    write_lib("thread-strlen.so");
    fails("thread-strlen.so", ERR_INPUT, "of another kind");
}

/* --- functions that are chosen when they are bound ------------------------------------------ */

/*
 * The resolver reads a word that a symbolic relocation of the last table fills, and the relocations
 * that call the resolver come first.
 */
static void resolvers_run_when_all_else_is_bound(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    uint64_t resolver = library_code_read(&lib, LIBRARY_DATA(9));
    unsigned chosen = library_symbol(&lib, "chosen", STT_GNU_IFUNC, STB_GLOBAL, resolver);
    unsigned target = library_symbol(&lib, "target", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(20));
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_ADDRESS, chosen, 0);
    library_relocate(&lib, LIBRARY_DATA(1), LIBRARY_INDIRECT, 0, resolver);
    library_plt_relocate(&lib, LIBRARY_DATA(2), LIBRARY_FUNCTION, chosen);
    library_plt_relocate(&lib, LIBRARY_DATA(9), LIBRARY_FUNCTION, target);
    struct loader_lib *loaded = write_and_load("chosen.so");
    uint64_t want = address_in(loaded, LIBRARY_DATA(20));
    assert_int_equal(word(loaded, LIBRARY_DATA(0)), want);
    assert_int_equal(word(loaded, LIBRARY_DATA(1)), want);
    assert_int_equal(word(loaded, LIBRARY_DATA(2)), want);
    assert_int_equal((uintptr_t)loader_symbol(loaded, "chosen"), want);
}

static void an_indirect_function_of_another_library(void **state)
{
    (void)state;
    library_begin(&lib, NULL);
    library_need(&lib, "chosen.so");
    library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_GLOBAL,
                     library_symbol(&lib, "chosen", STT_FUNC, STB_GLOBAL, LIBRARY_UNDEFINED), 0);
    const struct loader_lib *loaded = write_and_load("chooser.so");
    assert_int_equal(word(loaded, LIBRARY_DATA(0)),
                     address_in(find_lib("chosen.so"), LIBRARY_DATA(20)));
}

/* --- limits: last, since what is loaded stays ----------------------------------------------- */

/* A library that uses so many functions that nobody defines. */
static void write_with_missing(const char *name, size_t count)
{
    library_begin(&lib, NULL);
    for (size_t i = 0; i < count; i++) {
        char text[16];
        snprintf(text, sizeof text, "missing_%zu", i);
        library_relocate(&lib, LIBRARY_DATA(i), LIBRARY_GLOBAL,
                         library_symbol(&lib, text, STT_FUNC, STB_GLOBAL, LIBRARY_UNDEFINED), 0);
    }
    write_lib(name);
}

static void more_missing_functions_than_there_are_stubs(void **state)
{
    enum { AT_ONCE = COUNT(lib.image.rela) };
    char name[32];
    (void)state;
    log_init(LOG_WARN, false); /* each is worth a line else */
    for (size_t i = 0; loader_missing_count() < LOADER_MISSING_MAX; i++) {
        size_t left = LOADER_MISSING_MAX - loader_missing_count();
        snprintf(name, sizeof name, "misses-%zu.so", i);
        write_with_missing(name, left < AT_ONCE ? left : AT_ONCE);
        load(name);
    }
    write_with_missing("misses-one-more.so", 1);
    fails("misses-one-more.so", ERR_LIMIT,
          "more than 128 functions are missing, the last one is missing_0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relative_relocations),
        cmocka_unit_test(symbolic_relocations),
        cmocka_unit_test(wrong_relocations_are_refused),
        cmocka_unit_test(a_wrong_bit_is_refused),
        cmocka_unit_test(needed_libraries_are_searched_breadth_first),
        cmocka_unit_test(global_libraries_come_before_its_own),
        cmocka_unit_test(what_the_opened_library_defines_replaces_that_of_those_it_needs),
        cmocka_unit_test(a_unique_name_is_that_of_the_library_loaded_first),
        cmocka_unit_test(of_several_versions_the_present_one_is_bound),
        cmocka_unit_test(names_that_nobody_defines),
        cmocka_unit_test(undefined_names_that_must_not_become_stubs),
        cmocka_unit_test(names_of_the_c_library),
        cmocka_unit_test(resolvers_run_when_all_else_is_bound),
        cmocka_unit_test(an_indirect_function_of_another_library),
        cmocka_unit_test(more_missing_functions_than_there_are_stubs),
    };
    return cmocka_run_group_tests_name("loader_bind", tests, make_folder, remove_folder);
}
