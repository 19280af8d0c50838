#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "gpu/libc_table.h"
#include "gpu/loader_lib.h"
#include "gpu/tls.h"

/* What a relocation asks for, by this processor's numbers. */
#if defined(__aarch64__)
enum {
    REL_NONE = 0,
    REL_ADDRESS = 257,         /* R_AARCH64_ABS64 */
    REL_GLOBAL = 1025,         /* R_AARCH64_GLOB_DAT */
    REL_FUNCTION = 1026,       /* R_AARCH64_JUMP_SLOT */
    REL_RELATIVE = 1027,       /* R_AARCH64_RELATIVE */
    REL_TLS_MODULE = 1028,     /* R_AARCH64_TLS_DTPMOD */
    REL_TLS_PLACE = 1029,      /* R_AARCH64_TLS_DTPREL */
    REL_TLS_OFFSET = 1030,     /* R_AARCH64_TLS_TPREL */
    REL_TLS_DESCRIPTOR = 1031, /* R_AARCH64_TLSDESC */
    REL_INDIRECT = 1032,       /* R_AARCH64_IRELATIVE */
};
#else
enum {
    REL_NONE = 0,            /* R_X86_64_NONE */
    REL_ADDRESS = 1,         /* R_X86_64_64 */
    REL_GLOBAL = 6,          /* R_X86_64_GLOB_DAT */
    REL_FUNCTION = 7,        /* R_X86_64_JUMP_SLOT */
    REL_RELATIVE = 8,        /* R_X86_64_RELATIVE */
    REL_TLS_MODULE = 16,     /* R_X86_64_DTPMOD64 */
    REL_TLS_PLACE = 17,      /* R_X86_64_DTPOFF64 */
    REL_TLS_OFFSET = 18,     /* R_X86_64_TPOFF64 */
    REL_TLS_DESCRIPTOR = 36, /* R_X86_64_TLSDESC */
    REL_INDIRECT = 37,       /* R_X86_64_IRELATIVE */
};
#endif

typedef unsigned long long ull;

/* --- symbols ------------------------------------------------------------------------------ */

void *loader_address(const struct loader_lib *owner, const Elf64_Sym *symbol)
{
    if (symbol->st_shndx == SHN_ABS)
        return (void *)(uintptr_t)symbol->st_value;
    if (ELF64_ST_TYPE(symbol->st_info) != STT_GNU_IFUNC)
        return elf_at(&owner->dynamic.image, symbol->st_value, 0, 0);
    void *(*resolver)(void);
    void *at = elf_at(&owner->dynamic.image, symbol->st_value, 1, PF_X);
    if (at == NULL)
        return NULL;
    memcpy(&resolver, &at, sizeof resolver);
    return resolver();
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

/* Where a name that lib uses is defined. In the libc table: owner NULL, *libc set. */
struct definition {
    struct loader_lib *owner;
    const Elf64_Sym *symbol;
    void *libc;
};

/*
 * In glibc's order, where the C library comes before anything that was opened: itself if it is
 * bound so, the table, what was opened for all, itself and what it needs.
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
        found.symbol = loader_find_symbol(lib, &name, &found.owner);
    return found;
}

/* --- one relocation ------------------------------------------------------------------------ */

static void put(uint64_t *place, uint64_t value)
{
    memcpy(place, &value, sizeof value); /* a malformed file's need not be aligned */
}

struct binding {
    struct loader_lib *lib;
    const Elf64_Rela *rela;
    unsigned type;
    uint64_t *place;
    const Elf64_Sym *symbol; /* NULL: the relocation names none */
    struct definition found;
};

static int bad(const struct binding *binding, const char *what, struct err *err)
{
    return err_set(err, ERR_INPUT, "its relocation at %#llx (type %u) %s",
                   (ull)binding->rela->r_offset, binding->type, what);
}

/* An undefined name: 0 for a weak one, a function that aborts, or an error for data. */
static int bind_missing(struct binding *binding, const char *name, uint64_t *value, struct err *err)
{
    unsigned type = ELF64_ST_TYPE(binding->symbol->st_info);
    *value = 0;
    if (ELF64_ST_BIND(binding->symbol->st_info) == STB_WEAK)
        return 0;
    if (type == STT_OBJECT || type == STT_TLS || type == STT_COMMON)
        return err_set(err, ERR_CONFIG,
                       "it uses the variable %s, which neither it, what it needs nor the worker's "
                       "libc table has",
                       name);
    void *stub = loader_missing(name, binding->lib);
    if (stub == NULL)
        return err_set(err, ERR_LIMIT, "more than %u functions are missing, %s is one",
                       LOADER_MISSING_MAX, name);
    log_write(LOG_DEBUG, NULL, "%s uses %s, which the libc table lacks", binding->lib->path, name);
    *value = (uint64_t)(uintptr_t)stub;
    return 0;
}

/* Fills binding->found for the symbol that the relocation names. */
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
        return bad(binding, "names a symbol outside the table", err);
    binding->symbol = symbol;
    /* What nobody else sees is itself. */
    if (symbol->st_shndx != SHN_UNDEF && (ELF64_ST_BIND(symbol->st_info) == STB_LOCAL ||
                                          ELF64_ST_VISIBILITY(symbol->st_other) != STV_DEFAULT))
        binding->found.symbol = symbol;
    else
        binding->found = look_up(binding->lib, name);
    return 0;
}

