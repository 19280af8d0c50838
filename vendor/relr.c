/*
 * A static-pie adds its own address to each pointer that it carries, at its start. The usual list
 * of them has 24 bytes for each; the packed one (DT_RELR) has a bit, and an address for each row of
 * them: 28 KB less in build/worker-gpu. musl reads packed lists from 1.2.4 on only, so the program
 * begins here, reads the list, and goes on to musl's start, which then finds an empty one.
 *
 * Nothing has been relocated yet, and there is no thread yet: this file is compiled without stack
 * protector and uses no pointer that is stored anywhere. Linked where the linker packs: build.mk.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

/* The linker's names for the first byte of the file as it lies in memory, and for its tables. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

enum { TAG_RELR_SIZE = 35, TAG_RELR = 36 }; /* DT_RELRSZ, DT_RELR: not in musl 1.2.3's elf.h */

/*
 * An even entry is the address of a pointer; each odd one after it has a bit for each of the next
 * 63 words, from the second lowest on: those that are set are pointers.
 */
static void relocate(char *base, const uint64_t *entry, size_t count)
{
    uint64_t *word = NULL;
    for (; count > 0; entry++, count--) {
        if ((*entry & 1) == 0) {
            word = (uint64_t *)(void *)(base + *entry);
            *word++ += (uintptr_t)base;
            continue;
        }
        for (unsigned bit = 1; bit < 64; bit++, word++)
            if ((*entry >> bit & 1) != 0)
                *word += (uintptr_t)base;
    }
}

__attribute__((visibility("hidden"), used)) void relr_apply(void);
void relr_apply(void)
{
    char *base = (char *)(uintptr_t)__ehdr_start;
    const char *list = NULL;
    size_t bytes = 0;
    for (Elf64_Dyn *each = _DYNAMIC; each->d_tag != DT_NULL; each++) {
        if (each->d_tag == TAG_RELR) {
            list = base + each->d_un.d_ptr;
        } else if (each->d_tag == TAG_RELR_SIZE) {
            bytes = each->d_un.d_val;
            each->d_un.d_val = 0; /* for a musl that reads such lists too */
        }
    }
    relocate(base, (const uint64_t *)(const void *)list, bytes / sizeof(uint64_t));
}

/* The stack is as the kernel leaves it: musl's start finds the program's arguments there. */
__asm__(".pushsection .text.relr_start,\"ax\"\n"
        ".globl relr_start\n"
        ".hidden relr_start\n"
        "relr_start:\n"
        "call relr_apply\n"
        "jmp _start\n"
        ".popsection\n");
