/* SPDX-License-Identifier: MIT */
/* Fluent Forward v1 as bytes: what is sent, by hand from the specification; what comes back, whatever it is. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cli/forward/forward1.h"
#include "cli/gzip.h"

#define ID "AAECAwQFBgcICQoLDA0ODw=="
#define SALT "0123456789abcdef0123456789abcdef"

static const struct entries two = { "vm.web", 6, "\x92\x01\x80\x92\x02\x80", 6, 2 };

static void check_bytes(const struct vmt_buffer *b, const char *expected, size_t size)
{
    cr_assert_eq(b->size, size, "%zu bytes, not %zu", b->size, size);
    for (size_t i = 0; i < size; i++)
        cr_assert_eq(b->data[i], expected[i], "byte %zu: %02x, not %02x", i, (unsigned char)b->data[i],
                     (unsigned char)expected[i]);
}
#define CHECK_BYTES(b, text) check_bytes(b, text, sizeof(text) - 1)

/* ---- what is sent ---- */

Test(forward1, message_is_packed_forward_with_its_size)
{
    struct vmt_buffer b = { 0 };

    cr_assert_eq(forward1_message(&two, "", NULL, &b), 0);
    CHECK_BYTES(&b, "\x93\xa6vm.web\xc4\x06\x92\x01\x80\x92\x02\x80\x81\xa4size\x02");
    vmt_buffer_free(&b);
}

Test(forward1, message_that_asks_for_an_ack_has_the_chunks_id)
{
    struct vmt_buffer b = { 0 };

    cr_assert_eq(forward1_message(&two, ID, NULL, &b), 0);
    CHECK_BYTES(&b, "\x93\xa6vm.web\xc4\x06\x92\x01\x80\x92\x02\x80\x82\xa4size\x02\xa5"
                    "chunk\xb8" ID);
    vmt_buffer_free(&b);
}

static void check_gzip(struct gzip *gzip, const struct entries *entries)
{
    static const char tail[] = "\x83\xa4size\xcd\x10\x00\xa5"
                               "chunk\xb8" ID "\xaa"
                               "compressed\xa4gzip";
    char plain[5000];
    z_stream z = { .next_out = (Bytef *)plain, .avail_out = sizeof(plain) };
    struct vmt_buffer b = { 0 };
    size_t packed;

    cr_assert_eq(forward1_message(entries, ID, gzip, &b), 0);
    cr_assert_eq(memcmp(b.data, "\x93\xa6vm.web\xc4", 9), 0, "a short binary");
    packed = (unsigned char)b.data[9];
    cr_assert_eq(b.size, 10 + packed + sizeof(tail) - 1);
    cr_assert_eq(memcmp(b.data + 10 + packed, tail, sizeof(tail) - 1), 0);
    z.next_in = (Bytef *)b.data + 10;
    z.avail_in = (uInt)packed;
    cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK, "a gzip header");
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END, "one whole member");
    cr_assert_eq(z.avail_in, 0);
    cr_assert_eq(z.total_out, entries->size);
    cr_assert_eq(memcmp(plain, entries->data, entries->size), 0);
    inflateEnd(&z);
    vmt_buffer_free(&b);
}

Test(forward1, compressed_message_holds_one_gzip_member_each_time)
{
    char data[4096];
    struct entries many = { "vm.web", 6, data, sizeof(data), 4096 };
    struct gzip *gzip;

    memset(data, 0xc0, sizeof(data));
    cr_assert_eq(gzip_new(&gzip), 0);
    check_gzip(gzip, &many);
    check_gzip(gzip, &many);
    gzip_free(gzip);
    gzip_free(NULL);
}

