#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gpu/loader_lib.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_NONE
#endif

bool loader_supported(void)
{
    return MACHINE != EM_NONE;
}

static uint64_t page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int rights_of(const Elf64_Phdr *part)
{
    return ((part->p_flags & PF_R) ? PROT_READ : 0) | ((part->p_flags & PF_W) ? PROT_WRITE : 0) |
           ((part->p_flags & PF_X) ? PROT_EXEC : 0);
}

/* The address space of the whole library, unreadable, at the alignment it wants. */
static int reserve(const struct elf_head *head, uint64_t page, char **memory, struct err *err)
{
    size_t span = (size_t)head->span, room = span + (size_t)(head->align - page);
    char *all = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return err_system(err, ERR_MEMORY, errno, "no address space for its %zu bytes", span);
    /* low itself need not be aligned: what counts is that addresses keep their place modulo align. */
    size_t before = (size_t)((head->low - (uint64_t)(uintptr_t)all) & (head->align - 1));
    size_t after = room - before - span;
    if (before > 0)
        munmap(all, before);
    if (after > 0)
        munmap(all + before + span, after);
    *memory = all + before;
    return 0;
}

static int map_part(int fd, const struct loader_lib *lib, const Elf64_Phdr *part, uint64_t page,
                    struct err *err)
{
    uint64_t from = part->p_vaddr & ~(page - 1), file_end = part->p_vaddr + part->p_filesz;
    uint64_t mapped_end = (file_end + page - 1) & ~(page - 1);
    uint64_t end = (part->p_vaddr + part->p_memsz + page - 1) & ~(page - 1);
    int rights = rights_of(part);
    if (part->p_filesz == 0)
        mapped_end = from;
    if (mapped_end > from &&
        mmap(lib->base + from, (size_t)(mapped_end - from), rights, MAP_PRIVATE | MAP_FIXED, fd,
             (off_t)(part->p_offset & ~(page - 1))) == MAP_FAILED)
        return err_system(err, ERR_MEMORY, errno, "cannot map a segment");
    if (part->p_memsz > part->p_filesz && mapped_end > from && mapped_end > file_end)
        memset(lib->base + file_end, 0, (size_t)(mapped_end - file_end));
    if (end > mapped_end && mmap(lib->base + mapped_end, (size_t)(end - mapped_end), rights,
                                 MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        return err_system(err, ERR_MEMORY, errno, "no memory for a segment");
    return 0;
}

static int map_parts(int fd, struct loader_lib *lib, uint64_t page, struct err *err)
{
    for (size_t i = 0; i < lib->head.part_count; i++) {
        const Elf64_Phdr *part = &lib->head.parts[i];
        if (part->p_type != PT_LOAD || part->p_memsz == 0)
            continue;
        int rc = map_part(fd, lib, part, page, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The headers are read from a mapping of the file, which ends before anything runs. */
static int read_head(int fd, size_t size, struct loader_lib *lib, struct err *err)
{
    if (size == 0)
        return err_set(err, ERR_INPUT, "it is empty");
    char *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED)
        return err_system(err, ERR_CONFIG, errno, "it cannot be mapped");
    int rc = elf_read_head((slice){ file, size }, MACHINE, page_bytes(), &lib->head, err);
    munmap(file, size);
    return rc;
}

static int map_file(int fd, struct loader_lib *lib, struct err *err)
{
    struct stat info;
    uint64_t page = page_bytes();
    char *memory = NULL;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return err_set(err, ERR_CONFIG, "it is no file");
    lib->device = info.st_dev;
    lib->inode = info.st_ino;
    int rc = read_head(fd, (size_t)info.st_size, lib, err);
    if (rc == 0)
        rc = reserve(&lib->head, page, &memory, err);
    if (rc != 0)
        return rc;
    lib->base = (char *)((uintptr_t)memory - (uintptr_t)lib->head.low);
    rc = map_parts(fd, lib, page, err);
    if (rc == 0)
        rc = elf_read_dynamic(&(struct elf_image){ &lib->head, memory }, &lib->dynamic, err);
    if (rc == 0 && lib->dynamic.text_relocations)
        rc = err_set(err, ERR_INPUT, "it has relocations in its code");
    /* Drivers try to open the program that they are in, whose constructors have run. */
    if (rc == 0 && lib->dynamic.is_program)
        rc = err_set(err, ERR_INPUT, "it is a program, no library");
    if (rc != 0)
        munmap(memory, (size_t)lib->head.span);
    return rc;
}

int loader_map(const char *path, struct loader_lib *lib, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
    if (fd < 0)
        return err_system(err, ERR_CONFIG, errno, "it cannot be opened");
    int rc = map_file(fd, lib, err);
    close(fd);
    if (rc != 0)
        return rc;
    const char *slash = strrchr(path, '/');
    lib->path = strdup(path);
    if (lib->path == NULL) {
        loader_unmap(lib);
        return err_set(err, ERR_MEMORY, "no memory for its name");
    }
    lib->name = lib->dynamic.soname;
    if (lib->name == NULL)
        lib->name = slash == NULL ? lib->path : lib->path + (slash + 1 - path);
    return 0;
}

void loader_unmap(struct loader_lib *lib)
{
    munmap(lib->dynamic.image.memory, (size_t)lib->head.span);
    free(lib->path);
}
