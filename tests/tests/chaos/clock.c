/* A wall clock that jumps. Preloaded, it adds to the wall clock what the file of CHAOS_CLOCK says, in seconds, and counts
 * there how often anybody looked: two 64-bit words, offset and looks.
 *
 * Programs read clocks by the kernel's vDSO, many of them without libc. So its entries themselves are patched, in this
 * process's own copy: they jump to what stands here, which makes the system call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#if defined __x86_64__
#define PREFIX "__vdso_"
/* movabs $target, %rax; jmp *%rax */
static const unsigned char JUMP[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
enum { TARGET = 2 };
#elif defined __aarch64__
#define PREFIX "__kernel_"
/* ldr x16, 8; br x16; target */
static const unsigned char JUMP[] = {0x50, 0, 0, 0x58, 0, 0x02, 0x1f, 0xd6, 0, 0, 0, 0, 0, 0, 0, 0};
enum { TARGET = 8 };
#else
#error "clock.c knows no jump of this processor"
#endif

static struct {
    _Atomic int64_t offset_s;
    _Atomic int64_t looks;
} *words;

static int jumping_gettime(clockid_t clock, struct timespec *now) {
    long error = syscall(SYS_clock_gettime, clock, now);
    if (!error && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += atomic_load(&words->offset_s);
        atomic_fetch_add(&words->looks, 1);
    }
    return (int)error;
}

static int jumping_gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    (void)zone;
    if (now) {
        jumping_gettime(CLOCK_REALTIME, &precise);
        now->tv_sec = precise.tv_sec;
        now->tv_usec = precise.tv_nsec / 1000;
    }
    return 0;
}

static time_t jumping_time(time_t *out) {
    struct timespec precise;
    jumping_gettime(CLOCK_REALTIME, &precise);
    if (out) *out = precise.tv_sec;
    return precise.tv_sec;
}

/* All of it: the kernel does not let a part of it be changed. */
static int protect(int protection) {
    const ElfW(Ehdr) *vdso = (const void *)getauxval(AT_SYSINFO_EHDR);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = vdso->e_shoff + (size_t)vdso->e_shnum * vdso->e_shentsize;
    return mprotect((void *)vdso, (bytes + page - 1) / page * page, protection);
}

static void patch(void *vdso, const char *name, uintptr_t target) {
    unsigned char *entry = dlsym(vdso, name), jump[sizeof JUMP];
    if (!entry) return;
    memcpy(jump, JUMP, sizeof jump);
    memcpy(jump + TARGET, &target, sizeof target);
    memcpy(entry, jump, sizeof jump);
    __builtin___clear_cache((char *)entry, (char *)entry + sizeof jump);
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHAOS_CLOCK");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(NULL, sizeof *words, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (map == MAP_FAILED || !vdso || protect(PROT_READ | PROT_WRITE | PROT_EXEC)) return;
    words = map;
    patch(vdso, PREFIX "clock_gettime", (uintptr_t)jumping_gettime);
    patch(vdso, PREFIX "gettimeofday", (uintptr_t)jumping_gettimeofday);
    patch(vdso, PREFIX "time", (uintptr_t)jumping_time);
    protect(PROT_READ | PROT_EXEC);
}
