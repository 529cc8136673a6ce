/* Answers at least 65536 for RLIMIT_NOFILE. Where the machine's hard limit is lower, Elasticsearch's bootstrap check would
   stop every node that binds to a bridge network. The real limit stays what it is (a deviation that the stack lists). */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int answer(int resource, struct rlimit *limit) {
    int rc = (int)syscall(SYS_prlimit64, 0, resource, (void *)0, limit);
    if (rc == 0 && resource == RLIMIT_NOFILE) {
        if (limit->rlim_cur < 65536) limit->rlim_cur = 65536;
        if (limit->rlim_max < 65536) limit->rlim_max = 65536;
    }
    return rc;
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit) { return answer((int)resource, limit); }
int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limit) { return answer((int)resource, (struct rlimit *)limit); }
