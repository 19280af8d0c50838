/* api/large: which outputs are uploaded instead of posted, and what is posted then. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/large.h"
#include "base/limits.h"
#include "base/remove_tree.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const variables[] = { "BUCKET_ENDPOINT_URL", "BUCKET_ACCESS_KEY_ID",
                                         "BUCKET_SECRET_ACCESS_KEY" };

static char place[64];
static struct config config;
static struct reply_channel reply_channel;
static struct rp_job job;
static struct job task;

/* A job of a local run, which keeps what it uploads in the folder that it is in. */
static int set_up(void **state)
{
    (void)state;
    log_init(LOG_NOTSET, false);
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    snprintf(place, sizeof place, "/tmp/test-large-XXXXXX");
    if (mkdtemp(place) == NULL || chdir(place) != 0)
        return 1;
    config = (struct config){ .upload_above_kb = 1, .result_max_bytes = 100000 };
    task = (struct job){ .id = SLICE_LITERAL("job-1") };
    flag_init(&task.stop);
    rp_job_init(&job, &config, &reply_channel);
    rp_job_begin(&job, &task);
    return 0;
}

static int tear_down(void **state)
{
    struct err err;
    (void)state;
    rp_job_end(&job);
    rp_job_free(&job);
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

static void assert_slice(slice got, const char *expected)
{
    if (!slice_is(got, expected))
        fail_msg("%.*s, not %s", SLICE_ARG(got), expected);
}

static void only_above_the_limit_and_where_there_is_one(void **state)
{
    (void)state;
    config.upload_above_kb = 2;
    assert_false(large_is(&job, 0));
    assert_false(large_is(&job, 2000)); /* kB, as the SDK counts */
    assert_true(large_is(&job, 2001));
    job.upload_failed = true;
    assert_false(large_is(&job, 2001));
    job.upload_failed = false;
    config.upload_above_kb = 0;
    assert_false(large_is(&job, SIZE_MAX));
    config.upload_above_kb = 1;
    assert_true(large_is(&job, 1001));
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void a_link_has_the_types_ending(void **state)
{
    static const char *const cases[][2] = {
        { "application/json", "json" },
        { "image/png", "png" },
        { "image/jpeg", "jpg" },
        { "image/webp", "webp" },
        { "image/gif", "gif" },
        { "video/mp4", "mp4" },
        { "video/webm", "webm" },
        { "audio/wav", "wav" },
        { "audio/x-wav", "wav" },
        { "audio/mpeg", "mp3" },
        { "audio/flac", "flac" },
        { "audio/ogg", "ogg" },
        { "application/zip", "zip" },
        { "application/pdf", "pdf" },
        { "model/gltf-binary", "glb" },
        { "Image/PNG", "png" },
        { "image/png;x=y", "png" },
        { "image/png ;x=y", "png" },
        { "image/pngs", "bin" },
        { "text/html", "bin" },
        { "", "bin" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;
        char expected[200];
        buf_init(&out, 1000, "link");
        buf_add_text(&out, "[", NULL);
        assert_int_equal(
            large_replace(&job, SLICE_LITERAL("\0bytes"), slice_from(cases[i][0]), 9, &out), 1);
        snprintf(expected, sizeof expected,
                 "[{\"url\": \"local_upload/job-1/output.%s\", \"content_type\": \"%s\", "
                 "\"bytes\": 6}",
                 cases[i][1], cases[i][0]);
        assert_slice(buf_slice(&out), expected);
        buf_free(&out);
    }
    char bytes[10];
    int fd = open("local_upload/job-1/output.png", O_RDONLY);
    assert_int_equal(read(fd, bytes, sizeof bytes), 6);
    assert_memory_equal(bytes, "\0bytes", 6);
    close(fd);
}

/* Where there is no storage they are posted, as long as the platform would take that much. */
static void what_cannot_be_uploaded_is_posted_or_fails(void **state)
{
    struct buf out;
    (void)state;
    config.take_url = SLICE_LITERAL("https://h/take");
    buf_init(&out, 1000, "link");
    const slice bytes = SLICE_LITERAL("bytes"), type = SLICE_LITERAL("image/png");
    assert_int_equal(large_replace(&job, bytes, type, LIMIT_RESULT_MB * 1000000, &out), 0);
    assert_int_equal(out.len, 0);
    assert_false(job.has_failed);
    assert_false(large_is(&job, 100000));
    assert_int_equal(large_replace(&job, bytes, type, LIMIT_RESULT_MB * 1000000 + 1, &out),
                     RP_FAILED);
    assert_true(job.has_failed);
    assert_string_equal(job.failure_type, "UploadError");
    assert_slice(buf_slice(&job.message),
                 "An output of 5 bytes could not be uploaded (--upload-above): BUCKET_ENDPOINT_URL "
                 "is not set: no storage to upload to, and the job has no s3Config");
    buf_free(&out);
}

/* --- a job's output --------------------------------------------------------------------------- */

static char long_text[1001];

/* What the job's output is once it is finished; it began as the format says, with a long text. */
static slice finished(const char *format)
{
    memset(long_text, 'x', sizeof long_text - 1);
    assert_int_equal(rp_return(&job, format, long_text), RP_OK);
    large_finish(&job);
    return job.external_output.ptr != NULL ? job.external_output : buf_slice(&job.output);
}

static void is_a_link(slice output, size_t bytes)
{
    char expected[200];
    snprintf(expected, sizeof expected,
             "{\"url\": \"local_upload/job-1/output.json\", \"content_type\": "
             "\"application/json\", \"bytes\": %zu}",
             bytes);
    assert_slice(output, expected);
    assert_true(job.external_is_valid);
}

/* It is what was returned, and nothing was uploaded. */
static void is_as_it_was(slice output, size_t bytes)
{
    assert_int_equal(output.len, bytes);
    assert_non_null(memmem(output.ptr, output.len, long_text, sizeof long_text - 1));
    assert_int_equal(access("local_upload", F_OK), -1);
}

static void large_outputs_become_links(void **state)
{
    (void)state;
    is_a_link(finished("\"%s\""), 1002);
    is_a_link(finished(" \t[\"%s\"]\n"), 1004); /* without the blanks */
    is_a_link(finished("{\"error\": null, \"x\": \"%s\"}"), 1024);
    rp_str json = { long_text, sizeof long_text - 1 };
    memset(long_text, '7', sizeof long_text - 1);
    assert_int_equal(rp_return_json(&job, json), RP_OK);
    large_finish(&job);
    assert_false(job.external_is_valid); /* 1000 bytes are not above the limit */
    config.upload_above_kb = 0;
    large_finish(&job);
    assert_ptr_equal(job.external_output.ptr, long_text);
}

static void some_outputs_stay(void **state)
{
    (void)state;
    is_as_it_was(finished("%s"), 1000); /* no JSON */
    is_as_it_was(finished("[\"%s\""), 1003);
    is_as_it_was(finished("{\"error\": \"%s\"}"), 1013);
    config.upload_above_kb = 2;
    is_as_it_was(finished("\"%s\""), 1002);
    config.upload_above_kb = 1;
    job.upload_failed = true;
    is_as_it_was(finished("\"%s\""), 1002);
    job.upload_failed = false;
    job.has_failed = true;
    is_as_it_was(finished("\"%s\""), 1002);
    job.has_failed = false;
    config.take_url = SLICE_LITERAL("https://h/take"); /* no storage */
    is_as_it_was(finished("\"%s\""), 1002);
    assert_true(job.upload_failed && !job.has_failed);
}

static void a_job_without_an_output_has_no_link(void **state)
{
    (void)state;
    memset(long_text, '7', sizeof long_text - 1);
    buf_add_text(&job.output, long_text, NULL);
    buf_add_text(&job.output, "7", NULL);
    large_finish(&job);
    assert_int_equal(access("local_upload", F_OK), -1);
    job.has_output = true;
    large_finish(&job);
    is_a_link(job.external_output, 1001);
}

static void a_refresh_keeps_its_meaning(void **state)
{
    (void)state;
    finished("{\"refresh_worker\": false, \"x\": \"%s\"}");
    finished("[{\"refresh_worker\": true}, \"%s\"]");
    assert_false(job.refresh);
    finished("{\"refresh_worker\": true, \"x\": \"%s\"}");
    assert_true(job.refresh);
    finished("\"%s\""); /* the handler's own word stays */
    assert_true(job.refresh);
}

static void in_an_opaque_output_nothing_has_a_meaning(void **state)
{
    (void)state;
    job.is_opaque = true;
    is_a_link(finished("{\"error\": \"%s\"}"), 1013);
    finished("{\"refresh_worker\": true, \"x\": \"%s\"}");
    assert_false(job.refresh);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_above_the_limit_and_where_there_is_one),
        TEST(a_link_has_the_types_ending),
        TEST(what_cannot_be_uploaded_is_posted_or_fails),
        TEST(large_outputs_become_links),
        TEST(some_outputs_stay),
        TEST(a_job_without_an_output_has_no_link),
        TEST(a_refresh_keeps_its_meaning),
        TEST(in_an_opaque_output_nothing_has_a_meaning),
    };
    return cmocka_run_group_tests_name("large", tests, NULL, NULL);
}
