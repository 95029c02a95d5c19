/* The floor: what a server costs that only moves the bytes.

   It listens on a port of 127.0.0.1 that the system chooses and prints, and answers each
   line with bytes it was given for that kind of line: the replies of a real server, recorded
   beforehand. One epoll, one thread: one recv, a look for line ends, one send. Nothing is
   parsed but how a line begins, and nothing is kept.

   Input: for each kind of line "PREFIX_BYTES REPLY_BYTES\n", the prefix and the reply; then
   "0 0\n". The first kind whose prefix fits is taken. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KINDS_MAX = 16, PREFIX_MAX = 64, EVENTS_MAX = 256, READ_BYTES = 256 * 1024 };

struct kind {
    char prefix[PREFIX_MAX];
    size_t prefix_bytes;
    char *reply;
    size_t reply_bytes;
};

/* How the line began that has not ended yet. */
struct connection {
    char begun[PREFIX_MAX];
    size_t begun_bytes;
};

static struct kind kinds[KINDS_MAX];
static int kinds_count;
static struct connection *connections;
static char *in, *out;
static size_t out_bytes, out_room = 1 << 20;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void read_kinds(void) {
    size_t prefix_bytes, reply_bytes;
    while (scanf("%zu %zu", &prefix_bytes, &reply_bytes) == 2 && prefix_bytes) {
        struct kind *kind = &kinds[kinds_count++];
        if (kinds_count > KINDS_MAX || prefix_bytes > PREFIX_MAX) exit(2);
        getchar();
        kind->prefix_bytes = prefix_bytes;
        kind->reply_bytes = reply_bytes;
        kind->reply = malloc(reply_bytes);
        if (fread(kind->prefix, 1, prefix_bytes, stdin) != prefix_bytes ||
            fread(kind->reply, 1, reply_bytes, stdin) != reply_bytes)
            exit(2);
    }
}

static void answer(const char *line) {
    for (int i = 0; i < kinds_count; i++) {
        struct kind *kind = &kinds[i];
        if (memcmp(line, kind->prefix, kind->prefix_bytes)) continue;
        while (out_bytes + kind->reply_bytes > out_room) {
            out_room *= 2;
            out = realloc(out, out_room);
        }
        memcpy(out + out_bytes, kind->reply, kind->reply_bytes);
        out_bytes += kind->reply_bytes;
        return;
    }
    fprintf(stderr, "no reply for %.20s\n", line);
    exit(3);
}

static void send_all(int fd) {
    size_t sent = 0;
    while (sent < out_bytes) {
        ssize_t n = send(fd, out + sent, out_bytes - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += n;
        } else if (errno == EAGAIN) {
            struct pollfd room = {fd, POLLOUT, 0};
            poll(&room, 1, -1);
        } else {
            break; /* it is gone, which the next recv tells */
        }
    }
    out_bytes = 0;
}

static void serve(int fd) {
    struct connection *connection = &connections[fd];
    ssize_t n = recv(fd, in, READ_BYTES, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) close(fd);
        return;
    }
    char *at = in, *end = in + n;
    while (at < end) {
        size_t here = end - at, known = connection->begun_bytes;
        size_t more = PREFIX_MAX - known < here ? PREFIX_MAX - known : here;
        char *line_end = memchr(at, '\n', here);
        const char *line = at;
        if (known || !line_end) {
            memcpy(connection->begun + known, at, more);
            connection->begun_bytes += more;
            line = connection->begun;
        }
        if (!line_end) break;
        answer(line);
        connection->begun_bytes = 0;
        at = line_end + 1;
    }
    if (out_bytes) send_all(fd);
}

int main(void) {
    read_kinds();
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    connections = calloc(files.rlim_max < 1 << 20 ? files.rlim_max : 1 << 20,
                         sizeof *connections);
    in = malloc(READ_BYTES + PREFIX_MAX);
    out = malloc(out_room);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) die("bind");
    if (listen(listener, 1024)) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &address_bytes);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    struct epoll_event ready[EVENTS_MAX];
    for (;;) {
        int count = epoll_wait(epoll, ready, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd != listener) {
                serve(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                memset(&connections[fd], 0, sizeof connections[fd]);
                event.data.fd = fd;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
