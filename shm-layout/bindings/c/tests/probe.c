/* The C reader as the system tests drive it (tests/tests/readers/): every language has this program.
 *
 * probe attach            reads paths from standard input, a line each; answers each with what is there
 * probe follow DIR NAME   prints what happens in a stream, and its samples, until it is closed in order
 * probe hammer PATH MS    attaches and reads again and again while the file changes; prints what came of it */
#include "tympan_ring.h"
#include <inttypes.h>
#include <stdlib.h>

enum { BLOCK_SAMPLES = 1 << 16, SOME = 16, GAPS_MAX = 4096 };

static size_t some_of(const tympan_info *info) {
    return info->capacity_frames < (uint64_t)SOME ? (size_t)info->capacity_frames : (size_t)SOME;
}

static void print_hex(const char *text) {
    if (*text == '\0') putchar('-');
    for (; *text != '\0'; text++) printf("%02x", (unsigned)(unsigned char)*text);
}

static void print_read(const char *name, tympan_status status, tympan_span span, const float *planar, size_t samples) {
    switch (status) {
    case TYMPAN_OK:
        printf(" %s:ok:%08" PRIx32, name, tympan_crc32_(0, (const uint8_t *)planar, samples * 4));
        break;
    case TYMPAN_LOST: printf(" %s:lost:%" PRIu64 ":%" PRIu64, name, span.from, span.to); break;
    case TYMPAN_NOT_YET: printf(" %s:not_yet:%" PRIu64, name, span.to); break;
    default: printf(" %s:before_first:%" PRIu64, name, span.to); break;
    }
}

static void print_gaps(const tympan_ring *ring, tympan_span span, const char *form) {
    static tympan_gap gaps[GAPS_MAX];
    size_t count = tympan_gaps(ring, span, gaps, GAPS_MAX), i;
    for (i = 0; i < count && i < GAPS_MAX; i++) printf(form, gaps[i].from, gaps[i].to, gaps[i].cause);
}

static void print_time(const tympan_ring *ring, const char *name, bool wall) {
    uint64_t ns;
    if (tympan_time_of(ring, tympan_commit(ring), wall, &ns))
        printf(" %s:%" PRIu64, name, ns);
    else
        printf(" %s:-", name);
}

static void look(const tympan_ring *ring) {
    const tympan_info *info = &ring->info;
    size_t frames = some_of(info), i;
    static const char *const states[] = {"live", "closed", "crashed"};
    float planar[SOME * TYMPAN_CHANNELS_MAX];
    tympan_span span = {0, 0}, all = {0, UINT64_MAX};
    tympan_status status;
    printf("ok %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, info->sample_rate_hz,
           info->channels, info->capacity_frames, info->first_frame, info->epoch, info->previous_epoch);
    printf(" %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, info->writer_pid, info->writer_start_time,
           tympan_commit(ring), tympan_oldest(ring), tympan_gap_frames(ring));
    printf(" %s %d ", states[tympan_state(ring) - TYMPAN_READY], (int)info->has_overview);
    for (i = 0; i < 16; i++) printf("%02x", info->session[i]);
    putchar(' ');
    print_hex(info->stream);
    for (i = 0; info->has_labels && i < info->channels; i++) {
        putchar(i == 0 ? ' ' : ',');
        print_hex(info->labels[i]);
    }
    status = tympan_read(ring, tympan_oldest(ring), planar, frames, &span);
    print_read("oldest", status, span, planar, frames * info->channels);
    status = tympan_newest(ring, planar, frames, &span);
    print_read("newest", status, span, planar, frames * info->channels);
    status = tympan_read(ring, info->first_frame, planar, frames, &span);
    print_read("first", status, span, planar, frames * info->channels);
    print_gaps(ring, all, " gap:%" PRIu64 ":%" PRIu64 ":%" PRIu32);
    print_time(ring, "monotonic", false);
    print_time(ring, "wall", true);
    putchar('\n');
}

