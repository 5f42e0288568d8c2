/* The Python types: Arena (expressions), Dfa (dfa.c), Trie (trie.c), Slices (slices.c). */
#include "arena.h"
#include "walk.h"

static PyObject *Unsupported; /* errors.UnsupportedConstraint, given by set_error() */

/* Runs `body` with failures of the arena turned into Python errors; `body` may not return. */
#define GUARDED(A, body)                                          \
    do {                                                          \
        if (setjmp((A)->failed)) return failure(A);               \
        body                                                      \
    } while (0)

static PyObject *failure(Arena *A) {
    while (A->searches) search_drop(A);
    A->depth = 0;
    A->scratch.size = 0;
    if (PyErr_Occurred()) return NULL;
    if (!A->why) return PyErr_NoMemory();
    PyErr_SetString(Unsupported ? Unsupported : PyExc_RuntimeError, A->why);
    return NULL;
}

static int known(Arena *A, Id id) {
    if (id >= 0 && id < A->nodes.size) return 1;
    PyErr_SetString(PyExc_IndexError, "no such expression");
    return 0;
}

static PyObject *number(int64_t x) { return PyLong_FromLongLong(x); }

static int new_arena(Arena *A, PyObject *args, PyObject *kwargs) {
    if (!PyArg_ParseTuple(args, "") || (kwargs && PyDict_GET_SIZE(kwargs))) return -1;
    if (A->interned) return 0;
    if (setjmp(A->failed)) {
        failure(A);
        return -1;
    }
    arena_init(A);
    return 0;
}

static void dealloc(Arena *A) {
    Py_CLEAR(A->on_lazy);
    Py_CLEAR(A->on_then);
    arena_free(A);
    Py_TYPE(A)->tp_free((PyObject *)A);
}

static PyObject *py_dag(Arena *A, PyObject *args) {
    PyObject *list;
    int final;
    if (!PyArg_ParseTuple(args, "O!p", &PyList_Type, &list, &final)) return NULL;
    Py_ssize_t count = PyList_GET_SIZE(list);
    Dag dag = {A->edges.size, (int32_t)count, final ? 0 : INT32_MAX, (uint8_t)final};
    if (setjmp(A->failed)) return failure(A);
    grow(A, &A->edges, (int32_t)count, sizeof(Edge));
    for (Py_ssize_t i = 0; i < count; i++) {
        int low, high, child;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "iii", &low, &high, &child)) return NULL;
        if (low < 0 || high > 255 || child < 0 || child >= A->dags.size) return PyErr_Format(PyExc_IndexError, "bad edge");
        EDGE(A, A->edges.size + i) = (Edge){(uint8_t)low, (uint8_t)high, child};
        if (DAG(A, child).minlen + 1 < dag.minlen) dag.minlen = DAG(A, child).minlen + 1;
    }
    *(Dag *)grow(A, &A->dags, 1, sizeof(Dag)) = dag;
    A->edges.size += (int32_t)count;
    return number(A->dags.size++);
}

static PyObject *py_leaf(Arena *A, PyObject *args) {
    int dag;
    if (!PyArg_ParseTuple(args, "i", &dag)) return NULL;
    if (dag < 0 || dag >= A->dags.size) return PyErr_Format(PyExc_IndexError, "no such graph");
    GUARDED(A, return number(make_leaf(A, dag)););
}

static Id text_of(Arena *A, const char *data, Py_ssize_t length) {
    uint8_t *to = grow(A, &A->bytes, length > INT32_MAX ? INT32_MAX : (int32_t)length, 1);
    memcpy(to, data, (size_t)length);
    A->bytes.size += (int32_t)length;
    return make_text(A, A->bytes.size - (int32_t)length, (int32_t)length);
}

static PyObject *py_text(Arena *A, PyObject *args) {
    const char *data;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "y#", &data, &length)) return NULL;
    GUARDED(A, return number(text_of(A, data, length)););
}

static PyObject *py_cat(Arena *A, PyObject *args) {
    int head, tail;
    if (!PyArg_ParseTuple(args, "ii", &head, &tail) || !known(A, head) || !known(A, tail)) return NULL;
    GUARDED(A, return number(make_cat(A, head, tail)););
}

