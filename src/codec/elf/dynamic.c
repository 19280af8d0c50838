/* The dynamic section of a mapped library and the tables it points to. */
#include <string.h>

#include "codec/elf.h"

#define REFUSE(err, ...) err_set(err, ERR_INPUT, __VA_ARGS__)

/* The tags that are used; tables have an address, a size in bytes and often an entry size. */
enum dynamic_tag {
    TAG_STRTAB,
    TAG_STRSZ,
    TAG_SYMTAB,
    TAG_SYMENT,
    TAG_RELA,
    TAG_RELASZ,
    TAG_RELAENT,
    TAG_JMPREL,
    TAG_PLTRELSZ,
    TAG_PLTREL,
    TAG_RELR,
    TAG_RELRSZ,
    TAG_RELRENT,
    TAG_INIT_ARRAY,
    TAG_INIT_ARRAYSZ,
    TAG_FINI_ARRAY,
    TAG_FINI_ARRAYSZ,
    TAG_INIT,
    TAG_FINI,
    TAG_VERSIONS,
    TAG_HASH,
    TAG_GNU_HASH,
    TAG_SONAME,
    TAG_RUNPATH,
    TAG_RPATH,
    TAG_FLAGS,
    TAG_FLAGS_1,
    TAG_SYMBOLIC,
    TAG_TEXTREL,
    TAG_REL,
    TAG_COUNT
};

static const uint32_t tags[TAG_COUNT] = {
    [TAG_STRTAB] = DT_STRTAB,
    [TAG_STRSZ] = DT_STRSZ,
    [TAG_SYMTAB] = DT_SYMTAB,
    [TAG_SYMENT] = DT_SYMENT,
    [TAG_RELA] = DT_RELA,
    [TAG_RELASZ] = DT_RELASZ,
    [TAG_RELAENT] = DT_RELAENT,
    [TAG_JMPREL] = DT_JMPREL,
    [TAG_PLTRELSZ] = DT_PLTRELSZ,
    [TAG_PLTREL] = DT_PLTREL,
    [TAG_RELR] = 36, /* DT_RELR; older headers lack the names */
    [TAG_RELRSZ] = 35,
    [TAG_RELRENT] = 37,
    [TAG_INIT_ARRAY] = DT_INIT_ARRAY,
    [TAG_INIT_ARRAYSZ] = DT_INIT_ARRAYSZ,
    [TAG_FINI_ARRAY] = DT_FINI_ARRAY,
    [TAG_FINI_ARRAYSZ] = DT_FINI_ARRAYSZ,
    [TAG_INIT] = DT_INIT,
    [TAG_FINI] = DT_FINI,
    [TAG_VERSIONS] = DT_VERSYM,
    [TAG_HASH] = DT_HASH,
    [TAG_GNU_HASH] = DT_GNU_HASH,
    [TAG_SONAME] = DT_SONAME,
    [TAG_RUNPATH] = DT_RUNPATH,
    [TAG_RPATH] = DT_RPATH,
    [TAG_FLAGS] = DT_FLAGS,
    [TAG_FLAGS_1] = DT_FLAGS_1,
    [TAG_SYMBOLIC] = DT_SYMBOLIC,
    [TAG_TEXTREL] = DT_TEXTREL,
    [TAG_REL] = DT_REL,
};

/* The dynamic section's values by tag; present[] tells 0 from missing. */
struct values {
    uint64_t of[TAG_COUNT];
    bool present[TAG_COUNT];
};

