/* Owns a server that answers every request with the same stream, written before anybody asked:
 * what the client takes from it per second is the client's own limit. */
#ifndef CANNED_H
#define CANNED_H

#include <sys/types.h>

struct canned {
    int port;
    pid_t process;
};

struct canned canned_start(void);
void canned_stop(const struct canned *canned);

#endif
