# How much of the thread's stack is left, and turns for other threads: part of `values`, which hands the names on.

cdef extern from *:
    """
    #ifndef FRAZIL_STACK_H
    #define FRAZIL_STACK_H
    #define FRAZIL_STACK_RESERVE (384 * 1024)
    /* Above every address, so that one comparison finds both a stack not yet measured and one that is used up. */
    #define FRAZIL_STACK_UNKNOWN ((char *) ~(size_t) 0)
    #include <pthread.h>
    #if defined(__GLIBC__) || defined(__linux__)
    extern int pthread_getattr_np(pthread_t, pthread_attr_t *);
    static __thread __attribute__((tls_model("initial-exec"))) char *frazil_stack_limit = FRAZIL_STACK_UNKNOWN;
    #else
    static __thread char *frazil_stack_limit = FRAZIL_STACK_UNKNOWN;
    #endif
    static __attribute__((noinline)) int frazil_find_stack(char *here) {
        char *low = here - 4 * 1024 * 1024;
        if (frazil_stack_limit != FRAZIL_STACK_UNKNOWN) return 1;
    #if defined(__APPLE__)
        pthread_t self = pthread_self();
        low = (char *) pthread_get_stackaddr_np(self) - pthread_get_stacksize_np(self);
    #elif defined(__linux__)
        pthread_attr_t attributes;
        void *address; size_t size;
        if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
            if (pthread_attr_getstack(&attributes, &address, &size) == 0) low = (char *) address;
            pthread_attr_destroy(&attributes);
        }
    #endif
        frazil_stack_limit = low + FRAZIL_STACK_RESERVE;
        return here < frazil_stack_limit;
    }
    /* Evaluation runs no Python code for long stretches. Without this a signal, or any other thread, would wait for
       its end. */
    static unsigned int frazil_ticks = 0;
    #define FRAZIL_TURN 0x8000
    void frazil_sweep(void);
    static __attribute__((noinline)) void frazil_let_others_run(void) {
        frazil_ticks = 0;
        PyEval_RestoreThread(PyEval_SaveThread());
        frazil_sweep();
    }
    static inline __attribute__((always_inline)) void frazil_spend(unsigned int ticks) {
        if (__builtin_expect((frazil_ticks += ticks) > FRAZIL_TURN, 0)) frazil_let_others_run();
    }
    static inline __attribute__((always_inline)) int frazil_stack_is_low(void) {
        char *here = (char *) __builtin_frame_address(0);
        frazil_spend(1);
        return __builtin_expect(here < frazil_stack_limit, 0) ? frazil_find_stack(here) : 0;
    }
    #endif
    """
    int check_signals "PyErr_CheckSignals" () except -1
    bint stack_is_low "frazil_stack_is_low" () noexcept
    void spend "frazil_spend" (unsigned int ticks) noexcept


cdef inline void spend_on(Py_ssize_t count) noexcept:
    """Account for work on so many elements, or characters, that asks for no calls."""
    spend(<unsigned int> count if count < 0x8000 else 0x8001)
