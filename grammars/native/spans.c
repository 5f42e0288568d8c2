/* Substrings of a text as expressions (suffixes.py): a state is an interval of the suffix array, and how many bytes all
 * of its suffixes share. */
#include "arena.h"
#include <stdlib.h>
#include <string.h>

#define BORDER 0xFF /* between the documents of a corpus; no byte of UTF-8 */

static const Index *index_of(const Arena *A, Id at) {
    const Index *x = A->indexes.items;
    while (at - x->base >= x->count) x++;
    return x;
}

Id make_span(Arena *A, Id low, Id high, Id depth) {
    return low < high ? intern(A, (Node){.kind = SPAN, .a = low, .b = high, .c = depth}) : A->empty;
}

static int32_t total(const Arena *A) {
    const Index *x = A->indexes.items;
    return A->indexes.size ? x[A->indexes.size - 1].base + x[A->indexes.size - 1].count : 0;
}

Id add_index(Arena *A, Index x) {
    x.base = total(A);
    if (x.count > INT32_MAX - x.base) fail(A, "the sources of quotes are too long together");
    *(Index *)grow(A, &A->indexes, 1, sizeof(Index)) = x;
    A->indexes.size++;
    return x.base;
}

static int corpus_is_sound(Index *x) {
    const Py_buffer *v = x->views;
    Py_ssize_t length = v[0].len, count = v[1].len / (Py_ssize_t)sizeof(int32_t);
    if (length >= INT32_MAX / 8 || v[1].len % (Py_ssize_t)sizeof(int32_t) || v[2].len != length / 8 + 1) return 0;
    x->text = v[0].buf;
    x->order = v[1].buf;
    x->stops = v[2].buf;
    x->length = (int32_t)length;
    x->count = (int32_t)count;
    for (Py_ssize_t i = 0; i < count; i++)
        if (x->order[i] < 0 || x->order[i] >= length) return 0;
    return 1;
}

/* Takes over the views: whether they fit each other. */
int index_is_sound(Index *x) {
    if (x->parts == 3) return corpus_is_sound(x);
    const Py_buffer *v = x->views;
    Py_ssize_t length = v[0].len, count = v[1].len / (Py_ssize_t)sizeof(int32_t), item = sizeof(int32_t);
    if (length >= INT32_MAX / 8 || v[2].len != (length + 1) * item || v[1].len % item || v[3].len != v[1].len ||
        v[4].len != v[1].len)
        return 0;
    x->text = v[0].buf;
    x->order = v[1].buf;
    x->ends = v[2].buf;
    x->first = v[3].buf;
    x->last = v[4].buf;
    x->length = (int32_t)length;
    x->count = (int32_t)count;
    for (Py_ssize_t i = 0; i < count; i++)
        if (x->order[i] < 0 || x->order[i] > x->last[i] || x->last[i] > length || x->first[i] < 0 || x->first[i] > length)
            return 0;
    for (Py_ssize_t i = 0; i <= length; i++)
        if (x->ends[i] < i || x->ends[i] > length) return 0;
    return 1;
}

int span_is_sound(const Arena *A, Id low, Id high) {
    return low >= 0 && low < high && high <= total(A) && index_of(A, low) == index_of(A, high - 1);
}

/* The byte after the first `depth` of the suffix at `i`; at its end -1, or BORDER in a corpus, as they are sorted. */
static int byte_at(const Index *x, Id i, Id depth) {
    int32_t at = x->order[i - x->base] + depth;
    if (x->stops) return at < x->length ? x->text[at] : BORDER;
    return at < x->last[i - x->base] ? x->text[at] : -1;
}

/* The first place in [low, high) whose suffix goes on with more than `byte`. */
static Id above(const Index *x, Id low, Id high, Id depth, int byte) {
    while (low < high) {
        Id middle = low + (high - low) / 2;
        if (byte_at(x, middle, depth) > byte) high = middle;
        else low = middle + 1;
    }
    return low;
}

