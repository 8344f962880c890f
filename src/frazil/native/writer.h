/* A thread that writes store objects into a working folder while evaluation goes on, and never needs Python.
 *
 * What it wrote lies there under its number until `place` renames it. All that can fail (a full disk, a folder deleted
 * by a collector) leaves an object unwritten, and whoever asks writes it the ordinary way, which says what is wrong. */
#ifndef FRAZIL_WRITER_H
#define FRAZIL_WRITER_H

#include <pthread.h>
#include <signal.h>

#include "archive.h"

enum {
    WRITER_WAKES = 8,         /* objects that are worth waking the thread for */
    WRITER_HOLDS = 64 << 20,  /* bytes of archives that may wait to be written */
};

typedef struct {
    uint8_t *data;  /* an archive, ours; or a file's contents, somebody else's */
    size_t size;
    int is_archive, is_folder, written;
    uint8_t digest[SHA256_DIGEST]; /* of a file's archive, when it is written */
    char name[16];
} Job;

typedef struct {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t news, quiet; /* there is something to do; there is nothing left */
    int running, idle, stop;
    pid_t process;
    int folder;
    int exact;  /* see write_plain_file; the thread's */
    Job **jobs; /* under the mutex, as all that follows */
    size_t count, capacity, next;
    size_t held;
} Writing;

static void write_job(Writing *writing, Job *job) {
    if (job->is_archive) {
        job->is_folder = archive_is_folder(job->data, job->size);
        job->written = unpack_archive(job->data, job->size, writing->folder, job->name, &writing->exact) == 0;
        free(job->data);
    } else {
        job->written = write_plain_file(writing->folder, job->name, job->data, job->size, 0444, &writing->exact) == 0;
        hash_plain_file(job->data, job->size, job->digest);
    }
}

static void *write_jobs(void *argument) {
    Writing *writing = argument;
    pthread_mutex_lock(&writing->mutex);
    while (!writing->stop) {
        if (writing->next == writing->count) {
            writing->idle = 1;
            pthread_cond_broadcast(&writing->quiet);
            pthread_cond_wait(&writing->news, &writing->mutex);
            writing->idle = 0;
            continue;
        }
        Job *job = writing->jobs[writing->next++];
        pthread_mutex_unlock(&writing->mutex);
        write_job(writing, job);
        pthread_mutex_lock(&writing->mutex);
        if (job->is_archive) {
            job->data = NULL;
            writing->held -= job->size;
        }
    }
    writing->idle = 1; /* what was done before is done */
    pthread_mutex_unlock(&writing->mutex);
    return NULL;
}

/* Signals are for the main thread. */
static int start_writing(Writing *writing) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&writing->thread, NULL, write_jobs, writing);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    writing->running = error == 0;
    return error;
}

/* The number of the job, or -1 where there is no memory for it. */
static Py_ssize_t give_job(Writing *writing, uint8_t *data, size_t size, int is_archive) {
    Job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return -1;
    job->data = data;
    job->size = size;
    job->is_archive = is_archive;
    pthread_mutex_lock(&writing->mutex);
    if (writing->count == writing->capacity) {
        size_t wanted = writing->capacity ? 2 * writing->capacity : 256;
        Job **jobs = realloc(writing->jobs, wanted * sizeof *jobs);
        if (jobs == NULL) {
            pthread_mutex_unlock(&writing->mutex);
            free(job);
            return -1;
        }
        writing->jobs = jobs;
        writing->capacity = wanted;
    }
    size_t number = writing->count;
    snprintf(job->name, sizeof job->name, "%zu", number);
    writing->jobs[writing->count++] = job;
    if (is_archive)
        writing->held += size;
    if (writing->idle && (is_archive || writing->count - writing->next >= WRITER_WAKES))
        pthread_cond_signal(&writing->news);
    pthread_mutex_unlock(&writing->mutex);
    return (Py_ssize_t)number;
}

/* Waits a while. Whether all is written. */
static int wait_for_quiet(Writing *writing, long nanoseconds) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += nanoseconds;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&writing->mutex);
    int error = 0;
    while (!(writing->idle && writing->next == writing->count) && error == 0) {
        pthread_cond_signal(&writing->news);
        error = pthread_cond_timedwait(&writing->quiet, &writing->mutex, &until);
    }
    int quiet = writing->idle && writing->next == writing->count;
    pthread_mutex_unlock(&writing->mutex);
    return quiet;
}

/* Ends the thread after the object it is at. In a forked process there is no thread. */
static void stop_writing(Writing *writing) {
    if (!writing->running || writing->process != getpid())
        return;
    pthread_mutex_lock(&writing->mutex);
    writing->stop = 1;
    pthread_cond_signal(&writing->news);
    pthread_mutex_unlock(&writing->mutex);
    pthread_join(writing->thread, NULL);
    writing->running = 0;
}

/* Renames what job `number` wrote. 0, or -1 with errno. */
static int place(const Writing *writing, const Job *job, const char *path) {
    const struct timespec times[2] = {{0, UTIME_NOW}, {1, 0}};
    if (renameat(writing->folder, job->name, AT_FDCWD, path))
        return -1;
    if (!job->is_folder)
        return 0;
    return chmod(path, 0555) || utimensat(AT_FDCWD, path, times, 0) ? -1 : 0;
}

#endif