static PyObject *py_nary(Arena *A, PyObject *args) {
    int kind;
    PyObject *list;
    if (!PyArg_ParseTuple(args, "iO!", &kind, &PyList_Type, &list)) return NULL;
    if (kind != ALT && kind != AND) return PyErr_Format(PyExc_ValueError, "ALT or AND");
    GUARDED(A, {
        int32_t base = A->scratch.size;
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
            long id = PyLong_AsLong(PyList_GET_ITEM(list, i));
            if (PyErr_Occurred() || !known(A, (Id)id)) {
                A->scratch.size = base;
                return NULL;
            }
            push(A, (Id)id);
        }
        return number(make_nary(A, kind, base));
    });
}

static PyObject *py_complement(Arena *A, PyObject *args) {
    int body;
    if (!PyArg_ParseTuple(args, "i", &body) || !known(A, body)) return NULL;
    GUARDED(A, return number(make_not(A, body)););
}

static PyObject *py_repeat(Arena *A, PyObject *args) {
    int body, low, high;
    if (!PyArg_ParseTuple(args, "iii", &body, &low, &high) || !known(A, body)) return NULL;
    GUARDED(A, return number(make_repeat(A, body, low, high)););
}

static PyObject *py_ref(Arena *A, PyObject *args) {
    int null;
    long long length;
    if (!PyArg_ParseTuple(args, "pL", &null, &length)) return NULL;
    GUARDED(A, {
        Id id = make_ref(A);
        NODE(A, id).nullable = (int8_t)null;
        NODE(A, id).minlen = length;
        return number(id);
    });
}

static PyObject *py_define(Arena *A, PyObject *args) {
    int ref, body;
    if (!PyArg_ParseTuple(args, "ii", &ref, &body) || !known(A, ref) || !known(A, body)) return NULL;
    if (NODE(A, ref).kind != REF) return PyErr_Format(PyExc_ValueError, "not a reference");
    NODE(A, ref).a = body;
    Py_RETURN_NONE;
}

static PyObject *py_on_lazy(Arena *A, PyObject *define) {
    Py_XSETREF(A->on_lazy, Py_NewRef(define));
    Py_RETURN_NONE;
}

static PyObject *py_on_then(Arena *A, PyObject *after) {
    Py_XSETREF(A->on_then, Py_NewRef(after));
    Py_RETURN_NONE;
}

static PyObject *py_then(Arena *A, PyObject *args) {
    int current, number, steady;
    Id parts[4];
    if (!PyArg_ParseTuple(args, "ipiiiii", &number, &steady, &current, &parts[0], &parts[1], &parts[2], &parts[3]) ||
        !known(A, current))
        return NULL;
    for (int i = 0; i < 4; i++)
        if (!known(A, parts[i])) return NULL;
    GUARDED(A, return PyLong_FromLong(make_then(A, current, then_params(A, number, steady, parts), A->eps)););
}

static PyObject *py_sketch(Arena *A, PyObject *args) {
    int e;
    if (!PyArg_ParseTuple(args, "i", &e) || !known(A, e)) return NULL;
    if (!A->on_then) Py_RETURN_NONE;
    GUARDED(A, {
        Sketch s = sketch(A, e);
        if (!s.depends) Py_RETURN_NONE;
        int32_t base = A->scratch.size;
        push(A, s.through);
        push(A, s.stop);
        Id narrow = make_nary(A, ALT, base);
        return Py_BuildValue("(iiiLO)", narrow, s.but, s.over, (long long)s.slack, s.steady ? Py_True : Py_False);
    });
}

static PyObject *py_hole(Arena *A, PyObject *args) {
    int value;
    const char *data;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "iy#", &value, &data, &length) || !known(A, value)) return NULL;
    if (!length) return PyErr_Format(PyExc_ValueError, "a hole needs a text that follows");
    GUARDED(A, {
        Id follow = text_of(A, data, length);
        return number(make_hole(A, value, follow, make_list(A, NULL, 0)));
    });
}

static PyObject *py_narrow(Arena *A, PyObject *args) {
    int e, also;
    if (!PyArg_ParseTuple(args, "ii", &e, &also) || !known(A, e) || !known(A, also)) return NULL;
    GUARDED(A, {
        Node n = NODE(A, e);
        int32_t base = A->scratch.size;
        push(A, n.kind == HOLE ? n.a : e);
        push(A, also);
        Id both = make_nary(A, AND, base);
        return number(n.kind == HOLE ? make_hole(A, both, n.b, n.c) : both);
    });
}

