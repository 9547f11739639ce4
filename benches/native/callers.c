// Many callers of one gateway, who note when each event of upstream.c arrives and whether any is lost or out of place.
// One thread, epoll, HTTP/1.1, loopback only. Prints one line of JSON.
//
//   callers -p PORT -b BODY [-b BODY]... [-H HEADER]... [-u PATH] [-c CONNECTIONS] [-t PATIENCE_S] [-e EVENTS] [-l N]
//           -n CALLS [-r SECONDS]     so many calls, begun evenly within so many seconds (0: all at one instant)
//        or -d SECONDS [-R RATE]      calls for so long, so many a second (0: each connection asks again at once)
//
//   -b  a file with a body, the next for each call in turn; one with "stream":true in it is answered by a stream
//   -e  content events that a whole stream has
//   -l  the caller of every Nth stream leaves: in turn before the first byte and after the first content event
//
// first  from asking to the first content, less the time that the upstream itself let pass between the two
// late   from an event's being sent by the upstream to its being read here
// gap    how much longer or shorter a pause between two events is here than it was at the upstream
// All in microseconds.
#define _GNU_SOURCE
#include "stamp.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

enum { HEAD, SIZE, SIZE_END, DATA, DATA_END, TRAILER, PLAIN, OVER }; // where in an answer
enum { ANSWERED, TOLD, REFUSED, LEFT, BROKEN, SILENT, ENDS };         // how a call ended
static const char *const END_NAMES[] = {"answered", "told", "refused", "left", "broken", "silent"};

typedef struct Body { char *request; size_t length; int streams; } Body;
typedef struct Caller {
  int fd, asking, leaves;
  const Body *body;
  size_t written;
  int64_t asked, last_late;
  // the answer's framing
  int at, status, keeps;
  char head[8192];
  size_t head_length;
  long left;
  // what it says
  int inside, here; // characters of a stamp so far, -1 outside of one; stamps since the last blank line
  char stamp[STAMP_INSIDE + 1];
  char before[8]; // the last characters, to find [DONE] and "error"
  int done, error, line_ends;
  long stream, events, distinct, last;
  uint64_t seen[16];
} Caller;

// ------------------------------------------------------------------------------------------------------------ figures
// A histogram of nanoseconds: 128 steps for each power of two, so a figure is true to one per cent.
typedef struct Figures { long count[58 * 128], total; int64_t most; } Figures;
static Figures first, late, gap;

static void note(Figures *f, int64_t ns) {
  if (ns < 0) ns = 0;
  int power = ns < 128 ? 0 : 57 - __builtin_clzll(ns);
  f->count[power * 128 + (power ? (ns >> (power - 1)) - 128 : ns)]++;
  f->total++;
  if (ns > f->most) f->most = ns;
}
static double quantile(const Figures *f, double share) {
  long rank = share * f->total, passed = 0;
  for (int i = 0; i < 58 * 128; i++)
    if ((passed += f->count[i]) > rank) {
      int power = i / 128;
      return (power ? ((i % 128 + 128.5) * ((int64_t)1 << (power - 1))) : i) / 1e3;
    }
  return 0;
}
static void print_figures(const char *name, const Figures *f) {
  printf(",\"%s\":{\"count\":%ld,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"most\":%.1f}", name, f->total,
         quantile(f, .5), quantile(f, .9), quantile(f, .99), quantile(f, .999), f->most / 1e3);
}

// -------------------------------------------------------------------------------------------------------------- calls
static int poll_fd, port, idle_count, idle_first, connections, body_count;
static Caller *callers, **idle; // who has rested longest asks next, so that every connection is used
static Body bodies[16];
static long asked, streams_asked, expected, leaving, ends[ENDS], events, lost, merged, reordered, doubled, foreign, wholes;
static char first_fault[400];
static double patience = 30;

