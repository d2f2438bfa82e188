/* SPDX-License-Identifier: MIT */
#include "cli/serve/auth.h"

#include <crypt.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"

#define USERS_MAX 1024
#define LINE_MAX_BYTES 1024
#define PROOF_BYTES 32 /* HMAC with SHA-256 */

struct user {
    char *name;
    char *hash;
    int proven;
    uint8_t proof[PROOF_BYTES]; /* of the password that was right */
};

struct auth {
    struct user *users;
    size_t count;
    uint8_t key[PROOF_BYTES]; /* of proofs: nothing that is remembered is of use to others */
    pthread_mutex_t proofs;
    pthread_mutex_t crypting;
    int stopped;
    struct crypt_data crypt;
};

/* ---- the file ---- */

static int say(const char *path, size_t line, const char *what)
{
    message_error("%s, line %zu: %s", path, line, what);
    return -1;
}

static struct user *find(const struct auth *a, const char *name)
{
    for (size_t i = 0; i < a->count; i++) {
        if (!strcmp(a->users[i].name, name))
            return &a->users[i];
    }
    return NULL;
}

static int add(struct auth *a, const char *name, const char *hash)
{
    struct user *grown = reallocarray(a->users, a->count + 1, sizeof(*grown));
    struct user *u;

    if (!grown)
        return -ENOMEM;
    a->users = grown;
    u = &grown[a->count];
    *u = (struct user){ .name = strdup(name), .hash = strdup(hash) };
    a->count++;
    return u->name && u->hash ? 0 : -ENOMEM;
}

/* One line, without its end. 0, or -1 after a message. */
static int parse(struct auth *a, const char *path, size_t number, char *line)
{
    char *colon = strchr(line, ':');

    if (!line[0] || line[0] == '#')
        return 0;
    if (!colon || colon == line)
        return say(path, number, "not USER:HASH; 'htpasswd -nB USER' makes such a line");
    *colon = '\0';
    if (strchr(colon + 1, ':'))
        return say(path, number, "more than USER:HASH");
    if (find(a, line))
        return say(path, number, "this user was there before");
    if (crypt_checksalt(colon + 1) == CRYPT_SALT_INVALID)
        return say(path, number, "no hash that crypt(3) knows; 'htpasswd -nB USER' or 'mkpasswd' make one");
    if (crypt_checksalt(colon + 1) == CRYPT_SALT_METHOD_LEGACY)
        return say(path, number, "a hash that is easy to break; 'htpasswd -nB USER' or 'mkpasswd' make a better one");
    if (a->count == USERS_MAX)
        return say(path, number, "too many users");
    return add(a, line, colon + 1) == 0 ? 0 : say(path, number, "out of memory");
}

static int parse_all(struct auth *a, const char *path, FILE *file)
{
    char line[LINE_MAX_BYTES], reason[256];
    size_t number = 0;
    int r = 0;

    while (r == 0 && fgets(line, sizeof(line), file)) {
        size_t n = strlen(line);

        number++;
        if (n == sizeof(line) - 1 && line[n - 1] != '\n') {
            r = say(path, number, "too long");
            continue;
        }
        line[strcspn(line, "\r\n")] = '\0';
        r = parse(a, path, number, line);
    }
    explicit_bzero(line, sizeof(line));
    if (r == 0 && ferror(file)) {
        message_error("%s: %s", path, message_reason(-errno, reason, sizeof(reason)));
        return -1;
    }
    if (r == 0 && a->count == 0) {
        message_error("%s: no users in it: nobody could be let in; 'htpasswd -nB USER' makes a line of it", path);
        return -1;
    }
    return r;
}

