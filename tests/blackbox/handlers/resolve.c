/*
 * Looks a name up with the worker's own resolver: {"host", "timeout_ms"} becomes {"addresses"}, or
 * {"reason", "timed_out"}.
 */
#include <stdio.h>

#include "net/resolve.h"
#include "worker.h"

struct input {
    const char *host;
    int timeout_ms;
};

static const rp_field fields[] = {
    { RP_FIELD(struct input, host), .required = true },
    { RP_FIELD(struct input, timeout_ms), .fallback.integer = 10000 },
};

static int look_up(rp_job *job, void *user)
{
    static struct address_list list;
    struct input in;
    struct err err = { 0 };
    (void)user;
    if (rp_validate(job, rp_input(job), fields, &in, 0) != RP_OK)
        return RP_FAILED;
    int rc = address_resolve(&list, slice_from(in.host), 80, NULL, clock_deadline(in.timeout_ms),
                             &err);
    if (rc != 0)
        return rp_return(job, "{\"reason\": %Q, \"timed_out\": %B}", err.text, rc == ERR_TIMEOUT);
    char text[ADDRESS_LIST_MAX * ADDRESS_TEXT_BYTES];
    size_t len = 0;
    for (size_t i = 0; i < list.count; i++) {
        char address[ADDRESS_TEXT_BYTES];
        address_text(&list.items[i], address);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s\"%s\"", i > 0 ? ", " : "",
                                address);
    }
    rp_str addresses = { text, len };
    return rp_return(job, "{\"addresses\": [%J]}", &addresses);
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = look_up, .audit = &rp_audit_part });
}
