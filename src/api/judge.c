#include "api/judge.h"

#include <stdlib.h>

#include "codec/ip.h"

static int judge_address(const struct address_filter *self, const struct address *address,
                         struct err *err)
{
    const struct judge *judge = (const void *)self;
    char text[ADDRESS_TEXT_BYTES];
    const struct ip ip = address_ip(address);
    address_text(address, text);
    if (ip_in_ranges(&ip, judge->denied))
        return err_set(err, ERR_INPUT, "%s is denied by RP_DENY_DOWNLOADS", text);
    if (!judge->only_public || ip_is_public(&ip))
        return 0;
    return err_set(err, ERR_INPUT,
                   "%s is not a public address (RP_ALLOW_PRIVATE_DOWNLOADS=1 would allow it)",
                   text);
}

static bool is_on(const char *name)
{
    slice value = slice_from(secure_getenv(name));
    return slice_is(value, "1") || slice_is_nocase(value, "true") || slice_is_nocase(value, "yes");
}

void judge_init(struct judge *judge, const struct config *config, bool allow_private)
{
    *judge = (struct judge){
        .filter = { judge_address },
        .only_public = !allow_private && !is_on("RP_ALLOW_PRIVATE_DOWNLOADS") &&
                       !is_on("RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS"),
        .denied = config->denied_downloads,
    };
}

const struct address_filter *judge_filter(const struct judge *judge)
{
    bool judges = judge->only_public || (judge->denied != NULL && judge->denied[0] != '\0');
    return judges ? &judge->filter : NULL;
}
