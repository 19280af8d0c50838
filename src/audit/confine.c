/* --confine: the table of rules.c and calls.c, as a filter and a list that the kernel holds to. */
#include "audit/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit/filter.h"
#include "audit/landlock.h"
#include "audit/listed.h"
#include "audit/refusal.h"
#include "audit/rules.h"
#include "audit/trial.h"
#include "base/io.h"
#include "base/log.h"
#include "base/own_call.h"
#include "codec/byte_class.h"
#include "config/environment.h"
#include "files/volume_cache.h"

#ifdef __SANITIZE_THREAD__
#define THREADS_BEFORE 2 /* one of them its own */
#else
#define THREADS_BEFORE 1
#endif

/* What is said in the log, which begins later. */
static bool is_confined;
static bool is_trial;                    /* --confine=log */
static char trial_fault[ERR_TEXT_BYTES]; /* why that has nothing to look at */
static int confined_version;             /* of Landlock */
static size_t confined_calls;

/* --- system calls ----------------------------------------------------------------------------- */

/* Calls whose files and ports the kernel's list holds: watched, so that a line says what it was. */
static const uint16_t calls_of_files[] = {
#ifdef SYS_open
    SYS_open,   SYS_mkdir,   SYS_rmdir,    SYS_unlink,   SYS_rename,
#endif
    SYS_openat, SYS_mkdirat, SYS_unlinkat, SYS_renameat,
};
static const uint16_t calls_of_ports[] = { SYS_connect }; /* a port to listen on is the worker's */

/*
 * Those that only a program's start needs, which other threads do (process/process.h); and those
 * that are done by now.
 */
static const uint16_t calls_that_are_over[] = {
#ifdef SYS_fork
    SYS_fork,
#endif
    SYS_execve,
    SYS_seccomp,
    SYS_landlock_create_ruleset,
    SYS_landlock_add_rule,
    SYS_landlock_restrict_self,
    SYS_process_vm_readv,
};

static void change(struct filter_rules *rules, const uint16_t *numbers, size_t count,
                   enum filter_verdict verdict)
{
    for (size_t i = 0; i < count; i++)
        if (rules->verdicts[numbers[i]] == FILTER_ALLOWED)
            rules->verdicts[numbers[i]] = (uint8_t)verdict;
}

#define CHANGE(rules, numbers, verdict) \
    change(rules, numbers, sizeof(numbers) / sizeof(numbers)[0], verdict)

static bool uses_unix_sockets(const struct audit *audit)
{
    for (size_t i = 0; i < audit->count; i++)
        if (audit->entries[i].kind == AUDIT_CONNECT && audit->entries[i].port == AUDIT_PORT_NONE)
            return true;
    return false;
}

static bool connects_anywhere(const struct audit *audit)
{
    for (size_t i = 0; i < audit->count; i++)
        if (audit->entries[i].kind == AUDIT_CONNECT && audit->entries[i].port == AUDIT_PORT_ANY)
            return true;
    return false;
}

void confine_rules(struct filter_rules *rules, const struct audit *audit, int landlock)
{
    *rules = (struct filter_rules){ .own_address = own_call_address(),
                                    .unix_sockets = uses_unix_sockets(audit),
                                    .asks = config_only_tries(audit->config) };
    for (size_t i = 0; i < audit_role_count; i++) {
        const struct audit_role *role = &audit_roles[i];
        if (!role->applies(audit))
            continue;
        for (size_t k = 0; k < role->count; k++)
            if (role->numbers[k] < FILTER_CALLS)
                rules->verdicts[role->numbers[k]] = FILTER_ALLOWED;
    }
    const uint16_t clone_call[] = { SYS_clone }, socket_call[] = { SYS_socket },
                   mask_call[] = { SYS_rt_sigprocmask };
    CHANGE(rules, clone_call, FILTER_THREAD);
    CHANGE(rules, socket_call, FILTER_SOCKET);
    CHANGE(rules, calls_that_are_over, FILTER_REFUSED);
    /* A signal has a cost, and only code of a handler would ask for a file that is not listed. */
    if (audit_is_linked(audit) && !rules->asks)
        CHANGE(rules, mask_call, FILTER_WATCHED);
    if ((audit_is_linked(audit) || rules->asks) && landlock > 0)
        CHANGE(rules, calls_of_files, FILTER_WATCHED);
    if (landlock >= LANDLOCK_VERSION_PORTS && !connects_anywhere(audit))
        CHANGE(rules, calls_of_ports, FILTER_WATCHED);
}

static int install_filter(const struct audit *audit, int landlock, struct err *err)
{
    static struct filter_rules rules;
    static struct filter filter;
    confine_rules(&rules, audit, landlock);
    for (size_t i = 0; i < FILTER_CALLS; i++)
        confined_calls += rules.verdicts[i] != FILTER_REFUSED;
    if (!filter_build(&filter, &rules))
        return err_set(err, ERR_CONFIG, "--confine: the filter is too long");
    if (!rules.asks)
        refusal_install();
    int errnum = rules.asks ? trial_install(&filter, &rules) : filter_install(&filter);
    return errnum == 0
               ? 0
               : err_system(err, ERR_CONFIG, errnum,
                            rules.asks ? "--confine=log: this kernel or the container's runtime "
                                         "has no filters that ask (seccomp, Linux 5.5)"
                                       : "--confine: this kernel has no filters for system calls "
                                         "(seccomp, Linux 3.17)");
}

