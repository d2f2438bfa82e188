/* SPDX-License-Identifier: MIT */
#include "cli/forward/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/message.h"

static void secret_free(char *secret)
{
    if (secret)
        gnutls_memset(secret, 0, strlen(secret));
    free(secret);
}

/* One secret: what is in its file now. */
static int load_secret(const char *file, const char *given, char **ret)
{
    char *secret;

    if (file)
        return forward_secret(file, ret);
    if (!given)
        return 0;
    secret = strdup(given);
    if (!secret) {
        message_error("out of memory");
        return -1;
    }
    *ret = secret;
    return 0;
}

static int say(const char *file, const char *what, int error)
{
    message_error("%s: %s: %s", file, what, gnutls_strerror(error));
    return -1;
}

/* What the system says of a file, which GnuTLS keeps to itself. 0 or -1 (file NULL: 0). */
static int look_at(const char *file)
{
    char reason[256];
    struct stat st;
    int error = 0;

    if (!file)
        return 0;
    if (access(file, R_OK) < 0 || stat(file, &st) < 0)
        error = -errno;
    else if (S_ISDIR(st.st_mode))
        error = -EISDIR;
    if (error)
        message_error("%s: %s", file, message_reason(error, reason, sizeof(reason)));
    return error ? -1 : 0;
}

static int load_authorities(const struct forward_arguments *a, gnutls_certificate_credentials_t tls)
{
    int r;

    if (a->tls_ca) {
        r = gnutls_certificate_set_x509_trust_file(tls, a->tls_ca, GNUTLS_X509_FMT_PEM);
        if (r < 0)
            return say(a->tls_ca, "certificates of --tls-ca", r);
        if (r == 0)
            return say(a->tls_ca, "certificates of --tls-ca", GNUTLS_E_NO_CERTIFICATE_FOUND);
        return 0;
    }
    if (a->tls_insecure)
        return 0;
    r = gnutls_certificate_set_x509_system_trust(tls);
    if (r > 0)
        return 0;
    message_error(
        "this system has no certificates of authorities; install ca-certificates, or name a file with --tls-ca");
    return -1;
}

static int load_tls(const struct forward_arguments *a, gnutls_certificate_credentials_t *ret)
{
    gnutls_certificate_credentials_t tls;
    int r;

    if (look_at(a->tls_ca) < 0 || look_at(a->tls_cert) < 0 || look_at(a->tls_key) < 0)
        return -1;
    r = gnutls_certificate_allocate_credentials(&tls);
    if (r < 0) {
        message_error("TLS: %s", gnutls_strerror(r));
        return -1;
    }
    r = load_authorities(a, tls);
    if (r == 0 && a->tls_cert) {
        const char *key = a->tls_key ? a->tls_key : a->tls_cert;

        r = gnutls_certificate_set_x509_key_file2(tls, a->tls_cert, key, GNUTLS_X509_FMT_PEM, NULL, 0);
        if (r < 0)
            r = say(a->tls_cert, "our certificate with its key", r);
    }
    if (r < 0) {
        gnutls_certificate_free_credentials(tls);
        return -1;
    }
    *ret = tls;
    return 0;
}

int keys_load(const struct forward_arguments *a, struct keys **ret)
{
    struct keys *keys = calloc(1, sizeof(*keys));

    if (!keys) {
        message_error("out of memory");
        return -1;
    }
    if (load_secret(a->shared_key_file, a->shared_key, &keys->shared_key) ||
        load_secret(a->password_file, a->password, &keys->password) || (a->tls && load_tls(a, &keys->tls))) {
        keys_free(keys);
        return -1;
    }
    keys->credentials = (struct credentials){
        .self_host = a->self_host, .shared_key = keys->shared_key, .user = a->user, .password = keys->password
    };
    *ret = keys;
    return 0;
}

void keys_free(struct keys *keys)
{
    if (!keys)
        return;
    if (keys->tls)
        gnutls_certificate_free_credentials(keys->tls);
    secret_free(keys->shared_key);
    secret_free(keys->password);
    free(keys);
}
