cimport cython


cdef extern from *:
    """
    #ifndef FRAZIL_STACK_H
    #define FRAZIL_STACK_H
    #define FRAZIL_STACK_RESERVE (384 * 1024)
    #include <pthread.h>
    #if defined(__GLIBC__) || defined(__linux__)
    extern int pthread_getattr_np(pthread_t, pthread_attr_t *);
    static __thread __attribute__((tls_model("initial-exec"))) char *frazil_stack_limit = 0;
    #else
    static __thread char *frazil_stack_limit = 0;
    #endif
    static __attribute__((noinline, cold)) int frazil_find_stack(char *here) {
        char *low = here - 4 * 1024 * 1024;
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
    static inline __attribute__((always_inline)) int frazil_stack_is_low(void) {
        char *here = (char *) __builtin_frame_address(0);
        if (__builtin_expect(here < frazil_stack_limit, 0)) return 1;
        if (__builtin_expect(frazil_stack_limit == 0, 0)) return frazil_find_stack(here);
        return 0;
    }
    #endif
    """
    bint stack_is_low "frazil_stack_is_low" () noexcept nogil


cdef class State:
    cdef public object effects
    cdef public object settings
    cdef public object positions
    cdef public long long call_depth
    cdef public long long max_call_depth
    cdef public bint show_trace


cdef class Env:
    cdef Env up
    cdef object payload


cdef class Expr:
    cdef State state
    cdef public long long pos
    cdef object eval(self, Env env)
    cdef object delay(self, Env env)
    cdef object peek(self, Env env)


cdef class LambdaExpr(Expr):
    cdef public object name
    cdef object apply(self, Env up, object argument, long long call_pos)


@cython.final
cdef class Thunk:
    cdef Expr expr
    cdef object slot


@cython.final
cdef class Shape:
    cdef readonly tuple names
    cdef readonly dict index
    cdef readonly list positions


@cython.final
cdef class MergedPositions:
    cdef object left
    cdef object right
    cdef int depth


@cython.final
cdef class Attrs:
    cdef Shape shape
    cdef list values
    cdef dict table
    cdef object origin
    cdef public long long pos
    cpdef object lookup(self, str name)
    cpdef bint has(self, str name)
    cpdef long long size(self)
    cpdef object names(self)
    cpdef list items(self)
    cpdef list raw_values(self)
    cpdef long long position(self, str name)
    cpdef dict copy_table(self)
    cdef dict as_table(self)


@cython.final
cdef class Lambda:
    cdef readonly LambdaExpr expr
    cdef Env env


@cython.final
cdef class Primop:
    cdef readonly str name
    cdef readonly Py_ssize_t arity
    cdef readonly object function
    cdef readonly bint internal


@cython.final
cdef class PrimopApplication:
    cdef readonly Primop primop
    cdef readonly list arguments


@cython.final
cdef class PathValue:
    cdef readonly str text


@cython.final
cdef class ContextString:
    cdef readonly str text
    cdef readonly object context


cdef object MISSING
cdef Attrs EMPTY_ATTRS
cdef Expr BLACKHOLE

cpdef Attrs attrs_from_dict(dict table, object positions=*, long long pos=*)
cdef Attrs update_attrs(Attrs left, Attrs right)
cdef Thunk new_thunk(Expr expr, object slot)
cpdef Attrs without_names(Attrs attrs, object names)
cpdef bint has_origin(object origin, str name)
cpdef long long origin_position(object origin, str name)
