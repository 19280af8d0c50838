#include "app/memory.h"

#include <limits.h>
#include <stdbool.h>

#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"
#include "codec/byte_class.h"

/* The files of one version of cgroups. */
static const struct cgroup_files {
    const char *type;       /* of the file system */
    const char *controller; /* in /proc/self/cgroup and the mount's options; NULL: version 2 */
    const char *limit, *usage, *inactive;
} cgroup_versions[] = {
    { "cgroup2", NULL, "memory.max", "memory.current", "inactive_file" },
    { "cgroup", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file" },
};

#define UNLIMITED (INT64_MAX / 2) /* version 1 writes a number near 2^63 */

struct reader {
    const char *root;
    struct buf text; /* of the file read last */
};

static bool read_file(struct reader *reader, const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct text text = TEXT_OVER(path);
    buf_clear(&reader->text);
    return text_add(&text, "%s%s/%s", reader->root, folder, name) &&
           io_read_file(path, 0, &reader->text, NULL) == 0;
}

int64_t memory_meminfo_kib(slice meminfo, const char *name)
{
    slice line;
    while (byte_class_next(&meminfo, '\n', &line)) {
        uint64_t kib;
        slice rest = line;
        size_t colon = byte_class_until(line, ":");
        if (colon == line.len || !slice_is((slice){ line.ptr, colon }, name))
            continue;
        rest = byte_class_trim(slice_skip(rest, colon + 1));
        rest.len = byte_class_until(rest, " ");
        return byte_class_decimal(rest, INT64_MAX / 1024, &kib) ? (int64_t)kib : -1;
    }
    return -1;
}

/* --- where the cgroup's files are ------------------------------------------------------------ */

static bool lists(slice list, const char *name)
{
    slice one;
    while (byte_class_next(&list, ',', &one))
        if (slice_is(one, name))
            return true;
    return false;
}

/* The path of this process's cgroup: the third part of a line "4:memory:/path" or "0::/path". */
static bool find_path(slice table, const struct cgroup_files *files, slice *path)
{
    slice line, number, controllers;
    while (byte_class_next(&table, '\n', &line)) {
        if (!byte_class_next(&line, ':', &number) || !byte_class_next(&line, ':', &controllers))
            continue;
        *path = line;
        if (files->controller == NULL ? controllers.len == 0
                                      : lists(controllers, files->controller))
            return true;
    }
    return false;
}

struct mount {
    slice root, point, type, options;
};

/* A line of /proc/self/mountinfo: "36 35 98:0 ROOT POINT OPTIONS ... - TYPE SOURCE OPTIONS". */
static bool read_mount(slice line, struct mount *mount)
{
    slice word;
    bool tail = false;
    size_t at = 0, after = 0;
    *mount = (struct mount){ 0 };
    while (byte_class_next_word(&line, " ", &word)) {
        at++;
        after += tail;
        if (at == 4)
            mount->root = word;
        else if (at == 5)
            mount->point = word;
        else if (after == 1)
            mount->type = word;
        else if (after == 3)
            mount->options = word;
        tail |= at > 6 && slice_is(word, "-");
    }
    return after >= 3;
}

/* --- one hierarchy --------------------------------------------------------------------------- */

/* A file with one number. -1, no limit, for "max" and for a number near 2^63. */
static int64_t read_number(struct reader *reader, const char *folder, const char *name)
{
    uint64_t number;
    slice text, word;
    if (!read_file(reader, folder, name))
        return -1;
    text = buf_slice(&reader->text);
    bool valid = byte_class_next_word(&text, " \n", &word) &&
                 byte_class_decimal(word, INT64_MAX, &number);
    return valid && number < UNLIMITED ? (int64_t)number : -1;
}

static int64_t read_stat(struct reader *reader, const char *folder, const char *name)
{
    slice text, line, word;
    uint64_t number;
    if (!read_file(reader, folder, "memory.stat"))
        return 0;
    text = buf_slice(&reader->text);
    while (byte_class_next(&text, '\n', &line))
        if (byte_class_next_word(&line, " ", &word) && slice_is(word, name))
            return byte_class_decimal(byte_class_trim(line), INT64_MAX, &number) ? (int64_t)number
                                                                                 : 0;
    return 0;
}

static void look_at_level(struct reader *reader, const struct cgroup_files *files,
                          const char *folder, struct memory_state *state)
{
    int64_t limit = read_number(reader, folder, files->limit);
    int64_t usage = limit >= 0 ? read_number(reader, folder, files->usage) : -1;
    if (usage < 0)
        return;
    int64_t inactive = read_stat(reader, folder, files->inactive);
    int64_t used = usage > inactive ? usage - inactive : 0;
    int64_t available = limit > used ? limit - used : 0;
    if (state->available_bytes >= 0 && state->available_bytes <= available)
        return;
    state->available_bytes = available;
    state->limit_bytes = limit;
}

/* From the process's own cgroup up to the mount's root: each one's limit holds for those below. */
static void look_at_mount(struct reader *reader, const struct cgroup_files *files,
                          const struct mount *mount, slice path, struct memory_state *state)
{
    char folder[PATH_MAX];
    struct text text = TEXT_OVER(folder);
    slice root = slice_trim_end(mount->root, '/');
    bool below = path.len >= root.len && slice_equal((slice){ path.ptr, root.len }, root);
    text_add(&text, "%.*s", SLICE_ARG(mount->point));
    size_t point_len = text.len;
    /* A path from outside of the namespace ("/..") says nothing here: take the mount itself. */
    if (below && memmem(path.ptr, path.len, "/..", 3) == NULL)
        text_add(&text, "%.*s", SLICE_ARG(slice_trim_end(slice_skip(path, root.len), '/')));
    while (!text.is_cut) {
        look_at_level(reader, files, folder, state);
        if (text.len <= point_len)
            break;
        text_truncate(&text, (size_t)(strrchr(folder, '/') - folder));
    }
}

static void look_at_version(struct reader *reader, const struct cgroup_files *files, slice groups,
                            slice mounts, struct memory_state *state)
{
    slice path, line;
    struct mount mount;
    if (!find_path(groups, files, &path))
        return;
    while (byte_class_next(&mounts, '\n', &line))
        if (read_mount(line, &mount) && slice_is(mount.type, files->type) &&
            (files->controller == NULL || lists(mount.options, files->controller)))
            look_at_mount(reader, files, &mount, path, state);
}

struct memory_state memory_read(const char *root)
{
    struct memory_state state = { -1, -1 };
    struct reader reader = { .root = root }, mounts = { .root = root }, groups = { .root = root };
    buf_init(&reader.text, LIMIT_MIB, "a file of a cgroup");
    buf_init(&mounts.text, 4u * LIMIT_MIB, "/proc/self/mountinfo");
    buf_init(&groups.text, LIMIT_MIB, "/proc/self/cgroup");
    if (read_file(&reader, "/proc", "meminfo")) {
        int64_t kib = memory_meminfo_kib(buf_slice(&reader.text), "MemAvailable");
        state.available_bytes = kib < 0 ? -1 : kib * 1024;
    }
    if (read_file(&mounts, "/proc/self", "mountinfo") && read_file(&groups, "/proc/self", "cgroup"))
        for (size_t i = 0; i < sizeof cgroup_versions / sizeof cgroup_versions[0]; i++)
            look_at_version(&reader, &cgroup_versions[i], buf_slice(&groups.text),
                            buf_slice(&mounts.text), &state);
    buf_free(&reader.text);
    buf_free(&mounts.text);
    buf_free(&groups.text);
    return state;
}
