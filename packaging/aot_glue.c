/* Between Python and the kernels' objects. aot.py fills in what stands between @s.

   The lock of the interpreter is kept: a kernel runs for microseconds, and the server has
   one thread that runs them. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HAS_v2 __builtin_cpu_supports("x86-64-v2")
#define HAS_v3 __builtin_cpu_supports("x86-64-v3")

/* Read the arguments of an entry point: the memory, and `wanted` numbers. */
static int take(const char *name, PyObject *const *arguments, Py_ssize_t count,
                Py_buffer *memory, int64_t *numbers, Py_ssize_t wanted) {
    if (count != wanted + 1) {
        PyErr_Format(PyExc_TypeError, "%s takes the memory and %zd numbers", name, wanted);
        return 0;
    }
    for (Py_ssize_t n = 0; n < wanted; n++) {
        numbers[n] = PyLong_AsLongLong(arguments[n + 1]);
        if (numbers[n] == -1 && PyErr_Occurred()) return 0;
    }
    if (PyObject_GetBuffer(arguments[0], memory, PyBUF_WRITABLE) < 0) return 0;
    if (memory->len < @MEMORY_BYTES@LL) {
        PyErr_Format(PyExc_ValueError, "%s: the memory is too small", name);
        PyBuffer_Release(memory);
        return 0;
    }
    return 1;
}
@FUNCTIONS@
static PyMethodDef methods[] = {
@METHODS@    {NULL, NULL, 0, NULL},
};

/* Take the best kernels for this processor; gives the level's name. */
static const char *choose(void) {
    const char *asked = getenv("MAGICQUEUE_CPU");
    int wanted = asked != NULL && strcmp(asked, "x86-64-v2") == 0 ? 2 : 3;
    __builtin_cpu_init();
    if (!(HAS_v2)) return NULL;
    if (wanted >= 3 && HAS_v3) {
@TAKE_v3@        return "x86-64-v3";
    }
@TAKE_v2@    return "x86-64-v2";
}

static int start(PyObject *module) {
    const char *level = choose();
    if (level == NULL) {
        PyErr_SetString(PyExc_ImportError, "this processor is older than x86-64-v2");
        return -1;
    }
    if (PyModule_AddStringConstant(module, "LEVEL", level) < 0) return -1;
    return PyModule_AddStringConstant(module, "SOURCES", "@SOURCES@");
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, start}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernels_aot",
    .m_doc = "The array core's kernels, compiled ahead of time.",
    .m_methods = methods,
    .m_slots = slots,
};

__attribute__((visibility("default"))) PyMODINIT_FUNC PyInit__kernels_aot(void) {
    return PyModuleDef_Init(&definition);
}
