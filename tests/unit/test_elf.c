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
    assert_int_equal(dynamic.symbols.count, (PAGE - AT(symbols)) / sizeof(Elf64_Sym));
    assert_int_equal(dynamic.gnu_hash.chain_count, (PAGE - AT(chain)) / 4);
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
    p.parts[4].p_vaddr = 2 * PAGE;
    file = guard_copy((const char *)&p, sizeof p);
    assert_int_equal(elf_read_head(file, EM_X86_64, PAGE, &head, &err), ERR_INPUT);
    assert_string_equal(err.text, "its read-only relocations lie outside its segments");
    guard_free(file);
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

/* The picture as it is read; it is not refused. */
static slice good(const struct picture *p, struct elf_head *head, struct elf_dynamic *dynamic)
{
    struct err err = { 0 };
    slice memory;
    if (read_all(p, head, dynamic, &memory, &err) != 0)
        fail_msg("%s", err.text);
    return memory;
}

/* Known values of both functions; the last name is long enough for the second to fold. */
static void hashes_of_names(void **state)
{
    static const struct elf_name cases[] = {
        { "", 0x1505, 0 },
        { "printf", 0x156b2bb8, 0x77905a6 },
        { "exit", 0x7c967e3f, 0x6cf04 },
        { "syscall", 0xbac212a0, 0xb09985c },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct elf_name name = elf_name(cases[i].text);
        assert_int_equal(name.gnu, cases[i].gnu);
        assert_int_equal(name.sysv, cases[i].sysv);
    }
}

/* GNU's filter: a name has two bits, and one that is not set says that it is not there. */
static void a_filter_of_names(void **state)
{
    (void)state;
    struct elf_name one = elf_name("one"), two = elf_name("two");
    uint64_t first = 1ull << one.gnu % 64, second = 1ull << (one.gnu >> 5) % 64;
    const struct {
        uint64_t bloom;
        bool found;
    } cases[] = { { first | second, true }, { ~first, false }, { ~second, false }, { 0, false } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct picture p = draw();
        struct elf_head head;
        struct elf_dynamic dynamic;
        p.bloom[0] = cases[i].bloom;
        slice memory = good(&p, &head, &dynamic);
        assert_int_equal(elf_find(&dynamic, &one) != NULL, cases[i].found);
        if (i == 0)
            assert_null(elf_find(&dynamic, &two));
        done(memory);
    }
}

static void a_damaged_hash_table_finds_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct picture p = draw();
        struct elf_head head;
        struct elf_dynamic dynamic;
        struct elf_name one = elf_name("one");
        p.dynamic[7].d_tag = 0x70000001;
        if (i == 0)
            p.sysv[0] = 0; /* no buckets */
        else if (i == 1)
            p.sysv[2] = 0x10000000; /* a symbol that there is not */
        else
            p.symbols[1].st_name = sizeof p.strings; /* a name that there is not */
        slice memory = good(&p, &head, &dynamic);
        assert_null(elf_find(&dynamic, &one));
        done(memory);
    }
}

static const char *nearest(const struct picture *p, uint64_t address)
{
    static char name[16];
    struct elf_head head;
    struct elf_dynamic dynamic;
    slice memory = good(p, &head, &dynamic);
    const Elf64_Sym *symbol = elf_nearest(&dynamic, address);
    snprintf(name, sizeof name, "%s", symbol != NULL ? elf_symbol_name(&dynamic, symbol) : "none");
    done(memory);
    return name;
}

/* Only functions and objects that are in the library, whichever the table names first. */
static void what_an_address_belongs_to(void **state)
{
    (void)state;
    struct picture p = draw();
    assert_string_equal(nearest(&p, AT(code)), "one");
    p.symbols[1].st_value = AT(pointers) + 8;
    assert_string_equal(nearest(&p, 3 * PAGE), "one");
    assert_string_equal(nearest(&p, AT(pointers) + 7), "two");
    for (int i = 0; i < 4; i++) {
        p = draw();
        if (i == 0)
            p.symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_TLS);
        else if (i == 3)
            p.symbols[1].st_name = sizeof p.strings;
        else
            p.symbols[1].st_shndx = i == 1 ? SHN_UNDEF : SHN_ABS;
        assert_string_equal(nearest(&p, AT(code) + 5), "none");
    }
    p = draw();
    p.symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_GNU_IFUNC);
    assert_string_equal(nearest(&p, AT(code) + 5), "one");
}

