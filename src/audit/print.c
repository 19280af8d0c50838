/* --audit, as text for people and as JSON. */
#include <unistd.h>

#include "audit/rules.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/version.h"
#include "codec/byte_class.h"
#include "json/json.h"

#define SUBJECT_COLUMN_CHARS 38
#define LINE_CHARS 100
#define NOT_LISTED \
    "Not listed: what the handler's own code does, and the files that it names to rp_upload."

static const struct {
    const char *title, *name; /* name: of the member in JSON */
} sections[AUDIT_KIND_COUNT] = {
    [AUDIT_CONNECT] = { "Connects to", "connects" },
    [AUDIT_LISTEN] = { "Listens on", "listens" },
    [AUDIT_READ] = { "Reads (DIR/...: everything below)", "reads" },
    [AUDIT_WRITE] = { "Writes", "writes" },
    [AUDIT_START] = { "Starts programs (their own actions are not listed)", "starts" },
};

static const char *mode_name(unsigned mode)
{
    return mode == MODE_API        ? "job-api"
           : mode == MODE_SERVE    ? "serve"
           : mode == MODE_REALTIME ? "realtime"
           : mode == MODE_LOCAL    ? "local"
                                   : "platform";
}

static const char *handler_kind(const struct audit *audit)
{
    const struct config *config = audit->config;
    return config->handler.http != NULL      ? "server"
           : audit_has_child(audit)          ? "program"
           : audit->program->handler == NULL ? "none"
           : audit_is_isolated(audit)        ? "linked, in a process of its own"
                                             : "linked";
}

/* --- text ------------------------------------------------------------------------------------- */

/* A terminal gets no control bytes. */
static void put_plain(struct buf *out, slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        buf_add(out, byte < 0x20 || byte == 0x7f ? "?" : text.ptr + i, 1, NULL);
    }
}

/* "host:port", "[address]:port", "folder/..." */
static void put_subject(struct buf *out, const struct audit_entry *entry)
{
    bool is_v6 = entry->port >= 0 && memchr(entry->subject.ptr, ':', entry->subject.len) != NULL;
    buf_add_text(out, is_v6 ? "[" : "", NULL);
    put_plain(out, entry->subject);
    buf_add_text(out, is_v6 ? "]" : "", NULL);
    if (entry->port == AUDIT_PORT_ANY)
        buf_add_text(out, ":*", NULL);
    else if (entry->port != AUDIT_PORT_NONE)
        buf_add_format(out, ":%d", entry->port);
    if (entry->tree)
        buf_add_text(out, "/...", NULL);
}

static void put_entry(struct buf *out, const struct audit_entry *entry)
{
    size_t start = out->len;
    buf_add_text(out, "  ", NULL);
    put_subject(out, entry);
    for (size_t i = 0; i < entry->why_count; i++) {
        size_t used = out->len - start;
        if (used >= SUBJECT_COLUMN_CHARS || i > 0) {
            buf_add_text(out, "\n", NULL);
            used = 0;
        }
        buf_add_format(out, "%*s%s", (int)(SUBJECT_COLUMN_CHARS - used), "", entry->whys[i]);
        start = out->len;
    }
    buf_add_text(out, "\n", NULL);
}

static void put_section(struct buf *out, const struct audit *audit, enum audit_kind kind)
{
    bool any = false;
    buf_add_format(out, "\n%s:\n", sections[kind].title);
    for (size_t i = 0; i < audit->count; i++) {
        if (audit->entries[i].kind != kind)
            continue;
        put_entry(out, &audit->entries[i]);
        any = true;
    }
    if (!any)
        buf_add_text(out, "  nothing\n", NULL);
}

static void put_role(struct buf *out, const struct audit_role *role)
{
    const char *const indent = "   ";
    slice rest = slice_from(role->names), name;
    buf_add_format(out, "  %s (%s):\n%s", role->name, role->why, indent);
    size_t line = out->len - strlen(indent);
    while (byte_class_next_word(&rest, " ", &name)) {
        if (out->len - line + 1 + name.len > LINE_CHARS) {
            line = out->len + 1;
            buf_add_format(out, "\n%s", indent);
        }
        buf_add_format(out, " %.*s", SLICE_ARG(name));
    }
    buf_add_text(out, "\n", NULL);
}

