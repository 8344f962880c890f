/* The installed program `frazil`: starts Python without `site`, which takes longer than much of what follows.
 *
 * Beside it lies `frazil-python`, a script as any other, whose first line names the interpreter (pip wrote it). Where
 * the package's folder is found without `site`, the script is told so, and what `site` does happens when the first
 * module is asked for that is neither Python's nor frazil's. Where it is not found, the script starts as ever.
 *
 * Python answers Ctrl-C with a traceback from its own first moments. So that signal waits until the script's first lines
 * have seen to it: it is blocked here, and the script is told to let it through.
 *
 * In: PYTHON (3.11), VERSION (frazil's). No more of the C library than a static program has. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { LINE = 4096 };

static const char *const PLACES[] = {
    "lib/python" PYTHON "/site-packages",
    "lib64/python" PYTHON "/site-packages",
    "lib/python" PYTHON "/dist-packages",
    "local/lib/python" PYTHON "/dist-packages",
    "lib/python3/dist-packages",
};

static int fail(const char *what, const char *path) {
    fprintf(stderr, "frazil: %s '%s': %s\n", what, path, strerror(errno));
    return 127;
}

/* `folder/name`; 0 where that is too long. */
static int join(char *path, size_t room, const char *folder, const char *name) {
    int length = snprintf(path, room, "%s/%s", folder, name);
    return length > 0 && (size_t)length < room;
}

/* The first line of a file, without its end; 0 where there is none, or where it is too long. */
static int first_line(const char *path, char line[LINE]) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return 0;
    ssize_t size = read(descriptor, line, LINE - 1);
    int number = errno;
    close(descriptor);
    errno = number;
    if (size < 0)
        return 0;
    line[size] = 0;
    char *end = strchr(line, '\n');
    if (end == NULL) {
        errno = ENOEXEC;
        return 0;
    }
    while (end > line && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    *end = 0;
    return 1;
}

static int holds_package(const char *folder) {
    char path[PATH_MAX];
    return join(path, sizeof path, folder, "frazil/__init__.py") && access(path, R_OK) == 0;
}

/* Where the package is, for an installation at `base`: beside the others, or where an editable installation says. */
static int find_package(const char *base, char folder[PATH_MAX]) {
    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
        char path[PATH_MAX], line[LINE];
        if (!join(folder, PATH_MAX, base, PLACES[i]))
            continue;
        if (holds_package(folder))
            return 1;
        if (join(path, sizeof path, folder, "__editable__.frazil-" VERSION ".pth") && first_line(path, line) &&
            line[0] == '/' && strlen(line) < PATH_MAX && holds_package(line)) {
            strcpy(folder, line);
            return 1;
        }
    }
    return 0;
}

/* Whether SIGINT waits from now on. Not where somebody else blocked it: then it stays so. */
static int hold_interrupts(void) {
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    return sigprocmask(SIG_BLOCK, &interrupt, &before) == 0 && !sigismember(&before, SIGINT);
}

int main(int count, char **given) {
    char own[PATH_MAX], script[PATH_MAX], folder[PATH_MAX], line[LINE];
    /* The path that was executed: a link's, where it is one. That is what a script would be told, too. */
    const char *name = (const char *)getauxval(AT_EXECFN);
    if (name == NULL || !*name)
        name = count > 0 ? given[0] : "frazil";
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length >= 0)
        own[length] = 0;
    else if (realpath(name, own) == NULL)
        return fail("cannot find out where this program is", name);
    char *slash = strrchr(own, '/');
    if (slash == NULL)
        return fail("cannot find out where this program is", own);
    *slash = 0;
    if (!join(script, sizeof script, own, "frazil-python")) {
        errno = ENAMETOOLONG;
        return fail("cannot run", own);
    }
    if (!first_line(script, line))
        return fail("cannot read", script);
    if (strncmp(line, "#!", 2)) {
        errno = ENOEXEC;
        return fail("cannot run", script);
    }
    char *interpreter = line + 2 + strspn(line + 2, " \t"), *option = interpreter + strcspn(interpreter, " \t");
    if (*option)
        *option++ = 0;
    option += strspn(option, " \t");
    slash = strrchr(own, '/');
    if (slash == own)
        slash++; /* the root */
    if (slash != NULL)
        *slash = 0;
    int found = slash != NULL && find_package(own, folder);
    char **arguments = calloc((size_t)count + 10, sizeof *arguments), **end = arguments;
    if (arguments == NULL)
        return fail("cannot run", script);
    *end++ = interpreter;
    if (*option)
        *end++ = option;
    if (found)
        *end++ = "-S";
    *end++ = "-P"; /* beside the script are programs, no modules */
    *end++ = script;
    *end++ = "--launched-for-" PYTHON;
    *end++ = hold_interrupts() ? "held" : "";
    *end++ = found ? folder : "";
    *end++ = (char *)name;
    for (int i = 1; i < count; i++)
        *end++ = given[i];
    execv(interpreter, arguments);
    return fail("cannot run", interpreter);
}