static int attach(void) {
    static char path[TYMPAN_PATH_BYTES_MAX];
    while (fgets(path, sizeof path, stdin) != NULL) {
        tympan_ring ring;
        tympan_status status;
        path[strcspn(path, "\n")] = '\0';
        status = tympan_attach(&ring, path);
        if (status == TYMPAN_OK)
            look(&ring);
        else
            printf("error %s %s\n", tympan_status_name(status), ring.why);
        fflush(stdout);
        tympan_detach(&ring);
    }
    return 0;
}

static int follow(const char *dir, const char *stream) {
    static float planar[BLOCK_SAMPLES];
    tympan_follower follower;
    tympan_event event;
    tympan_follow_begin(&follower, dir, stream);
    do {
        const tympan_info *info = &follower.ring.info;
        tympan_follow_next(&follower, planar, BLOCK_SAMPLES, 1000, &event);
        switch (event.kind) {
        case TYMPAN_FOLLOW_NEW_EPOCH:
            printf("epoch %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", info->epoch, info->first_frame,
                   event.span.from, event.span.to);
            break;
        case TYMPAN_FOLLOW_FRAMES: {
            uint64_t frames = event.span.to - event.span.from;
            print_gaps(&follower.ring, event.span, "gap %" PRIu64 " %" PRIu64 " %" PRIu32 "\n");
            printf("frames %" PRIu64 " %" PRIu64 " %" PRIu32 "\n", event.span.from, frames, info->channels);
            fwrite(planar, 4, (size_t)frames * info->channels, stdout);
            break;
        }
        case TYMPAN_FOLLOW_LOST: printf("lost %" PRIu64 " %" PRIu64 "\n", event.span.from, event.span.to); break;
        case TYMPAN_FOLLOW_CLOSED: printf("closed %" PRIu64 "\n", event.span.to); break;
        case TYMPAN_FOLLOW_CRASHED: printf("crashed %" PRIu64 "\n", event.span.to); break;
        case TYMPAN_FOLLOW_WAITING: printf("waiting\n"); break;
        }
        /* Nobody listens any more: done. */
        if (fflush(stdout) != 0) return 1;
    } while (event.kind != TYMPAN_FOLLOW_CLOSED);
    tympan_follow_end(&follower);
    return 0;
}

static int hammer(const char *path, uint64_t ms) {
    static float planar[SOME * TYMPAN_CHANNELS_MAX];
    static tympan_gap gaps[4];
    uint64_t end = tympan_monotonic_ns_() + ms * 1000000, attached = 0, refused = 0, good = 0, bad = 0, ns;
    tympan_span all = {0, UINT64_MAX};
    while (tympan_monotonic_ns_() < end) {
        tympan_ring ring;
        int i;
        if (tympan_attach(&ring, path) != TYMPAN_OK) {
            refused++;
            continue;
        }
        attached++;
        for (i = 0; i < 20; i++) {
            size_t frames = some_of(&ring.info);
            *(tympan_newest(&ring, planar, frames, NULL) == TYMPAN_OK ? &good : &bad) += 1;
            *(tympan_read(&ring, tympan_oldest(&ring), planar, frames, NULL) == TYMPAN_OK ? &good : &bad) += 1;
            tympan_gaps(&ring, all, gaps, 4);
            tympan_time_of(&ring, tympan_commit(&ring), false, &ns);
            tympan_wait(&ring, tympan_commit(&ring), 0, NULL);
        }
        tympan_detach(&ring);
    }
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", attached, refused, good, bad);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "attach") == 0) return attach();
    if (argc == 4 && strcmp(argv[1], "follow") == 0) return follow(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "hammer") == 0) return hammer(argv[2], strtoull(argv[3], NULL, 10));
    fprintf(stderr, "usage: probe attach | follow DIR NAME | hammer PATH MS\n");
    return 2;
}
