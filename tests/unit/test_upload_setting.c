/* api/upload_setting: where an upload goes, with whose keys, and under which name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/upload_private.h"
#include "base/limits.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const variables[] = {
    "BUCKET_ENDPOINT_URL", "BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY",
    "AWS_REGION",          "AWS_DEFAULT_REGION",
};

static struct config config;
static struct reply_channel reply_channel;
static struct rp_job job;
static struct job task;
static rp_upload_options options;
static struct upload upload;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    config = (struct config){ .take_url = SLICE_LITERAL("https://h/take"),
                              .result_max_bytes = 1000 };
    task = (struct job){ .id = SLICE_LITERAL("job-1") };
    flag_init(&task.stop);
    options = (rp_upload_options){ 0 };
    rp_job_init(&job, &config, &reply_channel);
    rp_job_begin(&job, &task);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rp_job_end(&job);
    rp_job_free(&job);
    return 0;
}

static int choose(const char *path)
{
    upload = (struct upload){ .transfer.job = &job, .options = &options, .fd = -1 };
    err = (struct err){ 0 };
    return upload_setting_choose(&upload, path, &err);
}

static void set_variables(void)
{
    setenv(variables[0], "https://s3.example.org", 1);
    setenv(variables[1], "env-key", 1);
    setenv(variables[2], "env-secret", 1);
}

static void assert_slice(slice got, const char *expected)
{
    if (!slice_is(got, expected))
        fail_msg("%.*s, not %s", SLICE_ARG(got), expected);
}

/* --- whose storage ---------------------------------------------------------------------------- */

#define OWN                                                                \
    "{\"endpointUrl\": \"https://own.example.net\", \"accessId\": \"id\"," \
    " \"accessSecret\": \"own-secret\""

static void the_variables_name_the_storage(void **state)
{
    (void)state;
    set_variables();
    assert_int_equal(choose("/a/out.png"), 0);
    assert_false(upload.is_job_s3 || upload.is_local || upload.s3.virtual_host);
    assert_slice(upload.s3.endpoint.host, "s3.example.org");
    assert_slice(upload.s3.access_key, "env-key");
    assert_slice(upload.s3.secret_key, "env-secret");
    assert_slice(upload.s3.key, "job-1/out.png");
    assert_int_equal(upload.s3.bucket.len, 5); /* "11-26" */
    assert_int_equal(upload.s3.bucket.ptr[2], '-');
}

static void the_jobs_own_storage_comes_before_the_variables(void **state)
{
    (void)state;
    set_variables();
    setenv("AWS_REGION", "env-region", 1);
    task.s3_config = slice_from(OWN ", \"bucketName\": \"mine\", \"objectPath\": \"//a/b//\"}");
    assert_int_equal(choose("out.png"), 0);
    assert_true(upload.is_job_s3);
    assert_non_null(judge_filter(&upload.judge)); /* its host may not be a private one */
    assert_slice(upload.s3.endpoint.host, "own.example.net");
    assert_slice(upload.s3.access_key, "id");
    assert_slice(upload.s3.secret_key, "own-secret");
    assert_slice(upload.s3.bucket, "mine");
    assert_slice(upload.s3.key, "a/b/job-1/out.png");
    assert_slice(upload.s3.region, "us-east-1"); /* the variable is about the worker's storage */
}

static void an_object_path_may_be_short_or_empty(void **state)
{
    (void)state;
    task.s3_config = slice_from(OWN ", \"objectPath\": \"/\", \"bucketName\": null}");
    assert_int_equal(choose("out.png"), 0);
    assert_slice(upload.s3.key, "job-1/out.png");
    assert_int_equal(upload.s3.bucket.len, 5);
    task.s3_config = slice_from(OWN ", \"objectPath\": \"a\"}");
    options.prefix = "p";
    assert_int_equal(choose("out.png"), 0);
    assert_slice(upload.s3.key, "a/p/out.png");
}

