/* A load generator whose own cost is small: many connections, one request in flight on each.

   drive cycles PORT CONNECTIONS WARM_S SECONDS CYCLES_MAX
       Each connection goes through the steps again and again, waiting for each reply. After
       WARM_S it says "ready", waits for a line of input, and then counts for SECONDS, or
       until CYCLES_MAX were begun in all (0: no bound; then there is no warming up).
       Latency is that of a whole cycle.
   drive woken PORT PAUSE_US WARM CYCLES
       Two connections and three steps: a consumer sends the first, which has to wait; after
       a pause a producer sends the second, and the consumer settles with the third. Latency
       is from the producer's send to the consumer's reply. It says "ready" after WARM.
   drive append FILE BYTES WARM CYCLES
       Append so many bytes to a file and fdatasync it, again and again: what the disk takes.

   Steps are read from the input, each "LINES KEY_BYTES SKIP REQUEST_BYTES\n", the key and
   the request; then "0 0 0 0\n". A reply has LINES lines; the ids in it stand behind each
   occurrence of the key, SKIP bytes from where that begins, up to a comma, a space or a
   line end. In a request, byte 1 stands for the ids of the reply before, with commas
   between, and byte 2 for how many bytes these are.

   The output is one JSON object, times in microseconds. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STEPS_MAX = 8, EVENTS_MAX = 256, READ_MIN = 64 * 1024, SILENCE_MS = 60000 };

struct step {
    int lines;
    char *key, *request;
    size_t key_bytes, skip, request_bytes;
};

struct connection {
    int fd, step, lines_left;
    uint64_t begun_ns;
    char *in;
    size_t in_bytes, in_room;
};

static struct step steps[STEPS_MAX];
static int steps_count;
static char *ids, *out;
static size_t ids_bytes, ids_room = 1 << 16, out_room = 1 << 16;
static uint64_t *latencies;
static size_t latencies_count, latencies_room;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static char *read_bytes(size_t count) {
    char *bytes = malloc(count + 1);
    if (fread(bytes, 1, count, stdin) != count) exit(2);
    bytes[count] = 0;
    return bytes;
}

static void read_steps(void) {
    struct step step;
    while (scanf("%d %zu %zu %zu", &step.lines, &step.key_bytes, &step.skip,
                 &step.request_bytes) == 4) {
        getchar();
        if (!step.lines) return;
        if (steps_count == STEPS_MAX) exit(2);
        step.key = read_bytes(step.key_bytes);
        step.request = read_bytes(step.request_bytes);
        steps[steps_count++] = step;
    }
    exit(2);
}

static void note_latency(uint64_t begun_ns) {
    if (latencies_count == latencies_room) {
        latencies_room = latencies_room ? latencies_room * 2 : 1 << 16;
        latencies = realloc(latencies, latencies_room * sizeof *latencies);
    }
    latencies[latencies_count++] = now_ns() - begun_ns;
}

static int open_connection(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* Ids of a reply go to `ids`, with commas between. */
static void find_ids(const struct connection *c, const struct step *step) {
    ids_bytes = 0;
    char *at = c->in, *end = c->in + c->in_bytes;
    while ((at = memmem(at, end - at, step->key, step->key_bytes))) {
        char *from = at + step->skip, *to = from;
        while (to < end && *to != ',' && *to != ' ' && *to != '\r' && *to != '\n') to++;
        at = from + 1;
        while (ids_bytes + (to - from) + 1 > ids_room) {
            ids_room *= 2;
            ids = realloc(ids, ids_room);
        }
        if (ids_bytes) ids[ids_bytes++] = ',';
        memcpy(ids + ids_bytes, from, to - from);
        ids_bytes += to - from;
    }
    if (!ids_bytes) {
        fprintf(stderr, "no id in: %.200s\n", c->in);
        exit(3);
    }
}

static void send_all(int fd, const char *bytes, size_t count) {
    while (count) {
        ssize_t n = send(fd, bytes, count, MSG_NOSIGNAL);
        if (n >= 0) {
            bytes += n;
            count -= n;
        } else if (errno == EAGAIN) {
            struct pollfd room = {fd, POLLOUT, 0};
            poll(&room, 1, SILENCE_MS);
        } else {
            die("send");
        }
    }
}

/* Send the request of the step that a connection is at. */
static void ask(struct connection *c) {
    const struct step *step = &steps[c->step];
    c->lines_left = step->lines;
    if (!memchr(step->request, 1, step->request_bytes)) {
        send_all(c->fd, step->request, step->request_bytes);
        return;
    }
    size_t need = step->request_bytes + ids_bytes + 64;
    if (need > out_room) out = realloc(out, out_room = need * 2);
    char *to = out;
    for (size_t i = 0; i < step->request_bytes; i++) {
        if (step->request[i] == 1) {
            memcpy(to, ids, ids_bytes);
            to += ids_bytes;
        } else if (step->request[i] == 2) {
            to += sprintf(to, "%zu", ids_bytes);
        } else {
            *to++ = step->request[i];
        }
    }
    send_all(c->fd, out, to - out);
}