Test(forward1, chunk_ids_are_base64_of_16_bytes_and_differ)
{
    char a[CHUNK_ID_SIZE], b[CHUNK_ID_SIZE];

    cr_assert_eq(chunk_id_make(a), 0);
    cr_assert_eq(chunk_id_make(b), 0);
    cr_assert_eq(strlen(a), 24);
    cr_assert_str_eq(a + 22, "==");
    cr_assert_eq(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"), 22);
    cr_assert_str_neq(a, b);
}

/* ---- the handshake ---- */

#define KEY_DIGEST_OURS                                                                                                \
    "04d4db9480da6ee7424cf8af8ae8f2fd238bcfb7c3bf3854bb69d3ceaca445dab3bb84303a41705a8310eb8e7ee889637580cf402d797973" \
    "80d82258bc9442f7"
#define PASSWORD_DIGEST                                                                                                \
    "b6f6dbd51a51071cff2716eeed02efef997d314517557be03d1c153005780dba141d4fafd22b7e4158cae0476dbdc6a93225eaed3b4f8002" \
    "1e9a725046cc0bb7"
#define KEY_DIGEST_THEIRS                                                                                              \
    "63a2cc185ec1f7e38f5781c2afc923a2d81dff0f3ab958d129969341b19e6ece28d81f98e3d872276f4029956bff4c323345b91f033e7d9c" \
    "7f548d9f51481732"

static const struct credentials alice = { "agent-1", "secret", "alice", "pass word" };

static struct helo helo_made(bool auth)
{
    struct helo helo = { .nonce_size = 16, .auth_size = auth ? 16 : 0, .keepalive = true };

    for (int i = 0; i < 16; i++) {
        helo.nonce[i] = (char)i;
        helo.auth[i] = (char)(16 + i);
    }
    return helo;
}

Test(forward1, ping_has_digests_of_key_and_password_as_strings)
{
    struct helo helo = helo_made(true);
    struct vmt_buffer b = { 0 };

    cr_assert_eq(forward1_ping(&alice, &helo, SALT, &b), 0);
    CHECK_BYTES(&b, "\x96\xa4PING\xa7"
                    "agent-1\xd9\x20" SALT "\xd9\x80" KEY_DIGEST_OURS "\xa5"
                    "alice\xd9\x80" PASSWORD_DIGEST);
    vmt_buffer_free(&b);
}

Test(forward1, ping_names_no_user_where_none_is_asked_for_or_known)
{
    static const struct credentials nobody = { "agent-1", "secret", NULL, NULL };
    struct helo with = helo_made(true), without = helo_made(false);
    struct vmt_buffer b = { 0 };

    cr_assert_eq(forward1_ping(&alice, &without, SALT, &b), 0);
    CHECK_BYTES(&b, "\x96\xa4PING\xa7"
                    "agent-1\xd9\x20" SALT "\xd9\x80" KEY_DIGEST_OURS "\xa0\xa0");
    vmt_buffer_clear(&b);
    cr_assert_eq(forward1_ping(&nobody, &with, SALT, &b), 0);
    CHECK_BYTES(&b, "\x96\xa4PING\xa7"
                    "agent-1\xd9\x20" SALT "\xd9\x80" KEY_DIGEST_OURS "\xa0\xa0");
    vmt_buffer_free(&b);
}

static struct text text_of(const char *text) { return (struct text){ text, strlen(text) }; }

Test(forward1, collector_has_to_show_that_it_has_the_key)
{
    struct helo helo = helo_made(true);
    char digest[] = KEY_DIGEST_THEIRS;
    struct pong pong = { true, text_of(""), text_of("collector"), text_of(digest) };

    cr_assert_eq(forward1_check(&alice, &helo, SALT, &pong), 0);
    for (size_t i = 0; i < sizeof(digest) - 1; i++) {
        digest[i] ^= 1;
        cr_assert_eq(forward1_check(&alice, &helo, SALT, &pong), -EKEYREJECTED, "digit %zu is another", i);
        digest[i] ^= 1;
    }
    pong.digest.size--;
    cr_assert_eq(forward1_check(&alice, &helo, SALT, &pong), -EKEYREJECTED, "too short");
    pong.digest = text_of("");
    cr_assert_eq(forward1_check(&alice, &helo, SALT, &pong), -EKEYREJECTED, "empty");
}

Test(forward1, our_own_digest_given_back_shows_nothing)
{
    struct helo helo = helo_made(true);
    struct pong pong = { true, text_of(""), text_of("agent-1"), text_of(KEY_DIGEST_OURS) };

    cr_assert_eq(forward1_check(&alice, &helo, SALT, &pong), -EKEYREJECTED);
}

Test(forward1, salts_are_printable_and_differ)
{
    char a[SALT_SIZE], b[SALT_SIZE];

    cr_assert_eq(forward1_salt(a), 0);
    cr_assert_eq(forward1_salt(b), 0);
    cr_assert_eq(strspn(a, "0123456789abcdef"), 32);
    cr_assert_eq(strlen(a), 32);
    cr_assert_str_neq(a, b);
}

/* ---- where a message ends ---- */

#define OBJECT(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t size;
    const char *what;
} whole[] = {
    { OBJECT("\x00"), "fixint" },
    { OBJECT("\xff"), "negative fixint" },
    { OBJECT("\xc0"), "nil" },
    { OBJECT("\xc3"), "true" },
    { OBJECT("\x80"), "empty map" },
    { OBJECT("\x90"), "empty array" },
    { OBJECT("\xa3"
             "abc"),
      "fixstr" },
    { OBJECT("\xc4\x02xy"), "bin 8" },
    { OBJECT("\xc5\x00\x02xy"), "bin 16" },
    { OBJECT("\xc6\x00\x00\x00\x02xy"), "bin 32" },
    { OBJECT("\xc7\x02\x05xy"), "ext 8" },
    { OBJECT("\xc8\x00\x02\x05xy"), "ext 16" },
    { OBJECT("\xc9\x00\x00\x00\x02\x05xy"), "ext 32" },
    { OBJECT("\xca\x01\x02\x03\x04"), "float 32" },
    { OBJECT("\xcb\x01\x02\x03\x04\x05\x06\x07\x08"), "float 64" },
    { OBJECT("\xcc\x01"), "uint 8" },
    { OBJECT("\xcd\x01\x02"), "uint 16" },
    { OBJECT("\xce\x01\x02\x03\x04"), "uint 32" },
    { OBJECT("\xcf\x01\x02\x03\x04\x05\x06\x07\x08"), "uint 64" },
    { OBJECT("\xd0\x01"), "int 8" },
    { OBJECT("\xd1\x01\x02"), "int 16" },
    { OBJECT("\xd2\x01\x02\x03\x04"), "int 32" },
    { OBJECT("\xd3\x01\x02\x03\x04\x05\x06\x07\x08"), "int 64" },
    { OBJECT("\xd4\x05\x01"), "fixext 1" },
    { OBJECT("\xd5\x05\x01\x02"), "fixext 2" },
    { OBJECT("\xd6\x05\x01\x02\x03\x04"), "fixext 4" },
    { OBJECT("\xd7\x05\x01\x02\x03\x04\x05\x06\x07\x08"), "fixext 8" },
    { OBJECT("\xd8\x05"
             "0123456789abcdef"),
      "fixext 16" },
    { OBJECT("\xd9\x02xy"), "str 8" },
    { OBJECT("\xda\x00\x02xy"), "str 16" },
    { OBJECT("\xdb\x00\x00\x00\x02xy"), "str 32" },
    { OBJECT("\xdc\x00\x02\x01\xc4\x01x"), "array 16" },
    { OBJECT("\xdd\x00\x00\x00\x02\x91\x90\x80"), "array 32" },
    { OBJECT("\xde\x00\x01\xa1k\x92\x01\x02"), "map 16" },
    { OBJECT("\xdf\x00\x00\x00\x02\x01\x02\x03\x81\x04\x05"), "map 32" },
    { OBJECT("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01"), "16 deep" },
};