Id derive_span(Arena *A, Node n, int byte) {
    const Index *x = index_of(A, n.a);
    if (x->stops && byte == BORDER) return A->empty;
    Id low = above(x, n.a, n.b, n.c, byte - 1);
    return make_span(A, low, above(x, low, n.b, n.c, byte), n.c + 1);
}

int next_in_span(const Arena *A, Node n, int least) {
    const Index *x = index_of(A, n.a);
    Id at = above(x, n.a, n.b, n.c, least - 1);
    int byte = at < n.b ? byte_at(x, at, n.c) : -1;
    return x->stops && byte == BORDER ? -1 : byte;
}

Cuts cuts_span(Arena *A, Node n) {
    Cuts out = {{0}};
    for (int byte = -1; (byte = next_in_span(A, n, byte + 1)) >= 0;) cut_byte(&out, byte);
    return out;
}

/* The least number of bytes to a place where a span may end, `from` or more; INF when there is none before the border. */
static int64_t to_stop(const Index *x, int32_t at, int32_t from) {
    for (int32_t i = at; i < x->length; i++) {
        if (i >= at + from && x->stops[i >> 3] >> (i & 7) & 1) return i - at;
        if (x->text[i] == BORDER) break;
    }
    return INF;
}

static int64_t minlen_in_corpus(const Index *x, Node n) {
    int64_t least = INF;
    int32_t from = n.c == 0; /* a span is not empty */
    for (Id i = n.a; i < n.b && least > from; i++) {
        int64_t length = to_stop(x, x->order[i - x->base] + n.c, from);
        if (length < least) least = length;
    }
    return least;
}

int64_t minlen_span(Arena *A, Node n) {
    const Index *x = index_of(A, n.a);
    if (x->stops) return minlen_in_corpus(x, n);
    int64_t least = INF;
    for (Id i = n.a; i < n.b && least > 0; i++) {
        int32_t at = x->order[i - x->base] + n.c, first = x->first[i - x->base];
        if (at > x->last[i - x->base]) continue;
        int32_t end = x->ends[first > at ? first : at];
        if (end <= x->last[i - x->base] && end - at < least) least = end - at;
    }
    return least;
}

/* -- suffix arrays by induced sorting (Nong, Zhang and Chan 2009), without a sentinel */

typedef struct {
    const int32_t *s;
    int32_t *sa, n;
    const uint8_t *rises; /* the suffix is smaller than the next one */
    const int32_t *falling, *rising;
    int32_t *place;
    size_t letters;
} Sort;

static void induce(Sort *z, const int32_t *first, int32_t count) {
    memset(z->sa, 0xFF, (size_t)z->n * sizeof(int32_t));
    memcpy(z->place, z->rising, z->letters * sizeof(int32_t));
    for (int32_t i = 0; i < count; i++) z->sa[z->place[z->s[first[i]]]++] = first[i];
    memcpy(z->place, z->falling, z->letters * sizeof(int32_t));
    z->sa[z->place[z->s[z->n - 1]]++] = z->n - 1;
    for (int32_t i = 0; i < z->n; i++) {
        int32_t v = z->sa[i];
        if (v >= 1 && !z->rises[v - 1]) z->sa[z->place[z->s[v - 1]]++] = v - 1;
    }
    memcpy(z->place, z->falling, z->letters * sizeof(int32_t));
    for (int32_t i = z->n - 1; i >= 0; i--) {
        int32_t v = z->sa[i];
        if (v >= 1 && z->rises[v - 1]) z->sa[--z->place[z->s[v - 1] + 1]] = v - 1;
    }
}

static int same_block(const int32_t *s, int32_t n, int32_t l, int32_t end_l, int32_t r, int32_t end_r) {
    if (end_l - l != end_r - r) return 0;
    while (l < end_l && s[l] == s[r]) l++, r++;
    return l < n && r < n && s[l] == s[r];
}

static int sort_suffixes(const int32_t *s, int32_t *sa, int32_t n, int32_t upper);

