/*
 * Not a handler: says what the worker thinks of certificates. Each line of stdin is
 *
 *   HOST TIME ROOTS CHAIN
 *
 * with the time of the check in seconds since 1970, a PEM file as in SSL_CERT_FILE, and a file of
 * certificates in DER, one after the other, the server's own first. Answers a line for each:
 * "good", or the error's text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/tls.h"
#include "net/tls_der.h"

#define CHAIN_BYTES (1 << 20)
#define CHAIN_CERTIFICATES 4096

static size_t read_chain(const char *path, char *bytes, slice *chain)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        exit(1);
    slice rest = { bytes, fread(bytes, 1, CHAIN_BYTES, file) };
    fclose(file);
    size_t count = 0;
    while (count < CHAIN_CERTIFICATES && der_expect_whole(&rest, DER_SEQUENCE, &chain[count]))
        count++;
    return count;
}

static int check(const char *host, long long now, const char *roots, const char *chain_path,
                 struct err *err)
{
    static char bytes[CHAIN_BYTES];
    static slice chain[CHAIN_CERTIFICATES];
    struct tls_context *context;
    size_t count = read_chain(chain_path, bytes, chain);
    int rc = tls_context_new(&context, roots, err);
    if (rc != 0)
        return rc;
    rc = tls_check_chain(context, slice_from(host), chain, count, now, err);
    tls_context_free(context);
    return rc;
}

int main(void)
{
    char host[300], roots[1024], chain[1024];
    long long now;
    while (scanf("%299s %lld %1023s %1023s", host, &now, roots, chain) == 4) {
        struct err err;
        puts(check(host, now, roots, chain, &err) == 0 ? "good" : err.text);
        fflush(stdout);
    }
    return 0;
}