/* Read what is there; gives whether the reply is whole, whose ids are then at hand. */
static int answered(struct connection *c) {
    const struct step *step = &steps[c->step];
    if (c->in_room - c->in_bytes < READ_MIN) {
        c->in_room = c->in_room * 2 + READ_MIN + 1;
        c->in = realloc(c->in, c->in_room);
    }
    char *from = c->in + c->in_bytes;
    ssize_t n = recv(c->fd, from, c->in_room - c->in_bytes - 1, 0);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) die("the server closed a connection");
    c->in_bytes += n;
    c->in[c->in_bytes] = 0;
    for (char *end = from + n; from < end; from++) {
        from = memchr(from, '\n', end - from);
        if (!from) break;
        c->lines_left--;
    }
    if (c->lines_left > 0) return 0;
    if (!strncmp(c->in, "{\"ok\":false", 11) || c->in[0] == '-') {
        fprintf(stderr, "refused: %.200s\n", c->in);
        exit(3);
    }
    if (step->key_bytes) find_ids(c, step);
    c->in_bytes = 0;
    return 1;
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double quantile_us(double part) {
    size_t at = latencies_count * part;
    if (at >= latencies_count) at = latencies_count - 1;
    return latencies_count ? latencies[at] / 1e3 : 0;
}

static void say(uint64_t spent_ns) {
    qsort(latencies, latencies_count, sizeof *latencies, by_size);
    printf("{\"cycles\": %zu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"p999_us\": %.1f}\n",
           latencies_count, spent_ns / 1e9, quantile_us(0.5), quantile_us(0.99),
           quantile_us(0.999));
}

static void say_ready(void) {
    latencies_count = 0;
    puts("ready");
    fflush(stdout);
    while (getchar() != '\n') {
    }
}

/* Go on until the time is over or so many cycles were begun, then until all have ended. */
static void run_cycles(int epoll, struct connection *all, int count, double seconds,
                       long cycles_max) {
    struct epoll_event ready[EVENTS_MAX];
    uint64_t until_ns = now_ns() + (uint64_t)(seconds * 1e9);
    long begun = 0;
    int busy = 0;
    for (int i = 0; i < count && (!cycles_max || begun < cycles_max); i++, begun++, busy++) {
        all[i].step = 0;
        all[i].begun_ns = now_ns();
        ask(&all[i]);
    }
    while (busy) {
        int events = epoll_wait(epoll, ready, EVENTS_MAX, SILENCE_MS);
        if (events <= 0) die("the server is silent");
        for (int i = 0; i < events; i++) {
            struct connection *c = ready[i].data.ptr;
            if (!answered(c)) continue;
            c->step++;
            if (c->step == steps_count) {
                note_latency(c->begun_ns);
                if (now_ns() >= until_ns || (cycles_max && begun >= cycles_max)) {
                    busy--;
                    continue;
                }
                begun++;
                c->step = 0;
                c->begun_ns = now_ns();
            }
            ask(c);
        }
    }
}

static void cycles(char **words) {
    int port = atoi(words[0]), count = atoi(words[1]);
    double warm_s = atof(words[2]), seconds = atof(words[3]);
    long cycles_max = atol(words[4]);
    struct connection *all = calloc(count, sizeof *all);
    int epoll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        all[i].fd = open_connection(port);
        fcntl(all[i].fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    if (!cycles_max) run_cycles(epoll, all, count, warm_s, 0);
    say_ready();
    uint64_t begun_ns = now_ns();
    run_cycles(epoll, all, count, seconds, cycles_max);
    say(now_ns() - begun_ns);
}

static void await(struct connection *c) {
    while (!answered(c)) {
    }
}

static void woken(char **words) {
    int port = atoi(words[0]), pause_us = atoi(words[1]);
    long warm = atol(words[2]), count = atol(words[3]);
    struct connection consumer = {.fd = open_connection(port)};
    struct connection producer = {.fd = open_connection(port), .step = 1};
    uint64_t begun_ns = 0;
    if (steps_count != 3) exit(2);
    for (long i = 0; i < warm + count; i++) {
        if (i == warm) {
            say_ready();
            begun_ns = now_ns();
        }
        consumer.step = 0;
        ask(&consumer);
        usleep(pause_us);
        uint64_t pushed_ns = now_ns();
        ask(&producer);
        await(&consumer);
        note_latency(pushed_ns);
        consumer.step = 2;
        ask(&consumer); /* before another reply has other ids */
        await(&consumer);
        await(&producer);
    }
    say(now_ns() - begun_ns);
}

static void append(char **words) {
    size_t size = atol(words[1]);
    long warm = atol(words[2]), count = atol(words[3]);
    char *bytes = calloc(1, size);
    int fd = open(words[0], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    if (fd < 0) die("open");
    uint64_t begun_ns = 0;
    for (long i = 0; i < warm + count; i++) {
        if (i == warm) {
            say_ready();
            begun_ns = now_ns();
        }
        uint64_t append_ns = now_ns();
        if (write(fd, bytes, size) != (ssize_t)size || fdatasync(fd)) die("append");
        note_latency(append_ns);
    }
    say(now_ns() - begun_ns);
}

int main(int count, char **words) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    ids = malloc(ids_room);
    out = malloc(out_room);
    if (count == 6 && !strcmp(words[1], "append")) {
        append(words + 2);
        return 0;
    }
    if (count < 6) return 2;
    read_steps();
    if (count == 7 && !strcmp(words[1], "cycles")) cycles(words + 2);
    else if (count == 6 && !strcmp(words[1], "woken")) woken(words + 2);
    else return 2;
    return 0;
}