static void connect_anew(Caller *c) {
  struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->fd, (void *)&there, sizeof there)) perror("callers"), exit(1);
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &e);
}
static void write_on(Caller *c) {
  int blocked = 0;
  while (c->written < c->body->length && !blocked) {
    ssize_t n = send(c->fd, c->body->request + c->written, c->body->length - c->written, MSG_NOSIGNAL);
    if (n < 0) blocked = 1; // full, or gone, which reading tells
    else c->written += n;
  }
  if (blocked || c->body->length > 65536) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (blocked ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &e);
  }
}
static void end_call(Caller *c, int how) {
  if (how == BROKEN && !first_fault[0])
    snprintf(first_fault, sizeof first_fault, "at %d, status %d, %ld of %ld events: %.200s", c->at, c->status, c->distinct,
             expected, c->head);
  ends[how]++;
  c->asking = 0;
  if (how == LEFT || how == BROKEN || how == SILENT || !c->keeps) close(c->fd), connect_anew(c);
  idle[(idle_first + idle_count++) % connections] = c;
}
static void ask(Caller *c) {
  c->body = &bodies[asked++ % body_count];
  c->leaves = 0;
  if (c->body->streams && leaving && ++streams_asked % leaving == 0) c->leaves = 1 + streams_asked / leaving % 2;
  c->written = 0, c->at = HEAD, c->head_length = 0, c->status = 0, c->keeps = 1, c->asking = 1;
  c->inside = -1, c->here = 0, c->done = c->error = 0, c->line_ends = 0;
  c->stream = -1, c->events = c->distinct = 0, c->last = -1;
  memset(c->seen, 0, sizeof c->seen), memset(c->before, 0, sizeof c->before), c->head[0] = 0;
  c->asked = now_ns();
  write_on(c);
  if (c->leaves == 1 && c->written == c->body->length) end_call(c, LEFT);
}
static void settle(Caller *c) { // the answer is whole by its framing
  if (c->status != 200) {
    end_call(c, REFUSED);
    return;
  }
  if (!c->body->streams) {
    wholes += c->distinct;
    end_call(c, c->distinct == 1 ? ANSWERED : BROKEN);
    return;
  }
  if (c->error) {
    end_call(c, TOLD);
    return;
  }
  if (expected) lost += expected - c->distinct;
  end_call(c, c->done && (!expected || c->distinct == expected) ? ANSWERED : BROKEN);
}

