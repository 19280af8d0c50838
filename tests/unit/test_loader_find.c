/* loader/find: where a library is searched for, and the error if it is not found. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "loader/loader.h"
#include "loader/loader_private.h"

static char folder[] = "/tmp/loader-find-XXXXXX";

static const char *const files[] = { "libone.so.1",
                                     "libone.so.9.1",
                                     "libtwo.so.470.256",
                                     "libtwo.so.535.99.1",
                                     "libtwo.so.535.261",
                                     "libtwo.so.90.x",
                                     "libtwo.so",
                                     "libthree.so.7",
                                     "libfive.so.535.261",
                                     "libfive.so.535.261.05",
                                     "libsix.so.535.261.05",
                                     "libsix.so.535.261",
                                     "libseven.so.99.1",
                                     "libseven.so.535",
                                     "libseven.so.535-1",
                                     "libseven.so.535.1x",
                                     "libeight.so.535.9",
                                     "libeight.so.535.10",
                                     "libeight.so.535..11" };

static char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_files(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        int fd = open(in_folder(files[i]), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0 || close(fd) != 0)
            return -1;
    }
    return mkdir(in_folder("libfour.so.1"), 0700);
}

static int remove_files(void **state)
{
    (void)state;
    unsetenv("LD_LIBRARY_PATH");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(in_folder(files[i]));
    rmdir(in_folder("libfour.so.1"));
    return rmdir(folder);
}

static void finds(const char *name, const char *where, const char *want)
{
    char path[LOADER_PATH_BYTES] = "";
    struct err err = { 0 };
    if (loader_find(name, where, path, sizeof path, &err) != 0)
        fail_msg("%s: %s", name, err.text);
    assert_string_equal(path, in_folder(want));
}

/* This test's own C library, for one, is in one of the usual folders. */
static void the_systems_folders_are_searched(void **state)
{
    char path[LOADER_PATH_BYTES] = "";
    struct err err = { 0 };
    (void)state;
    if (loader_find("libc.so.6", NULL, path, sizeof path, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(access(path, R_OK), 0);
    assert_string_equal(strrchr(path, '/'), "/libc.so.6");
}

static void fails(const char *name, const char *where, const char *text)
{
    char path[LOADER_PATH_BYTES];
    struct err err = { 0 };
    assert_int_equal(loader_find(name, where, path, sizeof path, &err), ERR_CONFIG);
    if (strstr(err.text, text) == NULL)
        fail_msg("%s: %s", name, err.text);
}

static void fails_without(const char *name, const char *text)
{
    char path[LOADER_PATH_BYTES];
    struct err err = { 0 };
    assert_int_equal(loader_find(name, NULL, path, sizeof path, &err), ERR_CONFIG);
    assert_null(strstr(err.text, text));
}

static void an_explicit_place_is_the_only_one(void **state)
{
    (void)state;
    finds("libone.so.1", folder, "libone.so.1");
    finds("anything", in_folder("libone.so.1"), "libone.so.1");
    setenv("LD_LIBRARY_PATH", folder, 1);
    fails("libone.so.1", "/proc/self", "no libone.so.1 in the folder /proc/self");
    fails("libone.so.1", "/no/such/place", "/no/such/place: No such file or directory");
    fails("libone.so.1", "/dev/null", "neither a file nor a folder");
    unsetenv("LD_LIBRARY_PATH");
}

static void the_highest_version_stands_for_a_missing_link(void **state)
{
    (void)state;
    finds("libtwo.so.1", folder, "libtwo.so.535.261");
    finds("libtwo.so.470.256", folder, "libtwo.so.470.256");
    finds("libfive.so.1", folder, "libfive.so.535.261.05"); /* whichever is made first */
    finds("libsix.so.1", folder, "libsix.so.535.261.05");
    finds("libeight.so.1", folder, "libeight.so.535.10"); /* by number, and a missing one is 0 */
    fails("libseven.so.1", folder, "no libseven.so.1");   /* none is a driver's version */
    fails("libthree.so.1", folder, "no libthree.so.1");   /* .7 is another interface, no version */
    fails("libfour.so.1", folder, "no libfour.so.1");     /* a folder of that name */
    fails("libtwo", folder, "no libtwo");
}

static void the_environments_folders_come_first(void **state)
{
    char list[256];
    (void)state;
    snprintf(list, sizeof list, "/no/such/place/with/a/longer/name::%s:/usr/lib", folder);
    setenv("LD_LIBRARY_PATH", list, 1);
    finds("libtwo.so.1", NULL, "libtwo.so.535.261");
    finds("libone.so.1", "", "libone.so.1");
    fails("libnone.so.1", NULL, "nor in LD_LIBRARY_PATH: /no/such/place/");
    setenv("LD_LIBRARY_PATH", "", 1);
    fails_without("libnone.so.1", "LD_LIBRARY_PATH");
    unsetenv("LD_LIBRARY_PATH");
    fails_without("libnone.so.1", "LD_LIBRARY_PATH");
    fails("libnone.so.1", NULL, "no libnone.so.1 in /usr/lib64, ");
}

/* A folder of which no path can be made is passed over. */
static void a_folder_whose_name_is_too_long(void **state)
{
    static char list[LOADER_PATH_BYTES + 64];
    (void)state;
    memset(list, 'x', LOADER_PATH_BYTES);
    snprintf(list + LOADER_PATH_BYTES, 64, ":%s", folder);
    setenv("LD_LIBRARY_PATH", list, 1);
    finds("libone.so.1", NULL, "libone.so.1");
    unsetenv("LD_LIBRARY_PATH");
}

static void write_head(const char *name, unsigned char class)
{
    unsigned char head[EI_NIDENT + 4] = { 0x7f, 'E', 'L', 'F', class, ELFDATA2LSB, EV_CURRENT };
    head[EI_NIDENT] = ET_DYN;
    head[EI_NIDENT + 2] = LOADER_MACHINE;
    int fd = open(in_folder(name), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, head, sizeof head), sizeof head);
    close(fd);
}

/* As where LD_LIBRARY_PATH names the folder of 32-bit libraries first. */
static void a_32_bit_library_does_not_end_the_search(void **state)
{
    (void)state;
    write_head("libtwo.so.535.261", ELFCLASS32);
    finds("libtwo.so.1", folder, "libtwo.so.535.99.1");
    write_head("libtwo.so.535.261", ELFCLASS64);
    finds("libtwo.so.1", folder, "libtwo.so.535.261");
    write_head("libone.so.1", ELFCLASS32);
    fails("libone.so.1", folder, "no libone.so.1 in the folder"); /* .9.1 is no driver's version */
    fails("libone.so.1", NULL, "/lib, /etc/ld.so.cache");
    write_head("libone.so.1", ELFCLASS64);
}

static void a_path_that_does_not_fit_is_an_error(void **state)
{
    char path[8];
    (void)state;
    assert_int_equal(loader_find("x", in_folder("libone.so.1"), path, sizeof path, NULL),
                     ERR_CONFIG);
    assert_int_equal(loader_find("libone.so.1", folder, path, sizeof path, NULL), ERR_CONFIG);
    assert_int_equal(loader_find("libtwo.so.1", folder, path, sizeof path, NULL), ERR_CONFIG);
}

static void glibcs_own_libraries_are_known(void **state)
{
    static const char *const yes[] = {
        "libc.so.6", "libm.so.6", "libpthread.so.0", "/lib/x/librt.so.1", "ld-linux-x86-64.so.2",
        "libdl.so.2"
    };
    static const char *const no[] = { "libcuda.so.1", "libc", "libcc.so.6",
                                      "libc.a",       "",     "xlibc.so.6" };
    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(loader_is_libc(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(loader_is_libc(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_explicit_place_is_the_only_one),
        cmocka_unit_test(the_highest_version_stands_for_a_missing_link),
        cmocka_unit_test(the_systems_folders_are_searched),
        cmocka_unit_test(the_environments_folders_come_first),
        cmocka_unit_test(a_folder_whose_name_is_too_long),
        cmocka_unit_test(a_32_bit_library_does_not_end_the_search),
        cmocka_unit_test(a_path_that_does_not_fit_is_an_error),
        cmocka_unit_test(glibcs_own_libraries_are_known),
    };
    return cmocka_run_group_tests_name("loader_find", tests, make_files, remove_files);
}
