#include "net/tls_path.h"

#include <stdlib.h>
#include <string.h>

#include "net/tls_constraints.h"
#include "net/tls_name.h"
#include "net/tls_signature.h"

enum outcome { UNTRIED, GOOD, BAD };

/* Everything that may become a part of the path: what the server sent, then roots. */
#define CANDIDATES (TLS_CHAIN_CERTIFICATES + TLS_PATH_ANCHORS)

struct search {
    struct tls_path *path;
    struct der_certificate sent[TLS_CHAIN_CERTIFICATES];
    size_t sent_count;
    struct tls_anchor anchors[TLS_PATH_ANCHORS];
    size_t anchor_count;
    const struct der_certificate *steps[TLS_PATH_DEPTH + 1]; /* the path at work */
    size_t tried[TLS_PATH_DEPTH + 1]; /* for each: the last issuer that was tried above it */
    size_t depth;                     /* certificates on the path */
    /* What was found out once, for each certificate that was sent: */
    bool issuer_named[TLS_CHAIN_CERTIFICATES][CANDIDATES]; /* its issuer bears that one's name */
    uint32_t issuer_digest[TLS_CHAIN_CERTIFICATES];
    size_t first_equal[TLS_CHAIN_CERTIFICATES]; /* the first one sent with its name and key */
    unsigned char signatures[TLS_CHAIN_CERTIFICATES][CANDIDATES]; /* enum outcome, signer second */
    unsigned signatures_left, steps_left;
    size_t name_checks_left;
    unsigned reason; /* the best one so far */
};

/* --- reasons --- */

/* What is wrong with a path that leads somewhere says more than that one leads nowhere. */
static unsigned weight(unsigned reason)
{
    return reason == 0 ? 0 : reason == BR_ERR_X509_NOT_TRUSTED ? 1 : 2;
}

/* Notes why the path at work, with this certificate at its end where it is not NULL, won't do. */
static bool refuse(struct search *search, unsigned reason, size_t at_fault,
                   const struct der_certificate *last)
{
    struct tls_path *path = search->path;
    size_t count = search->depth + (last != NULL);
    if (weight(reason) < weight(search->reason) ||
        (weight(reason) == weight(search->reason) && count <= path->count))
        return false;
    search->reason = reason;
    path->at_fault = at_fault;
    path->count = count;
    for (size_t i = 0; i < search->depth; i++)
        path->certificates[i] = *search->steps[i];
    if (last != NULL)
        path->certificates[search->depth] = *last;
    return false;
}

/* --- what every certificate must satisfy --- */

static unsigned check_any(const struct search *search, const struct der_certificate *certificate)
{
    int64_t now = search->path->now;
    br_x509_pkey key;
    if (certificate->not_before == DER_NO_TIME || certificate->not_after == DER_NO_TIME)
        return BR_ERR_X509_BAD_TIME;
    if (now < certificate->not_before || now > certificate->not_after)
        return BR_ERR_X509_EXPIRED;
    if (certificate->unknown_critical)
        return BR_ERR_X509_CRITICAL_EXTENSION;
    if (certificate->purposes.ptr != NULL && !der_purpose_is_server(certificate->purposes))
        return BR_ERR_X509_FORBIDDEN_KEY_USAGE;
    return tls_signature_key(certificate, &key);
}

static size_t index_of(const struct search *search, const struct der_certificate *sent)
{
    return (size_t)(sent - search->sent);
}

static bool is_self_issued(const struct search *search, const struct der_certificate *sent)
{
    size_t i = index_of(search, sent);
    return search->issuer_named[i][i];
}

/* Authorities between this place on the path and the server's certificate; see RFC 5280, 6.1.4. */
static int64_t count_below(const struct search *search)
{
    int64_t count = 0;
    for (size_t i = 1; i < search->depth; i++)
        count += !is_self_issued(search, search->steps[i]);
    return count;
}