/* GNU's hash table tells how many symbols there are, where all are the library's own, too. */
static void symbols_that_no_hash_table_has(void **state)
{
    (void)state;
    struct picture p = draw();
    p.dynamic[6].d_tag = 0x70000001;
    p.buckets[0] = 0;
    p.gnu_head[1] = 3;
    assert_string_equal(nearest(&p, 3 * PAGE), "two");
    p.gnu_head[1] = 2;
    assert_string_equal(nearest(&p, 3 * PAGE), "one");
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
    { AT(ehdr.e_ident[EI_VERSION]), 1, 0, "unknown ELF version" },
    { AT(ehdr.e_phentsize), 2, 32, "32 bytes each" },
    { AT(ehdr.e_phnum), 2, 0, "no program headers" },
    { AT(ehdr.e_phnum), 2, 33, "more than 32" },
    { AT(ehdr.e_phoff), 8, UINT64_MAX, "outside the file" },
    { AT(parts[0].p_filesz), 8, UINT64_MAX, "cut off" },
    { AT(parts[1].p_offset), 8, 2 * PAGE, "cut off" },
    { AT(parts[1].p_filesz), 8, PAGE + 1, "cut off" },
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
    { AT(parts[2].p_vaddr), 8, 2 * PAGE, "dynamic section lies outside" },
    { AT(parts[2].p_vaddr), 8, AT(dynamic) + 4, "dynamic section lies outside" },
    { AT(parts[3].p_vaddr), 8, 9 * PAGE, "TLS image lies outside" },
    { AT(parts[3].p_vaddr), 8, 2 * PAGE, "TLS image lies outside" },
    { AT(parts[3].p_memsz), 8, 7, "TLS image lies outside" },
    { AT(parts[3].p_memsz), 8, ELF_SPAN_MAX + 1, "TLS image lies outside" },
    { AT(parts[1].p_flags), 4, PF_W, "TLS image lies outside its readable" },
    { AT(parts[3].p_align), 8, 12, "TLS is aligned" },
    { AT(parts[3].p_align), 8, 8192, "more than 4096" },
    { AT(parts[4].p_memsz), 8, 9 * PAGE, "read-only relocations lie outside" },
    { AT(parts[4].p_vaddr), 8, 9 * PAGE, "read-only relocations lie outside" },
    { AT(dynamic[0].d_un), 8, 48, "outside its names" },
    { AT(dynamic[1].d_un), 8, 48, "its own name lies outside its names" },
    { AT(dynamic[2].d_tag), 8, 0x70000001, "names lie outside" },
    { AT(dynamic[2].d_un), 8, 4 * PAGE, "names lie outside" },
    { AT(dynamic[3].d_un), 8, 0, "names lie outside" },
    { AT(dynamic[3].d_un), 8, 30, "names have no end" },
    { AT(dynamic[4].d_tag), 8, 0x70000001, "symbol table lies outside" },
    { AT(dynamic[4].d_un), 8, UINT64_MAX - 7, "symbol table lies outside" },
    { AT(dynamic[4].d_un), 8, PAGE - 16, "symbol table lies outside" },
    { AT(dynamic[4].d_un), 8, AT(symbols) + 4, "symbol table lies outside" },
    { AT(dynamic[5].d_un), 8, 16, "entries of 16 bytes" },
    { AT(dynamic[6].d_un), 8, PAGE - 4, "hash table lies outside" },
    { AT(dynamic[6].d_un), 8, AT(sysv) + 2, "hash table lies outside" },
    { AT(dynamic[7].d_un), 8, PAGE - 8, "GNU hash table lies outside" },
    { AT(dynamic[7].d_un), 8, AT(gnu_head) + 4, "GNU hash table lies outside" },
    { AT(sysv[0]), 4, (PAGE - AT(sysv)) / 4 - 4, "hash table lies outside" },
    { AT(sysv[0]), 4, UINT32_MAX, "hash table lies outside" },
    { AT(gnu_head[0]), 4, 0, "GNU hash table is malformed" },
    { AT(gnu_head[0]), 4, UINT32_MAX, "GNU hash table lies outside" },
    { AT(gnu_head[0]), 4, (PAGE - AT(buckets)) / 4 + 1, "GNU hash table lies outside" },
    { AT(gnu_head[2]), 4, 0, "GNU hash table is malformed" },
    { AT(gnu_head[2]), 4, 3, "GNU hash table is malformed" },
    { AT(gnu_head[3]), 4, 32, "GNU hash table is malformed" },
    { AT(dynamic[8].d_un), 8, 3 * PAGE, "relocations lies outside" },
    { AT(dynamic[8].d_un), 8, AT(rela) + 4, "its relocations is malformed" },
    { AT(dynamic[8].d_tag), 8, 0x70000001, "address or the size of its relocations" },
    { AT(dynamic[9].d_tag), 8, 0x70000001, "address or the size of its relocations" },
    { AT(dynamic[9].d_un), 8, 47, "relocations is malformed" },
    { AT(dynamic[10].d_un), 8, 16, "its relocations has entries of 16 bytes, not 24" },
    { AT(dynamic[10].d_tag), 8, 37, "its relative relocations has entries of 24 bytes, not 8" },
    { AT(dynamic[10].d_tag), 8, DT_PLTREL, "REL" },
    { AT(dynamic[10].d_tag), 8, DT_PLTRELSZ, "size of its relocations of functions is missing" },
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

/* What is at a bound, or empty, or of no use, is none of the above. */
static void accepts_what_just_fits(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned bytes;
        uint64_t value, span;
    } accepted[] = {
        { AT(parts[0].p_align), 8, ELF_ALIGN_MAX, 3 * PAGE },
        { AT(parts[0].p_filesz), 8, PAGE - 8, 3 * PAGE },
        { AT(parts[1].p_memsz), 8, 2 * PAGE - 5, 3 * PAGE },
        { AT(parts[1].p_memsz), 8, 2 * PAGE + 1, 4 * PAGE },
        { AT(parts[1].p_flags), 4, PF_R, 3 * PAGE },
        { AT(parts[3].p_align), 8, 0, 3 * PAGE },
        { AT(parts[3].p_align), 8, 1, 3 * PAGE },
        { AT(parts[3].p_memsz), 8, 8, 3 * PAGE },
        { AT(parts[4].p_memsz), 8, 2 * PAGE, 3 * PAGE },
        { AT(dynamic[1].d_un), 8, 47, 3 * PAGE },
        { AT(dynamic[6].d_tag), 8, 0x70000001, 3 * PAGE },
        { AT(sysv[0]), 4, (PAGE - AT(sysv)) / 4 - 5, 3 * PAGE },
        { AT(gnu_head[0]), 4, (PAGE - AT(buckets)) / 4, 3 * PAGE },
        { AT(gnu_head[3]), 4, 31, 3 * PAGE },
        { AT(dynamic[13].d_un), 8, 0, 3 * PAGE },
        { AT(dynamic[11].d_un), 8, PAGE - 1, 3 * PAGE },
        { AT(dynamic[11].d_un), 8, 0, 3 * PAGE },
    };
    for (size_t i = 0; i < COUNT(accepted); i++) {
        struct picture p = draw();
        struct elf_head head;
        struct elf_dynamic dynamic;
        memcpy((char *)&p + accepted[i].at, &accepted[i].value, accepted[i].bytes);
        if (accepted[i].at == AT(parts[0].p_filesz))
            p.parts[0].p_memsz = accepted[i].value;
        slice memory = good(&p, &head, &dynamic);
        assert_int_equal(head.span, accepted[i].span);
        assert_int_equal(head.align, i == 0 ? ELF_ALIGN_MAX : PAGE);
        done(memory);
    }
}