int arena_expand(Arena *A, Id e, int byte, int *low, int *high, Id *after) {
    if (setjmp(A->failed)) {
        failure(A);
        return -1;
    }
    A->work += WORK_PER_STATE;
    segment(A, e, byte, low, high);
    *after = derive(A, e, *low);
    if (minlen(A, *after) >= INF) *after = NONE;
    return 0;
}

/* distinct(item, sep, low, high or -1, shortest items) */
static PyObject *py_distinct(Arena *A, PyObject *args) {
    int item, sep, low, high;
    PyObject *words;
    if (!PyArg_ParseTuple(args, "iiiiO!", &item, &sep, &low, &high, &PyList_Type, &words) || !known(A, item) ||
        !known(A, sep))
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(words); i++)
        if (!PyBytes_Check(PyList_GET_ITEM(words, i))) return PyErr_Format(PyExc_TypeError, "a list of bytes is needed");
    if (low < 0 || (low > 1 && low > PyList_GET_SIZE(words)))
        return PyErr_Format(PyExc_ValueError, "as many of the shortest items are needed as there must be");
    GUARDED(A, {
        int32_t base = A->scratch.size;
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(words); i++) {
            PyObject *word = PyList_GET_ITEM(words, i);
            push(A, text_of(A, PyBytes_AS_STRING(word), PyBytes_GET_SIZE(word)));
        }
        int32_t list = make_list(A, (Id *)A->scratch.items + base, A->scratch.size - base);
        A->scratch.size = base;
        return number(make_distinct(A, item, sep, low, high, list));
    });
}

/* index(text, order, ends, first, last) or index(text, order, stops) -> where its suffixes begin among all; see Suffixes
 * and CorpusIndex: bytes and int32 buffers */
static PyObject *py_index(Arena *A, PyObject *args) {
    Index x = {0};
    Py_buffer *v = x.views;
    x.parts = PyTuple_GET_SIZE(args) == 3 ? 3 : 5;
    if (!PyArg_ParseTuple(args, x.parts == 3 ? "y*y*y*" : "y*y*y*y*y*", &v[0], &v[1], &v[2], &v[3], &v[4])) return NULL;
    volatile Id base = NONE;
    if (!index_is_sound(&x)) PyErr_SetString(PyExc_ValueError, "not an index of suffixes");
    else if (setjmp(A->failed)) failure(A);
    else base = add_index(A, x);
    if (base != NONE) return number(base);
    for (int i = 0; i < x.parts; i++) PyBuffer_Release(&v[i]);
    return NULL;
}

static PyObject *py_span(Arena *A, PyObject *args) {
    int low, high;
    if (!PyArg_ParseTuple(args, "ii", &low, &high)) return NULL;
    if (!span_is_sound(A, low, high)) return PyErr_Format(PyExc_IndexError, "no such suffixes");
    GUARDED(A, return number(make_span(A, low, high, 0)););
}

static PyObject *py_expand(Arena *A, PyObject *args) {
    int e, byte, low, high;
    Id after;
    if (!PyArg_ParseTuple(args, "ii", &e, &byte) || !known(A, e)) return NULL;
    if (byte < 0 || byte > 255) return PyErr_Format(PyExc_IndexError, "no such byte");
    return arena_expand(A, e, byte, &low, &high, &after) ? NULL : Py_BuildValue("(iii)", low, high, after);
}

static PyObject *py_nullable(Arena *A, PyObject *args) {
    int e;
    if (!PyArg_ParseTuple(args, "i", &e) || !known(A, e)) return NULL;
    GUARDED(A, return PyBool_FromLong(nullable(A, e)););
}

static PyObject *py_minlen(Arena *A, PyObject *args) {
    int e;
    if (!PyArg_ParseTuple(args, "i", &e) || !known(A, e)) return NULL;
    GUARDED(A, return number(minlen(A, e)););
}

