/* The headers of a library file, and the memory that is mapped by them. */
#include <string.h>

#include "codec/elf.h"

#define REFUSE(err, ...) err_set(err, ERR_INPUT, __VA_ARGS__)

typedef unsigned long long ull;

/* --- the head of the file ---------------------------------------------------------------- */

static bool is_power_of_two(uint64_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

/* Whether [at, at + size) lies within [0, room); computed without overflow. */
static bool within(uint64_t at, uint64_t size, uint64_t room)
{
    return at <= room && size <= room - at;
}

static int check_identity(const Elf64_Ehdr *file, unsigned machine, struct err *err)
{
    if (memcmp(file->e_ident, ELFMAG, SELFMAG) != 0)
        return REFUSE(err, "it is not an ELF file");
    if (file->e_ident[EI_CLASS] != ELFCLASS64)
        return REFUSE(err, "it is not 64-bit (ELF class %d)", file->e_ident[EI_CLASS]);
    if (file->e_ident[EI_DATA] != ELFDATA2LSB)
        return REFUSE(err, "it is not little-endian (ELF data %d)", file->e_ident[EI_DATA]);
    if (file->e_machine != machine)
        return REFUSE(err, "it is for another processor (ELF machine %d, not %u)", file->e_machine,
                      machine);
    if (file->e_type != ET_DYN)
        return REFUSE(err, "it is not a shared library (ELF type %d)", file->e_type);
    if (file->e_ident[EI_VERSION] != EV_CURRENT || file->e_version != EV_CURRENT)
        return REFUSE(err, "it is of an unknown ELF version");
    return 0;
}

static int read_parts(slice file, const Elf64_Ehdr *ehdr, struct elf_head *head, struct err *err)
{
    if (ehdr->e_phentsize != sizeof(Elf64_Phdr))
        return REFUSE(err, "its program headers have %d bytes each, not 56", ehdr->e_phentsize);
    if (ehdr->e_phnum == 0)
        return REFUSE(err, "it has no program headers");
    if (ehdr->e_phnum > ELF_PARTS_MAX)
        return err_set(err, ERR_LIMIT, "it has %d program headers, more than %d", ehdr->e_phnum,
                       ELF_PARTS_MAX);
    size_t bytes = ehdr->e_phnum * sizeof(Elf64_Phdr);
    if (!within(ehdr->e_phoff, bytes, file.len))
        return REFUSE(err, "its program headers lie outside the file");
    memcpy(head->parts, file.ptr + ehdr->e_phoff, bytes);
    head->part_count = ehdr->e_phnum;
    return 0;
}

/* One PT_LOAD; *end is where the one before it ended, in whole pages. */
static int check_load(const Elf64_Phdr *load, slice file, uint64_t page, uint64_t *end,
                      struct err *err)
{
    if (!within(load->p_offset, load->p_filesz, file.len))
        return REFUSE(err, "it is cut off: a segment of %llu bytes at %#llx lies outside the file",
                      (ull)load->p_filesz, (ull)load->p_offset);
    if (load->p_filesz > load->p_memsz)
        return REFUSE(err, "a segment is larger in the file than in memory");
    if (!within(load->p_vaddr, load->p_memsz, UINT64_MAX - page))
        return REFUSE(err, "a segment lies outside the address space");
    if (!is_power_of_two(load->p_align) || load->p_align < page)
        return REFUSE(err, "a segment is aligned to %#llx, not to pages of %#llx bytes",
                      (ull)load->p_align, (ull)page);
    if (load->p_align > ELF_ALIGN_MAX)
        return err_set(err, ERR_LIMIT, "a segment is aligned to %#llx", (ull)load->p_align);
    if ((load->p_vaddr - load->p_offset) % page != 0)
        return REFUSE(err, "a segment's address does not fit its place in the file");
    if ((load->p_flags & (PF_W | PF_X)) == (PF_W | PF_X))
        return REFUSE(err, "it asks for memory that is both written and executed");
    /* What follows the file's bytes in their last page is to be zeroed. */
    if (load->p_memsz > load->p_filesz && (load->p_vaddr + load->p_filesz) % page != 0 &&
        !(load->p_flags & PF_W))
        return REFUSE(err, "a segment that is not written has memory beyond the file");
    if (*end != 0 && load->p_vaddr < *end)
        return REFUSE(err, "its segments overlap or are out of order");
    *end = (load->p_vaddr + load->p_memsz + page - 1) & ~(page - 1);
    return 0;
}

/* All PT_LOADs: checks each, sets low, span and align. */
static int read_loads(slice file, uint64_t page, struct elf_head *head, struct err *err)
{
    uint64_t end = 0;
    bool any = false;
    head->align = page;
    for (size_t i = 0; i < head->part_count; i++) {
        const Elf64_Phdr *part = &head->parts[i];
        if (part->p_type != PT_LOAD || part->p_memsz == 0)
            continue;
        int rc = check_load(part, file, page, &end, err);
        if (rc != 0)
            return rc;
        if (!any)
            head->low = part->p_vaddr & ~(page - 1);
        any = true;
        if (part->p_align > head->align)
            head->align = part->p_align;
    }
    if (!any)
        return REFUSE(err, "it has no segment to load");
    head->span = end - head->low;
    if (head->span > ELF_SPAN_MAX)
        return err_set(err, ERR_LIMIT, "it spans %llu bytes of address space", (ull)head->span);
    return 0;
}

/* The PT_LOAD that holds all of [address, address + size), of its memory or of its file bytes. */
static const Elf64_Phdr *load_of(const struct elf_head *head, uint64_t address, uint64_t size,
                                 bool in_file)
{
    for (size_t i = 0; i < head->part_count; i++) {
        const Elf64_Phdr *part = &head->parts[i];
        if (part->p_type == PT_LOAD && part->p_memsz > 0 && address >= part->p_vaddr &&
            within(address - part->p_vaddr, size, in_file ? part->p_filesz : part->p_memsz))
            return part;
    }
    return NULL;
}

static int check_tls(const struct elf_head *head, const Elf64_Phdr *tls, struct err *err)
{
    const Elf64_Phdr *load = load_of(head, tls->p_vaddr, tls->p_filesz, true);
    if (tls->p_filesz > tls->p_memsz || tls->p_memsz > ELF_SPAN_MAX ||
        (tls->p_filesz > 0 && (load == NULL || !(load->p_flags & PF_R))))
        return REFUSE(err, "its TLS image lies outside its readable segments");
    if (tls->p_align > 1 && !is_power_of_two(tls->p_align))
        return REFUSE(err, "its TLS is aligned to %llu", (ull)tls->p_align);
    if (tls->p_align > ELF_TLS_ALIGN_MAX)
        return err_set(err, ERR_LIMIT, "its TLS is aligned to %llu bytes, more than %llu",
                       (ull)tls->p_align, ELF_TLS_ALIGN_MAX);
    return 0;
}

/* The other parts that matter, once the loads are known. Empty parts are ignored. */
static int read_others(struct elf_head *head, struct err *err)
{
    for (size_t i = 0; i < head->part_count; i++) {
        const Elf64_Phdr *part = &head->parts[i];
        if (part->p_memsz == 0)
            continue;
        if (part->p_type == PT_DYNAMIC)
            head->dynamic = part;
        else if (part->p_type == PT_TLS)
            head->tls = part;
        else if (part->p_type == PT_GNU_RELRO)
            head->relro = part;
    }
    if (head->dynamic == NULL)
        return REFUSE(err, "it has no dynamic section");
    if (load_of(head, head->dynamic->p_vaddr, head->dynamic->p_filesz, true) == NULL ||
        head->dynamic->p_vaddr % sizeof(uint64_t) != 0)
        return REFUSE(err, "its dynamic section lies outside its segments");
    /*
     * The linker rounds RELRO's end up to a page, which may pass the end of the segment's bytes. An
     * address below low becomes one far beyond the span.
     */
    if (head->relro != NULL &&
        (!within(head->relro->p_vaddr - head->low, head->relro->p_memsz, head->span) ||
         load_of(head, head->relro->p_vaddr, 0, false) == NULL))
        return REFUSE(err, "its read-only relocations lie outside its segments");
    return head->tls == NULL ? 0 : check_tls(head, head->tls, err);
}

bool elf_is_foreign(slice bytes, unsigned machine)
{
    Elf64_Half is_for;
    if (bytes.len < offsetof(Elf64_Ehdr, e_machine) + sizeof is_for ||
        memcmp(bytes.ptr, ELFMAG, SELFMAG) != 0)
        return false;
    memcpy(&is_for, bytes.ptr + offsetof(Elf64_Ehdr, e_machine), sizeof is_for);
    return bytes.ptr[EI_CLASS] != ELFCLASS64 || bytes.ptr[EI_DATA] != ELFDATA2LSB ||
           is_for != machine;
}

int elf_read_head(slice file, unsigned machine, uint64_t page, struct elf_head *head,
                  struct err *err)
{
    Elf64_Ehdr ehdr;
    *head = (struct elf_head){ 0 };
    if (file.len < sizeof ehdr)
        return REFUSE(err, "it is cut off: %zu bytes are too few for an ELF file", file.len);
    memcpy(&ehdr, file.ptr, sizeof ehdr);
    int rc = check_identity(&ehdr, machine, err);
    if (rc == 0)
        rc = read_parts(file, &ehdr, head, err);
    if (rc == 0)
        rc = read_loads(file, page, head, err);
    if (rc == 0)
        rc = read_others(head, err);
    return rc;
}

/* --- memory ------------------------------------------------------------------------------ */

void *elf_at(const struct elf_image *image, uint64_t address, uint64_t size, unsigned rights)
{
    const Elf64_Phdr *load = load_of(image->head, address, size, false);
    if (load == NULL || (load->p_flags & rights) != rights)
        return NULL;
    return image->memory + (address - image->head->low);
}

/* --- relative relocations as bits -------------------------------------------------------- */

/* The next set bit of the current bitmap: bit i stands for the i-th word from base on. */
static bool next_bit(struct elf_relr_cursor *cursor, uint64_t *address)
{
    while (cursor->bits != 0) {
        bool set = cursor->bits & 1;
        *address = cursor->base + sizeof(uint64_t) * cursor->bit++;
        cursor->bits >>= 1;
        if (cursor->bits == 0)
            cursor->base += sizeof(uint64_t) * 63;
        if (set)
            return true;
    }
    return false;
}

/* An even entry is an address; an odd one a bitmap of the 63 words that follow, less its mark. */
bool elf_next_relr(const struct elf_table *relr, struct elf_relr_cursor *cursor, uint64_t *address)
{
    const uint64_t *entries = relr->at;
    while (!next_bit(cursor, address)) {
        if (cursor->entry == relr->count)
            return false;
        uint64_t entry = entries[cursor->entry++];
        if ((entry & 1) == 0) {
            cursor->base = entry + sizeof entry;
            *address = entry;
            return true;
        }
        cursor->bits = entry >> 1;
        cursor->bit = 0;
        if (cursor->bits == 0)
            cursor->base += sizeof entry * 63;
    }
    return true;
}
