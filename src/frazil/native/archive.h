/* A file tree as an archive in memory, hashed; and back into files. Neither touches Python, so other threads go on.
 *
 * Source of truth: the manual's protocols/nix-archive. What is unpacked here was packed here: what comes from elsewhere
 * is hostile and goes through store/nar.py. */
#ifndef FRAZIL_ARCHIVE_H
#define FRAZIL_ARCHIVE_H

#include <stdio.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "folders.h"
#include "sha256.h"

enum {
    ARCHIVE_DEPTH = 64,       /* MAXIMUM_DEPTH of store/nar.py */
    ARCHIVE_PIECE = 1 << 16,  /* hashed while it is still in the processor's cache */
    ARCHIVE_STREAM = 1 << 18, /* what is read of a large file at once, where the archive is not kept */
};

typedef enum {
    FAILED_SYSTEM = 1,
    FAILED_DEPTH,
    FAILED_TYPE,
    FAILED_CHANGED,
    FAILED_SHORTER,
    FAILED_MEMORY,
    FAILED_OUTPUT, /* of whoever takes it */
} Failure;

typedef struct Archiving Archiving;
struct Archiving {
    int (*emit)(Archiving *, const uint8_t *, size_t); /* where it goes, if it is neither hashed nor kept; 0, or -1 */
    int (*interrupted)(Archiving *); /* asked while it waits for whoever takes it */
    void *taker;
    int descriptor; /* where it goes without coming through here, or -1 */
    Bytes out;
    size_t hashed;  /* how much of `out` is in the hash */
    size_t limit;   /* an archive of more bytes is not kept */
    int kept;       /* whether `out` is all of it */
    uint64_t total;
    Sha256 hash;
    Bytes path;     /* of what is being read, for messages */
    Failure failure;
    int error;      /* errno of FAILED_SYSTEM and FAILED_OUTPUT */
};

/* Strings of the format: their length in 8 bytes, lowest first, themselves, zeros up to a multiple of 8. */
#define NAR_1 "\1\0\0\0\0\0\0\0"
#define NAR_4 "\4\0\0\0\0\0\0\0"
#define NAR_OPEN NAR_1 "(\0\0\0\0\0\0\0"
#define NAR_CLOSE NAR_1 ")\0\0\0\0\0\0\0"
#define NAR_TYPE NAR_OPEN NAR_4 "type\0\0\0\0"
#define NAR_HEAD "\15\0\0\0\0\0\0\0nix-archive-1\0\0\0"
#define NAR_CONTENTS "\10\0\0\0\0\0\0\0contents"
#define NAR_REGULAR NAR_TYPE "\7\0\0\0\0\0\0\0regular\0" NAR_CONTENTS
#define NAR_EXECUTABLE \
    NAR_TYPE "\7\0\0\0\0\0\0\0regular\0" "\12\0\0\0\0\0\0\0executable\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" NAR_CONTENTS
#define NAR_DIRECTORY NAR_TYPE "\11\0\0\0\0\0\0\0directory\0\0\0\0\0\0\0"
#define NAR_SYMLINK NAR_TYPE "\7\0\0\0\0\0\0\0symlink\0" "\6\0\0\0\0\0\0\0target\0\0"
#define NAR_ENTRY "\5\0\0\0\0\0\0\0entry\0\0\0" NAR_OPEN NAR_4 "name\0\0\0\0"
#define NAR_NODE NAR_4 "node\0\0\0\0"
#define SIZE_OF(text) (sizeof(text) - 1)

static size_t padding(uint64_t size) {
    return (size_t)(-size & 7);
}

static void put_number(uint8_t *at, uint64_t number) {
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(number >> 8 * i);
}

static uint64_t get_number(const uint8_t *at) {
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number |= (uint64_t)at[i] << 8 * i;
    return number;
}

static int failed(Archiving *a, Failure failure) {
    a->failure = failure;
    a->error = errno;
    return -1;
}

/* Hands on what came since; or hashes it, and gives up keeping it where it is too much. */
static int settle(Archiving *a) {
    if (a->emit != NULL) {
        size_t size = a->out.size;
        a->total += size;
        a->out.size = 0;
        return size && a->emit(a, a->out.data, size) ? failed(a, FAILED_OUTPUT) : 0;
    }
    sha256_add(&a->hash, a->out.data + a->hashed, a->out.size - a->hashed);
    a->total += a->out.size - a->hashed;
    a->hashed = a->out.size;
    if (a->total > a->limit)
        a->kept = 0;
    if (!a->kept)
        a->out.size = a->hashed = 0;
    return 0;
}