/* Sorts the starts of the blocks `block` by naming equal blocks and sorting the text of names. */
static int sort_blocks(Sort *z, int32_t *block, int32_t count, const int32_t *number) {
    int32_t *sorted = malloc(((size_t)count * 3 + 1) * sizeof(int32_t));
    if (!sorted) return -1;
    int32_t *names = sorted + count, *order = names + count, found = 0, name = 0;
    for (int32_t i = 0; i < z->n; i++)
        if (z->sa[i] >= 0 && number[z->sa[i]] >= 0) sorted[found++] = z->sa[i];
    names[number[sorted[0]]] = 0;
    for (int32_t i = 1; i < count; i++) {
        int32_t l = number[sorted[i - 1]], r = number[sorted[i]];
        name += !same_block(z->s, z->n, block[l], l + 1 < count ? block[l + 1] : z->n, block[r],
                            r + 1 < count ? block[r + 1] : z->n);
        names[r] = name;
    }
    int failed = sort_suffixes(names, order, count, name);
    for (int32_t i = 0; !failed && i < count; i++) sorted[i] = block[order[i]];
    if (!failed) memcpy(block, sorted, (size_t)count * sizeof(int32_t));
    free(sorted);
    return failed;
}

static int sort_with(Sort *z, int32_t upper, uint8_t *rises, int32_t *falling, int32_t *rising, int32_t *number,
                     int32_t *block) {
    int32_t count = 0;
    for (int32_t i = z->n - 2; i >= 0; i--)
        rises[i] = z->s[i] == z->s[i + 1] ? rises[i + 1] : z->s[i] < z->s[i + 1];
    for (int32_t i = 0; i < z->n; i++) rises[i] ? falling[z->s[i] + 1]++ : rising[z->s[i]]++;
    for (int32_t i = 0; i <= upper; i++) {
        rising[i] += falling[i];
        if (i < upper) falling[i + 1] += rising[i];
    }
    memset(number, 0xFF, (size_t)z->n * sizeof(int32_t));
    for (int32_t i = 1; i < z->n; i++)
        if (!rises[i - 1] && rises[i]) {
            number[i] = count;
            block[count++] = i;
        }
    induce(z, block, count);
    if (!count) return 0;
    if (sort_blocks(z, block, count, number)) return -1;
    induce(z, block, count);
    return 0;
}

/* The suffix array of s[0..n), whose letters are 0..upper; -1 without memory. */
static int sort_suffixes(const int32_t *s, int32_t *sa, int32_t n, int32_t upper) {
    if (n < 2) {
        if (n) sa[0] = 0;
        return 0;
    }
    size_t letters = (size_t)upper + 2;
    uint8_t *rises = calloc((size_t)n, 1);
    int32_t *tables = calloc(letters * 3, sizeof(int32_t)), *numbers = malloc((size_t)n * 2 * sizeof(int32_t));
    int failed = -1;
    if (rises && tables && numbers) {
        Sort z = {s, sa, n, rises, tables, tables + letters, tables + 2 * letters, letters};
        failed = sort_with(&z, upper, rises, tables, tables + letters, numbers, numbers + n);
    }
    free(rises);
    free(tables);
    free(numbers);
    return failed;
}

PyObject *py_suffixes(PyObject *module, PyObject *args) {
    Py_buffer data;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*", &data)) return NULL;
    int32_t n = (int32_t)data.len;
    PyObject *out = data.len < INT32_MAX / 8 ? PyBytes_FromStringAndSize(NULL, data.len * (Py_ssize_t)sizeof(int32_t))
                                             : PyErr_Format(PyExc_ValueError, "the text is too long");
    int32_t *s = malloc(((size_t)data.len + 1) * sizeof(int32_t));
    int failed = !out || !s;
    if (!failed) {
        int32_t *sa = (int32_t *)PyBytes_AS_STRING(out);
        Py_BEGIN_ALLOW_THREADS
        for (int32_t i = 0; i < n; i++) s[i] = ((const uint8_t *)data.buf)[i];
        failed = sort_suffixes(s, sa, n, 255);
        Py_END_ALLOW_THREADS
    }
    free(s);
    PyBuffer_Release(&data);
    if (!failed) return out;
    Py_XDECREF(out);
    return PyErr_Occurred() ? NULL : PyErr_NoMemory();
}
