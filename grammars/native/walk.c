/* The two inner loops of the mask engine: running bytes through a lazily built automaton, and walking a vocabulary's
 * byte trie through it.
 *
 * Dfa   a table of states x 256 bytes. A cell is a state, DEAD, or UNKNOWN; UNKNOWN cells are filled when they are
 *       first asked for, by the arena or by a Python object with expand(expression, byte) -> (low, high, after or -1).
 *       That may add states, so the table may move: pointers into it are read again after every cell.
 * Trie  the vocabulary's tokens in byte order as a preorder array; `skip` is the next node outside a subtree.
 *
 * Both are used under the GIL and under the constraint's own lock. */
#include "walk.h"
#include "arena.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEAD (-1)
#define UNKNOWN (-2)
#define MIXED (-3)
#define ERROR (-4)

typedef struct {
    PyObject_HEAD
    int32_t *table;
    int32_t *exprs;  /* of each state */
    uint32_t *seen;  /* the last walk that ended in this state */
    int32_t *states; /* of each expression, or DEAD */
    uint32_t walks;
    Py_ssize_t size, capacity, known;
    PyObject *source;
} Dfa;

static int dfa_init(Dfa *self, PyObject *args, PyObject *kwargs) {
    PyObject *source;
    (void)kwargs;
    if (self->source || !PyArg_ParseTuple(args, "O", &source)) return -1;
    self->source = Py_NewRef(source);
    return 0;
}

static int dfa_traverse(Dfa *self, visitproc visit, void *arg) {
    Py_VISIT(self->source);
    return 0;
}

static int dfa_clear(Dfa *self) {
    Py_CLEAR(self->source);
    return 0;
}

