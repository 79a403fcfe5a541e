/* Opens connections and holds them: hold (idle|sending ADDRESS PORT)... Linked statically, nothing can be preloaded into it. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { limit = 64 };

static int dial(const char *address, const char *port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
  int is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) return -1;
  int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  int failed = is_v4 ? connect(fd, (struct sockaddr *)&v4, sizeof v4) : connect(fd, (struct sockaddr *)&v6, sizeof v6);
  return failed ? -1 : fd;
}

int main(int argc, char **argv) {
  struct pollfd held[limit];
  int sends[limit], count = 0, alive;
  for (int i = 1; i + 2 < argc && count < limit; i += 3, count++) {
    sends[count] = strcmp(argv[i], "sending") == 0;
    held[count].fd = dial(argv[i + 1], argv[i + 2]);
    held[count].events = POLLIN;
    if (held[count].fd < 0) return 1;
  }
  for (alive = count; alive > 0;) {
    poll(held, count, 100);
    for (int i = 0; i < count; i++) {
      if (held[i].fd < 0) continue;
      char byte = '.';
      int ended = (held[i].revents && recv(held[i].fd, &byte, 1, 0) <= 0) ||
                  (sends[i] && send(held[i].fd, &byte, 1, MSG_NOSIGNAL) < 0);
      if (!ended) continue;
      close(held[i].fd);
      held[i].fd = -1;
      alive--;
    }
  }
  return 0;
}