/* How much is gathered: pieces to hash stay in the processor's cache, pieces for others are few. */
static int is_due(const Archiving *a) {
    return a->out.size - a->hashed >= (a->emit != NULL ? (size_t)ARCHIVE_STREAM : (size_t)ARCHIVE_PIECE);
}

static int put(Archiving *a, const void *data, size_t size) {
    if (bytes_add(&a->out, data, size))
        return failed(a, FAILED_MEMORY);
    return is_due(a) ? settle(a) : 0;
}

static int put_string(Archiving *a, const void *data, size_t size) {
    static const uint8_t zeros[8];
    uint8_t length[8];
    put_number(length, size);
    return put(a, length, 8) || put(a, data, size) || put(a, zeros, padding(size)) ? -1 : 0;
}

/* From file to file, without a look at it. 1: that cannot be done here. */
static int pass_contents(Archiving *a, int descriptor, uint64_t *left) {
    if (settle(a))
        return -1;
    while (*left) {
        size_t part = *left < (1u << 30) ? (size_t)*left : 1u << 30;
        ssize_t got = sendfile(a->descriptor, descriptor, NULL, part);
        int error = errno;
        if ((got < 0 ? error == EINTR : (size_t)got < part) && a->interrupted(a))
            return failed(a, FAILED_OUTPUT);
        errno = error;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EINVAL || errno == ENOSYS || errno == EAGAIN || errno == EOVERFLOW))
            return 1;
        if (got < 0)
            return failed(a, FAILED_OUTPUT);
        if (got == 0)
            return failed(a, FAILED_SHORTER);
        a->total += (uint64_t)got;
        *left -= (uint64_t)got;
    }
    return 0;
}

static int put_contents(Archiving *a, int descriptor, uint64_t left) {
    if (a->descriptor >= 0 && left >= ARCHIVE_PIECE) {
        int result = pass_contents(a, descriptor, &left);
        if (result <= 0)
            return result;
    }
    while (left) {
        size_t part = left < ARCHIVE_STREAM ? (size_t)left : ARCHIVE_STREAM;
        if (bytes_reserve(&a->out, part))
            return failed(a, FAILED_MEMORY);
        ssize_t got = read(descriptor, a->out.data + a->out.size, part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(a, FAILED_SYSTEM);
        if (got == 0)
            return failed(a, FAILED_SHORTER);
        a->out.size += (size_t)got;
        left -= (uint64_t)got;
        if (is_due(a) && settle(a))
            return -1;
    }
    return 0;
}

static int put_regular(Archiving *a, int folder, const char *name) {
    static const uint8_t zeros[8];
    int descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK), result = -1;
    struct stat status;
    uint8_t length[8];
    if (descriptor < 0)
        return failed(a, errno == ELOOP ? FAILED_CHANGED : FAILED_SYSTEM);
    if (fstat(descriptor, &status)) {
        failed(a, FAILED_SYSTEM);
    } else if (!S_ISREG(status.st_mode)) {
        failed(a, FAILED_CHANGED);
    } else {
        uint64_t size = (uint64_t)status.st_size;
        put_number(length, size);
        int head = status.st_mode & 0100 ? put(a, NAR_EXECUTABLE, SIZE_OF(NAR_EXECUTABLE))
                                         : put(a, NAR_REGULAR, SIZE_OF(NAR_REGULAR));
        if (!head && !put(a, length, 8) && !put_contents(a, descriptor, size) && !put(a, zeros, padding(size)))
            result = put(a, NAR_CLOSE, SIZE_OF(NAR_CLOSE));
    }
    close(descriptor);
    return result;
}

static int put_link(Archiving *a, int folder, const char *name) {
    char target[4096];
    ssize_t size = readlinkat(folder, name, target, sizeof target);
    if (size < 0)
        return failed(a, FAILED_SYSTEM);
    if (put(a, NAR_SYMLINK, SIZE_OF(NAR_SYMLINK)) || put_string(a, target, (size_t)size))
        return -1;
    return put(a, NAR_CLOSE, SIZE_OF(NAR_CLOSE));
}

