/* Owns sets of measured times in nanoseconds, and their percentiles. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct samples {
    uint64_t *values;
    size_t count;
    size_t capacity;
};

uint64_t monotonic_ns(void);
uint64_t cpu_ns(void);

void samples_add(struct samples *samples, uint64_t nanoseconds);

/* Writes {"count", "p50", "p90", "p99", "max"} in milliseconds; sorts the samples. */
void samples_print(struct samples *samples, FILE *out);

#endif
