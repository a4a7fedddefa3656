/* Delays fsync and fdatasync, by the longer of two delays:
   - the milliseconds that the file SLOW_DISK_DELAY holds: an int64 that may change at any time,
     also for calls that wait;
   - SLOW_DISK_CALLS=PERCENT:LEAST:MOST, a random delay of so many milliseconds for so many calls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *delay_ms;
static unsigned percent, least_ms, most_ms;

__attribute__((constructor)) static void read_environment(void) {
    const char *calls = getenv("SLOW_DISK_CALLS");
    if (calls && sscanf(calls, "%u:%u:%u", &percent, &least_ms, &most_ms) != 3)
        abort();
    const char *path = getenv("SLOW_DISK_DELAY");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *map = mmap(0, sizeof *delay_ms, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED)
        delay_ms = map;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A random number, different in each thread and call. */
static unsigned next_random(void) {
    static __thread uint64_t state;
    if (!state) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        state = (uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 32 ^ (uintptr_t)&state;
    }
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

static int64_t delay_of_call(void) {
    if (next_random() % 100 >= percent)
        return 0;
    return least_ms + next_random() % (most_ms - least_ms + 1);
}

static void wait_for_disk(void) {
    const struct timespec slice = {0, 500000};
    int64_t begun = now_ms(), own_ms = delay_of_call();
    for (int64_t waited = 0; waited < own_ms || (delay_ms && waited < *delay_ms);
         waited = now_ms() - begun)
        nanosleep(&slice, 0);
}

int fsync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_for_disk();
    return real(file);
}

int fdatasync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_for_disk();
    return real(file);
}
