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
    OP_DIRECTORY = 1, OP_FILE, OP_SYMLINK, OP_BIND, OP_TMPFS, OP_PROC, OP_DEVPTS, OP_PROTECT, OP_MODE, OP_OVERLAY, OP_SYSFS
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
    int close_others, scope_sockets, wait_for_maps;
    int scratch; /* the folder of BIND_SCRATCH, as the host sees it, or -1 */
    int blank;   /* an empty file in it to mount on, or -1: further ones are links to it */
    int ruleset; /* of Landlock, or -1 */
    int later;   /* a socket that takes what `_attach.c` needs, or -1 */
    int cgroup;  /* `cgroup.procs` of the control group that the child belongs to, or -1 */
    int roots;
    const char *shared; /* below which things may be attached */
    int status, sync; /* pipes: failures out, "the maps are written" in */
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

/* Objects may be attached to the finished sandbox from outside (`_attach.c`): for that a mount namespace is kept that still
 * sees the host, and what is mounted there below `shared` appears in the builder's as well. The builder gets a copy of
 * it, so this process leaves no way to the host behind. */
static void keep_door(const struct spec *spec) {
    static const char *const names[] = {"/proc/self/ns/user", "/proc/self/ns/mnt"};
    int descriptors[2];
    if (mount(NULL, spec->shared, NULL, MS_SHARED, NULL) < 0) fail(spec, "sharing mounts below", spec->shared);
    for (int i = 0; i < 2; i++)
        if ((descriptors[i] = open(names[i], O_RDONLY | O_CLOEXEC)) < 0) fail(spec, "opening", names[i]);
    char byte = 0, buffer[CMSG_SPACE(sizeof descriptors)] __attribute__((aligned(8)));
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = buffer, .msg_controllen = sizeof buffer};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof descriptors);
    memcpy(CMSG_DATA(header), descriptors, sizeof descriptors);
    if (sendmsg(spec->later, &message, MSG_NOSIGNAL) < 0) fail(spec, "handing over namespaces", NULL);
    for (int i = 0; i < 2; i++) close(descriptors[i]);
    if (unshare(CLONE_NEWNS) < 0) fail(spec, "creating a second mount namespace", NULL);
}

/* The new root is a tmpfs with the host's file system below OLD_ROOT while the operations run. */
static void enter_root(struct spec *spec) {
    if (mount("none", "/", NULL, MS_REC | (spec->propagate ? MS_SLAVE : MS_PRIVATE), NULL) < 0)
        fail(spec, "making '/' private", NULL);
    static const char *const bases[] = {"/tmp", "/proc", "/dev", "/usr", NULL};
    const char *base = NULL;
    for (int i = 0; bases[i] && !base; i++)
        if (mount("none", bases[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0) base = bases[i];
    if (!base) fail(spec, "mounting a new root directory", NULL);
    if (chdir(base) < 0) fail(spec, "entering the new root directory", NULL);
    if (mkdir(OLD_ROOT + 1, 0700) < 0) fail(spec, "creating a place for the old root directory", NULL);
    if (syscall(SYS_pivot_root, ".", OLD_ROOT + 1) < 0) fail(spec, "changing the root directory", NULL);
    if (chdir("/") < 0) fail(spec, "entering the new root directory", NULL);
    mode_t mask = umask(0);
    for (Py_ssize_t i = 0; i < spec->operation_count; i++) apply(spec, &spec->operations[i]);
    umask(mask);
    if (spec->scratch >= 0) close(spec->scratch);
    if (spec->blank >= 0) close(spec->blank);
    if (spec->later >= 0) keep_door(spec);
    if (umount2(OLD_ROOT, MNT_DETACH) < 0) fail(spec, "unmounting the old root directory", NULL);
    /* Removing it would undo the mount in the kept namespace, too: an empty folder stays. */
    if (spec->later < 0 && rmdir(OLD_ROOT) < 0) fail(spec, "removing the place of the old root directory", NULL);
    if (!spec->propagate && !spec->roots && chmod("/", 0555) < 0) fail(spec, "setting the mode of", "/");
}

static void bring_loopback_up(const struct spec *spec) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0) fail(spec, "bringing the loopback interface up", NULL);
    close(fd);
}

static void die_with_parent(const struct spec *spec) {
    if (!spec->die) return;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail(spec, "setting the death signal", NULL);
    /* The parent may be gone already: then nobody holds the other end of the status pipe. */
    struct pollfd pollfd = {.fd = spec->status};
    if (poll(&pollfd, 1, 0) == 1 && (pollfd.revents & POLLERR)) _exit(127);
}

