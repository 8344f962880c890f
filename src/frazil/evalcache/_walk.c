/* What lstat says of everything at and below a folder, in one digest, and of a single file: the part of finding a
 * remembered answer whose time counts. See stamps.py.
 *
 * The digest is SHA-256, over the numbers of the path's status (mode, size, both times in nanoseconds, inode, device, each
 * in eight bytes), and for each entry below it, folder by folder, those of a folder in order, over its name below the
 * path, a zero, and its numbers.
 *
 * `walk` lists folders: it is given a path, and what a filter said of names, if there was one. `look` is given the names
 * that `walk` found, and lists nothing: folders whose status is the same have the same entries. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../native/sha256.h"

enum { LISTING = 1 << 16, NUMBERS = 6 };

/* -- the walk --------------------------------------------------------------------------------------------------- */

typedef struct {
    char *text;
    size_t size, room;
} Buffer;

typedef struct {
    Sha256 hash;
    int64_t newest;
    int top;             /* the opened folder, from which all others are */
    PyObject *verdicts;  /* dict of text -> (kind, whether it is kept), or NULL */
    Buffer names;        /* of one folder, each ended by a zero */
    Buffer found;        /* names below the top folder of all that is part of the digest, each ended by a zero */
    const char **sorted;
    size_t sorted_room;
    Buffer pending;      /* folders below the top one, each after its length: a stack */
    Buffer folder;       /* the one that is looked at, with a slash; empty for the top one */
} Walk;

