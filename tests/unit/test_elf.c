/* codec/elf: a small library made by hand, and the damage that is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "codec/elf.h"
#include "guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define PAGE 0x1000u

/* A file of two pages. Its memory has the same layout, so one picture serves for both. */
struct picture {
    Elf64_Ehdr ehdr;
    Elf64_Phdr parts[5];
    Elf64_Sym symbols[3];
    char strings[48];
    uint32_t sysv[2 + 1 + 3];
    uint32_t gnu_head[4];
    uint64_t bloom[1];
    uint32_t buckets[1], chain[2];
    char code[16];
    _Alignas(PAGE) Elf64_Dyn dynamic[16];
    uint64_t pointers[4];
    Elf64_Rela rela[2];
    char tls[8];
};

#define AT(member) offsetof(struct picture, member)

enum { NAME_ONE = 1, NAME_TWO = 5, NAME_NEED = 9, NAME_SELF = 20 };

static void draw_parts(struct picture *p)
{
    p->ehdr = (Elf64_Ehdr){
        .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_DYN,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = AT(parts),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = COUNT(p->parts),
    };
    p->parts[0] = (Elf64_Phdr){ PT_LOAD, PF_R | PF_X, 0, 0, 0, PAGE, PAGE, PAGE };
    p->parts[1] = (Elf64_Phdr){ PT_LOAD, PF_R | PF_W, PAGE, PAGE, PAGE, PAGE, 2 * PAGE, PAGE };
    p->parts[2] = (Elf64_Phdr){ PT_DYNAMIC,  PF_R | PF_W,       AT(dynamic),       AT(dynamic),
                                AT(dynamic), sizeof p->dynamic, sizeof p->dynamic, 8 };
    p->parts[3] = (Elf64_Phdr){ PT_TLS, PF_R, AT(tls), AT(tls), AT(tls), 8, 16, 8 };
    p->parts[4] = (Elf64_Phdr){ PT_GNU_RELRO, PF_R, PAGE, PAGE, PAGE, PAGE, PAGE, 1 };
}

static void draw_tables(struct picture *p)
{
    const Elf64_Dyn dynamic[] = {
        { DT_NEEDED, { NAME_NEED } },
        { DT_SONAME, { NAME_SELF } },
        { DT_STRTAB, { AT(strings) } },
        { DT_STRSZ, { sizeof p->strings } },
        { DT_SYMTAB, { AT(symbols) } },
        { DT_SYMENT, { sizeof(Elf64_Sym) } },
        { DT_HASH, { AT(sysv) } },
        { DT_GNU_HASH, { AT(gnu_head) } },
        { DT_RELA, { AT(rela) } },
        { DT_RELASZ, { sizeof p->rela } },
        { DT_RELAENT, { sizeof(Elf64_Rela) } },
        { DT_INIT, { AT(code) } },
        { DT_INIT_ARRAY, { AT(pointers) } },
        { DT_INIT_ARRAYSZ, { 16 } },
        { DT_FLAGS, { DF_SYMBOLIC } },
    };
    memcpy(p->dynamic, dynamic, sizeof dynamic);
    memcpy(p->strings, "\0one\0two\0libneed.so\0libself.so", 31);
    p->symbols[1] = (Elf64_Sym){ NAME_ONE, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, AT(code), 8 };
    p->symbols[2] = (Elf64_Sym){ NAME_TWO, ELF64_ST_INFO(STB_WEAK, STT_OBJECT), 0, 1, AT(pointers),
                                 8 };
    const uint32_t sysv[] = { 1, 3, 1, 0, 2, 0 };
    memcpy(p->sysv, sysv, sizeof sysv);
    const uint32_t gnu[] = { 1, 1, 1, 5 };
    memcpy(p->gnu_head, gnu, sizeof gnu);
    p->bloom[0] = UINT64_MAX;
    p->buckets[0] = 1;
    p->chain[0] = elf_name("one").gnu & ~1u;
    p->chain[1] = elf_name("two").gnu | 1u;
}