int auth_load(const char *path, struct auth **ret)
{
    struct auth *a = calloc(1, sizeof(*a));
    char reason[256];
    FILE *file;
    int r = -1;

    if (!a || gnutls_rnd(GNUTLS_RND_KEY, a->key, sizeof(a->key)) < 0) {
        free(a);
        message_error("%s: out of memory, or of randomness", path);
        return -1;
    }
    pthread_mutex_init(&a->proofs, NULL);
    pthread_mutex_init(&a->crypting, NULL);
    file = fopen(path, "re");
    if (file)
        r = parse_all(a, path, file);
    else
        message_error("%s: %s", path, message_reason(-errno, reason, sizeof(reason)));
    if (file)
        fclose(file);
    if (r == 0)
        *ret = a;
    else
        auth_free(a);
    return r;
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->count; i++) {
        free(a->users[i].name);
        free(a->users[i].hash);
    }
    free(a->users);
    pthread_mutex_destroy(&a->proofs);
    pthread_mutex_destroy(&a->crypting);
    explicit_bzero(a, sizeof(*a));
    free(a);
}

/* ---- who is it? ---- */

static int prove(const struct auth *a, const char *password, uint8_t *proof)
{
    return gnutls_hmac_fast(GNUTLS_MAC_SHA256, a->key, sizeof(a->key), password, strlen(password), proof) == 0;
}

static int is_known(struct auth *a, const struct user *user, const uint8_t *proof)
{
    int known;

    pthread_mutex_lock(&a->proofs);
    known = user && user->proven && gnutls_memcmp(user->proof, proof, PROOF_BYTES) == 0;
    pthread_mutex_unlock(&a->proofs);
    return known;
}

static void remember(struct auth *a, struct user *user, const uint8_t *proof)
{
    pthread_mutex_lock(&a->proofs);
    memcpy(user->proof, proof, PROOF_BYTES);
    user->proven = 1;
    pthread_mutex_unlock(&a->proofs);
}

void auth_keep(struct auth *a, struct auth *before)
{
    memcpy(a->key, before->key, sizeof(a->key));
    pthread_mutex_lock(&before->proofs);
    for (size_t i = 0; i < a->count; i++) {
        struct user *user = &a->users[i];
        const struct user *old = find(before, user->name);

        if (!old || !old->proven || strcmp(old->hash, user->hash) != 0)
            continue;
        memcpy(user->proof, old->proof, sizeof(user->proof));
        user->proven = 1;
    }
    pthread_mutex_unlock(&before->proofs);
}

void auth_stop(struct auth *a)
{
    if (a)
        __atomic_store_n(&a->stopped, 1, __ATOMIC_RELAXED);
}

/* 1 where crypt(3) makes the hash of the password, 0 where not, or -ECANCELED. */
static int crypts_to(struct auth *a, const char *password, const char *hash)
{
    const char *made;
    size_t n = strlen(hash);
    int same;

    pthread_mutex_lock(&a->crypting);
    if (__atomic_load_n(&a->stopped, __ATOMIC_RELAXED)) {
        pthread_mutex_unlock(&a->crypting);
        return -ECANCELED;
    }
    made = crypt_r(password, hash, &a->crypt);
    same = made && made[0] != '*' && strlen(made) == n && gnutls_memcmp(made, hash, n) == 0;
    explicit_bzero(&a->crypt, sizeof(a->crypt));
    pthread_mutex_unlock(&a->crypting);
    return same;
}

int auth_known(struct auth *a, const char *name, const char *password)
{
    uint8_t proof[PROOF_BYTES];

    return prove(a, password, proof) && is_known(a, find(a, name), proof);
}

int auth_check(struct auth *a, const char *name, const char *password)
{
    struct user *user = find(a, name);
    uint8_t proof[PROOF_BYTES];
    int right;

    if (!prove(a, password, proof))
        return 0;
    if (is_known(a, user, proof))
        return 1;
    right = crypts_to(a, password, user ? user->hash : a->users[0].hash);
    if (right < 0 || !user)
        return right < 0 ? right : 0;
    if (right)
        remember(a, user, proof);
    return right;
}
