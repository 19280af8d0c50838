/*
 * SSL_CERT_FILE: whatever the file holds, it is refused with a reason, or becomes certificates that
 * can be read and have usable keys, in less room than the file took.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "must.h"
#include "net/tls_roots.h"
#include "net/tls_signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_certificates(slice blob)
{
    struct tls_roots roots = { blob, true };
    struct tls_anchor anchor;
    br_x509_pkey key;
    size_t count = 0;
    for (; tls_roots_next(&roots, &anchor); count++)
        must(anchor.from_a_file && tls_signature_key(&anchor.certificate, &key) == 0);
    must(count > 0 && roots.blob.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct buf blob;
    struct err err;
    int fd = memfd_create("bundle", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    buf_init(&blob, TLS_BUNDLE_FILE_BYTES, "bundle");
    if (tls_bundle_load(&blob, path, &err) == 0) {
        must(blob.len < size);
        check_certificates(buf_slice(&blob));
    } else {
        must(err.code == ERR_CONFIG && strstr(err.text, "SSL_CERT_FILE") != NULL);
    }
    buf_free(&blob);
    close(fd);
    return 0;
}