static void dfa_dealloc(Dfa *self) {
    PyObject_GC_UnTrack(self);
    dfa_clear(self);
    free(self->table);
    free(self->exprs);
    free(self->seen);
    free(self->states);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* realloc in place; 0 when there is no memory. */
static int resize(void *array, size_t items, size_t item) {
    void **where = array, *moved = realloc(*where, items * item);
    if (moved) *where = moved;
    return moved != NULL;
}

/* The state of an expression, new or known; ERROR with a Python error set. */
static int32_t number_of(Dfa *self, int32_t expr) {
    if (expr < self->known && self->states[expr] != DEAD) return self->states[expr];
    if (expr >= self->known) {
        Py_ssize_t known = (Py_ssize_t)expr * 2 + 64;
        if (!resize(&self->states, (size_t)known, sizeof(int32_t))) goto memory;
        for (Py_ssize_t i = self->known; i < known; i++) self->states[i] = DEAD;
        self->known = known;
    }
    if (self->size == self->capacity) {
        Py_ssize_t capacity = self->capacity ? self->capacity * 2 : 64;
        if (!resize(&self->table, (size_t)capacity * 256, sizeof(int32_t)) ||
            !resize(&self->exprs, (size_t)capacity, sizeof(int32_t)) ||
            !resize(&self->seen, (size_t)capacity, sizeof(uint32_t)))
            goto memory;
        self->capacity = capacity;
    }
    int32_t *row = self->table + self->size * 256;
    for (int i = 0; i < 256; i++) row[i] = UNKNOWN;
    self->seen[self->size] = 0;
    self->exprs[self->size] = expr;
    return self->states[expr] = (int32_t)self->size++;
memory:
    PyErr_NoMemory();
    return ERROR;
}

static int ask(Dfa *self, int32_t state, int byte, int *low, int *high, int32_t *after) {
    if (Py_IS_TYPE(self->source, &ArenaType))
        return arena_expand((Arena *)self->source, self->exprs[state], byte, low, high, after);
    PyObject *found = PyObject_CallMethod(self->source, "expand", "ii", (int)self->exprs[state], byte);
    int failed = !found || !PyArg_ParseTuple(found, "iii", low, high, after);
    Py_XDECREF(found);
    return failed ? -1 : 0;
}

/* The cell, filled if need be; UNKNOWN means that a Python error is set. */
static int32_t next_state(Dfa *self, int32_t state, int byte) {
    int32_t to = self->table[(Py_ssize_t)state * 256 + byte], after;
    int low, high;
    if (to != UNKNOWN) return to;
    if (ask(self, state, byte, &low, &high, &after) < 0) return UNKNOWN;
    if (low < 0 || low > byte || high <= byte || high > 256) {
        PyErr_SetString(PyExc_ValueError, "expand() gave a range without the byte");
        return UNKNOWN;
    }
    to = after < 0 ? DEAD : number_of(self, after);
    if (to == ERROR) return UNKNOWN;
    int32_t *row = self->table + (Py_ssize_t)state * 256;
    for (int i = low; i < high; i++) row[i] = to;
    return to;
}

static PyObject *dfa_number(Dfa *self, PyObject *args) {
    int expr;
    if (!PyArg_ParseTuple(args, "i", &expr)) return NULL;
    if (expr < 0) return PyErr_Format(PyExc_IndexError, "no such expression");
    int32_t number = number_of(self, expr);
    return number == ERROR ? NULL : PyLong_FromLong(number);
}

static PyObject *dfa_expr(Dfa *self, PyObject *args) {
    int state;
    if (!PyArg_ParseTuple(args, "i", &state)) return NULL;
    if (state < 0 || state >= self->size) return PyErr_Format(PyExc_IndexError, "no such state");
    return PyLong_FromLong(self->exprs[state]);
}

static PyObject *dfa_dump(Dfa *self, PyObject *unused) {
    (void)unused;
    return Py_BuildValue("(y#y#)", (char *)self->table, self->size * 256 * (Py_ssize_t)sizeof(int32_t),
                         (char *)self->exprs, self->size * (Py_ssize_t)sizeof(int32_t));
}

/* load(table, exprs, count of expressions): what dump() gave, into a new table; ValueError when it is corrupt */
static PyObject *dfa_load(Dfa *self, PyObject *args) {
    Py_buffer table, exprs;
    int known;
    if (!PyArg_ParseTuple(args, "y*y*i", &table, &exprs, &known)) return NULL;
    Py_ssize_t count = exprs.len / (Py_ssize_t)sizeof(int32_t), i = 0;
    int sound = !self->size && exprs.len == count * 4 && table.len == count * 1024;
    for (i = 0; sound && i < count * 256; i++)
        sound = ((int32_t *)table.buf)[i] >= UNKNOWN && ((int32_t *)table.buf)[i] < count;
    for (i = 0; sound && i < count; i++) {
        int32_t expr = ((int32_t *)exprs.buf)[i];
        sound = expr >= 0 && expr < known && number_of(self, expr) == i;
    }
    if (sound) memcpy(self->table, table.buf, (size_t)table.len);
    else if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "corrupt: the transition table does not fit");
    PyBuffer_Release(&table);
    PyBuffer_Release(&exprs);
    return sound ? Py_NewRef(Py_None) : NULL;
}

static Py_ssize_t dfa_length(PyObject *self) { return ((Dfa *)self)->size; }

static PyObject *dfa_run(Dfa *self, PyObject *args) {
    int state;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "iy*", &state, &data)) return NULL;
    int32_t s = state;
    if (state < 0 || state >= self->size) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_IndexError, "no such state");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < data.len && s >= 0; i++) s = next_state(self, s, ((unsigned char *)data.buf)[i]);
    PyBuffer_Release(&data);
    return s == UNKNOWN ? NULL : PyLong_FromLong(s);
}

/* Edges of a byte graph: {node, low, high, next node}, sorted by node; node 0 is the start, next -1 the end. */
typedef struct {
    const int32_t (*edges)[4];
    Py_ssize_t count;
} Graph;

/* Folds into *to where the words of the graph lead from `state`; 0 to go on, MIXED at a difference, ERROR. */
static int32_t fold(Dfa *self, int32_t state, const Graph *graph, int32_t node, int32_t *to) {
    for (Py_ssize_t i = 0; i < graph->count; i++) {
        if (graph->edges[i][0] != node) continue;
        int32_t last = UNKNOWN, after = graph->edges[i][3];
        for (int byte = graph->edges[i][1]; byte <= graph->edges[i][2]; byte++) {
            int32_t next = next_state(self, state, byte);
            if (next == UNKNOWN) return ERROR;
            if (next == last) continue; /* as the byte before */
            last = next;
            if (next >= 0 && after >= 0) {
                int32_t below = fold(self, next, graph, after, to);
                if (below) return below;
            } else if (*to == UNKNOWN) *to = next;
            else if (*to != next) return MIXED;
        }
    }
    return 0;
}