static int read_head(const struct picture *p, struct elf_head *head, struct err *err)
{
    slice file = guard_copy((const char *)p, sizeof *p);
    int rc = elf_read_head(file, EM_X86_64, PAGE, head, err);
    guard_free(file);
    return rc;
}

static void the_largest_library(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct err err = { 0 };
    p.parts[1].p_memsz = ELF_SPAN_MAX - PAGE;
    assert_int_equal(read_head(&p, &head, &err), 0);
    assert_true(head.span == ELF_SPAN_MAX);
    p.parts[1].p_memsz++;
    assert_int_equal(read_head(&p, &head, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "it spans 4294971392 bytes"));
}

/* Wherever empty parts claim to be. */
static void empty_parts_are_ignored(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct err err = { 0 };
    p.parts[3].p_filesz = 0;
    p.parts[3].p_vaddr = 9 * PAGE;
    assert_int_equal(read_head(&p, &head, &err), 0); /* an image of zeros needs no place */
    assert_non_null(head.tls);
    p.parts[3].p_memsz = p.parts[4].p_memsz = 0;
    p.parts[4].p_vaddr = 9 * PAGE;
    assert_int_equal(read_head(&p, &head, &err), 0);
    assert_null(head.tls);
    assert_null(head.relro);
    p.parts[0].p_type = p.parts[1].p_type = PT_NOTE;
    assert_int_equal(read_head(&p, &head, &err), ERR_INPUT);
    assert_string_equal(err.text, "it has no segment to load");
}

