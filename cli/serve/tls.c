/* SPDX-License-Identifier: MIT */
#include "cli/serve/tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

#include "cli/message.h"

/* The text of a file. 0, or -1 after a message. */
static int load(const char *path, char **ret)
{
    gnutls_datum_t data = { 0 };
    char reason[256];
    int r;

    errno = 0;
    r = gnutls_load_file(path, &data);
    if (r == 0 && !memchr(data.data, '\0', data.size)) {
        *ret = (char *)data.data; /* GnuTLS puts a NUL behind it */
        return 0;
    }
    if (r == 0)
        message_error("%s: not PEM, which is text that begins with -----BEGIN", path);
    else
        message_error("%s: %s", path, errno ? message_reason(-errno, reason, sizeof(reason)) : gnutls_strerror(r));
    gnutls_free(data.data);
    return -1;
}

static gnutls_datum_t datum(char *text)
{
    return (gnutls_datum_t){ .data = (unsigned char *)text, .size = (unsigned)strlen(text) };
}

static int say(const char *path, const char *what, int error)
{
    message_error("%s: %s: %s", path, what, gnutls_strerror(error));
    return -1;
}

/* ---- is it right? ---- */

static int check_cert(const char *path, char *text)
{
    const gnutls_datum_t data = datum(text);
    gnutls_x509_crt_t *certs = NULL;
    unsigned count = 0;
    int r = gnutls_x509_crt_list_import2(&certs, &count, &data, GNUTLS_X509_FMT_PEM, 0);

    if (r < 0 || count == 0)
        return say(path, "no certificate in PEM", r < 0 ? r : GNUTLS_E_NO_CERTIFICATE_FOUND);
    if (gnutls_x509_crt_get_expiration_time(certs[0]) < time(NULL))
        message_error("%s: this certificate has expired: clients will refuse it", path);
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(certs[i]);
    gnutls_free(certs);
    return 0;
}

static int check_key(const char *path, char *text)
{
    const gnutls_datum_t data = datum(text);
    gnutls_x509_privkey_t key;
    int r = gnutls_x509_privkey_init(&key);

    if (r < 0)
        return say(path, "not read", r);
    r = gnutls_x509_privkey_import2(key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_x509_privkey_deinit(key);
    if (r == GNUTLS_E_DECRYPTION_FAILED) {
        message_error("%s: has a password, which nobody is there to type; 'openssl pkey -in FILE -out FILE' takes it "
                      "off",
                      path);
        return -1;
    }
    return r < 0 ? say(path, "no private key in PEM", r) : 0;
}

/* That they belong together, and who signs clients. */
static int check_all(const struct serve_arguments *a, const struct tls *t)
{
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t cert = datum(t->cert), key = datum(t->key), ca;
    int r = gnutls_certificate_allocate_credentials(&credentials);

    if (r < 0)
        return say(a->tls_cert, "not read", r);
    r = gnutls_certificate_set_x509_key_mem(credentials, &cert, &key, GNUTLS_X509_FMT_PEM);
    if (r < 0)
        message_error("%s: not the key of the certificate in %s: %s", a->tls_key, a->tls_cert, gnutls_strerror(r));
    if (r >= 0 && t->client_ca) {
        ca = datum(t->client_ca);
        r = gnutls_certificate_set_x509_trust_mem(credentials, &ca, GNUTLS_X509_FMT_PEM);
        r = r == 0 ? GNUTLS_E_NO_CERTIFICATE_FOUND : r;
        if (r < 0)
            say(a->tls_client_ca, "no certificate in PEM", r);
    }
    gnutls_certificate_free_credentials(credentials);
    return r < 0 ? -1 : 0;
}

int tls_load(const struct serve_arguments *a, struct tls *ret)
{
    struct tls t = { 0 };

    if (!a->tls_cert) {
        *ret = t;
        return 0;
    }
    if (load(a->tls_cert, &t.cert) == 0 && load(a->tls_key, &t.key) == 0 &&
        (!a->tls_client_ca || load(a->tls_client_ca, &t.client_ca) == 0) && check_cert(a->tls_cert, t.cert) == 0 &&
        check_key(a->tls_key, t.key) == 0 && check_all(a, &t) == 0) {
        *ret = t;
        return 0;
    }
    tls_free(&t);
    return -1;
}

void tls_free(struct tls *t)
{
    if (t->key)
        explicit_bzero(t->key, strlen(t->key));
    gnutls_free(t->cert);
    gnutls_free(t->key);
    gnutls_free(t->client_ca);
    *t = (struct tls){ 0 };
}

int tls_client_trusted(void *session)
{
    gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
                                      .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT };
    unsigned status = 0;

    return gnutls_certificate_verify_peers(session, &purpose, 1, &status) == 0 && status == 0;
}
