/* Memory for Python's small objects and the evaluator's own: arenas from regions that lie in large pages where those are
   cheap, and that a thread fills with pages ahead of their use.

   The kernel gives memory a page at a time, when it is first written to; for every 4 KiB that is a fault, and all faults
   together are up to a fifth of an evaluation. Three things help. Once it is known that much will be needed, a thread
   touches the pages that come next while evaluation goes on (where there is a second processor). It asks for large
   pages; but in a virtual machine whose balloon takes back what lies unused, a large page that the guest has not used
   for seconds costs several times its small ones, so the first use of each is timed, and after a slow one small pages do
   for a while. And where there is no thread, all pages of an arena are asked for in one go.

   Nothing here is needed: whatever the system refuses, memory comes as it would have come. */

#include <Python.h>

#if defined(__linux__) && !defined(Py_GIL_DISABLED)
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#define LARGE_PAGE ((size_t) 2 << 20)
#define REGION_SIZE ((size_t) 64 << 20)
#define MAXIMUM_REGIONS 1024
#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23
#endif

static PyObjectArenaAllocator system_arenas;
static void *free_arenas = NULL;
static size_t arena_size = 0;
static size_t handed_out = 0;

/* The last region is the one that arenas are cut from. `next` is written by the evaluator alone, `filled` by the thread
   alone, while there is one: what lies before it has its pages. */
typedef struct {
    char *begin, *end, *next, *filled;
} Region;
static Region regions[MAXIMUM_REGIONS];
static int region_count = 0;

static char *load(char **place) { return __atomic_load_n(place, __ATOMIC_ACQUIRE); }
static void store(char **place, char *value) { __atomic_store_n(place, value, __ATOMIC_RELEASE); }

