// A provider of chat completions whose events say when they were sent. One thread, epoll, HTTP/1.1, loopback only.
//
//   upstream -p PORT [-e EVENTS] [-i PAUSE_MS] [-j SHARE] [-d DELAY_MS] [-m MODE] [-f PER_THOUSAND] [-s STALL_S] [-S]
//
//   -e  content events in a stream; a role-only event goes before them, a finish, a usage and [DONE] follow at once
//   -i  milliseconds between two events, the first content event included; -j varies each pause by this share of it
//   -d  milliseconds from a request to the first byte of its answer
//   -m  whole    an event is one HTTP chunk and one send()
//       chunk    each byte of the body is an HTTP chunk and a send() of its own
//       segment  each byte on the wire, heads and chunk sizes included, is a send() of its own
//       In the last two -i is the pause between two such pieces.
//   -f  of a thousand answers so many fail, one each in turn: 500, connection cut, silence, body ended too early
//   -s  seconds after which a silent answer gives up
//   -S  shares the port with others of its kind
//
// A body with "stream":true is streamed, any other POST gets a whole answer of about 1 kB, a GET a list of models.
#define _GNU_SOURCE
#include "stamp.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WHOLE, CHUNK, SEGMENT };
enum { WELL, REFUSES, CUTS, STALLS, ENDS_EARLY };

typedef struct Visitor {
  int fd;
  char *in, *out;
  size_t in_size, in_length, out_size, out_length, out_done;
  int answering, streaming, fault, blocked, slot; // slot: its place in the heap, -1 outside of it
  long stream, place;
  int64_t received, due;
} Visitor;

static int poll_fd, mode = WHOLE, stalling = 30;
static long events = 20, streams, faults;
static double pause_ms = 500, varies = 0, delay_ms = 0, failing = 0, owed;
static uint64_t chance = 88172645463325252ull;

// ---------------------------------------------------------------------------------------------------- who is due next
static Visitor **heap;
static int waiting, room;

static void put_at(int slot, Visitor *v) { heap[slot] = v, v->slot = slot; }
static void sift(int slot) {
  Visitor *v = heap[slot];
  for (; slot && heap[(slot - 1) / 2]->due > v->due; slot = (slot - 1) / 2) put_at(slot, heap[(slot - 1) / 2]);
  for (int child; (child = 2 * slot + 1) < waiting; slot = child) {
    if (child + 1 < waiting && heap[child + 1]->due < heap[child]->due) child++;
    if (heap[child]->due >= v->due) break;
    put_at(slot, heap[child]);
  }
  put_at(slot, v);
}
static void wake_at(Visitor *v, int64_t due) {
  v->due = due;
  if (v->slot < 0) {
    if (waiting == room) heap = realloc(heap, (room = room ? 2 * room : 1024) * sizeof *heap);
    put_at(waiting, v), waiting++;
  }
  sift(v->slot);
}
static void let_sleep(Visitor *v) {
  if (v->slot < 0) return;
  int slot = v->slot;
  v->slot = -1;
  if (slot != --waiting) put_at(slot, heap[waiting]), sift(slot);
}

// ------------------------------------------------------------------------------------------------------------ sending
static void leave(Visitor *v) {
  let_sleep(v);
  close(v->fd);
  free(v->in), free(v->out), free(v);
}
static void watch(Visitor *v, uint32_t what) {
  struct epoll_event e = {.events = what | EPOLLIN | EPOLLRDHUP, .data.ptr = v};
  epoll_ctl(poll_fd, EPOLL_CTL_MOD, v->fd, &e);
}
static void say(Visitor *v, const char *words, size_t length) {
  if (v->out_length + length > v->out_size)
    v->out = realloc(v->out, v->out_size = 2 * (v->out_length + length));
  memcpy(v->out + v->out_length, words, length);
  v->out_length += length;
}
// Sends at most `most` bytes of what was said. False where the other end is gone.
static int push(Visitor *v, size_t most) {
  size_t end = v->out_length - v->out_done > most ? v->out_done + most : v->out_length;
  while (v->out_done < end) {
    ssize_t n = send(v->fd, v->out + v->out_done, end - v->out_done, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      if (!v->blocked) v->blocked = 1, watch(v, EPOLLOUT);
      return 1;
    }
    if (n < 0) return 0;
    v->out_done += n;
  }
  if (v->blocked) v->blocked = 0, watch(v, 0);
  if (v->out_done == v->out_length) v->out_done = v->out_length = 0;
  return 1;
}
static void say_body(Visitor *v, const char *words, size_t length) {
  char size[32];
  if (mode == CHUNK)
    for (size_t i = 0; i < length; i++) say(v, size, sprintf(size, "1\r\n%c\r\n", words[i]));
  else
    say(v, size, sprintf(size, "%zx\r\n", length)), say(v, words, length), say(v, "\r\n", 2);
}