static struct picture draw(void)
{
    static struct picture p;
    memset(&p, 0, sizeof p);
    draw_parts(&p);
    draw_tables(&p);
    return p;
}

_Static_assert(sizeof(struct picture) == 2 * PAGE, "two pages");
_Static_assert(AT(dynamic) == PAGE, "the second begins with what is written");

/* Reads a picture from guarded bytes, then from memory of the size that the head asks for. */
static int read_all(const struct picture *p, struct elf_head *head, struct elf_dynamic *dynamic,
                    slice *memory, struct err *err)
{
    slice file = guard_copy((const char *)p, sizeof *p);
    int rc = elf_read_head(file, EM_X86_64, PAGE, head, err);
    guard_free(file);
    *memory = (slice){ NULL, 0 };
    if (rc != 0)
        return rc;
    static char room[4 * PAGE];
    memset(room, 0, sizeof room);
    memcpy(room, p, sizeof *p);
    assert_true(head->span <= sizeof room);
    *memory = guard_copy(room, (size_t)head->span);
    const struct elf_image image = { head, (char *)(size_t)memory->ptr };
    return elf_read_dynamic(&image, dynamic, err);
}

static void done(slice memory)
{
    if (memory.ptr != NULL)
        guard_free(memory);
}

/* --- what is found -------------------------------------------------------------------------- */

static void finds_everything(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct elf_dynamic dynamic;
    struct err err = { 0 };
    slice memory;
    size_t cursor = 0;
    assert_int_equal(read_all(&p, &head, &dynamic, &memory, &err), 0);
    assert_int_equal(head.low, 0);
    assert_int_equal(head.span, 3 * PAGE);
    assert_int_equal(head.align, PAGE);
    assert_int_equal(head.tls->p_memsz, 16);
    assert_non_null(head.relro);
    assert_string_equal(dynamic.soname, "libself.so");
    assert_string_equal(elf_next_needed(&dynamic, &cursor), "libneed.so");
    assert_null(elf_next_needed(&dynamic, &cursor));
    assert_int_equal(dynamic.rela.count, 2);
    assert_int_equal(dynamic.init, AT(code));
    assert_int_equal(dynamic.init_array.count, 2);
    assert_true(dynamic.symbolic);
    assert_false(dynamic.text_relocations);
    done(memory);
}

/* Linked for other addresses than from 0 on, and not to begin a page: its image does. */
static void an_image_begins_with_a_page(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct err err = { 0 };
    for (size_t i = 0; i < COUNT(p.parts); i++)
        p.parts[i].p_vaddr += 3 * PAGE;
    p.parts[0].p_vaddr += 64;
    p.parts[0].p_offset += 64;
    p.parts[0].p_filesz = p.parts[0].p_memsz = PAGE - 64;
    slice file = guard_copy((const char *)&p, sizeof p);
    assert_int_equal(elf_read_head(file, EM_X86_64, PAGE, &head, &err), 0);
    guard_free(file);
    assert_int_equal(head.low, 3 * PAGE);
    assert_int_equal(head.span, 3 * PAGE);
}

static void finds_symbols_by_either_hash(void **state)
{
    (void)state;
    for (int gnu = 0; gnu <= 1; gnu++) {
        struct picture p = draw();
        p.dynamic[gnu ? 6 : 7].d_tag = 0x70000001; /* the other one is unknown */
        struct elf_head head;
        struct elf_dynamic dynamic;
        slice memory;
        struct elf_name one = elf_name("one"), two = elf_name("two"), none = elf_name("three");
        assert_int_equal(read_all(&p, &head, &dynamic, &memory, NULL), 0);
        assert_int_equal(elf_find(&dynamic, &one)->st_value, AT(code));
        assert_int_equal(elf_find(&dynamic, &two)->st_value, AT(pointers));
        assert_null(elf_find(&dynamic, &none));
        assert_string_equal(elf_symbol_name(&dynamic, elf_nearest(&dynamic, AT(code) + 5)), "one");
        assert_string_equal(elf_symbol_name(&dynamic, elf_nearest(&dynamic, 3 * PAGE)), "two");
        assert_null(elf_nearest(&dynamic, AT(code) - 1));
        assert_null(elf_symbol(&dynamic, UINT64_MAX));
        done(memory);
    }
}

