/* Mounts a host path, read-only, in a sandbox that is running.
 *
 * In: the namespaces that `keep_door` in _sandbox.c handed over, where the host's files lie in them, a place below the
 * store. Out: the path is there in the builder's view, or an exception says which step failed. Sources: setns(2),
 * open_tree(2), move_mount(2), mount_setattr(2), mount_namespaces(7) on propagation.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

/* As in the manual pages: headers of build machines may be older than the kernel that runs this. */
#define CLONE_TREE 1
#define MOVE_FROM_DESCRIPTOR 0x04
#define MOVE_TO_DESCRIPTOR 0x40
#define ATTRIBUTE_RDONLY 0x1
#define ATTRIBUTE_NOSUID 0x2
#define ATTRIBUTE_NODEV 0x4

struct mount_attributes {
    uint64_t set, clear, propagation, user_namespace;
};

enum step { DONE, USER, MOUNTS, SOURCE, PROTECT, MAKE, TARGET, KIND, MOUNT };

static const char *const steps[] = {
    [USER] = "entering the user namespace of the sandbox",
    [MOUNTS] = "entering the mount namespace of the sandbox",
    [SOURCE] = "opening the store object",
    [PROTECT] = "making the store object read-only",
    [MAKE] = "making the place of the store object",
    [TARGET] = "opening the place of the store object",
    [KIND] = "finding the place of the store object",
    [MOUNT] = "mounting the store object",
};

struct report {
    int step, error;
};

/* The builder may fight for the place: it is made anew, and what is mounted upon is what is there afterwards, never
 * through a link. Wherever that has been moved to, the mount can only be seen below the store. */
static enum step attach_here(int user, int mounts, const char *source, const char *path) {
    struct stat theirs, place;
    if (setns(user, CLONE_NEWUSER) < 0) return USER;
    if (setns(mounts, CLONE_NEWNS) < 0) return MOUNTS;
    int tree = syscall(SYS_open_tree, AT_FDCWD, source, CLONE_TREE | O_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
    if (tree < 0 || fstat(tree, &theirs) < 0) return SOURCE;
    struct mount_attributes attributes = {.set = ATTRIBUTE_RDONLY | ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0)
        return PROTECT;
    umask(0);
    if (S_ISDIR(theirs.st_mode)) {
        if (mkdir(path, 0755) < 0) return MAKE;
    } else if (open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644) < 0)
        return MAKE;
    int target = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0 || fstat(target, &place) < 0) return TARGET;
    if (S_ISDIR(place.st_mode) != S_ISDIR(theirs.st_mode) || S_ISLNK(place.st_mode)) {
        errno = EEXIST;
        return KIND;
    }
    if (syscall(SYS_move_mount, tree, "", target, "", MOVE_FROM_DESCRIPTOR | MOVE_TO_DESCRIPTOR) < 0) return MOUNT;
    return DONE;
}

/* In a child, for one thread alone may change its user namespace. */
static int attach_in_child(int user, int mounts, const char *source, const char *path, struct report *report) {
    int status[2];
    if (pipe2(status, O_CLOEXEC) < 0) return -1;
    pid_t pid = fork();
    if (pid == 0) {
        struct report own = {.step = attach_here(user, mounts, source, path)};
        own.error = errno;
        ssize_t ignored = write(status[1], &own, sizeof own);
        (void)ignored;
        _exit(0);
    }
    int error = errno;
    close(status[1]);
    ssize_t n = 0;
    if (pid > 0) {
        do n = read(status[0], report, sizeof *report);
        while (n < 0 && errno == EINTR);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
        error = ECHILD; /* it died before it could say why */
    }
    close(status[0]);
    errno = error;
    return n == (ssize_t)sizeof *report ? 0 : -1;
}

static PyObject *attach(PyObject *self, PyObject *args) {
    (void)self;
    int user, mounts;
    const char *source, *path;
    struct report report;
    if (!PyArg_ParseTuple(args, "iiyy", &user, &mounts, &source, &path)) return NULL;
    if (attach_in_child(user, mounts, source, path, &report) < 0) return PyErr_SetFromErrno(PyExc_OSError);
    if (report.step == DONE) Py_RETURN_NONE;
    PyObject *arguments = Py_BuildValue("(is)", report.error, steps[report.step]);
    if (arguments) PyErr_SetObject(PyExc_OSError, arguments);
    Py_XDECREF(arguments);
    return NULL;
}

static PyMethodDef methods[] = {
    {"attach", attach, METH_VARARGS, "(user namespace, mount namespace, source, place); raises OSError(errno, step)."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_attach", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit__attach(void) { return PyModule_Create(&module); }
