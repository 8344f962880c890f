/* What is put into a sandbox's root: folders, files, links, mounts. A part of `build/_sandbox.c`, run in the child:
 * system calls only. Sources: mount(2), mount_setattr(2), statvfs(3); the kernel's documentation of overlayfs. */

static void make_parents(const struct spec *spec, const char *path) {
    char buffer[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof buffer) {
        errno = ENAMETOOLONG;
        fail(spec, "creating the parents of", path);
    }
    memcpy(buffer, path, length + 1);
    /* Most parents exist: walk back to the deepest one that does, then forward. */
    size_t end = length;
    while (end > 1) {
        while (end > 1 && buffer[end - 1] != '/') end--;
        if (end <= 1) return;
        buffer[end - 1] = 0;
        if (mkdir(buffer, 0755) == 0) break;
        if (errno == EEXIST) return;
        if (errno != ENOENT) fail(spec, "creating the directory", buffer);
        end--;
    }
    for (; end < length; end++) {
        if (buffer[end - 1] != 0) continue;
        buffer[end - 1] = '/';
        if (strlen(buffer) >= length) return;
        if (mkdir(buffer, 0755) < 0 && errno != EEXIST) fail(spec, "creating the directory", buffer);
    }
}

static const char *host_path(const struct spec *spec, char *buffer, const char *path) {
    if (!spec->new_root) return path;
    size_t prefix = sizeof OLD_ROOT - 1, length = strlen(path);
    if (length + prefix >= PATH_MAX) {
        errno = ENAMETOOLONG;
        fail(spec, "finding", path);
    }
    memcpy(buffer, OLD_ROOT, prefix);
    memcpy(buffer + prefix, path, length + 1);
    return buffer;
}

static int set_attributes(const char *path, int recursive, uint64_t set, uint64_t clear) {
    struct mount_attributes attributes = {.set = set, .clear = clear};
    return syscall(SYS_mount_setattr, AT_FDCWD, path, recursive ? AT_RECURSIVE : 0, &attributes, sizeof attributes);
}

/* For kernels before 5.12. Flags that the mount has must be repeated: some are locked in a user namespace. */
static int remount_read_only(const char *path) {
    struct statvfs st;
    if (statvfs(path, &st) < 0) return -1;
    unsigned long keep = 0;
    if (st.f_flag & ST_NODEV) keep |= MS_NODEV;
    if (st.f_flag & ST_NOEXEC) keep |= MS_NOEXEC;
    if (st.f_flag & ST_NOATIME) keep |= MS_NOATIME;
    if (st.f_flag & ST_NODIRATIME) keep |= MS_NODIRATIME;
    if (st.f_flag & ST_RELATIME) keep |= MS_RELATIME;
    return mount("none", path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | keep, NULL);
}

static void copy_link(const struct spec *spec, const char *source, const struct operation *operation) {
    char target[PATH_MAX];
    int opened = operation->opened;
    ssize_t n = opened < 0 ? readlink(source, target, sizeof target - 1) : readlinkat(opened, "", target, sizeof target - 1);
    if (n < 0) fail(spec, "reading the symbolic link", operation->source);
    target[n] = 0;
    make_parents(spec, operation->path);
    if (symlink(target, operation->path) < 0) fail(spec, "creating symlink", operation->path);
    struct stat st;
    if ((opened < 0 ? lstat(source, &st) : fstat(opened, &st)) == 0) {
        struct timespec times[2] = {st.st_atim, st.st_mtim};
        utimensat(AT_FDCWD, operation->path, times, AT_SYMLINK_NOFOLLOW);
    }
}

static const char *last_component(const char *path) {
    return strrchr(path, '/') + 1;
}

/* An input that is a file needs no mount where the builder could not change it anyway: it is root's, and the sticky
 * folder's names are root's, too. Links and their source have to be looked at through one and the same mount. */
static int hard_link(const struct spec *spec, const char *source, const struct stat *st, const char *path) {
    if (spec->scratch < 0 || st->st_uid != 0 || (st->st_mode & 07022)) return -1;
    return linkat(AT_FDCWD, source, spec->scratch, last_component(path), 0);
}

