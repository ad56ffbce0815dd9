#define _GNU_SOURCE /* memmem */
#include "sse.h"

#include <string.h>

void sse_start(struct sse *sse) {
    memset(sse, 0, sizeof *sse);
    sse->sequence = -1;
}

static void copy_text(char target[32], const char *text, size_t length) {
    if (length && *text == ' ') text++, length--;
    if (length > 31) length = 31;
    memcpy(target, text, length);
    target[length] = '\0';
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static uint64_t leading_number(const char *text, const char *end) {
    uint64_t number = 0;
    for (; text < end && is_digit(*text); text++) number = number * 10 + (uint64_t)(*text - '0');
    return number;
}

static void check_sequence(struct sse *sse, const char *line, size_t length) {
    const char *end = line + length;
    const char *digits = end;
    while (digits > line && is_digit(digits[-1])) digits--;
    int64_t sequence = (int64_t)leading_number(digits, end);
    if (sequence != sse->sequence + 1) sse->gaps++;
    sse->sequence = sequence;
}

static void time_token(const char *line, size_t length, uint64_t now, struct samples *delivery) {
    static const char key[] = "\"content\":\"";
    const char *content = memmem(line, length, key, sizeof key - 1);
    if (content == NULL) return;
    uint64_t sent = leading_number(content + sizeof key - 1, line + length);
    if (sent && sent <= now) samples_add(delivery, now - sent);
}

static void end_of_block(struct sse *sse) {
    if (!sse->in_block) return;
    sse->events++;
    if (sse->type[0]) memcpy(sse->last, sse->type, sizeof sse->last);
    sse->type[0] = '\0';
    sse->in_block = false;
}

static void whole_line(struct sse *sse, const char *line, size_t length, uint64_t now,
                       struct samples *delivery) {
    if (length && line[length - 1] == '\r') length--;
    if (length == 0) {
        end_of_block(sse);
    } else if (line[0] == ':') {
        sse->comments++;
    } else if (length >= 6 && memcmp(line, "event:", 6) == 0) {
        sse->in_block = true;
        copy_text(sse->type, line + 6, length - 6);
    } else if (length >= 5 && memcmp(line, "data:", 5) == 0) {
        sse->in_block = true;
        if (!sse->type[0]) copy_text(sse->last, line + 5, length - 5);
        if (delivery && strcmp(sse->type, "token") == 0) time_token(line, length, now, delivery);
    } else if (length >= 3 && memcmp(line, "id:", 3) == 0) {
        sse->in_block = true;
        check_sequence(sse, line, length);
    }
}

static void keep(struct sse *sse, const char *data, size_t length) {
    size_t room = sizeof sse->line - sse->line_length;
    if (length > room) length = room; /* a long line's end is not looked at */
    memcpy(sse->line + sse->line_length, data, length);
    sse->line_length += length;
}

void sse_feed(struct sse *sse, const char *data, size_t length, uint64_t now,
              struct samples *delivery) {
    const char *end = data + length;
    while (data < end) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        if (newline == NULL) {
            keep(sse, data, (size_t)(end - data));
            return;
        }
        if (sse->line_length) {
            keep(sse, data, (size_t)(newline - data));
            whole_line(sse, sse->line, sse->line_length, now, delivery);
            sse->line_length = 0;
        } else {
            whole_line(sse, data, (size_t)(newline - data), now, delivery);
        }
        data = newline + 1;
    }
}