static void put_text(struct buf *out, const struct audit *audit)
{
    buf_add_format(out,
                   WORKER_USER_AGENT " with these flags and variables; jobs: %s, handler: %s\n",
                   mode_name(audit->mode), handler_kind(audit));
    if (audit_is_linked(audit))
        buf_add_text(out, NOT_LISTED "\n", NULL);
    for (int kind = 0; kind < AUDIT_KIND_COUNT; kind++)
        put_section(out, audit, (enum audit_kind)kind);
    buf_add_text(out, "\nSystem calls:\n", NULL);
    for (size_t i = 0; i < audit_role_count; i++)
        if (audit_roles[i].applies(audit))
            put_role(out, &audit_roles[i]);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void put_whys(struct buf *out, const struct audit_entry *entry)
{
    for (size_t i = 0; i < entry->why_count; i++)
        json_add(out, NULL, "%s%Q", i > 0 ? ", " : "", entry->whys[i]);
}

/* A path need not be UTF-8. A port is a number, "*", or left out. */
static void put_json_entry(struct buf *out, const struct audit_entry *entry)
{
    bool is_host = entry->port != AUDIT_PORT_NONE;
    buf_add_text(out, is_host ? "{\"host\": " : "{\"path\": ", NULL);
    json_put_lossy(out, entry->subject, NULL);
    if (entry->port == AUDIT_PORT_ANY)
        buf_add_text(out, ", \"port\": \"*\"", NULL);
    else if (is_host)
        buf_add_format(out, ", \"port\": %d", entry->port);
    else if (entry->kind == AUDIT_READ || entry->kind == AUDIT_WRITE)
        buf_add_format(out, ", \"below\": %s", entry->tree ? "true" : "false");
    buf_add_text(out, ", \"why\": [", NULL);
    put_whys(out, entry);
    buf_add_text(out, "]}", NULL);
}

static void put_json_section(struct buf *out, const struct audit *audit, enum audit_kind kind)
{
    bool first = true;
    buf_add_format(out, "\"%s\": [", sections[kind].name);
    for (size_t i = 0; i < audit->count; i++) {
        if (audit->entries[i].kind != kind)
            continue;
        buf_add_text(out, first ? "\n  " : ",\n  ", NULL);
        put_json_entry(out, &audit->entries[i]);
        first = false;
    }
    buf_add_text(out, "],\n", NULL);
}

static void put_json_role(struct buf *out, const struct audit_role *role, bool first)
{
    json_add(out, NULL, "%s{\"role\": %Q, \"why\": %Q, \"calls\": [", first ? "\n  " : ",\n  ",
             role->name, role->why);
    slice rest = slice_from(role->names), name;
    for (first = true; byte_class_next_word(&rest, " ", &name); first = false)
        json_add(out, NULL, "%s%S", first ? "" : ", ", &name);
    buf_add_text(out, "]}", NULL);
}

static void put_json(struct buf *out, const struct audit *audit)
{
    json_add(out, NULL, "{\"worker\": %Q, \"jobs\": %Q, \"handler\": %Q,\n", WORKER_USER_AGENT,
             mode_name(audit->mode), handler_kind(audit));
    json_add(out, NULL, "\"note\": %Q,\n", audit_is_linked(audit) ? NOT_LISTED : "");
    for (int kind = 0; kind < AUDIT_KIND_COUNT; kind++)
        put_json_section(out, audit, (enum audit_kind)kind);
    buf_add_text(out, "\"system_calls\": [", NULL);
    bool first = true;
    for (size_t i = 0; i < audit_role_count; i++) {
        if (!audit_roles[i].applies(audit))
            continue;
        put_json_role(out, &audit_roles[i], first);
        first = false;
    }
    buf_add_text(out, "]}\n", NULL);
}

int audit_print(const struct config *config, const rp_config *program, const char *format,
                struct err *err)
{
    static struct audit audit;
    struct buf out;
    bool as_json = strcmp(format, "json") == 0;
    if (!as_json && format[0] != '\0' && strcmp(format, "text") != 0)
        return err_set(err, ERR_CONFIG, "--audit=%.32s: it must be text or json", format);
    audit_collect(&audit, config, program);
    if (audit.is_cut)
        return err_set(err, ERR_CONFIG, "--audit: there are more than %d hosts, ports and files",
                       AUDIT_ENTRIES_MAX);
    buf_init(&out, LIMIT_MIB, "--audit");
    if (as_json)
        put_json(&out, &audit);
    else
        put_text(&out, &audit);
    int rc = buf_error(&out, err);
    if (rc == 0 && io_write_all(STDOUT_FILENO, buf_slice(&out)) != 0)
        rc = err_set(err, ERR_CONFIG, "--audit: standard output cannot be written to");
    buf_free(&out);
    return rc;
}
