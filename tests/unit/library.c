#include "library.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

_Static_assert(sizeof(struct library_image) == 3 * LIBRARY_PAGE, "three pages");
_Static_assert(LIBRARY_AT(dynamic) == 2 * LIBRARY_PAGE, "the third is written");

/* --- tables --------------------------------------------------------------------------------- */

static uint32_t add_string(struct library *lib, const char *text)
{
    size_t size = strlen(text) + 1;
    uint32_t at = lib->string_bytes;
    assert_true(at + size <= sizeof lib->image.strings);
    memcpy(lib->image.strings + at, text, size);
    lib->string_bytes += (uint32_t)size;
    return at;
}

void library_dynamic(struct library *lib, int64_t tag, uint64_t value)
{
    assert_true(lib->dynamic_count + 1 < COUNT(lib->image.dynamic));
    lib->image.dynamic[lib->dynamic_count++] = (Elf64_Dyn){ tag, { value } };
}

void library_part(struct library *lib, Elf64_Phdr part)
{
    assert_true(lib->part_count < COUNT(lib->image.parts));
    lib->image.parts[lib->part_count++] = part;
}

static void add_load(struct library *lib, unsigned rights, uint64_t at, uint64_t in_memory)
{
    library_part(
        lib, (Elf64_Phdr){ PT_LOAD, rights, at, at, at, LIBRARY_PAGE, in_memory, LIBRARY_PAGE });
}

void library_begin(struct library *lib, const char *soname)
{
    memset(lib, 0, sizeof *lib);
    lib->image.ehdr = (Elf64_Ehdr){
        .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_DYN,
#ifdef __aarch64__
        .e_machine = EM_AARCH64,
#else
        .e_machine = EM_X86_64,
#endif
        .e_version = EV_CURRENT,
        .e_phoff = LIBRARY_AT(parts),
        .e_phentsize = sizeof(Elf64_Phdr),
    };
    add_load(lib, PF_R, 0, LIBRARY_PAGE);
    add_load(lib, PF_R | PF_X, LIBRARY_AT(code), LIBRARY_PAGE);
    add_load(lib, PF_R | PF_W, LIBRARY_AT(dynamic), 2 * LIBRARY_PAGE);
    library_part(lib, (Elf64_Phdr){ PT_DYNAMIC, PF_R | PF_W, LIBRARY_AT(dynamic),
                                    LIBRARY_AT(dynamic), LIBRARY_AT(dynamic),
                                    sizeof lib->image.dynamic, sizeof lib->image.dynamic, 8 });
    lib->string_bytes = 1;
    lib->symbol_count = 1;
    library_dynamic(lib, DT_STRTAB, LIBRARY_AT(strings));
    library_dynamic(lib, DT_STRSZ, sizeof lib->image.strings);
    library_dynamic(lib, DT_SYMTAB, LIBRARY_AT(symbols));
    library_dynamic(lib, DT_SYMENT, sizeof(Elf64_Sym));
    library_dynamic(lib, DT_HASH, LIBRARY_AT(hash));
    if (soname != NULL)
        library_dynamic(lib, DT_SONAME, add_string(lib, soname));
}

void library_need(struct library *lib, const char *name)
{
    library_dynamic(lib, DT_NEEDED, add_string(lib, name));
}

void library_run_path(struct library *lib, int64_t tag, const char *list)
{
    library_dynamic(lib, tag, add_string(lib, list));
}

void library_thread_local(struct library *lib, uint64_t first, uint64_t second)
{
    lib->image.thread_local[0] = first;
    lib->image.thread_local[1] = second;
    library_part(lib,
                 (Elf64_Phdr){ PT_TLS, PF_R, LIBRARY_AT(thread_local), LIBRARY_AT(thread_local),
                               LIBRARY_AT(thread_local), 16, 16, 8 });
}

unsigned library_symbol(struct library *lib, const char *name, unsigned type, unsigned bind,
                        uint64_t value)
{
    unsigned index = lib->symbol_count++;
    assert_true(index < COUNT(lib->image.symbols));
    lib->image.symbols[index] = (Elf64_Sym){
        .st_name = add_string(lib, name),
        .st_info = (unsigned char)ELF64_ST_INFO(bind, type),
        .st_shndx = value == LIBRARY_UNDEFINED ? SHN_UNDEF : 1,
        .st_value = value == LIBRARY_UNDEFINED ? 0 : value,
        .st_size = 8,
    };
    return index;
}

/* --- relocations ---------------------------------------------------------------------------- */

void library_relocate(struct library *lib, uint64_t place, unsigned type, unsigned symbol,
                      uint64_t addend)
{
    assert_true(lib->rela_count < COUNT(lib->image.rela));
    lib->image.rela[lib->rela_count++] = (Elf64_Rela){ place, ELF64_R_INFO((uint64_t)symbol, type),
                                                       (int64_t)addend };
}

void library_plt_relocate(struct library *lib, uint64_t place, unsigned type, unsigned symbol)
{
    assert_true(lib->plt_rela_count < COUNT(lib->image.plt_rela));
    lib->image.plt_rela[lib->plt_rela_count++] = (Elf64_Rela){ place,
                                                               ELF64_R_INFO((uint64_t)symbol, type),
                                                               0 };
}

void library_relr(struct library *lib, uint64_t entry)
{
    assert_true(lib->relr_count < COUNT(lib->image.relr));
    lib->image.relr[lib->relr_count++] = entry;
}

/* --- code ----------------------------------------------------------------------------------- */

