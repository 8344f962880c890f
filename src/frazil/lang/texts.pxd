# Texts as the bytes they are, and integers: part of `values`, which hands the names on.

cdef extern from "frazil/native/values/texts.h":
    const unsigned char *latin1 "frazil_latin1"(str text) noexcept
    bint is_in_order "frazil_is_in_order"(str text) noexcept
    const unsigned char *byte_pointer "frazil_bytes"(bytes data) noexcept
    int *int_pointer "frazil_ints"(object data) noexcept
    long long *word_pointer "frazil_words"(bytearray data) noexcept
    long long int_value "frazil_int"(object number) noexcept
    str decimal "frazil_decimal"(object number)
    str joined "frazil_joined"(list parts)
    str joined2 "frazil_joined2"(str first, str second)
    str joined3 "frazil_joined3"(str first, str second, str third)
    bint same_text "frazil_same_text"(str left, str right) noexcept
    object quoted "frazil_quoted"(str text)
    unsigned char *writable "frazil_writable"(bytearray data) noexcept
    str symbol_of "frazil_symbol"(dict symbols, const unsigned char *text, Py_ssize_t start, Py_ssize_t end)
