/* Stamps of all files that a git index names, in one pass: the part of entering a work tree whose time counts.
 *
 * In: the bytes of an index (versions 2 to 4) and the work tree's path. Out: seven 64-bit numbers an entry
 * (modification and status change in nanoseconds, inode, size, mode, uid, gid; zeros where there is no such file, also
 * below a link in place of a directory), the newest time, and where the entries end. Everything read is bounds-checked: the index may be
 * hostile. What it means otherwise is checked in git_index.py. Source of truth: gitformat-index(5). */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NUMBERS = 7, MAXIMUM_PATH = 4096 };

typedef struct {
    const uint8_t *data;
    size_t size; /* without the trailing checksum */
    size_t oid_size;
    uint32_t version;
    uint32_t count;
} Index;

typedef struct {
    char text[MAXIMUM_PATH + 1];
    size_t length;
    size_t known;   /* length of the leading directories that were looked at */
    int known_real; /* whether all of them are directories, not links */
} Path;

static uint32_t number32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Reads the entry at *position into `path`; 0 on success, -1 for a damaged index. */
static int next_entry(const Index *index, size_t *position, Path *path, const char **name, size_t *length) {
    size_t fixed = 42 + index->oid_size, start = *position;
    if (index->size < fixed || start > index->size - fixed)
        return -1;
    const uint8_t *entry = index->data + start;
    unsigned flags = (unsigned)entry[fixed - 2] << 8 | entry[fixed - 1];
    size_t at = start + fixed + (flags & 0x4000 ? 2 : 0), strip = 0;
    if (index->version == 4) {
        if (at >= index->size)
            return -1;
        uint8_t byte = index->data[at++];
        strip = byte & 0x7f;
        while (byte & 0x80) {
            if (at >= index->size || strip > MAXIMUM_PATH)
                return -1;
            byte = index->data[at++];
            strip = (strip + 1) << 7 | (byte & 0x7f);
        }
        if (strip > path->length)
            return -1;
    }
    if (at >= index->size)
        return -1;
    const uint8_t *end = memchr(index->data + at, 0, index->size - at);
    if (!end)
        return -1;
    *name = (const char *)index->data + at;
    *length = (size_t)(end - (index->data + at));
    size_t keep = index->version == 4 ? path->length - strip : 0;
    if (keep + *length > MAXIMUM_PATH || keep + *length == 0)
        return -1;
    /* Directories that both paths share are known already. */
    size_t same = keep, limit = path->known < keep + *length ? path->known : keep + *length;
    while (same < limit && path->text[same] == (*name)[same - keep])
        same++;
    if (same < path->known) {
        while (same && path->text[same] != '/')
            same--;
        path->known = same;
        path->known_real = 1;
    }
    memcpy(path->text + keep, *name, *length);
    path->length = keep + *length;
    path->text[path->length] = 0;
    if (index->version == 4)
        *position = (size_t)(end - index->data) + 1;
    else
        *position = start + (((at - start) + *length + 8) & ~(size_t)7);
    return 0;
}

/* Whether all leading directories of the path are directories. */
static int real_parents(int root, Path *path) {
    if (!path->known_real && path->known && path->text[path->known] == '/')
        return 0;
    for (;;) {
        char *slash = memchr(path->text + path->known + 1, '/', path->length > path->known + 1 ? path->length - path->known - 1 : 0);
        if (!slash)
            return 1;
        struct stat status;
        *slash = 0;
        int real = fstatat(root, path->text, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
        *slash = '/';
        path->known = (size_t)(slash - path->text);
        path->known_real = real;
        if (!real)
            return 0;
    }
}

static int64_t nanoseconds(struct timespec time) { return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec; }

static int scan(const Index *index, int root, int64_t *numbers, int64_t *newest, size_t *end) {
    Path path = {.length = 0, .known = 0, .known_real = 1};
    size_t position = 12;
    for (uint32_t i = 0; i < index->count; i++, numbers += NUMBERS) {
        const char *name;
        size_t length;
        struct stat status;
        if (next_entry(index, &position, &path, &name, &length))
            return -1;
        if (!real_parents(root, &path) || fstatat(root, path.text, &status, AT_SYMLINK_NOFOLLOW)) {
            memset(numbers, 0, NUMBERS * sizeof *numbers);
            continue;
        }
        numbers[0] = nanoseconds(status.st_mtim);
        numbers[1] = nanoseconds(status.st_ctim);
        numbers[2] = (int64_t)status.st_ino;
        numbers[3] = status.st_size;
        numbers[4] = status.st_mode;
        numbers[5] = status.st_uid;
        numbers[6] = status.st_gid;
        if (numbers[0] > *newest)
            *newest = numbers[0];
        if (numbers[1] > *newest)
            *newest = numbers[1];
    }
    *end = position;
    return 0;
}

/* stamps(index: bytes, oid_size: int, directory: bytes) -> (bytes, int, int). ValueError for a damaged index. */
static PyObject *stamps(PyObject *Py_UNUSED(module), PyObject *arguments) {
    Py_buffer buffer;
    Py_ssize_t oid_size;
    const char *directory;
    if (!PyArg_ParseTuple(arguments, "y*ny", &buffer, &oid_size, &directory))
        return NULL;
    PyObject *result = NULL, *bytes = NULL;
    int root = -1;
    Index index = {.data = buffer.buf, .oid_size = (size_t)oid_size};
    if (oid_size < 20 || oid_size > 32 || buffer.len < 12 + oid_size || memcmp(index.data, "DIRC", 4)) {
        PyErr_SetString(PyExc_ValueError, "not a git index");
        goto done;
    }
    index.size = (size_t)(buffer.len - oid_size);
    index.version = number32(index.data + 4);
    index.count = number32(index.data + 8);
    if (index.version < 2 || index.version > 4 || index.count > index.size / (size_t)(42 + oid_size)) {
        PyErr_SetString(PyExc_ValueError, "damaged git index");
        goto done;
    }
    bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)index.count * NUMBERS * (Py_ssize_t)sizeof(int64_t));
    if (!bytes)
        goto done;
    root = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        PyErr_SetFromErrnoWithFilename(PyExc_OSError, directory);
        goto done;
    }
    int64_t newest = 0;
    size_t end = 0;
    int status;
    int64_t *numbers = (int64_t *)(void *)PyBytes_AS_STRING(bytes);
    Py_BEGIN_ALLOW_THREADS
    status = scan(&index, root, numbers, &newest, &end);
    Py_END_ALLOW_THREADS
    if (status)
        PyErr_SetString(PyExc_ValueError, "damaged git index");
    else
        result = Py_BuildValue("OLn", bytes, (long long)newest, (Py_ssize_t)end);
done:
    if (root >= 0)
        close(root);
    Py_XDECREF(bytes);
    PyBuffer_Release(&buffer);
    return result;
}

static PyMethodDef methods[] = {
    {"stamps", stamps, METH_VARARGS, "stamps(index, oid_size, directory) -> (seven int64 an entry, newest nanosecond, end of the entries)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "frazil.fetch._worktree", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__worktree(void) { return PyModuleDef_Init(&module); }
