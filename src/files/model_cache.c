#include "files/model_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "codec/byte_class.h"

#define FOLDER_START "models--"
#define NAME_BYTES 256  /* of a folder, NUL included */
#define NAMES_LISTED 12 /* in an error */
#define REF_BYTES 256   /* a revision's file: a hash and a line feed */
#define PLATFORM_HUB "/runpod-volume/huggingface-cache/hub"

/* What is looked for. */
struct wanted {
    slice repository; /* ORG/NAME or NAME */
    slice revision;   /* empty: main */
    slice file;       /* empty: the folder */
};

/* --- names ------------------------------------------------------------------------------------ */

/* One part of a path that stays where it is. */
static bool is_segment(slice text)
{
    if (text.len == 0 || text.len >= NAME_BYTES || slice_is(text, ".") || slice_is(text, ".."))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || strchr("/\\\x7f", text.ptr[i]) != NULL)
            return false;
    return true;
}

/* The letters that the hub allows in names and hashes. */
static bool is_name(slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!byte_class_in(text.ptr[i], BYTE_CLASS_HOST))
            return false;
    return is_segment(text);
}

static bool is_file(slice text)
{
    for (;;) {
        slice part = { text.ptr, byte_class_until(text, "/") };
        if (!is_segment(part))
            return false;
        if (part.len == text.len)
            return true;
        text = slice_skip(text, part.len + 1);
    }
}

static slice cut(slice *rest, const char *ends)
{
    slice part = { rest->ptr, byte_class_until(*rest, ends) };
    *rest = slice_skip(*rest, part.len);
    return part;
}

static bool cut_off(slice *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    *rest = slice_skip(*rest, 1);
    return true;
}

static bool read_name(slice name, struct wanted *wanted)
{
    slice rest = name, first = cut(&rest, "/@");
    *wanted = (struct wanted){ 0 };
    if (cut_off(&rest, '/')) {
        slice second = cut(&rest, "/@");
        if (!is_name(second))
            return false;
    }
    wanted->repository = (slice){ name.ptr, (size_t)(rest.ptr - name.ptr) };
    if (cut_off(&rest, '@')) {
        wanted->revision = cut(&rest, "/");
        if (!is_name(wanted->revision))
            return false;
    }
    bool has_file = cut_off(&rest, '/');
    wanted->file = rest;
    return is_name(first) && has_file == (rest.len > 0) && (!has_file || is_file(rest));
}

/* --- folders ---------------------------------------------------------------------------------- */

static int open_folder(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A folder's entries but "." and ".."; closedir it. NULL where it cannot be read. */
static DIR *entries_of(int folder)
{
    int fd = open_folder(folder, ".");
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL && fd >= 0)
        close(fd);
    return entries;
}

