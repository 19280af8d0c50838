/*
 * Relocates a mapped library: finds what its symbols are bound to and writes the addresses.
 *
 * The file is not trusted: every place that is written and every symbol index is checked. Two
 * passes, because the resolvers of indirect functions may use everything that the first one binds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "loader/libc_table.h"
#include "loader/loader_private.h"
#include "loader/thread_storage.h"

/* The kinds of relocation, with this processor's numbers. */
#if defined(__aarch64__)
enum {
    REL_NONE = 0,
    REL_ADDRESS = 257,            /* R_AARCH64_ABS64 */
    REL_GLOBAL = 1025,            /* R_AARCH64_GLOB_DAT */
    REL_FUNCTION = 1026,          /* R_AARCH64_JUMP_SLOT */
    REL_RELATIVE = 1027,          /* R_AARCH64_RELATIVE */
    REL_THREAD_MODULE = 1028,     /* R_AARCH64_TLS_DTPMOD */
    REL_THREAD_PLACE = 1029,      /* R_AARCH64_TLS_DTPREL */
    REL_THREAD_OFFSET = 1030,     /* R_AARCH64_TLS_TPREL */
    REL_THREAD_DESCRIPTOR = 1031, /* R_AARCH64_TLSDESC */
    REL_INDIRECT = 1032,          /* R_AARCH64_IRELATIVE */
};
#else
enum {
    REL_NONE = 0,               /* R_X86_64_NONE */
    REL_ADDRESS = 1,            /* R_X86_64_64 */
    REL_GLOBAL = 6,             /* R_X86_64_GLOB_DAT */
    REL_FUNCTION = 7,           /* R_X86_64_JUMP_SLOT */
    REL_RELATIVE = 8,           /* R_X86_64_RELATIVE */
    REL_THREAD_MODULE = 16,     /* R_X86_64_DTPMOD64 */
    REL_THREAD_PLACE = 17,      /* R_X86_64_DTPOFF64 */
    REL_THREAD_OFFSET = 18,     /* R_X86_64_TPOFF64 */
    REL_THREAD_DESCRIPTOR = 36, /* R_X86_64_TLSDESC */
    REL_INDIRECT = 37,          /* R_X86_64_IRELATIVE */
};
#endif

typedef unsigned long long ull;

/* --- symbols -------------------------------------------------------------------------------- */

void *loader_address(const struct loader_lib *owner, const Elf64_Sym *symbol)
{
    if (symbol->st_shndx == SHN_ABS)
        return (void *)(uintptr_t)symbol->st_value;
    if (ELF64_ST_TYPE(symbol->st_info) != STT_GNU_IFUNC)
        return elf_at(&owner->dynamic.image, symbol->st_value, 0, 0);
    void *(*resolver)(uint64_t, const uint64_t *);
    void *at = elf_at(&owner->dynamic.image, symbol->st_value, 1, PF_X);
    if (at == NULL)
        return NULL;
    memcpy(&resolver, &at, sizeof resolver);
    /* As glibc on ARM: what the processor has, marked as followed by a pointer to more. */
    const uint64_t features[] = { 3 * sizeof(uint64_t), getauxval(AT_HWCAP), getauxval(AT_HWCAP2) };
    return resolver(features[1] | 1ull << 62, features);
}

const Elf64_Sym *loader_find_symbol(struct loader_lib *lib, const struct elf_name *name,
                                    struct loader_lib **owner)
{
    struct loader_lib *queue[LOADER_LIBS_MAX] = { lib };
    size_t count = 1;
    for (size_t next = 0; next < count; next++) {
        const Elf64_Sym *symbol = elf_find(&queue[next]->dynamic, name);
        if (symbol != NULL) {
            *owner = queue[next];
            return symbol;
        }
        for (size_t i = 0; i < queue[next]->needed_count; i++) {
            size_t seen = 0;
            while (seen < count && queue[seen] != queue[next]->needed[i])
                seen++;
            if (seen == count && count < LOADER_LIBS_MAX)
                queue[count++] = queue[next]->needed[i];
        }
    }
    return NULL;
}

