/* Bytes that grow, and what a folder holds, by name. */
#ifndef FRAZIL_FOLDERS_H
#define FRAZIL_FOLDERS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    uint8_t *data;
    size_t size, capacity;
} Bytes;

static int bytes_reserve(Bytes *bytes, size_t more) {
    if (bytes->capacity - bytes->size >= more)
        return 0;
    size_t wanted = bytes->size + more, doubled = bytes->capacity * 2;
    if (wanted < more)
        return -1;
    if (wanted < doubled)
        wanted = doubled;
    uint8_t *data = realloc(bytes->data, wanted);
    if (data == NULL)
        return -1;
    bytes->data = data;
    bytes->capacity = wanted;
    return 0;
}

static int bytes_add(Bytes *bytes, const void *data, size_t size) {
    if (!size)
        return 0; /* there may be nothing to copy from, or to */
    if (bytes_reserve(bytes, size))
        return -1;
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return 0;
}

typedef struct {
    size_t at; /* where the name begins among all names */
    mode_t kind;
} Found;

typedef struct {
    Bytes names;
    Found *found;
    size_t count, capacity;
} Listing;

static mode_t kind_of(int folder, const struct dirent *entry) {
    struct stat status;
    switch (entry->d_type) {
    case DT_REG:
        return S_IFREG;
    case DT_DIR:
        return S_IFDIR;
    case DT_LNK:
        return S_IFLNK;
    case DT_UNKNOWN:
        return fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) ? 0 : status.st_mode & S_IFMT;
    default:
        return S_IFIFO;
    }
}

static int list(Listing *listing, DIR *stream) {
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        if (entry == NULL)
            return errno ? -1 : 0;
        const char *name = entry->d_name;
        if (name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0)))
            continue;
        if (listing->count == listing->capacity) {
            size_t wanted = listing->capacity ? 2 * listing->capacity : 32;
            Found *found = realloc(listing->found, wanted * sizeof *found);
            if (found == NULL)
                return -1;
            listing->found = found;
            listing->capacity = wanted;
        }
        listing->found[listing->count].at = listing->names.size;
        listing->found[listing->count++].kind = kind_of(dirfd(stream), entry);
        if (bytes_add(&listing->names, name, strlen(name) + 1))
            return -1;
    }
}

static int by_name(const void *one, const void *other, void *names) {
    return strcmp((char *)names + ((const Found *)one)->at, (char *)names + ((const Found *)other)->at);
}

static void forget(Listing *listing) {
    free(listing->names.data);
    free(listing->found);
}

static DIR *open_folder(int folder, const char *name) {
    int descriptor = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    DIR *stream = descriptor < 0 ? NULL : fdopendir(descriptor);
    if (descriptor >= 0 && stream == NULL)
        close(descriptor);
    return stream;
}

#endif