static int read_entries(struct elf_dynamic *dynamic, struct values *values, struct err *err)
{
    const Elf64_Phdr *part = dynamic->image.head->dynamic;
    size_t room = (size_t)(part->p_filesz / sizeof(Elf64_Dyn));
    dynamic->entries = elf_at(&dynamic->image, part->p_vaddr, part->p_filesz, PF_R);
    if (dynamic->entries == NULL)
        return REFUSE(err, "its dynamic section cannot be read");
    for (; dynamic->entry_count < room; dynamic->entry_count++) {
        const Elf64_Dyn *entry = &dynamic->entries[dynamic->entry_count];
        if (entry->d_tag == DT_NULL)
            return 0;
        if (dynamic->entry_count == ELF_DYNAMIC_MAX)
            return err_set(err, ERR_LIMIT, "its dynamic section has more than %u entries",
                           ELF_DYNAMIC_MAX);
        for (int i = 0; i < TAG_COUNT; i++)
            if (entry->d_tag == (Elf64_Sxword)tags[i]) {
                values->of[i] = entry->d_un.d_val;
                values->present[i] = true;
            }
    }
    return REFUSE(err, "its dynamic section has no end");
}

/* A table of entries of `entry` bytes, whose address and size in bytes are given by two tags. */
static int read_table(const struct elf_dynamic *dynamic, const struct values *values,
                      enum dynamic_tag at, enum dynamic_tag bytes, size_t entry, const char *what,
                      struct elf_table *table, struct err *err)
{
    *table = (struct elf_table){ NULL, 0 };
    /* One without the other is damage: code that runs without its relocations crashes. */
    if (values->present[at] ? !values->present[bytes] : values->of[bytes] != 0)
        return REFUSE(err, "the address or the size of its %s is missing", what);
    if (values->of[bytes] == 0)
        return 0;
    if (values->of[bytes] % entry != 0 || values->of[at] % sizeof(uint64_t) != 0)
        return REFUSE(err, "its %s is malformed", what);
    table->at = elf_at(&dynamic->image, values->of[at], values->of[bytes], PF_R);
    if (table->at == NULL)
        return REFUSE(err, "its %s lies outside its segments", what);
    table->count = (size_t)values->of[bytes] / entry;
    return 0;
}

/* The size of an entry, where given, must be that of ELF64. */
static int check_entry_size(const struct values *values, enum dynamic_tag tag, size_t size,
                            const char *what, struct err *err)
{
    if (values->present[tag] && values->of[tag] != size)
        return REFUSE(err, "its %s has entries of %llu bytes, not %zu", what,
                      (unsigned long long)values->of[tag], size);
    return 0;
}

/* Entries from an address to the end of its segment. */
static size_t room_at(const struct elf_image *image, uint64_t address, size_t size)
{
    for (size_t i = 0; i < image->head->part_count; i++) {
        const Elf64_Phdr *part = &image->head->parts[i];
        if (part->p_type == PT_LOAD && part->p_memsz > 0 && address >= part->p_vaddr &&
            address - part->p_vaddr <= part->p_memsz)
            return (size_t)(part->p_memsz - (address - part->p_vaddr)) / size;
    }
    return 0;
}

static int read_strings(struct elf_dynamic *dynamic, const struct values *values, struct err *err)
{
    uint64_t size = values->of[TAG_STRSZ];
    const char *strings = elf_at(&dynamic->image, values->of[TAG_STRTAB], size, PF_R);
    if (!values->present[TAG_STRTAB] || size == 0 || strings == NULL)
        return REFUSE(err, "its names lie outside its segments");
    if (strings[size - 1] != '\0')
        return REFUSE(err, "its names have no end");
    dynamic->strings = (slice){ strings, (size_t)size };
    if (values->present[TAG_SONAME]) {
        if (values->of[TAG_SONAME] >= size)
            return REFUSE(err, "its own name lies outside its names");
        dynamic->soname = strings + values->of[TAG_SONAME];
    }
    enum dynamic_tag list = values->present[TAG_RUNPATH] ? TAG_RUNPATH : TAG_RPATH;
    if (values->present[list]) {
        if (values->of[list] >= size)
            return REFUSE(err, "its list of folders lies outside its names");
        dynamic->run_path = strings + values->of[list];
    }
    for (size_t i = 0; i < dynamic->entry_count; i++)
        if (dynamic->entries[i].d_tag == DT_NEEDED && dynamic->entries[i].d_un.d_val >= size)
            return REFUSE(err, "the name of a library it needs lies outside its names");
    return 0;
}

