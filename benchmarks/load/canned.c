#define _GNU_SOURCE
#include "canned.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EVENTS = 200000, EVENTS_A_CHUNK = 256, EVENT_SIZE = 400, REQUEST_SIZE = 8192 };

static const char run_id[] = "6f1f2c1e-8f0a-4c0e-9d6b-0d6c9f1b2a3c";

static size_t one_event(char *out, size_t room, const char *type, const char *rest, int sequence) {
    int length = snprintf(out, room,
                          "event: %s\ndata: {\"id\":\"%s:%d\",\"type\":\"%s\",\"run_id\":\"%s\","
                          "\"sequence\":%d,\"timestamp\":\"2025-01-01T00:00:00.000Z\",%s}\n"
                          "id: %s:%d\n\n",
                          type, run_id, sequence, type, run_id, sequence, rest, run_id, sequence);
    return (size_t)length;
}

static size_t one_chunk(char *out, int first, int count) {
    char *events = malloc((size_t)EVENT_SIZE * EVENTS_A_CHUNK);
    if (events == NULL) exit(2);
    size_t length = 0;
    for (int sequence = first; sequence < first + count; sequence++) {
        bool last = sequence == EVENTS - 1;
        length += one_event(events + length, EVENT_SIZE, last ? "complete" : "token",
                            last ? "\"output\":{}" : "\"content\":\" token\",\"finish_reason\":null",
                            sequence);
    }
    size_t written = (size_t)sprintf(out, "%zx\r\n", length);
    memcpy(out + written, events, length);
    written += length;
    memcpy(out + written, "\r\n", 2);
    free(events);
    return written + 2;
}

static char *whole_answer(size_t *length) {
    char *answer = malloc((size_t)EVENT_SIZE * (EVENTS + EVENTS_A_CHUNK));
    if (answer == NULL) exit(2);
    *length = (size_t)sprintf(answer, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                                      "transfer-encoding: chunked\r\n\r\n");
    for (int first = 0; first < EVENTS; first += EVENTS_A_CHUNK) {
        int count = EVENTS - first < EVENTS_A_CHUNK ? EVENTS - first : EVENTS_A_CHUNK;
        *length += one_chunk(answer + *length, first, count);
    }
    *length += (size_t)sprintf(answer + *length, "0\r\n\r\n");
    return answer;
}

static bool read_request(int fd) {
    char request[REQUEST_SIZE];
    size_t length = 0;
    while (length < sizeof request) {
        ssize_t received = recv(fd, request + length, sizeof request - length, 0);
        if (received <= 0) return false;
        length += (size_t)received;
        /* The client writes head and body at once, so the end of the head is enough to go by. */
        if (memmem(request, length, "\r\n\r\n", 4) != NULL) return true;
    }
    return false;
}

static void serve(int listener, const char *answer, size_t length) {
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) continue;
        while (read_request(fd)) {
            for (size_t sent = 0; sent < length;) {
                ssize_t count = send(fd, answer + sent, length - sent, MSG_NOSIGNAL);
                if (count <= 0) break;
                sent += (size_t)count;
            }
        }
        close(fd);
    }
}

struct canned canned_start(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 16) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
        perror("load capacity");
        exit(2);
    }
    size_t length;
    char *answer = whole_answer(&length);
    pid_t process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listener, answer, length);
    }
    free(answer);
    close(listener);
    return (struct canned){.port = ntohs(address.sin_port), .process = process};
}

void canned_stop(const struct canned *canned) {
    kill(canned->process, SIGKILL);
    waitpid(canned->process, NULL, 0);
}