Test(forward1, end_of_a_message_is_found_however_it_is_cut)
{
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        char *bytes = malloc(whole[i].size + 1); /* exact, for sanitizers */
        struct extent extent = { 0 };

        cr_assert(bytes);
        for (size_t n = 0; n < whole[i].size; n++) {
            char *part = malloc(n ? n : 1);

            cr_assert(part);
            memcpy(part, whole[i].bytes, n);
            cr_assert_eq(extent_find(&extent, (unsigned char *)part, n), 0, "%s, %zu bytes", whole[i].what, n);
            free(part);
        }
        memcpy(bytes, whole[i].bytes, whole[i].size);
        bytes[whole[i].size] = '\x93'; /* the next one */
        cr_assert_eq(extent_find(&extent, (unsigned char *)bytes, whole[i].size + 1), 1, "%s", whole[i].what);
        cr_assert_eq(extent.at, whole[i].size, "%s", whole[i].what);
        cr_assert_eq(extent_find(&extent, (unsigned char *)bytes, whole[i].size + 1), 1, "%s, asked again",
                     whole[i].what);
        free(bytes);
    }
}

static const struct {
    const char *bytes;
    size_t size;
    const char *what;
} bad[] = {
    { OBJECT("\xc1"), "the type that is none" },
    { OBJECT("\x92\x01\xc1"), "the same, within" },
    { OBJECT("\xdd\xff\xff\xff\xff"), "4 billion objects" },
    { OBJECT("\xdf\x80\x00\x00\x01"), "keys and values that wrap to 2" },
    { OBJECT("\xdb\x00\x01\x00\x01"), "text larger than a message" },
    { OBJECT("\xc9\xff\xff\xff\xff"), "ext whose size wraps" },
    { OBJECT("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"), "17 deep" },
};