/* An instruction. On x86-64 with `operand` (0: none) as a distance from its end. */
static void add_code(struct library *lib, const void *bytes, size_t size, uint64_t operand)
{
    unsigned char *at = lib->image.code + lib->code_bytes;
    assert_true(lib->code_bytes + size + 4 <= sizeof lib->image.code);
    memcpy(at, bytes, size);
    lib->code_bytes += (unsigned)size;
    if (operand == 0)
        return;
    int32_t distance = (int32_t)(operand - (LIBRARY_AT(code) + lib->code_bytes + 4));
    memcpy(at + size, &distance, 4);
    lib->code_bytes += 4;
}

static uint64_t begin_function(struct library *lib)
{
    lib->code_bytes = (lib->code_bytes + 15) & ~15u;
    return LIBRARY_AT(code) + lib->code_bytes;
}

#ifdef __aarch64__
static void add_word(struct library *lib, uint32_t word)
{
    add_code(lib, &word, 4, 0);
}

/* adr xN, address */
static void add_adr(struct library *lib, unsigned reg, uint64_t address)
{
    uint32_t distance = (uint32_t)(address - (LIBRARY_AT(code) + lib->code_bytes));
    add_word(lib, 0x10000000u | (distance & 3) << 29 | (distance >> 2 & 0x7ffff) << 5 | reg);
}

static void add_words(struct library *lib, const uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_word(lib, words[i]);
}

uint64_t library_code_read(struct library *lib, uint64_t address)
{
    uint64_t function = begin_function(lib);
    add_adr(lib, 0, address);
    add_words(lib, (const uint32_t[]){ 0xf9400000, 0xd65f03c0 }, 2); /* ldr x0, [x0]; ret */
    return function;
}

uint64_t library_code_count(struct library *lib, uint64_t address)
{
    uint64_t function = begin_function(lib);
    add_adr(lib, 0, address);
    /* ldr w1, [x0]; add w1, w1, #1; str w1, [x0]; ret */
    add_words(lib, (const uint32_t[]){ 0xb9400001, 0x11000421, 0xb9000001, 0xd65f03c0 }, 4);
    return function;
}

uint64_t library_code_copy(struct library *lib, uint64_t from, uint64_t to)
{
    uint64_t function = begin_function(lib);
    add_adr(lib, 0, from);
    add_words(lib, (const uint32_t[]){ 0xf9400000, 0xb9400001 },
              2); /* ldr x0, [x0]; ldr w1, [x0] */
    add_adr(lib, 0, to);
    add_words(lib, (const uint32_t[]){ 0xb9000001, 0xd65f03c0 }, 2); /* str w1, [x0]; ret */
    return function;
}
#else
uint64_t library_code_read(struct library *lib, uint64_t address)
{
    uint64_t function = begin_function(lib);
    add_code(lib, "\x48\x8b\x05", 3, address); /* mov rax, [rip + ...] */
    add_code(lib, "\xc3", 1, 0);               /* ret */
    return function;
}

uint64_t library_code_count(struct library *lib, uint64_t address)
{
    uint64_t function = begin_function(lib);
    add_code(lib, "\xff\x05", 2, address); /* inc dword [rip + ...] */
    add_code(lib, "\xc3", 1, 0);
    return function;
}

uint64_t library_code_copy(struct library *lib, uint64_t from, uint64_t to)
{
    uint64_t function = begin_function(lib);
    add_code(lib, "\x48\x8b\x05", 3, from); /* mov rax, [rip + ...] */
    add_code(lib, "\x8b\x00", 2, 0);        /* mov eax, [rax] */
    add_code(lib, "\x89\x05", 2, to);       /* mov [rip + ...], eax */
    add_code(lib, "\xc3", 1, 0);
    return function;
}
#endif

void library_constructor(struct library *lib, uint64_t function)
{
    lib->image.constructors[0] = function;
    library_relocate(lib, LIBRARY_AT(constructors), LIBRARY_RELATIVE, 0, function);
    library_dynamic(lib, DT_INIT_ARRAY, LIBRARY_AT(constructors));
    library_dynamic(lib, DT_INIT_ARRAYSZ, 8);
}

/* --- the file ------------------------------------------------------------------------------- */

static void add_table(struct library *lib, int64_t tag, uint64_t at, int64_t size_tag,
                      uint64_t size)
{
    if (size == 0)
        return;
    library_dynamic(lib, tag, at);
    library_dynamic(lib, size_tag, size);
}

void library_write(struct library *lib, const char *path)
{
    struct library_image *image = &lib->image;
    add_table(lib, DT_RELA, LIBRARY_AT(rela), DT_RELASZ, lib->rela_count * sizeof(Elf64_Rela));
    add_table(lib, DT_JMPREL, LIBRARY_AT(plt_rela), DT_PLTRELSZ,
              lib->plt_rela_count * sizeof(Elf64_Rela));
    add_table(lib, 36 /* DT_RELR */, LIBRARY_AT(relr), 35, lib->relr_count * sizeof(uint64_t));
    image->ehdr.e_phnum = (Elf64_Half)lib->part_count;
    image->hash[0] = 1;
    image->hash[1] = lib->symbol_count;
    image->hash[2] = lib->symbol_count > 1 ? 1 : 0;
    for (unsigned i = 1; i < lib->symbol_count; i++)
        image->hash[3 + i] = i + 1 < lib->symbol_count ? i + 1 : 0;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(image, sizeof *image, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}
