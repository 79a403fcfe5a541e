// Very many HTTP connections of one process that ask once and then say nothing.
//
//   gcc -O2 -o hold hold.c && ./hold ADDRESS PORT CONNECTIONS SECONDS
//
// Connections are made over SECONDS, evenly; each sends one request and reads the answer. When all have been answered, one line on
// stdout: "held N". From then on the program only waits: a line on stdin ends it. With end of that line, or when the last connection
// has been ended by the server, it prints a line for each connection that was ended: the milliseconds from its answer to its end.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Fewer than the accept queue takes: what overflows it may be reset.
#define UNANSWERED 1000

static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

struct connection {
  int fd;
  int answered;
  int64_t answered_ns;
  int64_t ended_ns;
};

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void start(int epoll, struct connection *connection, uint32_t index, const struct sockaddr_in *server) {
  connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (connection->fd < 0) die("socket");
  if (connect(connection->fd, (const struct sockaddr *)server, sizeof *server) < 0 && errno != EINPROGRESS)
    die("connect");
  struct epoll_event event = {.events = EPOLLOUT, .data.u32 = index};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0) die("epoll_ctl");
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  uint32_t wanted = (uint32_t)atoi(argv[3]);
  int64_t spread_ns = (int64_t)(atof(argv[4]) * 1e9);
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) return 2;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  struct connection *all = calloc(wanted, sizeof *all);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event input = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
  if (all == NULL || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &input) < 0) die("epoll");

  uint32_t started = 0, answered = 0, ended = 0;
  int64_t from_ns = now_ns();
  int open = 1;
  while (open && ended < wanted) {
    int64_t elapsed_ns = now_ns() - from_ns;
    while (started < wanted && started - answered < UNANSWERED && elapsed_ns >= (int64_t)started * (spread_ns / wanted)) {
      start(epoll, &all[started], started, &server);
      started++;
    }
    struct epoll_event events[256];
    int ready = epoll_wait(epoll, events, 256, started < wanted ? 1 : -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    int64_t at_ns = now_ns();
    for (int i = 0; i < ready; i++) {
      if (events[i].data.u32 == UINT32_MAX) {
        open = 0;
        continue;
      }
      struct connection *connection = &all[events[i].data.u32];
      if (events[i].events & EPOLLOUT) {
        if (write(connection->fd, request, sizeof request - 1) != sizeof request - 1) die("write");
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = events[i].data.u32};
        epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event);
        continue;
      }
      char buffer[4096];
      ssize_t length = read(connection->fd, buffer, sizeof buffer);
      if (length < 0 && errno == EAGAIN) continue;
      if (length > 0) {
        connection->answered_ns = at_ns;
        if (!connection->answered) {
          connection->answered = 1;
          answered++;
          if (answered == wanted) {
            printf("held %u\n", answered);
            fflush(stdout);
          }
        }
        continue;
      }
      if (!connection->answered) {
        fprintf(stderr, "a connection was ended before its answer\n");
        return 1;
      }
      connection->ended_ns = at_ns;
      ended++;
      close(connection->fd);
    }
  }
  for (uint32_t i = 0; i < wanted; i++)
    if (all[i].ended_ns > 0) printf("%.3f\n", (double)(all[i].ended_ns - all[i].answered_ns) / 1e6);
  printf("end\n");
  return 0;
}
