// Ten thousand clients of a heartbeat server on one core: connects, greets, beats at a rate or as fast as answers come.
//
//   gcc -O2 -o load load.c && ./load PROTOCOL PORT CONNECTIONS
//
// Commands on stdin, one a line, each answered with one line of JSON on stdout:
//   beat RATE SECONDS   RATE beats a second over all connections, spread evenly; 0: as fast as answers come
//   listen SECONDS      only answers what the server sends by itself
//   silence             answers nothing any more: the kernel goes on acknowledging, the program is dead to its peer;
//                       says of each connection its port and when it last sent a beat, in nanoseconds of CLOCK_MONOTONIC
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Outstanding beats at most when there is no rate: enough that the server is never idle.
#define WINDOW 512
#define CONNECTING 64
#define MAX_SAMPLES 4000000

#define UPGRADE(path)                                                                                         \
  "GET " path " HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"                     \
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

enum greeting { HTTP, FIXED, FRAMED };

struct protocol {
  const char *name;
  const char *hello;
  size_t hello_length;
  enum greeting greeting;
  // Bytes of the server's answer to hello, if they are FIXED.
  size_t greeted;
  const char *beat;
  size_t beat_length;
  size_t answer_length;
  // Where a big-endian number that counts up stands in a beat; 0: none.
  size_t number_at;
  // What the server sends by itself, and what it wants to hear.
  size_t asked_length;
  const char *reply;
  size_t reply_length;
};

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct protocol protocols[] = {
    // Where no greeting is asked for, the first exchange is one, so that "greeted" is as much work everywhere.
    {.name = "raw", TEXT("0123456789abcdef0123"), .greeting = FIXED, .greeted = 20, .beat = "0123456789abcdef0123",
     .beat_length = 20, .answer_length = 20},
    // RFC 6455 section 5.5.2: a masked ping without payload; its pong has two bytes.
    {.name = "websocket", TEXT(UPGRADE("/")), .greeting = HTTP, .beat = "\x89\x80\x01\x02\x03\x04", .beat_length = 6,
     .answer_length = 2},
    // MQTT 3.1.1: CONNECT, clean session, no client id; CONNACK; PINGREQ and PINGRESP.
    {.name = "mqtt", TEXT("\x10\x0c\x00\x04MQTT\x04\x02\x0e\x10\x00\x00"), .greeting = FIXED, .greeted = 4,
     .beat = "\xc0\x00", .beat_length = 2, .answer_length = 2},
    {.name = "redis", TEXT("PING\r\n"), .greeting = FIXED, .greeted = 7, .beat = "PING\r\n", .beat_length = 6,
     .answer_length = 7},
    // Engine.IO 4 over WebSocket: the server asks "2", the client answers "3".
    {.name = "engine.io", TEXT(UPGRADE("/engine.io/?EIO=4&transport=websocket")), .greeting = HTTP,
     .asked_length = 3, .reply = "\x81\x81\x00\x00\x00\x00\x33", .reply_length = 7},
    // docs/protocol.md: the bytes come from the caller, so that they are those of the library itself.
    {.name = "deadpeer", .greeting = FRAMED, .number_at = 4},
};

struct connection {
  int fd;
  uint32_t number;
  // Of the answer that is awaited, or of the greeting; FRAMED: not known before its header is there.
  uint32_t missing;
  uint8_t head[4];
  uint8_t head_length;
  uint8_t state;
  int64_t sent_ns;
};
enum { CLOSED, GREETING, READY, WAITING };

static struct protocol protocol;
static char beat[4096];
static struct connection *connections;
static int count, poll_fd, ready, ended, silent;
static uint64_t answered, asked;
static uint32_t *samples;
static size_t sampled;

static int64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static size_t hex(const char *text, char *into) {
  size_t length = strlen(text) / 2;
  for (size_t i = 0; i < length; i++) {
    unsigned value;
    if (sscanf(text + 2 * i, "%2x", &value) != 1) die("hex");
    into[i] = (char)value;
  }
  return length;
}

