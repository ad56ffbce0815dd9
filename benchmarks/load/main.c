/* Owns the command line of the load client: `load run ...`, and `load capacity`, which measures the client itself. */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "canned.h"
#include "client.h"

static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void print_samples(FILE *out, const char *name, struct samples *samples) {
    fprintf(out, ", \"%s\": ", name);
    samples_print(samples, out);
}

void totals_print(struct totals *totals, FILE *out) {
    fprintf(out,
            "{\"requests\": %lu, \"completed\": %lu, \"events\": %lu, \"comments\": %lu, "
            "\"bytes\": %lu, \"seconds\": %.6f, \"client_cpu_seconds\": %.6f",
            totals->requests, totals->completed, totals->events, totals->comments, totals->bytes,
            (double)totals->wall_ns / 1e9, (double)totals->cpu_ns / 1e9);
    print_samples(out, "first_byte_ms", &totals->first_byte);
    print_samples(out, "first_event_ms", &totals->first_event);
    print_samples(out, "whole_ms", &totals->whole);
    print_samples(out, "delivery_ms", &totals->delivery);
    fprintf(out,
            ", \"errors\": {\"connect\": %lu, \"status\": %lu, \"truncated\": %lu, \"end\": %lu, "
            "\"sequence\": %lu, \"unfinished\": %lu}, \"last_bad_status\": %d}\n",
            totals->connect_errors, totals->bad_status, totals->truncated, totals->bad_end,
            totals->sequence_gaps, totals->unfinished, totals->bad_status_code);
}

bool totals_clean(const struct totals *totals) {
    return !(totals->connect_errors || totals->bad_status || totals->truncated ||
             totals->bad_end || totals->sequence_gaps || totals->unfinished);
}

static uint64_t milliseconds(const char *text) { return (uint64_t)(atof(text) * 1e6); }

static struct options read_options(int count, char **arguments) {
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},
        {"method", required_argument, NULL, 'm'},
        {"path", required_argument, NULL, 'u'},
        {"key", required_argument, NULL, 'K'},
        {"body", required_argument, NULL, 'b'},
        {"end", required_argument, NULL, 'e'},
        {"connections", required_argument, NULL, 'c'},
        {"requests", required_argument, NULL, 'r'},
        {"opening", required_argument, NULL, 'o'},
        {"spread-ms", required_argument, NULL, 's'},
        {"pause-ms", required_argument, NULL, 'w'},
        {"duration-ms", required_argument, NULL, 'd'},
        {"timeout-ms", required_argument, NULL, 't'},
        {"bytes-per-second", required_argument, NULL, 'k'},
        {"plain", no_argument, NULL, 'P'},
        {"delivery", no_argument, NULL, 'D'},
        {"new-connection", no_argument, NULL, 'N'},
        {"hold", no_argument, NULL, 'H'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.method = "POST",
                              .path = "/invoke/stream",
                              .header = "",
                              .body = "{}",
                              .end = "complete",
                              .connections = 1,
                              .requests = 1,
                              .opening = 128,
                              .timeout_ns = 600000000000u};
    int name;
    while ((name = getopt_long(count, arguments, "", names, NULL)) != -1) {
        switch (name) {
        case 'p': options.port = atoi(optarg); break;
        case 'm': options.method = optarg; break;
        case 'u': options.path = optarg; break;
        case 'K':
            if (asprintf((char **)&options.header, "X-API-Key: %s\r\n", optarg) < 0) exit(2);
            break;
        case 'b': options.body = optarg; break;
        case 'e': options.end = optarg; break;
        case 'c': options.connections = strtoull(optarg, NULL, 10); break;
        case 'r': options.requests = strtoull(optarg, NULL, 10); break;
        case 'o': options.opening = strtoull(optarg, NULL, 10); break;
        case 's': options.spread_ns = milliseconds(optarg); break;
        case 'w': options.pause_ns = milliseconds(optarg); break;
        case 'd': options.duration_ns = milliseconds(optarg); break;
        case 't': options.timeout_ns = milliseconds(optarg); break;
        case 'k': options.bytes_per_second = strtoull(optarg, NULL, 10); break;
        case 'P': options.plain = true; break;
        case 'D': options.delivery = true; break;
        case 'N': options.new_connection = true; break;
        case 'H': options.hold = true; break;
        default: exit(2);
        }
    }
    return options;
}

int main(int count, char **arguments) {
    if (count < 2 || (strcmp(arguments[1], "run") && strcmp(arguments[1], "capacity"))) {
        fprintf(stderr, "usage: load run --port PORT [options] | load capacity [options]\n");
        return 2;
    }
    raise_file_limit();
    bool capacity = strcmp(arguments[1], "capacity") == 0;
    struct options options = read_options(count - 1, arguments + 1);
    struct canned canned = {0};
    if (capacity) {
        canned = canned_start();
        options.port = canned.port;
    } else if (options.port == 0) {
        fprintf(stderr, "load run: --port is missing\n");
        return 2;
    }
    struct totals totals = {0};
    client_run(&options, &totals, stdout);
    if (capacity) canned_stop(&canned);
    totals_print(&totals, stdout);
    return totals_clean(&totals) ? 0 : 1;
}
