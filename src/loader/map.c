/* Maps a library's file into memory as its program headers ask. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/loader_private.h"

bool loader_supported(void)
{
    return LOADER_MACHINE != EM_NONE;
}

static uint64_t page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int protection_of(const Elf64_Phdr *segment)
{
    return ((segment->p_flags & PF_R) ? PROT_READ : 0) |
           ((segment->p_flags & PF_W) ? PROT_WRITE : 0) |
           ((segment->p_flags & PF_X) ? PROT_EXEC : 0);
}

/* Reserves inaccessible address space for the whole library, aligned as it asks. */
static int reserve(const struct elf_head *head, uint64_t page, char **memory, struct err *err)
{
    size_t span = (size_t)head->span, room = span + (size_t)(head->align - page);
    char *all = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return err_system(err, ERR_MEMORY, errno,
                          "cannot reserve %zu bytes of address space for it", span);
    /* low itself need not be aligned; addresses must be the same modulo align as in the file. */
    size_t before = (size_t)((head->low - (uint64_t)(uintptr_t)all) & (head->align - 1));
    size_t after = room - before - span;
    if (before > 0)
        munmap(all, before);
    if (after > 0)
        munmap(all + before + span, after);
    *memory = all + before;
    return 0;
}

static int map_segment(int fd, const struct loader_lib *lib, const Elf64_Phdr *segment,
                       uint64_t page, struct err *err)
{
    uint64_t from = segment->p_vaddr & ~(page - 1), file_end = segment->p_vaddr + segment->p_filesz;
    uint64_t mapped_end = (file_end + page - 1) & ~(page - 1);
    uint64_t end = (segment->p_vaddr + segment->p_memsz + page - 1) & ~(page - 1);
    int protection = protection_of(segment);
    if (segment->p_filesz == 0)
        mapped_end = from;
    if (mapped_end > from &&
        mmap(lib->base + from, (size_t)(mapped_end - from), protection, MAP_PRIVATE | MAP_FIXED, fd,
             (off_t)(segment->p_offset & ~(page - 1))) == MAP_FAILED)
        return err_system(err, ERR_MEMORY, errno, "cannot map a segment");
    if (segment->p_memsz > segment->p_filesz && mapped_end > from && mapped_end > file_end)
        memset(lib->base + file_end, 0, (size_t)(mapped_end - file_end));
    if (end > mapped_end && mmap(lib->base + mapped_end, (size_t)(end - mapped_end), protection,
                                 MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        return err_system(err, ERR_MEMORY, errno, "no memory for a segment");
    return 0;
}

static int map_segments(int fd, struct loader_lib *lib, uint64_t page, struct err *err)
{
    for (size_t i = 0; i < lib->head.part_count; i++) {
        const Elf64_Phdr *segment = &lib->head.parts[i];
        if (segment->p_type != PT_LOAD || segment->p_memsz == 0)
            continue;
        int rc = map_segment(fd, lib, segment, page, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Reads the headers from a temporary mapping of the file. */
static int read_head(int fd, size_t size, struct loader_lib *lib, struct err *err)
{
    if (size == 0)
        return err_set(err, ERR_INPUT, "it is empty");
    char *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED)
        return err_system(err, ERR_CONFIG, errno, "it cannot be mapped");
    int rc = elf_read_head((slice){ file, size }, LOADER_MACHINE, page_bytes(), &lib->head, err);
    munmap(file, size);
    return rc;
}

static int map_file(int fd, struct loader_lib *lib, struct err *err)
{
    struct stat info;
    uint64_t page = page_bytes();
    char *memory = NULL;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return err_set(err, ERR_CONFIG, "it is not a regular file");
    lib->device = info.st_dev;
    lib->inode = info.st_ino;
    int rc = read_head(fd, (size_t)info.st_size, lib, err);
    if (rc == 0)
        rc = reserve(&lib->head, page, &memory, err);
    if (rc != 0)
        return rc;
    lib->base = (char *)((uintptr_t)memory - (uintptr_t)lib->head.low);
    rc = map_segments(fd, lib, page, err);
    if (rc == 0)
        rc = elf_read_dynamic(&(struct elf_image){ &lib->head, memory }, &lib->dynamic, err);
    if (rc == 0 && lib->dynamic.text_relocations)
        rc = err_set(err, ERR_INPUT, "it has relocations in its code");
    /* Drivers try to open the program they run in; loading it a second time must fail. */
    if (rc == 0 && lib->dynamic.is_program)
        rc = err_set(err, ERR_INPUT, "it is a program, not a library");
    if (rc != 0)
        munmap(memory, (size_t)lib->head.span);
    return rc;
}

int loader_map(const char *path, struct loader_lib *lib, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a FIFO must not block */
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
        return err_set(err, ERR_MEMORY, "no memory for its path");
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
