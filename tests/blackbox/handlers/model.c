/*
 * The tokenizer by itself, for comparison with another one:
 *   {"map": [first, count]}                  what each code point becomes: "class:hex.hex ..."
 *   {"vocabulary": path, "texts": [...]}     a list of ids for each text
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/mapping.h"
#include "model/unicode.h"
#include "model/wordpiece.h"
#include "worker.h"

static int map(rp_job *job, rp_value range)
{
    int64_t first = 0, count = 0;
    rp_to_int(rp_at(range, 0), &first);
    rp_to_int(rp_at(range, 1), &count);
    rp_write(job, "\"");
    for (int64_t point = first; point < first + count; point++) {
        uint32_t mapped[UNICODE_MAX];
        size_t many;
        if (point >= 0xd800 && point < 0xe000)
            continue;
        rp_write(job, "%u:", (unsigned)unicode_map((uint32_t)point, mapped, &many));
        for (size_t i = 0; i < many; i++)
            rp_write(job, "%x.", mapped[i]);
        rp_write(job, " ");
    }
    return rp_write(job, "\"");
}

static int encode(rp_job *job, const char *path, rp_value texts)
{
    struct wordpiece tokenizer;
    struct err err;
    slice vocabulary;
    const char *separator = "[";
    if (mapping_open(path, &vocabulary, &err) != 0 ||
        wordpiece_open(&tokenizer, vocabulary, &err) != 0)
        return rp_fail(job, "%s", err.text);
    for (rp_iter it = rp_each(texts); rp_next(&it); separator = ", ") {
        uint32_t ids[512];
        rp_str text;
        if (rp_to_str(it.value, &text) != RP_OK)
            return rp_fail(job, "not a string");
        size_t count = wordpiece_encode(&tokenizer, text, ids, 512);
        rp_write(job, "%s[101", separator);
        for (size_t i = 1; i < count; i++)
            rp_write(job, ",%u", ids[i]);
        rp_write(job, "]");
    }
    wordpiece_close(&tokenizer);
    return rp_write(job, "]");
}

static int answer(rp_job *job, void *user)
{
    rp_value input = rp_input(job), range = rp_get(input, "map");
    rp_str path;
    char name[4096];
    (void)user;
    if (rp_type_of(range) == RP_ARRAY)
        return map(job, range);
    if (rp_get_str(input, "vocabulary", &path) != RP_OK)
        return rp_fail(job, "input.vocabulary must be a path");
    snprintf(name, sizeof name, "%.*s", (int)path.len, path.ptr);
    return encode(job, name, rp_get(input, "texts"));
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = answer, .audit = &rp_audit_part });
}