static const char *next_name(DIR *entries)
{
    const struct dirent *entry;
    while ((entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return entry->d_name;
    return NULL;
}

/* The first of the names, in their order, that equals `name` but for case; any where it is NULL. */
static bool find_first(int folder, const char *name, char found[NAME_BYTES])
{
    DIR *entries = entries_of(folder);
    found[0] = '\0';
    for (const char *entry; entries != NULL && (entry = next_name(entries)) != NULL;)
        if ((name == NULL || strcasecmp(entry, name) == 0) && strlen(entry) < NAME_BYTES &&
            (found[0] == '\0' || strcmp(entry, found) < 0))
            snprintf(found, NAME_BYTES, "%s", entry);
    if (entries != NULL)
        closedir(entries);
    return found[0] != '\0';
}

static void list_name(struct text *out, const char *name)
{
    bool is_model = strncmp(name, FOLDER_START, strlen(FOLDER_START)) == 0;
    const char *shown = is_model ? name + strlen(FOLDER_START) : name;
    const char *split = is_model ? strstr(shown, "--") : NULL;
    if (split != NULL)
        text_add(out, "%.*s/%s", (int)(split - shown), shown, split + 2);
    else
        text_add(out, "%s", shown);
}

/* "a/b, c/d, ...", or "nothing": a folder's entries that begin with `start`. */
static void list_names(struct text *out, int folder, const char *start)
{
    DIR *entries = entries_of(folder);
    int count = 0;
    for (const char *name; entries != NULL && (name = next_name(entries)) != NULL;) {
        if (strncmp(name, start, strlen(start)) != 0)
            continue;
        if (count == NAMES_LISTED) {
            text_add(out, ", ...");
            break;
        }
        text_add(out, "%s", count++ > 0 ? ", " : "");
        list_name(out, name);
    }
    if (entries != NULL)
        closedir(entries);
    if (count == 0)
        text_add(out, "nothing");
}

/* --- the snapshot ----------------------------------------------------------------------------- */

/* The hash that refs/NAME holds. False without the file; ERR_INPUT where it holds anything else. */
static int read_ref(int model, slice name, char hash[NAME_BYTES], struct err *err)
{
    char path[NAME_BYTES + 8], text[REF_BYTES];
    snprintf(path, sizeof path, "refs/%.*s", SLICE_ARG(name));
    int fd = openat(model, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t size = read(fd, text, sizeof text);
    close(fd);
    slice rest = { text, size < 0 ? 0 : (size_t)size }, word = { 0 };
    byte_class_next_word(&rest, " \t\r\n", &word);
    if (!is_name(word))
        return err_set(err, ERR_INPUT, "its %s holds no revision", path);
    snprintf(hash, NAME_BYTES, "%.*s", SLICE_ARG(word));
    return 1;
}

static bool has_folder(int parent, const char *name)
{
    struct stat info;
    return fstatat(parent, name, &info, 0) == 0 && S_ISDIR(info.st_mode);
}

static int no_revision(int snapshots, slice revision, struct err *err)
{
    char list[ERR_TEXT_BYTES];
    struct text names = TEXT_OVER(list);
    list_names(&names, snapshots, "");
    return err_set(err, ERR_INPUT, "it has no revision %.*s here; its snapshots: %s",
                   SLICE_ARG(revision), list);
}

static int choose(int model, int snapshots, slice revision, char hash[NAME_BYTES], struct err *err)
{
    const slice main_branch = SLICE_LITERAL("main");
    bool any = revision.len == 0;
    int rc = read_ref(model, any ? main_branch : revision, hash, err);
    if (rc < 0 || (rc > 0 && has_folder(snapshots, hash)))
        return rc < 0 ? rc : 0;
    snprintf(hash, NAME_BYTES, "%.*s", SLICE_ARG(revision));
    if (any ? find_first(snapshots, NULL, hash) : has_folder(snapshots, hash))
        return 0;
    return no_revision(snapshots, any ? main_branch : revision, err);
}

/* The name of the snapshot's folder. */
static int find_snapshot(int model, slice revision, char hash[NAME_BYTES], struct err *err)
{
    int snapshots = open_folder(model, "snapshots");
    if (snapshots < 0)
        return err_system(err, ERR_INPUT, errno, "its folder snapshots cannot be opened");
    int rc = choose(model, snapshots, revision, hash, err);
    close(snapshots);
    return rc;
}

/* --- the path --------------------------------------------------------------------------------- */

/* What the path leads to must be in the hub, whatever links are on the way. */
static int check_inside(const char *hub, const char *path, struct err *err)
{
    char real_hub[PATH_MAX], real[PATH_MAX];
    if (realpath(hub, real_hub) == NULL || realpath(path, real) == NULL)
        return err_system(err, ERR_INPUT, errno, "%s cannot be read", path);
    size_t len = strlen(real_hub);
    if (strncmp(real, real_hub, len) == 0 && (real[len] == '/' || len == 1))
        return 0;
    return err_set(err, ERR_INPUT, "it leads out of the cache, to %s", real);
}

static int no_file(const char *snapshot, slice file, struct err *err)
{
    char list[ERR_TEXT_BYTES];
    struct text names = TEXT_OVER(list);
    int folder = open_folder(AT_FDCWD, snapshot);
    list_names(&names, folder, "");
    if (folder >= 0)
        close(folder);
    return err_set(err, ERR_INPUT, "it has no file %.*s here, but %s", SLICE_ARG(file), list);
}

/* `path` holds that of the model's folder, and becomes that of the snapshot or file. */
static int go_down(const char *hub, struct text *path, const struct wanted *wanted, struct err *err)
{
    char hash[NAME_BYTES];
    int model = open_folder(AT_FDCWD, path->at);
    if (model < 0)
        return err_system(err, ERR_INPUT, errno, "%s cannot be opened", path->at);
    int rc = find_snapshot(model, wanted->revision, hash, err);
    close(model);
    if (rc != 0)
        return rc;
    text_add(path, "/snapshots/%s", hash);
    size_t len = path->len;
    if (wanted->file.len > 0)
        text_add(path, "/%.*s", SLICE_ARG(wanted->file));
    if (path->is_cut)
        return err_set(err, ERR_CONFIG, "its path is longer than %zu bytes", path->size - 1);
    if (access(path->at, F_OK) == 0)
        return check_inside(hub, path->at, err);
    text_truncate(path, len);
    return no_file(path->at, wanted->file, err);
}

/* 1 with its path in `path`; 0 where this hub does not have it, which `absent` then tells. */
static int look_in(const char *hub, const struct wanted *wanted, struct text *path,
                   struct text *absent, struct err *err)
{
    char folder[2 * NAME_BYTES + 16], found[NAME_BYTES];
    slice name = wanted->repository;
    size_t org = byte_class_until(name, "/");
    int fd = open_folder(AT_FDCWD, hub);
    text_add(absent, "%s%s ", absent->len > 0 ? "; " : "", hub);
    if (fd < 0) {
        text_add(absent, errno == ENOENT ? "does not exist" : "cannot be opened");
        return 0;
    }
    snprintf(folder, sizeof folder, FOLDER_START "%.*s%s%.*s", (int)org, name.ptr,
             org < name.len ? "--" : "", (int)(name.len - org - (org < name.len)),
             name.ptr + org + (org < name.len));
    bool exact = has_folder(fd, folder);
    bool is_there = exact || find_first(fd, folder, found);
    if (!is_there) {
        text_add(absent, "holds ");
        list_names(absent, fd, FOLDER_START);
    }
    close(fd);
    if (!is_there)
        return 0;
    text_add(path, "%s/%s", hub, exact ? folder : found);
    int rc = go_down(hub, path, wanted, err);
    return rc == 0 ? 1 : rc;
}

bool model_cache_hub(int which, char path[PATH_MAX])
{
    const char *variable = which == 0 ? secure_getenv("HF_HUB_CACHE") : secure_getenv("HF_HOME");
    if (which == MODEL_CACHE_HUBS - 1)
        variable = PLATFORM_HUB;
    if (variable == NULL || variable[0] == '\0')
        return false;
    int len = snprintf(path, PATH_MAX, "%s%s", variable, which == 1 ? "/hub" : "");
    return len < PATH_MAX;
}

int model_cache_find(slice name, char *path, size_t size, struct err *err)
{
    char hub[PATH_MAX], list[ERR_TEXT_BYTES];
    struct text out = text_over(path, size), absent = TEXT_OVER(list);
    struct wanted wanted;
    int rc = 0;
    if (!read_name(name, &wanted))
        return err_set(err, ERR_CONFIG,
                       "\"%.*s\" is not the name of a model: ORG/NAME, ORG/NAME@REVISION, "
                       "ORG/NAME/FILE or ORG/NAME@REVISION/FILE",
                       name.len < 100 ? (int)name.len : 100, name.ptr);
    for (int i = 0; i < MODEL_CACHE_HUBS && rc == 0; i++)
        if (model_cache_hub(i, hub))
            rc = look_in(hub, &wanted, &out, &absent, err);
    if (rc == 0)
        return err_set(
            err, ERR_INPUT,
            "the model %.*s is not in the cache: %s (HF_HUB_CACHE or HF_HOME can name another)",
            SLICE_ARG(wanted.repository), list);
    if (rc < 0)
        err_wrap(err, "the model %.*s", SLICE_ARG(wanted.repository));
    return rc < 0 ? rc : 0;
}

int model_cache_expand(slice word, char *out, size_t size, struct err *err)
{
    struct text text = text_over(out, size);
    const size_t start = strlen(MODEL_CACHE_WORD);
    while (word.len > 0) {
        const char *at = memmem(word.ptr, word.len, MODEL_CACHE_WORD, start);
        size_t before = at == NULL ? word.len : (size_t)(at - word.ptr);
        text_add(&text, "%.*s", (int)before, word.ptr);
        word = slice_skip(word, before);
        if (at == NULL)
            break;
        size_t end = byte_class_until(word, "}");
        if (end == word.len)
            return err_set(err, ERR_CONFIG, "a \"" MODEL_CACHE_WORD "\" has no closing brace");
        char path[PATH_MAX];
        int rc = model_cache_find((slice){ at + start, end - start }, path, sizeof path, err);
        if (rc != 0)
            return rc;
        text_add(&text, "%s", path);
        word = slice_skip(word, end + 1);
    }
    return text.is_cut ? err_set(err, ERR_CONFIG, "a word is too long with its model's path") : 0;
}
