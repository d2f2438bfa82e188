/* SPDX-License-Identifier: MIT */
/* Whom vmtally serve lets in, and what it costs to find out. */
#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "cli/serve/auth.h"

static int crypts;                                             /* calls of crypt_r() */
static pthread_mutex_t crypt_gate = PTHREAD_MUTEX_INITIALIZER; /* they wait for it */

char *__real_crypt_r(const char *phrase, const char *setting, struct crypt_data *data);
char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data);
char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
    __atomic_add_fetch(&crypts, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&crypt_gate);
    pthread_mutex_unlock(&crypt_gate);
    return __real_crypt_r(phrase, setting, data);
}

static int load(const char *text, struct auth **ret)
{
    int fd = memfd_create("users", MFD_CLOEXEC);
    char path[64];
    int r;

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    r = auth_load(path, ret);
    close(fd);
    return r;
}

static struct auth *two_users(void)
{
    struct crypt_data data = { 0 };
    char text[1024];
    struct auth *auth = NULL;
    int n = snprintf(text, sizeof(text), "# who may\n\nrita:%s\r\n", crypt_r("secret", "$6$rounds=1000$salt$", &data));

    snprintf(text + n, sizeof(text) - (size_t)n, "otto:%s", crypt_r("other", "$2b$04$abcdefghijklmnopqrstuu", &data));
    cr_assert_eq(load(text, &auth), 0);
    return auth;
}

Test(serve_auth, only_the_right_password_of_the_right_user_is_let_in)
{
    struct auth *auth = two_users();

    cr_expect_eq(auth_check(auth, "rita", "secret"), 1);
    cr_expect_eq(auth_check(auth, "otto", "other"), 1);
    cr_expect_eq(auth_check(auth, "rita", "other"), 0);
    cr_expect_eq(auth_check(auth, "otto", "secret"), 0);
    cr_expect_eq(auth_check(auth, "rita", ""), 0);
    cr_expect_eq(auth_check(auth, "", ""), 0);
    cr_expect_eq(auth_check(auth, "nobody", "secret"), 0);
    cr_expect_eq(auth_check(auth, "# who may", ""), 0);
    auth_free(auth);
}

Test(serve_auth, a_password_that_was_right_costs_no_hash_again)
{
    struct auth *auth = two_users();
    int before = crypts;

    for (int i = 0; i < 100; i++)
        cr_assert_eq(auth_check(auth, "rita", "secret"), 1);
    cr_expect_eq(crypts - before, 1);
    auth_free(auth);
}

Test(serve_auth, what_is_wrong_costs_a_hash_whoever_it_is)
{
    struct auth *auth = two_users();
    int before = crypts;

    cr_expect_eq(auth_check(auth, "rita", "wrong"), 0);
    cr_expect_eq(crypts - before, 1);
    cr_expect_eq(auth_check(auth, "nobody", "wrong"), 0);
    cr_expect_eq(crypts - before, 2);
    cr_expect_eq(auth_check(auth, "rita", "secret"), 1);
    cr_expect_eq(auth_check(auth, "rita", "wrong"), 0);
    cr_expect_eq(auth_check(auth, "rita", "secret"), 1);
    cr_expect_eq(crypts - before, 4, "what is wrong does not make it forget what is right");
    auth_free(auth);
}

Test(serve_auth, a_password_that_was_right_is_known)
{
    struct auth *auth = two_users();

    cr_expect_eq(auth_known(auth, "rita", "secret"), 0, "not yet");
    cr_expect_eq(auth_check(auth, "rita", "secret"), 1);
    cr_expect_eq(auth_known(auth, "rita", "secret"), 1);
    cr_expect_eq(auth_known(auth, "rita", "other"), 0);
    cr_expect_eq(auth_known(auth, "otto", "secret"), 0);
    cr_expect_eq(auth_known(auth, "nobody", "secret"), 0);
    auth_free(auth);
}

Test(serve_auth, a_password_that_was_right_is_known_after_a_reload)
{
    struct auth *before = two_users(), *auth = two_users();
    struct auth *other = NULL;

    cr_assert_eq(auth_check(before, "rita", "secret"), 1);
    auth_keep(auth, before);
    auth_free(before);
    cr_expect_eq(auth_known(auth, "rita", "secret"), 1);
    cr_expect_eq(auth_known(auth, "rita", "other"), 0);
    cr_expect_eq(auth_known(auth, "otto", "other"), 0, "nobody has shown that it is right");
    cr_expect_eq(auth_check(auth, "otto", "other"), 1);

    cr_assert_eq(load("rita:$2b$04$abcdefghijklmnopqrstuuGm3Bd0bGOMyY7ri1Qz0gpKJgKk7rJHm\n", &other), 0);
    auth_keep(other, auth);
    cr_expect_eq(auth_known(other, "rita", "secret"), 0, "the hash is another one");
    cr_expect_eq(auth_known(other, "otto", "other"), 0, "the user has gone");
    auth_free(auth);
    auth_free(other);
}

static void *check_wrong(void *auth) { return (void *)(intptr_t)auth_check(auth, "rita", "wrong"); }

Test(serve_auth, who_waits_for_a_password_to_be_looked_at_waits_no_more_after_a_stop)
{
    struct auth *auth = two_users();
    int before = crypts;
    pthread_t threads[8];
    size_t wrong = 0, stopped = 0;
    void *result;

    pthread_mutex_lock(&crypt_gate);
    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, check_wrong, auth);
    while (__atomic_load_n(&crypts, __ATOMIC_RELAXED) == before)
        usleep(1000);
    auth_stop(auth);
    pthread_mutex_unlock(&crypt_gate);
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], &result);
        wrong += result == NULL;
        stopped += (intptr_t)result == -ECANCELED;
    }
    cr_expect_eq(wrong, 1, "the one that was looked at");
    cr_expect_eq(stopped, 7);
    cr_expect_eq(crypts - before, 1);
    auth_free(auth);
}

static void *check_often(void *auth)
{
    long wrong = 0;

    for (int i = 0; i < 10; i++)
        wrong += auth_check(auth, "rita", "secret") != 1 || auth_check(auth, "rita", "wrong") != 0;
    return (void *)wrong;
}

Test(serve_auth, many_threads_may_ask)
{
    struct auth *auth = two_users();
    pthread_t threads[8];
    void *wrong;

    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, check_often, auth);
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], &wrong);
        cr_expect_null(wrong);
    }
    auth_free(auth);
}

Test(serve_auth, a_file_of_users_that_is_wrong_lets_nobody_in)
{
    static const char hash[] = "$2b$04$abcdefghijklmnopqrstuuGm3Bd0bGOMyY7ri1Qz0gpKJgKk7rJHm";
    static const char *const bad[] = { "",        "# nobody\n",    "rita\n",      ":x\n",
                                       "rita:\n", "rita:secret\n", "rita:$9$x\n", "rita:*\n",
                                       "rita:!\n" };
    struct auth *auth = NULL;
    char text[4096];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_neq(load(bad[i], &auth), 0, "%s", bad[i]);
    snprintf(text, sizeof(text), "rita:%s\nrita:%s\n", hash, hash);
    cr_expect_neq(load(text, &auth), 0, "twice");
    snprintf(text, sizeof(text), "rita:%s:more\n", hash);
    cr_expect_neq(load(text, &auth), 0, "more");
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    cr_expect_neq(load(text, &auth), 0, "too long");
    cr_expect_neq(auth_load("/nonexistent/users", &auth), 0);
    cr_expect_null(auth);
}