static PyObject *py_parts(Arena *A, PyObject *args) {
    int e;
    if (!PyArg_ParseTuple(args, "i", &e) || !known(A, e)) return NULL;
    Node n = NODE(A, e);
    if (n.kind != HOLE) Py_RETURN_NONE;
    PyObject *positions = PyTuple_New(*LIST(A, n.c));
    for (int32_t i = 0; positions && i < *LIST(A, n.c); i++)
        PyTuple_SET_ITEM(positions, i, PyLong_FromLong(*LIST(A, n.c + 1 + i)));
    return positions ? Py_BuildValue("(iiN)", n.a == A->empty ? NONE : n.a, NODE(A, n.b).b, positions) : NULL;
}

/* -1: nothing can come next, -2: more than one byte can, else the only byte. */
static int only(Arena *A, Id e) {
    int found = -1;
    for (int low = 0, high, first; low < 256; low = high) {
        segment(A, e, low, &first, &high);
        if (minlen(A, derive(A, e, low)) >= INF) continue;
        if (found >= 0 || high - low > 1) return -2;
        found = low;
    }
    return found;
}

static PyObject *py_only(Arena *A, PyObject *args) {
    int e;
    if (!PyArg_ParseTuple(args, "i", &e) || !known(A, e)) return NULL;
    GUARDED(A, return PyLong_FromLong(only(A, e)););
}

int arena_has_graph(const Arena *A, int graph) { return graph >= 0 && graph < A->dags.size; }

int arena_class(Arena *A, Id e, Id graph, Id *after) {
    if (setjmp(A->failed)) {
        failure(A);
        return -1;
    }
    A->work += WORK_PER_STATE;
    *after = derive_class(A, e, graph);
    if (*after != UNSURE && minlen(A, *after) >= INF) *after = NONE;
    return 0;
}

int arena_minlen(Arena *A, Id e, int64_t *length) {
    if (setjmp(A->failed)) {
        failure(A);
        return -1;
    }
    *length = minlen(A, e);
    return 0;
}

static PyObject *raw(const Pool *pool, size_t item) {
    return PyBytes_FromStringAndSize(pool->items, (Py_ssize_t)((size_t)pool->size * item));
}

static PyObject *py_indexes(Arena *A, PyObject *unused) {
    (void)unused;
    PyObject *out = PyList_New(0);
    for (int32_t i = 0; out && i < A->indexes.size; i++) {
        Index *x = &((Index *)A->indexes.items)[i];
        PyObject *parts = PyTuple_New(x->parts);
        for (int k = 0; parts && k < x->parts; k++)
            PyTuple_SET_ITEM(parts, k, PyBytes_FromStringAndSize(x->views[k].buf, x->views[k].len));
        if (!parts || PyList_Append(out, parts) < 0) Py_CLEAR(out);
        Py_XDECREF(parts);
    }
    return out;
}

static PyObject *py_dump(Arena *A, PyObject *unused) {
    (void)unused;
    return Py_BuildValue("(NNNNN)", raw(&A->nodes, sizeof(Node)), raw(&A->bytes, 1), raw(&A->lists, sizeof(Id)),
                         raw(&A->dags, sizeof(Dag)), raw(&A->edges, sizeof(Edge)));
}

static void fill(Arena *A, Pool *pool, const Py_buffer *data, size_t item) {
    if (data->len % (Py_ssize_t)item || data->len / (Py_ssize_t)item > INT32_MAX / 2) fail(A, "corrupt: odd size");
    pool->size = 0;
    int32_t count = (int32_t)(data->len / (Py_ssize_t)item);
    memcpy(grow(A, pool, count, item), data->buf, (size_t)data->len);
    pool->size = count;
}

static int within(int64_t first, int64_t count, int64_t size) { return first >= 0 && count >= 0 && first + count <= size; }

static int list_is_sound(Arena *A, int32_t at, int32_t count, Id below) {
    if (!within(at, count, A->lists.size)) return 0;
    for (int32_t i = 0; i < count; i++)
        if (!within(*LIST(A, at + i), 1, below)) return 0;
    return 1;
}

static int hole_is_sound(Arena *A, const Node *n, Id id) {
    if (!within(n->a, 1, id) || !within(n->b, 1, id) || NODE(A, n->b).kind != TEXT || !within(n->c, 1, A->lists.size))
        return 0;
    int32_t count = *LIST(A, n->c);
    if (!within(n->c + 1, count, A->lists.size)) return 0;
    for (int32_t i = 1; i <= count; i++)
        if (!within(*LIST(A, n->c + i) - 1, 1, NODE(A, n->b).b)) return 0;
    return 1;
}