/* No secret of the worker's goes to a host that a job has named, nor the other way round. */
static void keys_of_two_places_are_not_mixed(void **state)
{
    (void)state;
    set_variables();
    task.s3_config = slice_from("{\"endpointUrl\": \"https://own.example.net\"}");
    assert_int_equal(choose("out.png"), ERR_CONFIG);
    assert_string_equal(err.text, "s3Config.accessId is not set: no storage to upload to");
    task.s3_config = slice_from("{\"accessSecret\": \"x\"}");
    assert_int_equal(choose("out.png"), ERR_CONFIG);
    assert_string_equal(err.text, "s3Config.endpointUrl is not set: no storage to upload to");
    /* However long each of them is. */
    task.s3_config = slice_from("{\"endpointUrl\": \"http://ab\", \"accessId\": \"123456789\"}");
    assert_int_equal(choose("out.png"), ERR_CONFIG);
    assert_string_equal(err.text, "s3Config.accessSecret is not set: no storage to upload to");
    task.s3_config = slice_from("{\"accessId\": \"abc\", \"accessSecret\": \"abc\"}");
    assert_int_equal(choose("out.png"), ERR_CONFIG);
    assert_string_equal(err.text, "s3Config.endpointUrl is not set: no storage to upload to");
    task.s3_config = slice_from("{\"bucketName\": \"mine\", \"objectPath\": \"a\"}");
    assert_int_equal(choose("out.png"), 0); /* no storage: nothing of it is used */
    assert_false(upload.is_job_s3);
    assert_slice(upload.s3.secret_key, "env-secret");
    assert_slice(upload.s3.key, "job-1/out.png");
    assert_int_equal(upload.s3.bucket.len, 5);
}

static void any_option_of_the_handler_comes_before_the_jobs(void **state)
{
    (void)state;
    set_variables();
    task.s3_config = slice_from(OWN "}");
    options.endpoint = "https://handler.example.com";
    assert_int_equal(choose("out.png"), 0);
    assert_false(upload.is_job_s3);
    assert_slice(upload.s3.endpoint.host, "handler.example.com");
    options = (rp_upload_options){ .access_key_id = "handler-key" };
    assert_int_equal(choose("out.png"), 0);
    assert_slice(upload.s3.endpoint.host, "s3.example.org");
    assert_slice(upload.s3.access_key, "handler-key");
    options = (rp_upload_options){ .secret_access_key = "handler-secret" };
    assert_int_equal(choose("out.png"), 0);
    assert_slice(upload.s3.access_key, "env-key");
    assert_slice(upload.s3.secret_key, "handler-secret");
}

static void members_of_an_s3_config_are_strings(void **state)
{
    static const char *const names[] = { "endpointUrl", "accessId", "accessSecret", "bucketName",
                                         "objectPath" };
    (void)state;
    set_variables();
    for (size_t i = 0; i < COUNT(names); i++) {
        char text[64], expected[64];
        snprintf(text, sizeof text, "{\"%s\": 7}", names[i]);
        snprintf(expected, sizeof expected, "the job's s3Config.%s must be a string", names[i]);
        task.s3_config = slice_from(text);
        assert_int_equal(choose("out.png"), ERR_INPUT);
        assert_string_equal(err.text, expected);
    }
}

static void without_storage_the_error_says_what_is_missing(void **state)
{
    (void)state;
    assert_int_equal(choose("out.png"), ERR_CONFIG);
    assert_string_equal(err.text, "BUCKET_ENDPOINT_URL is not set: no storage to upload to, and "
                                  "the job has no s3Config");
    for (size_t i = 0; i < 3; i++) {
        char expected[100];
        set_variables();
        unsetenv(variables[i]);
        snprintf(expected, sizeof expected, "%s is not set: no storage to upload to", variables[i]);
        assert_int_equal(choose("out.png"), ERR_CONFIG);
        assert_string_equal(err.text, expected);
    }
}

static void a_local_run_needs_no_storage(void **state)
{
    (void)state;
    config.take_url.len = 0;
    assert_int_equal(choose("out.png"), 0);
    assert_true(upload.is_local);
    assert_slice(upload.s3.key, "job-1/out.png");
    set_variables();
    assert_int_equal(choose("out.png"), 0); /* but uses it where there is one */
    assert_false(upload.is_local);
    unsetenv(variables[2]);
    assert_int_equal(choose("out.png"), ERR_CONFIG); /* half of one is a mistake */
}

static void endpoints_are_plain_urls(void **state)
{
    (void)state;
    set_variables();
    setenv(variables[0], "https://user:password@s3.example.org", 1);
    assert_int_equal(choose("out.png"), ERR_CONFIG);
    assert_string_equal(err.text, "BUCKET_ENDPOINT_URL may not hold a user or password");
    setenv(variables[0], "https://u@s3.example.org", 1);
    assert_int_equal(choose("out.png"), ERR_CONFIG);
    setenv(variables[0], "s3.example.org", 1);
    assert_true(choose("out.png") < 0);
    assert_non_null(strstr(err.text, "BUCKET_ENDPOINT_URL: "));
}