static const Elf64_Sym *find_global(const struct elf_name *name, struct loader_lib **owner)
{
    for (struct loader_lib *lib = loader_libs; lib != NULL; lib = lib->next) {
        const Elf64_Sym *symbol = lib->is_global ? elf_find(&lib->dynamic, name) : NULL;
        if (symbol != NULL) {
            *owner = lib;
            return symbol;
        }
    }
    return NULL;
}

/* Where a name is defined: by symbol of owner, or by libc of the libc table. Both NULL: nowhere. */
struct definition {
    struct loader_lib *owner;
    const Elf64_Sym *symbol;
    void *libc;
};

/*
 * Of a unique symbol (C++'s inline variables) the process has one, whichever libraries define it:
 * that of the library that was loaded first.
 */
static void find_first_unique(const struct elf_name *name, struct definition *found)
{
    if (found->symbol == NULL || ELF64_ST_BIND(found->symbol->st_info) != STB_GNU_UNIQUE)
        return;
    for (struct loader_lib *lib = loader_libs; lib != NULL; lib = lib->next) {
        const Elf64_Sym *symbol = elf_find(&lib->dynamic, name);
        if (symbol != NULL && ELF64_ST_BIND(symbol->st_info) == STB_GNU_UNIQUE) {
            *found = (struct definition){ lib, symbol, NULL };
            return;
        }
    }
}

/*
 * glibc's order, in which the C library precedes everything that dlopen has loaded: the library
 * itself if it is DT_SYMBOLIC, the libc table, global libraries, then the library that was opened
 * and its dependencies, of which this is one: what it defines replaces theirs.
 */
static struct definition look_up(struct loader_lib *lib, const char *text)
{
    struct elf_name name = elf_name(text);
    struct definition found = { lib, NULL, NULL };
    if (lib->dynamic.symbolic)
        found.symbol = elf_find(&lib->dynamic, &name);
    if (found.symbol == NULL)
        found.libc = libc_symbol(text);
    if (found.symbol == NULL && found.libc == NULL)
        found.symbol = find_global(&name, &found.owner);
    if (found.symbol == NULL && found.libc == NULL)
        found.symbol = loader_find_symbol(lib->root, &name, &found.owner);
    find_first_unique(&name, &found);
    return found;
}

/* --- one relocation ------------------------------------------------------------------------- */

static void store(uint64_t *place, uint64_t value)
{
    memcpy(place, &value, sizeof value); /* a malformed file may name an unaligned place */
}

struct binding {
    struct loader_lib *lib;
    const Elf64_Rela *rela;
    unsigned type;
    uint64_t *place;
    const Elf64_Sym *symbol; /* NULL if the relocation has none */
    struct definition found;
};

static int bad_relocation(const struct binding *binding, const char *what, struct err *err)
{
    return err_set(err, ERR_INPUT, "its relocation at %#llx (type %u) %s",
                   (ull)binding->rela->r_offset, binding->type, what);
}

/*
 * Whether an undefined symbol may be data: a stub's code must not be read as such. Linkers write no
 * type where they have not seen the definition; then only a call's slot is surely a function's.
 */
static bool may_be_data(const struct binding *binding)
{
    switch (ELF64_ST_TYPE(binding->symbol->st_info)) {
    case STT_FUNC:
    case STT_GNU_IFUNC: return false;
    case STT_NOTYPE: return binding->type != REL_FUNCTION;
    default: return true;
    }
}

/*
 * What a library throws with. A stub in their place would end the process at the first exception,
 * which a library may well catch.
 */
static bool is_unwinder(const char *name)
{
    return strncmp(name, "_Unwind_", strlen("_Unwind_")) == 0;
}

