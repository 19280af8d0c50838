#include "config/help.h"

#include <stdio.h>

#include "base/version.h"
#include "config/options.h"

#define NAME_COLUMN_CHARS 30 /* a longer name has its help on the next line */
#define INDENT_CHARS (NAME_COLUMN_CHARS + 3)

static const struct topic {
    const char *name;
    const char *title;
} topics[TOPIC_COUNT] = {
    [TOPIC_LOCAL] = { "local", "Local tests and the log" },
    [TOPIC_API] = { "api", "The job API and the console, served by the worker itself" },
    [TOPIC_SERVE] = { "serve", "A load-balancing endpoint: requests straight to the worker" },
    [TOPIC_HANDLERS] = { "handlers", "Programs and C functions as handlers" },
    [TOPIC_SERVERS] = { "servers", "An HTTP server as the handler" },
    [TOPIC_PLATFORM] = { "platform", "The platform, results, shutdown, fitness" },
    [TOPIC_FILES] = { "files",
                      "Files: scratch folder, downloads, uploads, models, the cache on a volume" },
    [TOPIC_GPU] = { "gpu", "The GPU, in programs that are built for it" },
};

static bool is_shown(const struct config *config, const struct option *option, int topic)
{
    return option->topic == topic && option_is_there(option, config) &&
           option_text(option, OPTION_HELP)[0] != '\0';
}

/* A topic of a part that this program is built without has none. */
static bool has_options(const struct config *config, int topic)
{
    bool any = false;
    for (size_t i = 0; i < option_count; i++)
        any |= is_shown(config, &options[i], topic);
    return any;
}

/* "handlers, servers, ... or all" */
static void put_topic_names(struct buf *out, const struct config *config)
{
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        if (has_options(config, topic))
            buf_add_format(out, "%s, ", topics[topic].name);
    buf_truncate(out, out->len - 2);
    buf_add_text(out, " or all", NULL);
}

/* The unit of a range: some value names are units. */
static const char *unit_of(const struct option *option)
{
    static const char *const units[][2] = {
        { "S", " s" }, { "MS", " ms" }, { "MB", " MB" }, { "GIB", " GiB" }, { "PERCENT", " %" },
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(option_text(option, OPTION_VALUE_NAME), units[i][0]) == 0)
            return units[i][1];
    return "";
}

static void put_default(struct buf *out, const struct option *option)
{
    long long fallback = option->fallback;
    if (option->kind == OPTION_LEVEL)
        buf_add_format(out, "; default %s", "DEBUG");
    else if (option->kind == OPTION_VERSION)
        buf_add_format(out, "default %lld.%lld", fallback / 1000, fallback % 1000 / 10);
    else if ((option->kind == OPTION_NUMBER || option->kind == OPTION_DECIMAL) &&
             option->fallback >= option->min)
        buf_add_format(out, "; default %lld", fallback);
}

/* "(RP_KILL_GRACE; 0 to 3600 s; default 5)": what the table knows beside the help; may be empty. */
static void put_details(struct buf *out, const struct option *option)
{
    size_t start = out->len;
    bool is_flag = option_text(option, OPTION_FLAG)[0] != '\0';
    const char *variable = is_flag ? option_text(option, OPTION_VARIABLE) : "";
    bool has_range = option->kind == OPTION_NUMBER || option->kind == OPTION_DECIMAL;
    buf_add_format(out, "(%s%s", variable, variable[0] != '\0' && has_range ? "; " : "");
    if (has_range)
        buf_add_format(out, "%lld to %lld%s", (long long)option->min, (long long)option->max,
                       unit_of(option));
    put_default(out, option);
    if (out->len == start + 1)
        buf_truncate(out, start);
    else
        buf_add_format(out, ")");
}

