/* SPDX-License-Identifier: Apache-2.0 */
/* Older images of disks in a session: see ahead.h. */
#include "relay/ahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* Each that is read costs two switches of process, and who decodes waits meanwhile. */
#define PIECE_BLOCKS DRV_OLDER_STEP
#define PIECE_BYTES ((size_t)PIECE_BLOCKS * DRV_PAGE_SIZE)
#define KEPT_BYTES (DRV_AHEAD_PIECES * PIECE_BYTES)
#define STACK_SIZE ((size_t)256 << 10)
#define UNKNOWN_DISK (DRV_OLDER_IMAGES + 1) /* of a coder: the target has none of it */

int drv_ahead_init(struct drv_ahead *ahead, enum drv_relay_role role, struct drv_error *err)
{
    ahead->role = role;
    for (unsigned i = 0; i < DRV_OLDER_IMAGES; i++)
        ahead->fd[i] = -1;
    if (pthread_mutex_init(&ahead->lock, NULL) || pthread_mutex_init(&ahead->image_lock, NULL) ||
        pthread_mutex_init(&ahead->kept_lock, NULL) || pthread_cond_init(&ahead->changed, NULL))
        return drv_error_set(err, ENOMEM, "cannot set up locks");
    return 0;
}

uint64_t drv_ahead_memory(const struct drv_ahead *ahead)
{
    if (!ahead->count)
        return 0;
    if (ahead->role == DRV_RELAY_SOURCE)
        return (uint64_t)(DRV_CODERS - 1) * drv_older_memory();
    return KEPT_BYTES + STACK_SIZE;
}

/* ---- the target ---- */

/* With the image's lock. */
static int open_locked(struct drv_ahead *ahead, unsigned image, struct drv_error *err)
{
    if (ahead->open[image])
        return 0;
    ahead->open[image] = true;
    return drv_nbd_read_open(&ahead->image[image], ahead->fd[image], err);
}

/* Questions begin anywhere, so a block is in one of two pieces. Return: NULL: it is not kept. With the lock. */
static const struct drv_ahead_piece *find_locked(const struct drv_ahead *ahead, unsigned image, uint64_t block)
{
    for (unsigned before = 0; before < 2 && block / PIECE_BLOCKS >= before; before++) {
        const struct drv_ahead_piece *piece = &ahead->piece[(block / PIECE_BLOCKS - before) % DRV_AHEAD_PIECES];

        if (piece->blocks && piece->image == image && piece->first <= block && block - piece->first < piece->blocks)
            return piece;
    }
    return NULL;
}

/* What is kept of it, from the beginning. Return: bytes. */
static size_t give_kept(struct drv_ahead *ahead, unsigned image, uint64_t offset, uint8_t *to, size_t size)
{
    size_t given = 0;

    pthread_mutex_lock(&ahead->kept_lock);
    while (given < size) {
        uint64_t block = (offset + given) / DRV_PAGE_SIZE;
        const struct drv_ahead_piece *piece = find_locked(ahead, image, block);
        size_t at, count;

        if (!piece)
            break;
        at = (size_t)(block - piece->first) * DRV_PAGE_SIZE;
        count = piece->blocks * (size_t)DRV_PAGE_SIZE - at;
        if (count > size - given)
            count = size - given;
        memcpy(to + given, ahead->blocks + (size_t)(piece - ahead->piece) * PIECE_BYTES + at, count);
        given += count;
    }
    pthread_mutex_unlock(&ahead->kept_lock);
    return given;
}

/* What a decoder needs of the image that its stream has asked about, whole blocks: drv_decoder_read. */
static int give(void *data, uint64_t offset, uint8_t *to, size_t size, struct drv_error *err)
{
    struct drv_coder *coder = data;
    struct drv_ahead *ahead = coder->ahead;
    unsigned image = atomic_load(&coder->older_image);
    size_t given;
    int rc = 0;

    if (!image)
        return drv_error_set(err, EPROTO, "the other relay refers to an older disk that it has not asked for");
    given = give_kept(ahead, image - 1, offset, to, size);
    if (given < size) {
        pthread_mutex_lock(&ahead->image_lock);
        rc = open_locked(ahead, image - 1, err);
        if (!rc)
            rc = drv_nbd_read_at(&ahead->image[image - 1], offset + given, to + given, size - given, err);
        pthread_mutex_unlock(&ahead->image_lock);
    }
    if (!rc)
        atomic_fetch_add_explicit(&coder->counters.older, size / DRV_PAGE_SIZE, memory_order_relaxed);
    return rc;
}

static void keep(struct drv_ahead *ahead, struct drv_ahead_piece *piece, struct drv_ahead_piece as)
{
    pthread_mutex_lock(&ahead->kept_lock);
    *piece = as;
    pthread_mutex_unlock(&ahead->kept_lock);
}