// ------------------------------------------------------------------------------------------------------------ answers
#define OPENING                                                                                                        \
  "{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion.chunk\",\"created\":1741570283,"    \
  "\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_06737a9306\","
#define OPENING_SHORT                                                                                                  \
  "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
#define USAGE "\"usage\":{\"prompt_tokens\":219,\"completion_tokens\":%ld,\"total_tokens\":%ld}}"
#define WORDS                                                                                                          \
  "A gateway sits between clients and providers of models. It checks who asks, picks a target, forwards the request "  \
  "over a connection that is already open, and accounts for the tokens. Because a model takes hundreds of "            \
  "milliseconds, nobody should notice that there is a gateway: read once, copy once, and never stand in the way. "     \
  "What it adds in time and memory is what these figures are about, and what it keeps back it has to account for."

static double random_share(void) {
  chance ^= chance << 13, chance ^= chance >> 7, chance ^= chance << 17;
  return (chance >> 11) / 9007199254740992.0;
}
static int64_t next_due(void) {
  return now_ns() + (int64_t)(1e6 * pause_ms * (1 + varies * (2 * random_share() - 1)));
}
static void say_event(Visitor *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
#include <stdarg.h>
static void say_event(Visitor *v, const char *format, ...) {
  char text[1500];
  int length = sprintf(text, "data: ");
  va_list arguments;
  va_start(arguments, format);
  length += vsnprintf(text + length, sizeof text - 10 - length, format, arguments);
  va_end(arguments);
  length += sprintf(text + length, "\n\n");
  say_body(v, text, length);
}
static void say_next_event(Visitor *v) {
  const char *opening = mode == WHOLE ? OPENING : OPENING_SHORT;
  long place = v->place++;
  if (place == 0)
    say_event(v, "%s\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}",
              opening);
  else
    say_event(v, "%s\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" STAMP_FORMAT "\"},\"finish_reason\":null}]}", opening,
              v->stream, place - 1, (long long)v->received, (long long)now_ns());
  if (v->place <= events) return;
  say_event(v, "%s\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}", opening);
  say_event(v, "%s\"choices\":[]," USAGE, opening, events, 219 + events);
  say_event(v, "[DONE]");
  say(v, "0\r\n\r\n", 5);
}
static void say_whole(Visitor *v, int status, const char *text) {
  char head[300];
  say(v, head, sprintf(head, "HTTP/1.1 %d Said\r\ncontent-type: application/json\r\nx-request-id: req_0123456789abcdef\r\n"
                             "content-length: %zu\r\n\r\n", status, strlen(text)));
  say(v, text, strlen(text));
}
static void say_answer(Visitor *v) {
  char text[2000];
  sprintf(text, "{\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion\",\"created\":1741569952,"
                "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""
                STAMP_FORMAT " " WORDS "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}]," USAGE,
          v->stream, 0L, (long long)v->received, (long long)now_ns(), 86L, 305L);
  say_whole(v, 200, text);
}

static int read_requests(Visitor *v);

static int ended(Visitor *v) {
  v->answering = v->streaming = 0;
  return read_requests(v);
}
// The next thing to do for whoever is due. False where the connection is over.
static int go_on(Visitor *v) {
  if (v->fault == STALLS) return 0; // it has been silent long enough
  if (v->fault == CUTS && (!v->streaming || v->place > events / 2)) return 0;
  if (!v->streaming) {
    if (v->fault == REFUSES)
      say_whole(v, 500, "{\"error\":{\"message\":\"the provider is at its end\",\"type\":\"server_error\",\"code\":null}}");
    else
      say_answer(v);
    return push(v, -1) && ended(v);
  }
  int said = v->out_length == v->out_done && v->place <= events;
  if (said && v->fault == ENDS_EARLY && v->place > events / 2) {
    say(v, "0\r\n\r\n", 5); // the framing is whole, the answer is not
    return push(v, -1) && ended(v);
  }
  if (said) say_next_event(v);
  if (!push(v, mode == WHOLE ? (size_t)-1 : mode == CHUNK ? 6 : 1)) return 0;
  if (v->place > events && v->out_length == v->out_done) return ended(v);
  if (mode == WHOLE && v->place > events) return 1; // the rest goes when there is room
  wake_at(v, next_due());
  return 1;
}
static void begin(Visitor *v, int streaming) {
  v->answering = 1, v->streaming = streaming, v->fault = WELL, v->place = 0, v->stream = streams++ & 0xffffff;
  owed += failing / 1000;
  if (owed >= 1) {
    owed -= 1;
    v->fault = REFUSES + faults++ % 4;
    if (v->fault == ENDS_EARLY && !streaming) v->fault = CUTS;
  }
  if (v->fault == STALLS) {
    wake_at(v, now_ns() + stalling * 1000000000ll);
    return;
  }
  if (v->fault == REFUSES) v->streaming = 0;
  if (v->streaming) {
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
                               "x-request-id: req_0123456789abcdef\r\ntransfer-encoding: chunked\r\n\r\n";
    say(v, head, sizeof head - 1);
  }
  wake_at(v, now_ns() + (int64_t)(1e6 * delay_ms));
}

// ----------------------------------------------------------------------------------------------------------- requests
static const char *header(const char *head, const char *name) {
  size_t length = strlen(name);
  for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
    if (!strncasecmp(line + 2, name, length) && line[2 + length] == ':') return line + 3 + length;
  return NULL;
}
static int asks_for_stream(const char *body, size_t length) {
  const char *found = memmem(body, length, "\"stream\"", 8);
  if (!found) return 0;
  for (found += 8; *found == ' ' || *found == ':'; found++) {}
  return !strncmp(found, "true", 4);
}
// Takes the next whole request, if there is one and none is being answered. False where the connection is over.
static int read_requests(Visitor *v) {
  while (!v->answering && v->in_length) {
    v->in[v->in_length] = 0;
    char *end = strstr(v->in, "\r\n\r\n");
    if (!end) return v->in_length < 65536;
    end[2] = 0;
    const char *told = header(v->in, "content-length");
    size_t head = end + 4 - v->in, body = told ? strtoul(told, NULL, 10) : 0;
    int chunked = header(v->in, "transfer-encoding") != NULL;
    end[2] = '\r';
    if (chunked) return 0; // nobody whom we measure sends one
    if (v->in_length < head + body) return 1;
    v->received = now_ns();
    if (!strncmp(v->in, "GET ", 4)) {
      say_whole(v, 200, "{\"object\":\"list\",\"data\":[]}");
      if (!push(v, -1)) return 0;
    } else
      begin(v, asks_for_stream(v->in + head, body));
    memmove(v->in, v->in + head + body, v->in_length -= head + body);
  }
  return 1;
}
static int receive(Visitor *v) {
  for (;;) {
    if (v->in_size - v->in_length < 16384) v->in = realloc(v->in, v->in_size = v->in_size ? 2 * v->in_size : 32768);
    ssize_t n = recv(v->fd, v->in + v->in_length, v->in_size - v->in_length - 1, 0);
    if (n < 0 && errno == EAGAIN) return read_requests(v);
    if (n <= 0) return 0;
    v->in_length += n;
  }
}
static void welcome(int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Visitor *v = calloc(1, sizeof *v);
    v->fd = fd, v->slot = -1;
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = v};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e);
  }
}

