/* Headers of tar, byte for byte those of packages/oci/tar.py. Source of truth: IEEE Std 1003.1, `pax`. */
#ifndef FRAZIL_TAR_HEADER_H
#define FRAZIL_TAR_HEADER_H

#include <stdio.h>

#include "folders.h"

enum { TAR_BLOCK = 512, TAR_NAME = 100, TAR_PREFIX = 155 };

typedef struct {
    int64_t uid, gid, mtime;
    char uname[32], gname[32]; /* cut where tar cuts them */
} Owner;

typedef struct {
    const uint8_t *data;
    size_t size;
} Text;

typedef struct {
    Text name;   /* of a folder without a slash at its end */
    Text target; /* of a link */
    char type;   /* '0', '2' or '5' */
    unsigned mode;
    uint64_t size;
} TarEntry;

static int is_ascii(Text text) {
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] & 0x80)
            return 0;
    return 1;
}

/* As Python's strict decoder: no surrogates, no longer forms than needed, nothing above U+10FFFF. */
static int is_utf8(Text text) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < text.size;) {
        uint8_t first = text.data[i];
        int length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
        if (length == 0 || (size_t)length > text.size - i)
            return 0;
        uint32_t point = length == 1 ? first : first & (0x7f >> length);
        for (int k = 1; k < length; k++) {
            if ((text.data[i + k] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (text.data[i + k] & 0x3f);
        }
        if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return 0;
        i += (size_t)length;
    }
    return 1;
}

/* Where ustar's prefix ends; 0: there is none and need be none; -1: the name does not fit. */
static ssize_t tar_split(Text name) {
    if (name.size <= TAR_NAME)
        return 0;
    for (size_t at = name.size - TAR_NAME - 1; at + 1 < name.size; at++)
        if (name.data[at] == '/')
            return at > 0 && at <= TAR_PREFIX ? (ssize_t)at : -1;
    return -1;
}

static void tar_octal(uint8_t *at, int width, uint64_t value) {
    at[width - 1] = 0;
    for (int i = width - 2; i >= 0; i--, value >>= 3)
        at[i] = (uint8_t)('0' + (value & 7));
}

static void tar_text(uint8_t *at, Text text) {
    if (text.size) /* else it may be nowhere */
        memcpy(at, text.data, text.size);
}

static void tar_block(
    uint8_t *block, Text prefix, Text name, Text target, char type, unsigned mode, const uint64_t numbers[4],
    const Owner *owner
) {
    unsigned sum = 0;
    memset(block, 0, TAR_BLOCK);
    tar_text(block, name);
    tar_octal(block + 100, 8, mode & 07777);
    tar_octal(block + 108, 8, numbers[0]);
    tar_octal(block + 116, 8, numbers[1]);
    tar_octal(block + 124, 12, numbers[3]);
    tar_octal(block + 136, 12, numbers[2]);
    memset(block + 148, ' ', 8);
    block[156] = (uint8_t)type;
    tar_text(block + 157, target);
    memcpy(block + 257, "ustar\00000", 8);
    if (owner != NULL) {
        strcpy((char *)block + 265, owner->uname);
        strcpy((char *)block + 297, owner->gname);
    }
    tar_octal(block + 329, 8, 0);
    tar_octal(block + 337, 8, 0);
    tar_text(block + 345, prefix);
    for (int i = 0; i < TAR_BLOCK; i++)
        sum += block[i];
    tar_octal(block + 148, 7, sum);
    block[155] = ' ';
}

/* `LENGTH KEY=VALUE\n`, the length counting its own digits. */
static int pax_record(Bytes *body, const char *key, Text value) {
    size_t rest = strlen(key) + value.size + 3, length = rest + 1;
    char text[64];
    for (;;) {
        size_t digits = (size_t)snprintf(text, sizeof text, "%zu", length);
        if (digits + rest == length)
            break;
        length = digits + rest;
    }
    int head = snprintf(text, sizeof text, "%zu %s=", length, key);
    return bytes_add(body, text, (size_t)head) || bytes_add(body, value.data, value.size) || bytes_add(body, "\n", 1);
}

static int pax_number(Bytes *body, const char *key, int64_t value) {
    char text[32];
    int size = snprintf(text, sizeof text, "%lld", (long long)value);
    return pax_record(body, key, (Text){(uint8_t *)text, (size_t)size});
}

static Text tail_of(Text text, size_t most) {
    return text.size <= most ? text : (Text){text.data + text.size - most, most};
}

/* Adds the records that the entry needs to `body`. */
static int pax_records(Bytes *body, const TarEntry *entry, const Owner *owner, Text name, int named, int linked) {
    if ((named && !is_utf8(name)) || (linked && !is_utf8(entry->target)))
        if (pax_record(body, "hdrcharset", (Text){(const uint8_t *)"BINARY", 6}))
            return -1;
    if ((named && pax_record(body, "path", name)) || (linked && pax_record(body, "linkpath", entry->target)))
        return -1;
    if ((owner->uid < 0 || owner->uid > 07777777) && pax_number(body, "uid", owner->uid))
        return -1;
    if ((owner->gid < 0 || owner->gid > 07777777) && pax_number(body, "gid", owner->gid))
        return -1;
    if ((owner->mtime < 0 || owner->mtime > 077777777777) && pax_number(body, "mtime", owner->mtime))
        return -1;
    if (entry->size > 077777777777 && pax_number(body, "size", (int64_t)entry->size))
        return -1;
    return 0;
}

/* Adds all that comes before the entry's bytes to `out`. -1: no memory. */
static int tar_header(Bytes *out, const TarEntry *entry, const Owner *owner) {
    static const Text nothing = {(const uint8_t *)"", 0}, placeholder = {(const uint8_t *)"pax", 3};
    Bytes full = {0}, body = {0};
    Text name = entry->name, target = entry->target;
    int result = -1;
    if (entry->type == '5') {
        if (bytes_add(&full, name.data, name.size) || bytes_add(&full, "/", 1))
            goto end;
        name = (Text){full.data, full.size};
    }
    int ascii = is_ascii(name), target_ascii = is_ascii(target);
    ssize_t cut = ascii || !is_utf8(name) ? tar_split(name) : -1;
    int named = cut < 0, linked = target.size > TAR_NAME || (!target_ascii && is_utf8(target));
    if (pax_records(&body, entry, owner, name, named, linked))
        goto end;
    Text prefix = nothing, last = name;
    if (named)
        last = ascii ? tail_of(name, TAR_NAME) : placeholder;
    else if (cut > 0) {
        prefix.data = name.data;
        prefix.size = (size_t)cut;
        last = (Text){name.data + cut + 1, name.size - (size_t)cut - 1};
    }
    if (linked)
        target = target_ascii ? (Text){target.data, TAR_NAME} : placeholder;
    size_t padded = (body.size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    if (bytes_reserve(out, padded + 2 * TAR_BLOCK))
        goto end;
    if (body.size) {
        const uint64_t numbers[4] = {0, 0, 0, body.size};
        tar_block(
            out->data + out->size, nothing, (Text){(const uint8_t *)"PaxHeaders", 10}, nothing, 'x', 0644, numbers, NULL
        );
        out->size += TAR_BLOCK;
        memset(out->data + out->size, 0, padded);
        memcpy(out->data + out->size, body.data, body.size);
        out->size += padded;
    }
    const uint64_t numbers[4] = {
        owner->uid >= 0 && owner->uid <= 07777777 ? (uint64_t)owner->uid : 0,
        owner->gid >= 0 && owner->gid <= 07777777 ? (uint64_t)owner->gid : 0,
        owner->mtime >= 0 && owner->mtime <= 077777777777 ? (uint64_t)owner->mtime : 0,
        entry->size <= 077777777777 ? entry->size : 0,
    };
    tar_block(out->data + out->size, prefix, last, target, entry->type, entry->mode, numbers, owner);
    out->size += TAR_BLOCK;
    result = 0;
end:
    free(full.data);
    free(body.data);
    return result;
}

#endif