/* --- the names there -------------------------------------------------------------------------- */

static void the_region_is_the_first_that_is_known(void **state)
{
    (void)state;
    set_variables();
    assert_int_equal(choose("out.png"), 0);
    assert_slice(upload.s3.region, "us-east-1");
    setenv("AWS_DEFAULT_REGION", "default-region", 1);
    assert_int_equal(choose("out.png"), 0);
    assert_slice(upload.s3.region, "default-region");
    setenv("AWS_REGION", "env-region", 1);
    assert_int_equal(choose("out.png"), 0);
    assert_slice(upload.s3.region, "env-region");
    setenv(variables[0], "https://s3.eu-west-1.amazonaws.com", 1);
    assert_int_equal(choose("out.png"), 0);
    assert_slice(upload.s3.region, "eu-west-1");
    options.region = "chosen";
    assert_int_equal(choose("out.png"), 0);
    assert_slice(upload.s3.region, "chosen");
}

static void options_name_the_object(void **state)
{
    (void)state;
    set_variables();
    options.bucket = "chosen";
    options.virtual_host = true;
    options.prefix = "x/y";
    options.name = "named.txt";
    assert_int_equal(choose("/a/out.png"), 0);
    assert_slice(upload.s3.bucket, "chosen");
    assert_true(upload.s3.virtual_host);
    assert_slice(upload.s3.key, "x/y/named.txt");
    assert_string_equal(upload.content_type, "text/plain; charset=utf-8");
    options.prefix = "";
    options.content_type = "x/special";
    assert_int_equal(choose(NULL), 0);
    assert_slice(upload.s3.key, "named.txt");
    assert_string_equal(upload.content_type, "x/special");
    options.bucket = "not a bucket";
    assert_int_equal(choose(NULL), ERR_INPUT);
}

static void an_object_needs_a_name(void **state)
{
    (void)state;
    set_variables();
    assert_int_equal(choose(NULL), ERR_INPUT);
    assert_non_null(strstr(err.text, "the object has no name"));
    assert_int_equal(choose("/a/folder/"), ERR_INPUT);
    options.name = "";
    assert_int_equal(choose("out.png"), ERR_INPUT);
}

static void names_have_a_limit(void **state)
{
    char name[UPLOAD_KEY_BYTES + 1];
    (void)state;
    set_variables();
    memset(name, 'x', sizeof name);
    name[UPLOAD_KEY_BYTES - 1] = '\0';
    options.prefix = "";
    options.name = name;
    assert_int_equal(choose(NULL), 0);
    assert_int_equal(upload.s3.key.len, 1024);
    name[UPLOAD_KEY_BYTES - 1] = 'x';
    name[UPLOAD_KEY_BYTES] = '\0';
    assert_int_equal(choose(NULL), ERR_INPUT);
    assert_string_equal(err.text, "the object's name is longer than 1024 bytes");
}

static void types_come_from_the_ending(void **state)
{
    static const char *const cases[][2] = {
        { "a.png", "image/png" },
        { "a.b.JPEG", "image/jpeg" },
        { "a.glb", "model/gltf-binary" },
        { "png", "application/octet-stream" },
        { "a.png2", "application/octet-stream" },
        { "a.", "application/octet-stream" },
    };
    (void)state;
    set_variables();
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(choose(cases[i][0]), 0);
        assert_string_equal(upload.content_type, cases[i][1]);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_variables_name_the_storage),
        TEST(the_jobs_own_storage_comes_before_the_variables),
        TEST(an_object_path_may_be_short_or_empty),
        TEST(keys_of_two_places_are_not_mixed),
        TEST(any_option_of_the_handler_comes_before_the_jobs),
        TEST(members_of_an_s3_config_are_strings),
        TEST(without_storage_the_error_says_what_is_missing),
        TEST(a_local_run_needs_no_storage),
        TEST(endpoints_are_plain_urls),
        TEST(the_region_is_the_first_that_is_known),
        TEST(options_name_the_object),
        TEST(an_object_needs_a_name),
        TEST(names_have_a_limit),
        TEST(types_come_from_the_ending),
    };
    return cmocka_run_group_tests_name("upload_setting", tests, NULL, NULL);
}