/* At the end of the file, and as many as there may be. */
static void the_most_program_headers(void **state)
{
    (void)state;
    static struct {
        struct picture p;
        Elf64_Phdr parts[ELF_PARTS_MAX];
    } file;
    struct elf_head head;
    struct err err = { 0 };
    file.p = draw();
    memcpy(file.parts, file.p.parts, sizeof file.p.parts);
    file.p.ehdr.e_phoff = sizeof file.p;
    file.p.ehdr.e_phnum = ELF_PARTS_MAX;
    size_t len = sizeof file.p + sizeof file.parts;
    slice bytes = guard_copy((const char *)&file, len);
    assert_int_equal(elf_read_head(bytes, EM_X86_64, PAGE, &head, &err), 0);
    assert_int_equal(head.part_count, ELF_PARTS_MAX);
    guard_free(bytes);
    bytes = guard_copy((const char *)&file, len - 1);
    assert_int_equal(elf_read_head(bytes, EM_X86_64, PAGE, &head, &err), ERR_INPUT);
    assert_string_equal(err.text, "its program headers lie outside the file");
    guard_free(bytes);
}

static void the_most_dynamic_entries(void **state)
{
    (void)state;
    static Elf64_Dyn entries[ELF_DYNAMIC_MAX + 2];
    struct elf_head head = { .part_count = 2, .span = sizeof entries };
    struct elf_dynamic dynamic;
    struct err err = { 0 };
    head.parts[0] = (Elf64_Phdr){ PT_LOAD, PF_R, 0, 0, 0, sizeof entries, sizeof entries, 8 };
    head.parts[1] = head.parts[0];
    head.parts[1].p_type = PT_DYNAMIC;
    head.dynamic = &head.parts[1];
    const struct elf_image image = { &head, (char *)entries };
    for (size_t i = 0; i < ELF_DYNAMIC_MAX; i++)
        entries[i].d_tag = 0x70000001;
    assert_int_equal(elf_read_dynamic(&image, &dynamic, &err), ERR_INPUT); /* of another cause */
    assert_string_equal(err.text, "its names lie outside its segments");
    entries[ELF_DYNAMIC_MAX].d_tag = 0x70000001;
    assert_int_equal(elf_read_dynamic(&image, &dynamic, &err), ERR_LIMIT);
    assert_string_equal(err.text, "its dynamic section has more than 4096 entries");
    head.parts[0].p_flags = PF_W;
    assert_int_equal(elf_read_dynamic(&image, &dynamic, &err), ERR_INPUT);
    assert_string_equal(err.text, "its dynamic section cannot be read");
}

static void needs_one_of_two_hash_tables(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct elf_dynamic dynamic;
    struct err err = { 0 };
    slice memory;
    p.dynamic[6].d_tag = p.dynamic[7].d_tag = 0x70000001;
    assert_int_equal(read_all(&p, &head, &dynamic, &memory, &err), ERR_INPUT);
    assert_string_equal(err.text, "it has no hash table of symbols");
    done(memory);
}