int main(int argc, char **argv) {
  int port = 0, shares = 0, option;
  while ((option = getopt(argc, argv, "p:e:i:j:d:m:f:s:S")) != -1) switch (option) {
      case 'p': port = atoi(optarg); break;
      case 'e': events = atol(optarg); break;
      case 'i': pause_ms = atof(optarg); break;
      case 'j': varies = atof(optarg); break;
      case 'd': delay_ms = atof(optarg); break;
      case 'm': mode = *optarg == 'c' ? CHUNK : *optarg == 's' ? SEGMENT : WHOLE; break;
      case 'f': failing = atof(optarg); break;
      case 's': stalling = atoi(optarg); break;
      case 'S': shares = 1; break;
      default: return 2;
    }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files), files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (shares) setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&here, sizeof here) || listen(listener, 4096)) return perror("upstream"), 1;
  poll_fd = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, found[256];
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &e);
  for (;;) {
    int64_t left = waiting ? heap[0]->due - now_ns() : 1000000000;
    struct timespec patience = {left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0};
    int count = epoll_pwait2(poll_fd, found, 256, &patience, NULL);
    for (int i = 0; i < count; i++) {
      Visitor *v = found[i].data.ptr;
      if (!v) {
        welcome(listener);
        continue;
      }
      int stays = 1;
      if (found[i].events & EPOLLOUT && v->blocked && mode == WHOLE) {
        stays = push(v, -1);
        if (stays && v->answering && v->streaming && v->place > events && !v->out_length) stays = ended(v);
      }
      if (stays && found[i].events & ~EPOLLOUT) stays = receive(v);
      if (!stays) leave(v);
    }
    for (int64_t now = now_ns(); waiting && heap[0]->due <= now;) {
      Visitor *v = heap[0];
      let_sleep(v);
      if (!go_on(v)) leave(v);
    }
  }
}
