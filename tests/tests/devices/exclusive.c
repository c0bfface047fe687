/* A PCM for libasound that one program at a time can have, as a card without a mixer: as long as the file `lock` exists it is
 * busy, and then it is `slave`.
 *
 *     pcm_type.exclusive { lib "/path/exclusive.so" }
 *     pcm.desk { type exclusive lock "/path/lock" slave "vmon" }
 */
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

SND_PCM_PLUGIN_DEFINE_FUNC(exclusive)
{
    const char *lock = NULL, *slave = NULL;
    snd_config_iterator_t at, next;
    (void)root;
    snd_config_for_each(at, next, conf) {
        snd_config_t *entry = snd_config_iterator_entry(at);
        const char *id;
        if (snd_config_get_id(entry, &id) < 0)
            continue;
        if (strcmp(id, "lock") == 0)
            snd_config_get_string(entry, &lock);
        else if (strcmp(id, "slave") == 0)
            snd_config_get_string(entry, &slave);
    }
    (void)name;
    if (!lock || !slave)
        return -EINVAL;
    if (access(lock, F_OK) == 0)
        return -EBUSY;
    return snd_pcm_open(pcmp, slave, stream, mode);
}

SND_PCM_PLUGIN_SYMBOL(exclusive);
