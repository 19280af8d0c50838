/* app/memory: what the host has and what cgroups leave of it, in trees as the kernel shows them. */
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

#include "app/memory.h"

static char root[] = "/tmp/test-memory-XXXXXX";
static const char template[] = "/tmp/test-memory-XXXXXX";

#define MIB (1024 * 1024LL)

static int make_root(void **state)
{
    (void)state;
    memcpy(root, template, sizeof root);
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

/* Writes a file below the root, with the folders above it. */
static void put(const char *path, const char *content)
{
    char full[500];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(full, 0700);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void put_host(const char *cgroup, const char *mountinfo)
{
    put("/proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable:  2097152 kB\n");
    put("/proc/self/cgroup", cgroup);
    put("/proc/self/mountinfo", mountinfo);
}

static void assert_memory(int64_t available_mib, int64_t limit_mib)
{
    struct memory_state memory = memory_read(root);
    assert_int_equal(memory.available_bytes, available_mib < 0 ? -1 : available_mib * MIB);
    assert_int_equal(memory.limit_bytes, limit_mib < 0 ? -1 : limit_mib * MIB);
}

#define V2_MOUNT "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT                                                                   \
    "20 1 0:5 / /dev rw - devtmpfs none rw\n"                                      \
    "33 30 0:30 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n" \
    "34 30 0:31 /docker/abc /sys/fs/cgroup/memory ro shared:10 master:3 - cgroup cgroup rw,memory\n"

static void without_cgroups_the_host_counts(void **state)
{
    (void)state;
    assert_memory(-1, -1);
    put("/proc/meminfo", "MemAvailable:  2097152 kB\n");
    assert_memory(2048, -1);
    put_host("0::/\n", V2_MOUNT); /* the root cgroup has no limit of its own */
    assert_memory(2048, -1);
    put("/proc/meminfo", "MemAvailable: 0 kB\n");
    assert_memory(0, -1);
    put("/proc/meminfo", "MemTotal: 4194304 kB\n"); /* of an old kernel */
    assert_memory(-1, -1);
}

static void version_2_limits(void **state)
{
    (void)state;
    put_host("0::/\n", V2_MOUNT);
    put("/sys/fs/cgroup/memory.max", "536870912\n");
    put("/sys/fs/cgroup/memory.current", "209715200\n");
    assert_memory(312, 512);
    put("/sys/fs/cgroup/memory.stat", "anon 1\nfile 2\ninactive_file 104857600\n");
    assert_memory(412, 512);
    put("/sys/fs/cgroup/memory.stat", "anon 1\nfile 2\n");
    assert_memory(312, 512);
    put("/sys/fs/cgroup/memory.stat", "inactive_file many\n");
    assert_memory(312, 512);
    put("/sys/fs/cgroup/memory.stat", "inactive_file 209715201\n"); /* over what is in use */
    assert_memory(512, 512);
    put("/sys/fs/cgroup/memory.max", "max\n");
    assert_memory(2048, -1);
    put("/sys/fs/cgroup/memory.max", "2147483648\n"); /* as much as the host has */
    assert_memory(2048, -1);
    put("/sys/fs/cgroup/memory.max", "8589934592\n"); /* over what the host has */
    assert_memory(2048, -1);
    put("/sys/fs/cgroup/memory.max", "104857600\n"); /* under what is in use */
    put("/sys/fs/cgroup/memory.stat", "inactive_file 0\n");
    assert_memory(0, 100);
}

/* The smallest of all levels holds, wherever it is. */
static void nested_groups(void **state)
{
    (void)state;
    put_host("0::/a/b\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    put("/sys/fs/cgroup/a/b/memory.current", "0\n");
    put("/sys/fs/cgroup/a/memory.max", "1073741824\n");
    put("/sys/fs/cgroup/a/memory.current", "1073741824\n");
    put("/sys/fs/cgroup/a/memory.stat", "inactive_file 1048576\n");
    assert_memory(1, 1024);
    put("/sys/fs/cgroup/a/b/memory.max", "0\n");
    assert_memory(0, 0);
}

static void version_1_limits(void **state)
{
    (void)state;
    put_host("5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n", V1_MOUNT);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "104857600\n");
    put("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 52428800\n");
    assert_memory(2048, -1);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
    assert_memory(206, 256);
    /* Seen from another namespace: the mount has to do. */
    put_host("4:memory:/../other\n", V1_MOUNT);
    assert_memory(206, 256);
}

/* Only what a mount of the right type has, by its place behind the optional fields. */
static void mounts_are_told_by_their_type(void **state)
{
    (void)state;
    put_host("0::/\n", "29 25 0:25 / /tmp rw - tmpfs cgroup2 rw\n"
                       "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 none rw\n");
    put("/tmp/memory.max", "0\n");
    put("/tmp/memory.current", "0\n");
    assert_memory(2048, -1);
    put("/sys/fs/cgroup/memory.max", "536870912\n");
    put("/sys/fs/cgroup/memory.current", "0\n");
    assert_memory(512, 512);
}

/* Of a path that is not below the mount's root, no part is looked for there. */
static void paths_from_elsewhere_name_no_folder(void **state)
{
    (void)state;
    put_host("4:memory:/docker/xyz/deeper\n", V1_MOUNT);
    put("/sys/fs/cgroup/memory/deeper/memory.limit_in_bytes", "0\n");
    put("/sys/fs/cgroup/memory/deeper/memory.usage_in_bytes", "0\n");
    assert_memory(2048, -1);
    put_host("0::/../x\n", V2_MOUNT);
    put("/sys/fs/cgroup/memory.max", "max\n"); /* makes the folder */
    put("/sys/fs/x/memory.max", "0\n");
    put("/sys/fs/x/memory.current", "0\n");
    assert_memory(2048, -1);
}

static void nonsense_is_left_out(void **state)
{
    (void)state;
    put_host("garbage\n:::\n4:memory\n0::/x\n", "1 2 3\n- - -\n" V2_MOUNT "\n");
    put("/sys/fs/cgroup/memory.max", "12 apples\n");
    put("/sys/fs/cgroup/x/memory.max", "-5\n");
    put("/sys/fs/cgroup/x/memory.current", "\n");
    assert_memory(2048, -1);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TREE(without_cgroups_the_host_counts),
        IN_TREE(version_2_limits),
        IN_TREE(nested_groups),
        IN_TREE(version_1_limits),
        IN_TREE(mounts_are_told_by_their_type),
        IN_TREE(paths_from_elsewhere_name_no_folder),
        IN_TREE(nonsense_is_left_out),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
