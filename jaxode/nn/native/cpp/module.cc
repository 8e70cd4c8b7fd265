// The Python module: each handler as a capsule, for jax.ffi.register_ffi_target.

#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "lanes.h"
#include "xla/ffi/api/c_api.h"

extern "C" {
XLA_FFI_Error* JaxodeChain(XLA_FFI_CallFrame*);
XLA_FFI_Error* JaxodeChainGradient(XLA_FFI_CallFrame*);
XLA_FFI_Error* JaxodeConvolution(XLA_FFI_CallFrame*);
XLA_FFI_Error* JaxodeConvolutionGradient(XLA_FFI_CallFrame*);
XLA_FFI_Error* JaxodeGroupNorm(XLA_FFI_CallFrame*);
XLA_FFI_Error* JaxodeGroupNormGradient(XLA_FFI_CallFrame*);
XLA_FFI_Error* JaxodeSegment(XLA_FFI_CallFrame*);
XLA_FFI_Error* JaxodeSegmentGradient(XLA_FFI_CallFrame*);
XLA_FFI_Error* JaxodeUninitialized(XLA_FFI_CallFrame*);
}

#define JAXODE_QUOTED(name) #name
#define JAXODE_STRING(name) JAXODE_QUOTED(name)
#define JAXODE_JOINED(a, b) a##b
#define JAXODE_INIT(name) JAXODE_JOINED(PyInit_, name)

namespace {

struct Target {
  const char* name;
  XLA_FFI_Error* (*handler)(XLA_FFI_CallFrame*);
};

constexpr Target kTargets[] = {
    {"chain", JaxodeChain},
    {"chain_gradient", JaxodeChainGradient},
    {"convolution", JaxodeConvolution},
    {"convolution_gradient", JaxodeConvolutionGradient},
    {"group_norm", JaxodeGroupNorm},
    {"group_norm_gradient", JaxodeGroupNormGradient},
    {"segment", JaxodeSegment},
    {"segment_gradient", JaxodeSegmentGradient},
    {"uninitialized", JaxodeUninitialized},
};

// {name: capsule}
PyObject* targets(PyObject*, PyObject*) {
  PyObject* found = PyDict_New();
  if (found == nullptr) return nullptr;
  for (const Target& target : kTargets) {
    PyObject* capsule = PyCapsule_New(reinterpret_cast<void*>(target.handler), nullptr, nullptr);
    const bool stored = capsule != nullptr && PyDict_SetItemString(found, target.name, capsule) == 0;
    Py_XDECREF(capsule);
    if (!stored) {
      Py_DECREF(found);
      return nullptr;
    }
  }
  return found;
}

PyMethodDef kMethods[] = {
    {"targets", targets, METH_NOARGS, "The handlers by name, each as a capsule."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef kModule = {
    PyModuleDef_HEAD_INIT, JAXODE_STRING(JAXODE_MODULE), "jaxode's kernels for one kind of processor.", -1, kMethods,
    nullptr, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC JAXODE_INIT(JAXODE_MODULE)() {
  PyObject* module = PyModule_Create(&kModule);
  if (module == nullptr) return nullptr;
  const bool added = PyModule_AddIntConstant(module, "lanes", JAXODE_LANES) == 0 &&
                     PyModule_AddIntConstant(module, "api_major", XLA_FFI_API_MAJOR) == 0 &&
                     PyModule_AddIntConstant(module, "api_minor", XLA_FFI_API_MINOR) == 0;
  if (added) return module;
  Py_DECREF(module);
  return nullptr;
}
