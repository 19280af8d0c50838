#include "net/tls_errors.h"

#include <bearssl.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * For X.509 numbers (32 to 63) a text continues "certificate of HOST ", else "TLS with HOST: ".
 */
static const struct {
    int number;
    int code;
    const char *text;
} errors[] = {
    { BR_ERR_UNSUPPORTED_VERSION, ERR_PEER,
      "the server chose a TLS version before 1.2; this worker speaks TLS 1.2" },
    { BR_ERR_BAD_VERSION, ERR_PEER, "the server changed the TLS version midway" },
    { BR_ERR_BAD_LENGTH, ERR_PEER, "a record with an invalid length" },
    { BR_ERR_TOO_LARGE, ERR_PEER, "a record larger than allowed" },
    { BR_ERR_BAD_MAC, ERR_PEER, "a record was damaged or tampered with" },
    { BR_ERR_NO_RANDOM, ERR_RETRY, "the system gave no random bytes" },
    { BR_ERR_UNEXPECTED, ERR_PEER, "a message out of sequence" },
    { BR_ERR_BAD_CIPHER_SUITE, ERR_PEER, "the server chose a cipher that was not offered" },
    { BR_ERR_BAD_FINISHED, ERR_PEER, "the handshake was damaged or tampered with" },
    { BR_ERR_RESUME_MISMATCH, ERR_PEER, "the server resumed a session with other parameters" },
    { BR_ERR_INVALID_ALGORITHM, ERR_PEER,
      "the server chose a curve or a signature algorithm that was not offered" },
    { BR_ERR_BAD_SIGNATURE, ERR_TRUST,
      "the server could not prove that the certificate is its own" },
    { BR_ERR_WRONG_KEY_USAGE, ERR_TRUST,
      "the key of the server's certificate is not of the kind the chosen cipher needs" },
    { BR_ERR_X509_EMPTY_CHAIN, ERR_TRUST, "was not sent" },
    { BR_ERR_X509_INVALID_VALUE, ERR_TRUST, "or one above it is malformed" },
    { BR_ERR_X509_BAD_TIME, ERR_TRUST, "or one above it has a date that cannot be read" },
    { BR_ERR_X509_UNSUPPORTED, ERR_TRUST,
      "or one above it uses an algorithm this worker does not accept" },
    { BR_ERR_X509_LIMIT_EXCEEDED, ERR_TRUST,
      "or one above it has a key or a signature larger than RSA with 4096 bits" },
    { BR_ERR_X509_WRONG_KEY_TYPE, ERR_TRUST,
      "or one above it was signed with a key of another kind than its issuer's" },
    { BR_ERR_X509_BAD_SIGNATURE, ERR_TRUST,
      "or one above it has a signature that its issuer's key did not make" },
    { BR_ERR_X509_EXPIRED, ERR_TRUST, "or one above it has expired or is not valid yet" },
    { BR_ERR_X509_BAD_SERVER_NAME, ERR_TRUST, "is for another name" },
    { BR_ERR_X509_CRITICAL_EXTENSION, ERR_TRUST,
      "or one above it has a critical extension this worker does not know" },
    { BR_ERR_X509_NOT_CA, ERR_TRUST,
      "was issued by a certificate that is not a CA's, or by a CA with too long a chain" },
    { BR_ERR_X509_FORBIDDEN_KEY_USAGE, ERR_TRUST,
      "or one above it has a key that may not be used for this" },
    { BR_ERR_X509_WEAK_PUBLIC_KEY, ERR_TRUST,
      "or one above it has an RSA key of less than 2048 bits" },
    { BR_ERR_X509_NOT_TRUSTED, ERR_TRUST, "was issued by an unknown authority" },
};