static int read_symbols(struct elf_dynamic *dynamic, const struct values *values, struct err *err)
{
    uint64_t at = values->of[TAG_SYMTAB];
    if (check_entry_size(values, TAG_SYMENT, sizeof(Elf64_Sym), "symbol table", err) != 0)
        return ERR_INPUT;
    if (!values->present[TAG_SYMTAB] || at % sizeof(uint64_t) != 0 ||
        elf_at(&dynamic->image, at, sizeof(Elf64_Sym), PF_R) == NULL)
        return REFUSE(err, "its symbol table lies outside its segments");
    dynamic->symbols.at = elf_at(&dynamic->image, at, 0, PF_R);
    dynamic->symbols.count = room_at(&dynamic->image, at, sizeof(Elf64_Sym));
    return 0;
}

static int read_versions(struct elf_dynamic *dynamic, const struct values *values, struct err *err)
{
    uint64_t at = values->of[TAG_VERSIONS];
    if (!values->present[TAG_VERSIONS])
        return 0;
    dynamic->versions.at = elf_at(&dynamic->image, at, sizeof(uint16_t), PF_R);
    if (dynamic->versions.at == NULL || at % sizeof(uint16_t) != 0)
        return REFUSE(err, "its table of versions lies outside its segments");
    dynamic->versions.count = room_at(&dynamic->image, at, sizeof(uint16_t));
    return 0;
}

static int read_sysv_hash(struct elf_dynamic *dynamic, uint64_t at, struct err *err)
{
    const uint32_t *head = elf_at(&dynamic->image, at, 2 * sizeof *head, PF_R);
    if (head == NULL || at % sizeof *head != 0)
        return REFUSE(err, "its hash table lies outside its segments");
    uint64_t words = 2 + (uint64_t)head[0] + head[1];
    if (elf_at(&dynamic->image, at, words * sizeof *head, PF_R) == NULL)
        return REFUSE(err, "its hash table lies outside its segments");
    dynamic->sysv_hash = (struct elf_table){ head, (size_t)words };
    return 0;
}

/* GNU's: bucket count, first symbol, bloom count, bloom shift; bloom words, buckets, chain. */
static int read_gnu_hash(struct elf_dynamic *dynamic, uint64_t at, struct err *err)
{
    struct elf_gnu_hash *hash = &dynamic->gnu_hash;
    const uint32_t *head = elf_at(&dynamic->image, at, 4 * sizeof *head, PF_R);
    if (head == NULL || at % sizeof(uint64_t) != 0)
        return REFUSE(err, "its GNU hash table lies outside its segments");
    uint64_t blooms = at + 4 * sizeof *head;
    uint64_t buckets = blooms + (uint64_t)head[2] * sizeof(uint64_t);
    uint64_t chain = buckets + (uint64_t)head[0] * sizeof *head;
    if (head[0] == 0 || head[2] == 0 || (head[2] & (head[2] - 1)) != 0 || head[3] > 31)
        return REFUSE(err, "its GNU hash table is malformed");
    if (elf_at(&dynamic->image, at, chain - at, PF_R) == NULL)
        return REFUSE(err, "its GNU hash table lies outside its segments");
    *hash = (struct elf_gnu_hash){
        .buckets = elf_at(&dynamic->image, buckets, 0, PF_R),
        .chain = elf_at(&dynamic->image, chain, 0, PF_R),
        .bloom = elf_at(&dynamic->image, blooms, 0, PF_R),
        .bucket_count = head[0],
        .first = head[1],
        .bloom_count = head[2],
        .bloom_shift = head[3],
        .chain_count = room_at(&dynamic->image, chain, sizeof *head),
    };
    return 0;
}

static int read_hashes(struct elf_dynamic *dynamic, const struct values *values, struct err *err)
{
    int rc = 0;
    if (values->present[TAG_GNU_HASH])
        rc = read_gnu_hash(dynamic, values->of[TAG_GNU_HASH], err);
    if (rc == 0 && values->present[TAG_HASH])
        rc = read_sysv_hash(dynamic, values->of[TAG_HASH], err);
    if (rc == 0 && !values->present[TAG_GNU_HASH] && !values->present[TAG_HASH])
        rc = REFUSE(err, "it has no hash table of symbols");
    return rc;
}

