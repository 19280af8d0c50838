#include "codec/shell_words.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct cut {
    const char *at, *end;
    char *to;
};

static int add_quoted(struct cut *cut, struct err *err)
{
    char quote = *cut->at++;
    for (; cut->at < cut->end && *cut->at != quote; cut->at++) {
        bool escape = quote == '"' && *cut->at == '\\' && cut->end - cut->at > 1;
        if (escape && cut->at[1] == '\n')
            cut->at++;
        else if (escape && strchr("\"\\$`", cut->at[1]) != NULL)
            *cut->to++ = *++cut->at;
        else
            *cut->to++ = *cut->at;
    }
    if (cut->at == cut->end)
        return err_set(err, ERR_INPUT, "a %s quote is not closed",
                       quote == '"' ? "double" : "single");
    cut->at++;
    return 0;
}

static int add_escaped(struct cut *cut, struct err *err)
{
    if (cut->end - cut->at < 2)
        return err_set(err, ERR_INPUT, "it ends with a backslash");
    if (cut->at[1] != '\n')
        *cut->to++ = cut->at[1];
    cut->at += 2;
    return 0;
}

// NOLINTNEXTLINE(readability-non-const-parameter): written through cut.to
int shell_words_next(slice *rest, char *to, slice *word, struct err *err)
{
    if (rest->len == 0)
        return 0;
    struct cut cut = { .at = rest->ptr, .end = rest->ptr + rest->len, .to = to };
    int rc = 0;
    if (memchr(rest->ptr, '\0', rest->len) != NULL)
        return err_set(err, ERR_INPUT, "it holds a NUL byte");
    while (cut.at < cut.end && is_blank(*cut.at))
        cut.at++;
    if (cut.at == cut.end)
        return 0;
    while (rc == 0 && cut.at < cut.end && !is_blank(*cut.at)) {
        if (*cut.at == '\'' || *cut.at == '"')
            rc = add_quoted(&cut, err);
        else if (*cut.at == '\\')
            rc = add_escaped(&cut, err);
        else
            *cut.to++ = *cut.at++;
    }
    if (rc != 0)
        return rc;
    *cut.to = '\0';
    *word = (slice){ to, (size_t)(cut.to - to) };
    *rest = (slice){ cut.at, (size_t)(cut.end - cut.at) };
    return 1;
}