/* common(state, graphs) -> for each byte graph the one state to which all its words lead, DEAD, or MIXED */
static PyObject *dfa_common(Dfa *self, PyObject *args) {
    int state;
    PyObject *graphs;
    if (!PyArg_ParseTuple(args, "iO!", &state, &PyTuple_Type, &graphs)) return NULL;
    if (state < 0 || state >= self->size) return PyErr_Format(PyExc_IndexError, "no such state");
    PyObject *out = PyTuple_New(PyTuple_GET_SIZE(graphs));
    for (Py_ssize_t i = 0; out && i < PyTuple_GET_SIZE(graphs); i++) {
        char *edges;
        Py_ssize_t size;
        int32_t to = UNKNOWN, found = ERROR;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(graphs, i), &edges, &size) == 0) {
            Graph graph = {(const int32_t(*)[4])edges, size / (Py_ssize_t)sizeof(int32_t[4])};
            found = fold(self, state, &graph, 0, &to);
        }
        if (found == ERROR) Py_CLEAR(out);
        else PyTuple_SET_ITEM(out, i, PyLong_FromLong(found ? found : to));
    }
    return out;
}

static PyMethodDef dfa_methods[] = {
    {"common", (PyCFunction)dfa_common, METH_VARARGS,
     "common(state, graphs) -> for each byte graph (int32 rows of node, low, high, next node; -1: end) the one state\n"
     "to which all its words lead, -1 when all are dead, -3 when they differ"},
    {"number", (PyCFunction)dfa_number, METH_VARARGS, "number(expression) -> its state, new or known"},
    {"dump", (PyCFunction)dfa_dump, METH_NOARGS, "dump() -> (table, expressions) as bytes, for load()"},
    {"load", (PyCFunction)dfa_load, METH_VARARGS, "load(table, expressions, number of expressions that there are)"},
    {"expr", (PyCFunction)dfa_expr, METH_VARARGS, "expr(state) -> its expression"},
    {"run", (PyCFunction)dfa_run, METH_VARARGS, "run(state, data) -> state after the bytes, -1 when dead"},
    {NULL, NULL, 0, NULL}};

static PySequenceMethods dfa_sequence = {.sq_length = dfa_length};

PyTypeObject DfaType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "lmprog.grammars._native.Dfa",
    .tp_doc = "Dfa(source): a lazily filled transition table over the expressions of an Arena, or of a Python object",
    .tp_as_sequence = &dfa_sequence,
    .tp_basicsize = sizeof(Dfa),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)dfa_init,
    .tp_traverse = (traverseproc)dfa_traverse,
    .tp_clear = (inquiry)dfa_clear,
    .tp_dealloc = (destructor)dfa_dealloc,
    .tp_methods = dfa_methods,
};

typedef struct {
    int32_t skip;  /* next node that is not below this one */
    int32_t token; /* first token that ends here, or -1 */
    uint16_t depth;
    uint8_t byte;
} Branch;

typedef struct {
    PyObject_HEAD
    Branch *nodes;
    int32_t *same; /* the next token with the same bytes, or -1 */
    Py_ssize_t size, tokens;
    int depth;
} Trie;

static void trie_dealloc(Trie *self) {
    free(self->nodes);
    free(self->same);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

typedef struct {
    const char *data;
    int32_t length, id;
} Token;

static int in_byte_order(const void *x, const void *y) {
    const Token *a = x, *b = y;
    int32_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->data, b->data, (size_t)shorter);
    if (order) return order;
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    return (a->id < b->id) - (a->id > b->id); /* the least id comes first in a list of equals, which grows at its head */
}

static int32_t common(const Token *a, const Token *b) {
    int32_t i = 0;
    while (i < a->length && i < b->length && a->data[i] == b->data[i]) i++;
    return i;
}