/* The value for an undefined name: 0 if it is weak, a stub for a function; an error for data. */
static int bind_missing(struct binding *binding, const char *name, uint64_t *value, struct err *err)
{
    const char *lacks = binding->lib->lacks;
    *value = 0;
    if (ELF64_ST_BIND(binding->symbol->st_info) == STB_WEAK)
        return 0;
    if (lacks == NULL && is_unwinder(name))
        lacks = "libgcc_s.so.1";
    if (lacks != NULL)
        return err_set(err, ERR_CONFIG,
                       "it uses %s, probably from %s, which was not found; put that file beside it "
                       "or into a folder of LD_LIBRARY_PATH",
                       name, lacks);
    if (may_be_data(binding))
        return err_set(
            err, ERR_CONFIG,
            "it uses the variable %s, which neither its dependencies nor the worker's libc "
            "table define",
            name);
    void *stub = loader_missing(name, binding->lib);
    if (stub == NULL)
        return err_set(err, ERR_LIMIT, "more than %u functions are missing, the last one is %s",
                       LOADER_MISSING_MAX, name);
    log_write(LOG_DEBUG, NULL, "%s uses %s, which the libc table lacks", binding->lib->path, name);
    *value = (uint64_t)(uintptr_t)stub;
    return 0;
}

/* Sets binding->symbol and binding->found for the symbol that the relocation names. */
static int resolve(struct binding *binding, struct err *err)
{
    const struct elf_dynamic *dynamic = &binding->lib->dynamic;
    uint64_t index = ELF64_R_SYM(binding->rela->r_info);
    binding->found = (struct definition){ binding->lib, NULL, NULL };
    binding->symbol = NULL;
    if (index == 0)
        return 0;
    const Elf64_Sym *symbol = elf_symbol(dynamic, index);
    const char *name = symbol == NULL ? NULL : elf_symbol_name(dynamic, symbol);
    if (name == NULL)
        return bad_relocation(binding, "names a symbol outside the symbol table", err);
    binding->symbol = symbol;
    /* A symbol that other libraries do not see is bound to itself. */
    if (symbol->st_shndx != SHN_UNDEF && (ELF64_ST_BIND(symbol->st_info) == STB_LOCAL ||
                                          ELF64_ST_VISIBILITY(symbol->st_other) != STV_DEFAULT))
        binding->found.symbol = symbol;
    else
        binding->found = look_up(binding->lib, name);
    return 0;
}

/* The address that the symbol is bound to. */
static int address_of(struct binding *binding, uint64_t *value, struct err *err)
{
    const struct definition *found = &binding->found;
    *value = 0;
    if (binding->symbol == NULL)
        return 0;
    if (found->libc != NULL) {
        *value = (uint64_t)(uintptr_t)found->libc;
        return 0;
    }
    if (found->symbol == NULL)
        return bind_missing(binding, elf_symbol_name(&binding->lib->dynamic, binding->symbol),
                            value, err);
    void *address = loader_address(found->owner, found->symbol);
    if (address == NULL && found->symbol->st_shndx != SHN_ABS)
        return bad_relocation(binding, "binds to an address outside its segments", err);
    *value = (uint64_t)(uintptr_t)address;
    return 0;
}

static int bind_thread_local(struct binding *binding, struct err *err)
{
    const struct definition *found = &binding->found;
    uint64_t *place = binding->place;
    uint64_t at = (uint64_t)binding->rela->r_addend;
    unsigned id = binding->lib->storage_id;
    if (binding->symbol != NULL) {
        if (found->symbol == NULL || ELF64_ST_TYPE(found->symbol->st_info) != STT_TLS) {
            uint64_t ignored;
            if (found->libc != NULL || found->symbol != NULL)
                return bad_relocation(
                    binding, "needs a thread-local variable, but the symbol is of another kind",
                    err);
            store(place, 0);
            return bind_missing(binding, elf_symbol_name(&binding->lib->dynamic, binding->symbol),
                                &ignored, err);
        }
        id = found->owner->storage_id;
        at += found->symbol->st_value;
    }
    if (id == 0)
        return bad_relocation(binding,
                              "refers to the thread-local storage of a library that has none", err);
    if (binding->type == REL_THREAD_MODULE) {
        store(place, id);
    } else if (binding->type == REL_THREAD_PLACE) {
        store(place, at);
    } else if (binding->type == REL_THREAD_OFFSET) {
        store(place, (uint64_t)thread_storage_offset(id) + at);
    } else {
        store(place, (uint64_t)(uintptr_t)&thread_storage_descriptor);
        store(place + 1, (uint64_t)thread_storage_offset(id) + at);
    }
    return 0;
}

