/*
 * ELF: the input is a file. If its head is valid, memory is laid out as a loader would, exactly as
 * large as the head says, and everything in it is read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/elf.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAGE 0x1000u
#define SPAN_MAX (1u << 20) /* of memory for one input */

static volatile unsigned char sink;

static void touch(const void *at, size_t size)
{
    const unsigned char *bytes = at;
    for (size_t i = 0; i < size; i++)
        sink ^= bytes[i];
}

static void check_head(const struct elf_head *head, size_t size)
{
    must(head->span > 0 && head->span % PAGE == 0 && head->low % PAGE == 0);
    must(head->align >= PAGE && (head->align & (head->align - 1)) == 0);
    for (size_t i = 0; i < head->part_count; i++) {
        const Elf64_Phdr *part = &head->parts[i];
        if (part->p_type != PT_LOAD || part->p_memsz == 0)
            continue;
        must(part->p_offset <= size && part->p_filesz <= size - part->p_offset);
        must(part->p_filesz <= part->p_memsz && part->p_vaddr >= head->low);
        must(part->p_vaddr - head->low + part->p_memsz <= head->span);
    }
}

static char *lay_out(const struct elf_head *head, const uint8_t *data)
{
    char *memory = calloc(1, (size_t)head->span);
    for (size_t i = 0; memory != NULL && i < head->part_count; i++) {
        const Elf64_Phdr *part = &head->parts[i];
        if (part->p_type == PT_LOAD && part->p_memsz > 0)
            memcpy(memory + (part->p_vaddr - head->low), data + part->p_offset,
                   (size_t)part->p_filesz);
    }
    return memory;
}

static void look_up(const struct elf_dynamic *dynamic)
{
    static const char *const names[] = { "one", "two", "plain_address", "", "cuInit" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct elf_name name = elf_name(names[i]);
        const Elf64_Sym *symbol = elf_find(dynamic, &name);
        must(symbol == NULL || strcmp(elf_symbol_name(dynamic, symbol), names[i]) == 0);
    }
    const Elf64_Sym *nearest = elf_nearest(dynamic, dynamic->image.head->low + PAGE);
    if (nearest != NULL)
        touch(elf_symbol_name(dynamic, nearest), 1);
}

static void look_at_everything(const struct elf_dynamic *dynamic)
{
    size_t cursor = 0, words = 0;
    const char *needed;
    while ((needed = elf_next_needed(dynamic, &cursor)) != NULL)
        touch(needed, strlen(needed));
    touch(dynamic->rela.at, dynamic->rela.count * sizeof(Elf64_Rela));
    touch(dynamic->plt_rela.at, dynamic->plt_rela.count * sizeof(Elf64_Rela));
    touch(dynamic->init_array.at, dynamic->init_array.count * sizeof(uint64_t));
    touch(dynamic->fini_array.at, dynamic->fini_array.count * sizeof(uint64_t));
    struct elf_relr_cursor relr = { 0 };
    for (uint64_t address; words < 10000 && elf_next_relr(&dynamic->relr, &relr, &address);
         words++) {
        void *place = elf_at(&dynamic->image, address, 8, PF_W);
        if (place != NULL)
            touch(place, 8);
    }
    const Elf64_Rela *rela = dynamic->rela.at;
    for (size_t i = 0; i < dynamic->rela.count; i++) {
        const Elf64_Sym *symbol = elf_symbol(dynamic, ELF64_R_SYM(rela[i].r_info));
        const char *name = symbol == NULL ? NULL : elf_symbol_name(dynamic, symbol);
        if (name != NULL)
            touch(name, strlen(name));
    }
    if (dynamic->soname != NULL)
        touch(dynamic->soname, strlen(dynamic->soname));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_head head;
    struct elf_dynamic dynamic;
    struct err err = { 0 };
    int rc = elf_read_head((slice){ (const char *)data, size }, EM_X86_64, PAGE, &head, &err);
    must(rc == err.code && (rc == 0 || rc == ERR_INPUT || rc == ERR_LIMIT));
    if (rc != 0)
        return 0;
    check_head(&head, size);
    if (head.span > SPAN_MAX)
        return 0;
    char *memory = lay_out(&head, data);
    if (memory == NULL)
        return 0;
    rc = elf_read_dynamic(&(struct elf_image){ &head, memory }, &dynamic, &err);
    must(rc == err.code && (rc == 0 || rc == ERR_INPUT || rc == ERR_LIMIT));
    if (rc == 0) {
        look_up(&dynamic);
        look_at_everything(&dynamic);
    }
    free(memory);
    return 0;
}
