/* Running bytes through a lazily built automaton: a table of states x 256 bytes.
 *
 * A cell is a state, DEAD, or UNKNOWN; UNKNOWN cells are filled when they are first asked for, by the arena or by a
 * Python object with expand(expression, byte) -> (low, high, after or -1). That may add states, so the table may move:
 * pointers into it are read again after every cell. Used under the GIL and under the constraint's own lock. */
#include "walk.h"
#include "arena.h"
#include <stdlib.h>
#include <string.h>

static int dfa_init(Dfa *self, PyObject *args, PyObject *kwargs) {
    PyObject *source, *graphs = NULL;
    (void)kwargs;
    if (self->source || !PyArg_ParseTuple(args, "O|O!", &source, &PyTuple_Type, &graphs)) return -1;
    self->source = Py_NewRef(source);
    if (!graphs || !Py_IS_TYPE(source, &ArenaType)) return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(graphs) && i < MOST_CLASSES; i++) {
        long graph = PyLong_AsLong(PyTuple_GET_ITEM(graphs, i));
        if (PyErr_Occurred()) return -1;
        if (graph > INT32_MAX || !arena_has_graph((Arena *)source, (int)graph)) {
            PyErr_SetString(PyExc_IndexError, "no such graph");
            return -1;
        }
        self->graphs[self->classes++] = (int32_t)graph;
    }
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
    free(self->by_class);
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
            !resize(&self->by_class, (size_t)capacity * MOST_CLASSES, sizeof(int32_t)) ||
            !resize(&self->seen, (size_t)capacity, sizeof(uint32_t)))
            goto memory;
        self->capacity = capacity;
    }
    int32_t *row = self->table + self->size * 256;
    for (int i = 0; i < 256; i++) row[i] = UNKNOWN;
    for (int i = 0; i < self->classes; i++) self->by_class[self->size * self->classes + i] = UNKNOWN;
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

int32_t next_state(Dfa *self, int32_t state, int byte) {
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

int32_t class_target(Dfa *self, int32_t state, int class) {
    int32_t *known = &self->by_class[(Py_ssize_t)state * self->classes + class];
    if (*known != UNKNOWN) return *known;
    Id after;
    if (arena_class((Arena *)self->source, self->exprs[state], self->graphs[class], &after) < 0) return ERROR;
    int32_t to = after == UNSURE ? MIXED : after == NONE ? DEAD : number_of(self, after);
    if (to != ERROR) self->by_class[(Py_ssize_t)state * self->classes + class] = to; /* the array may have moved */
    return to;
}

int most_needed(Dfa *self, PyObject *states, int64_t *most) {
    *most = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(states); i++) {
        int32_t expr = self->exprs[PyLong_AsLong(PyList_GET_ITEM(states, i))];
        int64_t length = 0;
        if (Py_IS_TYPE(self->source, &ArenaType)) {
            if (arena_minlen((Arena *)self->source, expr, &length) < 0) return -1;
        } else {
            PyObject *found = PyObject_CallMethod(self->source, "minlen", "i", (int)expr);
            length = found ? PyLong_AsLongLong(found) : -1;
            Py_XDECREF(found);
            if (PyErr_Occurred()) return -1;
        }
        if (length > *most) *most = length;
    }
    return 0;
}

int is_state(const Dfa *self, int32_t state) {
    if (state >= 0 && state < self->size) return 1;
    PyErr_SetString(PyExc_IndexError, "no such state");
    return 0;
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
    return is_state(self, state) ? PyLong_FromLong(self->exprs[state]) : NULL;
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
    int32_t s = is_state(self, state) ? state : UNKNOWN;
    for (Py_ssize_t i = 0; i < data.len && s >= 0; i++) s = next_state(self, s, ((unsigned char *)data.buf)[i]);
    PyBuffer_Release(&data);
    return s == UNKNOWN ? NULL : PyLong_FromLong(s);
}

static PyMethodDef dfa_methods[] = {
    {"number", (PyCFunction)dfa_number, METH_VARARGS, "number(expression) -> its state, new or known"},
    {"dump", (PyCFunction)dfa_dump, METH_NOARGS, "dump() -> (table, expressions) as bytes, for load()"},
    {"load", (PyCFunction)dfa_load, METH_VARARGS, "load(table, expressions, number of expressions that there are)"},
    {"expr", (PyCFunction)dfa_expr, METH_VARARGS, "expr(state) -> its expression"},
    {"run", (PyCFunction)dfa_run, METH_VARARGS, "run(state, data) -> state after the bytes, -1 when dead"},
    {NULL, NULL, 0, NULL}};

static PySequenceMethods dfa_sequence = {.sq_length = dfa_length};

PyTypeObject DfaType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "lmprog.grammars._native.Dfa",
    .tp_doc = "Dfa(source, graphs=()): a lazily filled transition table over the expressions of an Arena, or of a\n"
              "Python object; `graphs`: the arena's graphs of the plain code points and of the letters beyond ASCII (slices.c)",
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