static int bind_indirect(struct binding *binding, struct err *err)
{
    const Elf64_Sym resolver = {
        .st_value = (uint64_t)binding->rela->r_addend,
        .st_info = ELF64_ST_INFO(STB_LOCAL, STT_GNU_IFUNC),
        .st_shndx = 1,
    };
    void *address = loader_address(binding->lib, &resolver);
    if (address == NULL)
        return bad_relocation(binding, "has a resolver outside its code", err);
    store(binding->place, (uint64_t)(uintptr_t)address);
    return 0;
}

/* Whether it is left for the second pass. */
static bool is_indirect(const struct binding *binding)
{
    return binding->type == REL_INDIRECT ||
           (binding->found.symbol != NULL && binding->found.libc == NULL &&
            ELF64_ST_TYPE(binding->found.symbol->st_info) == STT_GNU_IFUNC);
}

static int bind_one(struct binding *binding, struct err *err)
{
    uint64_t value;
    int rc = 0;
    switch (binding->type) {
    case REL_ADDRESS:
    case REL_GLOBAL:
    case REL_FUNCTION:
        rc = address_of(binding, &value, err);
        if (rc == 0)
            store(binding->place, value + (uint64_t)binding->rela->r_addend);
        return rc;
    case REL_THREAD_MODULE:
    case REL_THREAD_PLACE:
    case REL_THREAD_OFFSET:
    case REL_THREAD_DESCRIPTOR: return bind_thread_local(binding, err);
    case REL_INDIRECT: return bind_indirect(binding, err);
    default: return bad_relocation(binding, "is of an unknown kind", err);
    }
}

/* --- all of them ---------------------------------------------------------------------------- */

/* The memory that a relocation writes: words of eight bytes in a writable segment, or NULL. */
static uint64_t *place_at(const struct loader_lib *lib, uint64_t address, uint64_t words)
{
    return elf_at(&lib->dynamic.image, address, words * sizeof(uint64_t), PF_W);
}

/*
 * The writable segment of the previous relative relocation. Checking only this range first matters:
 * tens of thousands of places in one segment follow each other.
 */
struct range {
    uint64_t from, last; /* addresses where a word may begin; empty if from > last */
};

static int find_range(const struct loader_lib *lib, uint64_t address, struct range *range,
                      struct err *err)
{
    for (size_t i = 0; i < lib->head.part_count; i++) {
        const Elf64_Phdr *segment = &lib->head.parts[i];
        uint64_t from = segment->p_vaddr, last = from + segment->p_memsz - sizeof(uint64_t);
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) != 0 &&
            segment->p_memsz >= sizeof(uint64_t) && address >= from && address <= last) {
            *range = (struct range){ from, last };
            return 0;
        }
    }
    return err_set(err, ERR_INPUT, "its relocation at %#llx is outside its writable segments",
                   (ull)address);
}

/* Does relative relocations from index i on. Returns the index behind the last, or an error. */
static ptrdiff_t relocate_relative(const struct loader_lib *lib, const struct elf_table *table,
                                   size_t i, struct err *err)
{
    const Elf64_Rela *rela = table->at;
    struct range range = { 1, 0 };
    for (; i < table->count && ELF64_R_TYPE(rela[i].r_info) == REL_RELATIVE; i++) {
        uint64_t at = rela[i].r_offset;
        if ((at < range.from || at > range.last) && find_range(lib, at, &range, err) != 0)
            return ERR_INPUT;
        store((uint64_t *)(void *)(lib->base + at),
              (uint64_t)(uintptr_t)lib->base + (uint64_t)rela[i].r_addend);
    }
    return (ptrdiff_t)i;
}