static int put_node(Archiving *a, int folder, const char *name, mode_t kind, int depth);

static int put_entries(Archiving *a, DIR *stream, int depth) {
    Listing listing = {0};
    size_t outer = a->path.size;
    int result = -1;
    if (list(&listing, stream)) {
        failed(a, FAILED_SYSTEM);
        goto end;
    }
    if (listing.count)
        qsort_r(listing.found, listing.count, sizeof *listing.found, by_name, listing.names.data);
    for (size_t i = 0; i < listing.count; i++) {
        const char *name = (const char *)listing.names.data + listing.found[i].at;
        size_t length = strlen(name);
        a->path.size = outer;
        if (bytes_add(&a->path, "/", 1) || bytes_add(&a->path, name, length)) {
            failed(a, FAILED_MEMORY);
            goto end;
        }
        if (put(a, NAR_ENTRY, SIZE_OF(NAR_ENTRY)) || put_string(a, name, length) ||
            put(a, NAR_NODE, SIZE_OF(NAR_NODE)) || put_node(a, dirfd(stream), name, listing.found[i].kind, depth + 1) ||
            put(a, NAR_CLOSE, SIZE_OF(NAR_CLOSE)))
            goto end;
    }
    a->path.size = outer;
    result = put(a, NAR_CLOSE, SIZE_OF(NAR_CLOSE));
end:
    forget(&listing);
    return result;
}

static int put_node(Archiving *a, int folder, const char *name, mode_t kind, int depth) {
    if (depth >= ARCHIVE_DEPTH)
        return failed(a, FAILED_DEPTH);
    if (kind == S_IFREG)
        return put_regular(a, folder, name);
    if (kind == S_IFLNK)
        return put_link(a, folder, name);
    if (kind != S_IFDIR)
        return failed(a, FAILED_TYPE);
    DIR *stream = open_folder(folder, name);
    if (stream == NULL)
        return failed(a, errno == ELOOP ? FAILED_CHANGED : FAILED_SYSTEM);
    int result = put(a, NAR_DIRECTORY, SIZE_OF(NAR_DIRECTORY)) ? -1 : put_entries(a, stream, depth);
    closedir(stream);
    return result;
}

/* 0, or -1 with `failure`, `error` and `path` set. Afterwards `out` is the archive if `kept`, and the caller's. */
static int make_archive(Archiving *a, const char *path, uint8_t digest[SHA256_DIGEST]) {
    struct stat status;
    sha256_begin(&a->hash);
    if (bytes_add(&a->path, path, strlen(path)))
        return failed(a, FAILED_MEMORY);
    if (lstat(path, &status))
        return failed(a, FAILED_SYSTEM);
    if (put(a, NAR_HEAD, SIZE_OF(NAR_HEAD)) || put_node(a, AT_FDCWD, path, status.st_mode & S_IFMT, 0))
        return -1;
    if (settle(a))
        return -1;
    sha256_end(&a->hash, digest);
    return 0;
}

/* The hash of the archive of one plain file. */
static void hash_plain_file(const uint8_t *data, size_t size, uint8_t digest[SHA256_DIGEST]) {
    static const uint8_t zeros[8];
    uint8_t length[8];
    Sha256 hash;
    sha256_begin(&hash);
    put_number(length, size);
    sha256_add(&hash, NAR_HEAD NAR_REGULAR, SIZE_OF(NAR_HEAD NAR_REGULAR));
    sha256_add(&hash, length, 8);
    sha256_add(&hash, data, size);
    sha256_add(&hash, zeros, padding(size));
    sha256_add(&hash, NAR_CLOSE, SIZE_OF(NAR_CLOSE));
    sha256_end(&hash, digest);
}

/* -- back into files, as the store keeps them: read-only, of second 1 of the epoch -------------------------------- */

static int mark_time(int descriptor) {
    const struct timespec times[2] = {{0, UTIME_NOW}, {1, 0}};
    return futimens(descriptor, times);
}

