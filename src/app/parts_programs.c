/* Programs as handlers, isolated ones and --fitness, as a part. */
#include "app/parts.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "child/check.h"
#include "child/handler.h"
#include "child/report.h"
#include "child/setting.h"
#include "child/shared.h"
#include "codec/byte_class.h"
#include "files/model_cache.h"
#include "linked/isolated_main.h"
#include "process/process.h"

/* The handler is a program, or the linked function in a child process. */
static int set_child(const struct config *config, char **argv, struct child_setting *child,
                     struct err *err)
{
    const char *program = config->handler.program;
    bool once = config->handler.once != NULL;
    if (once && program != NULL)
        return err_set(err, ERR_CONFIG, "--handler and --handler-once exclude each other");
    if (config->handler.ready != NULL && strcmp(config->handler.ready, "line") != 0)
        return err_set(err, ERR_CONFIG,
                       "--handler-ready is \"%.64s\"; without --handler-http it must be line",
                       config->handler.ready);
    static char jobs[32];
    snprintf(jobs, sizeof jobs, "RP_HANDLER_JOBS=%d", (int)config->handler.jobs);
    *child = (struct child_setting){
        .env_extra = once ? NULL : jobs,
        .program = once ? config->handler.once : program,
        .mode = once ? CHILD_ONCE : CHILD_LINES,
        .ready = config->handler.ready != NULL,
        .watches = config->watch,
        .scratch = program != NULL || once,
        .pass_api_key = config->handler.pass_api_key,
        .ready_timeout_ms = config->handler.ready_timeout_ms,
        .kill_grace_ms = config->handler.kill_grace_ms,
        .jobs = (unsigned)config->handler.jobs,
        .max_deaths = (unsigned)config->handler.deaths,
        .output_max_bytes = (size_t)config->result_max_bytes,
    };
    return child->program != NULL
               ? child_prepare(child, err)
               : child_prepare_isolated(child, argv, ISOLATED_VARIABLE "=1", err);
}

static int choose(const struct config *config, char **argv, struct handler *handler,
                  struct err *err)
{
    static struct child_setting child;
    bool shared = config->handler.jobs > 1;
    *handler = (struct handler){ .ops = shared ? &child_shared_ops : &child_ops,
                                 .setting = &child,
                                 .opens_all = true };
    return set_child(config, argv, &child, err);
}

static struct child_setting fitness_program;

/* Of --fitness-model, one after the other; then false. */
static bool next_model(const struct config_list *list, size_t *at, slice *rest, slice *name)
{
    while (!byte_class_next(rest, ' ', name)) {
        if (*at == list->count)
            return false;
        *rest = slice_from(list->texts[(*at)++]);
    }
    return true;
}

/* The first failure; one that is not ERR_INPUT where absent models are passed over. */
static int find_all(const struct config *config, bool pass_absent, struct err *err)
{
    char path[PATH_MAX];
    slice rest = { 0 }, name;
    int rc = 0;
    for (size_t at = 0; rc == 0 && next_model(&config->fitness.models, &at, &rest, &name);) {
        rc = name.len > 0 ? model_cache_find(name, path, sizeof path, err) : 0;
        if (rc == ERR_INPUT && pass_absent)
            rc = 0;
    }
    return rc;
}

static int find_models(const struct config *config, struct err *err)
{
    return find_all(config, false, err);
}

static int prepare_fitness(const struct config *config, struct err *err)
{
    int rc = find_all(config, true, err); /* one that is not there is a check's business */
    if (rc != 0) {
        err_wrap(err, "--fitness-model");
        return rc;
    }
    *err = (struct err){ 0 };
    if (config->fitness.program == NULL)
        return 0;
    fitness_program = (struct child_setting){
        .pass_api_key = config->handler.pass_api_key,
        .one_output = true,
    };
    return command_prepare(&fitness_program.command, config->fitness.program, "--fitness", err);
}

static int check_fitness(const struct config *config, char *reason, size_t size, struct err *err)
{
    int rc = child_check(&fitness_program, config->fitness.program_timeout_ms, reason, size, err);
    if (!config_starts_programs(config))
        process_end_starter(); /* which --confine does not hold */
    return rc;
}

const struct rp_programs_part rp_programs_part = {
    .is_child = isolated_main_wanted,
    .run_child = isolated_main_run,
    .choose = choose,
    .prepare_fitness = prepare_fitness,
    .find_models = find_models,
    .check_fitness = check_fitness,
    .unfit_reason = child_unfit_reason,
    .begin_starter = process_begin_starter,
    .end = process_finish,
};
