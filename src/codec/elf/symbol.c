/* Symbols and the hash tables that find them. */
#include <string.h>

#include "codec/elf.h"

const Elf64_Sym *elf_symbol(const struct elf_dynamic *dynamic, uint64_t index)
{
    const Elf64_Sym *symbols = dynamic->symbols.at;
    return index < dynamic->symbols.count ? &symbols[index] : NULL;
}

const char *elf_symbol_name(const struct elf_dynamic *dynamic, const Elf64_Sym *symbol)
{
    return symbol->st_name < dynamic->strings.len ? dynamic->strings.ptr + symbol->st_name : NULL;
}

struct elf_name elf_name(const char *text)
{
    struct elf_name name = { text, 5381, 0 };
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        name.gnu = name.gnu * 33 + *c;
        name.sysv = (name.sysv << 4) + *c;
        name.sysv ^= (name.sysv >> 24) & 0xf0;
        name.sysv &= 0x0fffffff;
    }
    return name;
}

/* Whether other libraries may bind to it. */
static bool is_offered(const Elf64_Sym *symbol)
{
    unsigned binding = ELF64_ST_BIND(symbol->st_info), type = ELF64_ST_TYPE(symbol->st_info);
    unsigned visibility = ELF64_ST_VISIBILITY(symbol->st_other);
    return symbol->st_shndx != SHN_UNDEF &&
           (binding == STB_GLOBAL || binding == STB_WEAK || binding == STB_GNU_UNIQUE) &&
           type <= STT_GNU_IFUNC && type != STT_SECTION && type != STT_FILE &&
           (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

static const Elf64_Sym *match(const struct elf_dynamic *dynamic, uint64_t index, const char *name)
{
    const Elf64_Sym *symbol = elf_symbol(dynamic, index);
    if (symbol == NULL || !is_offered(symbol))
        return NULL;
    const char *its_name = elf_symbol_name(dynamic, symbol);
    return its_name != NULL && strcmp(its_name, name) == 0 ? symbol : NULL;
}

/* Whether it is only there for what was linked with an earlier release: "name@VERSION". */
static bool is_superseded(const struct elf_dynamic *dynamic, uint64_t index)
{
    enum { HIDDEN = 0x8000 };
    const uint16_t *versions = dynamic->versions.at;
    return index < dynamic->versions.count && (versions[index] & HIDDEN) != 0;
}

static const Elf64_Sym *find_gnu(const struct elf_dynamic *dynamic, const struct elf_name *name)
{
    const struct elf_gnu_hash *hash = &dynamic->gnu_hash;
    uint64_t bloom = hash->bloom[(name->gnu / 64) & (hash->bloom_count - 1)];
    if (((bloom >> (name->gnu % 64)) & (bloom >> ((name->gnu >> hash->bloom_shift) % 64)) & 1) == 0)
        return NULL;
    const Elf64_Sym *superseded = NULL;
    uint32_t index = hash->buckets[name->gnu % hash->bucket_count];
    if (index < hash->first)
        return NULL;
    /* A chain is a run of hashes; the lowest bit marks its last. */
    for (; index - hash->first < hash->chain_count; index++) {
        uint32_t its_hash = hash->chain[index - hash->first];
        const Elf64_Sym *symbol = NULL;
        if ((its_hash | 1) == (name->gnu | 1))
            symbol = match(dynamic, index, name->text);
        if (symbol != NULL && !is_superseded(dynamic, index))
            return symbol;
        if (symbol != NULL)
            superseded = symbol;
        if ((its_hash & 1) != 0 || index == UINT32_MAX)
            break;
    }
    return superseded;
}

static const Elf64_Sym *find_sysv(const struct elf_dynamic *dynamic, const struct elf_name *name)
{
    const uint32_t *words = dynamic->sysv_hash.at;
    uint32_t bucket_count = words[0], chain_count = words[1];
    if (bucket_count == 0)
        return NULL;
    const uint32_t *buckets = words + 2, *chain = buckets + bucket_count;
    const Elf64_Sym *superseded = NULL;
    uint32_t index = buckets[name->sysv % bucket_count];
    /* A chain with more links than there are symbols is a circle. */
    for (uint32_t steps = 0; index != 0 && index < chain_count && steps < chain_count; steps++) {
        const Elf64_Sym *symbol = match(dynamic, index, name->text);
        if (symbol != NULL && !is_superseded(dynamic, index))
            return symbol;
        if (symbol != NULL)
            superseded = symbol;
        index = chain[index];
    }
    return superseded;
}

const Elf64_Sym *elf_find(const struct elf_dynamic *dynamic, const struct elf_name *name)
{
    if (dynamic->gnu_hash.buckets != NULL)
        return find_gnu(dynamic, name);
    return find_sysv(dynamic, name);
}

/* How many symbols there are, which only the hash tables tell. */
static uint64_t symbol_count(const struct elf_dynamic *dynamic)
{
    const struct elf_gnu_hash *hash = &dynamic->gnu_hash;
    uint64_t last = 0;
    if (dynamic->sysv_hash.at != NULL)
        return ((const uint32_t *)dynamic->sysv_hash.at)[1];
    for (uint32_t i = 0; i < hash->bucket_count; i++)
        if (hash->buckets[i] > last)
            last = hash->buckets[i];
    if (last < hash->first)
        return hash->first;
    while (last - hash->first < hash->chain_count && (hash->chain[last - hash->first] & 1) == 0)
        last++;
    return last + 1;
}

const Elf64_Sym *elf_nearest(const struct elf_dynamic *dynamic, uint64_t address)
{
    const Elf64_Sym *nearest = NULL;
    uint64_t count = symbol_count(dynamic);
    for (uint64_t i = 1; i < count; i++) {
        const Elf64_Sym *symbol = elf_symbol(dynamic, i);
        if (symbol == NULL)
            break;
        unsigned type = ELF64_ST_TYPE(symbol->st_info);
        if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS ||
            (type != STT_FUNC && type != STT_OBJECT && type != STT_GNU_IFUNC) ||
            symbol->st_value > address || elf_symbol_name(dynamic, symbol) == NULL)
            continue;
        if (nearest == NULL || symbol->st_value > nearest->st_value)
            nearest = symbol;
    }
    return nearest;
}