/* Appends the sorted tokens; `open` holds the last node of every depth. */
static void trie_fill(Trie *self, const Token *tokens, Py_ssize_t count, int32_t *open) {
    Token last = {"", 0, 0};
    for (Py_ssize_t k = 0; k < count; k++) {
        const Token *token = &tokens[k];
        int32_t shared = common(&last, token);
        for (int32_t d = last.length; d > shared; d--) self->nodes[open[d - 1]].skip = (int32_t)self->size;
        for (int32_t d = shared; d < token->length; d++) {
            open[d] = (int32_t)self->size;
            self->nodes[self->size++] = (Branch){0, -1, (uint16_t)d, (uint8_t)token->data[d]};
        }
        Branch *end = &self->nodes[open[token->length - 1]];
        self->same[token->id] = end->token;
        end->token = token->id;
        last = *token;
    }
    for (int32_t d = last.length; d > 0; d--) self->nodes[open[d - 1]].skip = (int32_t)self->size;
}

/* The tokens of a list of (bytes or None) that are not empty, nor marked in `without`; -1 on an error. */
static Py_ssize_t trie_tokens(PyObject *list, const uint8_t *without, Token *tokens, Py_ssize_t *bytes, int *longest) {
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        if (item == Py_None || (without && without[i])) continue;
        if (!PyBytes_Check(item) || PyBytes_GET_SIZE(item) > UINT16_MAX) {
            PyErr_SetString(PyExc_TypeError, "tokens are bytes (at most 65,535 of them) or None");
            return -1;
        }
        if (!PyBytes_GET_SIZE(item)) continue;
        tokens[count] = (Token){PyBytes_AS_STRING(item), (int32_t)PyBytes_GET_SIZE(item), (int32_t)i};
        *bytes += tokens[count].length;
        if (tokens[count].length > *longest) *longest = tokens[count].length;
        count++;
    }
    return count;
}

static int trie_build(Trie *self, PyObject *list, const uint8_t *without) {
    Py_ssize_t bytes = 0, count = -1;
    self->tokens = PyList_GET_SIZE(list);
    Token *tokens = malloc((size_t)(self->tokens + 1) * sizeof(Token));
    if (!tokens) PyErr_NoMemory();
    else if ((count = trie_tokens(list, without, tokens, &bytes, &self->depth)) >= 0) {
        qsort(tokens, (size_t)count, sizeof(Token), in_byte_order);
        self->nodes = malloc((size_t)(bytes + 1) * sizeof(Branch));
        self->same = malloc((size_t)(self->tokens + 1) * sizeof(int32_t));
        int32_t *open = malloc((size_t)(self->depth + 1) * sizeof(int32_t));
        if (self->nodes && self->same && open) trie_fill(self, tokens, count, open);
        else {
            PyErr_NoMemory();
            count = -1;
        }
        free(open);
    }
    free(tokens);
    if (count < 0) return -1;
    Branch *fit = realloc(self->nodes, (size_t)(self->size + 1) * sizeof(Branch));
    if (fit) self->nodes = fit;
    return 0;
}

static int trie_init(Trie *self, PyObject *args, PyObject *kwargs) {
    PyObject *list;
    Py_buffer without = {0};
    (void)kwargs;
    if (self->nodes || !PyArg_ParseTuple(args, "O!|y*", &PyList_Type, &list, &without)) return -1;
    int failed = -1;
    if (without.obj && without.len < PyList_GET_SIZE(list)) PyErr_SetString(PyExc_ValueError, "a mark per token is needed");
    else failed = trie_build(self, list, without.buf);
    if (without.obj) PyBuffer_Release(&without);
    return failed;
}

/* The code point that starts at s, or -1; *size is the number of its bytes. */
static int32_t code_point(const uint8_t *s, Py_ssize_t left, int *size) {
    if (s[0] < 0x80) return *size = 1, s[0];
    *size = s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (!*size || *size > left) return -1;
    int32_t point = s[0] & (0x7F >> *size);
    for (int k = 1; k < *size; k++) {
        if (s[k] >> 6 != 2) return -1;
        point = point << 6 | (s[k] & 0x3F);
    }
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    return point < least[*size] || point > 0x10FFFF || point >> 11 == 0x1B ? -1 : point;
}

