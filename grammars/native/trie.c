/* Walking a vocabulary's byte trie through an automaton: the vocabulary's tokens in byte order as a preorder array;
 * `skip` is the next node outside a subtree. */
#include "walk.h"
#include <stdlib.h>
#include <string.h>

static void trie_dealloc(Trie *self) {
    free(self->nodes);
    free(self->same);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int in_byte_order(const void *x, const void *y) {
    const Token *a = x, *b = y;
    int32_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->data, b->data, (size_t)shorter);
    if (order) return order;
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    return (a->id < b->id) - (a->id > b->id); /* the least id comes first in a list of equals, which grows at its head */
}

int32_t common(const Token *a, const Token *b) {
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

/* The tokens as they stand in the list; -1 on an error. */
static Py_ssize_t list_tokens(PyObject *list, const uint8_t *without, Token *tokens, Py_ssize_t *bytes, int *longest) {
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

Token *sorted_tokens(PyObject *list, const uint8_t *without, Py_ssize_t *count, Py_ssize_t *bytes, int *longest) {
    Token *tokens = malloc((size_t)(PyList_GET_SIZE(list) + 1) * sizeof(Token));
    if (!tokens) return (Token *)PyErr_NoMemory();
    *count = list_tokens(list, without, tokens, bytes, longest);
    if (*count >= 0) qsort(tokens, (size_t)*count, sizeof(Token), in_byte_order);
    else {
        free(tokens);
        tokens = NULL;
    }
    return tokens;
}

static int trie_build(Trie *self, PyObject *list, const uint8_t *without) {
    Py_ssize_t bytes = 0, count;
    self->tokens = PyList_GET_SIZE(list);
    Token *tokens = sorted_tokens(list, without, &count, &bytes, &self->depth);
    if (!tokens) return -1;
    self->nodes = malloc((size_t)(bytes + 1) * sizeof(Branch));
    self->same = malloc((size_t)(self->tokens + 1) * sizeof(int32_t));
    int32_t *open = malloc((size_t)(self->depth + 1) * sizeof(int32_t));
    int failed = !self->nodes || !self->same || !open;
    if (failed) PyErr_NoMemory();
    else trie_fill(self, tokens, count, open);
    free(open);
    free(tokens);
    if (failed) return -1;
    Branch *fit = realloc(self->nodes, (size_t)(self->size + 1) * sizeof(Branch));
    if (fit) self->nodes = fit;
    return 0;
}

static int trie_init(Trie *self, PyObject *args, PyObject *kwargs) {
    PyObject *list;
    (void)kwargs;
    if (self->nodes || !PyArg_ParseTuple(args, "O!", &PyList_Type, &list)) return -1;
    return trie_build(self, list, NULL);
}

Trie *trie_without(PyObject *list, const uint8_t *without) {
    Trie *trie = PyObject_New(Trie, &TrieType);
    if (!trie) return NULL;
    memset((char *)trie + sizeof(PyObject), 0, sizeof(Trie) - sizeof(PyObject));
    if (trie_build(trie, list, without) < 0) Py_CLEAR(trie);
    return trie;
}

int reached(Walk *w, int32_t state) {
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
        if (node->token >= 0 && reached(w, to) < 0) return -1;
        for (int32_t token = node->token; token >= 0; token = self->same[token]) {
            if (w->mask) w->mask[token >> 5] |= (int32_t)(1u << (token & 31));
            if (w->ends) w->ends[token] = to;
        }
        i++;
    }
    return 0;
}

int trie_follow(Trie *self, Walk *w, int32_t start) {
    int32_t *stack = malloc((size_t)(self->depth + 2) * sizeof(int32_t));
    int failed = stack ? walk_nodes(self, w, start, stack) : -1;
    if (!stack) PyErr_NoMemory();
    free(stack);
    return failed;
}

/* walk(dfa, state, ends) -> end states */
static PyObject *trie_walk(Trie *self, PyObject *args) {
    PyObject *dfa, *ends;
    int start;
    Py_buffer view = {0};
    if (!PyArg_ParseTuple(args, "O!iO", &DfaType, &dfa, &start, &ends)) return NULL;
    if (!is_state((Dfa *)dfa, start)) return NULL;
    if (ends != Py_None && PyObject_GetBuffer(ends, &view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0) return NULL;
    Walk w = {(Dfa *)dfa, NULL, view.buf, PyList_New(0)};
    w.dfa->walks++;
    if (view.obj && view.len < self->tokens * (Py_ssize_t)sizeof(int32_t)) {
        PyErr_SetString(PyExc_ValueError, "the buffer is too small");
        Py_CLEAR(w.states);
    }
    if (w.states && trie_follow(self, &w, start) < 0) Py_CLEAR(w.states);
    if (view.obj) PyBuffer_Release(&view);
    return w.states;
}

static PyMethodDef trie_methods[] = {
    {"walk", (PyCFunction)trie_walk, METH_VARARGS,
     "walk(dfa, state, ends) -> the states that tokens lead to; the one of each token in int32 `ends` (may be None)"},
    {NULL, NULL, 0, NULL}};

PyTypeObject TrieType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "lmprog.grammars._native.Trie",
    .tp_doc = "Trie(list of bytes or None by id)",
    .tp_basicsize = sizeof(Trie),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)trie_init,
    .tp_dealloc = (destructor)trie_dealloc,
    .tp_methods = trie_methods,
};