/* Self-issued authorities are not bound by constraints above them (RFC 5280, section 6.1.3). */
static bool allows_names_below(struct search *search, slice constraints)
{
    for (size_t i = 0; i < search->depth; i++) {
        if (i > 0 && is_self_issued(search, search->steps[i]))
            continue;
        if (!tls_constraints_allow(constraints, search->steps[i], &search->name_checks_left))
            return false;
    }
    return true;
}

/* True where this authority may stand above the path at work. */
static bool may_issue(struct search *search, const struct der_certificate *authority)
{
    unsigned reason = check_any(search, authority);
    if (reason == 0 && !authority->is_ca)
        reason = BR_ERR_X509_NOT_CA;
    if (reason == 0 && authority->has_key_usage &&
        (authority->key_usage & DER_USAGE_CERTIFICATE_SIGN) == 0)
        reason = BR_ERR_X509_FORBIDDEN_KEY_USAGE;
    if (reason == 0 && authority->path_length != DER_NO_PATH_LENGTH &&
        count_below(search) > authority->path_length)
        reason = BR_ERR_X509_NOT_CA;
    if (reason != 0)
        return refuse(search, reason, search->depth, authority);
    if (authority->name_constraints.ptr != NULL &&
        !allows_names_below(search, authority->name_constraints))
        return refuse(search,
                      search->name_checks_left > 0 ? TLS_PATH_NAMES_FORBIDDEN
                                                   : TLS_PATH_TOO_MUCH_WORK,
                      search->depth, authority);
    return true;
}

/* --- signatures: each pair is checked once --- */

static bool signed_by(struct search *search, size_t signed_one, size_t signer,
                      const br_x509_pkey *key, unsigned *reason)
{
    unsigned char *known = &search->signatures[signed_one][signer];
    *reason = BR_ERR_X509_BAD_SIGNATURE;
    if (*known != UNTRIED)
        return *known == GOOD;
    if (search->signatures_left == 0) {
        *reason = TLS_PATH_TOO_MUCH_WORK;
        return false;
    }
    search->signatures_left--;
    *reason = tls_signature_check(&search->sent[signed_one], key);
    *known = *reason == 0 ? GOOD : BAD;
    return *known == GOOD;
}

/* --- roots --- */

static bool ends_in(struct search *search, size_t which)
{
    const struct tls_anchor *anchor = &search->anchors[which];
    const struct der_certificate *last = search->steps[search->depth - 1];
    br_x509_pkey key = anchor->key;
    unsigned reason;
    const size_t candidate = TLS_CHAIN_CERTIFICATES + which;
    if (!search->issuer_named[index_of(search, last)][candidate])
        return false;
    search->path->issuer_name_known = true;
    if (anchor->from_a_file) {
        if (!may_issue(search, &anchor->certificate))
            return false;
        (void)tls_signature_key(&anchor->certificate, &key); /* was read before: may_issue */
    }
    if (signed_by(search, index_of(search, last), candidate, &key, &reason))
        return true;
    /* A root of the same name is not the issuer then: the issuer is unknown. */
    bool decided = reason == BR_ERR_X509_BAD_SIGNATURE || reason == BR_ERR_X509_WRONG_KEY_TYPE;
    return refuse(search, decided ? BR_ERR_X509_NOT_TRUSTED : reason, search->depth - 1, NULL);
}

/* --- intermediates --- */

/* True where this authority is on the path already, be it by another certificate. */
static bool is_on_path(const struct search *search, size_t candidate)
{
    for (size_t i = 0; i < search->depth; i++)
        if (search->first_equal[index_of(search, search->steps[i])] ==
            search->first_equal[candidate])
            return true;
    return false;
}

