#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_walk", NULL, -1, NULL};
PyMODINIT_FUNC PyInit__walk(void) { return PyModule_Create(&module); }
