#include "base/remove_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE_DEPTH 32    /* folders open at the same time; deeper ones are moved up first */
#define TREE_PASSES 1000 /* over one folder, while other processes still write to it */
#define TREE_OPEN (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* One removal. */
struct removal {
    int root;       /* the folder to be removed */
    unsigned moved; /* folders moved up into it so far */
    int errnum;     /* why the first entry could not be removed; 0: none failed */
};

static void note(struct removal *removal, int errnum)
{
    if (removal->errnum == 0 && errnum != ENOENT)
        removal->errnum = errnum;
}

/* Opens a folder whose owner lacks access; by descriptor, so that no link can take its place. */
static int open_shut(int parent, const char *name)
{
    char path[32];
    int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int opened = chmod(path, S_IRWXU) == 0 ? openat(parent, name, TREE_OPEN) : -1;
    int errnum = opened < 0 ? EACCES : 0;
    close(fd);
    errno = errnum;
    return opened;
}

static int open_folder(int parent, const char *name)
{
    int fd = openat(parent, name, TREE_OPEN);
    if (fd < 0 && errno == EACCES)
        fd = open_shut(parent, name);
    if (fd >= 0)
        fchmod(fd, S_IRWXU);
    return fd;
}

/* NOLINTBEGIN(misc-no-recursion): at most TREE_DEPTH deep */
static bool remove_entry(struct removal *removal, int parent, const char *name, unsigned depth);

/* One pass over the entries. True if any was removed. Closes fd. */
static bool remove_entries(struct removal *removal, int fd, unsigned depth)
{
    bool progress = false;
    DIR *entries = fdopendir(fd);
    if (entries == NULL) {
        note(removal, errno);
        close(fd);
        return false;
    }
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            progress |= remove_entry(removal, dirfd(entries), entry->d_name, depth);
    closedir(entries);
    return progress;
}

/* Empties a folder and removes it. True if anything was removed. */
static bool remove_folder(struct removal *removal, int parent, const char *name, unsigned depth)
{
    bool progress = false;
    for (int pass = 0; pass < TREE_PASSES; pass++) {
        int fd = open_folder(parent, name);
        if (fd < 0) {
            note(removal, errno);
            return progress;
        }
        if (depth == 0)
            removal->root = fd;
        bool now = remove_entries(removal, fd, depth + 1);
        progress |= now;
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
            return true;
        if (!now || (errno != ENOTEMPTY && errno != EEXIST))
            break;
    }
    note(removal, errno);
    return progress;
}

static bool move_up(struct removal *removal, int parent, const char *name)
{
    char moved[32];
    int fd = open_folder(parent, name); /* makes it writable: moving changes its ".." entry */
    if (fd >= 0)
        close(fd);
    snprintf(moved, sizeof moved, ".removed-%u", removal->moved++);
    bool done = renameat(parent, name, removal->root, moved) == 0;
    if (!done)
        note(removal, errno);
    return done;
}

static bool remove_entry(struct removal *removal, int parent, const char *name, unsigned depth)
{
    if (unlinkat(parent, name, 0) == 0)
        return true;
    if (errno != EISDIR && errno != EPERM) {
        note(removal, errno);
        return false;
    }
    return depth < TREE_DEPTH ? remove_folder(removal, parent, name, depth)
                              : move_up(removal, parent, name);
}

/* NOLINTEND(misc-no-recursion) */

int remove_tree(int parent, const char *name, struct err *err)
{
    struct removal removal = { .root = -1 };
    remove_folder(&removal, parent, name, 0);
    if (faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        return 0;
    return err_system(err, ERR_INPUT, removal.errnum, "cannot remove %s", name);
}
