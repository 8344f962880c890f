/* Starts a process in namespaces with a root of its own.
 *
 * In: a list of file-system operations, an argument vector, an environment, identity maps. Out: a process id, or an
 * exception that says which step failed and with which errno. Callers: sandbox.py (builders) and view.py (programs that
 * see a store at its logical place). Sources: namespaces(7), user_namespaces(7), mount_setattr(2),
 * pivot_root(2), landlock(7).
 *
 * The child shares the parent's memory until it executes its program (as posix_spawn does), so a start costs the same
 * however large the evaluator has grown. Everything the child touches is therefore prepared before, and the child
 * itself calls system calls only: no allocation, no Python.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

/* Of Landlock, which older headers lack. */
#define LANDLOCK_VERSION_FLAG 1
#define LANDLOCK_SCOPE_ABSTRACT_SOCKET 1ULL

/* Of keyctl(2). */
#define JOIN_SESSION_KEYRING 1

/* The C library's functions tell every thread of the process to change its identity too: in memory shared with the
 * parent that would be the parent's threads. 32-bit machines have old calls with 16-bit numbers under the plain names. */
#ifdef SYS_setgroups32
#define SET_GROUPS SYS_setgroups32
#define SET_GROUP SYS_setresgid32
#define SET_USER SYS_setresuid32
#else
#define SET_GROUPS SYS_setgroups
#define SET_GROUP SYS_setresgid
#define SET_USER SYS_setresuid
#endif

#define OLD_ROOT "/.old-root"
#define CHILD_STACK (512 * 1024)

struct mount_attributes {
    uint64_t set, clear, propagation, user_namespace;
};
#define ATTRIBUTE_RDONLY 0x1
#define ATTRIBUTE_NOSUID 0x2
#define ATTRIBUTE_NODEV 0x4

enum operation_kind {
    OP_DIRECTORY = 1, OP_FILE, OP_SYMLINK, OP_BIND, OP_TMPFS, OP_PROC, OP_DEVPTS, OP_PROTECT, OP_MODE, OP_OVERLAY, OP_SYSFS,
    OP_FREEZE
};

/* Flags of OP_BIND. */
#define BIND_OPTIONAL 1 /* an absent source is skipped */
#define BIND_RDONLY 2
#define BIND_COPY_LINK 4 /* a source that is a symbolic link is recreated, not followed */
#define BIND_SCRATCH 8   /* what is bound later below this folder may be hard links in it */
#define BIND_HARD_LINK 16 /* a file that nobody but root may write: a hard link in that folder will do */

struct operation {
    int kind, flags;
    const char *path;   /* in the new root, absolute */
    const char *source; /* BIND: host path; SYMLINK: target; FILE: contents; TMPFS: options */
    Py_ssize_t source_length;
    int opened; /* BIND: the source, opened while its folders could be entered, or -1 */
};

struct spec {
    struct operation *operations;
    Py_ssize_t operation_count;
    char **argv, **envp;
    const char *program, *directory, *hostname;
    const struct sock_filter *filter;
    unsigned short filter_length;
    long uid, gid; /* identities to take, or -1: last, unless the builder is the root of its user namespace (`roots`) */
    const gid_t *groups; /* supplementary ones */
    size_t group_count;
    unsigned long personality;
    int clone_flags, input, output, new_root, new_session, loopback, no_new_privileges, no_cores, propagate, die;
    int close_others, scope_sockets, wait_for_parent;
    int scratch; /* the folder of BIND_SCRATCH, as the host sees it, or -1 */
    int blank;   /* an empty file in it to mount on, or -1: further ones are links to it */
    int ruleset; /* of Landlock, or -1 */
    int later;   /* a socket that takes what `_attach.c` needs, or -1 */
    int cgroup;  /* `cgroup.procs` of the control group that the child belongs to, or -1 */
    int roots;
    const char *shared; /* below which things may be attached */
    const char *uids, *gids; /* the maps of its user namespace, or NULL */
    int late_flags;  /* namespaces that the child makes itself, while the parent writes maps */
    int maps_itself; /* it may write them: they name nobody but the caller */
    int own_keyring;
    int status, sync; /* pipes: failures out, "the parent is done" in */
    int parents[2];   /* the parent's ends of both */
};

