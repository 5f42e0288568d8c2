/* Dependent concatenation (dependent.py): a text, and what follows it, which Python says when the text's end is passed.
 *
 * A node is (current, parameters, so far). The parameters are a counted list; `so far` is a left-nested CAT of TEXTs of
 * one byte, which is never read as an expression.
 *
 * Every byte of the text leads to a state of its own, so a walk over a vocabulary would make a state for each letter of
 * each token. A sketch stands in for the walk: two expressions without dependence that agree with the true one on
 * nearly all tokens. Whatever stays alive in the narrow one (`through` and `stop`) is alive, and nothing is that does
 * not in the wide one (`over`); only the tokens between need the true one. */
#include "arena.h"

enum { NUMBER = 1, STEADY, LONGEST, CLOSING, STOP, OVER };

static Id param(Arena *A, Node n, int which) { return *LIST(A, n.b + which); }

Id make_then(Arena *A, Id current, int32_t params, Id so_far) {
    return current == A->empty ? current : intern(A, (Node){.kind = THEN, .a = current, .b = params, .c = so_far});
}

int32_t then_params(Arena *A, int32_t number, int steady, const Id *parts) {
    Id params[] = {number, steady, parts[0], parts[1], parts[2], parts[3]};
    return make_list(A, params, 6);
}

static Id longer(Arena *A, Id so_far, int byte) {
    uint8_t *to = grow(A, &A->bytes, 1, 1);
    *to = (uint8_t)byte;
    Id last = make_text(A, A->bytes.size++, 1);
    return so_far == A->eps ? last : intern(A, (Node){.kind = CAT, .a = so_far, .b = last});
}

static PyObject *text_of(Arena *A, Id so_far) {
    Py_ssize_t length = so_far == A->eps ? 0 : 1;
    for (Id at = so_far; NODE(A, at).kind == CAT; at = NODE(A, at).a) length++;
    PyObject *out = PyBytes_FromStringAndSize(NULL, length);
    for (Id at = so_far; out && length; at = NODE(A, at).a) {
        Node last = NODE(A, NODE(A, at).kind == CAT ? NODE(A, at).b : at);
        PyBytes_AS_STRING(out)[--length] = (char)*BYTES(A, last.a);
    }
    return out;
}

/* What may follow when the text ends here. */
static Id rest(Arena *A, Id e) {
    uint64_t key = (uint64_t)1 << 62 | (uint64_t)e;
    Id *known = memo(A, key);
    if (known) return *known;
    Node n = NODE(A, e);
    PyObject *text = text_of(A, n.c), *found;
    if (!text) fail(A, NULL);
    found = call_out(A, A->on_then, param(A, n, NUMBER), text); /* a failure leaks the text, which is short */
    Py_DECREF(text);
    long after = PyLong_AsLong(found);
    Py_DECREF(found);
    if (after < 0 || after >= A->nodes.size) fail(A, PyErr_Occurred() ? NULL : "what follows a text is unknown");
    remember(A, key, (Id)after);
    return (Id)after;
}

Cuts cuts_then(Arena *A, Id e) {
    Id current = NODE(A, e).a;
    Cuts out = {{0}};
    if (nullable(A, current)) out = cuts(A, rest(A, e));
    for (int low = 0, high, first; low < 256; low = high) {
        segment(A, current, low, &first, &high);
        for (int byte = low; byte < high && derive(A, current, low) != A->empty; byte++) cut_byte(&out, byte);
    }
    return out;
}

Id derive_then(Arena *A, Id e, int byte) {
    Node n = NODE(A, e);
    int32_t base = A->scratch.size;
    Id inside = derive(A, n.a, byte);
    if (inside != A->empty) inside = make_then(A, inside, n.b, longer(A, n.c, byte));
    push(A, inside);
    if (nullable(A, n.a)) push(A, derive(A, rest(A, e), byte));
    return make_nary(A, ALT, base);
}

int64_t minlen_then(Arena *A, Node n, int64_t (*of)(Arena *, Id)) {
    int64_t total = of(A, n.a) + of(A, param(A, n, LONGEST));
    return total < INF ? total : INF;
}

/* -- sketches ------------------------------------------------------------------------------------------------------ */