static void take_identity(const struct spec *spec) {
    if (spec->gid >= 0) {
        if (syscall(SET_GROUPS, spec->group_count, spec->groups) < 0 && (spec->group_count || errno != EPERM))
            fail(spec, "setting the supplementary groups", NULL);
        if (syscall(SET_GROUP, spec->gid, spec->gid, spec->gid) < 0) fail(spec, "setting the group", NULL);
    }
    if (spec->uid >= 0) {
        if (syscall(SET_USER, spec->uid, spec->uid, spec->uid) < 0) fail(spec, "setting the user", NULL);
        die_with_parent(spec); /* a change of user clears it */
    }
}

/* The id by which the caller may enter the host's folders has no name among those of the builder, and nothing can be
 * made under it: so what is to be shown is opened first, then the builder's root takes over. */
static void become_root(const struct spec *spec) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        setrlimit(RLIMIT_NOFILE, &raised);
    }
    for (Py_ssize_t i = 0; i < spec->operation_count; i++) {
        struct operation *o = &spec->operations[i];
        if (o->kind != OP_BIND) continue;
        o->opened = open(o->source, O_PATH | O_CLOEXEC | (o->flags & BIND_COPY_LINK ? O_NOFOLLOW : 0));
        if (o->opened < 0 && !((o->flags & BIND_OPTIONAL) && (errno == ENOENT || errno == ENOTDIR)))
            fail(spec, "getting attributes of path", o->source);
    }
    take_identity(spec);
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int scope_abstract_sockets(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    if (abi < 6) return 0;
    uint64_t attributes[3] = {0, 0, LANDLOCK_SCOPE_ABSTRACT_SOCKET}; /* handled file and network accesses, scoped */
    int fd = syscall(SYS_landlock_create_ruleset, attributes, sizeof attributes, 0);
    if (fd < 0) return -1;
    int result = syscall(SYS_landlock_restrict_self, fd, 0);
    close(fd);
    return result;
}

