/* worker.h: models that the platform has cached on the machine. */
#include <limits.h>
#include <stdio.h>

#include "base/utf8.h"
#include "files/model_cache.h"

int rp_model_path(const char *model, char *path, size_t size)
{
    struct err err;
    char found[PATH_MAX];
    int rc = model_cache_find(slice_from(model), found, sizeof found, &err);
    if (rc == 0 && strlen(found) >= size)
        rc = err_set(&err, ERR_CONFIG, "the path of the model %.100s does not fit %zu bytes", model,
                     size);
    snprintf(path, size, "%s", rc == 0 ? found : err.text);
    if (size > 0)
        path[utf8_whole(slice_from(path)).len] = '\0';
    return rc == 0 ? RP_OK : rc == ERR_CONFIG ? RP_WRONG : RP_MISSING;
}