/* True where a certificate that was sent is the issuer of the last one on the path at work. */
static bool goes_on_with(struct search *search, const struct der_certificate *authority)
{
    const size_t last = index_of(search, search->steps[search->depth - 1]);
    const size_t candidate = index_of(search, authority);
    br_x509_pkey key;
    unsigned reason;
    if (!search->issuer_named[last][candidate] || is_on_path(search, candidate))
        return false;
    if (search->steps_left == 0)
        return refuse(search, TLS_PATH_TOO_MUCH_WORK, search->depth - 1, NULL);
    search->steps_left--;
    if (!may_issue(search, authority))
        return false;
    (void)tls_signature_key(authority, &key); /* was read before: may_issue */
    return signed_by(search, last, candidate, &key, &reason) ||
           refuse(search, reason, search->depth - 1, authority);
}

static void step_to(struct search *search, const struct der_certificate *certificate)
{
    search->tried[search->depth] = 0;
    search->steps[search->depth++] = certificate;
}

/* Puts the next issuer on the path, where one is left to try. */
static bool step_further(struct search *search)
{
    size_t *tried = &search->tried[search->depth - 1];
    while (search->depth < TLS_PATH_DEPTH && ++*tried < search->sent_count) {
        const struct der_certificate *authority = &search->sent[*tried];
        if (goes_on_with(search, authority)) {
            step_to(search, authority);
            return true;
        }
    }
    return false;
}

/* True where a root issued the last certificate on the path at work. */
static bool has_arrived(struct search *search)
{
    for (size_t i = 0; i < search->anchor_count; i++)
        if (ends_in(search, i))
            return true;
    return false;
}

/* False where nobody can have signed the last certificate on the path in a way accepted here. */
static bool is_checkable(struct search *search)
{
    const struct der_certificate *last = search->steps[search->depth - 1];
    return tls_signature_is_known(last->signature_oid) || is_self_issued(search, last) ||
           refuse(search, BR_ERR_X509_UNSUPPORTED, search->depth - 1, NULL);
}

/* Looks for a root, depth first: every certificate on the path is at its next candidate. */
static bool find_root(struct search *search)
{
    bool arrived_at_new = true;
    while (search->depth > 0) {
        if (arrived_at_new && is_checkable(search) && has_arrived(search))
            return true;
        arrived_at_new = step_further(search);
        if (!arrived_at_new) {
            refuse(search, BR_ERR_X509_NOT_TRUSTED, search->depth - 1, NULL);
            search->depth--;
        }
    }
    return false;
}

/* --- the server's certificate --- */

static bool names_peer(slice alt_names, const struct tls_peer *peer)
{
    slice address = { (const char *)peer->address, peer->address_bytes }, name;
    enum der_name_kind kind;
    while (der_next_name(&alt_names, &kind, &name)) {
        if (peer->address_bytes > 0 ? kind == DER_NAME_ADDRESS && slice_equal(name, address)
                                    : kind == DER_NAME_DNS && tls_name_is_host(name, peer->host))
            return true;
    }
    return false;
}

static unsigned check_server(const struct search *search, const struct der_certificate *server)
{
    unsigned reason = check_any(search, server);
    if (reason != 0)
        return reason;
    if (!names_peer(server->alt_names, search->path->peer))
        return BR_ERR_X509_BAD_SERVER_NAME;
    if (server->has_key_usage && (server->key_usage & DER_USAGE_DIGITAL_SIGNATURE) == 0)
        return TLS_PATH_NO_SIGNING;
    return 0;
}

/* True where SSL_CERT_FILE holds the server's certificate itself. */
static bool is_pinned(const struct tls_path *path, const struct der_certificate *server)
{
    struct tls_roots rest = path->roots;
    struct tls_anchor anchor;
    while (rest.from_a_file && tls_roots_next(&rest, &anchor))
        if (slice_equal(anchor.certificate.whole, server->whole))
            return true;
    return false;
}

/* --- the search --- */

static bool was_sent(const struct search *search, slice whole)
{
    for (size_t i = 0; i < search->sent_count; i++)
        if (slice_equal(search->sent[i].whole, whole))
            return true;
    return false;
}