/* signatures(tokens, groups, longest) -> (lengths, signatures): `groups` gives the group of each ASCII code point, of
 * all others at index 128 (255: none). A token gets its number of code points and the bit set of their groups, 0 and 0
 * if one has no group, or if there are more than `longest`. */
PyObject *signatures(PyObject *module, PyObject *args) {
    PyObject *list;
    Py_buffer groups;
    int longest;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!y*i", &PyList_Type, &list, &groups, &longest)) return NULL;
    Py_ssize_t count = PyList_GET_SIZE(list);
    PyObject *lengths = PyBytes_FromStringAndSize(NULL, count), *bits = PyBytes_FromStringAndSize(NULL, count * 8);
    for (Py_ssize_t i = 0; lengths && bits && groups.len > 128 && i < count; i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        uint64_t signature = 0;
        int length = 0, size;
        for (Py_ssize_t at = 0; PyBytes_Check(item) && at < PyBytes_GET_SIZE(item); at += size, length++) {
            int32_t point = code_point((uint8_t *)PyBytes_AS_STRING(item) + at, PyBytes_GET_SIZE(item) - at, &size);
            uint8_t group = point < 0 ? 255 : ((uint8_t *)groups.buf)[point < 128 ? point : 128];
            if (group >= 64 || length == longest) {
                length = 0;
                signature = 0;
                break;
            }
            signature |= (uint64_t)1 << group;
        }
        PyBytes_AS_STRING(lengths)[i] = (char)length;
        memcpy(PyBytes_AS_STRING(bits) + 8 * i, &signature, 8);
    }
    PyBuffer_Release(&groups);
    if (lengths && bits) return Py_BuildValue("(NN)", lengths, bits);
    Py_XDECREF(lengths);
    Py_XDECREF(bits);
    return NULL;
}

typedef struct {
    Dfa *dfa;
    int32_t *mask, *ends, *ids;
    Py_ssize_t limit, count;
    PyObject *states;
} Walk;

static int reached(Walk *w, int32_t token, int32_t state) {
    if (w->mask) w->mask[token >> 5] |= (int32_t)(1u << (token & 31));
    if (w->ends) w->ends[token] = state;
    if (w->count < w->limit) w->ids[w->count] = token;
    w->count++;
    if (w->dfa->seen[state] == w->dfa->walks) return 0;
    w->dfa->seen[state] = w->dfa->walks;
    PyObject *number = PyLong_FromLong(state);
    int failed = !number || PyList_Append(w->states, number) < 0;
    Py_XDECREF(number);
    return failed ? -1 : 0;
}

static int walk_nodes(Trie *self, Walk *w, int32_t start, int32_t *stack) {
    stack[0] = start;
    for (Py_ssize_t i = 0; i < self->size;) {
        const Branch *node = &self->nodes[i];
        int32_t from = stack[node->depth];
        int32_t to = w->dfa->table[(Py_ssize_t)from * 256 + node->byte];
        if (to < 0) {
            if (to == UNKNOWN && (to = next_state(w->dfa, from, node->byte)) == UNKNOWN) return -1;
            if (to == DEAD) {
                i = node->skip;
                continue;
            }
        }
        stack[node->depth + 1] = to;
        for (int32_t token = node->token; token >= 0; token = self->same[token])
            if (reached(w, token, to) < 0) return -1;
        i++;
    }
    return 0;
}