/* The address that a name stands for. */
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
        return bad(binding, "binds to an address outside its segments", err);
    *value = (uint64_t)(uintptr_t)address;
    return 0;
}

static int bind_tls(struct binding *binding, struct err *err)
{
    const struct definition *found = &binding->found;
    uint64_t *place = binding->place;
    uint64_t at = (uint64_t)binding->rela->r_addend;
    unsigned id = binding->lib->tls_id;
    if (binding->symbol != NULL) {
        if (found->symbol == NULL || ELF64_ST_TYPE(found->symbol->st_info) != STT_TLS) {
            uint64_t none;
            if (found->libc != NULL || found->symbol != NULL)
                return bad(binding, "wants a thread-local variable, and finds another kind", err);
            put(place, 0);
            return bind_missing(binding, elf_symbol_name(&binding->lib->dynamic, binding->symbol),
                                &none, err);
        }
        id = found->owner->tls_id;
        at += found->symbol->st_value;
    }
    if (id == 0)
        return bad(binding, "uses TLS of a library that has none", err);
    if (binding->type == REL_TLS_MODULE) {
        put(place, id);
    } else if (binding->type == REL_TLS_PLACE) {
        put(place, at);
    } else if (binding->type == REL_TLS_OFFSET) {
        put(place, (uint64_t)tls_offset(id) + at);
    } else {
        put(place, (uint64_t)(uintptr_t)&tls_descriptor);
        put(place + 1, (uint64_t)tls_offset(id) + at);
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
        return bad(binding, "is resolved by nothing of its code", err);
    put(binding->place, (uint64_t)(uintptr_t)address);
    return 0;
}

/* Whether it is to wait for a second pass: resolvers may use all that the first one binds. */
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
            put(binding->place, value + (uint64_t)binding->rela->r_addend);
        return rc;
    case REL_TLS_MODULE:
    case REL_TLS_PLACE:
    case REL_TLS_OFFSET:
    case REL_TLS_DESCRIPTOR: return bind_tls(binding, err);
    case REL_INDIRECT: return bind_indirect(binding, err);
    default: return bad(binding, "is of a kind that the loader does not know", err);
    }
}

/* --- all of them --------------------------------------------------------------------------- */

/* The memory that a relocation writes: of words of eight bytes, written, not run. */
static uint64_t *place_at(const struct loader_lib *lib, uint64_t address, uint64_t words)
{
    return elf_at(&lib->dynamic.image, address, words * sizeof(uint64_t), PF_W);
}

/* The segment that the last place was in: tens of thousands of places follow each other in one. */
struct area {
    uint64_t from, last; /* addresses at which a word may begin; none where from > last */
};

static int find_area(const struct loader_lib *lib, uint64_t address, struct area *area,
                     struct err *err)
{
    for (size_t i = 0; i < lib->head.part_count; i++) {
        const Elf64_Phdr *part = &lib->head.parts[i];
        uint64_t from = part->p_vaddr, last = from + part->p_memsz - sizeof(uint64_t);
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) != 0 &&
            part->p_memsz >= sizeof(uint64_t) && address >= from && address <= last) {
            *area = (struct area){ from, last };
            return 0;
        }
    }
    return err_set(err, ERR_INPUT, "its relocation at %#llx is of memory that is not its own",
                   (ull)address);
}

/* Relative relocations from index i on; returns the index of the first that is none, or an error. */
static ptrdiff_t relocate_relative(const struct loader_lib *lib, const struct elf_table *table,
                                   size_t i, struct err *err)
{
    const Elf64_Rela *rela = table->at;
    struct area area = { 1, 0 };
    for (; i < table->count && ELF64_R_TYPE(rela[i].r_info) == REL_RELATIVE; i++) {
        uint64_t at = rela[i].r_offset;
        if ((at < area.from || at > area.last) && find_area(lib, at, &area, err) != 0)
            return ERR_INPUT;
        put((uint64_t *)(void *)(lib->base + at),
            (uint64_t)(uintptr_t)lib->base + (uint64_t)rela[i].r_addend);
    }
    return (ptrdiff_t)i;
}

/* Any but a relative one. *waiting: whether it was left for the pass of indirect functions. */
static int relocate_symbolic(struct loader_lib *lib, const Elf64_Rela *rela, bool indirect,
                             bool *waiting, struct err *err)
{
    struct binding binding = { .lib = lib,
                               .rela = rela,
                               .type = (unsigned)ELF64_R_TYPE(rela->r_info) };
    binding.place = place_at(lib, rela->r_offset, binding.type == REL_TLS_DESCRIPTOR ? 2 : 1);
    if (binding.place == NULL)
        return bad(&binding, "is of memory that is not its own", err);
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
                           "its relative relocation at %#llx is of memory that is not its own",
                           (ull)address);
        uint64_t value;
        memcpy(&value, place, sizeof value);
        put(place, value + (uint64_t)(uintptr_t)lib->base);
    }
    return 0;
}

static int seal(const struct loader_lib *lib, struct err *err)
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
    return rc == 0 ? seal(lib, err) : rc;
}
