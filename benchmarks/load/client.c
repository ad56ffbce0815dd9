#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "sse.h"

enum { READ_SIZE = 256 * 1024, EVENTS_AT_ONCE = 512, SLOW_TICK_MS = 1, SLOW_RECEIVE_BUFFER = 65536 };

enum connection_state { WAITING, CONNECTING, READING, RESTING, FINISHED };

struct connection {
    enum connection_state state;
    int fd;
    bool first_byte_seen, first_event_seen;
    size_t requests_sent;
    uint64_t sent_at, resume_at, allowance_at;
    size_t plain_length;
    char plain[256]; /* start of a plain answer */
    struct response response;
    struct sse sse;
};

struct client {
    const struct options *options;
    struct totals *totals;
    struct connection *connections;
    char *request;
    size_t request_length;
    char *buffer;
    int epoll;
    size_t next_to_start, opening, open_streams, active;
    uint64_t started_at, now;
    bool announced, released;
    FILE *progress;
};

static void build_request(struct client *client) {
    const struct options *options = client->options;
    int length = asprintf(&client->request,
                          "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                          "%sContent-Length: %zu\r\n\r\n%s",
                          options->method, options->path, options->port, options->header,
                          strlen(options->body), options->body);
    if (length < 0) exit(2);
    client->request_length = (size_t)length;
}

static void watch(struct client *client, struct connection *connection, int operation,
                  uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    epoll_ctl(client->epoll, operation, connection->fd, &event);
}

static void finish(struct client *client, struct connection *connection) {
    if (connection->state != RESTING) {
        if (connection->first_event_seen) client->open_streams--;
        else client->opening--;
    }
    if (connection->fd >= 0) close(connection->fd);
    connection->fd = -1;
    connection->state = FINISHED;
    client->active--;
}

static void connect_failed(struct client *client, struct connection *connection) {
    client->totals->connect_errors++;
    finish(client, connection);
}

static void open_connection(struct client *client, struct connection *connection) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)client->options->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, small = SLOW_RECEIVE_BUFFER;
    connection->state = CONNECTING;
    connection->first_event_seen = false;
    client->opening++;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) {
        connect_failed(client, connection);
        return;
    }
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (client->options->bytes_per_second) { /* else the kernel would hide how slow we read */
        setsockopt(connection->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0 &&
        errno != EINPROGRESS) {
        connect_failed(client, connection);
        return;
    }
    watch(client, connection, EPOLL_CTL_ADD, EPOLLOUT);
}

static void send_request(struct client *client, struct connection *connection) {
    connection->state = READING;
    connection->first_byte_seen = connection->first_event_seen = false;
    connection->plain_length = 0;
    response_start(&connection->response);
    sse_start(&connection->sse);
    connection->requests_sent++;
    client->totals->requests++;
    connection->sent_at = connection->allowance_at = monotonic_ns();
    ssize_t sent =
        send(connection->fd, client->request, client->request_length, MSG_NOSIGNAL);
    /* A request fits into any socket buffer: a short write means that the peer is gone. */
    if (sent != (ssize_t)client->request_length) {
        connect_failed(client, connection);
        return;
    }
    watch(client, connection, EPOLL_CTL_MOD, client->options->bytes_per_second ? 0 : EPOLLIN);
}

struct body_owner {
    struct client *client;
    struct connection *connection;
};

static void take_body(void *owner, const char *data, size_t length) {
    struct client *client = ((struct body_owner *)owner)->client;
    struct connection *connection = ((struct body_owner *)owner)->connection;
    client->totals->bytes += length;
    if (client->options->plain) {
        size_t room = sizeof connection->plain - connection->plain_length;
        if (length > room) length = room;
        memcpy(connection->plain + connection->plain_length, data, length);
        connection->plain_length += length;
        return;
    }
    sse_feed(&connection->sse, data, length, client->now,
             client->options->delivery ? &client->totals->delivery : NULL);
}

static void first_event(struct client *client, struct connection *connection) {
    connection->first_event_seen = true;
    client->opening--;
    client->open_streams++;
    samples_add(&client->totals->first_event, client->now - connection->sent_at);
}

static bool ended_well(struct client *client, struct connection *connection) {
    const char *end = client->options->end;
    if (client->options->plain) {
        return memmem(connection->plain, connection->plain_length, end, strlen(end)) != NULL;
    }
    return !connection->sse.in_block && strcmp(connection->sse.last, end) == 0;
}

static void account(struct client *client, struct connection *connection) {
    struct totals *totals = client->totals;
    totals->events += connection->sse.events;
    totals->comments += connection->sse.comments;
    totals->sequence_gaps += connection->sse.gaps;
}

static void response_ended(struct client *client, struct connection *connection) {
    struct totals *totals = client->totals;
    const struct options *options = client->options;
    account(client, connection);
    if (!connection->first_event_seen) first_event(client, connection);
    client->open_streams--;
    samples_add(&totals->whole, client->now - connection->sent_at);
    if (connection->response.status != 200) {
        totals->bad_status++;
        totals->bad_status_code = connection->response.status;
    } else if (!ended_well(client, connection)) {
        totals->bad_end++;
    } else {
        totals->completed++;
    }
    connection->state = RESTING;
    bool time_is_up =
        options->duration_ns && client->now - client->started_at >= options->duration_ns;
    if (connection->requests_sent >= options->requests || time_is_up) {
        finish(client, connection);
        return;
    }
    if (options->new_connection || !connection->response.keep_alive) {
        close(connection->fd);
        connection->fd = -1;
    } else if (options->pause_ns) {
        watch(client, connection, EPOLL_CTL_MOD, 0);
    }
    connection->resume_at = client->now + options->pause_ns;
}

