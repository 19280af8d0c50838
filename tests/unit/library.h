/*
 * Shared libraries made by hand, so that the loader can be tested byte by byte and without a
 * compiler: three pages, one to read, one of code, one to write, and a fourth without contents.
 *
 *     struct library lib;
 *     library_begin(&lib, "libone.so");
 *     library_need(&lib, "libtwo.so");
 *     unsigned two = library_symbol(&lib, "two", STT_NOTYPE, STB_GLOBAL, LIBRARY_UNDEFINED);
 *     library_relocate(&lib, LIBRARY_DATA(0), LIBRARY_ADDRESS, two, 0);
 *     library_write(&lib, "/tmp/x/libone.so");
 *
 * Errors of the making itself end the test.
 */
#ifndef TESTS_LIBRARY_H
#define TESTS_LIBRARY_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#define LIBRARY_PAGE 0x1000u

struct library {
    struct library_image {
        Elf64_Ehdr ehdr;
        Elf64_Phdr parts[6];
        Elf64_Sym symbols[24];
        char strings[1024];
        uint32_t hash[2 + 1 + 24]; /* nbucket, nchain, one bucket, a chain of all symbols */
        Elf64_Rela rela[16], plt_rela[4];
        uint64_t relr[4];
        _Alignas(LIBRARY_PAGE) unsigned char code[LIBRARY_PAGE];
        _Alignas(LIBRARY_PAGE) Elf64_Dyn dynamic[64];
        uint64_t data[32];
        uint64_t thread_local[2]; /* the image of its thread-local storage */
        uint64_t constructors[1];
        unsigned char rest[LIBRARY_PAGE - 64 * 16 - 35 * 8];
    } image;
    unsigned part_count, symbol_count, string_bytes, rela_count, plt_rela_count, relr_count;
    unsigned dynamic_count, code_bytes;
};

/* Addresses in the file, to be added to the library's base. */
#define LIBRARY_AT(member) offsetof(struct library_image, member)
#define LIBRARY_DATA(i) (LIBRARY_AT(data) + 8u * (i))
#define LIBRARY_BEYOND (3u * LIBRARY_PAGE) /* the page without contents: zeros, to be written */
#define LIBRARY_END (4u * LIBRARY_PAGE)

/* The kinds of relocation, with this processor's numbers. */
enum {
#ifdef __aarch64__
    LIBRARY_ADDRESS = 257,
    LIBRARY_GLOBAL = 1025,
    LIBRARY_FUNCTION = 1026,
    LIBRARY_RELATIVE = 1027,
    LIBRARY_THREAD_MODULE = 1028,
    LIBRARY_THREAD_PLACE = 1029,
    LIBRARY_THREAD_OFFSET = 1030,
    LIBRARY_THREAD_DESCRIPTOR = 1031,
    LIBRARY_INDIRECT = 1032,
#else
    LIBRARY_ADDRESS = 1,
    LIBRARY_GLOBAL = 6,
    LIBRARY_FUNCTION = 7,
    LIBRARY_RELATIVE = 8,
    LIBRARY_THREAD_MODULE = 16,
    LIBRARY_THREAD_PLACE = 17,
    LIBRARY_THREAD_OFFSET = 18,
    LIBRARY_THREAD_DESCRIPTOR = 36,
    LIBRARY_INDIRECT = 37,
#endif
};

/* An empty library; soname may be NULL. */
void library_begin(struct library *lib, const char *soname);
void library_need(struct library *lib, const char *name);

/* Gives it a list of folders, by DT_RUNPATH or DT_RPATH. */
void library_run_path(struct library *lib, int64_t tag, const char *list);

/* A further entry of the dynamic section, or program header. */
void library_dynamic(struct library *lib, int64_t tag, uint64_t value);
void library_part(struct library *lib, Elf64_Phdr part);

/* Gives it 16 bytes of thread-local storage that begin with the two numbers. */
void library_thread_local(struct library *lib, uint64_t first, uint64_t second);

/* Adds a symbol, and returns its index. value: an address, or this for an undefined one. */
#define LIBRARY_UNDEFINED UINT64_MAX
unsigned library_symbol(struct library *lib, const char *name, unsigned type, unsigned bind,
                        uint64_t value);

/* Adds a relocation of the place; library_plt_relocate to the second table, that of functions. */
void library_relocate(struct library *lib, uint64_t place, unsigned type, unsigned symbol,
                      uint64_t addend);
void library_plt_relocate(struct library *lib, uint64_t place, unsigned type, unsigned symbol);
void library_relr(struct library *lib, uint64_t entry);

/*
 * Code; each returns the address of a new function that takes no arguments:
 * returns the word at an address; adds 1 to the 32 bits there; copies the 32 bits that the pointer
 * at `from` points to.
 */
uint64_t library_code_read(struct library *lib, uint64_t address);
uint64_t library_code_count(struct library *lib, uint64_t address);
uint64_t library_code_copy(struct library *lib, uint64_t from, uint64_t to);

/* A function that runs when the library is loaded. */
void library_constructor(struct library *lib, uint64_t function);

/* Writes the file. */
void library_write(struct library *lib, const char *path);

#endif
