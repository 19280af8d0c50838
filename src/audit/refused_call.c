#include "audit/refused_call.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH_CHARS 200 /* of a path, in the line */

/* Those that are watched, and of the others those that a handler is likely to use. */
static const struct call_kind call_kinds[] = {
#ifdef SYS_open
    { SYS_open, FORM_PATH, "open" },         { SYS_creat, FORM_PATH, "creat" },
    { SYS_mkdir, FORM_PATH, "mkdir" },       { SYS_rmdir, FORM_PATH, "rmdir" },
    { SYS_unlink, FORM_PATH, "unlink" },     { SYS_rename, FORM_PATH, "rename" },
    { SYS_link, FORM_PATH, "link" },         { SYS_symlink, FORM_PATH, "symlink" },
    { SYS_fork, FORM_OTHER, "fork" },        { SYS_vfork, FORM_OTHER, "vfork" },
#endif
    { SYS_openat, FORM_AT, "openat" },       { SYS_mkdirat, FORM_AT, "mkdirat" },
    { SYS_unlinkat, FORM_AT, "unlinkat" },   { SYS_renameat, FORM_AT, "renameat" },
    { SYS_renameat2, FORM_AT, "renameat2" }, { SYS_truncate, FORM_PATH, "truncate" },
    { SYS_chdir, FORM_PATH, "chdir" },       { SYS_execve, FORM_PATH, "execve" },
    { SYS_execveat, FORM_AT, "execveat" },   { SYS_connect, FORM_ADDRESS, "connect" },
    { SYS_bind, FORM_ADDRESS, "bind" },      { SYS_clone, FORM_OTHER, "clone" },
    { SYS_socket, FORM_OTHER, "socket" },    { SYS_socketpair, FORM_OTHER, "socketpair" },
    { SYS_ptrace, FORM_OTHER, "ptrace" },
};

void refused_call_name(struct refused_call *call)
{
    call->kind = NULL;
    for (size_t i = 0; i < sizeof call_kinds / sizeof call_kinds[0] && !call->is_foreign; i++)
        if (call_kinds[i].number == call->number)
            call->kind = &call_kinds[i];
}

static bool is_at(const struct refused_call *call)
{
    return call->kind != NULL && call->kind->form == FORM_AT;
}

bool refused_call_has_path(const struct refused_call *call)
{
    return is_at(call) || (call->kind != NULL && call->kind->form == FORM_PATH);
}

uintptr_t refused_call_path(const struct refused_call *call)
{
    return (uintptr_t)call->arguments[is_at(call) ? 1 : 0];
}

int refused_call_folder(const struct refused_call *call)
{
    return is_at(call) ? (int)call->arguments[0] : AT_FDCWD;
}

bool refused_call_is_open(const struct refused_call *call)
{
#ifdef SYS_open
    if (call->number == SYS_open)
        return true;
#endif
    return call->number == SYS_openat;
}

int refused_call_open_flags(const struct refused_call *call)
{
    return (int)call->arguments[is_at(call) ? 2 : 1];
}

int refused_call_open_mode(int flags)
{
    int way = flags & REFUSED_CALL_ACCMODE;
    bool writes = way != O_RDONLY || (flags & O_TRUNC) != 0;
    return (way == O_WRONLY ? 0 : R_OK) | (writes ? W_OK : 0);
}

static void put_path(struct signal_line *line, const char *path)
{
    signal_line_add(line, " of '");
    signal_line_add_plain(line, (slice){ path, strnlen(path, PATH_CHARS) });
    signal_line_add(line, "'");
}

void refused_call_put(struct signal_line *line, const struct refused_call *call, const char *path,
                      int port)
{
    if (call->kind == NULL) {
        signal_line_add(line,
                        call->is_foreign ? "another processor's system call " : "system call ");
        signal_line_add_number(line, (unsigned)call->number, 10);
        return;
    }
    signal_line_add(line, call->kind->name);
    if (path != NULL && refused_call_has_path(call))
        put_path(line, path);
    if (port < 0 || call->kind->form != FORM_ADDRESS)
        return;
    signal_line_add(line, " to port ");
    signal_line_add_number(line, (unsigned)port, 10);
}
