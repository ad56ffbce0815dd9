/* Owns the reading of one event stream: counts events, checks their sequence, times their delivery. */
#ifndef SSE_H
#define SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "samples.h"

struct sse {
    uint64_t events;   /* blocks ended by a blank line */
    uint64_t comments; /* lines that start with a colon */
    uint64_t gaps;     /* ids whose number is not the one before plus one */
    int64_t sequence;  /* of the last id, -1 before the first */
    bool in_block;
    char type[32]; /* of the block being read */
    char last[32]; /* what the last whole block was: its event type, or its data if it has none */
    size_t line_length;
    char line[512]; /* start of a line that the network cut in two */
};

void sse_start(struct sse *sse);

/* `now` and `delivery` time tokens whose content is the sender's clock; `delivery` may be NULL. */
void sse_feed(struct sse *sse, const char *data, size_t length, uint64_t now,
              struct samples *delivery);

#endif
