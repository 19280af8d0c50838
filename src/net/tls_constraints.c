#include "net/tls_constraints.h"

#include "net/tls_name.h"

enum match { MATCH_NO, MATCH_YES, MATCH_MALFORMED };

static enum match match_if(bool matches)
{
    return matches ? MATCH_YES : MATCH_NO;
}

/* True where `name` is base or, with a label or more before it, ends in it. */
static bool is_domain_within(slice name, slice base)
{
    if (base.len == 0)
        return true;
    if (!slice_ends_nocase(name, base))
        return false;
    return name.len == base.len || base.ptr[0] == '.' || name.ptr[name.len - base.len - 1] == '.';
}

static enum match match_dns(slice name, slice base, bool excluded)
{
    if (base.len > 0 && base.ptr[0] == '.' && name.len == base.len)
        return MATCH_NO;
    if (is_domain_within(name, base))
        return MATCH_YES;
    /* "*.a.test" can be "b.a.test": where that is excluded, so is the wildcard. */
    if (!excluded || name.len < 2 || name.ptr[0] != '*')
        return MATCH_NO;
    slice below = slice_skip(name, 1);
    return match_if(base.len > below.len && slice_ends_nocase(base, below) &&
                    memchr(base.ptr, '.', base.len - below.len) == NULL);
}

/* The base is an address and a mask of the same length. */
static enum match match_address(slice name, slice base)
{
    if (base.len != 8 && base.len != 32)
        return MATCH_MALFORMED;
    if (name.len * 2 != base.len)
        return MATCH_NO;
    for (size_t i = 0; i < name.len; i++)
        if (((name.ptr[i] ^ base.ptr[i]) & base.ptr[name.len + i]) != 0)
            return MATCH_NO;
    return MATCH_YES;
}

/* A host, or with a dot in front all hosts below it. */
static bool is_host_within(slice host, slice base)
{
    return base.len > 0 && base.ptr[0] == '.'
               ? host.len > base.len && slice_ends_nocase(host, base)
               : host.len == base.len && slice_ends_nocase(host, base);
}

static enum match match_mail(slice name, slice base)
{
    const char *at = memrchr(name.ptr, '@', name.len);
    if (at == NULL)
        return MATCH_MALFORMED;
    slice host = slice_skip(name, (size_t)(at - name.ptr) + 1);
    if (base.len == 0 || memchr(base.ptr, '@', base.len) == NULL)
        return match_if(base.len == 0 || is_host_within(host, base));
    /* A whole address: its local part keeps its case. */
    size_t local = name.len - host.len;
    return match_if(base.len == name.len && memcmp(base.ptr, name.ptr, local) == 0 &&
                    slice_ends_nocase(name, slice_skip(base, local)));
}

/* The host of a URI with an authority (RFC 3986, section 3.2). False without one. */
static bool find_uri_host(slice uri, slice *host)
{
    const char *start = memmem(uri.ptr, uri.len, "://", 3);
    if (start == NULL)
        return false;
    *host = slice_skip(uri, (size_t)(start - uri.ptr) + 3);
    for (size_t i = 0; i < host->len; i++)
        if (memchr("/?#", host->ptr[i], 3) != NULL)
            host->len = i;
    const char *at = memrchr(host->ptr, '@', host->len);
    if (at != NULL)
        *host = slice_skip(*host, (size_t)(at - host->ptr) + 1);
    const char *colon = host->len > 0 ? memchr(host->ptr, ':', host->len) : NULL;
    if (colon != NULL)
        host->len = (size_t)(colon - host->ptr);
    return host->len > 0 && host->ptr[0] != '[';
}

static enum match match_uri(slice name, slice base)
{
    slice host;
    if (!find_uri_host(name, &host))
        return MATCH_MALFORMED; /* RFC 5280: such a URI must be refused */
    return match_if(base.len == 0 || is_host_within(host, base));
}

static enum match match(unsigned char kind, slice name, slice base, bool excluded)
{
    switch (kind) {
    case DER_NAME_DNS: return match_dns(name, base, excluded);
    case DER_NAME_ADDRESS: return match_address(name, base);
    case DER_NAME_DIRECTORY: return match_if(tls_name_within(name, base));
    case DER_NAME_MAIL: return match_mail(name, base);
    case DER_NAME_URI: return match_uri(name, base);
    default: return MATCH_MALFORMED; /* a form unknown here */
    }
}

/* GeneralSubtree: a base; minimum and maximum are not used (RFC 5280 wants 0 and absent). */
static bool take_subtree(slice *subtrees, unsigned char *kind, slice *base)
{
    slice subtree;
    return der_expect(subtrees, DER_SEQUENCE, &subtree) && der_next(&subtree, kind, base) &&
           subtree.len == 0;
}

/* Long names cost more than short ones. False where the budget is used up. */
static bool spend(size_t *budget, slice name, slice base)
{
    size_t cost = 1 + (name.len + base.len) / 64;
    bool enough = *budget >= cost;
    *budget = enough ? *budget - cost : 0;
    return enough;
}

/*
 * Compares a name with all subtrees of its form. Sets *limited where there is one, *found where one
 * holds the name. False where that cannot be decided.
 */
static bool look_up(slice subtrees, unsigned char kind, slice name, bool excluded, bool *limited,
                    bool *found, size_t *budget)
{
    unsigned char base_kind;
    slice base;
    *limited = *found = false;
    while (subtrees.len > 0) {
        if (!take_subtree(&subtrees, &base_kind, &base) || !spend(budget, name, base))
            return false;
        if (base_kind != kind)
            continue;
        enum match result = match(kind, name, base, excluded);
        if (result == MATCH_MALFORMED)
            return false;
        *limited = true;
        *found |= result == MATCH_YES;
    }
    return true;
}

struct subtrees {
    slice permitted, excluded; /* content; empty where absent */
};

static bool allows(const struct subtrees *subtrees, unsigned char kind, slice name, size_t *budget)
{
    bool limited, found;
    if (!look_up(subtrees->excluded, kind, name, true, &limited, &found, budget) || found)
        return false;
    return look_up(subtrees->permitted, kind, name, false, &limited, &found, budget) &&
           (!limited || found);
}

/* An empty subject is allowed beside other names (RFC 5280, section 4.2.1.6). */
static bool allows_subject(const struct subtrees *subtrees, slice subject, size_t *budget)
{
    slice copy = subject, content;
    return (der_expect(&copy, DER_SEQUENCE, &content) && content.len == 0) ||
           allows(subtrees, DER_NAME_DIRECTORY, subject, budget);
}

bool tls_constraints_allow(slice constraints, const struct der_certificate *certificate,
                           size_t *budget)
{
    struct subtrees subtrees = { 0 };
    unsigned char kind;
    slice name;
    (void)der_expect(&constraints, DER_CONTEXT_0, &subtrees.permitted);
    (void)der_expect(&constraints, DER_CONTEXT_1, &subtrees.excluded);
    if (constraints.len > 0 || !allows_subject(&subtrees, certificate->subject, budget))
        return false;
    for (slice names = certificate->alt_names; names.len > 0;)
        if (!der_next(&names, &kind, &name) || !allows(&subtrees, kind, name, budget))
            return false;
    return true;
}
