/* api/upload: what a refusal says, pieces of the content, and what a local run does instead. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/upload.h"
#include "api/upload_private.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/remove_tree.h"
#include "descriptors.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char *const variables[] = { "BUCKET_ENDPOINT_URL", "BUCKET_ACCESS_KEY_ID",
                                         "BUCKET_SECRET_ACCESS_KEY" };

static char place[64];
static struct config config;
static struct reply_channel reply_channel;
static struct rp_job job;
static struct job task;
static struct err err;

/* A job of a local run in a folder of its own. */
static int set_up(void **state)
{
    (void)state;
    log_init(LOG_NOTSET, false);
    umask(022);
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    snprintf(place, sizeof place, "/tmp/test-upload-XXXXXX");
    if (mkdtemp(place) == NULL || chdir(place) != 0)
        return 1;
    config = (struct config){ .result_max_bytes = 1000 };
    task = (struct job){ .id = SLICE_LITERAL("job-1") };
    flag_init(&task.stop);
    rp_job_init(&job, &config, &reply_channel);
    rp_job_begin(&job, &task);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rp_job_end(&job);
    rp_job_free(&job);
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

static void put(const char *path, slice content)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_int_equal(io_write_all(fd, content), 0);
    close(fd);
}

static void is_file(const char *path, slice content)
{
    char bytes[40000];
    struct stat info;
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    ssize_t size = read(fd, bytes, sizeof bytes);
    if (size < 0)
        fail_msg("%s is not there", path);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_mode, S_IFREG | 0644);
    close(fd);
    assert_true(slice_equal((slice){ bytes, (size_t)size }, content));
}

/* --- a storage -------------------------------------------------------------------------------- */

static void refusals_are_quoted(void **state)
{
    static const struct {
        const char *reply;
        int status, code;
        const char *text;
    } cases[] = {
        { "", 403, ERR_PEER, "the server answered 403" },
        { "<Message>m</Message>", 500, ERR_RETRY, "the server answered 500" },
        { "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", 403, ERR_PEER,
          "the storage answered 403 AccessDenied: no" },
        { "<Code>Other</Code>", 503, ERR_RETRY, "the storage answered 503 Other: " },
        { "<Code>RequestTimeout</Code>", 400, ERR_RETRY,
          "the storage answered 400 RequestTimeout: " },
        { "<Code>SlowDown</Code>", 400, ERR_RETRY, "the storage answered 400 SlowDown: " },
        { "<Code>InternalError</Code>", 200, ERR_RETRY,
          "the storage answered 200 InternalError: " },
        { "<Code>" A50 A50 "</Code>", 400, ERR_PEER, "the storage answered 400 " A50 A50 ": " },
        { "<Code>" A50 A50 "b</Code>", 400, ERR_PEER, "the server answered 400" },
        { "<Code>C</Code><Message>" A50 A50 A50 A50 "</Message>", 400, ERR_PEER,
          "the storage answered 400 C: " A50 A50 A50 A50 },
        { "<Code>C</Code><Message>" A50 A50 A50 A50 "b</Message>", 400, ERR_PEER,
          "the storage answered 400 C: " },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct upload upload = { 0 };
        buf_init(&upload.reply, 1000, "reply");
        buf_add_text(&upload.reply, cases[i].reply, NULL);
        err = (struct err){ 0 };
        assert_int_equal(upload_refused(&upload, cases[i].status, &err), cases[i].code);
        assert_int_equal(err.code, cases[i].code);
        assert_string_equal(err.text, cases[i].text);
        buf_free(&upload.reply);
    }
}

/* As large as they have to be so that there are 10,000 of them at the most. */
static void parts_are_as_large_as_needed(void **state)
{
    const uint64_t most = LIMIT_PART_BYTES * LIMIT_PARTS;
    (void)state;
    assert_int_equal(upload_part_bytes(LIMIT_PART_BYTES + 1), LIMIT_PART_BYTES);
    assert_int_equal(upload_part_bytes(most - 1), LIMIT_PART_BYTES);
    assert_int_equal(upload_part_bytes(most), 2 * LIMIT_PART_BYTES);
    assert_int_equal(upload_part_bytes(2 * most - 1), 2 * LIMIT_PART_BYTES);
    assert_int_equal(upload_part_bytes(2 * most), 4 * LIMIT_PART_BYTES);
}

