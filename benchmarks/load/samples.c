#include "samples.h"

#include <stdlib.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

uint64_t cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

void samples_add(struct samples *samples, uint64_t nanoseconds) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 1024;
        samples->values = realloc(samples->values, samples->capacity * sizeof *samples->values);
        if (samples->values == NULL) {
            perror("load: realloc");
            exit(2);
        }
    }
    samples->values[samples->count++] = nanoseconds;
}

static int ascending(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static double percentile_ms(const struct samples *samples, unsigned percent) {
    size_t rank = (samples->count * percent + 99) / 100; /* nearest rank, from 1 */
    return (double)samples->values[rank ? rank - 1 : 0] / 1e6;
}

void samples_print(struct samples *samples, FILE *out) {
    if (samples->count == 0) {
        fprintf(out, "null");
        return;
    }
    qsort(samples->values, samples->count, sizeof *samples->values, ascending);
    fprintf(out, "{\"count\": %zu, \"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f, \"max\": %.4f}",
            samples->count, percentile_ms(samples, 50), percentile_ms(samples, 90),
            percentile_ms(samples, 99), percentile_ms(samples, 100));
}