static Id either(Arena *A, Id x, Id y) {
    int32_t base = A->scratch.size;
    push(A, x);
    push(A, y);
    return make_nary(A, ALT, base);
}

static Sketch independent(Arena *A, Id e) {
    return (Sketch){.through = e, .stop = A->empty, .but = A->empty, .over = e, .steady = 1};
}

static void unite(Arena *A, Sketch *s, const Sketch *more) {
    s->through = either(A, s->through, more->through);
    s->stop = either(A, s->stop, more->stop);
    s->but = either(A, s->but, more->but);
    s->over = either(A, s->over, more->over);
    if (more->slack > s->slack) s->slack = more->slack;
    s->steady &= more->steady;
    s->depends |= more->depends;
}

static Sketch sketch_cat(Arena *A, Node n) {
    Sketch out = sketch(A, n.a), tail = nullable(A, n.a) ? sketch(A, n.b) : independent(A, n.b);
    if (!out.depends && !tail.depends) return out;
    if (out.depends) out.slack += minlen(A, n.b);
    out.stop = either(A, out.stop, make_cat(A, out.through, tail.stop));
    out.through = make_cat(A, out.through, tail.through);
    out.over = make_cat(A, out.over, tail.over);
    out.but = either(A, out.but, tail.depends && tail.but != A->empty ? make_cat(A, n.a, tail.but) : A->empty);
    if (tail.slack > out.slack) out.slack = tail.slack;
    out.steady &= tail.steady;
    out.depends = 1;
    return out;
}

static Sketch sketch_alt(Arena *A, Node n) {
    Sketch out = independent(A, A->empty);
    for (int32_t i = 0; i < n.b; i++) {
        Sketch part = sketch(A, *LIST(A, n.a + i));
        unite(A, &out, &part);
    }
    return out;
}

/* An item but those that were used: the one conjunct as long as none of the forbidden texts goes on or has ended. */
static Sketch sketch_and(Arena *A, Id e, Node n) {
    Sketch out = independent(A, e);
    int32_t base = A->scratch.size, positive = 0;
    for (int32_t i = 0; i < n.b; i++) {
        Id part = *LIST(A, n.a + i);
        if (NODE(A, part).kind == NOT) push(A, make_cat(A, NODE(A, part).a, A->all));
        else if (!positive++) out = sketch(A, part);
    }
    if (positive != 1 || !out.depends) {
        A->scratch.size = base;
        return independent(A, e);
    }
    out.but = either(A, out.but, make_nary(A, ALT, base));
    return out;
}

/* Whether a text may still go on. */
static int goes_on(Arena *A, Id e) {
    for (int low = 0, high, first; low < 256; low = high) {
        segment(A, e, low, &first, &high);
        if (minlen(A, derive(A, e, low)) < INF) return 1;
    }
    return 0;
}

static Sketch sketch_then(Arena *A, Node n) {
    Sketch out = sketch(A, n.a); /* texts within texts */
    out.stop = either(A, out.stop, make_cat(A, out.through, param(A, n, STOP)));
    out.through = make_cat(A, out.through, param(A, n, CLOSING));
    out.over = make_cat(A, out.over, param(A, n, OVER));
    out.slack += minlen(A, param(A, n, LONGEST));
    out.steady &= (uint8_t)param(A, n, STEADY);
    out.depends = 1;
    return out;
}

static Sketch sketch_hole(Arena *A, Node n) {
    Sketch out = sketch(A, n.a);
    out.through = make_hole(A, out.through, n.b, n.c);
    out.over = make_hole(A, out.over, n.b, n.c);
    return out;
}

static Sketch sketch_any(Arena *A, Id e) {
    Node n = NODE(A, e);
    switch (n.kind) {
    case THEN: return goes_on(A, n.a) ? sketch_then(A, n) : independent(A, e);
    case CAT: return sketch_cat(A, n);
    case REF: return sketch(A, body_of(A, e));
    case ALT: return sketch_alt(A, n);
    case AND: return sketch_and(A, e, n);
    case HOLE: return sketch_hole(A, n);
    default: return independent(A, e);
    }
}

Sketch sketch(Arena *A, Id e) {
    enter(A);
    Sketch out = sketch_any(A, e);
    leave(A);
    return out.depends ? out : independent(A, e);
}