static void a_window_is_a_piece_of_the_content(void **state)
{
    struct upload upload = { .fd = -1, .bytes = SLICE_LITERAL("0123456789") };
    char bytes[4];
    (void)state;
    put("file", SLICE_LITERAL("0123456789"));
    for (int is_file = 0; is_file < 2; is_file++) {
        upload.fd = is_file != 0 ? open("file", O_RDONLY) : -1;
        const struct upload_window window = upload_window_of(&upload, 3, 5);
        assert_int_equal(window.source.bytes, 5);
        assert_int_equal(window.source.read_at(&window.source, 2, bytes, 3, &err), 0);
        assert_memory_equal(bytes, "567", 3);
    }
    assert_int_equal(upload_read_at(&upload, 6, bytes, 4, &err), 0);
    assert_memory_equal(bytes, "6789", 4);
    assert_int_equal(upload_read_at(&upload, 7, bytes, 4, &err), ERR_INPUT);
    assert_string_equal(err.text, "the file became shorter during the upload");
    close(upload.fd);
    upload.fd = open(".", O_RDONLY | O_DIRECTORY);
    assert_int_equal(upload_read_at(&upload, 0, bytes, 4, &err), ERR_INPUT);
    assert_string_equal(err.text, "reading the file: Is a directory");
    close(upload.fd);
}

/* --- a local run ------------------------------------------------------------------------------ */

static void a_local_run_keeps_uploads(void **state)
{
    static char large[2 * 16384 + 1];
    const int before = open_descriptors();
    const slice content = { large, sizeof large };
    rp_str url;
    (void)state;
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i / 100);
    put("from", content);
    assert_int_equal(rp_upload(&job, "from", NULL, &url), RP_OK);
    assert_true(slice_is(url, "local_upload/job-1/from"));
    is_file("local_upload/job-1/from", content);
    const rp_upload_options options = { .name = "a/b/c", .prefix = "" };
    assert_int_equal(rp_upload_bytes(&job, SLICE_LITERAL("x"), &options, &url), RP_OK);
    assert_true(slice_is(url, "local_upload/a/b/c"));
    is_file("local_upload/a/b/c", SLICE_LITERAL("x"));
    assert_int_equal(rp_upload_bytes(&job, SLICE_LITERAL(""), &options, &url), RP_OK);
    is_file("local_upload/a/b/c", SLICE_LITERAL("")); /* the later one stays */
    assert_int_equal(open_descriptors(), before);
}

static void what_a_local_run_cannot_keep(void **state)
{
    const int before = open_descriptors();
    rp_str url, reason = { 0 };
    rp_upload_options options = { .name = "x", .prefix = "", .reason = &reason };
    (void)state;
    assert_int_equal(mkdir("local_upload", 0700), 0);
    assert_int_equal(symlink("../elsewhere", "local_upload/x"), 0);
    assert_int_equal(rp_upload_bytes(&job, SLICE_LITERAL("x"), &options, &url), RP_WRONG);
    assert_non_null(memmem(reason.ptr, reason.len, "Upload: local_upload/x: ", 24));
    assert_int_equal(access("elsewhere", F_OK), -1);
    assert_int_equal(unlink("local_upload/x"), 0);
    put("local_upload/x", SLICE_LITERAL(""));
    options.name = "x/y";
    assert_int_equal(rp_upload_bytes(&job, SLICE_LITERAL("x"), &options, &url), RP_WRONG);
    assert_true(slice_is(reason, "Upload: local_upload/x/y: Not a directory"));
    assert_int_equal(unlink("local_upload/x") | rmdir("local_upload"), 0);
    put("local_upload", SLICE_LITERAL(""));
    assert_int_equal(rp_upload_bytes(&job, SLICE_LITERAL("x"), &options, &url), RP_WRONG);
    assert_true(slice_is(reason, "Upload: creating the folder local_upload/x: Not a directory"));
    assert_false(job.has_failed);
    assert_int_equal(open_descriptors(), before);
}

static void what_is_uploaded_is_a_file(void **state)
{
    const int before = open_descriptors();
    rp_str url, reason = { 0 };
    const rp_upload_options options = { .reason = &reason };
    (void)state;
    assert_int_equal(rp_upload(&job, "none", &options, &url), RP_WRONG);
    assert_true(slice_is(reason, "Upload: none: No such file or directory"));
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(rp_upload(&job, "pipe", &options, &url), RP_WRONG);
    assert_true(slice_is(reason, "Upload: pipe is not a regular file"));
    assert_int_equal(rp_upload(&job, ".", NULL, &url), RP_FAILED);
    assert_true(slice_is(buf_slice(&job.message), "Upload: . is not a regular file"));
    assert_int_equal(access("local_upload", F_OK), -1);
    assert_int_equal(open_descriptors(), before);
}

static void without_a_scratch_folder_no_file_in_it_is_uploaded(void **state)
{
    rp_str url;
    (void)state;
    assert_int_equal(upload_scratch_file(&job, SLICE_LITERAL("x"), &url, &err), ERR_INPUT);
    assert_string_equal(err.text, "the job has no scratch folder (set RP_SCRATCH_DIR to a writable "
                                  "folder)");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refusals_are_quoted),
        TEST(parts_are_as_large_as_needed),
        TEST(a_window_is_a_piece_of_the_content),
        TEST(a_local_run_keeps_uploads),
        TEST(what_a_local_run_cannot_keep),
        TEST(what_is_uploaded_is_a_file),
        TEST(without_a_scratch_folder_no_file_in_it_is_uploaded),
    };
    return cmocka_run_group_tests_name("upload", tests, NULL, NULL);
}