static void open_connection(int index, uint16_t port) {
  struct connection *of = &connections[index];
  // A network namespace of its own has all of 127.0.0.0/8, so ports never run out.
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000100u + (uint32_t)index / 20000)};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)};
  int one = 1;
  of->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (of->fd < 0) die("socket");
  setsockopt(of->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(of->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
  if (bind(of->fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
  if (connect(of->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
  of->state = CLOSED;
  struct epoll_event wanted = {.events = EPOLLOUT, .data.u32 = (uint32_t)index};
  if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, of->fd, &wanted) < 0) die("epoll_ctl");
}

static void is_ready(struct connection *of) {
  of->state = READY;
  ready++;
}

static void connected(struct connection *of, uint32_t index) {
  int problem = 0;
  socklen_t size = sizeof problem;
  getsockopt(of->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
  if (problem != 0) {
    errno = problem;
    die("connect");
  }
  struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = index};
  if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, of->fd, &wanted) < 0) die("epoll_ctl");
  if (send(of->fd, protocol.hello, protocol.hello_length, MSG_NOSIGNAL) < 0) die("send");
  of->state = GREETING;
  of->missing = (uint32_t)protocol.greeted;
}

// How much of what came belongs to the greeting.
static size_t greet(struct connection *of, const uint8_t *bytes, size_t length) {
  if (protocol.greeting == HTTP) {
    const uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);
    // Nobody cuts so short an answer into pieces on loopback.
    if (end == NULL) die("upgrade refused");
    // What follows at once, as Engine.IO's "open" does, is not counted.
    is_ready(of);
    return length;
  }
  size_t used = 0;
  if (protocol.greeting == FRAMED) {
    while (of->head_length < 4 && used < length) {
      of->head[of->head_length++] = bytes[used++];
      if (of->head_length == 4) of->missing = (uint32_t)(of->head[1] << 16 | of->head[2] << 8 | of->head[3]);
    }
    if (of->head_length < 4) return used;
  }
  size_t rest = length - used < of->missing ? length - used : of->missing;
  of->missing -= (uint32_t)rest;
  if (of->missing == 0) is_ready(of);
  return used + rest;
}

static int send_beat(struct connection *of) {
  if (of->state != READY) return 0;
  if (protocol.number_at > 0) {
    uint32_t number = htonl(++of->number);
    memcpy(beat + protocol.number_at, &number, 4);
  }
  of->sent_ns = now_ns();
  if (send(of->fd, beat, protocol.beat_length, MSG_NOSIGNAL) != (ssize_t)protocol.beat_length) return 0;
  of->state = WAITING;
  of->missing = (uint32_t)protocol.answer_length;
  return 1;
}

// Whether a beat was answered.
static int receive(struct connection *of) {
  uint8_t bytes[8192];
  ssize_t got = recv(of->fd, bytes, sizeof bytes, 0);
  if (got <= 0) {
    if (got < 0 && errno == EAGAIN) return 0;
    close(of->fd);
    of->state = CLOSED;
    ended++;
    return 0;
  }
  size_t length = (size_t)got, used = 0;
  if (of->state == GREETING) used = greet(of, bytes, length);
  if (silent) return 0;
  if (protocol.asked_length > 0 && used < length) {
    asked += (length - used) / protocol.asked_length;
    if (send(of->fd, protocol.reply, protocol.reply_length, MSG_NOSIGNAL) < 0) return 0;
    return 0;
  }
  if (of->state != WAITING || used == length) return 0;
  size_t rest = length - used < of->missing ? length - used : of->missing;
  of->missing -= (uint32_t)rest;
  if (of->missing > 0) return 0;
  of->state = READY;
  answered++;
  if (sampled < MAX_SAMPLES) samples[sampled++] = (uint32_t)((now_ns() - of->sent_ns) / 1000);
  return 1;
}

static struct epoll_event events[1024];

