#include "files/below.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/slice.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static bool is_part(slice part)
{
    return part.len > 0 && part.len <= NAME_MAX && !slice_is(part, ".") && !slice_is(part, "..");
}

/* Closes `parent` and returns its folder of that name. */
static int step_down(int parent, slice part, mode_t make, uint64_t *made, struct err *err)
{
    char name[NAME_MAX + 1];
    snprintf(name, sizeof name, "%.*s", SLICE_ARG(part));
    /* Whatever is wrong with making it, opening it tells. */
    if (make != 0 && mkdirat(parent, name, make) == 0 && made != NULL)
        ++*made;
    int fd = openat(parent, name, FOLDER_FLAGS);
    int errnum = errno;
    close(parent);
    return fd >= 0 ? fd : err_system(err, ERR_INPUT, errnum, "the folder %s", name);
}

int below_open_folder(int root, const char *path, mode_t make, uint64_t *made, const char **name,
                      struct err *err)
{
    int fd = openat(root, ".", FOLDER_FLAGS);
    *name = path;
    if (fd < 0)
        return err_system(err, ERR_INPUT, errno, "the folder of %.200s", path);
    for (;;) {
        slice part = { *name, strcspn(*name, "/") };
        if (!is_part(part)) {
            close(fd);
            return err_set(err, ERR_INPUT, "%.200s is not a path below a folder", path);
        }
        if (part.ptr[part.len] == '\0')
            return fd;
        fd = step_down(fd, part, make, made, err);
        if (fd < 0)
            return fd;
        *name += part.len + 1;
    }
}

int below_open_file(int root, const char *path, struct err *err)
{
    const char *name;
    struct stat info;
    int folder = below_open_folder(root, path, 0, NULL, &name, err);
    if (folder < 0)
        return folder;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int errnum = errno;
    close(folder);
    if (fd < 0)
        return err_system(err, ERR_INPUT, errnum, "%.200s", path);
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        return fd;
    close(fd);
    return err_set(err, ERR_INPUT, "%.200s is not a regular file", path);
}
