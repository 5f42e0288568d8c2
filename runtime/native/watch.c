/* Calls of built-in functions, looked at before they happen: a profile function that costs next to nothing where a call
   cannot matter. Python's own hook would run for every call and every return. */
#define PY_SSIZE_T_CLEAN
#include "watch.h"
#include <string.h>

/* 1: the set holds the name, 0: it does not, -1: error */
static int holds(PyObject *set, const char *name, Py_ssize_t size) {
    PyObject *text = PyUnicode_FromStringAndSize(name, size);
    if (!text) return -1;
    int found = PySet_Contains(set, text);
    Py_DECREF(text);
    return found;
}

static int near_by(PyObject *near, PyObject *owner) {
    if (!owner) return 0;
    PyObject *address = PyLong_FromVoidPtr(owner);
    if (!address) return -1;
    int found = PyDict_Contains(near, address);
    Py_DECREF(address);
    return found;
}

/* Of self = (modules, names, changes, near, look): a function of one of the modules, or a method of one of their types;
   one of the names; or a change of something near. */
static int matters(PyObject *self, PyCFunctionObject *function) {
    PyObject *modules = PyTuple_GET_ITEM(self, 0), *owner = function->m_self;
    const char *name = function->m_ml->ml_name;
    int found = 0;
    if (owner && !PyModule_Check(owner)) {
        const char *type = Py_TYPE(owner)->tp_name, *dot = strchr(type, '.');
        found = dot ? holds(modules, type, dot - type) : 0;
    } else if (function->m_module && PyUnicode_Check(function->m_module)) {
        found = PySet_Contains(modules, function->m_module);
    }
    if (found) return found;
    found = holds(PyTuple_GET_ITEM(self, 1), name, strlen(name));
    if (found) return found;
    found = holds(PyTuple_GET_ITEM(self, 2), name, strlen(name));
    return found == 1 ? near_by(PyTuple_GET_ITEM(self, 3), owner) : found;
}

static int on_event(PyObject *self, PyFrameObject *frame, int what, PyObject *arg) {
    if (what != PyTrace_C_CALL || !PyCFunction_Check(arg)) return 0;
    int found = matters(self, (PyCFunctionObject *)arg);
    if (found <= 0) return found;
    PyObject *result = PyObject_CallFunctionObjArgs(PyTuple_GET_ITEM(self, 4), (PyObject *)frame, arg, NULL);
    if (!result) return -1;
    Py_DECREF(result);
    return 0;
}

PyObject *watch(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *modules, *names, *changes, *near, *look;
    if (!PyArg_ParseTuple(args, "O!O!O!O!O", &PyFrozenSet_Type, &modules, &PyFrozenSet_Type, &names,
                          &PyFrozenSet_Type, &changes, &PyDict_Type, &near, &look))
        return NULL;
    PyEval_SetProfile(on_event, args);
    Py_RETURN_NONE;
}
