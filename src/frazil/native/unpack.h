/* An archive that comes in pieces, from anywhere, into files as the store keeps them; hashed on the way.
 *
 * Everything is checked before it is believed: lengths before anything is kept, names, their order, nesting, padding.
 * Files are made exclusively, below open folders, so no link is ever followed. Nothing here touches Python, so other
 * threads go on. Source of truth: the manual's protocols/nix-archive; its twin for all other purposes is store/nar.py. */
#ifndef FRAZIL_UNPACK_H
#define FRAZIL_UNPACK_H

#include "archive.h"

enum {
    UNPACK_TAG = 32,      /* _MAXIMUM_TAG of store/nar.py */
    UNPACK_NAME = 255,    /* MAXIMUM_NAME */
    UNPACK_TARGET = 4095, /* MAXIMUM_TARGET */
    UNPACK_MESSAGE = UNPACK_TARGET + 64,
};

#define NO_ARCHIVE "input doesn't look like a Nix archive"

typedef enum {
    AT_MAGIC,
    AT_OPEN, /* a node begins */
    AT_TYPE,
    AT_KIND,
    AT_REGULAR, /* "executable" or "contents" */
    AT_EXECUTABLE,
    AT_CONTENTS,
    AT_SIZE,
    AT_DATA,
    AT_PADDING,
    AT_TARGET_TAG,
    AT_TARGET,
    AT_CLOSE, /* of a file or link */
    AT_ENTRY, /* "entry" or ")" */
    AT_ENTRY_OPEN,
    AT_ENTRY_NAME,
    AT_NAME,
    AT_NODE,
    AT_ENTRY_CLOSE,
    AT_END,
} UnpackState;

typedef enum { UNPACK_BAD = 1, UNPACK_LONGER, UNPACK_SYSTEM } UnpackFailure;

typedef struct {
    int folder;
    uint8_t name[UNPACK_NAME + 1]; /* of the entry that is being read; before it, of the one before */
    size_t length;                 /* 0: none yet */
} Level;

typedef struct {
    UnpackState state;
    int parent;         /* the folder that the root is made in */
    const char *root;   /* its name there */
    Level levels[ARCHIVE_DEPTH];
    int depth;          /* folders that are open */
    int executable;
    int file;           /* that is being written, or -1 */
    uint64_t left;      /* bytes of it to come */
    size_t pad;         /* zeros to come after it */
    uint8_t token[8 + UNPACK_TARGET + 9];
    size_t have;        /* bytes of a token that came in pieces */
    uint64_t limit, total;
    Sha256 hash;
    int exact;          /* see write_plain_file() */
    int keeps_root;     /* a folder at the top stays open and writable: it is renamed yet, see receive_archive() */
    int root_folder;    /* that one, or -1 */
    UnpackFailure failure;
    int error;          /* errno of UNPACK_SYSTEM */
    const char *doing;
    char message[UNPACK_MESSAGE];
    size_t said;        /* bytes of it */
} Unpacking;

static int unpack_bad(Unpacking *u, const char *text) {
    u->failure = UNPACK_BAD;
    u->said = strlen(text);
    memcpy(u->message, text, u->said);
    return -1;
}

/* A message that ends in something of the archive, whatever bytes that has. */
static int unpack_bad_text(Unpacking *u, const char *text, const uint8_t *found, size_t size) {
    unpack_bad(u, text);
    memcpy(u->message + u->said, found, size);
    u->said += size;
    u->message[u->said++] = '\'';
    return -1;
}

static int unpack_bad_number(Unpacking *u, const char *form, uint64_t number, size_t longest) {
    u->failure = UNPACK_BAD;
    u->said = (size_t)snprintf(u->message, sizeof u->message, form, (unsigned long long)number, longest);
    return -1;
}

static int unpack_system(Unpacking *u, const char *doing) {
    u->failure = UNPACK_SYSTEM;
    u->error = errno;
    u->doing = doing;
    return -1;
}

static int unpack_is(const uint8_t *data, size_t size, const char *tag) {
    return size == strlen(tag) && memcmp(data, tag, size) == 0;
}

/* Where the node that is being read goes: a folder and a name in it. */
static int unpack_folder_of(const Unpacking *u) {
    return u->depth ? u->levels[u->depth - 1].folder : u->parent;
}

static const char *unpack_name_of(const Unpacking *u) {
    return u->depth ? (const char *)u->levels[u->depth - 1].name : u->root;
}

