/* Owns the connections: opens them, sends requests, reads the answers, on one thread with epoll. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "samples.h"

struct options {
    int port;
    const char *method;
    const char *path;
    const char *header;     /* one more line of the head, with its line end; or nothing */
    const char *body;
    const char *end;        /* what the last block of a stream must be, or what a plain answer must hold */
    bool plain;             /* the answer is no event stream */
    bool delivery;          /* tokens carry the sender's clock */
    bool new_connection;    /* for every request */
    bool hold;              /* say when all streams are open, then keep them until standard input ends */
    size_t connections;
    size_t requests;        /* on each connection, one after the other */
    size_t opening;         /* how many connections may wait for their first event at once */
    uint64_t spread_ns;     /* connections start evenly over this time */
    uint64_t pause_ns;      /* before the next request of a connection */
    uint64_t duration_ns;   /* no new request after this time; 0: no limit */
    uint64_t timeout_ns;    /* everything must have ended by then */
    uint64_t bytes_per_second; /* of reading, on each connection; 0: as fast as it comes */
};

struct totals {
    uint64_t requests, completed, events, comments, bytes;
    uint64_t connect_errors, bad_status, truncated, bad_end, sequence_gaps, unfinished;
    uint64_t wall_ns, cpu_ns;
    int bad_status_code; /* the last one */
    struct samples first_byte, first_event, whole, delivery;
};

/* Does all that `options` asks for and fills `totals`; `progress` gets the line that `hold` promises. */
void client_run(const struct options *options, struct totals *totals, FILE *progress);

/* Writes `totals` as one line of JSON. */
void totals_print(struct totals *totals, FILE *out);

bool totals_clean(const struct totals *totals);

#endif
