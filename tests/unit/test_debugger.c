/* job/debugger: checkpoints as they are started and stopped, and the JSON that tells of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "job/debugger.h"
#include "json/json.h"

static struct checkpoint checkpoints[CHECKPOINTS_MAX];
static struct debugger debugger;
static struct buf out;
static slice told; /* "timestamps", as put() found them */

static int set_up(void **state)
{
    (void)state;
    memset(checkpoints, 0, sizeof checkpoints);
    debugger = (struct debugger){ .checkpoints = checkpoints };
    buf_init(&out, SIZE_MAX, "text");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&out);
    return 0;
}

static void put(void)
{
    struct err err = { 0 };
    buf_clear(&out);
    assert_int_equal(debugger_put(&debugger, 7, &out, &err), 0);
    assert_int_equal(json_check(buf_slice(&out), NULL, &err), 0);
    assert_true(json_member(buf_slice(&out), "timestamps", &told));
}

static void assert_names(const char *expected)
{
    char names[256] = "";
    slice one, name;
    put();
    for (size_t pos = 0; json_next_element(told, &pos, &one);) {
        assert_true(json_member(one, "name", &name));
        strncat(names, name.ptr, name.len);
    }
    assert_string_equal(names, expected);
}

static void only_what_was_stopped_is_told(void **state)
{
    (void)state;
    assert_names("");
    debugger_start(&debugger, "a");
    debugger_start(&debugger, "b");
    debugger_start(&debugger, "c");
    debugger_stop(&debugger, "never started");
    assert_names("");
    debugger_stop(&debugger, "c");
    debugger_stop(&debugger, "a");
    assert_names("\"a\"\"c\"");
    assert_int_equal(debugger.count, 3);
}

/* In its own place, and it runs again until it is stopped again. */
static void one_of_the_same_name_begins_anew(void **state)
{
    (void)state;
    debugger_start(&debugger, "a");
    debugger_stop(&debugger, "a");
    debugger_start(&debugger, "b");
    debugger_stop(&debugger, "b");
    debugger_start(&debugger, "a");
    assert_names("\"b\"");
    debugger_stop(&debugger, "a");
    assert_names("\"a\"\"b\"");
}

/* It is known by what is left of its name. */
static void a_long_name_is_cut(void **state)
{
    char name[2 * CHECKPOINT_NAME_BYTES], quoted[CHECKPOINT_NAME_BYTES + 2];
    (void)state;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    debugger_start(&debugger, name);
    debugger_stop(&debugger, name);
    snprintf(quoted, sizeof quoted, "\"%.*s\"", CHECKPOINT_NAME_BYTES - 1, name);
    assert_names(quoted);
}

static void without_room_there_is_nothing_to_tell(void **state)
{
    (void)state;
    debugger.checkpoints = NULL;
    debugger_start(&debugger, "a");
    debugger_stop(&debugger, "a");
    assert_names("");
}

static void its_times_are_those_of_the_clocks(void **state)
{
    struct timespec before, after;
    (void)state;
    clock_gettime(CLOCK_REALTIME, &before);
    debugger_start(&debugger, "a");
    debugger_stop(&debugger, "a");
    clock_gettime(CLOCK_REALTIME, &after);
    const struct checkpoint *a = &checkpoints[0];
    assert_true(a->start_ns > 0 && a->start_ns <= a->stop_ns);
    assert_true(a->start_unix_ns >= before.tv_sec * 1000000000LL + before.tv_nsec);
    assert_true(a->start_unix_ns <= a->stop_unix_ns);
    assert_true(a->stop_unix_ns <= after.tv_sec * 1000000000LL + after.tv_nsec);
}

/* To the microsecond, in UTC; the duration is by the clock that nobody sets. */
static void times_are_told_as_dates_and_the_duration_in_ms(void **state)
{
    (void)state;
    debugger_start(&debugger, "a \"b\"");
    checkpoints[0].start_ns = 5000000000;
    checkpoints[0].stop_ns = 6234567890;
    checkpoints[0].start_unix_ns = 1000000000123456789; /* 2001-09-09 */
    checkpoints[0].stop_unix_ns = 1000000059000002000;
    put();
    assert_true(slice_is(told, "[{\"name\": \"a \\\"b\\\"\", "
                               "\"start_utc\": \"2001-09-09T01:46:40.123456Z\", "
                               "\"stop_utc\": \"2001-09-09T01:47:39.000002Z\", "
                               "\"duration_ms\": 1234.568}]"));
}

static void the_system_and_the_delay_are_told(void **state)
{
    slice system, value;
    (void)state;
    put();
    assert_true(json_member(buf_slice(&out), "ready_delay_ms", &value));
    assert_true(slice_is(value, "7"));
    assert_true(json_member(buf_slice(&out), "system_info", &system));
    assert_true(json_member(system, "os", &value));
    assert_true(slice_starts(value, SLICE_LITERAL("\"Linux ")));
    assert_true(json_member(system, "runpod", &value) && value.len > 2);
    assert_true(json_member(system, "processor", &value));
}

/* As /proc/cpuinfo names the first one: the whole line, and not the next. */
static void the_processor_has_its_name(void **state)
{
    char line[256], quoted[300] = "\"\"";
    slice system, value;
    FILE *file = fopen("/proc/cpuinfo", "re");
    (void)state;
    for (bool found = false; file != NULL && !found && fgets(line, sizeof line, file) != NULL;) {
        found = strncmp(line, "model name\t: ", 13) == 0;
        line[strcspn(line, "\n")] = '\0';
        if (found)
            snprintf(quoted, sizeof quoted, "\"%s\"", line + 13);
    }
    if (file != NULL)
        fclose(file);
    put();
    assert_true(json_member(buf_slice(&out), "system_info", &system));
    assert_true(json_member(system, "processor", &value));
    if (!slice_is(value, quoted))
        fail_msg("%.*s, not %s", SLICE_ARG(value), quoted);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_what_was_stopped_is_told),
        TEST(one_of_the_same_name_begins_anew),
        TEST(a_long_name_is_cut),
        TEST(without_room_there_is_nothing_to_tell),
        TEST(its_times_are_those_of_the_clocks),
        TEST(times_are_told_as_dates_and_the_duration_in_ms),
        TEST(the_system_and_the_delay_are_told),
        TEST(the_processor_has_its_name),
    };
    return cmocka_run_group_tests_name("debugger", tests, NULL, NULL);
}
