#include <Python.h>

PyObject *watch(PyObject *module, PyObject *args);