/* How symbols are bound, by flags or by tags of their own. */
static void flags_and_tags_of_the_same_meaning(void **state)
{
    (void)state;
    static const struct {
        int64_t tag;
        uint64_t value;
        bool symbolic, text_relocations, is_program;
    } cases[] = {
        { DT_FLAGS, 0, false, false, false },
        { DT_FLAGS, DF_SYMBOLIC, true, false, false },
        { DT_SYMBOLIC, 0, true, false, false },
        { DT_FLAGS, DF_TEXTREL, false, true, false },
        { DT_TEXTREL, 0, false, true, false },
        { DT_FLAGS_1, 0x08000000, false, false, true },
        { DT_FLAGS_1, 0xf7ffffff, false, false, false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct picture p = draw();
        struct elf_head head;
        struct elf_dynamic dynamic;
        p.dynamic[14] = (Elf64_Dyn){ cases[i].tag, { cases[i].value } };
        slice memory = good(&p, &head, &dynamic);
        assert_int_equal(dynamic.symbolic, cases[i].symbolic);
        assert_int_equal(dynamic.text_relocations, cases[i].text_relocations);
        assert_int_equal(dynamic.is_program, cases[i].is_program);
        done(memory);
    }
}

/* A table of no bytes needs no address, and the kind of the functions' relocations is RELA. */
static void tables_that_say_nothing(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct elf_dynamic dynamic;
    p.dynamic[8].d_tag = DT_PLTREL;
    p.dynamic[8].d_un.d_val = DT_RELA;
    p.dynamic[9].d_un.d_val = 0;
    slice memory = good(&p, &head, &dynamic);
    assert_int_equal(dynamic.rela.count, 0);
    done(memory);
}

static void a_destructor_is_code(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct elf_dynamic dynamic;
    struct err err = { 0 };
    slice memory;
    p.dynamic[11] = (Elf64_Dyn){ DT_FINI, { PAGE - 1 } };
    memory = good(&p, &head, &dynamic);
    assert_int_equal(dynamic.fini, PAGE - 1);
    assert_int_equal(dynamic.init, 0);
    done(memory);
    p.dynamic[11].d_un.d_val++;
    assert_int_equal(read_all(&p, &head, &dynamic, &memory, &err), ERR_INPUT);
    assert_string_equal(err.text, "its constructor or destructor lies outside its code");
    done(memory);
}

static void versions_of_symbols(void **state)
{
    (void)state;
    struct picture p = draw();
    struct elf_head head;
    struct elf_dynamic dynamic;
    struct err err = { 0 };
    slice memory;
    p.dynamic[14] = (Elf64_Dyn){ DT_VERSYM, { PAGE - 6 } };
    memory = good(&p, &head, &dynamic);
    assert_int_equal(dynamic.versions.count, 3);
    done(memory);
    p.dynamic[14].d_un.d_val = AT(rela);
    memory = good(&p, &head, &dynamic);
    assert_int_equal(dynamic.versions.count, (3 * PAGE - AT(rela)) / 2);
    done(memory);
    p.dynamic[14].d_un.d_val = PAGE - 6;
    p.dynamic[14].d_un.d_val--;
    assert_int_equal(read_all(&p, &head, &dynamic, &memory, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "its table of versions"));
    done(memory);
}

static void a_library_for_another_processor(void **state)
{
    (void)state;
    static const struct {
        size_t at, len;
        unsigned char value;
        bool is_foreign;
    } cases[] = {
        { EI_CLASS, 20, ELFCLASS64, false }, { EI_CLASS, 20, ELFCLASS32, true },
        { EI_DATA, 20, ELFDATA2MSB, true },  { 18, 20, EM_386, true },
        { EI_CLASS, 19, ELFCLASS32, false }, { EI_CLASS, 0, ELFCLASS32, false },
        { EI_MAG3, 20, 'f', false },         { 16, 20, ET_EXEC, false },
        { EI_CLASS, 400, ELFCLASS32, true },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct picture p = draw();
        memcpy((char *)&p + cases[i].at, &cases[i].value, 1);
        slice bytes = guard_copy((const char *)&p, cases[i].len);
        if (elf_is_foreign(bytes, EM_X86_64) != cases[i].is_foreign)
            fail_msg("row %zu", i);
        guard_free(bytes);
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
        cmocka_unit_test(hashes_of_names),
        cmocka_unit_test(a_filter_of_names),
        cmocka_unit_test(a_damaged_hash_table_finds_nothing),
        cmocka_unit_test(what_an_address_belongs_to),
        cmocka_unit_test(symbols_that_no_hash_table_has),
        cmocka_unit_test(offers_what_others_may_bind_to),
        cmocka_unit_test(circles_in_a_hash_table_end),
        cmocka_unit_test(rights_and_bounds_of_memory),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(accepts_what_just_fits),
        cmocka_unit_test(the_largest_library),
        cmocka_unit_test(empty_parts_are_ignored),
        cmocka_unit_test(the_most_program_headers),
        cmocka_unit_test(the_most_dynamic_entries),
        cmocka_unit_test(needs_one_of_two_hash_tables),
        cmocka_unit_test(flags_and_tags_of_the_same_meaning),
        cmocka_unit_test(tables_that_say_nothing),
        cmocka_unit_test(a_destructor_is_code),
        cmocka_unit_test(versions_of_symbols),
        cmocka_unit_test(a_library_for_another_processor),
        cmocka_unit_test(refuses_what_cannot_be_zeroed),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(bits_of_relative_relocations),
    };
    return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}