/* Whether everything that a node names is there; children are older than their parents, but for a reference's body. */
static int is_sound(Arena *A, Id id) {
    Node *n = &NODE(A, id);
    n->has_cuts = n->searching = 0;
    if (n->minlen < -1 || n->minlen > INF || n->nullable < -1 || n->nullable > 1) return 0;
    switch (n->kind) {
    case EMPTY: return id == 0;
    case LEAF: return within(n->a, 1, A->dags.size);
    case TEXT: return n->b > 0 && within(n->a, n->b, A->bytes.size);
    case CAT: return within(n->a, 1, id) && within(n->b, 1, id);
    case ALT:
    case AND: return n->b > 1 && list_is_sound(A, n->a, n->b, id);
    case REPEAT: return within(n->a, 1, id) && n->b >= 0 && n->c >= -1 && (n->c < 0 || n->c >= n->b);
    case NOT: return within(n->a, 1, id);
    case REF: return within(n->a, 1, A->nodes.size) && n->nullable >= 0 && n->minlen >= 0;
    case HOLE: return hole_is_sound(A, n, id);
    case SPAN: return within(n->c, 1, INT32_MAX / 8) && span_is_sound(A, n->a, n->b); /* no source is longer */
    case UNIQUE: return unique_is_sound(A, n, id);
    default: return 0;
    }
}

static int graph_is_sound(Arena *A, int32_t id) {
    Dag *d = &DAG(A, id);
    if (d->final > 1 || !within(d->first, d->count, A->edges.size) || (id == 0 && (d->count || !d->final))) return 0;
    d->minlen = d->final ? 0 : INT32_MAX;
    for (int32_t i = 0; i < d->count; i++) {
        Edge edge = EDGE(A, d->first + i);
        if (edge.low > edge.high || !within(edge.child, 1, id)) return 0;
        if (DAG(A, edge.child).minlen + 1 < d->minlen) d->minlen = DAG(A, edge.child).minlen + 1;
    }
    return d->minlen < INT32_MAX;
}

static void load(Arena *A, const Py_buffer *data) {
    fill(A, &A->nodes, &data[0], sizeof(Node));
    fill(A, &A->bytes, &data[1], 1);
    fill(A, &A->lists, &data[2], sizeof(Id));
    fill(A, &A->dags, &data[3], sizeof(Dag));
    fill(A, &A->edges, &data[4], sizeof(Edge));
    A->cuts.size = 0;
    grow(A, &A->cuts, A->nodes.size, sizeof(Cuts));
    A->cuts.size = A->nodes.size;
    if (A->nodes.size < 3 || A->dags.size < 1) fail(A, "corrupt: too short");
    for (int32_t i = 0; i < A->dags.size; i++)
        if (!graph_is_sound(A, i)) fail(A, "corrupt: a graph leads nowhere");
    for (Id i = 0; i < A->nodes.size; i++)
        if (!is_sound(A, i)) fail(A, "corrupt: an expression names what is not there");
    if (NODE(A, A->eps).kind != LEAF || NODE(A, A->eps).a || NODE(A, A->all).kind != NOT || NODE(A, A->all).a)
        fail(A, "corrupt: the first expressions are not the usual ones");
    while ((uint32_t)A->nodes.size >= A->interned_mask) A->interned_mask = A->interned_mask * 2 + 1;
    rehash(A); /* into twice as many places */
}

static PyObject *py_load(Arena *A, PyObject *args) {
    Py_buffer data[5];
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*", &data[0], &data[1], &data[2], &data[3], &data[4])) return NULL;
    volatile int failed = 1;
    if (A->nodes.size != 3) A->why = "only a new arena can be loaded into";
    else if (!setjmp(A->failed)) {
        load(A, data);
        failed = 0;
    }
    for (int i = 0; i < 5; i++) PyBuffer_Release(&data[i]);
    if (!failed) Py_RETURN_NONE;
    A->nodes.size = A->nodes.size > 3 ? 3 : A->nodes.size; /* of no use any more */
    PyErr_SetString(PyExc_ValueError, A->why ? A->why : "out of memory");
    return NULL;
}

static PyObject *py_len(Arena *A, PyObject *unused) {
    (void)unused;
    return number(A->nodes.size);
}