/* --- files and ports -------------------------------------------------------------------------- */

/* The kernel's; or, where nothing is refused, that of audit/listed.h. */
struct allow_list {
    bool is_kernels;
    int fd, version;    /* of Landlock */
    bool has_processes; /* /proc is on it */
};

static int list_path(const struct allow_list *list, const char *path, unsigned access)
{
    return list->is_kernels ? landlock_allow_path(list->fd, list->version, path, access)
                            : listed_add_path(path, access);
}

static void list_port(const struct allow_list *list, uint16_t port, bool listens)
{
    if (list->is_kernels)
        landlock_allow_port(list->fd, port, listens);
    else if (!listens) /* only the worker itself listens */
        listed_add_port(port);
}

/* The paths of a flag, one after the other; then false. */
static bool next_path(const struct config_list *list, size_t *at, slice *rest, slice *path)
{
    while (!byte_class_next_word(rest, ":", path)) {
        if (*at == list->count)
            return false;
        *rest = slice_from(list->texts[(*at)++]);
    }
    return true;
}

static bool is_named(const struct config_list *list, slice subject)
{
    slice rest = { 0 }, path;
    for (size_t at = 0; next_path(list, &at, &rest, &path);)
        if (slice_equal(path, subject))
            return true;
    return false;
}

/* What the worker would make later, it makes now: the list is of what is there. */
static void make_absent(const struct audit *audit, const struct audit_entry *entry, char *path)
{
    bool is_chosen;
    if (!entry->tree) {
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0)
            close(fd);
    } else if (is_named(&audit->config->cache.folders, entry->subject)) {
        io_make_folders(path, VOLUME_FOLDER_MODE);
    } else if (strcmp(path, environment_scratch_folder(&is_chosen)) == 0 && is_chosen) {
        mkdir(path, S_IRWXU);
    }
}

/* It is made by the first upload of a local test, if there is one: beside it, anything may be. */
static bool is_local_upload(const struct audit *audit, const struct audit_entry *entry)
{
    return audit->mode == MODE_LOCAL && audit_has_files(audit) &&
           slice_is(entry->subject, "local_upload");
}

static void allow_path(struct allow_list *list, const struct audit *audit,
                       const struct audit_entry *entry)
{
    char path[PATH_MAX];
    unsigned access = entry->kind == AUDIT_WRITE ? LANDLOCK_WRITES : LANDLOCK_READS;
    if (entry->subject.len >= sizeof path)
        return;
    snprintf(path, sizeof path, "%.*s", SLICE_ARG(entry->subject));
    bool is_of_process = strncmp(path, "/proc/", 6) == 0;
    if (is_of_process && entry->kind == AUDIT_WRITE)
        return; /* modes are changed there, which no list of files is about */
    if (is_of_process && list->has_processes)
        return;
    if (is_of_process)
        path[5] = '\0'; /* its files come and go */
    list->has_processes = list->has_processes || is_of_process;
    int errnum = list_path(list, path, access);
    if (errnum != ENOENT || entry->kind != AUDIT_WRITE)
        return;
    if (is_local_upload(audit, entry)) {
        list_path(list, ".", access);
        return;
    }
    make_absent(audit, entry, path);
    list_path(list, path, access);
}

static bool is_port(const struct audit_entry *entry)
{
    return (entry->kind == AUDIT_CONNECT || entry->kind == AUDIT_LISTEN) &&
           entry->port != AUDIT_PORT_NONE;
}

static void allow_paths(struct allow_list *list, const struct audit *audit, enum audit_kind kind)
{
    for (size_t i = 0; i < audit->count; i++)
        if (audit->entries[i].kind == kind && !audit->entries[i].early)
            allow_path(list, audit, &audit->entries[i]);
}

static void allow_ports(const struct allow_list *list, const struct audit *audit)
{
    bool any = connects_anywhere(audit);
    for (size_t i = 0; i < audit->count; i++) {
        const struct audit_entry *entry = &audit->entries[i];
        bool listens = entry->kind == AUDIT_LISTEN;
        if (is_port(entry) && (listens || !any))
            list_port(list, (uint16_t)entry->port, listens);
    }
}

/* What is written comes first: it is made, and may be read as well. */
static void fill_list(struct allow_list *list, const struct audit *audit)
{
    allow_paths(list, audit, AUDIT_WRITE);
    allow_paths(list, audit, AUDIT_READ);
    if (list->version >= LANDLOCK_VERSION_PORTS)
        allow_ports(list, audit);
}

