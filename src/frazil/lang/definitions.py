"""What a set literal defines, while it is read: (name, expression, position, kind), in the order of the text.

In: names that are the same object where they are equal (`State.symbols`). Out: what `AttrsExpr` keeps of them, sorted.
This is for the evaluator as it runs without being compiled; else `native/definitions.c` does it, as a dict, and an
object for each definition, took a fifth of the time of parsing.
"""

import struct


def new_definitions():
    return []


def no_definitions():
    return None


def has_definitions(every):
    return every is not None


def free_definitions(every):
    return None


def with_definition(every, name, expr, pos, kind):
    every.append((name, expr, pos, kind))
    return every


def find_definition(every, name):
    return next((i for i, item in enumerate(every) if item[0] is name), -1)


count_definitions = len


def definition_name(every, i):
    return every[i][0]


def definition_expr(every, i):
    return every[i][1]


def definition_pos(every, i):
    return every[i][2]


def definition_kind(every, i):
    return every[i][3]


def sort_definitions(every):
    every.sort(key=lambda item: item[0])


def definition_names(every):
    return tuple([item[0] for item in every])


def packed_positions(every):
    return struct.pack(f"{len(every)}i", *[item[2] for item in every])


def packed_kinds(every):
    return bytes([item[3] for item in every])


def known_shape(every):
    return None


def know_shape(every, shape):
    return None