static int read_relocations(struct elf_dynamic *dynamic, const struct values *values,
                            struct err *err)
{
    int rc = check_entry_size(values, TAG_RELAENT, sizeof(Elf64_Rela), "relocations", err);
    if (rc == 0)
        rc = check_entry_size(values, TAG_RELRENT, sizeof(uint64_t), "relative relocations", err);
    if (rc == 0 && (values->present[TAG_REL] ||
                    (values->present[TAG_PLTREL] && values->of[TAG_PLTREL] != DT_RELA)))
        rc = REFUSE(err, "its relocations are of a kind (REL) that this processor does not use");
    if (rc == 0)
        rc = read_table(dynamic, values, TAG_RELA, TAG_RELASZ, sizeof(Elf64_Rela), "relocations",
                        &dynamic->rela, err);
    if (rc == 0)
        rc = read_table(dynamic, values, TAG_JMPREL, TAG_PLTRELSZ, sizeof(Elf64_Rela),
                        "relocations of functions", &dynamic->plt_rela, err);
    if (rc == 0)
        rc = read_table(dynamic, values, TAG_RELR, TAG_RELRSZ, sizeof(uint64_t),
                        "relative relocations", &dynamic->relr, err);
    return rc;
}

static int read_constructors(struct elf_dynamic *dynamic, const struct values *values,
                             struct err *err)
{
    dynamic->init = values->of[TAG_INIT];
    dynamic->fini = values->of[TAG_FINI];
    if ((dynamic->init != 0 && elf_at(&dynamic->image, dynamic->init, 1, PF_X) == NULL) ||
        (dynamic->fini != 0 && elf_at(&dynamic->image, dynamic->fini, 1, PF_X) == NULL))
        return REFUSE(err, "its constructor or destructor lies outside its code");
    int rc = read_table(dynamic, values, TAG_INIT_ARRAY, TAG_INIT_ARRAYSZ, sizeof(uint64_t),
                        "list of constructors", &dynamic->init_array, err);
    if (rc == 0)
        rc = read_table(dynamic, values, TAG_FINI_ARRAY, TAG_FINI_ARRAYSZ, sizeof(uint64_t),
                        "list of destructors", &dynamic->fini_array, err);
    return rc;
}

int elf_read_dynamic(const struct elf_image *image, struct elf_dynamic *dynamic, struct err *err)
{
    struct values values = { 0 };
    *dynamic = (struct elf_dynamic){ .image = *image };
    int rc = read_entries(dynamic, &values, err);
    if (rc == 0)
        rc = read_strings(dynamic, &values, err);
    if (rc == 0)
        rc = read_symbols(dynamic, &values, err);
    if (rc == 0)
        rc = read_versions(dynamic, &values, err);
    if (rc == 0)
        rc = read_hashes(dynamic, &values, err);
    if (rc == 0)
        rc = read_relocations(dynamic, &values, err);
    if (rc == 0)
        rc = read_constructors(dynamic, &values, err);
    dynamic->symbolic = values.present[TAG_SYMBOLIC] || (values.of[TAG_FLAGS] & DF_SYMBOLIC) != 0;
    dynamic->text_relocations = values.present[TAG_TEXTREL] ||
                                (values.of[TAG_FLAGS] & DF_TEXTREL) != 0;
    dynamic->is_program = (values.of[TAG_FLAGS_1] & 0x08000000) != 0; /* DF_1_PIE */
    return rc;
}

const char *elf_next_needed(const struct elf_dynamic *dynamic, size_t *cursor)
{
    while (*cursor < dynamic->entry_count) {
        const Elf64_Dyn *entry = &dynamic->entries[(*cursor)++];
        if (entry->d_tag == DT_NEEDED)
            return dynamic->strings.ptr + entry->d_un.d_val;
    }
    return NULL;
}
