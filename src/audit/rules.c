/*
 * What the worker does with hosts, files and programs, and when: the one table. A call in src/ that
 * opens, connects or starts something which no row stands for fails tests/blackbox/test_audit.py.
 */
#include "audit/rules.h"

#define AT(member) offsetof(struct config, member)

bool audit_is_linked(const struct audit *audit)
{
    const struct config *config = audit->config;
    return config->handler.program == NULL && config->handler.once == NULL &&
           config->handler.http == NULL && audit->program->handler != NULL;
}

bool audit_has_child(const struct audit *audit)
{
    const struct config *config = audit->config;
    bool is_program = config->handler.program != NULL && config->handler.http == NULL;
    return is_program || config->handler.once != NULL;
}

bool audit_is_isolated(const struct audit *audit)
{
    return audit_is_linked(audit) && (audit->config->handler.isolate || audit->config->watch);
}

bool audit_has_programs(const struct audit *audit)
{
    const struct config *config = audit->config;
    return config->handler.program != NULL || config->handler.once != NULL ||
           config->fitness.program != NULL || audit_is_isolated(audit);
}

bool audit_has_files(const struct audit *audit)
{
    return audit_is_linked(audit) || audit_has_child(audit) || audit->config->upload_above_kb > 0;
}

bool audit_has_models(const struct audit *audit)
{
    return audit->config->fitness.models.count > 0;
}

bool audit_connects(const struct audit *audit)
{
    for (size_t i = 0; i < audit->count; i++)
        if (audit->entries[i].kind == AUDIT_CONNECT)
            return true;
    return false;
}

bool audit_listens(const struct audit *audit)
{
    for (size_t i = 0; i < audit->count; i++)
        if (audit->entries[i].kind == AUDIT_LISTEN)
            return true;
    return false;
}

bool audit_writes(const struct audit *audit)
{
    for (size_t i = 0; i < audit->count; i++)
        if (audit->entries[i].kind == AUDIT_WRITE && !audit->entries[i].early)
            return true;
    return false;
}

bool audit_watches(const struct audit *audit)
{
    return audit->config->watch;
}

bool audit_has_gpu(const struct audit *audit)
{
    return audit->program->gpu != NULL;
}

static bool resolves(const struct audit *audit)
{
    return audit_connects(audit) || audit_listens(audit);
}

static bool checks_machine(const struct audit *audit)
{
    return !audit->config->fitness.skip;
}

static bool has_metrics(const struct audit *audit)
{
    return audit->config->metrics.port >= 0 || audit->mode == MODE_API;
}

static bool debugs(const struct audit *audit)
{
    return audit->config->debugger;
}

static bool has_scratch(const struct audit *audit)
{
    return audit_is_linked(audit) || audit_has_child(audit);
}

static bool uses_hubs(const struct audit *audit)
{
    return audit_is_linked(audit) || audit_has_programs(audit) || audit_has_models(audit);
}

static bool looks_at_processes(const struct audit *audit)
{
    return audit_has_programs(audit) || has_scratch(audit);
}

