/* SPDX-License-Identifier: MIT */
#include "cli/serve/http.h"

#include <errno.h>
#include <math.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "cli/places.h"
#include "cli/serve/clients.h"
#include "cli/serve/negotiate.h"
#include "cli/serve/serve.h"

#define MEMORY_BYTES ((size_t)32 << 10) /* of a connection: its request line and headers must fit */
#define STACK_BYTES ((size_t)512 << 10)
#define SILENCE_S 120U       /* longer than what clients.c gives for anything */
#define ALIVE_MS 5000        /* for an answer of the reader to /healthz: the host's kernel may take 2 s of it */
#define PATIENCE_MOST_S 60.0 /* whatever a client says */
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"
#define RETRY_S "5" /* when a password may be tried again */
#define STOPPING "this server is being stopped\n"
#define TEXT "text/plain; charset=utf-8"

struct http {
    struct http_options options;
    struct auth *auth;
    struct tls tls;
    struct clients *clients;
    struct body_sender sender;
    struct MHD_Daemon *daemons[SERVE_LISTENERS];
    size_t count;
};

/* One request, from its headers on. */
struct request {
    struct client *client;
    size_t sends; /* bytes of metrics */
};

/* ---- answers ---- */

/* Takes response over, which may be NULL. */
static enum MHD_Result send_response(struct MHD_Connection *c, unsigned status, struct MHD_Response *response,
                                     const char *type)
{
    enum MHD_Result r = MHD_NO;

    if (!response)
        return MHD_NO;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES)
        r = MHD_queue_response(c, status, response);
    MHD_destroy_response(response);
    return r;
}

static struct MHD_Response *text_response(const char *text)
{
    return MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    return send_response(c, status, text_response(text), TEXT);
}

