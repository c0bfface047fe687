/* A level meter in the terminal: a bar, the RMS and the peak of each channel of a stream, ten times a second.
 *
 *     cc -std=c11 -O2 -I.. level-meter.c -lm -o level-meter
 *     ./level-meter /dev/shm/tympan-$(id -u) mic */
#include "tympan_ring.h"
#include <math.h>

enum { WIDTH = 48, ROOM = 192000 / 10 * TYMPAN_CHANNELS_MAX };

/* Bounded, because a sample may be any float. */
static double decibel(double value) { return value > 1e-5 ? fmin(20.0 * log10(value), 99.0) : -100.0; }

/* From -60 dBFS at the left to 0 at the right: `#` up to the RMS, `-` on to the peak. */
static void print_channel(const tympan_info *info, unsigned channel, const float *samples, size_t frames) {
    double squares = 0.0, peak = 0.0, rms_db, peak_db;
    int i, rms_at, peak_at;
    size_t n;
    for (n = 0; n < frames; n++) {
        double value = fabs((double)samples[n]);
        squares += value * value;
        if (value > peak) peak = value;
    }
    rms_db = decibel(sqrt(squares / (double)frames));
    peak_db = decibel(peak);
    rms_at = (int)((rms_db + 60.0) * WIDTH / 60.0);
    peak_at = (int)((peak_db + 60.0) * WIDTH / 60.0);
    if (info->has_labels && info->labels[channel][0] != '\0')
        printf("\033[K%-12.12s ", info->labels[channel]);
    else
        printf("\033[Kchannel %-4u ", channel + 1);
    for (i = 0; i < WIDTH; i++) putchar(i < rms_at ? '#' : i < peak_at ? '-' : ' ');
    printf(" %6.1f dB  peak %6.1f dBFS%s\n", rms_db, peak_db, peak >= 1.0 ? "  CLIPPED" : "");
}

int main(int argc, char **argv) {
    static float planar[ROOM];
    tympan_follower follower;
    tympan_event event;
    if (argc != 3) {
        fprintf(stderr, "usage: level-meter FOLDER STREAM\nAs in: level-meter /dev/shm/tympan-%u mic\n",
                (unsigned)geteuid());
        return 2;
    }
    tympan_follow_begin(&follower, argv[1], argv[2]);
    follower.newest_when_lapped = true;
    for (;;) {
        const tympan_info *info = &follower.ring.info;
        uint32_t block;
        unsigned channel;
        if (follower.in_ring) {
            /* A tenth of a second, and the newest one: what is older, nobody wants to see. */
            block = info->sample_rate_hz / 10 > 0 ? info->sample_rate_hz / 10 : 1;
            if (tympan_commit(&follower.ring) > follower.position + block)
                follower.position = tympan_commit(&follower.ring) - block;
            tympan_wait(&follower.ring, follower.position + block - 1, 1000, NULL);
        }
        tympan_follow_next(&follower, planar, ROOM, 1000, &event);
        switch (event.kind) {
        case TYMPAN_FOLLOW_NEW_EPOCH:
            fprintf(stderr, "%s: %u Hz, %u channels\n", info->stream, (unsigned)info->sample_rate_hz,
                    (unsigned)info->channels);
            break;
        case TYMPAN_FOLLOW_FRAMES: {
            size_t frames = (size_t)(event.span.to - event.span.from);
            for (channel = 0; channel < info->channels; channel++)
                print_channel(info, channel, planar + channel * frames, frames);
            printf("\033[%uA", (unsigned)info->channels);
            break;
        }
        case TYMPAN_FOLLOW_CLOSED: fprintf(stderr, "\n%s ended\n", argv[2]); return 0;
        case TYMPAN_FOLLOW_CRASHED: fprintf(stderr, "\nits writer died; waiting for the next one\n"); break;
        case TYMPAN_FOLLOW_LOST:
        case TYMPAN_FOLLOW_WAITING: break;
        }
        if (fflush(stdout) != 0) return 0;
    }
}