/* `exact`: whether new files get the mode that is asked for, whatever the umask; -1: not seen yet. */
static int write_plain_file(
    int folder, const char *name, const uint8_t *data, size_t size, mode_t mode, int *exact
) {
    struct stat status;
    int descriptor = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode), result = 0;
    if (descriptor < 0)
        return -1;
    while (size && !result) {
        ssize_t written = write(descriptor, data, size);
        if (written >= 0) {
            data += written;
            size -= (size_t)written;
        } else if (errno != EINTR) {
            result = -1;
        }
    }
    if (!result && *exact < 0 && (result = fstat(descriptor, &status)) == 0)
        *exact = (status.st_mode & 07777) == mode;
    if (result || (!*exact && fchmod(descriptor, mode)) || mark_time(descriptor))
        result = -1;
    if (close(descriptor))
        result = -1;
    return result;
}

static int starts(const uint8_t *at, const uint8_t *end, const char *text, size_t size) {
    return (size_t)(end - at) >= size && memcmp(at, text, size) == 0;
}

/* A string without zeros, for the kernel; the format has none after it where its length is a multiple of 8. */
static char *take_string(const uint8_t **at) {
    uint64_t size = get_number(*at);
    char *text = malloc((size_t)size + 1);
    if (text == NULL)
        return NULL;
    memcpy(text, *at + 8, (size_t)size);
    text[size] = 0;
    *at += 8 + size + padding(size);
    return text;
}

static int
unpack_node(const uint8_t **at, const uint8_t *end, int folder, const char *name, int is_root, int *exact);

static int
unpack_folder(const uint8_t **at, const uint8_t *end, int folder, const char *name, int is_root, int *exact) {
    int result = -1;
    if (mkdirat(folder, name, 0755))
        return -1;
    int own = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (own < 0)
        return -1;
    while (starts(*at, end, NAR_ENTRY, SIZE_OF(NAR_ENTRY))) {
        *at += SIZE_OF(NAR_ENTRY);
        char *inner = take_string(at);
        if (inner == NULL)
            goto close;
        *at += SIZE_OF(NAR_NODE);
        int done = unpack_node(at, end, own, inner, 0, exact);
        free(inner);
        if (done)
            goto close;
        *at += SIZE_OF(NAR_CLOSE);
    }
    *at += SIZE_OF(NAR_CLOSE);
    /* The root is renamed later, for which it must be writable; see place(). */
    if (fchmod(own, is_root ? 0755 : 0555) == 0 && (is_root || mark_time(own) == 0))
        result = 0;
close:
    close(own);
    return result;
}

static int unpack_link(const uint8_t **at, int folder, const char *name) {
    const struct timespec times[2] = {{0, UTIME_NOW}, {1, 0}};
    char *target = take_string(at);
    if (target == NULL)
        return -1;
    int result = symlinkat(target, folder, name);
    free(target);
    *at += SIZE_OF(NAR_CLOSE);
    return result ? -1 : utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW);
}

static int
unpack_node(const uint8_t **at, const uint8_t *end, int folder, const char *name, int is_root, int *exact) {
    int executable = starts(*at, end, NAR_EXECUTABLE, SIZE_OF(NAR_EXECUTABLE));
    if (executable || starts(*at, end, NAR_REGULAR, SIZE_OF(NAR_REGULAR))) {
        *at += executable ? SIZE_OF(NAR_EXECUTABLE) : SIZE_OF(NAR_REGULAR);
        uint64_t size = get_number(*at);
        const uint8_t *data = *at + 8;
        *at = data + size + padding(size) + SIZE_OF(NAR_CLOSE);
        return write_plain_file(folder, name, data, (size_t)size, executable ? 0555 : 0444, exact);
    }
    if (starts(*at, end, NAR_DIRECTORY, SIZE_OF(NAR_DIRECTORY))) {
        *at += SIZE_OF(NAR_DIRECTORY);
        return unpack_folder(at, end, folder, name, is_root, exact);
    }
    *at += SIZE_OF(NAR_SYMLINK);
    return unpack_link(at, folder, name);
}

static int unpack_archive(const uint8_t *data, size_t size, int folder, const char *name, int *exact) {
    const uint8_t *at = data + SIZE_OF(NAR_HEAD);
    return unpack_node(&at, data + size, folder, name, 1, exact);
}

static int archive_is_folder(const uint8_t *data, size_t size) {
    return starts(data + SIZE_OF(NAR_HEAD), data + size, NAR_DIRECTORY, SIZE_OF(NAR_DIRECTORY));
}

#endif