/* As many digests as can be had. Return: their bytes. */
static size_t digest(struct drv_ahead *ahead, const struct drv_ahead_question *question, uint8_t *digests)
{
    size_t done = 0;

    while (done < DRV_OLDER_STEP && !atomic_load(&ahead->stop)) {
        uint64_t first = question->first + done, offset = first * DRV_PAGE_SIZE;
        struct drv_ahead_piece *piece = &ahead->piece[first / PIECE_BLOCKS % DRV_AHEAD_PIECES];
        uint8_t *blocks = ahead->blocks + (size_t)(piece - ahead->piece) * PIECE_BYTES;
        size_t count = PIECE_BLOCKS;
        struct drv_error err;
        uint64_t size;
        bool say_it;
        int rc;

        keep(ahead, piece, (struct drv_ahead_piece){0});
        pthread_mutex_lock(&ahead->image_lock);
        rc = open_locked(ahead, question->image, &err);
        size = ahead->image[question->image].size_bytes;
        if (!rc && offset >= size)
            count = 0;
        else if (!rc && count > (size - offset) / DRV_PAGE_SIZE)
            count = (size_t)((size - offset) / DRV_PAGE_SIZE);
        if (!rc && count)
            rc = drv_nbd_read_at(&ahead->image[question->image], offset, blocks, count * DRV_PAGE_SIZE, &err);
        say_it = rc && !ahead->failed[question->image] && !atomic_load(&ahead->stop);
        ahead->failed[question->image] |= say_it;
        pthread_mutex_unlock(&ahead->image_lock);
        if (say_it)
            drv_log_warning("some of a disk is sent although there is an older image: %s", err.message);
        if (rc || !count)
            break;
        keep(ahead, piece, (struct drv_ahead_piece){question->image, first, (unsigned)count});
        for (size_t i = 0; i < count; i++, done++)
            if (drv_digester_block(ahead->digester, blocks + i * DRV_PAGE_SIZE, digests + done * DRV_OLDER_DIGEST))
                return done * DRV_OLDER_DIGEST;
    }
    return done * DRV_OLDER_DIGEST;
}