struct failure {
    int error;
    char step[508];
};

static PyObject *SetupError;

/* ---- in the child: system calls only ---- */

static _Noreturn void fail(const struct spec *spec, const char *step, const char *detail) {
    struct failure failure = {.error = errno};
    if (spec->status < 0) { /* this process replaces itself: nobody reads a pipe */
        const char *quote = detail ? "'" : "";
        dprintf(2, "error: %s%s%s%s%s: %s\n", step, detail ? " " : "", quote, detail ? detail : "", quote,
                strerror(failure.error));
        _exit(1);
    }
    size_t n = strlen(step);
    if (n > 200) n = 200;
    memcpy(failure.step, step, n);
    if (detail) {
        size_t m = strlen(detail);
        if (m > sizeof failure.step - n - 4) m = sizeof failure.step - n - 4;
        failure.step[n++] = ' ';
        memcpy(failure.step + n, detail, m);
        n += m;
    }
    failure.step[n] = 0;
    ssize_t ignored = write(spec->status, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

#include "../native/sandbox_mounts.h"
#include "../native/sandbox_child.h"

/* ---- in the parent ---- */

/* One element before the first belongs to the vector. */
static void free_vector(char **vector) {
    if (vector) PyMem_Free(vector - 1);
}

static char **to_vector(PyObject *sequence, PyObject **keep) {
    *keep = PySequence_Fast(sequence, "a sequence of bytes is needed");
    if (!*keep) return NULL;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(*keep);
    char **vector = PyMem_Calloc(n + 2, sizeof *vector);
    if (!vector) {
        PyErr_NoMemory();
        return NULL;
    }
    vector++;
    for (Py_ssize_t i = 0; i < n; i++)
        if (PyBytes_AsStringAndSize(PySequence_Fast_GET_ITEM(*keep, i), &vector[i], NULL) < 0) {
            free_vector(vector);
            return NULL;
        }
    return vector;
}

static int to_operations(PyObject *sequence, struct spec *spec, PyObject **keep) {
    *keep = PySequence_Fast(sequence, "a sequence of operations is needed");
    if (!*keep) return -1;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(*keep);
    spec->operations = PyMem_Calloc(n + 1, sizeof *spec->operations);
    if (!spec->operations) {
        PyErr_NoMemory();
        return -1;
    }
    spec->operation_count = n;
    for (Py_ssize_t i = 0; i < n; i++) {
        struct operation *o = &spec->operations[i];
        if (!PyArg_ParseTuple(PySequence_Fast_GET_ITEM(*keep, i), "iyy#i", &o->kind, &o->path, &o->source,
                              &o->source_length, &o->flags))
            return -1;
        if (o->kind != OP_FILE && strlen(o->source) != (size_t)o->source_length) {
            PyErr_SetString(PyExc_ValueError, "embedded null byte");
            return -1;
        }
        o->opened = -1;
    }
    return 0;
}

static PyObject *raise_failure(const struct failure *failure) {
    PyObject *step = PyUnicode_DecodeFSDefault(failure->step);
    PyObject *arguments = step ? Py_BuildValue("(iN)", failure->error, step) : NULL;
    if (arguments) PyErr_SetObject(SetupError, arguments);
    Py_XDECREF(arguments);
    return NULL;
}

static PyObject *raise_step(const char *step) {
    struct failure failure = {.error = errno};
    snprintf(failure.step, sizeof failure.step, "%s", step);
    return raise_failure(&failure);
}

/* Signals stay blocked from the clone until the child has started its program, so that none of Python's handlers runs
 * in the shared memory, and the thread's errno (shared too) is not disturbed by an interrupted read. */
static pid_t start(struct spec *spec, int deny, struct failure *failure) {
    int status[2], sync[2];
    memset(failure, 0, sizeof *failure);
    if (pipe2(status, O_CLOEXEC) < 0) return -1;
    if (pipe2(sync, O_CLOEXEC) < 0) {
        close(status[0]), close(status[1]);
        return -1;
    }
    char *stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        int reason = errno;
        for (int i = 0; i < 2; i++) close(status[i]), close(sync[i]);
        errno = reason;
        return -1;
    }
    spec->status = status[1], spec->sync = sync[0];
    spec->maps_itself = spec->uids && deny;
    int maps = spec->uids && !deny;
    spec->wait_for_parent = maps || spec->cgroup >= 0;
    spec->parents[0] = status[0], spec->parents[1] = sync[1];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    spec->late_flags = spec->uids ? spec->clone_flags & (CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) : 0;
    pid_t pid = clone(child, stack + CHILD_STACK, (spec->clone_flags & ~spec->late_flags) | CLONE_VM | SIGCHLD, spec);
    int error = errno;
    close(status[1]);
    if (pid > 0) {
        const char *step = maps ? write_maps(pid, spec->uids, spec->gids, 0) : NULL;
        if (!step && spec->cgroup >= 0 && dprintf(spec->cgroup, "%d", (int)pid) < 0)
            step = "moving the builder into its control group";
        if (step) {
            failure->error = errno;
            snprintf(failure->step, sizeof failure->step, "%s", step);
        } else if (spec->wait_for_parent && write(sync[1], "1", 1) != 1) {
            failure->error = errno;
            strcpy(failure->step, "starting the child");
        }
        close(sync[0]); /* not before: a child that failed early must not make the byte a broken pipe */
        close(sync[1]); /* without its byte the child ends */
        struct failure reported;
        ssize_t n;
        do n = read(status[0], &reported, sizeof reported);
        while (n < 0 && errno == EINTR);
        if (n == (ssize_t)sizeof reported) *failure = reported;
        if (failure->step[0]) {
            kill(pid, SIGKILL);
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
        }
    } else
        close(sync[0]), close(sync[1]);
    close(status[0]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, CHILD_STACK);
    /* A change of identity in the child marked the shared memory: ours is still an ordinary process. */
    if (spec->uid >= 0) prctl(PR_SET_DUMPABLE, 1);
    errno = error;
    return pid;
}

static char *spec_names[] = {"program",  "argv",      "environment", "directory",   "operations", "namespaces", "uid_map",
                             "gid_map",  "deny_setgroups", "uid",    "gid",         "input",      "output",     "hostname",
                             "filter",   "personality", "loopback",  "new_session", "confined",   "propagate",  "die",
                             "scope_sockets", "no_new_privileges", "ruleset", "later",  "shared",      "groups",
                             "cgroup",   "roots",     NULL};

struct parsed {
    struct spec spec;
    int deny;
    PyObject *keep_operations, *keep_argv, *keep_environment;
};

static int parse(PyObject *args, PyObject *keywords, struct parsed *p) {
    PyObject *argv, *environment, *operations;
    const char *filter = NULL;
    Py_ssize_t filter_length = 0;
    int confined;
    memset(p, 0, sizeof *p);
    struct spec *s = &p->spec;
    const char *groups = NULL;
    Py_ssize_t groups_length = 0;
    s->later = s->scratch = s->blank = s->cgroup = -1;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "yOOyOizzplliizz#kpppppppi|izy#ip", spec_names, &s->program, &argv,
                                     &environment, &s->directory, &operations, &s->clone_flags, &s->uids, &s->gids,
                                     &p->deny, &s->uid, &s->gid, &s->input, &s->output, &s->hostname, &filter,
                                     &filter_length, &s->personality, &s->loopback, &s->new_session, &confined,
                                     &s->propagate, &s->die, &s->scope_sockets, &s->no_new_privileges,
                                     &s->ruleset, &s->later, &s->shared, &groups, &groups_length, &s->cgroup, &s->roots))
        return -1;
    s->groups = (const gid_t *)groups;
    s->group_count = groups_length / sizeof(gid_t);
    if (s->later >= 0 && !s->shared) {
        PyErr_SetString(PyExc_ValueError, "a place is needed below which things are attached");
        return -1;
    }
    s->filter = (const struct sock_filter *)filter;
    s->filter_length = filter_length / sizeof(struct sock_filter);
    s->no_cores = s->close_others = s->own_keyring = confined;
    if (to_operations(operations, s, &p->keep_operations) < 0) return -1;
    s->new_root = s->operation_count > 0;
    if (!(s->argv = to_vector(argv, &p->keep_argv))) return -1;
    if (!s->argv[0]) {
        PyErr_SetString(PyExc_ValueError, "a program needs a name for itself");
        return -1;
    }
    if (!(s->envp = to_vector(environment, &p->keep_environment))) return -1;
    return 0;
}

