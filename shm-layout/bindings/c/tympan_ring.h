/* tympan_ring.h: reads Tympan's shared-memory rings. Header only; C11 or C++11, Linux, gcc or clang, little-endian.
 *
 * What it does: maps a ring read-only, checks every byte it relies on, copies frames out, and says exactly what was
 * overwritten meanwhile. What it never does: write to a ring, slow its writer, allocate memory, spin, print.
 * shm-layout/LAYOUT.md has the bytes; README.md beside this file has examples.
 *
 * Include it before any other header, or compile with -D_GNU_SOURCE. Nothing here is for two threads at once on one
 * object, but any number of readers may attach to the same ring.
 *
 * MIT or Apache-2.0, at your choice. */
#ifndef TYMPAN_RING_H
#define TYMPAN_RING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if !defined(__linux__) || !defined(O_NOFOLLOW) || !defined(O_CLOEXEC)
#error "tympan_ring.h: for Linux; include it before any other header, or compile with -D_GNU_SOURCE"
#endif
#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tympan_ring.h: rings are little-endian, and so must the processor be"
#endif

/* The atomics of C11 and of C++11 have the same meaning and different names. */
#ifdef __cplusplus
#include <atomic>
#define TYMPAN_LOAD_(type, at, order) \
    (reinterpret_cast<const std::atomic<type> *>(at)->load(std::memory_order_##order))
#define TYMPAN_FENCE_ACQUIRE_() std::atomic_thread_fence(std::memory_order_acquire)
static_assert(sizeof(std::atomic<uint64_t>) == 8 && sizeof(std::atomic<uint32_t>) == 4, "plain words");
extern "C" {
#else
#include <stdatomic.h>
#define TYMPAN_LOAD_(type, at, order) \
    atomic_load_explicit((const _Atomic(type) *)(const void *)(at), memory_order_##order)
#define TYMPAN_FENCE_ACQUIRE_() atomic_thread_fence(memory_order_acquire)
_Static_assert(sizeof(_Atomic(uint64_t)) == 8 && sizeof(_Atomic(uint32_t)) == 4, "plain words");
#endif

enum {
    TYMPAN_CHANNELS_MAX = 64,
    TYMPAN_NAME_BYTES_MAX = 64,
    TYMPAN_LABEL_BYTES_MAX = 32,
    TYMPAN_PATH_BYTES_MAX = 4096
};

/* How a call ended. */
typedef enum {
    TYMPAN_OK = 0,
    /* Attaching. */
    TYMPAN_MISSING,   /* there is no such ring (yet) */
    TYMPAN_IO,        /* the operating system refused; tympan_ring.error has errno */
    TYMPAN_UNTRUSTED, /* not a private regular file of this user; tympan_ring.why says what is wrong */
    TYMPAN_VERSION,   /* another version of the layout, in tympan_ring.unknown */
    TYMPAN_FEATURE,   /* it needs features that this header does not know, in tympan_ring.unknown */
    TYMPAN_MALFORMED, /* the bytes are not a ring; tympan_ring.why says where */
    /* Reading. */
    TYMPAN_LOST,         /* overwritten: exactly the frames of tympan_span; go on at its end */
    TYMPAN_NOT_YET,      /* not all are written: the span ends at the newest */
    TYMPAN_BEFORE_FIRST, /* the ring begins later, at the span's end */
    /* Waiting. */
    TYMPAN_READY,    /* there are frames beyond the given one */
    TYMPAN_CLOSED,   /* the ring ended in order, and nothing is left to read */
    TYMPAN_CRASHED,  /* the writer died, and nothing is left to read */
    TYMPAN_TIMED_OUT /* nothing came in time */
} tympan_status;

/* Frames `from` to `to`, `to` not included. */
typedef struct {
    uint64_t from, to;
} tympan_span;

/* Frames that were never captured: zeros in the ring. */
typedef struct {
    uint64_t from, to;
    uint32_t cause; /* in the writer's numbering */
} tympan_gap;

/* What never changes in a ring's life, checked. */
typedef struct {
    char stream[TYMPAN_NAME_BYTES_MAX + 1];
    uint8_t session[16];
    uint64_t epoch, previous_epoch; /* previous: 0 for none */
    uint32_t sample_rate_hz;
    uint32_t channels; /* 1 to 64 */
    uint64_t capacity_frames;
    uint64_t first_frame;
    uint32_t writer_pid;
    uint64_t writer_start_time; /* clock ticks since boot: a pid alone is used again */
    bool has_labels, has_overview;
    char labels[TYMPAN_CHANNELS_MAX][TYMPAN_LABEL_BYTES_MAX + 1];
    uint64_t overview_bins, overview_bin_frames;
    uint64_t stride_bytes_, data_offset_, table_offset_, table_entries_, table_entry_bytes_, total_bytes_;
} tympan_info;

/* One attached ring. Fill it with tympan_attach*, let it go with tympan_detach. */
typedef struct {
    tympan_info info;
    const uint8_t *map_;
    int error;        /* errno of TYMPAN_IO */
    const char *why;  /* a few words on the failure */
    uint64_t unknown; /* the version, or the bits of the features, that are not known */
} tympan_ring;

/* ------------------------------------------------------------------------------------------ small parts, private */

static inline uint64_t tympan_word_(const uint8_t *header, size_t at) {
    uint64_t word;
    memcpy(&word, header + at, sizeof word);
    return word;
}

static inline bool tympan_mul_(uint64_t a, uint64_t b, uint64_t *product) {
    if (a != 0 && b > UINT64_MAX / a) return false;
    *product = a * b;
    return true;
}

static inline bool tympan_add_(uint64_t a, uint64_t b, uint64_t *sum) {
    *sum = a + b;
    return *sum >= a;
}

static inline uint64_t tympan_monotonic_ns_(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* CRC-32 (IEEE), four bits at a time: a table of sixteen words is enough for one page. */
static inline uint32_t tympan_crc32_(uint32_t crc, const uint8_t *bytes, size_t count) {
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    size_t i;
    crc = ~crc;
    for (i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = table[crc & 15] ^ (crc >> 4);
        crc = table[crc & 15] ^ (crc >> 4);
    }
    return ~crc;
}

static inline bool tympan_is_utf8_(const uint8_t *s, size_t count) {
    size_t i = 0;
    while (i < count) {
        uint8_t lead = s[i];
        size_t more = lead < 0x80 ? 0 : lead < 0xc2 ? 9 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 9;
        size_t k;
        if (more == 9 || more >= count - i) return false;
        for (k = 1; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80) return false;
        /* Too long for what it says, half of a pair, or beyond the last code point. */
        if ((lead == 0xe0 && s[i + 1] < 0xa0) || (lead == 0xed && s[i + 1] > 0x9f)) return false;
        if ((lead == 0xf0 && s[i + 1] < 0x90) || (lead == 0xf4 && s[i + 1] > 0x8f)) return false;
        i += 1 + more;
    }
    return true;
}

/* When a process started, in clock ticks since boot; 0 where there is none, or only its corpse. */
static inline uint64_t tympan_start_time_(uint32_t pid) {
    char path[64], stat[2048], *at;
    unsigned field;
    uint64_t ticks = 0;
    ssize_t count;
    int fd;
    snprintf(path, sizeof path, "/proc/%u/stat", (unsigned)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    count = read(fd, stat, sizeof stat - 1);
    close(fd);
    if (count <= 0) return 0;
    stat[count] = '\0';
    /* The second field is the program's name in parentheses, and may itself hold spaces and parentheses. */
    at = strrchr(stat, ')');
    if (at == NULL || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X') return 0;
    at += 2;
    for (field = 3; field < 22; field++) {
        at = strchr(at, ' ');
        if (at == NULL) return 0;
        at++;
    }
    for (; *at >= '0' && *at <= '9'; at++) ticks = ticks * 10 + (uint64_t)(*at - '0');
    return ticks;
}

static inline bool tympan_writer_lives_(const tympan_ring *ring) {
    uint64_t started = tympan_start_time_(ring->info.writer_pid);
    return started != 0 && started == ring->info.writer_start_time;
}

static inline tympan_status tympan_fail_(tympan_ring *ring, tympan_status status, const char *why) {
    ring->why = why;
    return status;
}

/* What the first page (a copy of it) says, believed only as far as it is consistent with itself and the file. */
static inline tympan_status tympan_parse_(tympan_ring *ring, const uint8_t *header, uint64_t file_bytes) {
    tympan_info *info = &ring->info;
    uint64_t rate = tympan_word_(header, 16), channels = tympan_word_(header, 24), capacity = tympan_word_(header, 32);
    uint64_t stride = tympan_word_(header, 352), data = tympan_word_(header, 360), total = tympan_word_(header, 264);
    uint64_t table = tympan_word_(header, 368), entries = tympan_word_(header, 376);
    uint64_t entry_bytes = tympan_word_(header, 384), name_bytes = tympan_word_(header, 392);
    uint64_t optional = tympan_word_(header, 288), header_bytes = tympan_word_(header, 256), end, plane;
    uint32_t format, checksum, crc;
    static const uint8_t zeros[4] = {0, 0, 0, 0};
    size_t i;
    memcpy(&format, header + 272, 4);
    memcpy(&checksum, header + 276, 4);
    if (memcmp(header, "AUDITAB!", 8) != 0)
        return tympan_fail_(ring, TYMPAN_MALFORMED, "no AUDITAB! at its beginning");
    if (tympan_word_(header, 8) != 2) {
        ring->unknown = tympan_word_(header, 8);
        return tympan_fail_(ring, TYMPAN_VERSION, "another version of the layout; this header reads version 2");
    }
    crc = tympan_crc32_(0, header + 16, 24);
    crc = tympan_crc32_(crc, header + 256, 20);
    crc = tympan_crc32_(crc, zeros, 4);
    crc = tympan_crc32_(crc, header + 280, 4096 - 280);
    if (crc != checksum) return tympan_fail_(ring, TYMPAN_MALFORMED, "wrong checksum");
    if (tympan_word_(header, 280) != 0) {
        ring->unknown = tympan_word_(header, 280);
        return tympan_fail_(ring, TYMPAN_FEATURE, "it needs features that are not known here");
    }
    if (format != 1) return tympan_fail_(ring, TYMPAN_MALFORMED, "unknown sample format");
    if (rate == 0 || rate > 192000 || channels == 0 || channels > TYMPAN_CHANNELS_MAX || capacity == 0)
        return tympan_fail_(ring, TYMPAN_MALFORMED, "impossible rate, channels or capacity");
    if (total != file_bytes || !tympan_mul_(stride, channels, &end) || !tympan_add_(end, data, &end) || end > total ||
        !tympan_mul_(capacity, 4, &plane) || plane > stride)
        return tympan_fail_(ring, TYMPAN_MALFORMED, "samples outside of the file");
    if (header_bytes < 4096 || header_bytes > data)
        return tympan_fail_(ring, TYMPAN_MALFORMED, "impossible header length");
    if (stride % 64 != 0 || data % 64 != 0 || data < 4096)
        return tympan_fail_(ring, TYMPAN_MALFORMED, "unaligned samples");
    if (entries == 0 || entry_bytes < 64 || entry_bytes % 8 != 0 || table % 8 != 0 || table < 4096 ||
        !tympan_mul_(entries, entry_bytes, &end) || !tympan_add_(end, table, &end) || end > data)
        return tympan_fail_(ring, TYMPAN_MALFORMED, "table outside of its place");
    info->first_frame = tympan_word_(header, 328);
    if (info->first_frame > UINT64_MAX / 2) return tympan_fail_(ring, TYMPAN_MALFORMED, "impossible first frame");
    if (name_bytes == 0 || name_bytes > TYMPAN_NAME_BYTES_MAX) return tympan_fail_(ring, TYMPAN_MALFORMED, "no name");
    if (!tympan_is_utf8_(header + 400, (size_t)name_bytes))
        return tympan_fail_(ring, TYMPAN_MALFORMED, "name is not UTF-8");
    if (memchr(header + 400, '/', (size_t)name_bytes) || memchr(header + 400, 0, (size_t)name_bytes) ||
        header[400] == '.')
        return tympan_fail_(ring, TYMPAN_MALFORMED, "name is not a file name");
    memcpy(info->stream, header + 400, (size_t)name_bytes);
    if (tympan_word_(header, 336) > UINT32_MAX) return tympan_fail_(ring, TYMPAN_MALFORMED, "impossible pid");
    info->has_labels = (optional & 2) != 0;
    for (i = 0; info->has_labels && i < channels; i++) {
        const uint8_t *label = header + 512 + i * TYMPAN_LABEL_BYTES_MAX;
        const uint8_t *zero = (const uint8_t *)memchr(label, 0, TYMPAN_LABEL_BYTES_MAX);
        size_t count = zero == NULL ? (size_t)TYMPAN_LABEL_BYTES_MAX : (size_t)(zero - label);
        if (!tympan_is_utf8_(label, count)) return tympan_fail_(ring, TYMPAN_MALFORMED, "label is not UTF-8");
        memcpy(info->labels[i], label, count);
    }
    info->has_overview = (optional & 1) != 0;
    if (info->has_overview) {
        uint64_t offset = tympan_word_(header, 464), bins = tympan_word_(header, 472);
        uint64_t bin_frames = tympan_word_(header, 480), bin_stride = tympan_word_(header, 488), bytes, frames;
        if (!tympan_mul_(bin_stride, channels, &end) || !tympan_add_(end, offset, &end) || end > total ||
            !tympan_mul_(bins, 8, &bytes) || bytes > bin_stride || !tympan_mul_(bins, bin_frames, &frames) ||
            frames < capacity || offset < 4096 || offset % 8 != 0 || bin_stride % 8 != 0)
            return tympan_fail_(ring, TYMPAN_MALFORMED, "overview outside of its place");
        info->overview_bins = bins;
        info->overview_bin_frames = bin_frames;
    }
    memcpy(info->session, header + 296, 16);
    info->epoch = tympan_word_(header, 312);
    info->previous_epoch = tympan_word_(header, 320);
    info->sample_rate_hz = (uint32_t)rate;
    info->channels = (uint32_t)channels;
    info->capacity_frames = capacity;
    info->writer_pid = (uint32_t)tympan_word_(header, 336);
    info->writer_start_time = tympan_word_(header, 344);
    info->stride_bytes_ = stride;
    info->data_offset_ = data;
    info->table_offset_ = table;
    info->table_entries_ = entries;
    info->table_entry_bytes_ = entry_bytes;
    info->total_bytes_ = total;
    return TYMPAN_OK;
}

/* Copies samples out in relaxed loads, two at a time where they lie so; `from` is a multiple of 4. */
static inline void tympan_copy_(float *to, const uint8_t *from, size_t count) {
    size_t i = 0;
    if (count > 0 && ((uintptr_t)from & 7) != 0) {
        uint32_t one = TYMPAN_LOAD_(uint32_t, from, relaxed);
        memcpy(to, &one, 4);
        i = 1;
    }
    for (; i + 1 < count; i += 2) {
        uint64_t two = TYMPAN_LOAD_(uint64_t, from + i * 4, relaxed);
        memcpy(to + i, &two, 8);
    }
    if (i < count) {
        uint32_t one = TYMPAN_LOAD_(uint32_t, from + i * 4, relaxed);
        memcpy(to + i, &one, 4);
    }
}

/* ------------------------------------------------------------------------------------------------------- attaching */

/* Lets the ring go. Harmless on one that was never attached, if it is zeroed. */
static inline void tympan_detach(tympan_ring *ring) {
    if (ring->map_ != NULL) munmap((void *)(uintptr_t)ring->map_, (size_t)ring->info.total_bytes_);
    ring->map_ = NULL;
}

/* Attaches to a ring file. On failure nothing is held, and `why` and `error` of the ring say more. */
static inline tympan_status tympan_attach(tympan_ring *ring, const char *path) {
    struct stat meta;
    uint64_t header[512];
    tympan_status status;
    void *map;
    size_t i;
    int fd;
    memset(ring, 0, sizeof *ring);
    /* NOFOLLOW and NONBLOCK: neither a symbolic link nor a FIFO may lead or hold us anywhere. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        ring->error = errno;
        if (errno == ENOENT) return tympan_fail_(ring, TYMPAN_MISSING, "there is no such ring");
        if (errno == ELOOP) return tympan_fail_(ring, TYMPAN_UNTRUSTED, "a symbolic link");
        return tympan_fail_(ring, TYMPAN_IO, "it cannot be opened");
    }
    if (fstat(fd, &meta) != 0) {
        ring->error = errno;
        close(fd);
        return tympan_fail_(ring, TYMPAN_IO, "it cannot be looked at");
    }
    status = TYMPAN_OK;
    if (!S_ISREG(meta.st_mode)) {
        status = tympan_fail_(ring, TYMPAN_UNTRUSTED, "not a regular file");
    } else if (meta.st_uid != geteuid()) {
        status = tympan_fail_(ring, TYMPAN_UNTRUSTED, "it belongs to another user");
    } else if ((meta.st_mode & 077) != 0) {
        status = tympan_fail_(ring, TYMPAN_UNTRUSTED, "it is open to other users");
    } else if (meta.st_size < 4096) {
        status = tympan_fail_(ring, TYMPAN_MALFORMED, "shorter than its header");
    } else if ((uint64_t)meta.st_size > SIZE_MAX) {
        status = tympan_fail_(ring, TYMPAN_IO, "longer than the address space");
    } else if ((uint64_t)meta.st_blocks * 512 < (uint64_t)meta.st_size) {
        /* A hole is filled when it is touched; where there is no room by then, touching it kills the reader. */
        status = tympan_fail_(ring, TYMPAN_UNTRUSTED, "it has holes");
    }
    if (status != TYMPAN_OK) {
        close(fd);
        return status;
    }
    map = mmap(NULL, (size_t)meta.st_size, PROT_READ, MAP_SHARED, fd, 0);
    ring->error = map == MAP_FAILED ? errno : 0;
    close(fd);
    if (map == MAP_FAILED) return tympan_fail_(ring, TYMPAN_IO, "it cannot be mapped");
    ring->map_ = (const uint8_t *)map;
    ring->info.total_bytes_ = (uint64_t)meta.st_size;
    /* One copy is checked and believed: the file may change meanwhile. The version first, as its ready flag. */
    (void)TYMPAN_LOAD_(uint64_t, ring->map_ + 8, acquire);
    for (i = 0; i < 512; i++) header[i] = TYMPAN_LOAD_(uint64_t, ring->map_ + i * 8, relaxed);
    status = tympan_parse_(ring, (const uint8_t *)header, (uint64_t)meta.st_size);
    if (status != TYMPAN_OK) {
        ring->info.total_bytes_ = (uint64_t)meta.st_size;
        tympan_detach(ring);
    }
    return status;
}

/* Attaches to the newest epoch of a stream in a folder. */
static inline tympan_status tympan_attach_stream(tympan_ring *ring, const char *dir, const char *stream) {
    char path[TYMPAN_PATH_BYTES_MAX];
    int length = snprintf(path, sizeof path, "%s/%s.ring", dir, stream);
    if (length < 0 || (size_t)length >= sizeof path) {
        memset(ring, 0, sizeof *ring);
        ring->error = ENAMETOOLONG;
        return tympan_fail_(ring, TYMPAN_IO, "its path is too long");
    }
    return tympan_attach(ring, path);
}

/* Attaches to one epoch of a stream in a folder. */
static inline tympan_status tympan_attach_epoch(tympan_ring *ring, const char *dir, const char *stream,
                                                uint64_t epoch) {
    char path[TYMPAN_PATH_BYTES_MAX];
    int length = snprintf(path, sizeof path, "%s/%s.%llu.ring", dir, stream, (unsigned long long)epoch);
    if (length < 0 || (size_t)length >= sizeof path) {
        memset(ring, 0, sizeof *ring);
        ring->error = ENAMETOOLONG;
        return tympan_fail_(ring, TYMPAN_IO, "its path is too long");
    }
    return tympan_attach(ring, path);
}

/* --------------------------------------------------------------------------------------------------------- reading */

/* One past the newest frame that can be read. */
static inline uint64_t tympan_commit(const tympan_ring *ring) {
    /* Pairs with the writer's release store after the samples. */
    uint64_t commit = TYMPAN_LOAD_(uint64_t, ring->map_ + 40, acquire);
    return commit > ring->info.first_frame ? commit : ring->info.first_frame;
}

static inline uint64_t tympan_oldest_for_(const tympan_ring *ring, uint64_t reserve) {
    uint64_t capacity = ring->info.capacity_frames;
    uint64_t oldest = reserve > capacity ? reserve - capacity : 0;
    if (oldest <= ring->info.first_frame) return ring->info.first_frame;
    return oldest + capacity / 64;
}

/* The oldest frame worth asking for: a little younger than the oldest that is there, so that a reader that begins here
 * is not lapped at once. */
static inline uint64_t tympan_oldest(const tympan_ring *ring) {
    return tympan_oldest_for_(ring, TYMPAN_LOAD_(uint64_t, ring->map_ + 56, relaxed));
}

/* Copies `frames` frames from `position` on to `planar`, as [channels][frames]. TYMPAN_OK, TYMPAN_LOST,
 * TYMPAN_NOT_YET or TYMPAN_BEFORE_FIRST; with these three the contents of `planar` mean nothing, and `span` (which may
 * be NULL) says which frames. Wait-free; makes no system call. */
static inline tympan_status tympan_read(const tympan_ring *ring, uint64_t position, float *planar, size_t frames,
                                        tympan_span *span) {
    const tympan_info *info = &ring->info;
    uint64_t commit, end, safe, reserve;
    tympan_span nowhere;
    size_t channel;
    if (span == NULL) span = &nowhere;
    span->from = position;
    if (position < info->first_frame) {
        span->to = info->first_frame;
        return TYMPAN_BEFORE_FIRST;
    }
    commit = tympan_commit(ring);
    if (!tympan_add_(position, frames, &end) || end > commit) {
        span->to = commit;
        return TYMPAN_NOT_YET;
    }
    span->to = end;
    if (frames == 0) return TYMPAN_OK;
    if (frames <= info->capacity_frames) {
        size_t index = (size_t)(position % info->capacity_frames);
        size_t before_end = (size_t)info->capacity_frames - index, first = frames < before_end ? frames : before_end;
        for (channel = 0; channel < info->channels; channel++) {
            const uint8_t *plane = ring->map_ + info->data_offset_ + channel * info->stride_bytes_;
            tympan_copy_(planar + channel * frames, plane + index * 4, first);
            tympan_copy_(planar + channel * frames + first, plane, frames - first);
        }
    }
    /* Pairs with the writer's release fence: if one of the samples was a newer one, the `reserve` that came before it
     * is seen here. */
    TYMPAN_FENCE_ACQUIRE_();
    reserve = TYMPAN_LOAD_(uint64_t, ring->map_ + 56, relaxed);
    if (frames <= info->capacity_frames && tympan_add_(position, info->capacity_frames, &safe) && reserve <= safe)
        return TYMPAN_OK;
    span->to = tympan_oldest_for_(ring, reserve);
    if (span->to <= position) span->to = position + 1;
    return TYMPAN_LOST;
}

/* Copies the newest `frames` frames out, as tympan_read does; `span` (which may be NULL) says which they are. */
static inline tympan_status tympan_newest(const tympan_ring *ring, float *planar, size_t frames, tympan_span *span) {
    uint64_t commit = tympan_commit(ring);
    if (commit - ring->info.first_frame < frames) {
        if (span != NULL) {
            span->from = ring->info.first_frame;
            span->to = commit;
        }
        return TYMPAN_NOT_YET;
    }
    return tympan_read(ring, commit - frames, planar, frames, span);
}

/* What the header says of its writer: TYMPAN_READY while it lives, TYMPAN_CLOSED or TYMPAN_CRASHED. */
static inline tympan_status tympan_state(const tympan_ring *ring) {
    uint32_t state = TYMPAN_LOAD_(uint32_t, ring->map_ + 68, acquire);
    return state == 1 ? TYMPAN_READY : state == 2 ? TYMPAN_CLOSED : TYMPAN_CRASHED;
}

/* Sleeps (on the ring's futex) until a frame at or after `beyond` can be read, the ring ends, or the time is over.
 * TYMPAN_READY, TYMPAN_CLOSED, TYMPAN_CRASHED or TYMPAN_TIMED_OUT; `commit` (which may be NULL) is one past the newest
 * frame. The writer's death is looked for twice a second, should nobody say it. */
static inline tympan_status tympan_wait(const tympan_ring *ring, uint64_t beyond, uint32_t timeout_ms,
                                        uint64_t *commit) {
    uint64_t deadline = tympan_monotonic_ns_() + (uint64_t)timeout_ms * 1000000u, newest, now, left, same_since = 0;
    uint32_t same = 0;
    tympan_status state;
    for (;;) {
        uint64_t before = tympan_monotonic_ns_();
        /* Pairs with the writer's release change of the word: if nothing is new below, the word is still this one when
         * we go to sleep, or the sleep returns at once. */
        uint32_t word = TYMPAN_LOAD_(uint32_t, ring->map_ + 64, acquire);
        struct timespec sleep;
        int settled = same_since != 0 && same == word && before - same_since >= 100000u;
        state = tympan_state(ring);
        newest = tympan_commit(ring);
        if (commit != NULL) *commit = newest;
        if (newest > beyond) return TYMPAN_READY;
        if (state != TYMPAN_READY) return state;
        now = tympan_monotonic_ns_();
        if (same_since == 0 || same != word) {
            same = word;
            same_since = now;
        }
        left = deadline > now ? deadline - now : 0;
        /* In a burst of writes only the first one wakes: until the word has settled, look again soon (LAYOUT.md). */
        if (!settled && left > 100000u) {
            left = 100000u;
        } else {
            settled = 1;
            if (left > 500000000u) left = 500000000u;
        }
        sleep.tv_sec = 0;
        sleep.tv_nsec = (long)left;
        /* Woken, changed, timed out or interrupted: all mean to look again. */
        (void)syscall(SYS_futex, ring->map_ + 64, FUTEX_WAIT, word, &sleep, NULL, 0);
        if (TYMPAN_LOAD_(uint32_t, ring->map_ + 64, acquire) != word || !settled) continue;
        if (!tympan_writer_lives_(ring)) {
            newest = tympan_commit(ring);
            if (commit != NULL) *commit = newest;
            if (newest > beyond) return TYMPAN_READY;
            return tympan_state(ring) == TYMPAN_CLOSED ? TYMPAN_CLOSED : TYMPAN_CRASHED;
        }
        if (tympan_monotonic_ns_() >= deadline) return TYMPAN_TIMED_OUT;
    }
}

/* ----------------------------------------------------------------------------------------------- gaps and times */

typedef struct {
    uint32_t kind, cause;
    uint64_t from, to, monotonic_ns, wall_ns;
} tympan_entry_;

/* Entry `index` of the table, if it is whole. */
static inline bool tympan_entry_read_(const tympan_ring *ring, uint64_t index, tympan_entry_ *entry) {
    const tympan_info *info = &ring->info;
    const uint8_t *slot = ring->map_ + info->table_offset_ + (index % info->table_entries_) * info->table_entry_bytes_;
    uint64_t whole;
    if (!tympan_mul_(index, 2, &whole) || !tympan_add_(whole, 2, &whole)) return false;
    if (TYMPAN_LOAD_(uint64_t, slot, acquire) != whole) return false;
    entry->kind = TYMPAN_LOAD_(uint32_t, slot + 8, relaxed);
    entry->cause = TYMPAN_LOAD_(uint32_t, slot + 12, relaxed);
    entry->from = TYMPAN_LOAD_(uint64_t, slot + 16, relaxed);
    entry->to = TYMPAN_LOAD_(uint64_t, slot + 24, relaxed);
    entry->monotonic_ns = TYMPAN_LOAD_(uint64_t, slot + 32, relaxed);
    entry->wall_ns = TYMPAN_LOAD_(uint64_t, slot + 40, relaxed);
    TYMPAN_FENCE_ACQUIRE_();
    return TYMPAN_LOAD_(uint64_t, slot, relaxed) == whole;
}

static inline uint64_t tympan_entries_begin_(const tympan_ring *ring, uint64_t *count) {
    *count = TYMPAN_LOAD_(uint64_t, ring->map_ + 128, acquire);
    return *count > ring->info.table_entries_ ? *count - ring->info.table_entries_ : 0;
}

/* The gaps that touch the frames of `span`, oldest first: how many there are; the first `room` of them go to `gaps`. */
static inline size_t tympan_gaps(const tympan_ring *ring, tympan_span span, tympan_gap *gaps, size_t room) {
    uint64_t count, index;
    tympan_entry_ entry;
    size_t found = 0;
    for (index = tympan_entries_begin_(ring, &count); index < count; index++) {
        if (!tympan_entry_read_(ring, index, &entry) || entry.kind != 2 || entry.from >= entry.to) continue;
        if (entry.from >= span.to || entry.to <= span.from) continue;
        if (found < room) {
            gaps[found].from = entry.from;
            gaps[found].to = entry.to;
            gaps[found].cause = entry.cause;
        }
        found++;
    }
    return found;
}

/* Frames of this epoch that were never captured, so far. */
static inline uint64_t tympan_gap_frames(const tympan_ring *ring) {
    return TYMPAN_LOAD_(uint64_t, ring->map_ + 136, relaxed);
}

/* When a frame was committed, in nanoseconds of CLOCK_MONOTONIC, or with `wall` of CLOCK_REALTIME (the time of the
 * day): from the nearest entry of the time table and the rate. False before the first entry. */
static inline bool tympan_time_of(const tympan_ring *ring, uint64_t frame, bool wall, uint64_t *ns) {
    uint64_t count, index, anchor = 0, anchor_ns = 0, best = 0, distance, rate = ring->info.sample_rate_hz;
    tympan_entry_ entry;
    bool found = false;
    for (index = tympan_entries_begin_(ring, &count); index < count; index++) {
        if (!tympan_entry_read_(ring, index, &entry) || entry.kind != 1) continue;
        distance = entry.from > frame ? entry.from - frame : frame - entry.from;
        if (found && distance >= best) continue;
        found = true;
        best = distance;
        anchor = entry.from;
        anchor_ns = wall ? entry.wall_ns : entry.monotonic_ns;
    }
    if (!found || !tympan_mul_(best / rate, 1000000000u, &distance)) return false;
    if (!tympan_add_(distance, best % rate * 1000000000u / rate, &distance)) return false;
    if (frame < anchor) {
        if (distance > anchor_ns) return false;
        *ns = anchor_ns - distance;
        return true;
    }
    return tympan_add_(anchor_ns, distance, ns);
}

/* ------------------------------------------------------------------------------------------------------- following */

/* What came next in a stream. */
typedef enum {
    TYMPAN_FOLLOW_FRAMES,    /* frames of `span`, in the caller's memory as [channels][frames] */
    TYMPAN_FOLLOW_LOST,      /* frames of `span` were overwritten, or removed, before they were read */
    TYMPAN_FOLLOW_NEW_EPOCH, /* a ring was entered (the first one too); `span` is the gap before it, empty for none */
    TYMPAN_FOLLOW_CLOSED,    /* the stream ended in order, at span.to; a later epoch may still follow */
    TYMPAN_FOLLOW_CRASHED,   /* the writer died; the last whole frame lies before span.to */
    TYMPAN_FOLLOW_WAITING    /* nothing came in time */
} tympan_follow;

typedef struct {
    tympan_follow kind;
    tympan_span span;
} tympan_event;

/* A position in a stream, through all its epochs. Begin it with tympan_follow_begin. */
typedef struct {
    const char *dir, *stream; /* the caller's, as long as this lives */
    tympan_ring ring;         /* the ring it is in, if `in_ring` */
    bool in_ring, end_said;
    bool newest_when_lapped; /* set it for meters and pictures: loses more when late, and is on time again */
    uint64_t position;       /* the frame that comes next */
} tympan_follower;

/* Begins at the oldest frame of the stream's newest ring, as soon as there is one. */
static inline void tympan_follow_begin(tympan_follower *follower, const char *dir, const char *stream) {
    memset(follower, 0, sizeof *follower);
    follower->dir = dir;
    follower->stream = stream;
}

static inline void tympan_follow_end(tympan_follower *follower) {
    if (follower->in_ring) tympan_detach(&follower->ring);
    follower->in_ring = false;
}

/* The smallest epoch after this one that has a file; 0 for none. */
static inline uint64_t tympan_epoch_after_(const char *dir, const char *stream, uint64_t after) {
    size_t name_bytes = strlen(stream);
    uint64_t best = 0;
    DIR *folder = opendir(dir);
    struct dirent *entry;
    if (folder == NULL) return 0;
    while ((entry = readdir(folder)) != NULL) {
        const char *at = entry->d_name;
        uint64_t epoch = 0;
        if (strncmp(at, stream, name_bytes) != 0 || at[name_bytes] != '.') continue;
        at += name_bytes + 1;
        if (*at < '0' || *at > '9') continue;
        for (; *at >= '0' && *at <= '9'; at++)
            if (!tympan_mul_(epoch, 10, &epoch) || !tympan_add_(epoch, (uint64_t)(*at - '0'), &epoch)) break;
        if (strcmp(at, ".ring") == 0 && epoch > after && (best == 0 || epoch < best)) best = epoch;
    }
    closedir(folder);
    return best;
}

static inline bool tympan_enter_(tympan_follower *follower, tympan_event *event) {
    tympan_ring next;
    uint64_t from, epoch;
    bool same_session = false;
    if (!follower->in_ring) {
        if (tympan_attach_stream(&next, follower->dir, follower->stream) != TYMPAN_OK) return false;
        from = tympan_oldest(&next);
    } else {
        /* None is passed over while its file is there. */
        epoch = tympan_epoch_after_(follower->dir, follower->stream, follower->ring.info.epoch);
        if (epoch == 0 || tympan_attach_epoch(&next, follower->dir, follower->stream, epoch) != TYMPAN_OK) return false;
        from = next.info.first_frame;
        same_session = memcmp(next.info.session, follower->ring.info.session, 16) == 0;
        if (same_session && next.info.previous_epoch != follower->ring.info.epoch && from > follower->position) {
            /* Whole epochs came and went unread: that is a loss of this reader's, and no gap in the stream. */
            tympan_detach(&next);
            event->kind = TYMPAN_FOLLOW_LOST;
            event->span.from = follower->position;
            event->span.to = follower->position = from;
            return true;
        }
        tympan_detach(&follower->ring);
    }
    event->kind = TYMPAN_FOLLOW_NEW_EPOCH;
    event->span.from = same_session && from > follower->position ? follower->position : from;
    event->span.to = from;
    follower->ring = next;
    follower->in_ring = true;
    follower->end_said = false;
    follower->position = from;
    return true;
}

/* The next thing that happened, waiting up to `timeout_ms` for it. Frames go to `planar` as [channels][frames]: never
 * more than fit into `room` samples (64 are always enough for one frame). Never spins. */
static inline void tympan_follow_next(tympan_follower *follower, float *planar, size_t room, uint32_t timeout_ms,
                                      tympan_event *event) {
    uint64_t deadline = tympan_monotonic_ns_() + (uint64_t)timeout_ms * 1000000u, now, commit, available;
    for (;;) {
        tympan_ring *ring = &follower->ring;
        struct timespec sleep;
        now = tympan_monotonic_ns_();
        if (follower->in_ring) {
            uint32_t left_ms = deadline > now ? (uint32_t)((deadline - now + 999999u) / 1000000u) : 0;
            tympan_status status = tympan_wait(ring, follower->position, left_ms, &commit);
            if (status == TYMPAN_READY) {
                size_t frames = room / ring->info.channels;
                available = commit - follower->position;
                if (available < frames) frames = (size_t)available;
                status = tympan_read(ring, follower->position, planar, frames, &event->span);
                if (status == TYMPAN_OK) {
                    event->kind = TYMPAN_FOLLOW_FRAMES;
                } else if (status == TYMPAN_LOST) {
                    event->kind = TYMPAN_FOLLOW_LOST;
                    commit = tympan_commit(ring);
                    if (follower->newest_when_lapped && commit > event->span.to) event->span.to = commit;
                } else {
                    /* Only a file with impossible counters gets here: go on where it can be read. */
                    event->kind = TYMPAN_FOLLOW_WAITING;
                }
                follower->position = event->span.to;
                return;
            }
            event->span.from = event->span.to = commit;
            if (status == TYMPAN_TIMED_OUT) {
                event->kind = TYMPAN_FOLLOW_WAITING;
                return;
            }
            if (!follower->end_said) {
                follower->end_said = true;
                event->kind = status == TYMPAN_CLOSED ? TYMPAN_FOLLOW_CLOSED : TYMPAN_FOLLOW_CRASHED;
                return;
            }
        }
        if (tympan_enter_(follower, event)) return;
        now = tympan_monotonic_ns_();
        if (now >= deadline) {
            event->kind = TYMPAN_FOLLOW_WAITING;
            event->span.from = event->span.to = follower->position;
            return;
        }
        /* Without a ring it looks for one every 10 ms. */
        sleep.tv_sec = 0;
        sleep.tv_nsec = deadline - now < 10000000u ? (long)(deadline - now) : 10000000L;
        nanosleep(&sleep, NULL);
    }
}

/* The status in words. */
static inline const char *tympan_status_name(tympan_status status) {
    static const char *const names[] = {"ok",   "missing", "io",         "untrusted",    "version",
                                        "feature", "malformed", "lost", "not yet", "before first",
                                        "ready", "closed", "crashed", "timed out"};
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

#ifdef __cplusplus
}
#endif
#endif