/* RFC 5246, section 7.2, and RFC 6066, section 9. Names in place: a pointer costs 32 bytes here. */
static const struct {
    unsigned char number;
    char name[24];
} alerts[] = {
    { 0, "close_notify" },
    { BR_ALERT_UNEXPECTED_MESSAGE, "unexpected_message" },
    { BR_ALERT_BAD_RECORD_MAC, "bad_record_mac" },
    { BR_ALERT_RECORD_OVERFLOW, "record_overflow" },
    { BR_ALERT_HANDSHAKE_FAILURE, "handshake_failure" },
    { BR_ALERT_BAD_CERTIFICATE, "bad_certificate" },
    { BR_ALERT_UNSUPPORTED_CERTIFICATE, "unsupported_certificate" },
    { BR_ALERT_CERTIFICATE_UNKNOWN, "certificate_unknown" },
    { BR_ALERT_ILLEGAL_PARAMETER, "illegal_parameter" },
    { BR_ALERT_UNKNOWN_CA, "unknown_ca" },
    { BR_ALERT_ACCESS_DENIED, "access_denied" },
    { BR_ALERT_DECODE_ERROR, "decode_error" },
    { BR_ALERT_DECRYPT_ERROR, "decrypt_error" },
    { BR_ALERT_PROTOCOL_VERSION, "protocol_version" },
    { BR_ALERT_INSUFFICIENT_SECURITY, "insufficient_security" },
    { BR_ALERT_INTERNAL_ERROR, "internal_error" },
    { BR_ALERT_USER_CANCELED, "user_canceled" },
    { BR_ALERT_NO_RENEGOTIATION, "no_renegotiation" },
    { BR_ALERT_UNSUPPORTED_EXTENSION, "unsupported_extension" },
    { 112, "unrecognized_name" },
    { 116, "certificate_required" },
};

static int alert_error(struct err *err, const char *host, int alert)
{
    int code = alert == BR_ALERT_INTERNAL_ERROR || alert == BR_ALERT_USER_CANCELED ? ERR_RETRY
                                                                                   : ERR_PEER;
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++)
        if (alerts[i].number == alert)
            return err_set(err, code, "%.100s ended TLS with the alert %s", host, alerts[i].name);
    return err_set(err, code, "%.100s ended TLS with alert number %d", host, alert);
}

int tls_error(struct err *err, const char *host, int number)
{
    if (number >= BR_ERR_RECV_FATAL_ALERT && number < BR_ERR_SEND_FATAL_ALERT)
        return alert_error(err, host, number - BR_ERR_RECV_FATAL_ALERT);
    bool certificate = number >= BR_ERR_X509_OK && number <= BR_ERR_X509_NOT_TRUSTED;
    const char *before = certificate ? "certificate of " : "TLS with ";
    const char *after = certificate ? " " : ": ";
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].number == number)
            return err_set(err, errors[i].code, "%s%.100s%s%s", before, host, after,
                           errors[i].text);
    return err_set(err, certificate ? ERR_TRUST : ERR_PEER, "%s%.100s%s%s (BearSSL error %d)",
                   before, host, after, certificate ? "is malformed" : "broken protocol", number);
}

int tls_handshake_error(struct err *err, const char *host, int number)
{
    switch (number) {
    case BR_ERR_OK:
        return err_set(err, ERR_RETRY, "%.100s ended TLS in the middle of the handshake", host);
    case BR_ERR_RECV_FATAL_ALERT + BR_ALERT_PROTOCOL_VERSION:
        return err_set(err, ERR_PEER,
                       "%.100s did not agree to TLS 1.2 (it may speak only TLS 1.3; this "
                       "worker speaks TLS 1.2)",
                       host);
    case BR_ERR_RECV_FATAL_ALERT + BR_ALERT_HANDSHAKE_FAILURE:
    case BR_ERR_RECV_FATAL_ALERT + BR_ALERT_INSUFFICIENT_SECURITY:
        return err_set(err, ERR_PEER,
                       "%.100s did not agree to TLS 1.2 (it may speak only another "
                       "version, want a client certificate, or know none of this worker's ciphers: "
                       "ECDHE with AES-GCM or ChaCha20-Poly1305)",
                       host);
    default: return tls_error(err, host, number);
    }
}
