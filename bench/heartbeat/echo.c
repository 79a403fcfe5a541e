// The limit of what a heartbeat can cost: one epoll loop, one recv and one send for each beat, nothing checked.
//
//   gcc -O2 -o echo echo.c && ./echo PORT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(int result, const char *what) {
  if (result >= 0) return;
  perror(what);
  exit(1);
}

int main(int argc, char **argv) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "0"))};
  int one = 1;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  must(listener, "socket");
  must(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
  must(bind(listener, (struct sockaddr *)&at, sizeof at), "bind");
  must(listen(listener, 4096), "listen");
  int poll = epoll_create1(0);
  must(poll, "epoll_create1");
  struct epoll_event wanted = {.events = EPOLLIN, .data.fd = listener};
  must(epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted), "epoll_ctl");
  printf("ready\n");
  fflush(stdout);
  static struct epoll_event events[1024];
  static char bytes[65536];
  for (;;) {
    int count = epoll_wait(poll, events, 1024, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int accepted;
        while ((accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          struct epoll_event of = {.events = EPOLLIN, .data.fd = accepted};
          must(epoll_ctl(poll, EPOLL_CTL_ADD, accepted, &of), "epoll_ctl");
        }
        continue;
      }
      ssize_t length = recv(fd, bytes, sizeof bytes, 0);
      if (length > 0) send(fd, bytes, (size_t)length, MSG_NOSIGNAL);
      else if (length == 0 || errno != EAGAIN) close(fd);
    }
  }
}
