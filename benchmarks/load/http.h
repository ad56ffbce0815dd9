/* Owns the reading of HTTP/1.x responses: status line, headers, and all three ways to frame a body. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum response_state {
    RESPONSE_HEAD,
    RESPONSE_SIZED,
    RESPONSE_UNTIL_CLOSE,
    RESPONSE_CHUNK_SIZE,
    RESPONSE_CHUNK_DATA,
    RESPONSE_CHUNK_END,
    RESPONSE_TRAILER,
    RESPONSE_DONE,
    RESPONSE_BROKEN,
};

struct response {
    enum response_state state;
    int status;
    bool chunked;
    bool sized;
    bool keep_alive;
    uint64_t left; /* bytes still to come of the body or of the current chunk */
    size_t line_length;
    char line[512]; /* the header or chunk-size line being read; longer ones are cut */
};

typedef void body_sink(void *owner, const char *data, size_t length);

void response_start(struct response *response);

/* Takes `length` bytes off the wire and gives what is body to `sink`, without copying it.
 * Ends in RESPONSE_DONE, RESPONSE_BROKEN, or any other state, which asks for more bytes. */
void response_feed(struct response *response, const char *data, size_t length, body_sink *sink,
                   void *owner);

/* The peer closed the connection: true if that is a proper end of this response. */
bool response_closed(const struct response *response);

#endif