#define METHOD(name, f, doc) {name, (PyCFunction)(f), METH_VARARGS, doc}

static PyMethodDef arena_methods[] = {
    METHOD("dag", py_dag, "dag([(low, high, child)], final) -> graph; graph 0 is the end"),
    METHOD("leaf", py_leaf, "leaf(graph) -> expression"),
    METHOD("text", py_text, "text(bytes) -> expression"),
    METHOD("cat", py_cat, "cat(head, tail) -> expression"),
    METHOD("nary", py_nary, "nary(Kind.ALT or Kind.AND, [expressions]) -> expression"),
    METHOD("complement", py_complement, "complement(body) -> expression"),
    METHOD("repeat", py_repeat, "repeat(body, low, high or -1) -> expression"),
    METHOD("ref", py_ref, "ref(nullable, minlen) -> expression, to be defined"),
    METHOD("define", py_define, "define(ref, body)"),
    {"on_lazy", (PyCFunction)py_on_lazy, METH_O, "on_lazy(define): called with a ref when its body is first needed"},
    {"on_then", (PyCFunction)py_on_then, METH_O, "on_then(after): called with a number and a text that then() gave rise to"},
    METHOD("then", py_then,
           "then(number, steady, current, longest, closing, stop, over) -> expression: a text and what follows it (then.c)"),
    METHOD("sketch", py_sketch,
           "sketch(e) -> (narrow, but, wide, slack, steady) where what follows a text depends on it (then.c), else None"),
    METHOD("hole", py_hole, "hole(value, follow) -> expression"),
    METHOD("narrow", py_narrow, "narrow(e, also) -> e with its value, if it is a hole's, also one of `also`"),
    METHOD("distinct", py_distinct, "distinct(item, sep, low, high or -1, shortest items) -> expression (distinct.py)"),
    METHOD("index", py_index, "index(text, order, ends, first, last) or index(text, order, stops) -> number of its first suffix (suffixes.py)"),
    METHOD("span", py_span, "span(low, high) -> expression: substrings that begin like these suffixes"),
    {"indexes", (PyCFunction)py_indexes, METH_NOARGS, "indexes() -> the arguments of each index(), in order"},
    METHOD("expand", py_expand, "expand(e, byte) -> (low, high, after or -1): bytes low..high-1 lead to `after`"),
    METHOD("nullable", py_nullable, "nullable(e) -> bool"),
    METHOD("minlen", py_minlen, "minlen(e) -> bytes of the shortest text, 1 << 60 when there is none"),
    METHOD("parts", py_parts, "parts(e) -> (value or -1, length of follow, positions) of a hole, else None"),
    METHOD("only", py_only, "only(e) -> the one byte that can come next, -1 when none, -2 when several can"),
    {"dump", (PyCFunction)py_dump, METH_NOARGS, "dump() -> five bytes objects for load()"},
    METHOD("load", py_load, "load(...): what dump() gave, into a new arena; checked, ValueError when it is corrupt"),
    {"size", (PyCFunction)py_len, METH_NOARGS, "size() -> number of expressions"},
    {NULL, NULL, 0, NULL}};

PyTypeObject ArenaType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "lmprog.grammars._native.Arena",
    .tp_doc = "Interned expressions and their derivatives; see expr.py and derive.py",
    .tp_basicsize = sizeof(Arena),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)new_arena,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = arena_methods,
};

static PyObject *set_error(PyObject *module, PyObject *error) {
    (void)module;
    Py_XSETREF(Unsupported, Py_NewRef(error));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"suffixes", py_suffixes, METH_VARARGS, "suffixes(bytes) -> int32 bytes: the starts of all suffixes in their order"},
    {"set_error", set_error, METH_O, "set_error(type): what is raised where something cannot be decided"},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "Inner loops of the mask engine", -1, functions,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) {
    PyTypeObject *types[] = {&ArenaType, &DfaType, &TrieType, &SlicesType};
    const char *names[] = {"Arena", "Dfa", "Trie", "Slices"};
    PyObject *m = PyModule_Create(&module);
    for (int i = 0; m && i < 4; i++)
        if (PyType_Ready(types[i]) < 0 || PyModule_AddObjectRef(m, names[i], (PyObject *)types[i]) < 0) Py_CLEAR(m);
    return m;
}
