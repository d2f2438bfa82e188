/* SPDX-License-Identifier: MIT */
/* What clients of vmtally serve prefer, and what addresses are. */
#include <string.h>

#include <criterion/criterion.h>

#include "cli/serve/address.h"
#include "cli/serve/negotiate.h"

/* ---- what clients prefer ---- */

static enum vmt_metrics_format format_of(const char *accept)
{
    struct negotiation n;

    negotiate_begin(&n);
    if (accept)
        negotiate_accept(&n, accept);
    return negotiate_format(&n);
}

static int gzip_of(const char *accept)
{
    struct negotiation n;

    negotiate_begin(&n);
    if (accept)
        negotiate_accept_encoding(&n, accept);
    return negotiate_gzip(&n);
}

Test(serve, format_is_what_the_client_likes_best)
{
    static const struct {
        const char *accept;
        enum vmt_metrics_format format;
    } cases[] = {
        { NULL, VMT_PROMETHEUS },
        { "", VMT_PROMETHEUS },
        { "*/*", VMT_PROMETHEUS },
        { "text/*", VMT_PROMETHEUS },
        { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", VMT_PROMETHEUS },
        { "application/json", VMT_PROMETHEUS },
        { "application/*", VMT_OPENMETRICS },
        { "application/openmetrics-text", VMT_OPENMETRICS },
        { "application/openmetrics-text;version=1.0.0", VMT_OPENMETRICS },
        { " application/OpenMetrics-text ; version = \"1.0.0\" ", VMT_OPENMETRICS },
        { "application/openmetrics-text;version=0.0.1", VMT_PROMETHEUS },
        { "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", VMT_PROMETHEUS },
        { "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
          "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", /* Prometheus 2 */
          VMT_OPENMETRICS },
        { "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
          "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
          "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", /* Prometheus 3 */
          VMT_OPENMETRICS },
        { "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
          "text/plain;version=0.0.4;q=0.3",
          VMT_PROMETHEUS },
        { "text/plain;q=0.9, application/openmetrics-text;q=0.8", VMT_PROMETHEUS },
        { "text/plain;q=0.8, application/openmetrics-text;q=0.9", VMT_OPENMETRICS },
        { "text/plain, application/openmetrics-text", VMT_OPENMETRICS },
        { "application/openmetrics-text;q=0, */*", VMT_PROMETHEUS },
        { "application/openmetrics-text;q=2", VMT_PROMETHEUS },
        { "application/openmetrics-text;q=", VMT_PROMETHEUS },
        { "application/openmetrics-text;q=nan, text/plain;q=0.1", VMT_PROMETHEUS },
        { ",,;;q=1,=,\"", VMT_PROMETHEUS },
        { "x;y=\",application/openmetrics-text,\"", VMT_PROMETHEUS },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(format_of(cases[i].accept), cases[i].format, "%s", cases[i].accept);
}

Test(serve, several_accept_headers_are_one_list)
{
    struct negotiation n;

    negotiate_begin(&n);
    negotiate_accept(&n, "text/plain;q=0.5");
    negotiate_accept(&n, "application/openmetrics-text;q=0.6");
    cr_expect_eq(negotiate_format(&n), VMT_OPENMETRICS);
}

Test(serve, an_element_that_is_too_long_is_none)
{
    char accept[4096];

    memset(accept, 'a', sizeof(accept));
    memcpy(accept, "application/openmetrics-text;x=", 31);
    accept[sizeof(accept) - 1] = '\0';
    cr_expect_eq(format_of(accept), VMT_PROMETHEUS);
    memcpy(accept + sizeof(accept) - 40, ",application/openmetrics-text;q=1", 34);
    cr_expect_eq(format_of(accept), VMT_OPENMETRICS);
}

Test(serve, gzip_only_where_it_is_accepted)
{
    static const struct {
        const char *accept;
        int gzip;
    } cases[] = {
        { NULL, 0 },
        { "gzip", 1 },
        { "x-gzip", 1 },
        { "GZIP;q=0.3", 1 },
        { "deflate, gzip;q=1.0, *;q=0.5", 1 },
        { "*", 1 },
        { "*;q=0", 0 },
        { "gzip;q=0, *", 0 },
        { "gzip;q=0.000", 0 },
        { "identity, gzip;q=0.5", 0 },
        { "identity;q=0.5, gzip", 1 },
        { "br, zstd", 0 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(gzip_of(cases[i].accept), cases[i].gzip, "%s", cases[i].accept);
}

/* ---- addresses ---- */

Test(serve, addresses_say_which_colon_is_before_the_port)
{
    static const char *const good[] = {
        "127.0.0.1:9959", "[::1]:0", ":9959", "localhost:65535", "unix:/run/x", "unix:x"
    };
    static const char *const bad[] = {
        "",     ":",       "9959",  "::1:9959", "[::1]", "a:b",    "a:-1",
        "a: 1", "a:65536", "unix:", "[::1]:",   "a:+9",  "a:0x10", "a:99999999999999999999"
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_expect(address_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_not(address_valid(bad[i]), "%s", bad[i]);
}

Test(serve, an_address_of_this_host_alone_is_known)
{
    static const struct {
        const char *text;
        int loopback;
    } cases[] = { { "127.0.0.1:0", 1 }, { "127.3.2.1:0", 1 }, { "0.0.0.0:0", 0 }, { ":0", 0 } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address a;

        cr_assert_eq(address_open(cases[i].text, &a), 0);
        cr_expect_eq(a.loopback, cases[i].loopback, "%s", cases[i].text);
        cr_expect_not(strstr(a.text, ":0"), "%s", a.text);
        address_close(&a);
    }
}