static void *run(void *argument)
{
    static const uint64_t one = 1;
    struct drv_ahead *ahead = argument;
    uint8_t digests[sizeof ahead->answer];

    pthread_mutex_lock(&ahead->lock);
    while (!atomic_load(&ahead->stop)) {
        struct drv_ahead_question question;
        size_t size;

        if (!ahead->questions) {
            pthread_cond_wait(&ahead->changed, &ahead->lock);
            continue;
        }
        question = ahead->question[ahead->oldest];
        ahead->oldest = (ahead->oldest + 1) % DRV_AHEAD_QUESTIONS;
        ahead->questions--;
        pthread_mutex_unlock(&ahead->lock);
        size = digest(ahead, &question, digests);
        pthread_mutex_lock(&ahead->lock);
        while (ahead->answered.stream && !atomic_load(&ahead->stop))
            pthread_cond_wait(&ahead->changed, &ahead->lock);
        ahead->answered = question;
        memcpy(ahead->answer, digests, size);
        ahead->answer_size = size;
        if (write(ahead->wake, &one, sizeof one) < 0)
            continue; /* it is raised already */
    }
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

static int start_target(struct drv_ahead *ahead, struct drv_coding *coding, const uint8_t key[DRV_OLDER_KEY],
                        struct drv_error *err)
{
    pthread_attr_t attributes;
    int rc = drv_digester_new(&ahead->digester, key, err);

    if (rc)
        return rc;
    ahead->blocks = mmap(NULL, KEPT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ahead->blocks == MAP_FAILED) {
        ahead->blocks = NULL;
        return drv_error_set(err, ENOMEM, "no memory to read older disks");
    }
    (void)madvise(ahead->blocks, KEPT_BYTES, MADV_HUGEPAGE);
    for (unsigned i = 1; i < DRV_CODERS; i++)
        drv_decoder_set_older(coding->coder[i].decoder, give, &coding->coder[i]);
    rc = pthread_attr_init(&attributes);
    if (!rc)
        rc = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    if (!rc)
        rc = pthread_create(&ahead->reader, &attributes, run, ahead);
    if (rc)
        return drv_error_set(err, rc, "cannot start a thread: %s", strerror(rc));
    pthread_attr_destroy(&attributes);
    ahead->started = true;
    return 0;
}

int drv_ahead_asked(struct drv_ahead *ahead, struct drv_coder *coder, uint32_t stream, unsigned image, uint64_t offset,
                    struct drv_error *err)
{
    unsigned before = coder ? atomic_load(&coder->older_image) : 0;
    int rc = 0;

    if (ahead->role != DRV_RELAY_TARGET || !coder || !coder->ahead || !image || image > ahead->count ||
        (before && before != image) || offset % DRV_PAGE_SIZE)
        return drv_error_set(err, EPROTO, "the other relay asks for an older disk that it may not");
    atomic_store(&coder->older_image, image);
    pthread_mutex_lock(&ahead->lock);
    if (ahead->questions == DRV_AHEAD_QUESTIONS) {
        rc = drv_error_set(err, EPROTO, "the other relay asks for too much of an older disk");
    } else {
        ahead->question[(ahead->oldest + ahead->questions++) % DRV_AHEAD_QUESTIONS] =
            (struct drv_ahead_question){stream, image - 1, offset / DRV_PAGE_SIZE};
        pthread_cond_broadcast(&ahead->changed);
    }
    pthread_mutex_unlock(&ahead->lock);
    return rc;
}

bool drv_ahead_tell(struct drv_ahead *ahead, struct drv_frame *frame, uint8_t *payload)
{
    bool due;

    if (!ahead->started)
        return false;
    pthread_mutex_lock(&ahead->lock);
    due = ahead->answered.stream != 0;
    if (due) {
        *frame = (struct drv_frame){.type = DRV_FRAME_DIGESTS,
                                    .channel = DRV_CHANNEL_DISK,
                                    .stream = ahead->answered.stream,
                                    .length = (uint32_t)ahead->answer_size,
                                    .offset = ahead->answered.first * DRV_PAGE_SIZE};
        memcpy(payload, ahead->answer, ahead->answer_size);
        ahead->answered.stream = 0;
        pthread_cond_broadcast(&ahead->changed);
    }
    pthread_mutex_unlock(&ahead->lock);
    return due;
}

/* ---- the source ---- */

static int start_source(struct drv_coding *coding, const uint8_t key[DRV_OLDER_KEY], struct drv_error *err)
{
    int rc = 0;

    for (unsigned i = 1; !rc && i < DRV_CODERS; i++)
        rc = drv_older_new(&coding->coder[i].older, key, err);
    return rc;
}

static unsigned image_of(const struct drv_ahead *ahead, const char *disk)
{
    for (unsigned i = 0; i < ahead->count; i++)
        if (!strcmp(ahead->name[i], disk))
            return i + 1;
    return UNKNOWN_DISK;
}

bool drv_ahead_follow(struct drv_ahead *ahead, struct drv_coder *coder)
{
    const char *disk;
    uint64_t reached;
    unsigned image;

    if (!coder->older)
        return false;
    disk = drv_encoder_disk(coder->encoder, &reached);
    image = atomic_load(&coder->older_image);
    if (disk && !image) {
        image = image_of(ahead, disk);
        atomic_store(&coder->older_image, image);
        if (image != UNKNOWN_DISK)
            drv_encoder_set_older(coder->encoder, coder->older);
    }
    return image && image != UNKNOWN_DISK && drv_older_move(coder->older, reached);
}

/* ---- both ---- */

int drv_ahead_start(struct drv_ahead *ahead, struct drv_coding *coding, const uint8_t key[DRV_OLDER_KEY], int wake,
                    struct drv_error *err)
{
    ahead->wake = wake;
    if (!ahead->count || !coding->on)
        return 0;
    for (unsigned i = 1; i < DRV_CODERS; i++)
        coding->coder[i].ahead = ahead;
    return ahead->role == DRV_RELAY_SOURCE ? start_source(coding, key, err) : start_target(ahead, coding, key, err);
}

void drv_ahead_abort(struct drv_ahead *ahead)
{
    for (unsigned i = 0; i < DRV_OLDER_IMAGES; i++)
        if (ahead->fd[i] >= 0)
            (void)shutdown(ahead->fd[i], SHUT_RDWR);
}

void drv_ahead_stop(struct drv_ahead *ahead)
{
    atomic_store(&ahead->stop, true);
    drv_ahead_abort(ahead);
    if (!ahead->started)
        return;
    pthread_mutex_lock(&ahead->lock);
    pthread_cond_broadcast(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
    pthread_join(ahead->reader, NULL);
    ahead->started = false;
}

void drv_ahead_done(struct drv_ahead *ahead, struct drv_coding *coding)
{
    for (unsigned i = 0; i < DRV_OLDER_IMAGES; i++)
        if (ahead->fd[i] >= 0)
            close(ahead->fd[i]);
    for (unsigned i = 0; i < DRV_CODERS; i++)
        drv_older_free(coding->coder[i].older);
    drv_digester_free(ahead->digester);
    if (ahead->blocks)
        munmap(ahead->blocks, KEPT_BYTES);
}