static void confine(const struct spec *spec) {
    if (spec->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail(spec, "refusing new privileges", NULL);
    if (spec->scope_sockets && scope_abstract_sockets() < 0 && errno != EPERM)
        fail(spec, "applying Landlock", NULL);
    if (spec->personality) {
        if (personality(spec->personality) < 0) fail(spec, "setting the personality", NULL);
    }
    if (spec->filter_length) {
        struct sock_fprog program = {.len = spec->filter_length, .filter = (struct sock_filter *)spec->filter};
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
            fail(spec, "loading the system call filter", NULL);
    }
}

static void redirect(const struct spec *spec) {
    if (spec->input >= 0 && dup2(spec->input, 0) < 0) fail(spec, "redirecting standard input", NULL);
    if (spec->output >= 0 && (dup2(spec->output, 1) < 0 || dup2(spec->output, 2) < 0))
        fail(spec, "redirecting standard output", NULL);
}

/* The status pipe moves to 3 and closes when the program starts; nothing else survives. */
static void close_others(struct spec *spec) {
    if (!spec->close_others) return;
    if (spec->status != 3) {
        if (dup3(spec->status, 3, O_CLOEXEC) < 0) fail(spec, "moving the status pipe", NULL);
        spec->status = 3;
    }
    if (syscall(SYS_close_range, 4, ~0U, 0) < 0)
        for (int fd = 4; fd < 65536; fd++) close(fd);
}

static void default_signals(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP) sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A builder that cannot be executed is a failed build, not a failed set-up: the reason goes to its log. */
static _Noreturn void report_exec(const struct spec *spec) {
    if (spec->output < 0) fail(spec, "unable to execute", spec->program);
    char text[PATH_MAX + 256];
    int n = snprintf(text, sizeof text, "executing '%s': %s\n", spec->program, strerror(errno));
    ssize_t ignored = write(2, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
    (void)ignored;
    _exit(1);
}

/* As execvp, but with the search path of the environment that the program gets, inside its own root. */
static void run(const struct spec *spec) {
    const char *search = NULL;
    if (strchr(spec->program, '/')) {
        execve(spec->program, spec->argv, spec->envp);
        if (errno != ENOEXEC || spec->output >= 0) return;
        search = "";
    } else
        for (char **e = spec->envp; *e && !search; e++)
            if (strncmp(*e, "PATH=", 5) == 0) search = *e + 5;
    char path[PATH_MAX];
    int error = ENOENT;
    size_t name = strlen(spec->program);
    snprintf(path, sizeof path, "%s", spec->program);
    for (const char *entry = search; entry && *entry;) {
        size_t length = strcspn(entry, ":");
        if (length && length + name + 2 < sizeof path) {
            memcpy(path, entry, length);
            path[length] = '/';
            memcpy(path + length + 1, spec->program, name + 1);
            execve(path, spec->argv, spec->envp);
            if (errno == ENOEXEC) break;
            if (errno != ENOENT && errno != ENOTDIR) error = errno;
            errno = error;
        }
        entry += length + (entry[length] == ':');
    }
    if (errno == ENOEXEC) { /* a script without an interpreter line; `to_vector` left room in front */
        char **shell = spec->argv - 1;
        shell[0] = "sh", shell[1] = path;
        execve("/bin/sh", shell, spec->envp);
        return;
    }
    errno = error;
}

static void prepare(struct spec *spec) {
    die_with_parent(spec);
    if (spec->new_session && setsid() < 0) fail(spec, "creating a new session", NULL);
    if (spec->loopback) bring_loopback_up(spec);
    if (spec->hostname) {
        if (sethostname(spec->hostname, strlen(spec->hostname)) < 0) fail(spec, "setting the host name", NULL);
        if (setdomainname("(none)", 6) < 0) fail(spec, "setting the domain name", NULL);
    }
    redirect(spec);
    if (spec->roots) become_root(spec);
    if (spec->new_root) enter_root(spec);
    confine(spec); /* while there are capabilities: a filter needs them where new privileges stay allowed */
    if (!spec->roots) take_identity(spec);
    if (spec->ruleset >= 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                               syscall(SYS_landlock_restrict_self, spec->ruleset, 0) < 0))
        fail(spec, "applying Landlock", NULL);
    if (chdir(spec->directory) < 0) fail(spec, "changing into", spec->directory);
    close_others(spec);
    if (spec->no_cores) {
        struct rlimit limit = {0, RLIM_INFINITY};
        if (setrlimit(RLIMIT_CORE, &limit) < 0) {
            limit.rlim_max = 0;
            setrlimit(RLIMIT_CORE, &limit);
        }
        umask(0022);
    }
}

static int child(void *argument) {
    struct spec *spec = argument;
    char byte;
    /* Copies that would keep the pipes open after the parent's death, which they are there to tell. */
    for (int i = 0; i < 2; i++) close(spec->parents[i]);
    if (spec->wait_for_maps && read(spec->sync, &byte, 1) != 1) _exit(127);
    /* By now it is in its control group, which is to look like the root of all. */
    if (spec->cgroup >= 0 && unshare(CLONE_NEWCGROUP) < 0) fail(spec, "creating a control group namespace", NULL);
    prepare(spec);
    default_signals();
    run(spec);
    report_exec(spec);
}

/* ---- in the parent ---- */

static int write_proc(pid_t pid, const char *name, const char *text, size_t length) {
    char path[64];
    if (pid)
        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    else
        snprintf(path, sizeof path, "/proc/self/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = write(fd, text, length);
    int error = errno;
    close(fd);
    errno = error;
    return n < 0 ? -1 : 0;
}

static const char *write_maps(pid_t pid, const char *uids, const char *gids, int deny_setgroups) {
    if (deny_setgroups && write_proc(pid, "setgroups", "deny", 4) < 0 && errno != ENOENT) return "writing setgroups";
    if (write_proc(pid, "gid_map", gids, strlen(gids)) < 0) return "writing the group map";
    if (write_proc(pid, "uid_map", uids, strlen(uids)) < 0) return "writing the user map";
    return NULL;
}

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
static pid_t start(struct spec *spec, const char *uids, const char *gids, int deny, struct failure *failure) {
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
    spec->status = status[1], spec->sync = sync[0], spec->wait_for_maps = uids != NULL;
    spec->parents[0] = status[0], spec->parents[1] = sync[1];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(child, stack + CHILD_STACK, spec->clone_flags | CLONE_VM | SIGCHLD, spec);
    int error = errno;
    close(sync[0]), close(status[1]);
    if (pid > 0) {
        const char *step = uids ? write_maps(pid, uids, gids, deny) : NULL;
        if (!step && spec->cgroup >= 0 && dprintf(spec->cgroup, "%d", (int)pid) < 0)
            step = "moving the builder into its control group";
        if (step) {
            failure->error = errno;
            snprintf(failure->step, sizeof failure->step, "%s", step);
        } else if (uids && write(sync[1], "1", 1) != 1) {
            failure->error = errno;
            strcpy(failure->step, "starting the child");
        }
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
        close(sync[1]);
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
    const char *uids, *gids;
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
                                     &environment, &s->directory, &operations, &s->clone_flags, &p->uids, &p->gids,
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
    s->no_cores = s->close_others = confined;
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
        pid = start(&p.spec, p.uids, p.gids, p.deny, &failure);
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
    const char *step = p.uids ? write_maps(0, p.uids, p.gids, p.deny) : NULL;
    if (step) {
        release(&p);
        return raise_step(step);
    }
    p.spec.status = -1;
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