/* Strangers that cannot be read do no harm; the server's own certificate must be readable. */
static bool read_chain(struct search *search, const slice *chain, size_t count)
{
    for (size_t i = 0; i < count && search->sent_count < TLS_CHAIN_CERTIFICATES; i++) {
        struct der_certificate *next = &search->sent[search->sent_count];
        bool readable = der_certificate(chain[i], next) && next->whole.len == chain[i].len;
        if (i == 0 && !readable)
            return false;
        if (readable && !was_sent(search, next->whole))
            search->sent_count++;
    }
    return true;
}

static size_t find_equal(const struct search *search, size_t certificate)
{
    const struct der_certificate *wanted = &search->sent[certificate];
    size_t i = 0;
    while (i < certificate && !(slice_equal(search->sent[i].key, wanted->key) &&
                                tls_name_equal(search->sent[i].subject, wanted->subject)))
        i++;
    return i;
}

/* True where the issuer of a certificate that was sent bears this root's name. */
static bool is_issued_by(const struct search *search, size_t sent, const struct tls_anchor *anchor)
{
    return anchor->from_a_file
               ? tls_name_equal(search->sent[sent].issuer, anchor->certificate.subject)
               : search->issuer_digest[sent] == anchor->name_digest;
}

/* Notes whose issuer bears this root's name. False where there is none. */
static bool note_anchor(struct search *search, size_t which)
{
    bool any = false;
    for (size_t i = 0; i < search->sent_count; i++) {
        bool named = is_issued_by(search, i, &search->anchors[which]);
        search->issuer_named[i][TLS_CHAIN_CERTIFICATES + which] = named;
        any |= named;
    }
    return any;
}

static void compare_names(struct search *search)
{
    for (size_t i = 0; i < search->sent_count; i++) {
        search->first_equal[i] = find_equal(search, i);
        search->issuer_digest[i] = tls_name_digest(search->sent[i].issuer);
        for (size_t j = 0; j < search->sent_count; j++)
            search->issuer_named[j][i] = tls_name_equal(search->sent[j].issuer,
                                                        search->sent[i].subject);
    }
}

static void gather_anchors(struct search *search)
{
    struct tls_roots rest = search->path->roots;
    while (search->anchor_count < TLS_PATH_ANCHORS &&
           tls_roots_next(&rest, &search->anchors[search->anchor_count]))
        search->anchor_count += note_anchor(search, search->anchor_count);
}

static unsigned run(struct search *search)
{
    const struct der_certificate *server = &search->sent[0];
    step_to(search, server);
    unsigned reason = check_server(search, server);
    if (reason == 0 && is_pinned(search->path, server))
        return 0;
    compare_names(search);
    gather_anchors(search);
    if (reason != 0) {
        refuse(search, reason, 0, NULL);
        return reason;
    }
    return find_root(search) ? 0 : search->reason;
}

unsigned tls_path_check(struct tls_path *path, const slice *chain, size_t count, br_x509_pkey *key,
                        unsigned *usages)
{
    struct search *search = calloc(1, sizeof *search);
    if (search == NULL)
        return TLS_PATH_TOO_MUCH_WORK;
    search->path = path;
    search->signatures_left = TLS_PATH_SIGNATURES;
    search->steps_left = TLS_PATH_STEPS;
    search->name_checks_left = TLS_PATH_NAME_CHECKS;
    path->count = 0;
    path->issuer_name_known = false;
    unsigned reason = read_chain(search, chain, count) ? run(search) : BR_ERR_X509_INVALID_VALUE;
    if (reason == 0) {
        const struct der_certificate *server = &search->sent[0];
        bool encrypts = !server->has_key_usage ||
                        (server->key_usage & DER_USAGE_KEY_ENCIPHERMENT) != 0;
        (void)tls_signature_key(server, key); /* was read before: check_any */
        *usages = BR_KEYTYPE_SIGN | (encrypts ? BR_KEYTYPE_KEYX : 0);
    }
    free(search);
    return reason;
}
