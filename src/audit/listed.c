#include "audit/listed.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit/audit.h"

static struct listed_place {
    dev_t device;
    ino_t inode;
    unsigned access;
} places[AUDIT_ENTRIES_MAX];
static size_t place_count;

static uint16_t ports[AUDIT_ENTRIES_MAX];
static size_t port_count;

int listed_add_path(const char *path, unsigned access)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return errno;
    if (place_count < AUDIT_ENTRIES_MAX)
        places[place_count++] = (struct listed_place){ status.st_dev, status.st_ino, access };
    return 0;
}

void listed_add_port(uint16_t port)
{
    if (port_count < AUDIT_ENTRIES_MAX)
        ports[port_count++] = port;
}

bool listed_port(uint16_t port)
{
    for (size_t i = 0; i < port_count; i++)
        if (ports[i] == port)
            return true;
    return false;
}

static unsigned access_of(const char *path)
{
    struct stat status;
    unsigned access = 0;
    if (stat(path, &status) != 0)
        return 0;
    for (size_t i = 0; i < place_count; i++)
        if (places[i].device == status.st_dev && places[i].inode == status.st_ino)
            access |= places[i].access;
    return access;
}

/* "/a/b" to "/a", that to "/". False after that. */
static bool to_parent(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL || path[1] == '\0')
        return false;
    slash[slash == path ? 1 : 0] = '\0';
    return true;
}

int listed_access(const char *path, unsigned *access)
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL)
        return -1;
    *access = 0;
    do
        *access |= access_of(real);
    while (to_parent(real));
    return 0;
}

int listed_folder_access(const char *path, unsigned *access)
{
    char folder[PATH_MAX];
    size_t len = strnlen(path, sizeof folder - 1);
    while (len > 0 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    snprintf(folder, sizeof folder, "%.*s", (int)len, path);
    return listed_access(len > 0 ? folder : ".", access);
}
