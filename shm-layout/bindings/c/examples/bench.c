/* What a validated read of 480 frames costs, beside a plain copy of as many bytes.
 *
 *     cc -std=c11 -O2 -I.. bench.c -o bench && ./bench /dev/shm/tympan-$(id -u)/mic.ring */
#include "tympan_ring.h"
#include <stdlib.h>

enum { FRAMES = 480, ROUNDS = 20001, REPEAT = 20 };

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double p50(double *ns) {
    qsort(ns, ROUNDS, sizeof *ns, by_size);
    return ns[ROUNDS / 2] / 1000.0;
}

int main(int argc, char **argv) {
    static float planar[FRAMES * TYMPAN_CHANNELS_MAX];
    static double read_ns[ROUNDS], copy_ns[ROUNDS];
    size_t bytes, refused = 0;
    tympan_ring ring;
    int round, i;
    if (argc != 2 || tympan_attach(&ring, argv[1]) != TYMPAN_OK) {
        fprintf(stderr, "usage: bench RING (which has %d frames)\n", FRAMES);
        return 2;
    }
    bytes = FRAMES * ring.info.channels * sizeof *planar;
    for (round = 0; round < ROUNDS; round++) {
        uint64_t begin = tympan_monotonic_ns_(), middle;
        for (i = 0; i < REPEAT; i++) refused += tympan_newest(&ring, planar, FRAMES, NULL) != TYMPAN_OK;
        middle = tympan_monotonic_ns_();
        for (i = 0; i < REPEAT; i++) {
            memcpy(planar, ring.map_ + ring.info.data_offset_, bytes);
            __asm__ volatile("" : : "r"(planar) : "memory");
        }
        read_ns[round] = (double)(middle - begin) / REPEAT;
        copy_ns[round] = (double)(tympan_monotonic_ns_() - middle) / REPEAT;
    }
    if (refused > ROUNDS) {
        fprintf(stderr, "bench: %zu reads were refused: does the ring have %d frames?\n", refused, FRAMES);
        return 1;
    }
    printf("C: validated read of %d x %u: p50 %.3f us; memcpy of as much: p50 %.3f us\n", FRAMES, ring.info.channels,
           p50(read_ns), p50(copy_ns));
    tympan_detach(&ring);
    return 0;
}
