/* Confines a process to some paths without any namespace: for machines that have none, and for our own builders.
 *
 * In: paths to read, paths to write, network or not. Out: a ruleset's descriptor, or this process confined for ever.
 * Source: landlock(7), landlock_create_ruleset(2).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

/* Landlock as in its documentation: headers of build machines may be older than the kernel that runs this. */
#define LANDLOCK_VERSION_FLAG 1
#define LANDLOCK_PATH_BENEATH 1
#define LANDLOCK_EXECUTE (1ULL << 0)
#define LANDLOCK_WRITE_FILE (1ULL << 1)
#define LANDLOCK_READ_FILE (1ULL << 2)
#define LANDLOCK_READ_DIR (1ULL << 3)
#define LANDLOCK_TRUNCATE (1ULL << 14)
#define LANDLOCK_IOCTL_DEV (1ULL << 15)

struct landlock_path_rule {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

static int allow(int ruleset, PyObject *paths, uint64_t access) {
    PyObject *fast = PySequence_Fast(paths, "a sequence of paths is needed");
    if (!fast) return -1;
    const uint64_t for_files =
        LANDLOCK_EXECUTE | LANDLOCK_WRITE_FILE | LANDLOCK_READ_FILE | LANDLOCK_TRUNCATE | LANDLOCK_IOCTL_DEV;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast); i++) {
        char *path;
        struct stat st;
        if (PyBytes_AsStringAndSize(PySequence_Fast_GET_ITEM(fast, i), &path, NULL) < 0) goto failed;
        int fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0) continue; /* what is absent needs no permission */
        struct landlock_path_rule rule = {.allowed_access = access, .parent_fd = fd};
        if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode)) rule.allowed_access &= for_files;
        int result = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0);
        close(fd);
        if (result < 0) {
            PyErr_SetFromErrnoWithFilename(PyExc_OSError, path);
            goto failed;
        }
    }
    Py_DECREF(fast);
    return 0;
failed:
    Py_DECREF(fast);
    return -1;
}

/* A ruleset's descriptor, -1 without Landlock, -2 with an exception: `readable` and `writable` are all that whoever
 * takes it on can open. */
static int make_ruleset(PyObject *args) {
    PyObject *readable, *writable;
    int network;
    if (!PyArg_ParseTuple(args, "OOp", &readable, &writable, &network)) return -2;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    if (abi < 1) return -1;
    /* Bits by version: 1: 0-12, 2: refer, 3: truncate, 5: ioctl; network from 4, scopes from 6. */
    uint64_t handled = (1ULL << 13) - 1;
    if (abi >= 2) handled |= 1ULL << 13;
    if (abi >= 3) handled |= 1ULL << 14;
    uint64_t attributes[3] = {handled, abi >= 4 && !network ? 3 : 0, abi >= 6 ? 3 : 0};
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    int ruleset = syscall(SYS_landlock_create_ruleset, attributes, size, 0);
    if (ruleset < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }
    const uint64_t read_access = LANDLOCK_EXECUTE | LANDLOCK_READ_FILE | LANDLOCK_READ_DIR;
    if (allow(ruleset, readable, read_access) < 0 || allow(ruleset, writable, handled) < 0) {
        close(ruleset);
        return -2;
    }
    return ruleset;
}

/* For `_sandbox.spawn`; the caller closes it. */
static PyObject *ruleset(PyObject *self, PyObject *args) {
    (void)self;
    int made = make_ruleset(args);
    return made == -2 ? NULL : PyLong_FromLong(made);
}

/* Confines this process for ever; False without Landlock. */
static PyObject *confine(PyObject *self, PyObject *args) {
    (void)self;
    int made = make_ruleset(args);
    if (made == -2) return NULL;
    if (made == -1) Py_RETURN_FALSE;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, made, 0) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        close(made);
        return NULL;
    }
    close(made);
    Py_RETURN_TRUE;
}

static PyMethodDef methods[] = {
    {"ruleset", ruleset, METH_VARARGS, "A ruleset's descriptor, -1 without Landlock."},
    {"confine", confine, METH_VARARGS, "Confines this process to the given paths; False without Landlock."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_landlock", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit__landlock(void) { return PyModule_Create(&module); }
