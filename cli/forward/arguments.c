/* SPDX-License-Identifier: MIT */
#include "arguments.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/numbers.h"
#include "endpoint.h"
#include "tag.h"

#define QUEUE_DEFAULT (12U << 20)
#define QUEUE_LEAST (4U << 20)
#define TIMEOUT_DEFAULT_MS 10000U
#define WHY 512

enum {
    OPTION_TO = 0x200,
    OPTION_MODE,
    OPTION_U64,
    OPTION_TAG,
    OPTION_NO_ACK,
    OPTION_GZIP,
    OPTION_QUEUE,
    OPTION_TIMEOUT,
    OPTION_KEY_FILE,
    OPTION_USER,
    OPTION_PASSWORD_FILE,
    OPTION_TLS,
    OPTION_TLS_CA,
    OPTION_TLS_CERT,
    OPTION_TLS_KEY,
    OPTION_TLS_NAME,
    OPTION_TLS_INSECURE,
    OPTION_HOSTNAME,
};

static const struct argp_option options[] = {
    { NULL, 0, NULL, 0, "Where to, and how often:", 1 },
    { "to", OPTION_TO, "ENDPOINT", 0,
      "A collector that takes Fluent Forward: HOST[:PORT] (port 24224 by default), tls://HOST[:PORT] or unix:PATH. "
      "Given "
      "several times, the next one is taken when one fails",
      1 },
    { "interval", 'i', "SECONDS", 0, "Time between samples, 0.1 to 3600 (default 1)", 1 },
    { "count", 'n', "COUNT", 0, "End after COUNT samples, when all of them are delivered", 1 },
    { NULL, 0, NULL, 0, "What is sent:", 2 },
    { "mode", OPTION_MODE, "MODE", 0,
      "Counters and histograms as totals (default), or as deltas since the sample before", 2 },
    { "u64", OPTION_U64, "HOW", 0,
      "Integers as they are (auto, the default), or as strings of digits, for collectors that cut off above 2^53 "
      "(string)",
      2 },
    { "tag", OPTION_TAG, "TAG", 0,
      "Tag of the records, with {vm}, {target}, {provider}, {source} and {label:KEY} (default " TAG_DEFAULT ")", 2 },
    { "hostname", OPTION_HOSTNAME, "NAME", 0, "Name of this host, in records and for the collector (default: its own)",
      2 },
    { NULL, 0, NULL, 0, "Delivery:", 3 },
    { "no-ack", OPTION_NO_ACK, NULL, 0,
      "Do not ask the collector to acknowledge each chunk: what is on its way when a connection breaks is lost", 3 },
    { "gzip", OPTION_GZIP, NULL, 0, "Compress chunks", 3 },
    { "queue", OPTION_QUEUE, "SIZE", 0,
      "How much waits for a collector that is slow or gone, in bytes or with K, M or G behind it (default 12M, at "
      "least "
      "4M): then the oldest is dropped, and counted",
      3 },
    { "timeout", OPTION_TIMEOUT, "SECONDS", 0, "For connecting, sending a chunk, and its acknowledgement (default 10)",
      3 },
    { NULL, 0, NULL, 0, "Who we are:", 4 },
    { "shared-key-file", OPTION_KEY_FILE, "FILE", 0, "The shared key is the first line of FILE", 4 },
    { "user", OPTION_USER, "NAME", 0, "User name for the collector, with --password-file and --shared-key-file", 4 },
    { "password-file", OPTION_PASSWORD_FILE, "FILE", 0, "The password is the first line of FILE", 4 },
    { NULL, 0, NULL, 0, "TLS:", 5 },
    { "tls", OPTION_TLS, NULL, 0, "All endpoints speak TLS, as tls:// says", 5 },
    { "tls-ca", OPTION_TLS_CA, "FILE", 0, "Trust certificates that these sign (default: the system's)", 5 },
    { "tls-cert", OPTION_TLS_CERT, "FILE", 0, "Our certificate, where the collector wants one", 5 },
    { "tls-key", OPTION_TLS_KEY, "FILE", 0, "Its private key", 5 },
    { "tls-name", OPTION_TLS_NAME, "NAME", 0, "The name in the collector's certificate (default: HOST)", 5 },
    { "tls-insecure", OPTION_TLS_INSECURE, NULL, 0, "Take any certificate: anybody can pass for the collector", 5 },
    { 0 },
};

struct parsing {
    struct forward_arguments *a;
    int no_ack;
    int plain; /* endpoints of TCP without tls:// */
    int tls_endpoints;
};