Test(forward1, what_is_no_message_is_refused_at_once)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct extent extent = { 0 };

        cr_assert_eq(extent_find(&extent, (const unsigned char *)bad[i].bytes, bad[i].size), -EBADMSG, "%s",
                     bad[i].what);
    }
}

/* ---- what is in it ---- */

#define HELO "\x92\xa4HELO"

Test(forward1, helo_is_read_and_keys_not_known_are_passed_over)
{
    static const char full[] = HELO "\x85\xa5nonce\xc4\x03n\0n\xa3new\x92\x01\x80\xa4"
                                    "auth\xd9\x02"
                                    "au\x07\xa1x\xa9keepalive\xc2";
    struct helo helo;

    cr_assert_eq(helo_read((const unsigned char *)full, sizeof(full) - 1, &helo), 0);
    cr_assert_eq(helo.nonce_size, 3);
    cr_assert_eq(memcmp(helo.nonce, "n\0n", 3), 0);
    cr_assert_eq(helo.auth_size, 2);
    cr_assert_not(helo.keepalive);
}

Test(forward1, helo_without_options_is_one)
{
    static const char *const texts[] = { HELO "\x80", HELO "\xc0" };

    for (size_t i = 0; i < 2; i++) {
        struct helo helo;

        cr_assert_eq(helo_read((const unsigned char *)texts[i], strlen(texts[i]), &helo), 0);
        cr_assert_eq(helo.nonce_size + helo.auth_size, 0);
        cr_assert(helo.keepalive, "may be used again where nothing else is said");
    }
}

Test(forward1, helo_that_is_none_is_refused)
{
    static const struct {
        const char *bytes;
        size_t size;
    } other[] = {
        { OBJECT("\x92\xa4HELP\x80") },
        { OBJECT("\x91\xa4HELO") },
        { OBJECT("\x92\xa4HELO\x90") },
        { OBJECT("\xa4HELO") },
        { OBJECT(HELO "\x81\xa5nonce\x05") },
        { OBJECT(HELO "\x81\xa9keepalive\xa1x") },
        { OBJECT(HELO "\x81\xa4"
                      "auth\x90") },
    };
    struct helo helo;

    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        cr_assert_eq(helo_read((const unsigned char *)other[i].bytes, other[i].size, &helo), -EBADMSG, "%zu", i);
}