static void unpack_node_ends(Unpacking *u) {
    u->state = u->depth ? AT_ENTRY_CLOSE : AT_END;
}

static int unpack_make_folder(Unpacking *u) {
    int folder = unpack_folder_of(u);
    const char *name = unpack_name_of(u);
    if (mkdirat(folder, name, 0755))
        return unpack_system(u, "creating directory");
    int own = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (own < 0)
        return unpack_system(u, "creating directory");
    Level *level = &u->levels[u->depth++];
    level->folder = own;
    level->length = 0;
    level->name[0] = 0;
    u->state = AT_ENTRY;
    return 0;
}

static int unpack_leave_folder(Unpacking *u) {
    Level *level = &u->levels[--u->depth];
    if (!u->depth && u->keeps_root) {
        u->root_folder = level->folder;
        unpack_node_ends(u);
        return 0;
    }
    int result = fchmod(level->folder, 0555) || mark_time(level->folder) ? unpack_system(u, "creating directory") : 0;
    close(level->folder);
    unpack_node_ends(u);
    return result;
}

static int unpack_begin_file(Unpacking *u, uint64_t size) {
    struct stat status;
    mode_t mode = u->executable ? 0555 : 0444;
    if (size >= (uint64_t)1 << 63)
        return unpack_bad_number(u, "bad archive: a file of %llu bytes", size, 0);
    u->file = openat(
        unpack_folder_of(u), unpack_name_of(u), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode
    );
    if (u->file < 0)
        return unpack_system(u, "creating file");
    if (u->exact < 0) {
        if (fstat(u->file, &status))
            return unpack_system(u, "writing file");
        u->exact = (status.st_mode & 07777) == mode;
    }
    u->left = size;
    u->pad = padding(size);
    u->state = AT_DATA;
    return 0;
}

static int unpack_end_file(Unpacking *u) {
    int failed = (!u->exact && fchmod(u->file, u->executable ? 0555 : 0444)) || mark_time(u->file);
    int result = failed ? unpack_system(u, "writing file") : 0;
    if (close(u->file) && !result)
        result = unpack_system(u, "writing file");
    u->file = -1;
    u->state = u->pad ? AT_PADDING : AT_CLOSE;
    return result;
}

static int unpack_link_to(Unpacking *u, const uint8_t *target, size_t size) {
    const struct timespec times[2] = {{0, UTIME_NOW}, {1, 0}};
    char text[UNPACK_TARGET + 1];
    if (!size || memchr(target, 0, size) != NULL)
        return unpack_bad(u, "bad archive: NAR contains invalid symlink target");
    memcpy(text, target, size);
    text[size] = 0;
    if (symlinkat(text, unpack_folder_of(u), unpack_name_of(u)) ||
        utimensat(unpack_folder_of(u), unpack_name_of(u), times, AT_SYMLINK_NOFOLLOW)) {
        unpack_system(u, "creating symlink from");
        u->said = (size_t)snprintf(u->message, sizeof u->message, " -> '%s'", text);
        return -1;
    }
    u->state = AT_CLOSE;
    return 0;
}

static int unpack_take_name(Unpacking *u, const uint8_t *name, size_t size) {
    Level *level = &u->levels[u->depth - 1];
    int is_dots = size && size <= 2 && name[0] == '.' && name[size - 1] == '.';
    if (!size || is_dots || memchr(name, '/', size) != NULL || memchr(name, 0, size) != NULL)
        return unpack_bad_text(u, "bad archive: NAR contains invalid file name '", name, size);
    size_t common = size < level->length ? size : level->length;
    int order = memcmp(name, level->name, common);
    if (level->length && (order < 0 || (order == 0 && size <= level->length)))
        return unpack_bad(u, "bad archive: NAR directory is not sorted");
    memcpy(level->name, name, size);
    level->name[size] = 0;
    level->length = size;
    u->state = AT_NODE;
    return 0;
}

static int unpack_kind(Unpacking *u, const uint8_t *data, size_t size) {
    if (unpack_is(data, size, "regular")) {
        u->executable = 0;
        u->state = AT_REGULAR;
        return 0;
    }
    if (unpack_is(data, size, "directory"))
        return unpack_make_folder(u);
    if (unpack_is(data, size, "symlink")) {
        u->state = AT_TARGET_TAG;
        return 0;
    }
    return unpack_bad_text(u, "bad archive: unknown file type '", data, size);
}