/* What the symbol `one` is, and whether other libraries may bind to it. */
static const struct {
    const char *why;
    unsigned binding, type, visibility, section;
    bool offered;
} offers[] = {
    { "a function", STB_GLOBAL, STT_FUNC, STV_DEFAULT, 1, true },
    { "data", STB_GLOBAL, STT_OBJECT, STV_DEFAULT, 1, true },
    { "no type", STB_GLOBAL, STT_NOTYPE, STV_DEFAULT, 1, true },
    { "a common block", STB_GLOBAL, STT_COMMON, STV_DEFAULT, 1, true },
    { "data of each thread", STB_GLOBAL, STT_TLS, STV_DEFAULT, 1, true },
    { "chosen by a resolver", STB_GLOBAL, STT_GNU_IFUNC, STV_DEFAULT, 1, true },
    { "weak", STB_WEAK, STT_FUNC, STV_DEFAULT, 1, true },
    { "unique in the process", STB_GNU_UNIQUE, STT_OBJECT, STV_DEFAULT, 1, true },
    { "protected", STB_GLOBAL, STT_FUNC, STV_PROTECTED, 1, true },
    { "local", STB_LOCAL, STT_FUNC, STV_DEFAULT, 1, false },
    { "hidden", STB_GLOBAL, STT_FUNC, STV_HIDDEN, 1, false },
    { "internal", STB_GLOBAL, STT_FUNC, STV_INTERNAL, 1, false },
    { "a section", STB_GLOBAL, STT_SECTION, STV_DEFAULT, 1, false },
    { "a file's name", STB_GLOBAL, STT_FILE, STV_DEFAULT, 1, false },
    { "a type of a processor", STB_GLOBAL, STT_LOPROC, STV_DEFAULT, 1, false },
    { "wanted, not had", STB_GLOBAL, STT_FUNC, STV_DEFAULT, SHN_UNDEF, false },
};

static void offers_what_others_may_bind_to(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(offers); i++) {
        struct picture p = draw();
        struct elf_head head;
        struct elf_dynamic dynamic;
        slice memory;
        struct elf_name one = elf_name("one");
        p.symbols[1].st_info = ELF64_ST_INFO(offers[i].binding, offers[i].type);
        p.symbols[1].st_other = (unsigned char)offers[i].visibility;
        p.symbols[1].st_shndx = (Elf64_Half)offers[i].section;
        assert_int_equal(read_all(&p, &head, &dynamic, &memory, NULL), 0);
        if ((elf_find(&dynamic, &one) != NULL) != offers[i].offered)
            fail_msg("%s", offers[i].why);
        done(memory);
    }
}

static void circles_in_a_hash_table_end(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct elf_dynamic dynamic;
    slice memory;
    struct elf_name none = elf_name("three");
    p.dynamic[7].d_tag = 0x70000001;
    p.sysv[3 + 2] = 1; /* two -> one -> two */
    assert_int_equal(read_all(&p, &head, &dynamic, &memory, NULL), 0);
    assert_null(elf_find(&dynamic, &none));
    done(memory);
    p = draw();
    p.chain[1] &= ~1u; /* the chain has no last: it goes on to the end of the segment */
    assert_int_equal(read_all(&p, &head, &dynamic, &memory, NULL), 0);
    assert_null(elf_find(&dynamic, &none));
    done(memory);
}

