// A program gets SIGTERM with its first setrlimit, long before it serves anything.
#define _GNU_SOURCE
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int set(int resource, const struct rlimit *limit) {
    static int told;
    if (!told) {
        told = 1;
        kill(getpid(), SIGTERM);
    }
    return (int)syscall(SYS_prlimit64, 0, resource, limit, 0);
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit) {
    return set((int)resource, limit);
}

int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit) {
    return set((int)resource, (const struct rlimit *)limit);
}