static const char *option_name(int key)
{
    for (const struct argp_option *o = options; o->name || o->doc; o++) {
        if (o->key == key && o->name)
            return o->name;
    }
    return "";
}

/* ---- values ---- */

static uint64_t parse_queue(const char *arg, struct argp_state *state)
{
    static const char units[] = "KMGT";
    unsigned shift = 0;
    uint64_t value;
    const char *unit;
    char *end;

    errno = 0;
    value = strtoull(arg, &end, 10);
    unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit) {
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
        if (shift && (!strcmp(end, "iB") || !strcmp(end, "B")))
            end = strchr(end, '\0');
    }
    if (!isdigit((unsigned char)arg[0]) || *end || errno || value > UINT64_MAX >> shift)
        argp_error(state, "--queue needs a size such as 64M, not '%s'", arg);
    value <<= shift;
    if (value < QUEUE_LEAST)
        argp_error(state, "--queue %s: two chunks must find room, at least 4M", arg);
    return value;
}

/* The one of two words: 0 or 1. */
static int parse_word(int key, const char *arg, const char *zero, const char *one, struct argp_state *state)
{
    if (strcmp(arg, zero) != 0 && strcmp(arg, one) != 0)
        argp_error(state, "--%s is %s or %s, not '%s'", option_name(key), zero, one, arg);
    return strcmp(arg, one) == 0;
}

static const char *parse_text(int key, const char *arg, struct argp_state *state)
{
    if (!arg[0])
        argp_error(state, "--%s is empty", option_name(key));
    return arg;
}

static void parse_endpoint(struct parsing *p, const char *arg, struct argp_state *state)
{
    struct forward_arguments *a = p->a;
    char why[WHY];
    int tls = 0;

    if (a->endpoint_count == ENDPOINTS_MAX)
        argp_error(state, "--to %s: at most %d endpoints", arg, ENDPOINTS_MAX);
    if (endpoint_parse(arg, &a->endpoints[a->endpoint_count], &tls, why, sizeof(why)) < 0)
        argp_error(state, "--to %s: %s", arg, why);
    p->tls_endpoints += tls;
    p->plain += !tls;
    a->endpoint_count++;
}

static void parse_tag(struct forward_arguments *a, const char *arg, struct argp_state *state)
{
    char why[WHY];

    if (tag_check(arg, why, sizeof(why)) < 0)
        argp_error(state, "--tag: %s", why);
    a->tag = arg;
}

/* ---- what fits together ---- */

static int has_socket(const struct forward_arguments *a)
{
    for (size_t i = 0; i < a->endpoint_count; i++) {
        if (a->endpoints[i].path)
            return 1;
    }
    return 0;
}

static void check_tls(struct parsing *p, struct argp_state *state)
{
    struct forward_arguments *a = p->a;

    if (p->tls_endpoints && p->plain && !a->tls)
        argp_error(state, "some of --to have tls://, some have not; write it at all of them");
    if ((p->tls_endpoints || a->tls) && has_socket(a))
        argp_error(state, "there is no TLS on unix: sockets");
    a->tls = a->tls || p->tls_endpoints;
    if (!a->tls && (a->tls_ca || a->tls_cert || a->tls_key || a->tls_name || a->tls_insecure))
        argp_error(
            state,
            "--tls-ca, --tls-cert, --tls-key, --tls-name and --tls-insecure need --tls, or --to tls://HOST:PORT");
    if (!a->tls_cert != !a->tls_key)
        argp_error(state, "--tls-cert and --tls-key go together");
    if (a->tls_insecure && (a->tls_ca || a->tls_name))
        argp_error(state, "--tls-insecure takes any certificate: --tls-ca and --tls-name have no use with it");
}

static void check(struct parsing *p, struct argp_state *state)
{
    struct forward_arguments *a = p->a;

    if (!a->endpoint_count)
        argp_error(state, "where to? --to HOST:PORT, --to tls://HOST:PORT or --to unix:PATH");
    check_tls(p, state);
    if (!a->user != !a->password_file)
        argp_error(state, "--user and --password-file go together");
    if (a->user && !a->shared_key_file)
        argp_error(state, "--user needs --shared-key-file, too: collectors ask for a user only after the key");
    a->ack = !p->no_ack;
}

/* ---- */

