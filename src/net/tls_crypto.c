#include "net/tls_crypto.h"

#include <stdbool.h>

/* Where the target itself settles the choice, the others need not be linked. */
#ifdef __x86_64__
#define CHACHA20 br_chacha20_sse2_run
#else
#define CHACHA20 br_chacha20_ct_run
#endif
/*
 * Of several ways to compute the same, the smallest: with 64-bit products RSA would save 35 us a
 * check (the curves need 31-bit arithmetic anyway) and Poly1305 is for processors without AES
 * instructions; together they cost 3.6 KB.
 */
#define POLY1305 br_poly1305_ctmul_run
#define RSA_VERIFY br_rsa_i31_pkcs1_vrfy

/*
 * RSA stands before ECDSA because checking one costs a client five times less (here, 0.13 ms for
 * RSA-2048 against 0.7 ms for P-256 and 2.7 ms for P-384, which many ECDSA chains end in).
 */
static const uint16_t aes_first[] = {
    BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
};
static const uint16_t chacha_first[] = {
    BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
};

/* SHA-512 is for certificates that were signed with it. SHA-1 is left out on purpose. */
static const struct {
    int id;
    const br_hash_class *class;
} hashes[] = {
    { br_sha256_ID, &br_sha256_vtable },
    { br_sha384_ID, &br_sha384_vtable },
    { br_sha512_ID, &br_sha512_vtable },
};
#define HASHES (sizeof hashes / sizeof *hashes)

/* True where AES-GCM runs on instructions made for it, at several times ChaCha20's speed. */
static bool set_aes_gcm(br_ssl_engine_context *engine)
{
    const br_block_ctr_class *aes = NULL;
    br_ghash ghash = 0;
#ifdef __x86_64__
    aes = br_aes_x86ni_ctr_get_vtable();
    ghash = br_ghash_pclmul_get();
#endif
    br_ssl_engine_set_gcm(engine, &br_sslrec_in_gcm_vtable, &br_sslrec_out_gcm_vtable);
    br_ssl_engine_set_aes_ctr(engine, aes != NULL ? aes : &br_aes_ct64_ctr_vtable);
    br_ssl_engine_set_ghash(engine, ghash != 0 ? ghash : br_ghash_ctmul64);
    return aes != NULL && ghash != 0;
}

static void set_chacha20_poly1305(br_ssl_engine_context *engine)
{
    br_ssl_engine_set_chapol(engine, &br_sslrec_in_chapol_vtable, &br_sslrec_out_chapol_vtable);
    br_ssl_engine_set_chacha20(engine, CHACHA20);
    br_ssl_engine_set_poly1305(engine, POLY1305);
}

void tls_crypto_client(br_ssl_client_context *client)
{
    br_ssl_engine_context *engine = &client->eng;
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_add_flags(engine, BR_OPT_NO_RENEGOTIATION);
    for (size_t i = 0; i < HASHES; i++)
        br_ssl_engine_set_hash(engine, hashes[i].id, hashes[i].class);
    br_ssl_engine_set_prf_sha256(engine, br_tls12_sha256_prf);
    br_ssl_engine_set_prf_sha384(engine, br_tls12_sha384_prf);
    br_ssl_engine_set_ec(engine, &br_ec_all_m31);
    br_ssl_engine_set_rsavrfy(engine, RSA_VERIFY);
    br_ssl_engine_set_ecdsa(engine, br_ecdsa_i31_vrfy_asn1);
    set_chacha20_poly1305(engine);
    if (set_aes_gcm(engine))
        br_ssl_engine_set_suites(engine, aes_first, sizeof aes_first / sizeof *aes_first);
    else
        br_ssl_engine_set_suites(engine, chacha_first, sizeof chacha_first / sizeof *chacha_first);
}

void tls_crypto_chain(br_x509_minimal_context *chain, const br_x509_trust_anchor *anchors,
                      size_t count)
{
    br_x509_minimal_init(chain, &br_sha256_vtable, anchors, count);
    for (size_t i = 0; i < HASHES; i++)
        br_x509_minimal_set_hash(chain, hashes[i].id, hashes[i].class);
    br_x509_minimal_set_rsa(chain, RSA_VERIFY);
    br_x509_minimal_set_ecdsa(chain, &br_ec_all_m31, br_ecdsa_i31_vrfy_asn1);
    br_x509_minimal_set_minrsa(chain, TLS_MIN_RSA_BYTES);
}