static void release(struct parsed *p) {
    PyMem_Free(p->spec.operations);
    free_vector(p->spec.argv);
    free_vector(p->spec.envp);
    Py_XDECREF(p->keep_operations);
    Py_XDECREF(p->keep_argv);
    Py_XDECREF(p->keep_environment);
}

static PyObject *spawn(PyObject *self, PyObject *args, PyObject *keywords) {
    (void)self;
    struct parsed p;
    struct failure failure;
    PyObject *result = NULL;
    if (parse(args, keywords, &p) == 0) {
        pid_t pid;
        Py_BEGIN_ALLOW_THREADS;
        pid = start(&p.spec, p.deny, &failure);
        Py_END_ALLOW_THREADS;
        if (pid < 0)
            result = raise_step("creating namespaces");
        else if (failure.step[0])
            result = raise_failure(&failure);
        else
            result = PyLong_FromLong(pid);
    }
    release(&p);
    return result;
}

/* Replaces this process. A failure before the new root is entered raises; one after ends the process with a message,
 * since there is no way back. */
static PyObject *execute(PyObject *self, PyObject *args, PyObject *keywords) {
    (void)self;
    struct parsed p;
    if (parse(args, keywords, &p) < 0) {
        release(&p);
        return NULL;
    }
    if (unshare(p.spec.clone_flags) < 0) {
        release(&p);
        return raise_step("creating namespaces");
    }
    const char *step = p.spec.uids ? write_maps(0, p.spec.uids, p.spec.gids, p.deny) : NULL;
    if (step) {
        release(&p);
        return raise_step(step);
    }
    p.spec.status = -1;
    prepare_without_ids(&p.spec);
    prepare(&p.spec);
    default_signals();
    run(&p.spec);
    fail(&p.spec, "unable to execute", p.spec.program);
}