static int unpack_expect(Unpacking *u, const uint8_t *data, size_t size, const char *tag, UnpackState next) {
    if (!unpack_is(data, size, tag)) {
        char text[64];
        snprintf(text, sizeof text, "bad archive: expected tag '%s', got '", tag);
        return unpack_bad_text(u, text, data, size);
    }
    u->state = next;
    return 0;
}

/* A whole string, where one was due. */
static int unpack_string(Unpacking *u, const uint8_t *data, size_t size) {
    switch (u->state) {
    case AT_MAGIC:
        if (!unpack_is(data, size, "nix-archive-1"))
            return unpack_bad(u, NO_ARCHIVE);
        u->state = AT_OPEN;
        return 0;
    case AT_OPEN:
        return unpack_expect(u, data, size, "(", AT_TYPE);
    case AT_TYPE:
        return unpack_expect(u, data, size, "type", AT_KIND);
    case AT_KIND:
        return unpack_kind(u, data, size);
    case AT_REGULAR:
        if (!unpack_is(data, size, "executable"))
            return unpack_expect(u, data, size, "contents", AT_SIZE);
        u->executable = 1;
        u->state = AT_EXECUTABLE;
        return 0;
    case AT_EXECUTABLE:
        if (size)
            return unpack_bad(u, "bad archive: executable marker has non-empty value");
        u->state = AT_CONTENTS;
        return 0;
    case AT_CONTENTS:
        return unpack_expect(u, data, size, "contents", AT_SIZE);
    case AT_TARGET_TAG:
        return unpack_expect(u, data, size, "target", AT_TARGET);
    case AT_TARGET:
        return unpack_link_to(u, data, size);
    case AT_CLOSE:
        if (unpack_expect(u, data, size, ")", AT_CLOSE))
            return -1;
        unpack_node_ends(u);
        return 0;
    case AT_ENTRY:
        if (unpack_is(data, size, ")"))
            return unpack_leave_folder(u);
        if (!unpack_is(data, size, "entry"))
            return unpack_bad_text(u, "bad archive: expected tag 'entry' or ')', got '", data, size);
        u->state = AT_ENTRY_OPEN;
        return 0;
    case AT_ENTRY_OPEN:
        return unpack_expect(u, data, size, "(", AT_ENTRY_NAME);
    case AT_ENTRY_NAME:
        return unpack_expect(u, data, size, "name", AT_NAME);
    case AT_NAME:
        return unpack_take_name(u, data, size);
    case AT_NODE:
        if (u->depth >= ARCHIVE_DEPTH)
            return unpack_bad(u, "bad archive: NAR directory nesting exceeds maximum depth of 64");
        return unpack_expect(u, data, size, "node", AT_OPEN);
    default:
        return unpack_expect(u, data, size, ")", AT_ENTRY);
    }
}

static size_t unpack_longest(const Unpacking *u) {
    switch (u->state) {
    case AT_MAGIC:
        return SIZE_OF("nix-archive-1");
    case AT_TARGET:
        return UNPACK_TARGET;
    case AT_NAME:
        return UNPACK_NAME;
    default:
        return UNPACK_TAG;
    }
}

/* How long a token is that begins with these bytes: 8 of a number, or those of a string; 0: not known yet, -1: bad. */
static int unpack_token_size(Unpacking *u, const uint8_t *data, size_t have, size_t *size) {
    *size = 0;
    if (have < 8)
        return 0;
    if (u->state == AT_SIZE) {
        *size = 8;
        return 0;
    }
    uint64_t length = get_number(data);
    size_t longest = unpack_longest(u);
    if (length > longest && u->state == AT_MAGIC)
        return unpack_bad(u, NO_ARCHIVE);
    if (length > longest)
        return unpack_bad_number(u, "string is too long: %llu bytes where at most %zu are allowed", length, longest);
    *size = 8 + (size_t)length + padding(length);
    return 0;
}

static int unpack_token(Unpacking *u, const uint8_t *token) {
    uint64_t length = get_number(token);
    if (u->state == AT_SIZE)
        return unpack_begin_file(u, length);
    for (size_t i = 0; i < padding(length); i++)
        if (token[8 + length + i])
            return unpack_bad(u, u->state == AT_MAGIC ? NO_ARCHIVE : "non-zero padding");
    return unpack_string(u, token + 8, (size_t)length);
}