/* Files to mount on are names of one file: what is made and deleted by the hundred for each build makes some file
 * systems slow, since they do not give numbers again that were free a moment ago. */
static void make_mount_point(struct spec *spec, const struct operation *operation) {
    const char *path = operation->path;
    char blank[64];
    if (spec->blank >= 0 && (operation->flags & BIND_COPY_LINK)) {
        snprintf(blank, sizeof blank, OLD_ROOT "/proc/self/fd/%d", spec->blank);
        if (linkat(AT_FDCWD, blank, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) return;
    }
    /* Not for writing: what is open for that cannot become read-only. */
    int fd = open(path, O_CREAT | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) fail(spec, "creating regular file", path);
    if (spec->blank < 0 && spec->scratch >= 0 && (operation->flags & BIND_COPY_LINK))
        spec->blank = fd;
    else
        close(fd);
}

static void bind_path(struct spec *spec, const struct operation *operation) {
    char buffer[PATH_MAX], opened[40];
    const char *source = operation->source, *path = operation->path;
    struct stat st;
    if (operation->opened >= 0) {
        snprintf(opened, sizeof opened, "/proc/self/fd/%d", operation->opened);
        source = opened;
    } else if (spec->roots)
        return; /* it is not there, and need not be */
    source = host_path(spec, buffer, source);
    int missing = operation->opened >= 0 ? fstat(operation->opened, &st)
                  : operation->flags & BIND_COPY_LINK ? lstat(source, &st) : stat(source, &st);
    if (missing < 0) {
        if ((operation->flags & BIND_OPTIONAL) && (errno == ENOENT || errno == ENOTDIR)) return;
        fail(spec, "getting attributes of path", operation->source);
    }
    if (S_ISLNK(st.st_mode)) {
        copy_link(spec, source, operation);
        return;
    }
    if ((operation->flags & BIND_HARD_LINK) && S_ISREG(st.st_mode) && hard_link(spec, source, &st, path) == 0) return;
    make_parents(spec, path);
    if (!S_ISDIR(st.st_mode))
        make_mount_point(spec, operation);
    else if (mkdir(path, 0755) < 0 && errno != EEXIST)
        fail(spec, "creating the directory", path);
    if (mount(source, path, NULL, MS_BIND | MS_REC, NULL) < 0) fail(spec, "bind mounting", operation->source);
    if ((operation->flags & BIND_RDONLY) && set_attributes(path, 1, ATTRIBUTE_RDONLY | ATTRIBUTE_NOSUID, 0) < 0 &&
        (errno != ENOSYS || remount_read_only(path) < 0))
        fail(spec, "making read-only", path);
    if ((operation->flags & BIND_SCRATCH) &&
        (spec->scratch = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        fail(spec, "opening", operation->source);
}

/* What is there, if it is, stays as it is, or is covered by the source. */
static void freeze(const struct spec *spec, const struct operation *operation) {
    char buffer[PATH_MAX];
    const char *path = operation->path, *source = path;
    if (*operation->source) source = host_path(spec, buffer, operation->source);
    if (mount(source, path, NULL, MS_BIND | MS_REC, NULL) < 0) {
        if (errno == ENOENT) return;
        fail(spec, "bind mounting", path);
    }
    if (set_attributes(path, 1, ATTRIBUTE_RDONLY, 0) < 0 && (errno != ENOSYS || remount_read_only(path) < 0))
        fail(spec, "making read-only", path);
}

/* Everything mounted below `path` becomes read-only; the mount at `path` itself stays writable. */
static void protect(const struct spec *spec, const struct operation *operation) {
    const char *path = operation->path;
    if (set_attributes(path, 1, ATTRIBUTE_RDONLY | ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV, 0) == 0) {
        if (set_attributes(path, 0, 0, ATTRIBUTE_RDONLY) < 0) fail(spec, "making writable", path);
        return;
    }
    if (errno != ENOSYS) fail(spec, "making read-only what is below", path);
    size_t length = strlen(path);
    for (const struct operation *o = spec->operations; o < operation; o++) {
        struct stat st;
        if (o->kind != OP_BIND || strncmp(o->path, path, length) != 0 || o->path[length] != '/') continue;
        if (lstat(o->path, &st) < 0 || S_ISLNK(st.st_mode)) continue;
        if (remount_read_only(o->path) < 0) fail(spec, "making read-only", o->path);
    }
}

static void write_file(const struct spec *spec, const struct operation *operation) {
    make_parents(spec, operation->path);
    int fd = open(operation->path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, operation->flags);
    if (fd < 0) fail(spec, "creating regular file", operation->path);
    for (Py_ssize_t done = 0; done < operation->source_length;) {
        ssize_t n = write(fd, operation->source + done, operation->source_length - done);
        if (n < 0) fail(spec, "writing", operation->path);
        done += n;
    }
    close(fd);
}

/* Several host folders as one, read-only. Overlays stack two deep only, and not on every file system: then the first
 * folder alone. */
static void overlay(const struct spec *spec, const struct operation *operation) {
    const char *path = operation->path, *layers = operation->source + strlen("lowerdir=");
    char first[PATH_MAX];
    size_t length = strcspn(layers, ":");
    make_parents(spec, path);
    if (mkdir(path, 0755) < 0 && errno != EEXIST) fail(spec, "creating the directory", path);
    if (mount("none", path, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, operation->source) == 0) return;
    if (length >= sizeof first) fail(spec, "mounting an overlay at", path);
    memcpy(first, layers, length);
    first[length] = 0;
    if (mount(first, path, NULL, MS_BIND | MS_REC, NULL) < 0) fail(spec, "bind mounting", first);
    if (set_attributes(path, 1, ATTRIBUTE_RDONLY | ATTRIBUTE_NOSUID, 0) < 0 &&
        (errno != ENOSYS || remount_read_only(path) < 0))
        fail(spec, "making read-only", path);
}

static void apply(struct spec *spec, const struct operation *operation) {
    const char *path = operation->path;
    switch (operation->kind) {
    case OP_DIRECTORY:
        make_parents(spec, path);
        if (mkdir(path, operation->flags) < 0 && errno != EEXIST) fail(spec, "creating the directory", path);
        if (chmod(path, operation->flags) < 0) fail(spec, "setting the mode of", path);
        break;
    case OP_FILE:
        write_file(spec, operation);
        break;
    case OP_SYMLINK:
        make_parents(spec, path);
        if (symlink(operation->source, path) < 0) fail(spec, "creating symlink", path);
        break;
    case OP_BIND:
        bind_path(spec, operation);
        break;
    case OP_TMPFS:
        make_parents(spec, path);
        if (mkdir(path, 0755) < 0 && errno != EEXIST) fail(spec, "creating the directory", path);
        if (mount("none", path, "tmpfs", MS_NOSUID | MS_NODEV, operation->source) < 0) fail(spec, "mounting", path);
        break;
    case OP_PROC:
        if (mkdir(path, 0755) < 0 && errno != EEXIST) fail(spec, "creating the directory", path);
        if (mount("none", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) fail(spec, "mounting", path);
        break;
    case OP_SYSFS:
        if (mkdir(path, 0755) < 0 && errno != EEXIST) fail(spec, "creating the directory", path);
        if (mount("none", path, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) fail(spec, "mounting", path);
        break;
    case OP_DEVPTS:
        if (mkdir(path, 0755) < 0 && errno != EEXIST) fail(spec, "creating the directory", path);
        if (mount("none", path, "devpts", MS_NOSUID | MS_NOEXEC, operation->source) < 0) fail(spec, "mounting", path);
        break;
    case OP_PROTECT:
        protect(spec, operation);
        break;
    case OP_FREEZE:
        freeze(spec, operation);
        break;
    case OP_OVERLAY:
        overlay(spec, operation);
        break;
    case OP_MODE:
        if (chmod(path, operation->flags) < 0) fail(spec, "setting the mode of", path);
        break;
    }
}

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

static void separate_mounts(const struct spec *spec) {
    if (mount("none", "/", NULL, MS_REC | (spec->propagate ? MS_SLAVE : MS_PRIVATE), NULL) < 0)
        fail(spec, "making '/' private", NULL);
}

/* The new root is a tmpfs with the host's file system below OLD_ROOT while the operations run. */
static void enter_root(struct spec *spec) {
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