// ---------------------------------------------------------------------------------------------------- reading answers
static void stamped(Caller *c, int64_t now) {
  unsigned long stream, place;
  unsigned long long received, sent;
  c->stamp[STAMP_INSIDE] = 0;
  if (sscanf(c->stamp, "%6lx.%4lx.%16llx.%16llx", &stream, &place, &received, &sent) != 4) return;
  if (!c->body->streams) {
    c->distinct++;
    return;
  }
  if (c->here++) merged++;
  if (c->stream < 0) c->stream = stream;
  if ((long)stream != c->stream) foreign++;
  int64_t lateness = now - (int64_t)sent;
  if (c->events++ == 0)
    note(&first, now - c->asked - ((int64_t)sent - (int64_t)received));
  else
    note(&gap, llabs(lateness - c->last_late));
  note(&late, lateness);
  c->last_late = lateness;
  events++;
  uint64_t bit = 1ull << place % 64, *word = &c->seen[place / 64 % 16];
  if (*word & bit) doubled++;
  else c->distinct++;
  *word |= bit;
  if ((long)place < c->last) reordered++;
  c->last = place;
}
static void hear(Caller *c, const char *words, size_t length, int64_t now) {
  for (size_t i = 0; i < length; i++) {
    char one = words[i];
    if (c->inside >= 0) {
      if (one == '~') stamped(c, now), c->inside = -1;
      else if (c->inside == STAMP_INSIDE) c->inside = -1;
      else c->stamp[c->inside++] = one;
    } else if (one == '~')
      c->inside = 0;
    if (one == '\n') {
      if (++c->line_ends == 2) c->here = 0;
    } else if (one != '\r')
      c->line_ends = 0;
    memmove(c->before, c->before + 1, 7), c->before[7] = one;
    if (one == ']' && !memcmp(c->before + 2, "[DONE]", 6)) c->done = 1;
    if (one == '"' && !memcmp(c->before + 1, "\"error\"", 7)) c->error = 1;
  }
}
static int read_head(Caller *c) {
  c->status = atoi(c->head + 9);
  const char *found = strcasestr(c->head, "\r\ncontent-length:");
  c->left = found ? atol(found + 17) : 0;
  c->keeps = !strcasestr(c->head, "\r\nconnection: close");
  c->at = strcasestr(c->head, "\r\ntransfer-encoding:") ? SIZE : c->left ? PLAIN : OVER;
  return memcmp(c->head, "HTTP/1.1 ", 9) == 0 && (c->at != OVER || found);
}
// False where the framing is broken.
static int read_on(Caller *c, const char *words, size_t length, int64_t now) {
  for (size_t i = 0; i < length;) {
    char one = words[i];
    switch (c->at) {
      case HEAD:
        if (c->head_length + 1 >= sizeof c->head) return 0;
        c->head[c->head_length++] = one, c->head[c->head_length] = 0, i++;
        if (one == '\n' && c->head_length > 3 && !strcmp(c->head + c->head_length - 4, "\r\n\r\n")) {
          if (!strncmp(c->head + 9, "100", 3)) c->head_length = 0;
          else if (!read_head(c)) return 0;
          c->left = c->at == SIZE ? -1 : c->left;
        }
        break;
      case SIZE: {
        int digit = one >= '0' && one <= '9' ? one - '0' : (one | 32) >= 'a' && (one | 32) <= 'f' ? (one | 32) - 'a' + 10 : -1;
        if (digit >= 0) c->left = (c->left < 0 ? 0 : c->left) * 16 + digit;
        else if (one == '\r' && c->left >= 0) c->at = SIZE_END;
        else return 0;
        i++;
        break;
      }
      case SIZE_END:
        if (one != '\n') return 0;
        c->at = c->left ? DATA : TRAILER, i++;
        c->head_length = 0;
        break;
      case DATA:
      case PLAIN: {
        size_t taken = length - i < (size_t)c->left ? length - i : (size_t)c->left;
        hear(c, words + i, taken, now);
        c->left -= taken, i += taken;
        if (!c->left) c->at = c->at == PLAIN ? OVER : DATA_END;
        break;
      }
      case DATA_END:
        if (one == '\n') c->at = SIZE, c->left = -1;
        else if (one != '\r') return 0;
        i++;
        break;
      case TRAILER: // nobody sends one: an empty line
        if (one == '\n') c->at = OVER;
        else if (one != '\r') return 0;
        i++;
        break;
      default: return 0; // more than the answer
    }
  }
  return 1;
}
static void receive(Caller *c) {
  static char words[262144];
  for (;;) {
    ssize_t n = recv(c->fd, words, sizeof words, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (!c->asking) { // an idle connection that the gateway closes, or on which it speaks unasked
      if (n > 0) ends[BROKEN]++;
      close(c->fd), connect_anew(c);
      return;
    }
    if (n <= 0 || !read_on(c, words, n, now_ns())) {
      end_call(c, c->status == 200 && c->error ? TOLD : BROKEN);
      return;
    }
    if (c->at == OVER) {
      settle(c);
      return;
    }
    if (c->leaves == 2 && c->events) {
      end_call(c, LEFT);
      return;
    }
    if ((size_t)n < sizeof words) return;
  }
}

static void load_body(const char *name, char **headers, int header_count, const char *path) {
  FILE *file = fopen(name, "rb");
  if (!file || body_count == 16) perror(name), exit(1);
  fseek(file, 0, SEEK_END);
  size_t length = ftell(file);
  rewind(file);
  Body *b = &bodies[body_count++];
  b->request = malloc(length + 16384);
  char *at = b->request + sprintf(b->request, "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n"
                                              "content-length: %zu\r\n", path, port, length);
  for (int i = 0; i < header_count; i++) at += sprintf(at, "%s\r\n", headers[i]);
  at += sprintf(at, "\r\n");
  if (fread(at, 1, length, file) != length) exit(1);
  b->length = at + length - b->request;
  b->streams = memmem(at, length, "\"stream\": true", 14) || memmem(at, length, "\"stream\":true", 13);
  fclose(file);
}

int main(int argc, char **argv) {
  const char *names[16], *path = "/v1/chat/completions";
  char *headers[32];
  int name_count = 0, header_count = 0, option;
  long calls = 0;
  double within = 0, rate = 0, lasting = 0;
  while ((option = getopt(argc, argv, "p:u:H:b:c:n:r:R:d:e:l:t:")) != -1) switch (option) {
      case 'p': port = atoi(optarg); break;
      case 'u': path = optarg; break;
      case 'H': headers[header_count++] = optarg; break;
      case 'b': names[name_count++] = optarg; break;
      case 'c': connections = atoi(optarg); break;
      case 'n': calls = atol(optarg); break;
      case 'r': within = atof(optarg); break;
      case 'R': rate = atof(optarg); break;
      case 'd': lasting = atof(optarg); break;
      case 'e': expected = atol(optarg); break;
      case 'l': leaving = atol(optarg); break;
      case 't': patience = atof(optarg); break;
      default: return 2;
    }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files), files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
  for (int i = 0; i < name_count; i++) load_body(names[i], headers, header_count, path);
  if (!connections) connections = calls;
  poll_fd = epoll_create1(0);
  callers = calloc(connections, sizeof *callers), idle = calloc(connections, sizeof *idle);
  for (int i = 0; i < connections; i++) connect_anew(&callers[i]), idle[idle_count++] = &callers[i];

  int64_t began = now_ns(), until = began + lasting * 1e9, looked = began, now, stepped = began;
  double step = calls ? within * 1e9 / calls : rate ? 1e9 / rate : 0;
  struct epoll_event found[256];
  long behind = 0;
  for (;;) {
    now = now_ns();
    int open = calls ? asked < calls : now < until;
    // a few at a time, so that answers are read while many are still being asked
    for (int few = 0; open && idle_count && few < 16 && stepped <= now; few++) {
      Caller *c = idle[idle_first];
      idle_first = (idle_first + 1) % connections, idle_count--;
      ask(c);
      stepped += step;
      open = calls ? asked < calls : now < until;
    }
    if (open && stepped <= now && !idle_count) { // who cannot ask in time is counted, and not asked for twice later
      if (rate) behind++, stepped = now;
    }
    if (!open && idle_count == connections) break;
    int64_t left = open && idle_count ? stepped - now_ns() : 50000000;
    if (left > 50000000) left = 50000000;
    struct timespec nap = {0, left > 0 ? left : 0};
    int count = epoll_pwait2(poll_fd, found, 256, &nap, NULL);
    for (int i = 0; i < count; i++) {
      Caller *c = found[i].data.ptr;
      if (found[i].events & EPOLLOUT) write_on(c);
      if (found[i].events & ~EPOLLOUT) receive(c);
    }
    if ((now = now_ns()) - looked > 1000000000) {
      looked = now;
      for (int i = 0; i < connections; i++)
        if (callers[i].asking && now - callers[i].asked > patience * 1e9) end_call(&callers[i], SILENT);
    }
  }
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  printf("{\"asked\":%ld,\"secs\":%.3f,\"cpu_s\":%.3f,\"behind\":%ld", asked, (now_ns() - began) / 1e9, cpu, behind);
  for (int i = 0; i < ENDS; i++) printf(",\"%s\":%ld", END_NAMES[i], ends[i]);
  printf(",\"wholes\":%ld,\"events\":%ld,\"lost\":%ld,\"merged\":%ld,\"reordered\":%ld,\"doubled\":%ld,\"foreign\":%ld", wholes,
         events, lost, merged, reordered, doubled, foreign);
  print_figures("first", &first), print_figures("late", &late), print_figures("gap", &gap);
  printf(",\"first_fault\":\"");
  for (char *p = first_fault; *p; p++)
    if (*p >= 32 && *p != '"' && *p != '\\') putchar(*p);
    else putchar(' ');
  printf("\"}\n");
  return 0;
}