/* With one header more, about which the status is. Who is let in nowhere does not keep the connection. */
static enum MHD_Result send_with(struct MHD_Connection *c, unsigned status, const char *text, const char *header,
                                 const char *value)
{
    struct MHD_Response *response = text_response(text);

    if (response && (MHD_add_response_header(response, header, value) != MHD_YES ||
                     MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") != MHD_YES)) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return send_response(c, status, response, TEXT);
}

/* ---- /metrics ---- */

static enum MHD_Result look_at_header(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct negotiation *n = arg;

    (void)kind;
    if (value && !strcasecmp(key, MHD_HTTP_HEADER_ACCEPT))
        negotiate_accept(n, value);
    else if (value && !strcasecmp(key, MHD_HTTP_HEADER_ACCEPT_ENCODING))
        negotiate_accept_encoding(n, value);
    return MHD_YES;
}

/* Prometheus says how long it waits: an answer that comes later is for nobody. A bit less, for the way. */
static int patience_ms(struct MHD_Connection *c)
{
    const char *value = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-Prometheus-Scrape-Timeout-Seconds");
    double s = value ? strtod(value, NULL) : 0;

    if (!isfinite(s) || s <= 0)
        return SERVE_PATIENCE_MS;
    s = s < PATIENCE_MOST_S ? s : PATIENCE_MOST_S;
    return (int)((s - (s < 5 ? s / 10 : 0.5)) * 1000) + 1;
}

static enum MHD_Result send_failure(struct http *h, struct MHD_Connection *c, int error)
{
    char text[PLACES_TEXT + 1], trouble[PLACES_TEXT];

    switch (error) {
    case -ETIMEDOUT:
        snprintf(text, sizeof(text), "the process that reads segments has not answered in time\n");
        break;
    case -EPIPE:
        snprintf(text, sizeof(text), "the process that reads segments has ended\n");
        break;
    case -ESHUTDOWN:
        snprintf(text, sizeof(text), STOPPING);
        break;
    case -EFBIG:
    case -EMSGSIZE:
        snprintf(text, sizeof(text), SERVE_TOO_LARGE "\n");
        break;
    case -ENOBUFS:
        snprintf(text, sizeof(text), "too much is being sent to clients that are slow\n");
        break;
    default:
        snprintf(text, sizeof(text), "%s\n", places_trouble(h->options.common, error, false, trouble, sizeof(trouble)));
    }
    return send_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

static void unref(void *body) { body_unref(body); }

static enum MHD_Result send_body(struct MHD_Connection *c, struct body *body, enum vmt_metrics_format format, int gzip)
{
    static const char *const types[] = {
        [VMT_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
        [VMT_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
    };
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(body->size, body->data, unref, body);

    if (!response) {
        body_unref(body);
        return MHD_NO;
    }
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Accept, Accept-Encoding") != MHD_YES ||
        (gzip && MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip") != MHD_YES)) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return send_response(c, MHD_HTTP_OK, response, types[format]);
}

static enum MHD_Result answer_metrics(struct http *h, struct MHD_Connection *c, const char *method,
                                      struct request *request)
{
    struct negotiation n;
    enum vmt_metrics_format format;
    struct body *body = NULL;
    int gzip, r;

    negotiate_begin(&n);
    MHD_get_connection_values(c, MHD_HEADER_KIND, look_at_header, &n);
    format = negotiate_format(&n);
    gzip = negotiate_gzip(&n);
    r = scrape_get(h->options.scrape, format, gzip, patience_ms(c), &body);
    if (r < 0)
        return send_failure(h, c, r);
    clients_sending(h->clients, request->client, body->number);
    request->sends = strcmp(method, MHD_HTTP_METHOD_HEAD) != 0 ? body->size : 0;
    return send_body(c, body, format, gzip);
}

/* ---- the others ---- */

static enum MHD_Result answer_health(struct http *h, struct MHD_Connection *c)
{
    int r = scrape_alive(h->options.scrape, ALIVE_MS);

    return r == 0 ? send_text(c, MHD_HTTP_OK, "ok\n") : send_failure(h, c, r);
}

static enum MHD_Result answer_page(struct MHD_Connection *c)
{
    static const char page[] =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>vmtally</title></head>\n<body>\n"
        "<h1>vmtally " VMTALLY_VERSION "</h1>\n<p>What the virtual machines of this host count.</p>\n<ul>\n"
        "<li><a href=\"/metrics\">/metrics</a>: for Prometheus, in the format that is asked for</li>\n"
        "<li><a href=\"/healthz\">/healthz</a>: whether they can be had</li>\n</ul>\n</body>\n</html>\n";

    return send_response(
        c, MHD_HTTP_OK,
        MHD_create_response_from_buffer(sizeof(page) - 1, (void *)(uintptr_t)page, MHD_RESPMEM_PERSISTENT),
        "text/html; charset=utf-8");
}

/* ---- who may ---- */

/* As auth_check(), and -EBUSY where too many wait for that. */
static int check(struct http *h, struct client *client, const char *user, const char *password)
{
    int right;

    if (auth_known(h->auth, user, password))
        return 1;
    if (!clients_check(h->clients, client))
        return -EBUSY;
    right = auth_check(h->auth, user, password);
    clients_checked(h->clients, client);
    return right;
}

static int knows(struct http *h, struct MHD_Connection *c, struct client *client)
{
    char *password = NULL;
    char *user = MHD_basic_auth_get_username_password(c, &password);
    int right = user && password ? check(h, client, user, password) : 0;

    if (password)
        explicit_bzero(password, strlen(password));
    MHD_free(password);
    MHD_free(user);
    return right;
}

static int has_certificate(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    return info && info->tls_session && tls_client_trusted(info->tls_session);
}

/* right: 0, or a negative errno: it could not be looked at. */
static enum MHD_Result send_stranger(struct http *h, struct MHD_Connection *c, int right)
{
    scrape_count_refused(h->options.scrape, 1);
    if (right < 0)
        return send_with(c, MHD_HTTP_SERVICE_UNAVAILABLE,
                         right == -EBUSY ? "too many passwords are being looked at\n" : STOPPING,
                         MHD_HTTP_HEADER_RETRY_AFTER, RETRY_S);
    return send_with(c, MHD_HTTP_UNAUTHORIZED, "user and password, please\n", MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                     "Basic realm=\"vmtally\", charset=\"UTF-8\"");
}

static enum MHD_Result answer(struct http *h, struct MHD_Connection *c, const char *url, const char *method,
                              struct request *request)
{
    int right;

    if (h->tls.client_ca && !has_certificate(c)) {
        scrape_count_refused(h->options.scrape, 1);
        return send_text(c, MHD_HTTP_FORBIDDEN, "this server wants a certificate of its clients\n");
    }
    if (!strcmp(url, "/healthz"))
        return answer_health(h, c);
    right = h->auth ? knows(h, c, request->client) : 1;
    if (right <= 0)
        return send_stranger(h, c, right);
    if (!strcmp(url, "/metrics"))
        return answer_metrics(h, c, method, request);
    if (!strcmp(url, "/"))
        return answer_page(c);
    return send_text(c, MHD_HTTP_NOT_FOUND, "not here; /metrics is\n");
}

/* ---- requests and connections ---- */

static struct client *client_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* Called with the headers first, then with parts of a body (nobody wants it), then to answer. */
static enum MHD_Result handle(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **request)
{
    struct http *h = cls;
    struct request *r = *request;

    (void)version;
    (void)upload;
    if (!r) {
        r = calloc(1, sizeof(*r));
        if (!r)
            return MHD_NO;
        r->client = client_of(c);
        *request = r;
        clients_busy(h->clients, r->client);
        if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
            return send_with(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n", MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    return answer(h, c, url, method, r);
}

static void completed(void *cls, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode code)
{
    struct http *h = cls;
    struct request *r = *request;

    (void)c;
    if (!r)
        return;
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        scrape_count_sent(h->options.scrape, r->sends);
    clients_idle(h->clients, r->client);
    free(r);
    *request = NULL;
}

static enum MHD_Result admit(void *cls, const struct sockaddr *address, socklen_t size)
{
    struct http *h = cls;
    int r;

    (void)size;
    r = clients_admit(h->clients, address);
    if (r != 1)
        scrape_count_refused(h->options.scrape, 1);
    return r ? MHD_YES : MHD_NO;
}

static void connection(void *cls, struct MHD_Connection *c, void **client, enum MHD_ConnectionNotificationCode code)
{
    struct http *h = cls;
    const union MHD_ConnectionInfo *fd, *address;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        clients_remove(h->clients, *client);
        return;
    }
    fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    address = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *client = fd ? clients_add(h->clients, fd->connect_fd, address ? address->client_addr : NULL) : NULL;
    eventfd_write(h->options.wake_fd, 1);
}

/* ---- life ---- */

static struct MHD_Daemon *start_one(struct http *h, int fd)
{
    const unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC;
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, h->tls.cert },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, h->tls.key },
        { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES },
        { h->tls.client_ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, h->tls.client_ca },
        { MHD_OPTION_END, 0, NULL },
    };

    return MHD_start_daemon(flags | (h->tls.cert ? MHD_USE_TLS : 0), 0, admit, h, handle, h, MHD_OPTION_LISTEN_SOCKET,
                            fd, MHD_OPTION_NOTIFY_CONNECTION, connection, h, MHD_OPTION_NOTIFY_COMPLETED, completed, h,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)CLIENTS_SLOTS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S, MHD_OPTION_THREAD_STACK_SIZE,
                            STACK_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
                            MHD_OPTION_ARRAY, h->tls.cert ? tls : &tls[4], MHD_OPTION_END);
}

static size_t shed(void *arg, uint64_t body) { return clients_shed(arg, body); }

int http_start(const struct http_options *options, struct auth *auth, struct tls *tls, struct http **ret)
{
    struct http *h = calloc(1, sizeof(*h));

    if (!h || clients_new(&h->clients) < 0) {
        free(h);
        return -ENOMEM;
    }
    h->options = *options;
    h->sender = (struct body_sender){ .shed = shed, .arg = h->clients };
    bodies_join(scrape_bodies(options->scrape), &h->sender);
    h->tls = *tls;
    h->auth = auth;
    for (; h->count < options->address_count; h->count++) {
        errno = 0;
        h->daemons[h->count] = start_one(h, options->addresses[h->count].fd);
        if (!h->daemons[h->count]) {
            int error = errno ? errno : ENOMEM;

            http_quiesce(h);
            h->auth = NULL;
            h->tls = (struct tls){ 0 };
            http_stop(h);
            return -error;
        }
    }
    *tls = (struct tls){ 0 };
    *ret = h;
    return 0;
}

struct auth *http_auth(struct http *h) { return h->auth; }

void http_let_nobody_in(struct http *h) { auth_stop(h->auth); }

/* Also keeps MHD_stop_daemon() from closing the sockets, which are not its. */
void http_quiesce(struct http *h)
{
    for (size_t i = 0; i < h->count; i++)
        MHD_quiesce_daemon(h->daemons[i]);
}

size_t http_tick(struct http *h)
{
    scrape_count_refused(h->options.scrape, clients_expire(h->clients));
    return clients_count(h->clients).open;
}

size_t http_busy(struct http *h) { return clients_count(h->clients).busy; }

void http_stop(struct http *h)
{
    if (!h)
        return;
    http_quiesce(h);
    http_let_nobody_in(h);
    for (size_t i = 0; i < h->count; i++)
        MHD_stop_daemon(h->daemons[i]);
    bodies_leave(scrape_bodies(h->options.scrape), &h->sender);
    clients_free(h->clients);
    auth_free(h->auth);
    tls_free(&h->tls);
    free(h);
}