/*
 * Does a relocation that is not relative, if it belongs to this pass: the second is for indirect
 * functions. Sets *waiting if one is left for the second.
 */
static int relocate_symbolic(struct loader_lib *lib, const Elf64_Rela *rela, bool indirect,
                             bool *waiting, struct err *err)
{
    struct binding binding = { .lib = lib,
                               .rela = rela,
                               .type = (unsigned)ELF64_R_TYPE(rela->r_info) };
    binding.place = place_at(lib, rela->r_offset, binding.type == REL_THREAD_DESCRIPTOR ? 2 : 1);
    if (binding.place == NULL)
        return bad_relocation(&binding, "is outside its writable segments", err);
    int rc = resolve(&binding, err);
    if (rc != 0)
        return rc;
    if (is_indirect(&binding) == indirect)
        return bind_one(&binding, err);
    *waiting = true;
    return 0;
}

static int relocate_table(struct loader_lib *lib, const struct elf_table *table, bool indirect,
                          bool *waiting, struct err *err)
{
    const Elf64_Rela *rela = table->at;
    int rc = 0;
    for (size_t i = 0; i < table->count && rc == 0; i++) {
        unsigned type = (unsigned)ELF64_R_TYPE(rela[i].r_info);
        if (type == REL_RELATIVE && !indirect) {
            ptrdiff_t next = relocate_relative(lib, table, i, err);
            if (next < 0)
                return ERR_INPUT;
            i = (size_t)next - 1;
        } else if (type != REL_RELATIVE && type != REL_NONE) {
            rc = relocate_symbolic(lib, &rela[i], indirect, waiting, err);
        }
    }
    return rc;
}

static int relocate_relr(struct loader_lib *lib, struct err *err)
{
    struct elf_relr_cursor cursor = { 0 };
    uint64_t address;
    while (elf_next_relr(&lib->dynamic.relr, &cursor, &address)) {
        uint64_t *place = place_at(lib, address, 1);
        if (place == NULL)
            return err_set(err, ERR_INPUT,
                           "its relative relocation at %#llx is outside its writable segments",
                           (ull)address);
        uint64_t value;
        memcpy(&value, place, sizeof value);
        store(place, value + (uint64_t)(uintptr_t)lib->base);
    }
    return 0;
}

static int protect_relro(const struct loader_lib *lib, struct err *err)
{
    const Elf64_Phdr *relro = lib->head.relro;
    if (relro == NULL)
        return 0;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t from = relro->p_vaddr & ~(page - 1);
    uint64_t to = (relro->p_vaddr + relro->p_memsz) & ~(page - 1);
    if (to > from && mprotect(lib->base + from, (size_t)(to - from), PROT_READ) != 0)
        return err_system(err, ERR_MEMORY, errno, "cannot make its relocated memory read-only");
    return 0;
}

static int relocate_tables(struct loader_lib *lib, bool indirect, bool *waiting, struct err *err)
{
    int rc = relocate_table(lib, &lib->dynamic.rela, indirect, waiting, err);
    return rc == 0 ? relocate_table(lib, &lib->dynamic.plt_rela, indirect, waiting, err) : rc;
}

int loader_relocate(struct loader_lib *lib, struct err *err)
{
    bool waiting = false;
    int rc = relocate_relr(lib, err);
    if (rc == 0)
        rc = relocate_tables(lib, false, &waiting, err);
    if (rc == 0 && waiting)
        rc = relocate_tables(lib, true, &waiting, err);
    return rc == 0 ? protect_relro(lib, err) : rc;
}
