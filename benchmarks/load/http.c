#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void response_start(struct response *response) {
    memset(response, 0, sizeof *response);
    response->keep_alive = true;
}

bool response_closed(const struct response *response) {
    return response->state == RESPONSE_UNTIL_CLOSE || response->state == RESPONSE_DONE;
}

static const char *header_value(const char *line, const char *name) {
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) != 0 || line[length] != ':') return NULL;
    line += length + 1;
    while (*line == ' ' || *line == '\t') line++;
    return line;
}

static void end_of_head(struct response *response) {
    if (response->status >= 100 && response->status < 200) {
        response_start(response);
    } else if (response->status == 204 || response->status == 304) {
        response->state = RESPONSE_DONE;
    } else if (response->chunked) {
        response->state = RESPONSE_CHUNK_SIZE;
    } else if (response->sized) {
        response->state = response->left ? RESPONSE_SIZED : RESPONSE_DONE;
    } else {
        response->keep_alive = false;
        response->state = RESPONSE_UNTIL_CLOSE;
    }
}

static void head_line(struct response *response, const char *line) {
    const char *value;
    if (response->status == 0) {
        if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12) {
            response->state = RESPONSE_BROKEN;
            return;
        }
        response->keep_alive = line[7] == '1';
        response->status = atoi(line + 9);
    } else if (*line == '\0') {
        end_of_head(response);
    } else if ((value = header_value(line, "transfer-encoding")) != NULL) {
        response->chunked = strcasecmp(value, "chunked") == 0;
    } else if ((value = header_value(line, "content-length")) != NULL) {
        response->sized = true;
        response->left = strtoull(value, NULL, 10);
    } else if ((value = header_value(line, "connection")) != NULL) {
        response->keep_alive = strcasecmp(value, "close") != 0;
    }
}

static void chunk_size_line(struct response *response, const char *line) {
    char *end;
    response->left = strtoull(line, &end, 16);
    if (end == line) {
        response->state = RESPONSE_BROKEN;
    } else {
        response->state = response->left ? RESPONSE_CHUNK_DATA : RESPONSE_TRAILER;
    }
}

static void whole_line(struct response *response) {
    size_t length = response->line_length < sizeof response->line ? response->line_length
                                                                  : sizeof response->line - 1;
    if (length && response->line[length - 1] == '\r') length--;
    response->line[length] = '\0';
    response->line_length = 0;
    if (response->state == RESPONSE_HEAD) {
        head_line(response, response->line);
    } else if (response->state == RESPONSE_CHUNK_SIZE) {
        chunk_size_line(response, response->line);
    } else if (response->state == RESPONSE_CHUNK_END) {
        response->state = length ? RESPONSE_BROKEN : RESPONSE_CHUNK_SIZE;
    } else if (length == 0) {
        response->state = RESPONSE_DONE;
    }
}

static size_t feed_line(struct response *response, const char *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\n') {
            whole_line(response);
            return i + 1;
        }
        if (response->line_length < sizeof response->line) {
            response->line[response->line_length++] = data[i];
        }
    }
    return length;
}

static size_t feed_body(struct response *response, const char *data, size_t length, body_sink *sink,
                        void *owner) {
    size_t take = length;
    if (response->state != RESPONSE_UNTIL_CLOSE && response->left < take) {
        take = (size_t)response->left;
    }
    sink(owner, data, take);
    if (response->state != RESPONSE_UNTIL_CLOSE) {
        response->left -= take;
        if (response->left == 0) {
            response->state =
                response->state == RESPONSE_SIZED ? RESPONSE_DONE : RESPONSE_CHUNK_END;
        }
    }
    return take;
}

void response_feed(struct response *response, const char *data, size_t length, body_sink *sink,
                   void *owner) {
    while (length > 0) {
        size_t used;
        switch (response->state) {
        case RESPONSE_SIZED:
        case RESPONSE_UNTIL_CLOSE:
        case RESPONSE_CHUNK_DATA:
            used = feed_body(response, data, length, sink, owner);
            break;
        case RESPONSE_HEAD:
        case RESPONSE_CHUNK_SIZE:
        case RESPONSE_CHUNK_END:
        case RESPONSE_TRAILER:
            used = feed_line(response, data, length);
            break;
        case RESPONSE_DONE: /* bytes after the end: nobody asked for them */
            response->state = RESPONSE_BROKEN;
            return;
        default:
            return;
        }
        data += used;
        length -= used;
    }
}