/* The forked child of a builtin builder: dies with its parent, in namespaces where the kernel allows. */
static PyObject *isolate(PyObject *self, PyObject *args) {
    (void)self;
    int flags, deny;
    const char *uids, *gids;
    if (!PyArg_ParseTuple(args, "izzp", &flags, &uids, &gids, &deny)) return NULL;
    if (unshare(flags) < 0) return raise_step("creating namespaces");
    const char *step = uids ? write_maps(0, uids, gids, deny) : NULL;
    if (step) return raise_step(step);
    Py_RETURN_NONE;
}

/* Every process of a user at once: those that multiply are no faster. Only the user itself may ask for that. */
static PyObject *kill_user(PyObject *self, PyObject *args) {
    (void)self;
    long uid;
    if (!PyArg_ParseTuple(args, "l", &uid)) return NULL;
    if (uid <= 0) {
        PyErr_SetString(PyExc_ValueError, "a user other than root is needed");
        return NULL;
    }
    pid_t pid = fork();
    if (pid < 0) return PyErr_SetFromErrno(PyExc_OSError);
    if (pid == 0) {
        if (syscall(SET_USER, uid, uid, uid) < 0) _exit(1);
        _exit(kill(-1, SIGKILL) < 0 && errno != ESRCH ? 1 : 0);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return PyErr_SetFromErrno(PyExc_OSError);
    return PyBool_FromLong(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static PyObject *set_death_signal(PyObject *self, PyObject *args) {
    (void)self;
    int number;
    if (!PyArg_ParseTuple(args, "i", &number)) return NULL;
    if (prctl(PR_SET_PDEATHSIG, number) < 0) return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"spawn", (PyCFunction)(void (*)(void))spawn, METH_VARARGS | METH_KEYWORDS, "Starts a program; returns its id."},
    {"execute", (PyCFunction)(void (*)(void))execute, METH_VARARGS | METH_KEYWORDS, "Replaces this process."},
    {"isolate", isolate, METH_VARARGS, "Moves this process into new namespaces."},
    {"kill_user", kill_user, METH_VARARGS, "Kills every process of a user; whether that could be asked for."},
    {"set_death_signal", set_death_signal, METH_VARARGS, "The signal this process gets when its parent dies."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_sandbox", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit__sandbox(void) {
    PyObject *m = PyModule_Create(&module);
    if (!m) return NULL;
    SetupError = PyErr_NewExceptionWithDoc("frazil.build._sandbox.SetupError", "(errno, step)", PyExc_OSError, NULL);
    if (!SetupError || PyModule_AddObjectRef(m, "SetupError", SetupError) < 0) return NULL;
    PyModule_AddIntConstant(m, "DIRECTORY", OP_DIRECTORY);
    PyModule_AddIntConstant(m, "FILE", OP_FILE);
    PyModule_AddIntConstant(m, "SYMLINK", OP_SYMLINK);
    PyModule_AddIntConstant(m, "BIND", OP_BIND);
    PyModule_AddIntConstant(m, "TMPFS", OP_TMPFS);
    PyModule_AddIntConstant(m, "PROC", OP_PROC);
    PyModule_AddIntConstant(m, "SYSFS", OP_SYSFS);
    PyModule_AddIntConstant(m, "DEVPTS", OP_DEVPTS);
    PyModule_AddIntConstant(m, "FREEZE", OP_FREEZE);
    PyModule_AddIntConstant(m, "PROTECT", OP_PROTECT);
    PyModule_AddIntConstant(m, "MODE", OP_MODE);
    PyModule_AddIntConstant(m, "OVERLAY", OP_OVERLAY);
    PyModule_AddStringConstant(m, "OLD_ROOT", OLD_ROOT);
    PyModule_AddIntConstant(m, "BIND_OPTIONAL", BIND_OPTIONAL);
    PyModule_AddIntConstant(m, "BIND_RDONLY", BIND_RDONLY);
    PyModule_AddIntConstant(m, "BIND_COPY_LINK", BIND_COPY_LINK);
    PyModule_AddIntConstant(m, "BIND_SCRATCH", BIND_SCRATCH);
    PyModule_AddIntConstant(m, "BIND_HARD_LINK", BIND_HARD_LINK);
    PyModule_AddIntConstant(m, "NEWUSER", CLONE_NEWUSER);
    PyModule_AddIntConstant(m, "NEWNS", CLONE_NEWNS);
    PyModule_AddIntConstant(m, "NEWPID", CLONE_NEWPID);
    PyModule_AddIntConstant(m, "NEWNET", CLONE_NEWNET);
    PyModule_AddIntConstant(m, "NEWIPC", CLONE_NEWIPC);
    PyModule_AddIntConstant(m, "NEWUTS", CLONE_NEWUTS);
    PyModule_AddIntConstant(m, "NEWCGROUP", CLONE_NEWCGROUP);
    PyModule_AddIntConstant(m, "PER_LINUX32", PER_LINUX32);
    PyModule_AddIntConstant(m, "ADDR_NO_RANDOMIZE", ADDR_NO_RANDOMIZE);
    return m;
}
