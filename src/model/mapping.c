#include "model/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    const char *begin;
    size_t size;
    char line[512]; /* what the handler of SIGBUS prints: it can format nothing */
} mappings[MAPPINGS_MAX];
static int mapping_count;

static void bus_error(int number, siginfo_t *info, void *context)
{
    const char *address = info->si_addr;
    (void)context;
    for (int i = 0; i < mapping_count; i++)
        if (address >= mappings[i].begin && address < mappings[i].begin + mappings[i].size) {
            ssize_t written = write(STDERR_FILENO, mappings[i].line, strlen(mappings[i].line));
            (void)written;
            _exit(1);
        }
    signal(number, SIG_DFL); /* the access is repeated, and ends the process */
}

static void catch_bus_error(void)
{
    struct sigaction action = { .sa_sigaction = bus_error, .sa_flags = SA_SIGINFO };
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

static int map(int fd, const char *path, slice *bytes, struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return err_system(err, ERR_INPUT, errno, "%s", path);
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_INPUT, "%s is not a regular file", path);
    *bytes = (slice){ "", 0 };
    if (status.st_size == 0)
        return 0;
    size_t size = (size_t)status.st_size;
    void *begin = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (begin == MAP_FAILED)
        return err_system(err, ERR_INPUT, errno, "%s: cannot be mapped", path);
    *bytes = (slice){ begin, size };
    return 0;
}

int mapping_open(const char *path, slice *bytes, struct err *err)
{
    if (mapping_count == MAPPINGS_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %d files to map", path, MAPPINGS_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_system(err, ERR_INPUT, errno, "%s", path);
    int rc = map(fd, path, bytes, err);
    close(fd);
    if (rc != 0 || bytes->len == 0)
        return rc;
    mappings[mapping_count].begin = bytes->ptr;
    mappings[mapping_count].size = bytes->len;
    snprintf(mappings[mapping_count].line, sizeof mappings->line,
             "worker: %.400s has become shorter, or cannot be read any more, while it was in use\n",
             path);
    mapping_count++;
    catch_bus_error();
    return 0;
}
