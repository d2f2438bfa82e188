/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/serve/address.h"
#include "cli/serve/serve.h"

enum { OPTION_LISTEN = 0x200, OPTION_CERT, OPTION_KEY, OPTION_CLIENT_CA, OPTION_AUTH };

static const struct argp_option options[] = {
    { NULL, 0, NULL, 0, "Where:", 1 },
    { "listen", OPTION_LISTEN, "ADDR:PORT", 0,
      "Listen there: 127.0.0.1:9959 (the default), [::1]:9959, :9959 (all addresses), unix:PATH; port 0: one that is "
      "free. May be given several times. Without it, sockets that systemd passes are taken",
      1 },
    { NULL, 0, NULL, 0, "Who may:", 2 },
    { "tls-cert", OPTION_CERT, "FILE", 0, "TLS with this certificate, and those up to its authority (PEM)", 2 },
    { "tls-key", OPTION_KEY, "FILE", 0, "Its private key (PEM)", 2 },
    { "tls-client-ca", OPTION_CLIENT_CA, "FILE", 0, "Only clients with a certificate by one of these authorities (PEM)",
      2 },
    { "auth-file", OPTION_AUTH, "FILE", 0,
      "Only users in FILE, with their password: lines of USER:HASH, as 'htpasswd -nB USER' and 'mkpasswd' make them",
      2 },
    { 0 },
};

static void add_listen(struct serve_arguments *a, const char *text, struct argp_state *state)
{
    if (!address_valid(text))
        argp_error(state, "--listen needs ADDR:PORT (such as 127.0.0.1:9959, [::1]:9959, :9959) or unix:PATH, not '%s'",
                   text);
    if (a->listen_count == SERVE_LISTENERS)
        argp_error(state, "at most %d addresses to listen on: '%s' is one too many", SERVE_LISTENERS, text);
    else
        a->listen[a->listen_count++] = text;
}

static void add_vm(struct serve_arguments *a, char *vm, struct argp_state *state)
{
    char **grown = reallocarray(a->vms, a->vm_count + 1, sizeof(*grown));

    if (!grown)
        argp_failure(state, 1, ENOMEM, "VM");
    if (!grown)
        return;
    grown[a->vm_count++] = vm;
    a->vms = grown;
}

static void set_file(const char **ret, const char *option, const char *file, struct argp_state *state)
{
    if (!file[0])
        argp_error(state, "--%s needs the name of a file", option);
    *ret = file;
}

/* What fits together. Does not return where it does not. */
static void check(const struct serve_arguments *a, struct argp_state *state)
{
    if (a->tls_cert && !a->tls_key)
        argp_error(state, "--tls-cert needs its private key, too: --tls-key FILE");
    if (a->tls_key && !a->tls_cert)
        argp_error(state, "--tls-key needs its certificate, too: --tls-cert FILE");
    if (a->tls_client_ca && !a->tls_cert)
        argp_error(state, "--tls-client-ca is for TLS, which needs --tls-cert FILE and --tls-key FILE");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct serve_arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->filter;
        state->child_inputs[1] = a->common;
        return 0;
    case OPTION_LISTEN:
        add_listen(a, arg, state);
        return 0;
    case OPTION_CERT:
        set_file(&a->tls_cert, "tls-cert", arg, state);
        return 0;
    case OPTION_KEY:
        set_file(&a->tls_key, "tls-key", arg, state);
        return 0;
    case OPTION_CLIENT_CA:
        set_file(&a->tls_client_ca, "tls-client-ca", arg, state);
        return 0;
    case OPTION_AUTH:
        set_file(&a->auth_file, "auth-file", arg, state);
        return 0;
    case ARGP_KEY_ARG:
        add_vm(a, arg, state);
        return 0;
    case ARGP_KEY_SUCCESS:
        check(a, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &filter_argp, 0, "What:", 3 }, { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    options,
    parse,
    "[VM...]",
    "Serve what VMs count to Prometheus: OpenMetrics 1.0, or its older text format, as it asks for."
    "\vVM is the name that 'vmtally list' shows, the path of a segment file, or the pid of a VM without one; "
    "without any, all that are there at a scrape. /metrics has the metrics, /healthz is 200 as long as they can be had "
    "(without a password). "
    "SIGHUP: certificates, keys and users are read again.",
    children,
    NULL,
    NULL,
};

void serve_arguments_parse(int argc, char **argv, struct options *common, struct serve_arguments *ret)
{
    *ret = (struct serve_arguments){ .common = common };
    if (argp_parse(&parser, argc, argv, 0, NULL, ret))
        exit(2);
}
