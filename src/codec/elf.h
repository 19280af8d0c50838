/*
 * codec/elf.h - reads a shared library (ELF64, little-endian) without trusting it.
 *
 * Two steps, as a loader takes them: elf_read_head checks the bytes of the file and says what to
 * map where; elf_read_dynamic checks the memory that was mapped so and finds the tables in it. All
 * that these functions return lies within the bytes they were given. They are pure: no I/O, no
 * allocation, nothing written but the caller's structs, any thread.
 *
 * Facts: System V gABI, chapters 4 and 5; "ELF Handling For Thread-Local Storage" (Drepper); for
 * GNU's hash, RELRO and RELR the behaviour of GNU ld and glibc. Numbers and structs of <elf.h>.
 *
 * Errors are ERR_INPUT, and ERR_LIMIT for the limits below. The text says what is wrong, not in
 * which file: the caller wraps it.
 */
#ifndef CODEC_ELF_H
#define CODEC_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define ELF_PARTS_MAX 32           /* program headers; libraries have about 10 */
#define ELF_SPAN_MAX (4ull << 30)  /* bytes of address space of one library; 32-bit distances */
#define ELF_ALIGN_MAX (1ull << 30) /* of a segment; linkers write 4 KiB to 2 MiB */
#define ELF_TLS_ALIGN_MAX 4096ull  /* of a TLS block: a page, which CUDA's libraries ask for */
#define ELF_DYNAMIC_MAX 4096u      /* entries of the dynamic section; libraries have about 35 */

/* What elf_read_head finds in a file. */
struct elf_head {
    Elf64_Phdr parts[ELF_PARTS_MAX]; /* a copy of the program headers */
    size_t part_count;
    uint64_t low;              /* address of the first byte to map, a multiple of the page */
    uint64_t span;             /* bytes from there to the last byte, whole pages, not 0 */
    uint64_t align;            /* of the address that low is mapped at: a power of two >= page */
    const Elf64_Phdr *dynamic; /* of parts; never NULL */
    const Elf64_Phdr *tls;     /* NULL where the library has no TLS */
    const Elf64_Phdr *relro;   /* NULL where nothing is to be made read-only */
};

/*
 * Checks the headers of a library. file: all of its bytes (a mapping will do: only the headers are
 * read). machine: EM_X86_64 or EM_AARCH64, the processor to run it on. page: bytes of a memory
 * page.
 *
 * Guaranteed afterwards of every PT_LOAD: it lies within the file and within low + span, follows
 * the one before it in pages of its own, is congruent to its file offset modulo the page, and is
 * not both writable and executable. Dynamic section, TLS image (readable) and RELRO lie within
 * PT_LOADs.
 */
int elf_read_head(slice file, unsigned machine, uint64_t page, struct elf_head *head,
                  struct err *err);

/*
 * True for an ELF file of another word size, byte order or processor than `machine`: a search goes
 * on behind it, as glibc's does. bytes: the file's first ones, 20 or more. False for anything else,
 * also where it is not an ELF file, which is an error to report rather than to skip.
 */
bool elf_is_foreign(slice bytes, unsigned machine);

/* A library in memory: address `low` of the file lies at memory[0]. head and memory are linked. */
struct elf_image {
    const struct elf_head *head;
    char *memory;
};

/*
 * The memory of the `size` bytes at an address of the file; NULL where they are not wholly within
 * one PT_LOAD that has all the rights (PF_R, PF_W, PF_X). size may be 0.
 */
void *elf_at(const struct elf_image *image, uint64_t address, uint64_t size, unsigned rights);

/* A table of the dynamic section: `count` entries at `at`, within the image. */
struct elf_table {
    const void *at; /* NULL where the library has none */
    size_t count;
};

/* What elf_read_dynamic finds. Linked to the image. */
struct elf_dynamic {
    struct elf_image image;
    const Elf64_Dyn *entries;
    size_t entry_count;       /* those before DT_NULL */
    slice strings;            /* ends with NUL, so every offset below its length is a C string */
    struct elf_table symbols; /* Elf64_Sym; count: how many fit, not how many there are */
    struct elf_table rela, plt_rela;         /* Elf64_Rela */
    struct elf_table relr;                   /* Elf64_Relr */
    struct elf_table init_array, fini_array; /* uint64_t addresses, relocated */
    uint64_t init, fini;                     /* addresses of the file; 0: none */
    const char *soname;                      /* NULL: none */
    const char *run_path;                    /* its own list of folders; NULL: none */
    bool symbolic;              /* DT_SYMBOLIC: its symbols are searched in itself first */
    bool text_relocations;      /* DT_TEXTREL */
    bool is_program;            /* DF_1_PIE: to be started, not loaded */
    struct elf_table versions;  /* uint16_t of each symbol; count: how many fit */
    struct elf_table sysv_hash; /* uint32_t; nbucket, nchain, buckets, chains */
    struct elf_gnu_hash {
        const uint32_t *buckets, *chain;
        const uint64_t *bloom;
        uint32_t bucket_count, first, bloom_count, bloom_shift;
        size_t chain_count; /* how many fit */
    } gnu_hash;
};

/*
 * Finds the tables of a library in memory. Before relocation: addresses in the dynamic section are
 * those of the file.
 */
int elf_read_dynamic(const struct elf_image *image, struct elf_dynamic *dynamic, struct err *err);

/* The name of the next DT_NEEDED from *cursor (0 at first) on; NULL after the last. */
const char *elf_next_needed(const struct elf_dynamic *dynamic, size_t *cursor);

/* Symbol of an index that a relocation gives, and a symbol's name. NULL where out of bounds. */
const Elf64_Sym *elf_symbol(const struct elf_dynamic *dynamic, uint64_t index);
const char *elf_symbol_name(const struct elf_dynamic *dynamic, const Elf64_Sym *symbol);

/* A name with its two hashes, computed once for a search in several libraries. text is linked. */
struct elf_name {
    const char *text;
    uint32_t gnu, sysv;
};
struct elf_name elf_name(const char *text);

/*
 * The symbol of that name which the library exports; NULL where it exports none. Of several
 * versions it is the one that programs are linked with today ("name@@VERSION").
 */
const Elf64_Sym *elf_find(const struct elf_dynamic *dynamic, const struct elf_name *name);

/* The function or object with the highest address not above `address`, or NULL. */
const Elf64_Sym *elf_nearest(const struct elf_dynamic *dynamic, uint64_t address);

/*
 * Walks RELR, relative relocations as bitmaps. cursor: all zero at first. Sets *address to the next
 * word to relocate and returns true; false after the last. Addresses are not checked.
 */
struct elf_relr_cursor {
    size_t entry;
    uint64_t base, bits;
    unsigned bit;
};
bool elf_next_relr(const struct elf_table *relr, struct elf_relr_cursor *cursor, uint64_t *address);

#endif