static void resume(struct client *client, struct connection *connection) {
    if (connection->fd < 0) {
        open_connection(client, connection);
    } else {
        client->opening++;
        send_request(client, connection);
    }
}

static void cut_short(struct client *client, struct connection *connection) {
    if (response_closed(&connection->response)) {
        connection->response.keep_alive = false;
        response_ended(client, connection);
        return;
    }
    account(client, connection);
    client->totals->truncated++;
    finish(client, connection);
}

static size_t allowance(struct client *client, struct connection *connection) {
    uint64_t rate = client->options->bytes_per_second;
    if (rate == 0) return READ_SIZE;
    uint64_t bytes = (client->now - connection->allowance_at) * rate / 1000000000u;
    if (bytes > READ_SIZE) bytes = READ_SIZE;
    return (size_t)bytes;
}

static void read_some(struct client *client, struct connection *connection) {
    size_t limit = allowance(client, connection);
    if (limit == 0) return;
    ssize_t received = recv(connection->fd, client->buffer, limit, 0);
    client->now = monotonic_ns();
    if (client->options->bytes_per_second) connection->allowance_at = client->now;
    if (received < 0) {
        if (errno != EAGAIN && errno != EINTR) cut_short(client, connection);
        return;
    }
    if (received == 0) {
        cut_short(client, connection);
        return;
    }
    if (!connection->first_byte_seen) {
        connection->first_byte_seen = true;
        samples_add(&client->totals->first_byte, client->now - connection->sent_at);
    }
    struct body_owner owner = {client, connection};
    response_feed(&connection->response, client->buffer, (size_t)received, take_body, &owner);
    if (!connection->first_event_seen && connection->sse.events) first_event(client, connection);
    if (connection->response.state == RESPONSE_BROKEN) {
        account(client, connection);
        client->totals->truncated++;
        finish(client, connection);
    } else if (connection->response.state == RESPONSE_DONE) {
        response_ended(client, connection);
        if (connection->state == RESTING && client->options->pause_ns == 0) {
            resume(client, connection);
        }
    }
}

static void connected(struct client *client, struct connection *connection) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        connect_failed(client, connection);
    } else {
        send_request(client, connection);
    }
}

static void start_due(struct client *client) {
    const struct options *options = client->options;
    while (client->next_to_start < options->connections && client->opening < options->opening) {
        uint64_t due = client->started_at +
                       options->spread_ns * client->next_to_start / options->connections;
        if (due > client->now) return;
        open_connection(client, &client->connections[client->next_to_start++]);
    }
}

static void resume_due(struct client *client) {
    for (size_t i = 0; i < client->next_to_start; i++) {
        struct connection *connection = &client->connections[i];
        if (connection->state == RESTING && connection->resume_at <= client->now) {
            resume(client, connection);
        }
    }
}

static void read_slowly(struct client *client) {
    for (size_t i = 0; i < client->next_to_start; i++) {
        if (client->connections[i].state == READING) read_some(client, &client->connections[i]);
    }
}

static void hold(struct client *client) {
    if (!client->announced && client->next_to_start == client->options->connections &&
        client->opening == 0) {
        client->announced = true;
        fprintf(client->progress, "{\"open\": %zu}\n", client->open_streams);
        fflush(client->progress);
    }
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (client->announced && poll(&input, 1, 0) > 0) client->released = true;
}

static void one_turn(struct client *client) {
    struct epoll_event events[EVENTS_AT_ONCE];
    const struct options *options = client->options;
    bool timers = options->pause_ns || client->next_to_start < options->connections;
    int wait_ms = options->bytes_per_second ? SLOW_TICK_MS : timers ? 1 : 100;
    int count = epoll_wait(client->epoll, events, EVENTS_AT_ONCE, wait_ms);
    client->now = monotonic_ns();
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (connection->state == CONNECTING) {
            connected(client, connection);
        } else if (connection->state == READING) {
            read_some(client, connection);
        } else if (connection->state == RESTING && connection->fd >= 0) {
            /* The server closed a resting connection. */
            close(connection->fd);
            connection->fd = -1;
        }
    }
    client->now = monotonic_ns();
    start_due(client);
    if (options->pause_ns) resume_due(client);
    if (options->bytes_per_second) read_slowly(client);
    if (options->hold) hold(client);
}

static void give_up(struct client *client) {
    for (size_t i = 0; i < client->options->connections; i++) {
        struct connection *connection = &client->connections[i];
        if (connection->state == READING) account(client, connection);
        if (connection->fd >= 0) close(connection->fd);
    }
    if (!client->released) client->totals->unfinished += client->active;
}

void client_run(const struct options *options, struct totals *totals, FILE *progress) {
    struct client client = {.options = options, .totals = totals, .progress = progress};
    build_request(&client);
    client.buffer = malloc(READ_SIZE);
    client.connections = calloc(options->connections, sizeof *client.connections);
    if (client.buffer == NULL || client.connections == NULL) exit(2);
    for (size_t i = 0; i < options->connections; i++) client.connections[i].fd = -1;
    client.epoll = epoll_create1(EPOLL_CLOEXEC);
    client.active = options->connections;
    client.started_at = client.now = monotonic_ns();
    uint64_t cpu_before = cpu_ns();
    start_due(&client);
    while (client.active && !client.released) {
        if (client.now - client.started_at > options->timeout_ns) break;
        one_turn(&client);
    }
    totals->wall_ns = client.now - client.started_at;
    totals->cpu_ns = cpu_ns() - cpu_before;
    give_up(&client);
    close(client.epoll);
    free(client.connections);
    free(client.buffer);
    free(client.request);
}
