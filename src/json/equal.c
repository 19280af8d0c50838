/* Comparing by meaning: neither the order of members nor the way of writing counts. */
#include "json/json.h"

/* A value of each document, and memory for the names of their members. */
struct pair {
    const struct json_doc *a, *b;
    struct arena *arena;
    struct err *err;
};

struct sorted_member {
    slice name; /* decoded */
    uint32_t value;
};

static int by_name(const struct sorted_member *a, const struct sorted_member *b)
{
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = len == 0 ? 0 : memcmp(a->name.ptr, b->name.ptr, len);
    if (order == 0)
        order = (a->name.len > b->name.len) - (a->name.len < b->name.len);
    return order != 0 ? order : (a->value > b->value) - (a->value < b->value);
}

/* Moves the member at `at` down the heap, whose parents come behind their children by name. */
static void sift(struct sorted_member *list, size_t at, size_t count)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && by_name(&list[child], &list[child + 1]) < 0)
            child++;
        if (by_name(&list[at], &list[child]) >= 0)
            return;
        struct sorted_member lesser = list[at];
        list[at] = list[child];
        list[child] = lesser;
    }
}

/* A heap sort: libc's qsort has 2 KB, and a peer may send any order. */
static void sort(struct sorted_member *list, size_t count)
{
    for (size_t at = count / 2; at > 0; at--)
        sift(list, at - 1, count);
    for (; count > 1; count--) {
        struct sorted_member last = list[0];
        list[0] = list[count - 1];
        list[count - 1] = last;
        sift(list, 0, count - 1);
    }
}

/* The members sorted by name; of several with one name only the last. */
static int sort_members(const struct pair *pair, const struct json_doc *doc, uint32_t object,
                        struct sorted_member **members, size_t *count)
{
    size_t all = 0;
    struct sorted_member *list = arena_alloc(pair->arena,
                                             json_doc_count(doc, object) * sizeof *list);
    if (list == NULL)
        return err_set(pair->err, ERR_MEMORY, "no memory to compare %u JSON members",
                       json_doc_count(doc, object));
    for (uint32_t child = json_doc_first(doc, object); child != JSON_NONE; all++) {
        int rc = json_string(json_doc_name(doc, child), pair->arena, &list[all].name, pair->err);
        if (rc != 0)
            return rc;
        list[all].value = child;
        child = json_doc_next(doc, child);
    }
    sort(list, all);
    *members = list;
    *count = 0;
    for (size_t i = 0; i < all; i++)
        if (i + 1 == all || !slice_equal(list[i].name, list[i + 1].name))
            list[(*count)++] = list[i];
    return 0;
}

/* NOLINTBEGIN(misc-no-recursion): a json_doc is JSON_DOC_DEPTH_MAX levels deep at most */
/* These return 1 where both are equal, 0 where they are not, or an error. */
static int compare(const struct pair *pair, uint32_t a, uint32_t b);

static int compare_objects(const struct pair *pair, uint32_t a, uint32_t b)
{
    struct sorted_member *left = NULL, *right = NULL;
    size_t left_count = 0, right_count = 0;
    int rc = sort_members(pair, pair->a, a, &left, &left_count);
    if (rc == 0)
        rc = sort_members(pair, pair->b, b, &right, &right_count);
    if (rc != 0 || left_count != right_count)
        return rc;
    int same = 1;
    for (size_t i = 0; same == 1 && i < left_count; i++)
        same = !slice_equal(left[i].name, right[i].name)
                   ? 0
                   : compare(pair, left[i].value, right[i].value);
    return same;
}

static int compare_arrays(const struct pair *pair, uint32_t a, uint32_t b)
{
    int same = json_doc_count(pair->a, a) == json_doc_count(pair->b, b);
    a = json_doc_first(pair->a, a);
    b = json_doc_first(pair->b, b);
    for (; same == 1 && a != JSON_NONE; a = json_doc_next(pair->a, a)) {
        same = compare(pair, a, b);
        b = json_doc_next(pair->b, b);
    }
    return same;
}

static int compare_strings(const struct pair *pair, slice a, slice b)
{
    slice a_text, b_text;
    int rc = json_string(a, pair->arena, &a_text, pair->err);
    if (rc == 0)
        rc = json_string(b, pair->arena, &b_text, pair->err);
    return rc != 0 ? rc : slice_equal(a_text, b_text);
}

static bool same_number(slice a, slice b)
{
    int64_t a_int, b_int;
    if (json_int(a, &a_int, NULL) == 0 && json_int(b, &b_int, NULL) == 0)
        return a_int == b_int;
    double a_double, b_double;
    return json_double(a, &a_double, NULL) == 0 && json_double(b, &b_double, NULL) == 0 &&
           a_double == b_double;
}

static int compare(const struct pair *pair, uint32_t a, uint32_t b)
{
    slice a_raw = json_doc_raw(pair->a, a), b_raw = json_doc_raw(pair->b, b);
    enum rp_type type = json_doc_type(pair->a, a);
    if (slice_equal(a_raw, b_raw))
        return 1;
    if (type != json_doc_type(pair->b, b))
        return 0;
    switch (type) {
    case RP_OBJECT: return compare_objects(pair, a, b);
    case RP_ARRAY: return compare_arrays(pair, a, b);
    case RP_STRING: return compare_strings(pair, a_raw, b_raw);
    case RP_NUMBER: return same_number(a_raw, b_raw);
    default: return 0; /* true, false and null have one way of writing */
    }
}
/* NOLINTEND(misc-no-recursion) */

static int read_doc(struct json_doc *doc, slice text, struct arena *arena, struct err *err)
{
    struct json_info info;
    int rc = json_check(text, &info, err);
    return rc != 0 ? rc : json_doc_init(doc, text, &info, arena, err);
}

int json_equal(slice a, slice b, struct arena *arena, bool *equal, struct err *err)
{
    struct json_doc left, right;
    int rc = read_doc(&left, a, arena, err);
    if (rc == 0)
        rc = read_doc(&right, b, arena, err);
    if (rc == 0)
        rc = compare(&(struct pair){ &left, &right, arena, err }, 0, 0);
    *equal = rc == 1;
    return rc < 0 ? rc : 0;
}