/* Whether there is room for `more`; else an exception is set. */
static int reserve(Buffer *buffer, size_t more) {
    if (buffer->room - buffer->size >= more)
        return 1;
    size_t room = (buffer->room + more) * 2;
    char *text = room > buffer->room ? PyMem_Realloc(buffer->text, room) : NULL;
    if (text == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    buffer->text = text;
    buffer->room = room;
    return 1;
}

static int append(Buffer *buffer, const void *data, size_t size) {
    if (!size)
        return 1;
    if (!reserve(buffer, size))
        return 0;
    memcpy(buffer->text + buffer->size, data, size);
    buffer->size += size;
    return 1;
}

static int64_t nanoseconds(struct timespec time) {
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void put64(uint8_t *p, uint64_t x) {
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(x >> 8 * i);
}

static void add_status(Walk *walk, const struct stat *status) {
    int64_t modified = nanoseconds(status->st_mtim), changed = nanoseconds(status->st_ctim);
    uint64_t numbers[NUMBERS] = {status->st_mode,   (uint64_t)status->st_size, (uint64_t)modified,
                                 (uint64_t)changed, status->st_ino,            status->st_dev};
    uint8_t row[NUMBERS * 8];
    for (int i = 0; i < NUMBERS; i++)
        put64(row + 8 * i, numbers[i]);
    sha256_add(&walk->hash, row, sizeof row);
    if (modified > walk->newest)
        walk->newest = modified;
    if (changed > walk->newest)
        walk->newest = changed;
}

static const char *kind_of(mode_t mode) {
    return S_ISREG(mode) ? "regular" : S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "symlink" : "unknown";
}

/* 1 if the filter kept it, 0 if not, -1 and an exception where it said nothing of such a thing. */
static int is_kept(const Walk *walk, const char *name, size_t length, mode_t mode) {
    if (walk->verdicts == NULL)
        return 1;
    PyObject *text = PyUnicode_DecodeFSDefaultAndSize(name, (Py_ssize_t)length), *kind;
    if (text == NULL)
        return -1;
    PyObject *verdict = PyDict_GetItemWithError(walk->verdicts, text);
    int known = 0, keep = 0;
    if (verdict != NULL && !PyTuple_Check(verdict))
        PyErr_SetString(PyExc_TypeError, "a verdict is a tuple");
    else if (verdict != NULL && PyArg_ParseTuple(verdict, "Up", &kind, &keep))
        known = !PyUnicode_CompareWithASCIIString(kind, kind_of(mode));
    if (!known && !PyErr_Occurred())
        PyErr_SetObject(PyExc_LookupError, text);
    Py_DECREF(text);
    return known ? keep : -1;
}

static int compare(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of a folder, sorted: their number, or -1 with errno set or (errno 0) an exception. */
static Py_ssize_t names_of(Walk *walk, int descriptor, char *listing) {
    size_t count = 0;
    walk->names.size = 0;
    for (;;) {
        long size = syscall(SYS_getdents64, descriptor, listing, LISTING);
        if (size <= 0) {
            if (size < 0)
                return -1;
            break;
        }
        for (long at = 0; at < size;) {
            const struct dirent64 *entry = (const void *)(listing + at);
            const char *name = entry->d_name;
            at += entry->d_reclen;
            if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
                continue;
            if (!append(&walk->names, name, strlen(name) + 1)) {
                errno = 0;
                return -1;
            }
            count++;
        }
    }
    if (count > walk->sorted_room) {
        const char **sorted = PyMem_Realloc((void *)walk->sorted, 2 * count * sizeof *sorted);
        if (sorted == NULL) {
            PyErr_NoMemory();
            errno = 0;
            return -1;
        }
        walk->sorted = sorted;
        walk->sorted_room = 2 * count;
    }
    const char *name = walk->names.text;
    for (size_t i = 0; i < count; i++) {
        walk->sorted[i] = name;
        name += strlen(name) + 1;
    }
    qsort((void *)walk->sorted, count, sizeof *walk->sorted, compare);
    return (Py_ssize_t)count;
}

/* 0 on success, -1 with errno set or (errno 0) an exception. */
static int look_into(Walk *walk, int descriptor, char *listing) {
    Py_ssize_t count = names_of(walk, descriptor, listing);
    if (count < 0)
        return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        const char *name = walk->sorted[i];
        size_t length = strlen(name), whole = walk->folder.size + length, before = walk->found.size;
        struct stat status;
        if (fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW))
            return -1;
        if (!append(&walk->found, walk->folder.text, walk->folder.size) || !append(&walk->found, name, length + 1)) {
            errno = 0;
            return -1;
        }
        const char *inner = walk->found.text + before;
        int kept = is_kept(walk, inner, whole, status.st_mode);
        if (!kept) {
            walk->found.size = before;
            continue;
        }
        if (kept < 0 || (S_ISDIR(status.st_mode) && !(append(&walk->pending, inner, whole) &&
                                                      append(&walk->pending, &whole, sizeof whole)))) {
            errno = 0;
            return -1;
        }
        sha256_add(&walk->hash, inner, whole + 1);
        add_status(walk, &status);
    }
    return 0;
}

/* The same for all that is pending. */
static int look_below(Walk *walk, char *listing) {
    if (look_into(walk, walk->top, listing))
        return -1;
    while (walk->pending.size) {
        size_t length;
        walk->pending.size -= sizeof length;
        memcpy(&length, walk->pending.text + walk->pending.size, sizeof length);
        walk->pending.size -= length;
        walk->folder.size = 0;
        if (!append(&walk->folder, walk->pending.text + walk->pending.size, length) ||
            !append(&walk->folder, "/", 2) || PyErr_CheckSignals()) {
            errno = 0;
            return -1;
        }
        walk->folder.size--; /* the zero */
        int descriptor = openat(walk->top, walk->folder.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0)
            return -1;
        int failed = look_into(walk, descriptor, listing), number = errno;
        close(descriptor);
        errno = number;
        if (failed)
            return -1;
    }
    return 0;
}

/* Whether a path can be given to the system; else an exception is set. */
static int is_path(const char *path, Py_ssize_t length) {
    if (memchr(path, 0, (size_t)length) == NULL)
        return 1;
    PyErr_SetString(PyExc_ValueError, "a path with a zero byte");
    return 0;
}

static PyObject *failure(int number, const char *path) {
    if (number) {
        errno = number;
        PyErr_SetFromErrnoWithFilename(PyExc_OSError, path);
    }
    return NULL;
}

static PyObject *walk(PyObject *module, PyObject *arguments) {
    (void)module;
    const char *path;
    Py_ssize_t length;
    PyObject *verdicts, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y#O:walk", &path, &length, &verdicts) || !is_path(path, length))
        return NULL;
    if (verdicts != Py_None && !PyDict_Check(verdicts))
        return PyErr_Format(PyExc_TypeError, "verdicts are a dict or None");
    struct stat status;
    if (lstat(path, &status))
        return failure(errno, path);
    Walk walk = {.newest = INT64_MIN, .verdicts = verdicts == Py_None ? NULL : verdicts};
    sha256_begin(&walk.hash);
    add_status(&walk, &status);
    int failed = 0, number = 0;
    if (S_ISDIR(status.st_mode)) {
        walk.top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (walk.top < 0)
            return failure(errno, path);
        char *listing = PyMem_Malloc(LISTING);
        if (listing == NULL)
            PyErr_NoMemory();
        failed = listing == NULL || look_below(&walk, listing);
        number = listing == NULL ? 0 : errno;
        close(walk.top);
        PyMem_Free(listing);
    }
    if (!failed) {
        uint8_t digest[SHA256_DIGEST];
        sha256_end(&walk.hash, digest);
        const char *found = walk.found.size ? walk.found.text : "";
        result = Py_BuildValue("y#Ly#", (const char *)digest, (Py_ssize_t)SHA256_DIGEST, (long long)walk.newest, found,
                               (Py_ssize_t)walk.found.size);
    }
    PyMem_Free(walk.names.text);
    PyMem_Free(walk.found.text);
    PyMem_Free((void *)walk.sorted);
    PyMem_Free(walk.pending.text);
    PyMem_Free(walk.folder.text);
    return failed ? failure(number, path) : result;
}

static PyObject *look(PyObject *module, PyObject *arguments) {
    (void)module;
    const char *path, *names;
    Py_ssize_t length, size;
    if (!PyArg_ParseTuple(arguments, "y#y#:look", &path, &length, &names, &size) || !is_path(path, length))
        return NULL;
    if (size && names[size - 1])
        return PyErr_Format(PyExc_ValueError, "a name without an end");
    Walk walk = {.newest = INT64_MIN};
    Buffer whole = {0};
    struct stat status;
    int number = lstat(path, &status) ? errno : 0;
    sha256_begin(&walk.hash);
    add_status(&walk, &status);
    int done = number || (append(&whole, path, (size_t)length) && append(&whole, "/", 1));
    size_t start = whole.size;
    for (Py_ssize_t at = 0; done && !number && at < size;) {
        size_t name = strlen(names + at) + 1;
        whole.size = start;
        done = append(&whole, names + at, name);
        if (done && lstat(whole.text, &status))
            number = errno;
        sha256_add(&walk.hash, names + at, name);
        add_status(&walk, &status);
        at += (Py_ssize_t)name;
    }
    PyMem_Free(whole.text);
    if (number || !done)
        return failure(number, path);
    uint8_t digest[SHA256_DIGEST];
    sha256_end(&walk.hash, digest);
    return PyBytes_FromStringAndSize((const char *)digest, SHA256_DIGEST);
}

/* Whether lstat gives a stamp, without making the text of another one. */
static PyObject *is_stamp(PyObject *module, PyObject *arguments) {
    (void)module;
    const char *path, *stamp;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(arguments, "y#s:is_stamp", &path, &length, &stamp) || !is_path(path, length))
        return NULL;
    struct stat status;
    if (lstat(path, &status))
        return failure(errno, path);
    char text[160];
    snprintf(text, sizeof text, "%lo,%lld,%lld,%lld,%llu,%llu", (unsigned long)status.st_mode, (long long)status.st_size,
             (long long)nanoseconds(status.st_mtim), (long long)nanoseconds(status.st_ctim),
             (unsigned long long)status.st_ino, (unsigned long long)status.st_dev);
    return PyBool_FromLong(!strcmp(text, stamp));
}

static PyMethodDef functions[] = {
    {"walk", walk, METH_VARARGS, "Of a path and all below it: the digest, the newest time in nanoseconds, the names."},
    {"look", look, METH_VARARGS, "The digest of a path and of such names."},
    {"is_stamp", is_stamp, METH_VARARGS, "Whether a path's status is as a stamp says."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_walk", .m_size = 0, .m_methods = functions};

PyMODINIT_FUNC PyInit__walk(void) {
    sha256_choose(0);
    return PyModuleDef_Init(&module);
}
