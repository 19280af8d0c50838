#include "app/cache.h"

#include "base/flag.h"
#include "base/limits.h"
#include "base/thread.h"
#include "codec/byte_class.h"
#include "files/volume_cache.h"

/* Of the thread that restores. */
static const struct wake *stop_of_restore;
static struct flag restored;
static atomic_bool restoring;

/* Of the thread that saves. */
static struct volume_cache_setting saving;
static struct flag ended;
static atomic_bool started;

static atomic_bool given_up; /* the process is about to end */

/* The folders have less than the volume, by an accident: saved, they would take it from all. */
static bool is_partial;

/* --- settings --------------------------------------------------------------------------------- */

static slice name_of(const struct config *config)
{
    return config->cache.name.len > 0 ? config->cache.name : config->endpoint_id;
}

static bool is_wanted(const struct config *config)
{
    return config->cache.folders.count > 0;
}

/* Each text has one folder, or several with colons between them. */
static int read_folders(const struct config *config, struct volume_cache_setting *setting,
                        struct err *err)
{
    for (size_t i = 0; i < config->cache.folders.count; i++) {
        slice rest = slice_from(config->cache.folders.texts[i]), folder;
        while (byte_class_next_word(&rest, ":", &folder)) {
            if (setting->folder_count == VOLUME_CACHE_FOLDERS_MAX)
                return err_set(err, ERR_CONFIG, "--cache, RP_CACHE: more than %d folders",
                               VOLUME_CACHE_FOLDERS_MAX);
            if (folder.ptr[0] != '/')
                return err_set(err, ERR_CONFIG,
                               "--cache, RP_CACHE: \"%.*s\" is not an absolute path",
                               SLICE_ARG(folder));
            setting->folders[setting->folder_count++] = folder;
        }
    }
    return 0;
}

static int read_setting(const struct config *config, struct volume_cache_setting *setting,
                        struct err *err)
{
    *setting = (struct volume_cache_setting){ .volume = config_cache_volume(config),
                                              .name = name_of(config) };
    return read_folders(config, setting, err);
}

int cache_check(const struct config *config, struct err *err)
{
    struct volume_cache_setting setting;
    if (!is_wanted(config))
        return 0;
    int rc = read_setting(config, &setting, err);
    if (rc == 0 && setting.name.len > 0 && volume_cache_check_name(setting.name, err) != 0) {
        err_wrap(err, "--cache-name, RP_CACHE_NAME or RUNPOD_ENDPOINT_ID");
        rc = err->code;
    }
    return rc;
}

/* --- restoring -------------------------------------------------------------------------------- */

static bool is_restore_ending(void)
{
    return atomic_load(&given_up) || wake_wait(stop_of_restore, 0);
}

static void report(const char *what, const char *where, const struct volume_cache_done *done,
                   int64_t begun_ms)
{
    log_write(LOG_INFO, NULL, "Cache: %s %zu files (%.1f MB) %s the volume in %lld ms.", what,
              done->files, (double)done->bytes / 1e6, where,
              (long long)(clock_now_ms() - begun_ms));
    if (done->failed > 0)
        log_write(LOG_WARN, NULL, "Cache: %zu files could not be copied; the first: %s",
                  done->failed, done->first.text);
}

/* 0, or an error that leaves the worker cold. */
static int restore(const struct volume_cache_setting *setting, struct volume_cache_done *done,
                   struct err *err)
{
    struct volume_cache *cache;
    if (setting->name.len == 0)
        return err_set(err, ERR_INPUT,
                       "it has no name: RUNPOD_ENDPOINT_ID and --cache-name are not set");
    int rc = volume_cache_open(&cache, setting, err);
    if (rc != 0)
        return rc;
    rc = volume_cache_restore(cache, done, err);
    volume_cache_close(cache);
    return rc;
}

bool cache_restore(const struct config *config, const struct wake *stop)
{
    struct volume_cache_setting setting;
    struct volume_cache_done done = { 0 };
    struct err err = { 0 };
    int64_t begun_ms = clock_now_ms();
    if (!is_wanted(config) || read_setting(config, &setting, &err) != 0)
        return true;
    setting.is_ending = is_restore_ending;
    stop_of_restore = stop;
    flag_init(&restored);
    atomic_store(&restoring, true);
    int rc = restore(&setting, &done, &err);
    flag_raise(&restored);
    if (rc == 0)
        report("restored", "from", &done, begun_ms);
    else if (rc == ERR_CANCELLED)
        log_write(LOG_INFO, NULL,
                  "Cache: the restore was cut short, since the worker is shutting down.");
    else
        log_write(LOG_WARN, NULL, "Cache: nothing more is restored; the worker starts cold: %s",
                  err.text);
    is_partial = done.is_cut || rc == ERR_RETRY || rc == ERR_MEMORY || rc == ERR_CANCELLED;
    return rc != ERR_CANCELLED;
}

/* --- saving ----------------------------------------------------------------------------------- */

static bool is_given_up(void)
{
    return atomic_load(&given_up);
}

static void *save_main(void *argument)
{
    struct volume_cache_done done = { 0 };
    struct volume_cache *cache = NULL;
    struct err err = { 0 };
    int64_t begun_ms = clock_now_ms();
    (void)argument;
    int rc = volume_cache_open(&cache, &saving, &err);
    if (rc == 0)
        rc = volume_cache_save(cache, &done, &err);
    if (rc == 0)
        report("saved", "to", &done, begun_ms);
    else
        log_write(LOG_WARN, NULL, "Cache: not saved: %s", err.text);
    if (cache != NULL)
        volume_cache_close(cache);
    flag_raise(&ended);
    return NULL;
}

void cache_save(const struct config *config)
{
    struct err err = { 0 };
    if (!is_wanted(config) || name_of(config).len == 0 || read_setting(config, &saving, &err) != 0)
        return;
    if (is_partial) {
        log_write(LOG_WARN, NULL,
                  "Cache: not saved, since it was not restored completely; the volume keeps what "
                  "it has.");
        return;
    }
    saving.is_ending = is_given_up;
    flag_init(&ended);
    atomic_store(&started, true);
    if (thread_start(save_main, NULL, LIMIT_STACK_SERVICE_BYTES, &err) == 0)
        return;
    log_write(LOG_WARN, NULL, "Cache: not saved: %s", err.text);
    flag_raise(&ended);
}

/* It has been told to end, mostly: what it has half written is removed. */
static void end_restore(void)
{
    if (!atomic_load(&restoring) || flag_is_raised(&restored))
        return;
    atomic_store(&given_up, true);
    flag_wait(&restored, clock_deadline(LIMIT_CACHE_CLEAN_MS));
}

void cache_wait(int wait_s)
{
    end_restore();
    if (!atomic_load(&started) || flag_is_raised(&ended))
        return;
    if (wait_s > 0)
        log_write(LOG_INFO, NULL, "Cache: waiting up to %d s for it to be saved.", wait_s);
    if (flag_wait(&ended, clock_deadline((int64_t)wait_s * 1000)))
        return;
    atomic_store(&given_up, true);
    flag_wait(&ended, clock_deadline(LIMIT_CACHE_CLEAN_MS));
}