static void rights_and_bounds_of_memory(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct elf_dynamic dynamic;
    slice memory;
    assert_int_equal(read_all(&p, &head, &dynamic, &memory, NULL), 0);
    const struct elf_image *image = &dynamic.image;
    assert_non_null(elf_at(image, 0, PAGE, PF_R | PF_X));
    assert_null(elf_at(image, 0, PAGE, PF_W));
    assert_null(elf_at(image, 0, PAGE + 1, PF_R));
    assert_non_null(elf_at(image, PAGE, 2 * PAGE, PF_W));
    assert_null(elf_at(image, PAGE, 2 * PAGE + 1, PF_W));
    assert_null(elf_at(image, 3 * PAGE - 4, 8, PF_R));
    assert_null(elf_at(image, UINT64_MAX - 3, 8, 0));
    assert_null(elf_at(image, 8, UINT64_MAX, 0));
    done(memory);
}

/* --- what is refused ------------------------------------------------------------------------ */

static const struct refused {
    size_t at;
    unsigned bytes;
    uint64_t value;
    const char *text;
} refused[] = {
    { AT(ehdr.e_ident[0]), 1, 0, "not an ELF file" },
    { AT(ehdr.e_ident[EI_CLASS]), 1, ELFCLASS32, "not 64-bit" },
    { AT(ehdr.e_ident[EI_DATA]), 1, ELFDATA2MSB, "not little-endian" },
    { AT(ehdr.e_machine), 2, EM_386, "another processor" },
    { AT(ehdr.e_type), 2, ET_EXEC, "not a shared library" },
    { AT(ehdr.e_version), 4, 7, "unknown ELF version" },
    { AT(ehdr.e_phentsize), 2, 32, "32 bytes each" },
    { AT(ehdr.e_phnum), 2, 0, "no program headers" },
    { AT(ehdr.e_phnum), 2, 33, "more than 32" },
    { AT(ehdr.e_phoff), 8, UINT64_MAX, "outside the file" },
    { AT(parts[0].p_filesz), 8, UINT64_MAX, "cut off" },
    { AT(parts[1].p_offset), 8, 2 * PAGE, "cut off" },
    { AT(parts[1].p_memsz), 8, 8, "larger in the file" },
    { AT(parts[1].p_memsz), 8, UINT64_MAX, "outside the address space" },
    { AT(parts[1].p_memsz), 8, 8ull << 30, "spans" },
    { AT(parts[1].p_vaddr), 8, PAGE - 8, "does not fit" },
    { AT(parts[1].p_vaddr), 8, 0, "overlap" },
    { AT(parts[1].p_align), 8, 3, "aligned" },
    { AT(parts[1].p_align), 8, 16, "aligned" },
    { AT(parts[1].p_align), 8, 1ull << 40, "aligned" },
    { AT(parts[1].p_flags), 4, PF_R | PF_W | PF_X, "both written and executed" },
    { AT(parts[2].p_type), 4, PT_NULL, "no dynamic section" },
    { AT(parts[2].p_vaddr), 8, 3 * PAGE, "dynamic section lies outside" },
    { AT(parts[3].p_vaddr), 8, 9 * PAGE, "TLS image lies outside" },
    { AT(parts[1].p_flags), 4, PF_W, "TLS image lies outside its readable" },
    { AT(parts[3].p_align), 8, 12, "TLS is aligned" },
    { AT(parts[3].p_align), 8, 8192, "more than 4096" },
    { AT(parts[4].p_memsz), 8, 9 * PAGE, "read-only relocations lie outside" },
    { AT(dynamic[0].d_un), 8, 48, "outside its names" },
    { AT(dynamic[1].d_un), 8, UINT64_MAX, "outside its names" },
    { AT(dynamic[2].d_un), 8, 4 * PAGE, "names lie outside" },
    { AT(dynamic[3].d_un), 8, 30, "names have no end" },
    { AT(dynamic[4].d_un), 8, UINT64_MAX - 7, "symbol table lies outside" },
    { AT(dynamic[5].d_un), 8, 16, "entries of 16 bytes" },
    { AT(dynamic[6].d_un), 8, PAGE - 4, "hash table lies outside" },
    { AT(sysv[0]), 4, UINT32_MAX, "hash table lies outside" },
    { AT(gnu_head[0]), 4, 0, "GNU hash table is malformed" },
    { AT(gnu_head[0]), 4, UINT32_MAX, "GNU hash table lies outside" },
    { AT(gnu_head[2]), 4, 3, "GNU hash table is malformed" },
    { AT(gnu_head[3]), 4, 64, "GNU hash table is malformed" },
    { AT(dynamic[8].d_un), 8, 3 * PAGE, "relocations lies outside" },
    { AT(dynamic[8].d_tag), 8, 0x70000001, "address or the size of its relocations" },
    { AT(dynamic[9].d_tag), 8, 0x70000001, "address or the size of its relocations" },
    { AT(dynamic[9].d_un), 8, 47, "relocations is malformed" },
    { AT(dynamic[10].d_un), 8, 16, "entries of 16 bytes" },
    { AT(dynamic[11].d_un), 8, PAGE, "outside its code" },
    { AT(dynamic[13].d_un), 8, UINT64_MAX - 7, "list of constructors lies outside" },
    { AT(dynamic[14].d_tag), 8, DT_REL, "REL" },
    { AT(dynamic[15].d_tag), 8, 0x70000001, "has no end" },
};

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct picture p = draw();
        struct elf_head head;
        struct elf_dynamic dynamic;
        struct err err = { 0 };
        slice memory;
        memcpy((char *)&p + refused[i].at, &refused[i].value, refused[i].bytes);
        int rc = read_all(&p, &head, &dynamic, &memory, &err);
        if ((rc != ERR_INPUT && rc != ERR_LIMIT) || rc != err.code ||
            strstr(err.text, refused[i].text) == NULL)
            fail_msg("row %zu: %d %s, not: %s", i, rc, err.text, refused[i].text);
        done(memory);
    }
}