static int writable(PyObject *object, Py_buffer *view, Py_ssize_t items, int32_t **out) {
    if (object == Py_None) return 0;
    if (PyObject_GetBuffer(object, view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0) return -1;
    *out = view->buf;
    if (view->len >= items * (Py_ssize_t)sizeof(int32_t)) return 0;
    PyErr_SetString(PyExc_ValueError, "the buffer is too small");
    return -1;
}

/* try_tokens(dfa, state, tokens, ids, mask) -> end states: like walk, for the given ids only, without a trie */
PyObject *try_tokens(PyObject *module, PyObject *args) {
    PyObject *dfa, *tokens, *mask, *out = NULL;
    int start;
    Py_buffer ids, view = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "O!iO!y*O", &DfaType, &dfa, &start, &PyList_Type, &tokens, &ids, &mask)) return NULL;
    Walk w = {.dfa = (Dfa *)dfa, .states = PyList_New(0)};
    Py_ssize_t count = ids.len / (Py_ssize_t)sizeof(int32_t), i = 0;
    w.dfa->walks++;
    if (start < 0 || start >= w.dfa->size) PyErr_SetString(PyExc_IndexError, "no such state");
    else if (w.states && !writable(mask, &view, (PyList_GET_SIZE(tokens) + 31) / 32, &w.mask)) {
        for (; i < count; i++) {
            int32_t id = ((int32_t *)ids.buf)[i], s = start;
            if (id < 0 || id >= PyList_GET_SIZE(tokens) || !PyBytes_Check(PyList_GET_ITEM(tokens, id))) continue;
            PyObject *item = PyList_GET_ITEM(tokens, id);
            for (Py_ssize_t k = 0; k < PyBytes_GET_SIZE(item) && s >= 0; k++)
                s = next_state(w.dfa, s, (uint8_t)PyBytes_AS_STRING(item)[k]);
            if (s == UNKNOWN || (s >= 0 && reached(&w, id, s) < 0)) break;
        }
        if (i == count) out = Py_NewRef(w.states);
    }
    if (view.obj) PyBuffer_Release(&view);
    PyBuffer_Release(&ids);
    Py_XDECREF(w.states);
    return out;
}

/* walk(dfa, state, mask, ends, limit) -> (count, ids or None, end states) */
static PyObject *trie_walk(Trie *self, PyObject *args) {
    PyObject *dfa, *mask, *ends, *out = NULL;
    int start;
    Py_ssize_t limit;
    if (!PyArg_ParseTuple(args, "O!iOOn", &DfaType, &dfa, &start, &mask, &ends, &limit)) return NULL;
    Walk w = {.dfa = (Dfa *)dfa, .limit = limit < 0 ? 0 : limit};
    if (start < 0 || start >= w.dfa->size) {
        PyErr_SetString(PyExc_IndexError, "no such state");
        return NULL;
    }
    Py_buffer mask_view = {0}, ends_view = {0};
    int32_t *stack = malloc((size_t)(self->depth + 2) * sizeof(int32_t));
    w.ids = malloc((size_t)(w.limit + 1) * sizeof(int32_t));
    w.states = PyList_New(0);
    w.dfa->walks++;
    if (!stack || !w.ids || !w.states) PyErr_NoMemory();
    else if (!writable(mask, &mask_view, (self->tokens + 31) / 32, &w.mask) &&
             !writable(ends, &ends_view, self->tokens, &w.ends) && !walk_nodes(self, &w, start, stack)) {
        PyObject *ids = w.count <= w.limit
                            ? PyBytes_FromStringAndSize((char *)w.ids, w.count * (Py_ssize_t)sizeof(int32_t))
                            : Py_NewRef(Py_None);
        if (ids) out = Py_BuildValue("(nNO)", w.count, ids, w.states);
    }
    if (mask_view.obj) PyBuffer_Release(&mask_view);
    if (ends_view.obj) PyBuffer_Release(&ends_view);
    free(stack);
    free(w.ids);
    Py_XDECREF(w.states);
    return out;
}

static PyMethodDef trie_methods[] = {
    {"walk", (PyCFunction)trie_walk, METH_VARARGS,
     "walk(dfa, state, mask, ends, limit) -> (count, ids or None, end states): sets the bits of the tokens that stay\n"
     "alive in int32 `mask`, their end states in int32 `ends` (either may be None); ids as int32 bytes in byte order\n"
     "of the tokens when there are at most `limit`"},
    {NULL, NULL, 0, NULL}};

PyTypeObject TrieType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "lmprog.grammars._native.Trie",
    .tp_doc = "Trie(list of bytes or None by id, marks of those to leave out)",
    .tp_basicsize = sizeof(Trie),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)trie_init,
    .tp_dealloc = (destructor)trie_dealloc,
    .tp_methods = trie_methods,
};
