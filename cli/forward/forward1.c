/* SPDX-License-Identifier: MIT */
#include "cli/forward/forward1.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "cli/gzip.h"
#include "lib/export/pack.h"

int chunk_id_make(char id[CHUNK_ID_SIZE])
{
    unsigned char bytes[16];
    gnutls_datum_t raw = { bytes, sizeof(bytes) }, text;

    if (gnutls_rnd(GNUTLS_RND_NONCE, bytes, sizeof(bytes)) < 0 || gnutls_base64_encode2(&raw, &text) < 0)
        return -EIO;
    memcpy(id, text.data, CHUNK_ID_SIZE - 1);
    id[CHUNK_ID_SIZE - 1] = '\0';
    gnutls_free(text.data);
    return 0;
}

/* ---- messages ---- */

static void pack_options(msgpack_packer *packer, uint32_t count, const char *id, bool compressed)
{
    msgpack_pack_map(packer, 1U + (*id != '\0') + compressed);
    vmt_pack_string(packer, "size");
    msgpack_pack_uint32(packer, count);
    if (*id) {
        vmt_pack_string(packer, "chunk");
        vmt_pack_string(packer, id);
    }
    if (compressed) {
        vmt_pack_string(packer, "compressed");
        vmt_pack_string(packer, "gzip");
    }
}

int forward1_message(const struct entries *entries, const char *id, struct gzip *gzip, struct vmt_buffer *out)
{
    size_t before = out->size;
    const char *data = entries->data;
    size_t size = entries->size;
    struct vmt_pack pack;

    if (gzip) {
        int r = gzip_make(gzip, data, size);

        if (r < 0)
            return r;
        data = gzip->data;
        size = gzip->size;
    }
    vmt_pack_init(&pack, out);
    msgpack_pack_array(&pack.packer, 3);
    msgpack_pack_str_with_body(&pack.packer, entries->tag, entries->tag_size);
    msgpack_pack_bin_with_body(&pack.packer, data, size);
    pack_options(&pack.packer, entries->count, id, gzip);
    return vmt_writer_finish(&pack.base, before);
}

/* ---- the handshake ---- */

/* SHA-512 of parts one after the other. 0 or -EIO. */
static int digest(const struct text *parts, size_t count, char hex[DIGEST_SIZE])
{
    unsigned char raw[(DIGEST_SIZE - 1) / 2];
    gnutls_datum_t datum = { raw, sizeof(raw) };
    gnutls_hash_hd_t hash;
    size_t size = DIGEST_SIZE;
    int r;

    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA512) < 0)
        return -EIO;
    r = 0;
    for (size_t i = 0; i < count && r >= 0; i++)
        r = gnutls_hash(hash, parts[i].data, parts[i].size);
    gnutls_hash_deinit(hash, raw);
    return r < 0 || gnutls_hex_encode(&datum, hex, &size) < 0 ? -EIO : 0;
}

static struct text text_of(const char *text) { return (struct text){ text, strlen(text) }; }

static int key_digest(const struct credentials *c, const struct helo *helo, const char *salt, struct text host,
                      char hex[DIGEST_SIZE])
{
    const struct text parts[] = { text_of(salt), host, { helo->nonce, helo->nonce_size }, text_of(c->shared_key) };

    return digest(parts, sizeof(parts) / sizeof(parts[0]), hex);
}

static int password_digest(const struct credentials *c, const struct helo *helo, char hex[DIGEST_SIZE])
{
    const struct text parts[] = { { helo->auth, helo->auth_size },
                                  text_of(c->user),
                                  text_of(c->password ? c->password : "") };

    return digest(parts, sizeof(parts) / sizeof(parts[0]), hex);
}

int forward1_salt(char salt[SALT_SIZE])
{
    unsigned char raw[(SALT_SIZE - 1) / 2];
    gnutls_datum_t datum = { raw, sizeof(raw) };
    size_t size = SALT_SIZE;

    if (gnutls_rnd(GNUTLS_RND_NONCE, raw, sizeof(raw)) < 0 || gnutls_hex_encode(&datum, salt, &size) < 0)
        return -EIO;
    return 0;
}

int forward1_ping(const struct credentials *c, const struct helo *helo, const char salt[SALT_SIZE],
                  struct vmt_buffer *out)
{
    /* Fluentd sends "auth" whether it wants a user or not: without one both are empty, and it says if it does. */
    bool with_user = helo->auth_size > 0 && c->user;
    char key[DIGEST_SIZE], password[DIGEST_SIZE] = "";
    size_t before = out->size;
    struct vmt_pack pack;

    if (key_digest(c, helo, salt, text_of(c->self_host), key) < 0 ||
        (with_user && password_digest(c, helo, password) < 0))
        return -EIO;
    vmt_pack_init(&pack, out);
    msgpack_pack_array(&pack.packer, 6);
    vmt_pack_string(&pack.packer, "PING");
    vmt_pack_string(&pack.packer, c->self_host);
    vmt_pack_string(&pack.packer, salt); /* as str: Fluent Bit takes no bin */
    vmt_pack_string(&pack.packer, key);
    vmt_pack_string(&pack.packer, with_user ? c->user : "");
    vmt_pack_string(&pack.packer, password);
    return vmt_writer_finish(&pack.base, before);
}

int forward1_check(const struct credentials *c, const struct helo *helo, const char salt[SALT_SIZE],
                   const struct pong *pong)
{
    char expected[DIGEST_SIZE];

    /* With our own name our own digest would do, which whoever is there has just been given. */
    if (text_is(pong->host, c->self_host))
        return -EKEYREJECTED;
    if (key_digest(c, helo, salt, pong->host, expected) < 0)
        return -EIO;
    if (pong->digest.size != DIGEST_SIZE - 1 || gnutls_memcmp(pong->digest.data, expected, DIGEST_SIZE - 1) != 0)
        return -EKEYREJECTED;
    return 0;
}