/* The next token out of this piece, or what there is of it. */
static int unpack_next_token(Unpacking *u, const uint8_t **at, const uint8_t *end) {
    size_t size, there = (size_t)(end - *at);
    if (!u->have) {
        if (unpack_token_size(u, *at, there, &size))
            return -1;
        if (size && size <= there) {
            const uint8_t *token = *at;
            *at += size;
            return unpack_token(u, token);
        }
    }
    if (u->have < 8) {
        size_t part = 8 - u->have < there ? 8 - u->have : there;
        memcpy(u->token + u->have, *at, part);
        u->have += part;
        *at += part;
        there -= part;
    }
    if (unpack_token_size(u, u->token, u->have, &size))
        return -1;
    if (!size)
        return 0;
    size_t part = size - u->have < there ? size - u->have : there;
    memcpy(u->token + u->have, *at, part);
    u->have += part;
    *at += part;
    if (u->have < size)
        return 0;
    u->have = 0;
    return unpack_token(u, u->token);
}

static int unpack_data(Unpacking *u, const uint8_t **at, const uint8_t *end) {
    size_t part = (uint64_t)(end - *at) < u->left ? (size_t)(end - *at) : (size_t)u->left;
    while (part) {
        ssize_t written = write(u->file, *at, part);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return unpack_system(u, "writing file");
        *at += written;
        part -= (size_t)written;
        u->left -= (uint64_t)written;
    }
    return u->left ? 0 : unpack_end_file(u);
}

static int unpack_padding(Unpacking *u, const uint8_t **at, const uint8_t *end) {
    for (; u->pad && *at < end; u->pad--)
        if (*(*at)++)
            return unpack_bad(u, "non-zero padding");
    if (!u->pad)
        u->state = AT_CLOSE;
    return 0;
}

/* One more piece. 0, or -1 with `failure` set; then nothing more may come. */
static int unpack_feed(Unpacking *u, const uint8_t *data, size_t size) {
    const uint8_t *at = data, *end = data + size;
    if (size > u->limit - u->total) {
        u->failure = UNPACK_LONGER;
        return -1;
    }
    u->total += size;
    while (at < end || (u->state == AT_DATA && !u->left)) {
        int result;
        if (u->state == AT_DATA) {
            result = unpack_data(u, &at, end);
        } else if (u->state == AT_PADDING) {
            result = unpack_padding(u, &at, end);
        } else if (u->state == AT_END) {
            return unpack_bad(u, "bad archive: something follows its end");
        } else {
            result = unpack_next_token(u, &at, end);
        }
        if (result)
            return -1;
    }
    sha256_add(&u->hash, data, size);
    return 0;
}

static void unpack_begin(Unpacking *u, int parent, const char *root, uint64_t limit) {
    u->state = AT_MAGIC;
    u->parent = parent;
    u->root = root;
    u->depth = u->executable = 0;
    u->file = -1;
    u->left = 0;
    u->pad = u->have = 0;
    u->limit = limit;
    u->total = 0;
    u->exact = -1;
    u->keeps_root = 0;
    u->root_folder = -1;
    u->failure = 0;
    u->error = 0;
    u->doing = "";
    u->said = 0;
    sha256_begin(&u->hash);
}

static void unpack_close(Unpacking *u) {
    if (u->file >= 0)
        close(u->file);
    u->file = -1;
    while (u->depth)
        close(u->levels[--u->depth].folder);
    if (u->root_folder >= 0)
        close(u->root_folder);
    u->root_folder = -1;
    if (u->parent >= 0)
        close(u->parent);
    u->parent = -1;
}

/* A whole archive to the place `real`, where nothing may be yet, by way of `name` in the folder `parent`, which is closed.
 * 0 where it is of this digest and lies there as the store keeps files; else something of it may be left under either
 * name. */
static int receive_archive(
    int parent, const char *name, const char *real, const uint8_t *data, size_t size, const uint8_t *wanted
) {
    Unpacking u;
    struct stat status;
    uint8_t digest[SHA256_DIGEST];
    int result = -1;
    unpack_begin(&u, parent, name, size);
    u.keeps_root = 1;
    if (unpack_feed(&u, data, size) || u.state != AT_END)
        goto close;
    sha256_end(&u.hash, digest);
    if (memcmp(digest, wanted, SHA256_DIGEST) || lstat(real, &status) == 0 || errno != ENOENT ||
        renameat(parent, name, AT_FDCWD, real))
        goto close;
    result = u.root_folder < 0 ? 0 : fchmod(u.root_folder, 0555) || mark_time(u.root_folder) ? -1 : 0;
close:
    unpack_close(&u);
    return result;
}

#endif
