// What the upstream writes into each event and the listener reads out of it again, on one machine and one clock:
//   ~stream.place.received.sent~   lower-case hexadecimal digits, fixed widths
// `received` is when the upstream had read the request, `sent` when it handed this event to the kernel; both in
// nanoseconds of CLOCK_MONOTONIC.
#ifndef STAMP_H
#define STAMP_H

#include <stdint.h>
#include <time.h>

#define STAMP_FORMAT "~%06lx.%04lx.%016llx.%016llx~"
#define STAMP_INSIDE 45 // characters between the two tildes

static inline int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#endif
