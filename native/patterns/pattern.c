/* The face of the patterns: chooses by kind, and turns "equal up to about here" into sectors. */
#include "pattern.h"

#include <assert.h>
#include <stdbool.h>

#include "stream.h"

static bool range_fits(uint64_t offset, size_t length)
{
    return length == 0 || length - 1 <= UINT64_MAX - offset;
}

void pattern_generate(const struct pattern *pattern, uint64_t offset, void *out, size_t length)
{
    assert(range_fits(offset, length));
    assert(pattern->kind == PATTERN_CONSTANT || pattern->kind == PATTERN_AES_256_CTR);
    if (length == 0)
        return;
    if (pattern->kind == PATTERN_CONSTANT)
        constant_generate(&pattern->prepared.constant, offset, out, length);
    else
        aes_ctr_generate(&pattern->prepared.aes_256, offset, out, length);
}

static size_t equal_prefix(const struct pattern *pattern, uint64_t offset, const uint8_t *data, size_t length)
{
    size_t equal = pattern->kind == PATTERN_CONSTANT
                       ? constant_equal_prefix(&pattern->prepared.constant, offset, data, length)
                       : aes_ctr_equal_prefix(&pattern->prepared.aes_256, offset, data, length);
    assert(equal <= length);
    return equal;
}

/* What a comparison has found so far. */
struct findings {
    uint64_t different_sectors;
    uint64_t *places;
    size_t capacity;
    size_t stored;
};

static void record_sector(struct findings *findings, uint64_t place)
{
    findings->different_sectors++;
    if (findings->stored < findings->capacity)
        findings->places[findings->stored++] = place;
}

/*
 * Compares sector by sector from `start`, the start of a sector, until both the difference that is known to lie
 * before `until` and all different sectors that follow without a gap are found. Returns where it stopped: the start
 * of a sector, or length.
 */
static size_t compare_sectors(const struct pattern *pattern, uint64_t offset, const uint8_t *data, size_t length,
                              size_t sector_bytes, size_t start, size_t until, struct findings *findings)
{
    bool is_different = true;

    while (start < length && (start < until || is_different)) {
        size_t rest = length - start;
        size_t bytes = rest < sector_bytes ? rest : sector_bytes;
        is_different = equal_prefix(pattern, offset + start, data + start, bytes) != bytes;
        if (is_different)
            record_sector(findings, offset + start);
        start += bytes;
    }
    return start;
}

uint64_t pattern_compare(const struct pattern *pattern, uint64_t offset, const void *data, size_t length,
                         size_t sector_bytes, uint64_t *places, size_t capacity, size_t *stored)
{
    struct findings findings = {.places = places, .capacity = capacity};
    const uint8_t *bytes = data;
    size_t position = 0;

    assert(range_fits(offset, length));
    assert(pattern->kind == PATTERN_CONSTANT || pattern->kind == PATTERN_AES_256_CTR);
    assert(sector_bytes >= 1);
    while (position < length) {
        /* The usual case: one sweep, all equal. */
        position += equal_prefix(pattern, offset + position, bytes + position, length - position);
        if (position == length)
            break;
        size_t rest = length - position;
        size_t until = position + (rest < EQUAL_PREFIX_GRAIN_BYTES ? rest : EQUAL_PREFIX_GRAIN_BYTES);
        position -= position % sector_bytes;
        position = compare_sectors(pattern, offset, bytes, length, sector_bytes, position, until, &findings);
    }
    *stored = findings.stored;
    return findings.different_sectors;
}