/* clang-format off */
const struct audit_rule audit_rules[] = {
    /* Hosts. A proxy that is set takes the place of the host. */
    { AUDIT_CONNECT, MODE_PLATFORM, NULL, audit_add_url, NULL, AT(take_url), false,
      "takes jobs, asks which to stop, checks the network" },
    { AUDIT_CONNECT, MODE_PLATFORM, NULL, audit_add_url, NULL, AT(output_url), false,
      "posts results" },
    { AUDIT_CONNECT, MODE_PLATFORM, NULL, audit_add_url, NULL, AT(stream_url), false,
      "posts the parts of streams" },
    { AUDIT_CONNECT, MODE_PLATFORM | MODE_REALTIME, NULL, audit_add_url, NULL, AT(ping_url), false,
      "sends heartbeats" },
    { AUDIT_CONNECT, MODE_API, NULL, audit_add_any_host, NULL, 0, false,
      "calls the webhooks that jobs name" },
    { AUDIT_CONNECT, MODE_ANY, NULL, audit_add_server, NULL, 0, false,
      "the handler's server (--handler-http)" },
    { AUDIT_CONNECT, MODE_ANY, audit_is_linked, audit_add_any_host, NULL, 0, false,
      "rp_download, to public addresses unless others are allowed" },
    { AUDIT_CONNECT, MODE_ANY, audit_has_files, audit_add_any_host, NULL, 0, false,
      "uploads to the storage that a job names (s3Config)" },
    { AUDIT_CONNECT, MODE_ANY, audit_has_files, audit_add_bucket, NULL, 0, false,
      "uploads (BUCKET_ENDPOINT_URL)" },

    /* Ports. */
    { AUDIT_LISTEN, MODE_API, NULL, audit_add_listen, NULL, AT(api.port), false,
      "the job API and its console (--rp_serve_api)" },
    { AUDIT_LISTEN, MODE_REALTIME, NULL, audit_add_listen, NULL, AT(realtime_port), false,
      "realtime requests (RUNPOD_REALTIME_PORT)" },
    { AUDIT_LISTEN, MODE_SERVE, NULL, audit_add_listen, NULL, AT(serve.port), false,
      "requests (--serve, PORT)" },
    { AUDIT_LISTEN, MODE_SERVE, NULL, audit_add_listen, NULL, AT(serve.health_port), false,
      "health checks (PORT_HEALTH)" },
    { AUDIT_LISTEN, MODE_REMOTE, NULL, audit_add_listen, NULL, AT(metrics.port), false,
      "GET /metrics (--metrics-port)" },

    /* After all that has a name. */
    { AUDIT_CONNECT, MODE_ANY, audit_looks_up, audit_add_nameservers, NULL, 0, false,
      "looks up the names of hosts" },

    /* Files that are read. */
    { AUDIT_READ, MODE_ANY, resolves, audit_add_subject, "/etc/hosts", 0, false,
      "names of hosts" },
    { AUDIT_READ, MODE_ANY, audit_looks_up, audit_add_subject, "/etc/resolv.conf", 0, false,
      "nameservers" },
    { AUDIT_READ, MODE_ANY, NULL, audit_add_path, NULL, AT(ca_file), false,
      "authorities (SSL_CERT_FILE)" },
    { AUDIT_READ, MODE_REALTIME, NULL, audit_add_path, NULL, AT(realtime_token_file), false,
      "the token that requests carry" },
    { AUDIT_READ, MODE_API, NULL, audit_add_path, NULL, AT(api.key_file), false,
      "the key that clients send" },
    { AUDIT_READ, MODE_LOCAL, NULL, audit_add_subject, "test_input.json", 0, false,
      "the job of a local test" },
    { AUDIT_READ, MODE_PLATFORM, checks_machine, audit_add_subject, "/proc/meminfo", 0, false,
      "the memory check" },
    { AUDIT_READ, MODE_PLATFORM, checks_machine, audit_add_subject, "/proc/self/mountinfo", 0,
      false, "the memory check" },
    { AUDIT_READ, MODE_PLATFORM, checks_machine, audit_add_subject, "/proc/self/cgroup", 0, false,
      "the memory check" },
    { AUDIT_READ, MODE_PLATFORM, checks_machine, audit_add_subject, "/sys/fs/cgroup", 0, true,
      "the memory check: the container's limit, where it is mounted" },
    { AUDIT_READ, MODE_REMOTE, has_metrics, audit_add_subject, "/proc/self/statm", 0, false,
      "its memory, for monitors" },
    { AUDIT_READ, MODE_ANY, debugs, audit_add_subject, "/proc/cpuinfo", 0, false,
      "system information (--rp_debugger)" },
    { AUDIT_READ, MODE_ANY, looks_at_processes, audit_add_subject, "/proc", 0, true,
      "processes and scratch folders that were left behind" },
    { AUDIT_READ, MODE_ANY, uses_hubs, audit_add_hubs, NULL, 0, true,
      "cached models that a flag or a handler names" },
    { AUDIT_READ, MODE_ANY, has_scratch, audit_add_scratch, NULL, 0, true,
      "folders of jobs: files to upload, archives to unpack" },
    { AUDIT_READ, MODE_ANY, audit_is_linked, audit_add_subject, "/sys/fs/cgroup", 0, true,
      "how many processors the container has" },
    { AUDIT_READ, MODE_REMOTE, NULL, audit_add_path, NULL, AT(result_dir), true,
      "results that could not be delivered before" },
    { AUDIT_READ, MODE_ANY, NULL, audit_add_paths, NULL, AT(cache.folders), true,
      "files saved to the volume" },
    { AUDIT_READ, MODE_ANY, NULL, audit_add_volume, NULL, 0, true,
      "files restored from the volume" },
    { AUDIT_READ, MODE_ANY, audit_has_gpu, audit_add_library, NULL, AT(gpu.libcuda), true,
      "the GPU's driver, which reads what it needs" },
    { AUDIT_READ, MODE_ANY, audit_is_isolated, audit_add_subject, "/dev/null", 0, false,
      "the standard input of the isolated handler" },

    { AUDIT_READ, MODE_API, audit_watches, audit_add_program, "--handler", AT(handler.program),
      false, "changes (--watch), also in its folder and to files on its command line" },
    { AUDIT_READ, MODE_ANY, NULL, audit_add_paths, NULL, AT(confine.read), true,
      "the handler's own (--confine-read)" },

    /* Files that are written. */
    { AUDIT_WRITE, MODE_ANY, NULL, audit_add_early, "/dev/null", 0, false,
      "standard streams that are closed when it starts" },
    { AUDIT_READ, MODE_ANY, NULL, audit_add_paths, NULL, AT(confine.write), true,
      "the handler's own (--confine-write)" },
    { AUDIT_WRITE, MODE_ANY, NULL, audit_add_paths, NULL, AT(confine.write), true,
      "the handler's own (--confine-write)" },
    { AUDIT_WRITE, MODE_ANY, has_scratch, audit_add_scratch, NULL, 0, true,
      "folders of jobs: downloads, unpacked archives" },
    { AUDIT_WRITE, MODE_ANY, has_scratch, audit_add_subject, "/proc/self/fd", 0, true,
      "modes of folders of jobs, so that they can be removed" },
    { AUDIT_WRITE, MODE_REMOTE, NULL, audit_add_path, NULL, AT(result_dir), true,
      "results that cannot be delivered" },
    { AUDIT_WRITE, MODE_LOCAL, NULL, audit_add_path, NULL, AT(test_result), false,
      "the result of a local test" },
    { AUDIT_WRITE, MODE_LOCAL, audit_has_files, audit_add_subject, "local_upload", 0, true,
      "uploads of a local test, if no storage is set" },
    { AUDIT_WRITE, MODE_ANY, NULL, audit_add_paths, NULL, AT(cache.folders), true,
      "files restored from the volume" },
    { AUDIT_WRITE, MODE_ANY, NULL, audit_add_volume, NULL, 0, true, "files saved to the volume" },

    /* Programs. What they do is theirs. */
    { AUDIT_START, MODE_ANY, NULL, audit_add_program, "--handler", AT(handler.program), false,
      "the handler (--handler)" },
    { AUDIT_START, MODE_ANY, NULL, audit_add_program, "--handler-once", AT(handler.once), false,
      "the handler of each job (--handler-once)" },
    { AUDIT_START, MODE_PLATFORM, NULL, audit_add_program, "--fitness", AT(fitness.program), false,
      "the check of the machine (--fitness)" },
    { AUDIT_START, MODE_ANY, audit_is_isolated, audit_add_itself, "/proc/self/exe", 0, false,
      "this binary again, for the linked handler (--isolate, --watch)" },
};
/* clang-format on */
const size_t audit_rule_count = sizeof audit_rules / sizeof audit_rules[0];

static unsigned mode_of(const struct config *config)
{
    return config_is_endpoint(config)   ? MODE_API
           : config_is_serving(config)  ? MODE_SERVE
           : config_is_realtime(config) ? MODE_REALTIME
           : config_is_local(config)    ? MODE_LOCAL
                                        : MODE_PLATFORM;
}

void audit_collect(struct audit *audit, const struct config *config, const rp_config *program)
{
    *audit = (struct audit){ .config = config, .program = program, .mode = mode_of(config) };
    for (size_t i = 0; i < audit_rule_count; i++) {
        const struct audit_rule *rule = &audit_rules[i];
        if ((rule->modes & audit->mode) && (rule->applies == NULL || rule->applies(audit)))
            rule->add(audit, rule);
    }
}
