/* The manifest of a cache on a volume: read, checked, written. */
#include <fcntl.h>
#include <unistd.h>

#include "base/io.h"
#include "files/volume_cache_private.h"
#include "json/json.h"

/* --- reading ---------------------------------------------------------------------------------- */

static int malformed(struct err *err)
{
    return err_set(err, ERR_INPUT, VOLUME_MANIFEST " is not one of version %d", VOLUME_VERSION);
}

/* One {"path", "size", "mtime"}. */
static int read_file(slice entry, struct volume_list *list, struct err *err)
{
    slice value, path;
    int64_t bytes;
    double mtime_s;
    struct arena scratch;
    struct err none;
    arena_init(&scratch, PATH_MAX * 8);
    int rc = 0;
    if (!json_member(entry, "path", &value) || json_string(value, &scratch, &path, &none) != 0 ||
        !json_member(entry, "size", &value) || json_int(value, &bytes, &none) != 0 || bytes < 0 ||
        !json_member(entry, "mtime", &value) || json_double(value, &mtime_s, &none) != 0)
        rc = malformed(err);
    else if (path.len > 1 && path.ptr[0] == '/' && path.len < PATH_MAX &&
             memchr(path.ptr, '\0', path.len) == NULL)
        rc = volume_list_add(list, path, (uint64_t)bytes, mtime_s, err);
    arena_free(&scratch);
    return rc;
}

static int read_list(slice manifest, const char *name, struct volume_list *list, struct err *err)
{
    slice array, entry;
    size_t at = 0;
    if (!json_member(manifest, name, &array))
        return 0; /* none, to the SDK */
    if (json_type(array) != RP_ARRAY)
        return malformed(err);
    for (int rc; json_next_element(array, &at, &entry);) {
        rc = read_file(entry, list, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_text(slice text, struct volume_list *small, struct volume_list *big,
                     struct err *err)
{
    slice version;
    int64_t number;
    struct err none;
    if (json_check(text, NULL, &none) != 0 || json_type(text) != RP_OBJECT ||
        !json_member(text, "version", &version) || json_int(version, &number, &none) != 0 ||
        number != VOLUME_VERSION)
        return malformed(err);
    int rc = read_list(text, "small", small, err);
    return rc == 0 ? read_list(text, "big", big, err) : rc;
}

int volume_manifest_read(int root, struct volume_list *small, struct volume_list *big,
                         struct err *err)
{
    struct buf text;
    int fd = openat(root, VOLUME_MANIFEST, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return 0;
    buf_init(&text, VOLUME_LIST_BYTES, VOLUME_MANIFEST);
    int rc = io_read_fd(fd, VOLUME_MANIFEST, &text, err);
    close(fd);
    if (rc == 0)
        rc = read_text(buf_slice(&text), small, big, err);
    buf_free(&text);
    return rc == 0 ? 1 : rc;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* JSON has no way to write a name that is not UTF-8: such a file is not named or read. */
static void put_file(struct buf *out, const struct volume_file *file)
{
    size_t before = out->len;
    if (before > 0 && out->ptr[before - 1] != '[')
        buf_add_text(out, ", ", NULL);
    buf_add_text(out, "{\"path\": ", NULL);
    if (json_put_string(out, file->path, NULL) != 0) {
        buf_truncate(out, before);
        return;
    }
    json_add(out, NULL, ", \"size\": %llu, \"mtime\": %.6f}", (unsigned long long)file->bytes,
             file->mtime_s);
}

static int put_manifest(struct buf *out, const struct volume_list *small,
                        const struct volume_list *big, struct err *err)
{
    json_add(out, NULL, "{\"version\": %d, \"threshold\": %u, \"small\": [", VOLUME_VERSION,
             VOLUME_SMALL_BYTES);
    for (size_t i = 0; i < small->count; i++)
        put_file(out, &small->files[i]);
    buf_add_text(out, "], \"big\": [", NULL);
    for (size_t i = 0; i < big->count; i++)
        if (big->files[i].is_copied)
            put_file(out, &big->files[i]);
    buf_add_text(out, "]}", NULL);
    return buf_error(out, err);
}

int volume_manifest_write(int root, const struct volume_list *small, const struct volume_list *big,
                          struct err *err)
{
    struct buf text;
    struct volume_output output;
    buf_init(&text, VOLUME_LIST_BYTES, VOLUME_MANIFEST);
    int rc = put_manifest(&text, small, big, err);
    if (rc == 0)
        rc = volume_output_open(&output, fcntl(root, F_DUPFD_CLOEXEC, 0), VOLUME_MANIFEST, err);
    if (rc == 0) {
        bool written = io_write_all(output.fd, buf_slice(&text)) == 0;
        rc = written ? 0 : err_set(err, ERR_INPUT, "writing " VOLUME_MANIFEST);
        rc = volume_output_close(&output, rc, err);
    }
    buf_free(&text);
    return rc;
}