/* A segment that ends within a page, whose rest would have to be zeroed but is not writable. */
static void refuses_what_cannot_be_zeroed(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct err err = { 0 };
    p.parts[0] = (Elf64_Phdr){ PT_LOAD, PF_R, 8, 8, 8, PAGE, 2 * PAGE, PAGE };
    slice file = guard_copy((const char *)&p, sizeof p);
    assert_int_equal(elf_read_head(file, EM_X86_64, PAGE, &head, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "not written has memory beyond the file"));
    guard_free(file);
}

static void refuses_every_cut(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct err err = { 0 };
    for (size_t len = 0; len < sizeof p; len += len < 512 ? 1 : 61) {
        slice file = guard_copy((const char *)&p, len);
        assert_int_equal(elf_read_head(file, EM_X86_64, PAGE, &head, &err), ERR_INPUT);
        guard_free(file);
    }
}

/* --- relative relocations as bits ----------------------------------------------------------- */

static void bits_of_relative_relocations(void **state)
{
    (void)state;
    const uint64_t entries[] = { 0x1000, 0x5 | (1ull << 63), 1, 0x3, 0x8000, 1ull << 1 | 1 };
    /* after 0x1000: words at 0x1008 + 8i for bits 1.. of each bitmap, 63 words a bitmap */
    const uint64_t want[] = { 0x1000, 0x1010, 0x1008 + 62 * 8, 0x1008 + 126 * 8, 0x8000, 0x8008 };
    const struct elf_table relr = { entries, COUNT(entries) };
    struct elf_relr_cursor cursor = { 0 };
    uint64_t address;
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_true(elf_next_relr(&relr, &cursor, &address));
        assert_int_equal(address, want[i]);
    }
    assert_false(elf_next_relr(&relr, &cursor, &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_everything),
        cmocka_unit_test(an_image_begins_with_a_page),
        cmocka_unit_test(finds_symbols_by_either_hash),
        cmocka_unit_test(offers_what_others_may_bind_to),
        cmocka_unit_test(circles_in_a_hash_table_end),
        cmocka_unit_test(rights_and_bounds_of_memory),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(refuses_what_cannot_be_zeroed),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(bits_of_relative_relocations),
    };
    return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}