static error_t parse_delivery(struct parsing *p, int key, char *arg, struct argp_state *state)
{
    struct forward_arguments *a = p->a;

    switch (key) {
    case OPTION_NO_ACK:
        p->no_ack = 1;
        return 0;
    case OPTION_GZIP:
        a->gzip = 1;
        return 0;
    case OPTION_QUEUE:
        a->queue_bytes = parse_queue(arg, state);
        return 0;
    case OPTION_TIMEOUT:
        a->timeout_ms = (uint32_t)lround(option_seconds(state, "--timeout", arg, 0.1, 3600) * 1e3);
        return 0;
    case OPTION_KEY_FILE:
        a->shared_key_file = parse_text(key, arg, state);
        return 0;
    case OPTION_USER:
        parse_text(key, arg, state);
        free(a->user);
        a->user = strdup(arg);
        return a->user ? 0 : ENOMEM;
    case OPTION_PASSWORD_FILE:
        a->password_file = parse_text(key, arg, state);
        return 0;
    case OPTION_TLS:
        a->tls = 1;
        return 0;
    case OPTION_TLS_CA:
        a->tls_ca = parse_text(key, arg, state);
        return 0;
    case OPTION_TLS_CERT:
        a->tls_cert = parse_text(key, arg, state);
        return 0;
    case OPTION_TLS_KEY:
        a->tls_key = parse_text(key, arg, state);
        return 0;
    case OPTION_TLS_NAME:
        a->tls_name = parse_text(key, arg, state);
        return 0;
    case OPTION_TLS_INSECURE:
        a->tls_insecure = 1;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct parsing *p = state->input;
    struct forward_arguments *a = p->a;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        state->child_inputs[1] = &a->filter;
        return 0;
    case OPTION_TO:
        parse_endpoint(p, arg, state);
        return 0;
    case 'i':
        a->interval = option_seconds(state, "--interval", arg, 0.1, 3600);
        return 0;
    case 'n':
        a->count = option_count(state, "--count", arg);
        return 0;
    case OPTION_MODE:
        a->deltas = parse_word(key, arg, "totals", "deltas", state);
        return 0;
    case OPTION_U64:
        a->strings = parse_word(key, arg, "auto", "string", state);
        return 0;
    case OPTION_TAG:
        parse_tag(a, arg, state);
        return 0;
    case OPTION_HOSTNAME:
        a->self_host = parse_text(key, arg, state);
        return 0;
    case ARGP_KEY_ARGS:
        a->vms = state->argv + state->next;
        a->vm_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_SUCCESS:
        check(p, state);
        return 0;
    default:
        return parse_delivery(p, key, arg, state);
    }
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { &filter_argp, 0, "", 2 }, { 0 } };
static const struct argp parser = {
    options,
    parse,
    "[VM...]",
    "Send the counters of VMs to a collector over Fluent Forward: Fluentd, Fluent Bit, Vector, the OpenTelemetry "
    "collector."
    "\vVM is the name that 'vmtally list' shows, the path of a segment file, or the pid of a VM without one; without "
    "any, all are sent, those that come later too. Each source is a record at each sample. A collector that is slow or "
    "gone hinders nothing: what "
    "waits "
    "for it is bounded, and what was dropped is counted and said. Secrets are read from files only, such as those in "
    "systemd's $CREDENTIALS_DIRECTORY. SIGHUP reads them again.",
    children,
    NULL,
    NULL,
};

static const char *own_host(void)
{
    static char name[HOST_NAME_MAX + 1];

    return gethostname(name, sizeof(name) - 1) == 0 && name[0] ? name : "localhost";
}

int forward_arguments_parse(int argc, char **argv, struct options *common, struct forward_arguments *ret)
{
    struct parsing p = { .a = ret };

    *ret = (struct forward_arguments){ .common = common,
                                       .interval = 1,
                                       .tag = TAG_DEFAULT,
                                       .queue_bytes = QUEUE_DEFAULT,
                                       .timeout_ms = TIMEOUT_DEFAULT_MS,
                                       .self_host = own_host() };
    return argp_parse(&parser, argc, argv, 0, NULL, &p) != 0;
}

int forward_arguments_read_secrets(struct forward_arguments *a)
{
    if (a->shared_key_file && forward_secret(a->shared_key_file, &a->shared_key) < 0)
        return -1;
    return a->password_file && forward_secret(a->password_file, &a->password) < 0 ? -1 : 0;
}

static void forget(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

void forward_arguments_free(struct forward_arguments *a)
{
    for (size_t i = 0; i < a->endpoint_count; i++)
        endpoint_free(&a->endpoints[i]);
    forget(&a->shared_key);
    forget(&a->password);
    free(a->user);
    filter_free(&a->filter);
}
