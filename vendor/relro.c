/*
 * A dynamic loader makes what only relocation writes (tables of pointers, the GOT) read-only before
 * main runs. A static-pie has no loader: musl's rcrt1.o relocates and leaves all of it writable, so
 * that the program header that asks for it would be a mere claim. This object goes into every
 * binary and keeps the promise. It runs before any other constructor.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

/* The linker's name for the first byte of the file as it lies in memory. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

/* musl's and glibc's loaders end here too: to go on would be to run less guarded than promised. */
static void give_up(void)
{
    static const char why[] = "cannot make relocated memory read-only\n";
    ssize_t written = write(2, why, sizeof why - 1);
    (void)written;
    _exit(127);
}

__attribute__((constructor(101))) static void seal_relocated(void)
{
    const Elf64_Ehdr *head = (const void *)__ehdr_start;
    const Elf64_Phdr *part = (const void *)(__ehdr_start + head->e_phoff);
    /* A program at a fixed address states addresses, a static-pie distances from its start. */
    uintptr_t base = head->e_type == ET_DYN ? (uintptr_t)__ehdr_start : 0;
    uintptr_t page = getauxval(AT_PAGESZ);

    for (unsigned i = 0; i < head->e_phnum; i++) {
        if (part[i].p_type != PT_GNU_RELRO)
            continue;
        uintptr_t from = (base + part[i].p_vaddr) & ~(page - 1);
        uintptr_t to = (base + part[i].p_vaddr + part[i].p_memsz) & ~(page - 1);
        if (to > from && mprotect((void *)from, to - from, PROT_READ) != 0)
            give_up();
    }
}