static void connect_all(uint16_t port) {
  int64_t begun = now_ns();
  int opened = 0;
  while (ready < count) {
    while (opened < count && opened - ready < CONNECTING) open_connection(opened++, port);
    int got = epoll_wait(poll_fd, events, 1024, 10000);
    if (got == 0) {
      fprintf(stderr, "only %d of %d connections were greeted\n", ready, count);
      exit(1);
    }
    for (int i = 0; i < got; i++) {
      uint32_t index = events[i].data.u32;
      struct connection *of = &connections[index];
      if (of->state == CLOSED) connected(of, index);
      else receive(of);
    }
    if (ended > 0) {
      fprintf(stderr, "the server closed a connection while others were greeted\n");
      exit(1);
    }
  }
  printf("{\"seconds\": %.6f}\n", (double)(now_ns() - begun) / 1e9);
  fflush(stdout);
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void run(long rate, double seconds, int beats) {
  int64_t begun = now_ns(), end = begun + (int64_t)(seconds * 1e9);
  int next = 0, outstanding = 0;
  uint64_t sent = 0;
  answered = asked = 0;
  sampled = 0;
  for (int64_t now = begun; now < end; now = now_ns()) {
    uint64_t due = beats && rate > 0 ? (uint64_t)((double)(now - begun) / 1e9 * (double)rate) : 0;
    for (int tried = 0; beats && tried < count && (rate > 0 ? sent < due : outstanding < WINDOW); tried++) {
      int done = send_beat(&connections[next]);
      next = (next + 1) % count;
      if (!done) continue;
      sent++;
      outstanding++;
    }
    // A millisecond's beats go out together; whole milliseconds are what epoll_wait counts in.
    int got = epoll_wait(poll_fd, events, 1024, 1);
    for (int i = 0; i < got; i++) outstanding -= receive(&connections[events[i].data.u32]);
  }
  double took = (double)(now_ns() - begun) / 1e9;
  qsort(samples, sampled, sizeof *samples, by_value);
  printf("{\"seconds\": %.6f, \"beats\": %llu, \"ended\": %d, \"p50Us\": %u, \"p99Us\": %u}\n", took,
         (unsigned long long)(beats ? answered : asked), ended, sampled ? samples[sampled / 2] : 0,
         sampled ? samples[sampled * 99 / 100] : 0);
  fflush(stdout);
}

static void be_silent(void) {
  silent = 1;
  struct pollfd input = {.fd = 0, .events = POLLIN};
  for (int i = 0; i < count; i++) {
    struct sockaddr_in of;
    socklen_t size = sizeof of;
    if (getsockname(connections[i].fd, (struct sockaddr *)&of, &size) < 0) die("getsockname");
    printf("%s[%u, \"%lld\"]", i == 0 ? "[" : ", ", ntohs(of.sin_port), (long long)connections[i].sent_ns);
  }
  printf("]\n");
  fflush(stdout);
  // What the server says meanwhile is read, so that no buffer fills up.
  while (poll(&input, 1, 0) == 0) {
    int got = epoll_wait(poll_fd, events, 1024, 100);
    for (int i = 0; i < got; i++) receive(&connections[events[i].data.u32]);
  }
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
    if (strcmp(protocols[i].name, argv[1]) == 0) protocol = protocols[i];
  if (protocol.name == NULL) return 2;
  count = atoi(argv[3]);
  static char hello[4096];
  if (argc > 6) {
    protocol.hello = hello;
    protocol.hello_length = hex(argv[4], hello);
    protocol.beat_length = hex(argv[5], beat);
    protocol.answer_length = (size_t)atoi(argv[6]);
  } else if (protocol.beat != NULL) {
    memcpy(beat, protocol.beat, protocol.beat_length);
  }
  connections = calloc((size_t)count, sizeof *connections);
  samples = malloc(MAX_SAMPLES * sizeof *samples);
  poll_fd = epoll_create1(0);
  if (connections == NULL || samples == NULL || poll_fd < 0) die("start");
  connect_all((uint16_t)atoi(argv[2]));
  char line[128];
  long rate;
  double seconds;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "beat %ld %lf", &rate, &seconds) == 2) run(rate, seconds, 1);
    else if (sscanf(line, "listen %lf", &seconds) == 1) run(0, seconds, 0);
    else if (strncmp(line, "silence", 7) == 0) be_silent();
    else return 2;
  }
  return 0;
}