static int begin_region(void) {
    size_t size = REGION_SIZE;
    char *memory, *begin;
    Region *region = &regions[region_count];
    if (region_count == MAXIMUM_REGIONS)
        return 0;
    memory = mmap(NULL, size + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return 0;
    begin = (char *) (((uintptr_t) memory + LARGE_PAGE - 1) & ~(uintptr_t) (LARGE_PAGE - 1));
    if (begin != memory)
        munmap(memory, (size_t) (begin - memory));
    if (begin - memory != (ptrdiff_t) LARGE_PAGE)
        munmap(begin + size, LARGE_PAGE - (size_t) (begin - memory));
    region->begin = region->next = region->filled = begin;
    region->end = begin + size;
    __atomic_store_n(&region_count, region_count + 1, __ATOMIC_RELEASE);
    return 1;
}

/* ---------------------------------------------------------------------------------------------------- large pages */

#define SLOW_PAGE_NS 800000
/* How much is yet to be had in small pages, and how much more it will be next time. */
static size_t small_left = (size_t) 8 << 20, small_next = (size_t) 16 << 20;

static long thread_time(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
        return 0;
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* Whether the two MiB at `page` have all their memory now. */
static int take_large_page(char *page) {
    long before;
    if (small_left >= LARGE_PAGE) {
        small_left -= LARGE_PAGE;
        return 0;
    }
    if (madvise(page, LARGE_PAGE, MADV_HUGEPAGE) != 0) {
        small_left = SIZE_MAX;
        return 0;
    }
    before = thread_time();
    /* A write that changes nothing: where the thread is late, somebody else's values may be there already. */
    __atomic_fetch_or(page, 0, __ATOMIC_RELAXED);
    if (thread_time() - before > SLOW_PAGE_NS) {
        small_left = small_next;
        if (small_next < SIZE_MAX / 4)
            small_next *= 4;
    }
    return 1;
}

/* ------------------------------------------------------------------------------------------------ pages ahead of use */

/* What a program that ends soon needs, which is left alone. */
#define MUCH ((size_t) 2 << 20)
#define AHEAD ((size_t) 512 << 10)
#define STEP ((size_t) 256 << 10)
#define STACK_SIZE ((size_t) 64 << 10)

static enum { UNKNOWN, THREADED, ALONE } way = UNKNOWN;
static int is_filling = 0;

static void *fill(void *argument) {
    Region *region = argument;
    char *page = load(&region->filled);
    while (region == &regions[__atomic_load_n(&region_count, __ATOMIC_ACQUIRE) - 1]) {
        char *next = load(&region->next);
        size_t step = STEP;
        if (page < next)
            page = next;
        if (page >= region->end || page >= next + AHEAD)
            break;
        if (((uintptr_t) page & (LARGE_PAGE - 1)) == 0 && take_large_page(page))
            step = LARGE_PAGE;
        else if (madvise(page, step, MADV_POPULATE_WRITE) != 0) {
            way = ALONE;
            break;
        }
        page += step;
        store(&region->filled, page);
    }
    __atomic_store_n(&is_filling, 0, __ATOMIC_RELEASE);
    return NULL;
}

static void begin_filling(Region *region) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int failed;
    if (pthread_attr_init(&attributes) != 0)
        return;
    /* Signals are for the threads that can act on them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    is_filling = 1;
    failed = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) ||
             pthread_attr_setstacksize(&attributes, STACK_SIZE) || pthread_create(&thread, &attributes, fill, region);
    if (failed) {
        is_filling = 0;
        way = ALONE;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

static void after_fork(void) { is_filling = 0; }

static int choose_way(void) {
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof usable, &usable) != 0 || CPU_COUNT(&usable) < 2)
        return ALONE;
    return pthread_atfork(NULL, NULL, after_fork) == 0 ? THREADED : ALONE;
}

/* Called before an arena is handed out. */
static void prepare(Region *region, char *arena) {
    if (handed_out > MUCH && way == UNKNOWN)
        way = choose_way();
    if (way == THREADED) {
        if (load(&region->filled) < arena + arena_size + AHEAD / 2 && region->filled < region->end &&
            !__atomic_load_n(&is_filling, __ATOMIC_ACQUIRE))
            begin_filling(region);
        return;
    }
    if (((uintptr_t) arena & (LARGE_PAGE - 1)) == 0 && take_large_page(arena))
        return;
    if (way == ALONE)
        madvise(arena, arena_size, MADV_POPULATE_WRITE);
}

/* -------------------------------------------------------------------------------------------------------- the arenas */

static void *new_arena(void *context, size_t size) {
    Region *region;
    void *arena;
    (void) context;
    if (arena_size == 0)
        arena_size = size;
    if (size != arena_size || LARGE_PAGE % size != 0)
        return system_arenas.alloc(system_arenas.ctx, size);
    if ((arena = free_arenas) != NULL) {
        free_arenas = *(void **) arena;
        return arena;
    }
    if ((region_count == 0 || regions[region_count - 1].next == regions[region_count - 1].end) && !begin_region())
        return system_arenas.alloc(system_arenas.ctx, size);
    region = &regions[region_count - 1];
    arena = region->next;
    store(&region->next, region->next + size);
    handed_out += size;
    prepare(region, arena);
    return arena;
}

static void free_arena(void *context, void *arena, size_t size) {
    int i;
    (void) context;
    for (i = 0; i < region_count; i++) {
        if ((char *) arena >= regions[i].begin && (char *) arena < regions[i].end) {
            *(void **) arena = free_arenas;
            free_arenas = arena;
            return;
        }
    }
    system_arenas.free(system_arenas.ctx, arena, size);
}

void frazil_use_own_arenas(void) {
    PyObjectArenaAllocator ours = {NULL, new_arena, free_arena};
    PyObjectArenaAllocator now;
    PyObject_GetArenaAllocator(&now);
    if (now.alloc == new_arena)
        return;
    system_arenas = now;
    PyObject_SetArenaAllocator(&ours);
#if defined(__GLIBC__)
    /* What else is allocated comes from one heap: a thread's own grows by a system call for every few pages. */
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TOP_PAD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
#endif
}

#else

void frazil_use_own_arenas(void) {}

#endif