static int install_list(const struct audit *audit, int version, struct err *err)
{
    struct allow_list list = { .is_kernels = !config_only_tries(audit->config),
                               .version = version };
    if (version == 0)
        return 0;
    if (!list.is_kernels) {
        fill_list(&list, audit);
        return 0;
    }
    list.fd = landlock_new(version, !connects_anywhere(audit));
    if (list.fd < 0)
        return err_system(err, ERR_CONFIG, errno, "--confine: Landlock");
    fill_list(&list, audit);
    int errnum = landlock_install(list.fd);
    close(list.fd);
    return errnum == 0 ? 0 : err_system(err, ERR_CONFIG, errnum, "--confine: Landlock");
}

/* --- --confine -------------------------------------------------------------------------------- */

/* One by one, where links do not tell. */
static int count_tasks(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

/*
 * Of this process; 0 where /proc is not there to tell. A folder has a link for each folder in it
 * beside its own two, and to ask for these is 60 microseconds less than to read it.
 */
static int count_threads(void)
{
    struct stat status;
    if (stat("/proc/self/task", &status) != 0)
        return 0;
    return status.st_nlink > 2 ? (int)status.st_nlink - 2 : count_tasks();
}

/* A folder is not made for a mistake in a path; and what is not there cannot be on the list. */
static int check_writes(const struct config *config, struct err *err)
{
    char text[PATH_MAX];
    slice rest = { 0 }, path;
    for (size_t at = 0; next_path(&config->confine.write, &at, &rest, &path);) {
        snprintf(text, sizeof text, "%.*s", SLICE_ARG(path));
        if (access(text, F_OK) != 0 && errno == ENOENT)
            return err_set(err, ERR_CONFIG,
                           "--confine-write: %.200s does not exist; create it, or name its folder",
                           text);
    }
    return 0;
}

static int check(const struct config *config, const rp_config *program, struct err *err)
{
    const struct audit audit = { .config = config, .program = program };
    if (audit_has_gpu(&audit) && audit_is_linked(&audit) && !audit_is_isolated(&audit))
        return err_set(err, ERR_CONFIG,
                       "--confine: the GPU's driver, which runs in this handler's process, calls "
                       "and opens whatever it needs; --isolate keeps it out of the worker's own");
    int threads = count_threads();
    if (threads > THREADS_BEFORE)
        return err_set(err, ERR_CONFIG,
                       "--confine: this program had %d threads before rp_start, and such threads "
                       "cannot be confined",
                       threads);
    return check_writes(config, err);
}

/* Where nothing is refused, nor is the start. */
static int only_tell(struct err *err)
{
    snprintf(trial_fault, sizeof trial_fault, "%s", err->text);
    *err = (struct err){ 0 };
    return 0;
}

int confine_check(const struct config *config, const rp_config *program, struct err *err)
{
    const char *word = config->confine.mode;
    if (!config_is_confined(config))
        return 0;
    is_trial = config_only_tries(config);
    if (word[0] != '\0' && strcmp(word, "on") != 0 && !is_trial)
        return err_set(err, ERR_CONFIG, "--confine=%.32s: it must be on, log or off", word);
    int rc = check(config, program, err);
    return rc == 0 ? 1 : is_trial ? only_tell(err) : rc;
}

static int install(const struct audit *audit, int version, struct err *err)
{
    int rc = is_trial ? trial_begin(err) : 0;
    if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        rc = err_system(err, ERR_CONFIG, errno, "--confine: no_new_privs");
    if (rc == 0)
        rc = install_list(audit, version, err);
    if (rc == 0)
        rc = install_filter(audit, version, err);
    return rc;
}

int confine(const struct config *config, const rp_config *program, struct err *err)
{
    static struct audit audit;
    confined_version = landlock_version();
    audit_collect(&audit, config, program);
    int rc = audit.is_cut ? err_set(err, ERR_CONFIG,
                                    "--confine: there are more than %d hosts, ports and files",
                                    AUDIT_ENTRIES_MAX)
                          : install(&audit, confined_version, err);
    is_confined = rc == 0;
    return rc != 0 && is_trial ? only_tell(err) : rc;
}

static void tell_what_is_not_held(void)
{
    if (confined_version < LANDLOCK_VERSION_PORTS)
        log_write(LOG_WARN, NULL,
                  "--confine: this kernel has %s, so %s not held to the list; system calls are.",
                  confined_version == 0 ? "no Landlock from Linux 5.19 or later"
                                        : "a Landlock from before Linux 6.7",
                  confined_version == 0 ? "files and ports are" : "ports are");
}

void confine_tell(void)
{
    if (trial_fault[0] != '\0')
        log_write(LOG_WARN, NULL,
                  "--confine=log: nothing is checked, and --confine=on would be an error: %s",
                  trial_fault);
    if (!is_confined)
        return;
    log_write(LOG_DEBUG, NULL,
              is_trial ? "Nothing is refused (--confine=log); the log says what --confine=on would "
                         "refuse, with its %zu system calls and Landlock's version %d."
                       : "Confined to %zu system calls (--confine); Landlock: version %d.",
              confined_calls, confined_version);
    tell_what_is_not_held();
}
