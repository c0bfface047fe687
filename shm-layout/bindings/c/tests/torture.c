/* A reader to be stopped and killed (tests/tests/torture/): follows the torture ring through its epochs until it is closed,
 * looks at every sample, and counts. Prints one JSON object at its end. Every language has this program.
 *
 * torture FOLDER [--trust]: with --trust it copies what lies where LAYOUT.md says, always near the place of writing, and
 * never asks whether it was overwritten meanwhile, for two seconds. That it finds wrong samples then shows that the others
 * can. */
#include "tympan_ring.h"
#include <inttypes.h>

enum { FRAMES_MAX = 8192 };
static float planar[FRAMES_MAX * TYMPAN_CHANNELS_MAX];

/* How many samples are not what the writer wrote there: tests/src/ramp.rs has the same rule. */
static uint64_t wrong_samples(size_t channels, uint64_t from, size_t frames) {
    uint64_t wrong = 0;
    size_t channel, i;
    for (channel = 0; channel < channels; channel++) {
        const float *samples = planar + channel * frames;
        uint32_t beside = (uint32_t)channel * 1000003u;
        for (i = 0; i < frames; i++)
            wrong += samples[i] != (float)(int32_t)((((uint32_t)from + (uint32_t)i) * 7u + beside) & 0xffffffu);
    }
    return wrong;
}

static int follow(const char *folder) {
    uint64_t begin = 0, read = 0, lost = 0, gaps = 0, wrong = 0, words = 0, epochs = 0, crashes = 0;
    tympan_follower follower;
    tympan_event event;
    tympan_follow_begin(&follower, folder, "torture");
    do {
        uint64_t frames;
        tympan_follow_next(&follower, planar, sizeof planar / sizeof *planar, 1000, &event);
        frames = event.span.to - event.span.from;
        switch (event.kind) {
        case TYMPAN_FOLLOW_NEW_EPOCH:
            if (epochs++ == 0) begin = follower.position;
            gaps += frames;
            break;
        case TYMPAN_FOLLOW_FRAMES:
            wrong += wrong_samples(follower.ring.info.channels, event.span.from, (size_t)frames);
            read += frames;
            words += frames * follower.ring.info.channels;
            break;
        case TYMPAN_FOLLOW_LOST: lost += frames; break;
        case TYMPAN_FOLLOW_CRASHED: crashes++; break;
        default: break;
        }
    } while (event.kind != TYMPAN_FOLLOW_CLOSED);
    tympan_follow_end(&follower);
    printf("{\"begin\": %" PRIu64 ", \"end\": %" PRIu64 ", \"read\": %" PRIu64 ", \"lost\": %" PRIu64, begin,
           event.span.to, read, lost);
    printf(", \"gaps\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"words\": %" PRIu64, gaps, wrong, words);
    printf(", \"epochs\": %" PRIu64 ", \"crashes\": %" PRIu64 "}\n", epochs, crashes);
    return 0;
}

static uint64_t word_at(const uint8_t *ring, size_t at) {
    uint64_t word;
    memcpy(&word, ring + at, sizeof word);
    return word;
}

static int trust(const char *folder) {
    uint64_t end = tympan_monotonic_ns_() + 2000000000u, wrong = 0, looks = 0;
    char path[TYMPAN_PATH_BYTES_MAX];
    struct stat meta;
    const uint8_t *ring;
    void *map;
    int fd;
    snprintf(path, sizeof path, "%s/torture.ring", folder);
    fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &meta) != 0) return 1;
    map = mmap(NULL, (size_t)meta.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED) return 1;
    ring = (const uint8_t *)map;
    while (tympan_monotonic_ns_() < end) {
        uint64_t capacity = word_at(ring, 32), commit = word_at(ring, 40);
        uint64_t first = word_at(ring, 328), oldest = commit > first + capacity ? commit - capacity : first;
        size_t channels = (size_t)word_at(ring, 24), channel, i;
        for (channel = 0; channel < channels; channel++) {
            const uint8_t *plane = ring + word_at(ring, 360) + channel * word_at(ring, 352);
            for (i = 0; i < FRAMES_MAX; i++)
                memcpy(planar + channel * FRAMES_MAX + i, plane + (oldest + i) % capacity * 4, 4);
        }
        wrong += wrong_samples(channels, oldest, FRAMES_MAX);
        looks++;
    }
    printf("{\"wrong\": %" PRIu64 ", \"looks\": %" PRIu64 "}\n", wrong, looks);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2) return follow(argv[1]);
    if (argc == 3 && strcmp(argv[2], "--trust") == 0) return trust(argv[1]);
    fprintf(stderr, "usage: torture FOLDER [--trust]\n");
    return 2;
}
