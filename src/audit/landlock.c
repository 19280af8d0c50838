#include "audit/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h: not among musl's headers. */
enum { FLAG_VERSION = 1, RULE_PATH = 1, RULE_PORT = 2 };
enum {
    RUN = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_FOLDER = 1 << 3,
    REMOVE_FOLDER = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_CHARACTER_DEVICE = 1 << 6,
    MAKE_FOLDER = 1 << 7,
    MAKE_FILE = 1 << 8,
    MAKE_SOCKET = 1 << 9,
    MAKE_FIFO = 1 << 10,
    MAKE_BLOCK_DEVICE = 1 << 11,
    MAKE_LINK = 1 << 12,
    MOVE = 1 << 13,     /* from version 2 on */
    TRUNCATE = 1 << 14, /* from version 3 on */
};
enum { BIND_PORT = 1 << 0, CONNECT_PORT = 1 << 1 };

#define ALL_OF_1                                                                        \
    (RUN | READING | WRITE_FILE | REMOVE_FOLDER | REMOVE_FILE | MAKE_CHARACTER_DEVICE | \
     MAKE_FOLDER | MAKE_FILE | MAKE_SOCKET | MAKE_FIFO | MAKE_BLOCK_DEVICE | MAKE_LINK)
#define OF_FILES (WRITE_FILE | READ_FILE | TRUNCATE) /* the others are of folders */
#define READING (READ_FILE | READ_FOLDER)
#define WRITING /* all but devices */                                                              \
    (WRITE_FILE | TRUNCATE | READ_FOLDER | REMOVE_FOLDER | REMOVE_FILE | MAKE_FOLDER | MAKE_FILE | \
     MAKE_SOCKET | MAKE_FIFO | MAKE_LINK | MOVE)

static unsigned known(int version)
{
    return ALL_OF_1 | (version >= 2 ? MOVE : 0u) | (version >= 3 ? TRUNCATE : 0u);
}

int landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, FLAG_VERSION);
    return version >= LANDLOCK_VERSION_MOVES ? (int)version : 0;
}

int landlock_new(int version, bool connects)
{
    const struct {
        uint64_t files, ports;
    } handled = { known(version), BIND_PORT | (connects ? CONNECT_PORT : 0u) };
    size_t size = version >= LANDLOCK_VERSION_PORTS ? sizeof handled : sizeof handled.files;
    return (int)syscall(SYS_landlock_create_ruleset, &handled, size, 0);
}

static int add_path(int list, int fd, uint64_t access)
{
    const struct __attribute__((packed)) {
        uint64_t access;
        int32_t fd;
    } rule = { access, fd };
    return syscall(SYS_landlock_add_rule, list, RULE_PATH, &rule, 0) == 0 ? 0 : errno;
}

int landlock_allow_path(int list, int version, const char *path, unsigned access)
{
    struct stat status;
    int fd = openat(AT_FDCWD, path, O_PATH | O_CLOEXEC); /* musl's open makes a second call */
    if (fd < 0)
        return errno;
    unsigned rights = (access & LANDLOCK_READS ? READING : 0u) |
                      (access & LANDLOCK_WRITES ? WRITING : 0u);
    if (fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode))
        rights &= OF_FILES;
    int errnum = add_path(list, fd, rights & known(version));
    close(fd);
    return errnum;
}

int landlock_allow_port(int list, uint16_t port, bool listens)
{
    const struct {
        uint64_t access, port;
    } rule = { listens ? BIND_PORT : CONNECT_PORT, port };
    return syscall(SYS_landlock_add_rule, list, RULE_PORT, &rule, 0) == 0 ? 0 : errno;
}

int landlock_install(int list)
{
    return syscall(SYS_landlock_restrict_self, list, 0) == 0 ? 0 : errno;
}
