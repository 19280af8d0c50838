/* net/tls_errors: every number has a text that names the host, and a code that fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <bearssl.h>

#include "net/tls_errors.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_x509(int number)
{
    return number >= BR_ERR_X509_OK && number <= BR_ERR_X509_NOT_TRUSTED;
}

static void every_number_has_a_text(void **state)
{
    (void)state;
    for (int number = 0; number < 1024; number++) {
        struct err err, handshake;
        int code = tls_error(&err, "the-host.test", number);
        assert_int_equal(code, err.code);
        assert_non_null(strstr(err.text, "the-host.test"));
        int handshake_code = tls_handshake_error(&handshake, "the-host.test", number);
        assert_int_equal(handshake_code, handshake.code);
        assert_non_null(strstr(handshake.text, "the-host.test"));
        if (is_x509(number))
            assert_int_equal(code, ERR_TRUST);
        else
            assert_true(code == ERR_PEER || code == ERR_RETRY || number == BR_ERR_BAD_SIGNATURE ||
                        number == BR_ERR_WRONG_KEY_USAGE);
    }
}

static void texts(void **state)
{
    (void)state;
    static const struct {
        int number, code;
        const char *text;
    } cases[] = {
        { BR_ERR_BAD_MAC, ERR_PEER, "TLS with h: a record was damaged or tampered with" },
        { BR_ERR_BAD_SNI, ERR_PEER, "TLS with h: broken protocol (BearSSL error 21)" },
        { BR_ERR_BAD_SIGNATURE, ERR_TRUST,
          "TLS with h: the server could not prove that the certificate is its own" },
        { BR_ERR_X509_WEAK_PUBLIC_KEY, ERR_TRUST,
          "certificate of h or one above it has an RSA key of less than 2048 bits" },
        { BR_ERR_X509_BAD_DN, ERR_TRUST, "certificate of h is malformed (BearSSL error 47)" },
        { 256 + BR_ALERT_BAD_RECORD_MAC, ERR_PEER, "h ended TLS with the alert bad_record_mac" },
        { 256 + BR_ALERT_INTERNAL_ERROR, ERR_RETRY, "h ended TLS with the alert internal_error" },
        { 256 + BR_ALERT_HANDSHAKE_FAILURE, ERR_PEER,
          "h ended TLS with the alert handshake_failure" },
        { 256 + 99, ERR_PEER, "h ended TLS with alert number 99" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err err;
        assert_int_equal(tls_error(&err, "h", cases[i].number), cases[i].code);
        assert_string_equal(err.text, cases[i].text);
    }
}

static void a_refused_handshake_says_what_may_be_the_matter(void **state)
{
    (void)state;
    struct err err;
    tls_handshake_error(&err, "h", 256 + BR_ALERT_PROTOCOL_VERSION);
    assert_string_equal(err.text, "h did not agree to TLS 1.2 (it may speak only TLS 1.3; this "
                                  "worker speaks TLS 1.2)");
    tls_handshake_error(&err, "h", 256 + BR_ALERT_HANDSHAKE_FAILURE);
    assert_non_null(strstr(err.text, "h did not agree to TLS 1.2"));
    assert_non_null(strstr(err.text, "cipher"));
    assert_int_equal(tls_handshake_error(&err, "h", BR_ERR_OK), ERR_RETRY);
}

static void a_long_host_leaves_room_for_the_text(void **state)
{
    (void)state;
    char host[256];
    struct err err;
    memset(host, 'h', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    tls_error(&err, host, BR_ERR_X509_CRITICAL_EXTENSION);
    assert_non_null(strstr(err.text, "critical extension this worker does not know"));
    tls_handshake_error(&err, host, 256 + BR_ALERT_HANDSHAKE_FAILURE);
    assert_non_null(strstr(err.text, "ChaCha20-Poly1305)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_has_a_text),
        cmocka_unit_test(texts),
        cmocka_unit_test(a_refused_handshake_says_what_may_be_the_matter),
        cmocka_unit_test(a_long_host_leaves_room_for_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
