/* What a started process does until it becomes the builder: session, network, identity, restrictions, the program. A part
 * of `build/_sandbox.c`, run in the child: system calls only. Sources: credentials(7), user_namespaces(7), landlock(7),
 * seccomp(2), keyctl(2), execve(2). */

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
    int n = snprintf(text, sizeof text, "error: executing '%s': %s\n", spec->program, strerror(errno));
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

/* The session keyring is inherited and opens to whoever has it, whatever their namespaces. */
static void leave_keyring(const struct spec *spec) {
    if (syscall(SYS_keyctl, JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM && errno != EACCES)
        fail(spec, "joining a session keyring", NULL);
}

/* What needs capabilities, but no ids: done while the parent writes their maps. */
static void prepare_without_ids(struct spec *spec) {
    die_with_parent(spec);
    if (spec->new_session && setsid() < 0) fail(spec, "creating a new session", NULL);
    if (spec->late_flags && unshare(spec->late_flags) < 0) fail(spec, "creating namespaces", NULL);
    if (spec->own_keyring) leave_keyring(spec);
    if (spec->loopback) bring_loopback_up(spec);
    if (spec->hostname) {
        if (sethostname(spec->hostname, strlen(spec->hostname)) < 0) fail(spec, "setting the host name", NULL);
        if (setdomainname("(none)", 6) < 0) fail(spec, "setting the domain name", NULL);
    }
    redirect(spec);
    if (spec->new_root) separate_mounts(spec);
    confine(spec); /* while there are capabilities: a filter needs them where new privileges stay allowed */
}

static void prepare(struct spec *spec) {
    if (spec->roots) become_root(spec);
    if (spec->new_root) enter_root(spec);
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

static int child(void *argument) {
    struct spec *spec = argument;
    char byte;
    /* Copies that would keep the pipes open after the parent's death, which they are there to tell. */
    for (int i = 0; i < 2; i++) close(spec->parents[i]);
    prepare_without_ids(spec);
    if (spec->maps_itself) {
        const char *step = write_maps(0, spec->uids, spec->gids, 1);
        if (step) fail(spec, step, NULL);
    }
    if (spec->wait_for_parent && read(spec->sync, &byte, 1) != 1) _exit(127);
    /* By now it is in its control group, which is to look like the root of all. */
    if (spec->cgroup >= 0 && unshare(CLONE_NEWCGROUP) < 0) fail(spec, "creating a control group namespace", NULL);
    prepare(spec);
    default_signals();
    run(spec);
    report_exec(spec);
}