static void put_option(struct buf *out, const struct option *option, bool with_details)
{
    char name[64];
    struct buf details;
    const char *flag = option_text(option, OPTION_FLAG), *help = option_text(option, OPTION_HELP);
    const char *value_name = flag[0] != '\0' ? option_text(option, OPTION_VALUE_NAME) : "";
    int len = snprintf(name, sizeof name, "%s%s%s",
                       flag[0] != '\0' ? flag : option_text(option, OPTION_VARIABLE),
                       value_name[0] != '\0' ? " " : "", value_name);
    buf_init(&details, 256, "help");
    if (with_details)
        put_details(&details, option);
    if (len > NAME_COLUMN_CHARS)
        buf_add_format(out, "  %s\n%*s%s", name, INDENT_CHARS, "", help);
    else
        buf_add_format(out, "  %-*s %s", NAME_COLUMN_CHARS, name, help);
    bool fits = INDENT_CHARS + strlen(help) + 1 + details.len <= HELP_LINE_CHARS;
    if (details.len > 0 && fits)
        buf_add_format(out, " ");
    else if (details.len > 0)
        buf_add_format(out, "\n%*s", INDENT_CHARS, "");
    buf_add_slice(out, buf_slice(&details), NULL);
    buf_add_format(out, "\n");
    buf_free(&details);
}

static void put_topic(struct buf *out, const struct config *config, int topic, bool only_common)
{
    if (has_options(config, topic))
        buf_add_format(out, "\n%s:\n", topics[topic].title);
    for (size_t i = 0; i < option_count; i++)
        if (is_shown(config, &options[i], topic) && (options[i].common || !only_common))
            put_option(out, &options[i], !only_common);
}

static void put_footer(struct buf *out, const struct config *config)
{
    buf_add_text(out,
                 "\n  --help TOPIC                   all options of a topic, with their ranges, "
                 "defaults and variables:\n"
                 "                                 ",
                 NULL);
    put_topic_names(out, config);
    buf_add_text(out, "\n  --version                      print the version and exit\n", NULL);
}

static void put_overview(struct buf *out, const struct config *config)
{
    buf_add_text(out,
                 "A RunPod Serverless worker in one static binary, version " WORKER_VERSION ".\n"
                 "Names in capitals are environment variables.\n",
                 NULL);
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        put_topic(out, config, topic, true);
    put_footer(out, config);
}

/* TOPIC_COUNT for a name that is none of them. */
static int find_topic(const char *name)
{
    int topic = 0;
    while (topic < TOPIC_COUNT && strcmp(topics[topic].name, name) != 0)
        topic++;
    return topic;
}

/* A name that is not a topic of this program, and what it has instead. */
static int refuse_topic(const struct config *config, const char *name, struct err *err)
{
    struct buf names;
    buf_init(&names, 256, "help");
    put_topic_names(&names, config);
    int rc = err_set(err, ERR_CONFIG, "--help %.32s: unknown topic; the topics are %.*s", name,
                     SLICE_ARG(buf_slice(&names)));
    buf_free(&names);
    return rc;
}

/* The topic of a part that is not in this program. */
static int refuse_part(int topic, struct err *err)
{
    char name[32];
    const struct option *option = options;
    while (option->topic != topic)
        option++;
    snprintf(name, sizeof name, "--help %s", topics[topic].name);
    return option_refuse(name, option->parts, err);
}

int help_put(struct buf *out, const struct config *config, const char *name, struct err *err)
{
    if (name == NULL) {
        put_overview(out, config);
        return buf_error(out, err);
    }
    bool all = strcmp(name, "all") == 0;
    int topic = find_topic(name);
    if (!all && topic == TOPIC_COUNT)
        return refuse_topic(config, name, err);
    if (!all && !has_options(config, topic))
        return refuse_part(topic, err);
    buf_add_format(out,
                   "Flags override the variables in parentheses. A switch's variable is 1 or 0.\n");
    for (int each = 0; each < TOPIC_COUNT; each++)
        if (all || each == topic)
            put_topic(out, config, each, false);
    if (all)
        put_footer(out, config);
    return buf_error(out, err);
}