Test(forward1, nonce_that_is_too_long_is_refused)
{
    char bytes[NONCE_MAX + 64] = HELO "\x81\xa5nonce\xc5";
    size_t head = 6 + 1 + 6 + 1;
    struct helo helo;

    for (unsigned size = NONCE_MAX - 1; size <= NONCE_MAX + 1; size++) {
        bytes[head] = (char)(size >> 8);
        bytes[head + 1] = (char)size;
        cr_assert_eq(helo_read((unsigned char *)bytes, head + 2 + size, &helo), size <= NONCE_MAX ? 0 : -EBADMSG);
    }
}

Test(forward1, pong_is_read)
{
    static const char yes[] = "\x95\xa4PONG\xc3\xa0\xa1h\xc4\x02"
                              "dd";
    static const char no[] = "\x95\xa4PONG\xc2\xa2no\xc0\xc0";
    static const char other[] = "\x95\xa4PONG\xa0\xa0\xa1h\xa1"
                                "d";
    struct pong pong;

    cr_assert_eq(pong_read((const unsigned char *)yes, sizeof(yes) - 1, &pong), 0);
    cr_assert(pong.ok);
    cr_assert(text_is(pong.host, "h"));
    cr_assert(text_is(pong.digest, "dd"));
    cr_assert_eq(pong_read((const unsigned char *)no, sizeof(no) - 1, &pong), 0);
    cr_assert_not(pong.ok);
    cr_assert(text_is(pong.reason, "no"));
    cr_assert_eq(pong_read((const unsigned char *)other, sizeof(other) - 1, &pong), -EBADMSG);
}

Test(forward1, ack_is_found_among_other_keys)
{
    static const char good[] = "\x83\xa1x\x91\x01\xa3"
                               "ack\xa2id\x05\x80";
    static const char *const others[] = { "\x80",
                                          "\x81\xa3"
                                          "ack\x05",
                                          "\x81\xa3"
                                          "abc\xa1x",
                                          "\x91\xa3"
                                          "ack",
                                          "\xc0" };
    struct text id;

    cr_assert_eq(ack_read((const unsigned char *)good, sizeof(good) - 1, &id), 0);
    cr_assert(text_is(id, "id"));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_assert_eq(ack_read((const unsigned char *)others[i], strlen(others[i]), &id), -EBADMSG, "%zu", i);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Readers are given whole messages only; here any bytes, in memory of exactly that size. */
static void read_anything(const unsigned char *bytes, size_t size)
{
    struct extent extent = { 0 };
    struct helo helo;
    struct pong pong;
    struct text id;
    int r = extent_find(&extent, bytes, size);

    cr_assert(r == -EBADMSG || extent.at <= size);
    helo_read(bytes, size, &helo);
    pong_read(bytes, size, &pong);
    if (ack_read(bytes, size, &id) == 0)
        cr_assert(id.data >= (const char *)bytes && id.data + id.size <= (const char *)bytes + size);
}

Test(forward1, no_bytes_lead_out_of_bounds)
{
    static const char seed[] = "\x95\xa4PONG\xc3\xa0\xa1h\xc4\x02"
                               "dd" HELO "\x83\xa5nonce\xc4\x03nnn\xa4"
                               "auth\xd9\x02"
                               "au\xa9keepalive\xc2\x81\xa3"
                               "ack\xa2id";
    uint64_t state = 0x9e3779b97f4a7c15;

    for (int i = 0; i < 50000; i++) {
        size_t from = next_random(&state) % (sizeof(seed) - 1);
        size_t size = next_random(&state) % (sizeof(seed) - from);
        unsigned char *bytes = malloc(size ? size : 1);

        cr_assert(bytes);
        memcpy(bytes, seed + from, size);
        for (uint64_t n = next_random(&state) % 4; n > 0 && size > 0; n--)
            bytes[next_random(&state) % size] = (unsigned char)next_random(&state);
        read_anything(bytes, size);
        free(bytes);
    }
}
